//! Fills the search index behind the write path.
//!
//! A chat is indexed up to a seq, which it says itself: what follows gets into `searchRuns` first, and then the chat says so, unless
//! somebody else was faster. So at any moment one of the two finds it. Every node indexes the chats that it was the last to write
//! to, and after a while what others left behind. Where much is written a chat is come to less often, and more of its messages share
//! an entry: what is behind costs less to catch up with.
//!
//! A message that changes afterwards carries `fresh` until the entries about it are what they should be.

use std::collections::{HashMap, HashSet};
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

/// Chats that are read at once, and changed messages.
const BATCH: u32 = 500;
/// How long messages gather. Searches read what is not indexed, so nobody waits for it.
const GATHER: Duration = Duration::from_millis(300);
/// How often this node looks for what others left behind, and how old that is.
const SWEEP: Duration = Duration::from_secs(15);
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Between two pieces of work we rest so many times as long as it took, so that messages come first: a burst is written before it
/// is indexed.
const REST: u64 = 12;
/// The more messages wait the less we rest, and when so many do no longer than we work: what is not indexed, searches read one by one.
/// Where many chats wait it is half an entry of each, for the index costs least where entries are full.
const BEHIND: u64 = 50_000;
/// When nothing was written for so long, nobody is held up, and there are no rests.
const QUIET: Duration = Duration::from_millis(250);

/// Which chats and changed messages a round takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    /// That this node wrote, or wrote to last.
    Own(i64),
    /// From before this position, which nobody else has taken up.
    Left(i64),
    All,
}

#[derive(Default)]
struct Wanted {
    /// Rounds over everything that were asked for.
    rounds: u64,
}

/// How many messages were written and wait to be indexed, as far as this node knows, in how many chats, and when the last came.
pub(super) struct Backlog {
    messages: AtomicU64,
    chats: AtomicU64,
    began: Instant,
    /// In milliseconds since it began.
    last: AtomicU64,
    woken: Notify,
}

