//! What a server does not tell, or tells only those who ask afterwards.

use std::time::Duration;

use chat_loadtest::capacity::{Limit, Objective, Outcome as Held};
use chat_loadtest::latency::Kind;
use chat_loadtest::result::{Outcome, RunResult};
use chat_loadtest::run::Settings;
use chat_loadtest::scenario::Scenario;

use crate::server::{Faults, Statuses, Toy};
use crate::{loaded_as, settings};

/// A generator on a busy machine is late: where latency is not what is looked at, it may be.
const PATIENT: Objective = Objective {
    quantile: 0.99,
    below_ms: 10_000.0,
    errors: 0.001,
};

fn errors(result: &RunResult, kind: Kind, code: &str) -> u64 {
    let errors = result.latencies.get(&kind).map(|measured| &measured.errors);
    errors.and_then(|errors| errors.get(code)).copied().unwrap_or(0)
}

fn untold(result: &RunResult, kind: Kind) -> u64 {
    errors(result, kind, "NOT_TOLD")
}

fn unanswered(result: &RunResult, kind: Kind) -> u64 {
    errors(result, kind, "NO_ANSWER")
}

pub(crate) async fn what_is_found_in_the_history_alone_was_late() {
    let (from, to) = (Duration::from_millis(1000), Duration::from_millis(3000));
    let faults = Faults {
        cut: Some((from, to)),
        ..Faults::default()
    };
    for may_disconnect in [false, true] {
        let toy = Toy::start(faults).await;
        let asked = Settings {
            may_disconnect,
            late_after: Duration::from_millis(500),
            objective: if may_disconnect { Objective::default() } else { PATIENT },
            ..settings()
        };
        let result = loaded_as(&toy, asked, 200.0, 5).await;
        let ledger = &result.ledger;
        assert!(ledger.is_clean() && ledger.caught_up > 100, "{ledger:?}");
        let delivered = &result.latencies[&Kind::Deliver].summary;
        assert_eq!(delivered.count, ledger.told + ledger.caught_up, "{ledger:?}");
        // Whoever was cut off for 2 s had as much to send as to hear of, and of both most waited for longer than 500 ms.
        assert!(ledger.late > ledger.caught_up, "{ledger:?}");
        assert!(delivered.p90 > 500.0, "{delivered:?}");
        assert!(result.generator.disconnects >= 5, "{:?}", result.generator);
        match may_disconnect {
            false => {
                assert!(
                    result.lost_connections() >= 5,
                    "{:?}",
                    result.latencies[&Kind::Connect].errors
                );
                assert_eq!(
                    result.verdict.objective,
                    Held::Fails(Limit::Errors),
                    "{:?}",
                    result.verdict
                );
                assert_eq!(result.verdict.outcome, Outcome::Failed, "{:?}", result.verdict);
            }
            true => {
                assert_eq!(result.lost_connections(), 0);
                // Of five seconds it cannot be said surely; but it does not hold.
                assert_ne!(result.verdict.objective, Held::Holds, "{:?}", result.verdict);
            }
        }
    }
}

/// All are cut off while much is under way. All but one are back at once, and have it all from the history; the last one comes
/// when nothing else has come for long.
pub(crate) async fn whoever_comes_back_late_is_waited_for() {
    let toy = Toy::start(Faults {
        service: Some([Duration::from_millis(300); 2]),
        scatter: Some([1000, 1100, 5000].map(Duration::from_millis)),
        unreadable: 3,
        ..Faults::default()
    })
    .await;
    let asked = Settings {
        may_disconnect: true,
        ..settings()
    };
    let result = loaded_as(&toy, asked, 200.0, 1).await;
    let ledger = &result.ledger;
    assert!(ledger.is_clean() && ledger.caught_up > 20, "{ledger:?}");
    let caught_up = &result.latencies[&Kind::CatchUp];
    assert!(caught_up.summary.count >= 10, "{:?}", caught_up.summary);
    // What could not be read was read a moment later, and that is all that is asked where connections may break.
    assert!(caught_up.errors.is_empty(), "{:?}", caught_up.errors);
}

