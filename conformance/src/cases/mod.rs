//! The cases, a file per area. Each is a plain async function with fresh users of its own.

mod accounts;
mod auth;
mod cluster;
mod consistency;
mod delivery;
mod durability;
mod edits;
mod events;
mod fields;
mod hanging_up;
mod history;
pub(crate) mod limits;
mod precedence;
mod presence;
mod promises;
mod read;
mod recipients;
mod search;
mod send;
mod sessions;
mod sockets;
mod storm;
pub(crate) mod tokens;
mod transport;
mod typing;
mod unavailable;
mod users;
mod wire;

use std::time::{Duration, Instant};

use chat_spec::{Requirement, ServerEvent};
use serde_json::Value;

use crate::engine::{Case, Outcome, Stop, User, World};
use crate::generated;
use crate::launch::{LaunchError, Launched, Mortal, Operated};

/// Cases that wait for seconds, by their ids.
const LONG: &[&str] = &[
    "transport_heartbeat::who_does_not_answer_is_closed",
    "transport_heartbeat::who_never_connects_is_shown_out",
    "sockets::a_guest_may_hesitate",
    "typing::typing_times_out",
    "auth::inactive_accounts",
    "presence::partners_hear_of_coming_and_going",
    "presence::who_has_left_is_told_of_soon",
    "tokens::tokens_expire",
    "delivery::what_a_device_told_last_is_heard_last",
    "tokens::a_fresh_token_extends_a_socket",
    "delivery::every_event_over_polling",
    "credentials::every_call_refuses_an_old_token",
    "users::the_list_of_online_users_is_whole",
];

/// Every case, written by hand or generated, in the order in which they start: those that wait long first, since no other case is
/// left to run beside one that begins to wait in the end.
pub fn all() -> impl Iterator<Item = Case> {
    let areas = [
        sockets::CASES,
        typing::CASES,
        presence::CASES,
        promises::CASES,
        sessions::CASES,
        durability::CASES,
        storm::CASES,
        cluster::CASES,
        consistency::CASES,
        hanging_up::CASES,
        unavailable::CASES,
        limits::CASES,
        precedence::CASES,
        tokens::CASES,
        wire::CASES,
        auth::CASES,
        accounts::CASES,
        send::CASES,
        history::CASES,
        search::CASES,
        edits::CASES,
        read::CASES,
        users::CASES,
        events::CASES,
        fields::CASES,
        recipients::CASES,
        delivery::CASES,
    ];
    let (long, others): (Vec<Case>, Vec<Case>) = transport::all()
        .chain(areas.into_iter().flatten().cloned())
        .chain(generated::all())
        .partition(|case| LONG.contains(&case.id().as_str()));
    long.into_iter().chain(others)
}

/// A further server of the same kind with settings of its own.
pub(crate) async fn launch(w: &World, settings: &[(&str, &str)]) -> Result<Launched, Stop> {
    w.launcher()?.launch(settings).await.map_err(inconclusive)
}

/// A server that a case may kill: the target itself where its operator says how, else a further one. A case that calls this must be
/// among those that run by themselves then, see [`Case::kills`].
pub(crate) async fn mortal(w: &World) -> Result<Mortal, Stop> {
    match Mortal::of_target(&w.target) {
        Some(target) => Ok(target),
        None => Ok(launch(w, &[]).await?.into()),
    }
}

/// A server on which a case may deactivate accounts.
async fn operated(w: &World) -> Result<Operated, Stop> {
    let own = match w.launcher() {
        Ok(launcher) => Some(launcher.launch(&[]).await.map_err(inconclusive)?),
        Err(_) => None,
    };
    Operated::new(own, &w.target).map_err(inconclusive)
}

/// Where to see a connection end that says nothing, and what must be kept until then. A server of ours may be less patient than the
/// contract allows, so that nobody has to wait for it; else it is the target as it is.
async fn impatient(w: &World) -> Result<(String, Option<Launched>), Stop> {
    match launch(w, &[("--socket-authenticate-within", "1s")]).await {
        Ok(server) => Ok((server.base.clone(), Some(server))),
        Err(Stop::NotApplicable(_)) => Ok((w.target.base.clone(), None)),
        Err(other) => Err(other),
    }
}

