//! `chat-server user`: what an operator does to accounts, beside a running server too.

use std::sync::Arc;

use chat_protocol::UserId;
use clap::{Arg, ArgMatches, Command};

use super::{Failure, Outcome, failed, runtime, say};
use crate::config::{Settings, Sources};
use crate::metrics::StoreMetrics;
use crate::store::mongo::MongoStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreResult, UserRecord};

const PAGE: usize = 100;

pub(super) fn command() -> Command {
    let who = || {
        Arg::new("user")
            .required(true)
            .help("The id, the username or the email address")
    };
    Command::new("user")
        .about("List, deactivate and activate accounts, beside a running server too")
        .subcommand_required(true)
        .subcommand(Command::new("list").about("Print every account: id, state, username, email, since when"))
        .subcommand(
            Command::new("deactivate")
                .about("End all sessions of an account and let nobody log in; a running server follows within 5 s")
                .arg(who()),
        )
        .subcommand(
            Command::new("activate")
                .about("Let the account log in again")
                .arg(who()),
        )
}

pub(super) fn perform(own: &ArgMatches, sources: &Sources) -> Outcome {
    let (dir, uri) = Settings::store(sources).map_err(|problems| Failure::Usage(problems.to_string()))?;
    runtime()?.block_on(async {
        let store: Arc<dyn Store> = match uri {
            Some(uri) => MongoStore::open(&uri.0, StoreMetrics::default())
                .await
                .map_err(failed)?,
            None => SqliteStore::open_beside(&dir).map_err(failed)?,
        };
        let done = match own.subcommand() {
            Some((name, own)) => {
                let who = own.try_get_one::<String>("user").ok().flatten();
                match who {
                    Some(who) => set_active(&store, who, name == "activate").await,
                    None => list(&store).await,
                }
            }
            None => Err(Failure::Usage("name a command: list, deactivate, activate".into())),
        };
        store.close().await;
        done
    })
}

async fn list(store: &Arc<dyn Store>) -> Outcome {
    let mut from = None;
    loop {
        let page = store.list_users(from.as_ref(), PAGE).await.map_err(failed)?;
        for user in page.items {
            let state = if user.active { "active" } else { "inactive" };
            let (id, name, email, since) = (user.id, user.username, user.email, user.created_at);
            say(&format!("{id}  {state:8}  {name:30}  {email}  {since}\n"))?;
        }
        from = page.next;
        if from.is_none() {
            return Ok(());
        }
    }
}

async fn set_active(store: &Arc<dyn Store>, who: &str, active: bool) -> Outcome {
    let Some(user) = find(store, who).await.map_err(failed)? else {
        return Err(Failure::Failed(format!("there is no user {who:?}")));
    };
    store.set_active(&user.id, active).await.map_err(failed)?;
    let state = if active { "active" } else { "inactive" };
    say(&format!("{} ({}) is {state}\n", user.username, user.id))
}

async fn find(store: &Arc<dyn Store>, who: &str) -> StoreResult<Option<UserRecord>> {
    if let Ok(id) = who.parse::<UserId>()
        && let Some(user) = store.user(&id).await?
    {
        return Ok(Some(user));
    }
    Ok(store.credentials(who).await?.map(|(user, _)| user))
}
