//! What a chat says of its messages: the last one, and how many are unread.
//!
//! A chat has counted its messages up to `lastSeq`. Counting on is one update that takes effect only on a chat that still is
//! where the count began, so it may be tried twice, by two nodes too, and is done once. Messages above `lastSeq` can be
//! read only when or after they are counted, and deleted only afterwards, so counting needs nothing but who received them.
//!
//! Until then the first message of the group that they were stored with says of them, as `uncounted`, in which chats they are, up to
//! which seq, and whose. A mark on each message would say the same, and cost another write for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_protocol::Message;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use tokio::sync::Notify;

use super::behind::reach;
use super::count::{Count, Unread};
use super::indexer::Backlog;
use super::{Db, row, uncounted};
use crate::store::{StoreError, StoreResult};

/// How long counts gather, so that a busy chat is written now and then and not for each message. Readers do not wait for it:
/// they count what has gathered of them first.
const GATHER: Duration = Duration::from_millis(250);
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Chats that are counted in one go where what there is to count has gathered: read marks wait for it.
const FLUSHED: usize = 100;

/// What has gathered of each chat; `None`: what is not counted has to be looked for.
pub(super) type Gathered = HashMap<ObjectId, Option<Count>>;

#[derive(Default)]
struct Waiting {
    chats: Gathered,
    /// The first messages of the groups whose messages are among these.
    firsts: Vec<ObjectId>,
    /// Of groups all of whose messages are counted: their marks can go.
    counted: Vec<ObjectId>,
}

pub(super) struct Counters {
    db: Db,
    waiting: Mutex<Waiting>,
    /// Held while counts are written, so that whoever has it knows that nobody else has any.
    writing: tokio::sync::Mutex<()>,
    asked: Notify,
    /// What is counted can be indexed.
    indexer: Arc<Backlog>,
}

impl Counters {
    /// Counts when it is told to.
    pub(super) fn new(db: Db, indexer: Arc<Backlog>) -> Self {
        Self {
            db,
            waiting: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            asked: Notify::new(),
            indexer,
        }
    }

    /// Counts now and then.
    pub(super) fn start(db: Db, indexer: Arc<Backlog>) -> Arc<Self> {
        let counters = Arc::new(Self::new(db, indexer));
        let weak = Arc::downgrade(&counters);
        tokio::spawn(async move {
            loop {
                let Some(counters) = weak.upgrade() else { return };
                // Wakes now and then to see whether the store is still there.
                let _ = tokio::time::timeout(RETRY, counters.asked.notified()).await;
                tokio::time::sleep(GATHER).await;
                if let Err(error) = counters.settle_all().await {
                    if counters.db.open().is_err() {
                        return;
                    }
                    tracing::warn!(%error, "counters are behind; readers count for themselves");
                    tokio::time::sleep(RETRY).await;
                }
            }
        });
        counters
    }

