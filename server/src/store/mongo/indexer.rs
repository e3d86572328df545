//! Fills the search index behind the write path.
//!
//! A message gets into `searchIndex` first and loses its `fresh` mark afterwards, so at any moment one of the two finds it.
//! Every node indexes what it wrote itself, and after a while what others left behind.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat_protocol::Timestamp;
use futures_util::TryStreamExt as _;
use futures_util::stream::TryChunksError;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::background::Background;
use super::connect::latest;
use super::counters::{Counters, update};
use super::{Db, clock, row, search};
use crate::store::{StoreError, StoreResult};

/// Messages that are indexed at once.
const BATCH: u32 = 500;
/// How long messages gather. Searches read what is not indexed, so nobody waits for it.
const GATHER: Duration = Duration::from_millis(300);
/// How often this node looks for what others left behind, and how old that is.
const SWEEP: Duration = Duration::from_secs(15);
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Messages whose marks are taken away at once: while it is done, a processor of the database does nothing else. The same holds
/// for an entry of the index, so these are written one by one.
const UNMARKED: usize = 50;
/// Between two pieces of work we rest so many times as long as it took, so that messages come first: a burst is written before it
/// is indexed.
const REST: u32 = 12;
/// So often when more than [`BEHIND`] messages wait: what is not indexed, searches read one by one.
const REST_BEHIND: u32 = 1;
const BEHIND: u64 = 50_000;
/// When nothing was written for so long, nobody is held up, and there are no rests.
const QUIET: Duration = Duration::from_millis(250);

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

/// How many messages were written and wait to be indexed, as far as this node knows, and when the last came.
pub(super) struct Backlog {
    messages: AtomicU64,
    began: Instant,
    /// In milliseconds since it began.
    last: AtomicU64,
    woken: Notify,
}

impl Default for Backlog {
    fn default() -> Self {
        Self {
            messages: AtomicU64::new(0),
            began: Instant::now(),
            last: AtomicU64::new(0),
            woken: Notify::new(),
        }
    }
}

impl Backlog {
    /// To be told after messages were stored, or have changed.
    pub(super) fn grew(&self, messages: usize) {
        self.messages
            .fetch_add(u64::try_from(messages).unwrap_or(0), Ordering::Relaxed);
        self.last.store(self.now(), Ordering::Relaxed);
        self.woken.notify_one();
    }

    fn shrank(&self, messages: usize) {
        let fewer = |known: u64| Some(known.saturating_sub(u64::try_from(messages).unwrap_or(u64::MAX)));
        // Never fails: the closure always has a value.
        let _ = self.messages.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_quiet(&self) -> bool {
        let since = self.now().saturating_sub(self.last.load(Ordering::Relaxed));
        u128::from(since) >= QUIET.as_millis()
    }

    fn rest(&self) -> u32 {
        if self.is_quiet() {
            0
        } else if self.messages.load(Ordering::Relaxed) > BEHIND {
            REST_BEHIND
        } else {
            REST
        }
    }
}

pub(super) struct Indexer {
    backlog: Arc<Backlog>,
    urgent: Arc<Notify>,
    wanted: Arc<Mutex<Wanted>>,
    finished: watch::Receiver<u64>,
    task: Background,
}

impl Indexer {
    pub(super) fn start(db: Db, counters: Arc<Counters>) -> Self {
        let (backlog, urgent) = (Arc::new(Backlog::default()), Arc::new(Notify::new()));
        let wanted = Arc::new(Mutex::new(Wanted::default()));
        let (done, finished) = watch::channel(0);
        let work = Work {
            db,
            counters,
            backlog: backlog.clone(),
            urgent: urgent.clone(),
            wanted: wanted.clone(),
            done,
        };
        Self {
            backlog,
            urgent,
            wanted,
            finished,
            task: Background::spawn(work.run()),
        }
    }

    pub(super) fn backlog(&self) -> Arc<Backlog> {
        self.backlog.clone()
    }

    /// A message has changed.
    pub(super) fn wake(&self) {
        self.backlog.grew(1);
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
        // Half a batch is no harm: it is found by its marks.
        self.task.close().await;
    }
}

struct Work {
    db: Db,
    counters: Arc<Counters>,
    backlog: Arc<Backlog>,
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
                    () = async { self.backlog.woken.notified().await; sleep(GATHER).await } => {}
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
                self.backlog.woken.notify_one();
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
        while self.walk(whose, urgent).await? > 0 {}
        Ok(())
    }