pub(crate) async fn what_never_comes_is_a_failure_of_its_kind() {
    let presence = || Settings {
        scenario: Scenario::Presence,
        weights: Scenario::Presence.weights(),
        objective: PATIENT,
        ..settings()
    };
    let toy = Toy::start(Faults {
        untyped: 9,
        statuses: Statuses::Overtaken,
        ..Faults::default()
    })
    .await;
    let result = loaded_as(&toy, presence(), 300.0, 3).await;
    let did = toy.did();
    assert!(did.untyped > 20 && did.told < did.statuses, "{did:?}");
    assert_eq!(untold(&result, Kind::Typing), did.untyped, "{did:?}");
    assert_eq!(untold(&result, Kind::Status), 0, "the last one was told: {did:?}");
    assert_eq!(
        result.verdict.objective,
        Held::Fails(Limit::Errors),
        "{:?}",
        result.verdict
    );

    let toy = Toy::start(Faults {
        statuses: Statuses::Untold,
        ..Faults::default()
    })
    .await;
    let asked = Settings {
        drain_within: Duration::from_secs(1),
        ..presence()
    };
    let result = loaded_as(&toy, asked, 300.0, 2).await;
    let did = toy.did();
    assert!(did.statuses > 50, "{did:?}");
    assert_eq!(
        (untold(&result, Kind::Status), untold(&result, Kind::Typing)),
        (did.statuses, 0)
    );

    let toy = Toy::start(Faults {
        unread: 7,
        ..Faults::default()
    })
    .await;
    let asked = Settings {
        read_every: 2,
        drain_within: Duration::from_secs(1),
        objective: PATIENT,
        ..settings()
    };
    let result = loaded_as(&toy, asked, 200.0, 2).await;
    let did = toy.did();
    assert!(did.unread > 20, "{did:?}");
    assert_eq!(
        untold(&result, Kind::Read),
        did.unread,
        "{:?}",
        result.latencies[&Kind::Read].errors
    );
    assert_eq!(
        result.latencies[&Kind::Read].summary.count + did.unread,
        200,
        "every other message was read"
    );
    assert!(result.ledger.is_clean(), "{:?}", result.ledger);
    assert_eq!(result.verdict.outcome, Outcome::Failed, "{:?}", result.verdict);
}

/// Events and calls that a server takes and says nothing of, now or ever.
pub(crate) async fn what_is_never_answered_is_a_failure_of_its_kind() {
    let deaf = |scenario: Scenario, every| async move {
        let toy = Toy::start(Faults {
            deaf: every,
            ..Faults::default()
        })
        .await;
        let asked = Settings {
            scenario,
            weights: scenario.weights(),
            read_every: 2,
            drain_within: Duration::from_secs(1),
            objective: PATIENT,
            ..settings()
        };
        let result = loaded_as(&toy, asked, 200.0, 2).await;
        let did = toy.did().deaf;
        assert!(did > 20, "{did}");
        assert_eq!(result.verdict.outcome, Outcome::Failed, "{:?}", result.verdict);
        (result, did)
    };
    let (result, did) = deaf(Scenario::Presence, 9).await;
    let of_both = |count: fn(&RunResult, Kind) -> u64| count(&result, Kind::Typing) + count(&result, Kind::Status);
    assert_eq!((of_both(unanswered), of_both(untold)), (did, 0), "each is said once");
    let (result, did) = deaf(Scenario::Dm, 7).await;
    assert_eq!((unanswered(&result, Kind::Read), untold(&result, Kind::Read)), (did, 0));
    let (result, did) = deaf(Scenario::LoginStorm, 9).await;
    assert_eq!(unanswered(&result, Kind::Login), did);
}
