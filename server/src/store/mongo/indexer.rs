//! Fills the search index behind the write path.
//!
//! A message is written to `searchIndex` first and loses its `fresh` mark afterwards, so at any moment one of the two finds it.
//! Every node indexes what it wrote itself, and after a while what others left behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat_protocol::Timestamp;
use futures_util::TryStreamExt as _;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::counters::{Counters, update};
use super::{Db, clock, row, search};
use crate::store::{StoreError, StoreResult};

/// Messages that are indexed at once.
const BATCH: i64 = 500;
/// How long messages gather. Searches read what is not indexed, so nobody waits for it.
const GATHER: Duration = Duration::from_millis(300);
/// How often this node looks for what others left behind, and how old that is.
const SWEEP: Duration = Duration::from_secs(15);
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Between two batches we rest so many times as long as the batch took, so that messages come first.
const REST: u32 = 3;

/// Which messages a round takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    /// Those of this node.
    Own(i64),
    /// Those before this position, which nobody else has taken up.
    Left(i64),
    All,
}

#[derive(Default)]
struct Wanted {
    /// Rounds over everything that were asked for.
    rounds: u64,
}

pub(super) struct Indexer {
    woken: Arc<Notify>,
    urgent: Arc<Notify>,
    wanted: Arc<Mutex<Wanted>>,
    finished: watch::Receiver<u64>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Indexer {
    pub(super) fn start(db: Db, counters: Arc<Counters>) -> Self {
        let (woken, urgent) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let wanted = Arc::new(Mutex::new(Wanted::default()));
        let (done, finished) = watch::channel(0);
        let work = Work {
            db,
            counters,
            woken: woken.clone(),
            urgent: urgent.clone(),
            wanted: wanted.clone(),
            done,
        };
        Self {
            woken,
            urgent,
            wanted,
            finished,
            task: Mutex::new(Some(tokio::spawn(work.run()))),
        }
    }

    /// To be notified after messages were stored.
    pub(super) fn waker(&self) -> Arc<Notify> {
        self.woken.clone()
    }

    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until a round over everything that began after this call has ended.
    pub(super) async fn caught_up(&self) -> StoreResult<()> {
        let target = {
            let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            wanted.rounds += 1;
            wanted.rounds
        };
        self.urgent.notify_one();
        let mut finished = self.finished.clone();
        let waited = finished.wait_for(|done| *done >= target).await;
        waited
            .map(|_| ())
            .map_err(|_| StoreError::Unavailable("the store is closed".into()))
    }

    pub(super) async fn close(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // Half a batch is no harm: it is found by its marks.
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

struct Work {
    db: Db,
    counters: Arc<Counters>,
    woken: Arc<Notify>,
    urgent: Arc<Notify>,
    wanted: Arc<Mutex<Wanted>>,
    done: watch::Sender<u64>,
}

impl Work {
    async fn run(self) {
        let own = Whose::Own(self.db.clock.node());
        let mut swept = Instant::now();
        loop {
            let _ = timeout(SWEEP, async {
                tokio::select! {
                    () = self.urgent.notified() => {}
                    () = async { self.woken.notified().await; sleep(GATHER).await } => {}
                }
            })
            .await;
            let mut result = match self.asked() {
                Some(target) => self.round(Whose::All, true).await.map(|()| {
                    self.done.send_replace(target);
                }),
                None => self.round(own, false).await,
            };
            if result.is_ok() && swept.elapsed() >= SWEEP {
                swept = Instant::now();
                let old = Timestamp::now().as_millis() - i64::try_from(SWEEP.as_millis()).unwrap_or(0);
                let left = Whose::Left(clock::before(Timestamp::from_millis(old)));
                result = self.round(left, false).await;
            }
            if let Err(error) = result {
                if self.db.open().is_err() {
                    return;
                }
                tracing::warn!(%error, "the search index is behind; searches read the messages themselves");
                sleep(RETRY).await;
                // Whoever waited still waits.
                self.woken.notify_one();
            }
            if self.asked().is_some() {
                self.urgent.notify_one();
            }
        }
    }

    /// The newest round over everything that was asked for and not done.
    fn asked(&self) -> Option<u64> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).rounds;
        (wanted > *self.done.borrow()).then_some(wanted)
    }

    async fn round(&self, whose: Whose, urgent: bool) -> StoreResult<()> {
        loop {
            let began = Instant::now();
            if !step(&self.db, &self.counters, whose).await? {
                return Ok(());
            }
            if !urgent && self.asked().is_none() {
                sleep(began.elapsed() * REST).await;
            }
        }
    }
}

/// The query for messages that are not indexed as they are.
pub(super) fn not_indexed(whose: Whose) -> Document {
    // Every id is at least this one, so the sparse index has all that carry the mark and nothing else.
    let mut filter = doc! {"fresh": {"$gte": ObjectId::from_bytes([0; 12])}};
    match whose {
        Whose::Own(node) => drop(filter.insert("order", doc! {"$mod": [clock::NODES, node]})),
        Whose::Left(position) => drop(filter.insert("order", doc! {"$lt": position})),
        Whose::All => {}
    }
    filter
}

/// Indexes the next messages; `false` when there were none.
async fn step(db: &Db, counters: &Counters, whose: Whose) -> StoreResult<bool> {
    let find = async {
        let found = db.messages.find(not_indexed(whose)).limit(BATCH).await?;
        found.try_collect::<Vec<Document>>().await
    };
    let found = db.call(Box::pin(find)).await?;
    if found.is_empty() {
        return Ok(false);
    }
    let mut newest: HashMap<ObjectId, i64> = HashMap::new();
    let (mut new, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let (mut unmark_new, mut unmark) = (Vec::new(), Vec::new());
    for message in &found {
        let (id, chat) = (row::oid(message, "_id")?, row::oid(message, "chatId")?);
        let seq = newest.entry(chat).or_default();
        *seq = row::int(message, "seq")?.max(*seq);
        match message.get("rev") {
            None => unmark_new.push(id),
            Some(rev) => unmark.push(doc! {"q": {"_id": id, "rev": rev}, "u": {"$unset": {"fresh": 1}}}),
        }
        if message.get_datetime("deletedAt").is_ok() {
            gone.push(id);
            continue;
        }
        let entry = search::entry(message)?;
        if message.contains_key("rev") {
            changed.push(replace(id, entry));
        } else {
            new.push(entry);
        }
    }
    insert(db, new).await?;
    update(db, "searchIndex", changed).await?;
    if !gone.is_empty() {
        db.call(db.search.delete_many(doc! {"_id": {"$in": gone}})).await?;
    }
    // The mark also says that a message may not be counted: it goes only afterwards.
    counters.flush().await?;
    counters.reach(newest).await?;
    if !unmark_new.is_empty() {
        let as_seen = doc! {"_id": {"$in": unmark_new}, "rev": {"$exists": false}};
        db.call(db.messages.update_many(as_seen, doc! {"$unset": {"fresh": 1}}))
            .await?;
    }
    update(db, "messages", unmark).await?;
    Ok(true)
}

/// Writes entries of which most are not there yet.
async fn insert(db: &Db, entries: Vec<Document>) -> StoreResult<()> {
    if entries.is_empty() {
        return Ok(());
    }
    match db.call(db.search.insert_many(&entries).ordered(false)).await {
        // Some were there: an earlier round was cut short, or another node did the same.
        Err(StoreError::Broken(_)) => {
            let replaced = entries.into_iter().filter_map(|entry| {
                let id = entry.get_object_id("_id").ok()?;
                Some(replace(id, entry))
            });
            update(db, "searchIndex", replaced.collect()).await.map(drop)
        }
        other => other.map(drop),
    }
}

fn replace(id: ObjectId, entry: Document) -> Document {
    doc! {"q": {"_id": id}, "u": entry, "upsert": Bson::Boolean(true)}
}
