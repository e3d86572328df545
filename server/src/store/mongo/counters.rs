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
use futures_util::future::try_join_all;
use futures_util::{FutureExt as _, TryStreamExt as _};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use tokio::sync::Notify;

use super::indexer::Backlog;
use super::transaction::Step;
use super::{Db, chats, row, uncounted};
use crate::store::{StoreError, StoreResult};

/// How long counts gather, so that a busy chat is written now and then and not for each message. Readers do not wait for it:
/// they count what has gathered of them first.
const GATHER: Duration = Duration::from_millis(250);
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Messages that are counted at once where they have to be looked for.
const BATCH: i64 = 1000;
/// Chats that are counted in one go where what there is to count has gathered: read marks wait for it.
const FLUSHED: usize = 100;
/// Chats that are looked through at the same time.
const AT_ONCE: usize = 16;
/// A chat that moves under our hands this often is being counted by others.
const TRIES: usize = 50;

/// Messages of one chat without a gap, to be counted.
#[derive(Debug, Clone)]
pub(super) struct Count {
    from: i64,
    to: i64,
    last: ObjectId,
    order: i64,
    at: DateTime,
    unread: Unread,
    /// Whose chat it is.
    users: Vec<ObjectId>,
}

/// So many messages more, or fewer, for each user.
pub(super) type Unread = HashMap<String, i64>;

impl Count {
    /// Whether it can be counted on a chat that has counted up to this seq.
    pub(super) fn follows(&self, counted: i64) -> bool {
        self.from == counted + 1
    }

    /// The seq up to which the chat has then counted.
    pub(super) fn to(&self) -> i64 {
        self.to
    }

    /// The update that counts it, and besides adds to the counters of unread messages, by user.
    pub(super) fn update(&self, chat: ObjectId, unread: &Unread) -> Document {
        doc! {"q": place(chat, self), "u": change(self, unread)}
    }