impl Default for Backlog {
    fn default() -> Self {
        Self {
            messages: AtomicU64::new(0),
            chats: AtomicU64::new(0),
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
    }

    /// There is something that can be indexed.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Nothing of what this node wrote waits: what it thought so, others indexed, or was never stored.
    fn ended(&self) {
        self.messages.store(0, Ordering::Relaxed);
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
            return 0;
        }
        let full = u64::try_from(search::SHARED).unwrap_or(0) / 2;
        let behind = BEHIND.max(self.chats.load(Ordering::Relaxed) * full);
        let waiting = self.messages.load(Ordering::Relaxed).max(1);
        u32::try_from((behind / waiting).clamp(1, REST)).unwrap_or(1)
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
    pub(super) fn start(db: Db, counters: Arc<Counters>, backlog: Arc<Backlog>) -> Self {
        let urgent = Arc::new(Notify::new());
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

    /// A message has changed.
    pub(super) fn wake(&self) {
        self.backlog.grew(1);
        self.backlog.wake();
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
        // Half a batch is no harm: its chat does not say that it is indexed.
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
        // Only what is counted waits to be indexed.
        match whose {
            Whose::Own(_) => {}
            Whose::Left(position) => self.counters.settle_left(position).await?,
            Whose::All => {
                self.counters.flush().await?;
                self.counters.settle_left(i64::MAX).await?;
            }
        }
        let walked = self.walk_chats(whose, urgent).await? + self.walk_changed(whose, urgent).await?;
        match whose {
            // More may have come meanwhile.
            _ if walked > 0 => self.backlog.wake(),
            Whose::Own(_) => self.backlog.ended(),
            Whose::Left(_) | Whose::All => {}
        }
        Ok(())
    }

    /// Once through the chats that wait; how many messages were indexed.
    async fn walk_chats(&self, whose: Whose, urgent: bool) -> StoreResult<usize> {
        let find = self.db.chats.find(waiting(whose)).projection(doc! {"_id": 1});
        let mut chats = self.db.call(find.batch_size(BATCH)).await?;
        let (mut walked, mut seen) = (0, 0);
        loop {
            let next = async { chats.try_next().await };
            let Some(chat) = self.db.call(Box::pin(next)).await? else {
                self.backlog.chats.store(seen, Ordering::Relaxed);
                return Ok(walked);
            };
            seen += 1;
            self.backlog.chats.fetch_max(seen, Ordering::Relaxed);
            walked += self.follow(row::oid(&chat, "_id")?, urgent).await?;
        }
    }

    /// Indexes what follows in this chat, an entry of it, and on while there is enough for another; how many messages that were.
    async fn follow(&self, chat: ObjectId, urgent: bool) -> StoreResult<usize> {
        let db = &self.db;
        let mut followed = 0;
        loop {
            let began = Instant::now();
            let known = db
                .chats
                .find_one(doc! {"_id": chat})
                .projection(doc! {"indexed": 1, "lastSeq": 1});
            let known = db.call(known).await?.unwrap_or_default();
            let of = |key: &str| row::int(&known, key).unwrap_or(0);
            let (indexed, counted) = (of("indexed"), of("lastSeq"));
            let left = usize::try_from(counted - indexed).unwrap_or(0);
            // What is left when something was indexed shares an entry with what is still to come.
            if followed > 0 && (left == 0 || left < search::SHARED && !urgent && !self.backlog.is_quiet()) {
                return Ok(followed);
            }
            let find = db.messages.find(between(chat, indexed, counted)).sort(doc! {"seq": 1});
            let find = find
                .projection(search::indexed_fields())
                .limit(i64::try_from(search::SHARED).unwrap_or(i64::MAX));
            let found = db.all(find).await?;
            let some = &found[..search::fitting(&found)?];
            let to = some
                .last()
                .map_or(Ok(counted.max(indexed)), |newest| row::int(newest, "seq"))?;
            let mut made = None;
            if let Some(entry) = search::entry(some)? {
                made = Some(db.call(db.search.insert_one(entry)).await?.inserted_id);
            }
            let (still_there, says) = indexed_to(chat, indexed, to);
            if db.call(db.chats.update_one(still_there, says)).await?.matched_count > 0 {
                followed += some.len();
                self.backlog.shrank(some.len());
            } else if let Some(twice) = made {
                // Another node has indexed these.
                db.call(db.search.delete_one(doc! {"_id": twice})).await?;
            }
            self.rest(began, urgent).await;
            if some.is_empty() {
                return Ok(followed);
            }
        }
    }

    /// Once through what has changed; how many messages there were. By one cursor: a new query for each batch would step over the
    /// marks that all earlier ones removed, which stay in the index for a while.
    async fn walk_changed(&self, whose: Whose, urgent: bool) -> StoreResult<usize> {
        let find = self.db.messages.find(changed(whose));
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
            walked += self.index_anew(&batch, urgent).await?;
        }
    }

    /// Between two pieces of work, of which this one began then.
    async fn rest(&self, began: Instant, urgent: bool) {
        if !urgent && self.asked().is_none() {
            sleep(began.elapsed() * self.backlog.rest()).await;
        }
    }

    /// Makes the entries about these what they should be and takes their marks away; how many.
    async fn index_anew(&self, marked: &[Document], urgent: bool) -> StoreResult<usize> {
        let db = &self.db;
        let indexed = self.indexed(marked).await?;
        let (mut entries, mut unmark) = (HashMap::new(), Vec::new());
        for message in marked {
            let (id, chat, seq) = (
                row::oid(message, "_id")?,
                row::oid(message, "chatId")?,
                row::int(message, "seq")?,
            );
            if indexed.get(&chat).is_some_and(|indexed| seq > *indexed) {
                // Whoever indexes its chat may have read it before it changed: only afterwards we see what came of it.
                continue;
            }
            let find = db.search.find(search::about(chat, seq)).read_concern(latest());
            let find = find.projection(doc! {"chatId": 1, "from": 1, "to": 1, "rev": 1});
            for entry in db.all(find).await? {
                entries.insert(row::oid(&entry, "_id")?, entry);
            }
            let never = || Bson::from(doc! {"$exists": false});
            let as_seen = message.get("rev").cloned().unwrap_or_else(never);
            unmark.push(doc! {"q": {"_id": id, "rev": as_seen}, "u": {"$unset": {"fresh": 1}}});
        }
        for entry in entries.values() {
            let began = Instant::now();
            renew(db, entry).await?;
            self.rest(began, urgent).await;
        }
        let anew = unmark.len();
        update(db, "messages", unmark).await?;
        self.backlog.shrank(anew);
        Ok(anew)
    }

    /// Up to where the chats of these messages are indexed.
    async fn indexed(&self, messages: &[Document]) -> StoreResult<HashMap<ObjectId, i64>> {
        let chats: HashSet<ObjectId> = messages
            .iter()
            .filter_map(|message| message.get_object_id("chatId").ok())
            .collect();
        let chats: Vec<ObjectId> = chats.into_iter().collect();
        let find = self.db.chats.find(doc! {"_id": {"$in": chats}});
        let found = self.db.all(find.projection(doc! {"indexed": 1})).await?;
        let of = |chat: &Document| Ok((row::oid(chat, "_id")?, row::int(chat, "indexed").unwrap_or(0)));
        found.iter().map(of).collect()
    }
}

fn of(mut marked: Document, whose: Whose) -> Document {
    match whose {
        Whose::Own(node) => drop(marked.insert("order", doc! {"$mod": [clock::NODES, node]})),
        Whose::Left(position) => drop(marked.insert("order", doc! {"$lt": position})),
        Whose::All => {}
    }
    marked
}

/// The query for chats that wait to be indexed.
pub(super) fn waiting(whose: Whose) -> Document {
    of(doc! {"waiting": row::any_id()}, whose)
}

/// The query for messages that are not indexed as they are.
pub(super) fn changed(whose: Whose) -> Document {
    of(doc! {"fresh": row::any_id()}, whose)
}

/// The query for the messages of a chat after one seq and up to another.
pub(super) fn between(chat: ObjectId, indexed: i64, counted: i64) -> Document {
    doc! {"chatId": chat, "seq": {"$gt": indexed, "$lte": counted}}
}

/// Says that a chat that was indexed up to one seq now is up to another, and whether that is all it has counted.
fn indexed_to(chat: ObjectId, from: i64, to: i64) -> (Document, Vec<Document>) {
    // One of somebody else's may have nothing there.
    let still = if from == 0 {
        doc! {"$in": [0_i64, Bson::Null]}
    } else {
        doc! {"$eq": from}
    };
    let waits = doc! {"$cond": [{"$lte": ["$lastSeq", to]}, "$$REMOVE", "$waiting"]};
    (
        doc! {"_id": chat, "indexed": still},
        vec![doc! {"$set": {"indexed": to, "waiting": waits}}],
    )
}

/// Makes an entry what it should be.
async fn renew(db: &Db, entry: &Document) -> StoreResult<()> {
    // Read after the entry: whoever changes one of these later finds the entry as we leave it, or we find that it did.
    let find = db.messages.find(search::messages_of(entry)?).read_concern(latest());
    let messages = db.all(find).await?;
    let Some(tokens) = search::tokens(&row::oid(entry, "chatId")?, row::int(entry, "from")?, &messages) else {
        // Nothing of it is left, and nothing comes back.
        return db
            .call(db.search.delete_one(doc! {"_id": entry.get("_id")}))
            .await
            .map(drop);
    };
    let as_seen = doc! {"_id": entry.get("_id"), "rev": entry.get("rev").cloned().unwrap_or(Bson::Null)};
    let renewed = doc! {"$set": {"tokens": tokens}, "$inc": {"rev": 1}};
    if db.call(db.search.update_one(as_seen, renewed)).await?.matched_count == 0 {
        return Err(StoreError::Unavailable("another node changes the same messages".into()));
    }
    Ok(())
}