    /// Takes notice of stored messages, in the order of seq. The first of them carries the mark of its group, if all that the mark
    /// speaks of and that is stored is among these.
    pub(super) fn add<'m>(&self, first: Option<ObjectId>, messages: impl Iterator<Item = &'m (Message, i64)>) {
        let mut waiting = self.lock();
        waiting.firsts.extend(first);
        for (message, order) in messages {
            let (Some(chat), Some(id)) = (row::object_id(&message.chat_id), row::object_id(&message.id)) else {
                continue;
            };
            let seq = message.seq.and_then(|seq| i64::try_from(seq).ok()).unwrap_or(0);
            let begin = || Some(Count::before(message, id, seq));
            let known = waiting.chats.entry(chat).or_insert_with(begin);
            let follows = known.as_mut().is_some_and(|count| count.add(message, id, seq, *order));
            if !follows {
                // Another node wrote between.
                *known = None;
            }
        }
        drop(waiting);
        self.asked.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts everything that has gathered, and whether there was anything. Afterwards this node's messages are counted.
    pub(super) async fn flush(&self) -> StoreResult<bool> {
        let (all, firsts) = {
            let mut held = self.hold().await;
            let all: Vec<ObjectId> = held.gathered.keys().copied().collect();
            (all, std::mem::take(&mut held.firsts))
        };
        let any = !(all.is_empty() && firsts.is_empty());
        for some in all.chunks(FLUSHED) {
            if let Err(error) = self.flush_some(some).await {
                self.lock().firsts.extend(firsts);
                return Err(error);
            }
        }
        self.lock().counted.extend(firsts);
        Ok(any)
    }

    /// Counts what has gathered of these chats. Whoever waits to count something else comes next.
    async fn flush_some(&self, chats: &[ObjectId]) -> StoreResult<()> {
        let held = self.hold().await;
        let of = |chat: &ObjectId| Some((*chat, held.gathered.get(chat)?.clone()));
        let some = chats.iter().filter_map(of).collect();
        self.write_held(held, some).await
    }

    async fn write_held(&self, mut held: Held<'_>, some: Gathered) -> StoreResult<()> {
        if !some.is_empty() {
            self.write(&some).await?;
            some.keys().for_each(|chat| held.counted(chat));
        }
        Ok(())
    }

    /// Counts what has gathered and takes the marks away that said so.
    pub(super) async fn settle_all(&self) -> StoreResult<()> {
        if self.flush().await? {
            // It can be indexed now.
            self.indexer.wake();
        }
        let counted = std::mem::take(&mut self.lock().counted);
        let unmarked = uncounted::unmark(&self.db, &counted).await;
        if unmarked.is_err() {
            self.lock().counted.extend(counted);
        }
        unmarked
    }

    /// Takes what has gathered, for somebody who counts it together with another change of the same chats.
    pub(super) async fn hold(&self) -> Held<'_> {
        let writing = self.writing.lock().await;
        let mut waiting = self.lock();
        Held {
            counters: self,
            gathered: Arc::new(std::mem::take(&mut waiting.chats)),
            firsts: std::mem::take(&mut waiting.firsts),
            _writing: writing,
        }
    }

    fn put_back(&self, mut older: Gathered, firsts: Vec<ObjectId>) {
        if older.is_empty() && firsts.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        for (chat, newer) in waiting.chats.drain() {
            let both = match older.remove(&chat) {
                None => newer,
                Some(older) => older.zip(newer).and_then(|(older, newer)| older.and(newer)),
            };
            older.insert(chat, both);
        }
        waiting.chats = older;
        waiting.firsts.extend(firsts);
        drop(waiting);
        self.asked.notify_one();
    }

    async fn write(&self, counts: &Gathered) -> StoreResult<()> {
        let known = counts.iter().filter_map(|(chat, count)| Some((chat, count.as_ref()?)));
        let nothing = Unread::new();
        let updates: Vec<Document> = known.map(|(chat, count)| count.update(*chat, &nothing)).collect();
        let wanted = i64::try_from(updates.len()).unwrap_or(i64::MAX);
        let matched = update(&self.db, "chats", updates).await?;
        // What did not match, another node has counted or has written between: a look tells which.
        let unsure = counts.iter().filter(|(_, count)| count.is_none() || matched < wanted);
        let unsure = unsure.map(|(chat, count)| (*chat, count.as_ref().map_or(i64::MAX, Count::to)));
        self.reach(unsure.collect()).await
    }

    /// Counts what any node wrote in the chats of this user, and in those that have to be looked for.
    pub(super) async fn settle(&self, user: ObjectId) -> StoreResult<()> {
        let held = self.hold().await;
        let theirs = |count: &Option<Count>| count.as_ref().is_none_or(|count| count.is_of(user));
        let of_user = held.gathered.iter().filter(|(_, count)| theirs(count));
        let of_user = of_user.map(|(chat, count)| (*chat, count.clone())).collect();
        self.write_held(held, of_user).await?;
        let said = uncounted::find(&self.db, uncounted::of(user)).await?;
        reach(&self.db, said.chats, doc! {"participants": user}).await
    }

    /// Counts what nobody has counted of groups that were stored before this position.
    pub(super) async fn settle_left(&self, position: i64) -> StoreResult<()> {
        let said = uncounted::find(&self.db, uncounted::before(position)).await?;
        self.reach(said.chats).await?;
        uncounted::unmark(&self.db, &said.firsts).await
    }

    /// Counts these chats at least up to these seqs.
    pub(super) async fn reach(&self, newest: HashMap<ObjectId, i64>) -> StoreResult<()> {
        reach(&self.db, newest, Document::new()).await
    }
}

/// What had gathered, in the hands of whoever counts it. This node counts nothing else as long as it lives, since two at the same
/// chat would be in each other's way. What nobody said was [counted](Held::counted) waits on when it is dropped: counting twice does
/// nothing.
pub(super) struct Held<'c> {
    counters: &'c Counters,
    gathered: Arc<Gathered>,
    firsts: Vec<ObjectId>,
    _writing: tokio::sync::MutexGuard<'c, ()>,
}

impl Held<'_> {
    pub(super) fn gathered(&self) -> Arc<Gathered> {
        self.gathered.clone()
    }

    /// What had gathered of this chat does not follow what it has counted, or is not all.
    pub(super) fn doubt(&mut self, chat: ObjectId) {
        Arc::make_mut(&mut self.gathered).insert(chat, None);
    }

    /// What had gathered of this chat has been counted.
    pub(super) fn counted(&mut self, chat: &ObjectId) {
        Arc::make_mut(&mut self.gathered).remove(chat);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.gathered);
        let firsts = std::mem::take(&mut self.firsts);
        self.counters.put_back(Arc::unwrap_or_clone(left), firsts);
    }
}

/// Several updates in one call; how many documents they met.
pub(super) async fn update(db: &Db, collection: &str, updates: Vec<Document>) -> StoreResult<i64> {
    if updates.is_empty() {
        return Ok(0);
    }
    let command = doc! {
        "update": collection, "updates": updates, "ordered": false, "writeConcern": {"w": "majority", "j": true},
    };
    let done = db.call(db.database.run_command(command)).await?;
    if done.contains_key("writeErrors") || done.contains_key("writeConcernError") {
        return Err(StoreError::Unavailable(
            "MongoDB took a part of some updates only".into(),
        ));
    }
    row::int(&done, "n")
}
