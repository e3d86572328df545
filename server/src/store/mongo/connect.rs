//! The connection.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::Error;
use mongodb::options::{
    Acknowledgment, ClientOptions, ReadConcern, ReadPreference, ReturnDocument, SelectionCriteria, WriteConcern,
};

use super::Db;
use super::call::{LIMIT, call, duplicate, failure};
use super::clock::{Clock, NODES};
use crate::store::{StoreError, StoreResult};

/// The database when the address names none.
const DATABASE: &str = "chat";
/// How long a call looks for a primary, a connection is opened, and between two looks at the servers.
const SOON: Duration = Duration::from_secs(2);
const POOL: u32 = 64;

/// Connects and makes sure that a server answers that can do what we need.
pub(super) async fn connect(uri: &str) -> StoreResult<Db> {
    let parse = tokio::time::timeout(LIMIT, ClientOptions::parse(uri).into_future()).await;
    let parsed =
        parse.map_err(|_| StoreError::Unavailable("the name in MONGODB_URI was not resolved in time".into()))?;
    let mut options = parsed.map_err(|error| StoreError::Unavailable(format!("MONGODB_URI: {}", bare(&error, uri))))?;
    options.app_name.get_or_insert_with(|| "chat-server".into());
    options.server_selection_timeout = Some(SOON);
    options.connect_timeout = Some(SOON);
    options.heartbeat_freq = Some(SOON);
    options.max_pool_size = Some(POOL);
    options.min_pool_size = Some(1);
    options.retry_writes = Some(true);
    options.retry_reads = Some(true);
    // A secondary may not know yet what was acknowledged.
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.write_concern = Some(durable());
    // What is shown to anybody is durable, too: else a crash could take back what somebody has seen.
    options.read_concern = Some(ReadConcern::majority());
    let name = options.default_database.clone().unwrap_or_else(|| DATABASE.into());
    let hosts: Vec<_> = options.hosts.iter().map(ToString::to_string).collect();
    let client = Client::with_options(options).map_err(failure)?;
    let database = client.database(&name);
    let hello = call(LIMIT, database.run_command(doc! {"hello": 1}))
        .await
        .map_err(|error| {
            let at = hosts.join(", ");
            StoreError::Unavailable(format!(
                "no MongoDB answers at {at}: start it, or correct MONGODB_URI ({error})"
            ))
        })?;
    if !hello.contains_key("setName") && !hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") {
        return Err(StoreError::Broken(
            "this MongoDB is no replica set, which transactions need: start it with --replSet and call \
             rs.initiate() once; one member is enough"
                .into(),
        ));
    }
    let collection = |name: &str| database.collection::<Document>(name);
    let db = Db {
        users: collection("users"),
        sessions: collection("sessions"),
        chats: collection("chats"),
        messages: collection("messages"),
        search: collection("searchRuns"),
        meta: collection("chatServer"),
        clock: Arc::new(Clock::new(0)),
        users_changed: Arc::default(),
        closed: Arc::default(),
        client,
        database,
    };
    let clock = Arc::new(Clock::new(node_number(&db).await?));
    Ok(Db { clock, ..db })
}

/// On the journals of a majority before it is reported as done.
pub(super) fn durable() -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .build()
}

/// What is there now, durable or not: for deciding what to write next. It is not to be shown or counted before that is durable.
pub(super) fn latest() -> ReadConcern {
    ReadConcern::local()
}

/// The next of the numbers that tell nodes apart. It takes thousands of starts until one comes again.
async fn node_number(db: &Db) -> StoreResult<i64> {
    for _ in 0..5 {
        let update = db
            .meta
            .find_one_and_update(doc! {"_id": "nodes"}, doc! {"$inc": {"started": 1_i64}})
            .upsert(true)
            .return_document(ReturnDocument::After);
        match update.await {
            Ok(found) => {
                let started = found.and_then(|found| found.get_i64("started").ok()).unwrap_or(0);
                return Ok(started % NODES);
            }
            // Two nodes made the document at the same time.
            Err(error) if duplicate(&error).is_some() => {}
            Err(error) => return Err(failure(error)),
        }
    }
    Err(StoreError::Unavailable("no number could be had for this node".into()))
}

/// The error without the user and password of the address.
fn bare(error: &Error, uri: &str) -> String {
    let text = error.kind.to_string();
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    match rest.rsplit_once('@') {
        Some((secret, _)) => {
            let mut text = text.replace(secret, "…");
            for part in secret.split(':').filter(|part| !part.is_empty()) {
                text = text.replace(part, "…");
            }
            text
        }
        None => text,
    }
}
