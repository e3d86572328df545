//! The store on MongoDB: for several nodes at once, each with a [`MongoStore`] of its own on the same database.
//!
//! `messages` is the truth. Everything else that is said about them follows behind: `chats` has the counters of unread and last
//! message, `searchRuns` what search needs. A reader on any node, also after a crash of the one that wrote, finds what is not there
//! yet: what has not been counted by `uncounted`, which the first message of each group carries, what has been counted and not
//! indexed by `waiting`, which its chat carries, and what has changed since it was indexed by its own `fresh`.

mod background;
mod behind;
mod call;
mod changes;
mod chats;
mod clock;
mod connect;
mod count;
mod counters;
mod group;
mod indexer;
pub mod legacy;
mod marker;
mod memory;
mod messages;
mod others;
mod presence;
mod read_state;
mod rebuild;
mod row;
mod schema;
mod search;
mod sessions;
#[cfg(test)]
mod tests;
mod transaction;
mod unanswered;
mod uncounted;
mod untold;
mod users;
mod writer;

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::{Client, Collection, Database};

use self::call::{CHECK, call, duplicate};
use self::clock::Clock;
use self::counters::Counters;
use self::indexer::{Backlog, Indexer};
use self::marker::Marker;
use self::unanswered::Unanswered;
use self::writer::Writer;
use super::{Store, StoreResult};
use crate::metrics::StoreMetrics;

/// One node's view of the database; see the module.
pub struct MongoStore {
    db: Db,
    writer: Writer,
    counters: Arc<Counters>,
    marker: Marker,
    indexer: Indexer,
    /// Refresh tokens, by session and number.
    spends: Unanswered<(String, u32)>,
    /// By message and sender.
    deletions: Unanswered<(ObjectId, ObjectId)>,
}

/// The database and its collections. Cheap to clone.
#[derive(Clone)]
struct Db {
    client: Client,
    database: Database,
    users: Collection<Document>,
    sessions: Collection<Document>,
    chats: Collection<Document>,
    messages: Collection<Document>,
    search: Collection<Document>,
    meta: Collection<Document>,
    clock: Arc<Clock>,
    /// Raised when what the writer remembers of users may be wrong.
    users_changed: Arc<AtomicU64>,
    closed: Arc<AtomicBool>,
}

impl MongoStore {
    /// Connects, brings the database to the newest version and starts what runs beside. An address that does not answer is an
    /// error within seconds.
    pub async fn open(uri: &str, metrics: StoreMetrics) -> StoreResult<Arc<Self>> {
        let db = connect::connect(uri).await?;
        schema::migrate(&db, schema::Legacy::Refuse).await?;
        Ok(Self::start(db, metrics))
    }

    fn start(db: Db, metrics: StoreMetrics) -> Arc<Self> {
        let backlog = Arc::new(Backlog::default());
        let counters = Counters::start(db.clone(), backlog.clone());
        let indexer = Indexer::start(db.clone(), counters.clone(), backlog.clone());
        let writer = Writer::start(db.clone(), metrics, counters.clone(), backlog);
        let marker = Marker::start(db.clone(), counters.clone());
        Arc::new(Self {
            db,
            writer,
            counters,
            marker,
            indexer,
            spends: Unanswered::new(),
            deletions: Unanswered::new(),
        })
    }

    /// Counts unread and last messages of every chat anew; how many chats were wrong.
    pub async fn rebuild_counters(&self) -> StoreResult<u64> {
        rebuild::rebuild(&self.db).await
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn check(&self) -> StoreResult<()> {
        self.db.open()?;
        // A write that must reach the journals of a majority says more than a ping.
        let set = doc! {"$set": {"at": DateTime::now()}};
        let write = self.db.meta.update_one(doc! {"_id": "check"}, set).upsert(true);
        let write = async {
            match write.await {
                // Another node has just made the document.
                Err(error) if duplicate(&error).is_some() => Ok(()),
                other => other.map(drop),
            }
        };
        call(CHECK, Box::pin(write)).await
    }

    async fn finish_sending(&self) {
        self.writer.close().await;
    }

    async fn close(&self) {
        self.writer.close().await;
        self.marker.close().await;
        self.indexer.close().await;
        // What could not be counted is found by its mark.
        if let Err(error) = self.counters.settle_all().await {
            tracing::warn!(%error, "counters are left to be made right by the next reader");
        }
        self.db.closed.store(true, std::sync::atomic::Ordering::Release);
        let shutdown = self.db.client.clone().shutdown().immediate(true).into_future();
        let _ = tokio::time::timeout(Duration::from_secs(1), shutdown).await;
    }

    fn queue_depth(&self) -> usize {
        self.writer.depth()
    }

    async fn search_caught_up(&self) -> StoreResult<()> {
        self.db.open()?;
        self.indexer.caught_up().await
    }
}