/// The newest messages of a conversation: what is refused must leave them as they were.
async fn newest_messages(user: &User, peer: &User) -> Result<Value, Stop> {
    let page = user.conversation(peer, "").await?;
    page.succeeded()?;
    Ok(page.body["items"].clone())
}

/// How long what was overtaken is waited for, when the order of events is judged.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// How much later than it happens something may be seen, and how often a machine may be too busy for that.
const LATENESS: Duration = Duration::from_secs(2);
const LATE_AT_MOST: usize = 3;

/// Judges that something comes within so long after `since`. Whatever takes time on the way makes it come later: when it does, it is
/// `begun_again`, and the quickest time counts.
async fn within<F>(
    w: &World,
    requirement: &'static Requirement,
    bound: Duration,
    first: Duration,
    begun_again: impl Fn() -> F,
) -> Outcome
where
    F: Future<Output = Result<Duration, Stop>>,
{
    let (latest, mut quickest) = (bound + LATENESS, first);
    for _ in 1..LATE_AT_MOST {
        if quickest <= latest {
            break;
        }
        quickest = quickest.min(begun_again().await?);
    }
    w.check(
        requirement,
        quickest <= latest,
        format!("within {} s", bound.as_secs()),
        format!("after {} ms at the soonest", quickest.as_millis()),
    );
    Ok(())
}

/// Of a list that is walked to its end: a server whose pages never end is not followed for ever.
const MOST_PAGES: usize = 1000;

fn endless() -> Stop {
    Stop::Inconclusive(format!(
        "a list has no end: {MOST_PAGES} pages, and one more is promised"
    ))
}

/// How long other nodes may take until they know of a status.
const NEWS_PATIENCE: Duration = Duration::from_secs(5);

/// The answer to `getUserStatus` that fits, or the last one. One node knows at once; of several, others hear of it a moment later.
async fn status_when(w: &World, viewer: &User, of: &User, fits: impl Fn(&Value) -> bool) -> Result<Value, Stop> {
    let began = Instant::now();
    loop {
        let shown = viewer.get(&format!("/api/users/{}/status", of.id)).await?.good()?.body;
        if fits(&shown) || w.target.nodes.len() == 1 || began.elapsed() > NEWS_PATIENCE {
            return Ok(shown);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether the contract knows an event of the server by this name.
fn is_known(event: &str) -> bool {
    ServerEvent::ALL.iter().any(|known| known.name() == event)
}

/// Whether it tells of somebody's presence, which others than chat partners may hear of too.
fn is_presence(event: &str) -> bool {
    ["user_online", "user_offline", "user_status_changed"].contains(&event)
}

fn inconclusive(error: LaunchError) -> Stop {
    match error {
        LaunchError::Unsupported(why) => Stop::NotApplicable(why),
        other => Stop::Inconclusive(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chat_spec::{Level, REQUIREMENTS};

    use super::*;
    use crate::ambient::EVERYWHERE;

    #[test]
    fn every_case_names_a_requirement() {
        let silent: Vec<String> = all()
            .filter(|case| case.requirements.is_empty())
            .map(|case| case.id())
            .collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    #[test]
    fn what_waits_long_starts_first() {
        let first: Vec<String> = all().take(LONG.len()).map(|case| case.id()).collect();
        let missing: Vec<&&str> = LONG.iter().filter(|id| !first.contains(&(**id).to_owned())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn no_two_cases_have_one_name() {
        let mut names = BTreeSet::new();
        let twice: Vec<String> = all()
            .map(|case| case.id())
            .filter(|id| !names.insert(id.clone()))
            .collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn every_must_and_should_has_a_case_or_a_reason_why_not() {
        let mut judged: BTreeSet<&str> = EVERYWHERE.iter().map(|requirement| requirement.id).collect();
        for case in all() {
            judged.extend(case.requirements.iter().map(|requirement| requirement.id));
        }
        for requirement in REQUIREMENTS
            .iter()
            .filter(|requirement| requirement.level != Level::May)
        {
            let has_case = judged.contains(requirement.id);
            let has_reason = requirement.untestable.is_some();
            assert!(has_case || has_reason, "{} has neither case nor reason", requirement.id);
            assert!(
                !(has_case && has_reason),
                "{} has a case, and a reason why there is none",
                requirement.id
            );
        }
    }
}