    /// Both together; `None` when something is missing in between.
    fn and(mut self, newer: Self) -> Option<Self> {
        if !newer.follows(self.to) {
            return None;
        }
        for (user, number) in newer.unread {
            *self.unread.entry(user).or_default() += number;
        }
        let unread = self.unread;
        Some(Self {
            from: self.from,
            unread,
            ..newer
        })
    }
}

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
            let known = waiting.chats.entry(chat).or_insert_with(|| {
                Some(Count {
                    from: seq,
                    to: seq - 1,
                    last: id,
                    order: 0,
                    at: DateTime::from_millis(0),
                    unread: HashMap::new(),
                    users: chats::sorted([&message.sender, &message.receiver]),
                })
            });
            match known {
                Some(count) if count.to + 1 == seq => {
                    count.to = seq;
                    count.last = id;
                    count.order = *order;
                    count.at = row::date(message.timestamp);
                    *count.unread.entry(message.receiver.to_string()).or_default() += 1;
                    if fault!(UnreadCountsOwn) {
                        *count.unread.entry(message.sender.to_string()).or_default() += 1;
                    }
                }
                // Another node wrote between.
                other => *other = None,
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
        let unsure = unsure.map(|(chat, count)| (*chat, count.as_ref().map_or(i64::MAX, |count| count.to)));
        self.reach(unsure.collect()).await
    }

    /// Counts what any node wrote in the chats of this user, and in those that have to be looked for.
    pub(super) async fn settle(&self, user: ObjectId) -> StoreResult<()> {
        let held = self.hold().await;
        let theirs = |count: &Option<Count>| count.as_ref().is_none_or(|count| count.users.contains(&user));
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

    /// What had gathered of this chat does not follow what it has counted.
    pub(super) fn doubt(&mut self, chat: &ObjectId) {
        if let Some(count) = Arc::make_mut(&mut self.gathered).get_mut(chat) {
            *count = None;
        }
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

fn place(chat: ObjectId, count: &Count) -> Document {
    doc! {"_id": chat, "lastSeq": count.from - 1}
}

/// What counting changes, and these counters besides.
fn change(count: &Count, unread: &Unread) -> Document {
    let mut more = count.unread.clone();
    for (user, number) in unread {
        *more.entry(user.clone()).or_default() += number;
    }
    doc! {
        "$set": {
            "lastSeq": count.to, "order": count.order, "lastMessage": count.last, "lastActivity": count.at,
            // Until the index has what was counted.
            "waiting": &count.users,
        },
        "$inc": fields(&more),
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

/// Counts those of these chats that the query has, at least up to these seqs.
pub(super) async fn reach(db: &Db, newest: HashMap<ObjectId, i64>, mut chats: Document) -> StoreResult<()> {
    if newest.is_empty() {
        return Ok(());
    }
    let ids: Vec<ObjectId> = newest.keys().copied().collect();
    chats.insert("_id", doc! {"$in": ids});
    let find = db.chats.find(chats).projection(doc! {"lastSeq": 1});
    let mut behind = Vec::new();
    for chat in db.all(find).await? {
        let id = row::oid(&chat, "_id")?;
        if row::int(&chat, "lastSeq").unwrap_or(0) < newest.get(&id).copied().unwrap_or(0) {
            behind.push(id);
        }
    }
    // Where nodes write to the same chats by turns, these are most chats, and readers wait.
    for some in behind.chunks(AT_ONCE) {
        try_join_all(some.iter().map(|chat| count_on(db, *chat))).await?;
    }
    Ok(())
}

/// The messages of a chat above a seq.
pub(super) fn above(chat: ObjectId, seq: i64) -> Document {
    doc! {"chatId": chat, "seq": {"$gt": seq}}
}

/// Counts a chat up to its newest message. When this returns, that is durable and every transaction sees it, whoever counted.
pub(super) async fn count_on(db: &Db, chat: ObjectId) -> StoreResult<()> {
    for _ in 0..TRIES {
        let Some(known) = db.call(db.chats.find_one(doc! {"_id": chat})).await? else {
            return Ok(());
        };
        let from = row::int(&known, "lastSeq").unwrap_or(0);
        let find = db.messages.find(above(chat, from)).sort(doc! {"seq": 1}).limit(BATCH);
        let find = find.projection(doc! {"seq": 1, "order": 1, "receiver": 1, "timestamp": 1});
        let new = db.all(find).await?;
        let Some(last) = new.last() else { return Ok(()) };
        let mut count = Count {
            from: from + 1,
            to: row::int(last, "seq")?,
            last: row::oid(last, "_id")?,
            order: row::int(last, "order")?,
            at: last
                .get_datetime("timestamp")
                .copied()
                .unwrap_or(DateTime::from_millis(0)),
            unread: HashMap::new(),
            users: chats::members(&known),
        };
        for message in &new {
            *count.unread.entry(row::oid(message, "receiver")?.to_hex()).or_default() += 1;
        }
        let counted = db
            .call(db.chats.update_one(place(chat, &count), change(&count, &Unread::new())))
            .await?;
        // A miss means that somebody else has counted, which is durable after this call, and a full batch that there may be more. Then we
        // look again.
        if counted.matched_count > 0 && i64::try_from(new.len()).is_ok_and(|new| new < BATCH) {
            return Ok(());
        }
    }
    Err(StoreError::Unavailable("a chat is being counted by others".into()))
}

/// Counts every chat from nothing; how many were wrong. Safe beside running servers.
pub(super) async fn rebuild(db: &Db) -> StoreResult<u64> {
    let mut wrong = 0;
    let mut after = ObjectId::from_bytes([0; 12]);
    loop {
        let find = db.chats.find(doc! {"_id": {"$gt": after}, "pair": {"$exists": true}});
        let find = find.sort(chats::by_id()).limit(BATCH).projection(doc! {"_id": 1});
        let chats = db.all(find).await?;
        for chat in &chats {
            after = row::oid(chat, "_id")?;
            wrong += u64::from(recount(db, after).await?);
        }
        if chats.is_empty() {
            return Ok(wrong);
        }
    }
}

/// Counts one chat from nothing; whether it was wrong.
async fn recount(db: &Db, chat: ObjectId) -> StoreResult<bool> {
    let db = db.clone();
    let inner = db.clone();
    db.transact(move |tx| {
        let db = inner.clone();
        async move {
            let unread = doc! {"$and": [{"$lte": ["$readAt", Bson::Null]}, {"$lte": ["$deletedAt", Bson::Null]}]};
            let pipeline = [
                doc! {"$match": above(chat, 0)},
                doc! {"$sort": {"seq": 1}},
                doc! {"$group": {
                    "_id": "$receiver", "unread": {"$sum": {"$cond": [unread, 1_i64, 0_i64]}},
                    "seq": {"$last": "$seq"}, "order": {"$last": "$order"}, "id": {"$last": "$_id"},
                    "at": {"$last": "$timestamp"},
                }},
            ];
            let mut cursor = db.messages.aggregate(pipeline).session(&mut *tx).await?;
            let groups: Vec<Document> = cursor.stream(&mut *tx).try_collect().await?;
            let mut unread = Document::new();
            for group in &groups {
                unread.insert(row::oid(group, "_id")?.to_hex(), row::int(group, "unread")?);
            }
            let newest = groups.iter().max_by_key(|group| row::int(group, "seq").unwrap_or(0));
            let mut truth = doc! {"lastSeq": 0_i64, "order": 0_i64};
            if let Some(newest) = newest {
                truth = doc! {
                    "lastSeq": row::int(newest, "seq")?, "order": row::int(newest, "order")?,
                    "lastMessage": row::oid(newest, "id")?, "lastActivity": newest.get_datetime("at").ok(),
                };
            }
            let Some(said) = db.chats.find_one(doc! {"_id": chat}).session(&mut *tx).await? else {
                return Ok(Step::Abort(false));
            };
            if row::int(&truth, "lastSeq")? > row::int(&said, "indexed").unwrap_or(0) {
                truth.insert("waiting", chats::members(&said));
            }
            let counts = said.get_document("unread").cloned().unwrap_or_default();
            let same = truth.iter().all(|(key, value)| said.get(key) == Some(value))
                && chats::members(&said).iter().all(|user| {
                    let user = user.to_hex();
                    row::int(&counts, &user).unwrap_or(0) == row::int(&unread, &user).unwrap_or(0)
                });
            if same {
                return Ok(Step::Abort(false));
            }
            truth.insert("unread", unread);
            db.chats
                .update_one(doc! {"_id": chat}, doc! {"$set": truth})
                .session(&mut *tx)
                .await?;
            Ok(Step::Commit(true))
        }
        .boxed()
    })
    .await
}

/// The counters of these users within a chat, as an update names them.
pub(super) fn fields(unread: &Unread) -> Document {
    let field = |(user, number): (&String, &i64)| (unread_field(user), Bson::Int64(*number));
    unread.iter().map(field).collect()
}

/// The unread counter of a user within a chat.
pub(super) fn unread_field(user: &str) -> String {
    format!("unread.{user}")
}
