//! `chat-server migrate`: what an operator does to a MongoDB as a whole.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};

use super::{Failure, Outcome, failed, runtime, say};
use crate::config::{Settings, Sources};
use crate::metrics::StoreMetrics;
use crate::store::Store as _;
use crate::store::mongo::{MongoStore, legacy};

pub(super) fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("migrate")
        .about("Adopt the database of the Express server, or repair counters; needs MONGODB_URI")
        .arg(flag(
            "from-legacy",
            "Adopt what the Express server wrote; back it up and stop its servers first. Can be repeated",
        ))
        .arg(flag(
            "rebuild-counters",
            "Count unread and last messages of every chat anew, beside running servers too",
        ))
        .group(
            ArgGroup::new("what")
                .args(["from-legacy", "rebuild-counters"])
                .required(true),
        )
}

pub(super) fn perform(own: &ArgMatches, sources: &Sources) -> Outcome {
    let (_, uri) = Settings::store(sources).map_err(|problems| Failure::Usage(problems.to_string()))?;
    let uri = uri.ok_or_else(|| Failure::Usage("MONGODB_URI is missing: it names the database to migrate".into()))?;
    runtime()?.block_on(async {
        if own.get_flag("from-legacy") {
            let done = legacy::adopt(&uri.0).await.map_err(failed)?;
            return say(&format!(
                "adopted {} users and {} messages; left out {}\n",
                done.users, done.messages, done.left_out
            ));
        }
        let store = MongoStore::open(&uri.0, StoreMetrics::default())
            .await
            .map_err(failed)?;
        let wrong = store.rebuild_counters().await.map_err(failed);
        store.close().await;
        say(&format!("corrected {} chats\n", wrong?))
    })
}