    /// Once through what is marked; how many messages there were. By one cursor: a new query for each batch would step over the
    /// marks that all earlier ones removed, which stay in the index for a while.
    async fn walk(&self, whose: Whose, urgent: bool) -> StoreResult<usize> {
        let find = self.db.messages.find(not_indexed(whose));
        let marked = self.db.call(find.batch_size(BATCH)).await?;
        let mut batches = marked.try_chunks(BATCH as usize);
        let mut walked = 0;
        loop {
            let began = Instant::now();
            let next = async { batches.try_next().await.map_err(|TryChunksError(_, error)| error) };
            let Some(batch) = self.db.call(Box::pin(next)).await? else {
                return Ok(walked);
            };
            self.rest(began, urgent).await;
            self.index(&batch, urgent).await?;
            walked += batch.len();
            self.backlog.shrank(batch.len());
        }
    }

    /// Between two pieces of work, of which this one began then.
    async fn rest(&self, began: Instant, urgent: bool) {
        if !urgent && self.asked().is_none() {
            sleep(began.elapsed() * self.backlog.rest()).await;
        }
    }

    /// Indexes these messages and takes their marks away, in pieces that are small enough to hold nobody up.
    async fn index(&self, found: &[Document], urgent: bool) -> StoreResult<()> {
        let db = &self.db;
        let mut newest: HashMap<ObjectId, i64> = HashMap::new();
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        let (mut unmark_new, mut unmark) = (Vec::new(), Vec::new());
        for message in found {
            let (id, chat) = (row::oid(message, "_id")?, row::oid(message, "chatId")?);
            let seq = newest.entry(chat).or_default();
            *seq = row::int(message, "seq")?.max(*seq);
            match message.get("rev") {
                None => {
                    unmark_new.push(id);
                    new.push(message);
                }
                Some(rev) => {
                    unmark.push(doc! {"q": {"_id": id, "rev": rev}, "u": {"$unset": {"fresh": 1}}});
                    if !renew(db, message).await? && message.get_datetime("deletedAt").is_err() {
                        changed.push(message);
                    }
                }
            }
        }
        // Made one by one, too: the thread that does it serves devices besides.
        for entry in search::entries(new.into_iter().chain(changed))? {
            let entry = entry?;
            let began = Instant::now();
            db.call(db.search.insert_one(entry)).await?;
            self.rest(began, urgent).await;
        }
        // The mark also says that a message may not be counted: it goes only afterwards.
        self.counters.flush().await?;
        self.counters.reach(newest).await?;
        for some in unmark_new.chunks(UNMARKED) {
            let began = Instant::now();
            let as_seen = doc! {"_id": {"$in": some}, "rev": {"$exists": false}};
            let unmarked = db.messages.update_many(as_seen, doc! {"$unset": {"fresh": 1}});
            db.call(unmarked).await?;
            self.rest(began, urgent).await;
        }
        update(db, "messages", unmark).await?;
        Ok(())
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

/// Makes the entries about a message that has changed what they should be; `false` when there are none.
async fn renew(db: &Db, message: &Document) -> StoreResult<bool> {
    let (id, chat) = (row::oid(message, "_id")?, row::oid(message, "chatId")?);
    let near = search::entries_near(row::oid(message, "sender")?, chat, row::int(message, "order")?);
    let look = async {
        let find = db.search.find(near).projection(doc! {"ids": 1, "rev": 1});
        find.read_concern(latest()).await?.try_collect::<Vec<Document>>().await
    };
    let mut entries = db.call(Box::pin(look)).await?;
    entries.retain(|entry| search::messages_of(entry).contains(&id));
    let (mut updates, mut empty) = (Vec::new(), Vec::new());
    for entry in &entries {
        // Read after the entry: whoever changes one of these later finds the entry as we leave it, or we find that it did.
        let living = doc! {"_id": {"$in": search::messages_of(entry)}, "deletedAt": Bson::Null};
        let find = db.messages.find(living).read_concern(latest());
        let look = async { find.await?.try_collect::<Vec<Document>>().await };
        let messages = db.call(Box::pin(look)).await?;
        if messages.is_empty() {
            empty.extend(entry.get("_id").cloned());
            continue;
        }
        let as_seen = doc! {"_id": entry.get("_id"), "rev": entry.get("rev").cloned().unwrap_or(Bson::Null)};
        let renewed = search::contents(messages.iter())?;
        updates.push(doc! {"q": as_seen, "u": {"$set": renewed, "$inc": {"rev": 1}}});
    }
    if !empty.is_empty() {
        db.call(db.search.delete_many(doc! {"_id": {"$in": empty}})).await?;
    }
    let wanted = i64::try_from(updates.len()).unwrap_or(i64::MAX);
    if update(db, "searchIndex", updates).await? < wanted {
        return Err(StoreError::Unavailable("another node changes the same messages".into()));
    }
    Ok(!entries.is_empty())
}
