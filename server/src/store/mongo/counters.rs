//! What a chat says of its messages: the last one, and how many are unread.
//!
//! A chat has counted its messages up to `lastSeq`. Counting on is one update that takes effect only on a chat that still is
//! where the count began, so it may be tried twice, by two nodes too, and is done once. Messages above `lastSeq` can be neither
//! read nor deleted before they are counted, so counting needs nothing but who received them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat_protocol::{Message, UserId};
use futures_util::future::try_join_all;
use futures_util::{FutureExt as _, TryStreamExt as _};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use tokio::sync::Notify;

use super::transaction::Step;
use super::{Db, row};
use crate::store::{StoreError, StoreResult};

/// How long counts gather, so that a busy chat is written now and then and not for each message. Readers do not wait for it:
/// they count what has gathered first.
const GATHER: Duration = Duration::from_millis(100);
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Messages that are counted at once where they have to be looked for.
const BATCH: i64 = 1000;
/// Chats that are looked through at the same time.
const AT_ONCE: usize = 16;
/// A chat that moves under our hands this often is being counted by others.
const TRIES: usize = 50;

/// Messages of one chat without a gap, to be counted.
#[derive(Debug, Clone)]
struct Count {
    from: i64,
    to: i64,
    last: ObjectId,
    order: i64,
    at: DateTime,
    unread: HashMap<String, i64>,
}

pub(super) struct Counters {
    db: Db,
    /// `None`: what is not counted has to be looked for.
    waiting: Mutex<HashMap<ObjectId, Option<Count>>>,
    /// Held while counts are written, so that whoever has it knows that nothing gathered before is left.
    writing: tokio::sync::Mutex<()>,
    asked: Notify,
}

impl Counters {
    pub(super) fn start(db: Db) -> Arc<Self> {
        let counters = Arc::new(Self {
            db,
            waiting: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            asked: Notify::new(),
        });
        let weak = Arc::downgrade(&counters);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(GATHER).await;
                let Some(counters) = weak.upgrade() else { return };
                if counters.is_empty() {
                    // Wakes now and then to see whether the store is still there.
                    let _ = tokio::time::timeout(RETRY, counters.asked.notified()).await;
                } else if let Err(error) = counters.flush().await {
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

    fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes notice of stored messages, in the order of seq.
    pub(super) fn add<'m>(&self, messages: impl Iterator<Item = &'m (Message, i64)>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (message, order) in messages {
            let (Some(chat), Some(id)) = (row::object_id(&message.chat_id), row::object_id(&message.id)) else {
                continue;
            };
            let seq = message.seq.and_then(|seq| i64::try_from(seq).ok()).unwrap_or(0);
            let known = waiting.entry(chat).or_insert_with(|| {
                Some(Count {
                    from: seq,
                    to: seq - 1,
                    last: id,
                    order: 0,
                    at: DateTime::from_millis(0),
                    unread: HashMap::new(),
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

    /// Counts everything that has gathered. Afterwards this node's messages are counted.
    pub(super) async fn flush(&self) -> StoreResult<()> {
        self.flush_and_hold().await.map(drop)
    }

    /// The same, and this node counts nothing more as long as what is returned lives.
    pub(super) async fn flush_and_hold(&self) -> StoreResult<tokio::sync::MutexGuard<'_, ()>> {
        let writing = self.writing.lock().await;
        let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.is_empty() {
            return Ok(writing);
        }
        let result = self.write(&taken).await;
        if result.is_err() {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            for chat in taken.into_keys() {
                waiting.insert(chat, None);
            }
        }
        result.map(|()| writing)
    }

    async fn write(&self, counts: &HashMap<ObjectId, Option<Count>>) -> StoreResult<()> {
        let updates: Vec<Document> = counts
            .iter()
            .filter_map(|(chat, count)| {
                count
                    .as_ref()
                    .map(|count| doc! {"q": place(*chat, count), "u": change(count)})
            })
            .collect();
        let wanted = i64::try_from(updates.len()).unwrap_or(i64::MAX);
        let mut matched = 0;
        for part in updates.chunks(1000) {
            matched += update(&self.db, "chats", part.to_vec()).await?;
        }
        // What did not match, another node has counted or has written between: a look tells which.
        let unsure = counts.iter().filter(|(_, count)| count.is_none() || matched < wanted);
        let unsure = unsure.map(|(chat, count)| (*chat, count.as_ref().map_or(i64::MAX, |count| count.to)));
        self.reach(unsure.collect()).await
    }

    /// Counts what any node wrote in the chats of this user.
    pub(super) async fn settle(&self, user: ObjectId) -> StoreResult<()> {
        self.flush().await?;
        let mut newest: HashMap<ObjectId, i64> = HashMap::new();
        for fresh in all(&self.db, fresh_of(user)).await? {
            let (chat, seq) = (row::oid(&fresh, "chatId")?, row::int(&fresh, "seq")?);
            let known = newest.entry(chat).or_default();
            *known = seq.max(*known);
        }
        self.reach(newest).await
    }

    /// Counts these chats at least up to these seqs.
    pub(super) async fn reach(&self, newest: HashMap<ObjectId, i64>) -> StoreResult<()> {
        if newest.is_empty() {
            return Ok(());
        }
        let ids: Vec<ObjectId> = newest.keys().copied().collect();
        let find = async {
            let find = self.db.chats.find(doc! {"_id": {"$in": ids}});
            let found = find.projection(doc! {"lastSeq": 1}).await?;
            found.try_collect::<Vec<Document>>().await
        };
        let mut behind = Vec::new();
        for chat in self.db.call(Box::pin(find)).await? {
            let id = row::oid(&chat, "_id")?;
            if row::int(&chat, "lastSeq").unwrap_or(0) < newest.get(&id).copied().unwrap_or(0) {
                behind.push(id);
            }
        }
        // Where nodes write to the same chats by turns, these are most chats, and readers wait.
        for some in behind.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|chat| count_on(&self.db, *chat))).await?;
        }
        Ok(())
    }
}

/// The query for what is not counted or not indexed of a user.
pub(super) fn fresh_of(user: ObjectId) -> (Document, Document) {
    (doc! {"fresh": user}, doc! {"_id": 0, "chatId": 1, "seq": 1})
}

async fn all(db: &Db, (filter, projection): (Document, Document)) -> StoreResult<Vec<Document>> {
    let find = async {
        let found = db.messages.find(filter).projection(projection).await?;
        found.try_collect::<Vec<Document>>().await
    };
    db.call(Box::pin(find)).await
}

fn place(chat: ObjectId, count: &Count) -> Document {
    doc! {"_id": chat, "lastSeq": count.from - 1}
}

fn change(count: &Count) -> Document {
    let mut more = Document::new();
    for (user, number) in &count.unread {
        more.insert(format!("unread.{user}"), *number);
    }
    doc! {
        "$set": {"lastSeq": count.to, "order": count.order, "lastMessage": count.last, "lastActivity": count.at},
        "$inc": more,
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

/// The messages of a chat above a seq, ascending.
pub(super) fn above(chat: ObjectId, seq: i64) -> Document {
    doc! {"chatId": chat, "seq": {"$gt": seq}}
}

/// Counts a chat up to its newest message.
pub(super) async fn count_on(db: &Db, chat: ObjectId) -> StoreResult<()> {
    for _ in 0..TRIES {
        let Some(known) = db.call(db.chats.find_one(doc! {"_id": chat})).await? else {
            return Ok(());
        };
        let from = row::int(&known, "lastSeq").unwrap_or(0);
        let find = async {
            let find = db.messages.find(above(chat, from)).sort(doc! {"seq": 1}).limit(BATCH);
            let found = find
                .projection(doc! {"seq": 1, "order": 1, "receiver": 1, "timestamp": 1})
                .await?;
            found.try_collect::<Vec<Document>>().await
        };
        let new = db.call(Box::pin(find)).await?;
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
        };
        for message in &new {
            *count.unread.entry(row::oid(message, "receiver")?.to_hex()).or_default() += 1;
        }
        let counted = db
            .call(db.chats.update_one(place(chat, &count), change(&count)))
            .await?;
        // A miss means that somebody else has counted, a full batch that there may be more; then we look again.
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
        let find = async {
            let find = db.chats.find(doc! {"_id": {"$gt": after}, "pair": {"$exists": true}});
            let found = find
                .sort(doc! {"_id": 1})
                .limit(BATCH)
                .projection(doc! {"_id": 1})
                .await?;
            found.try_collect::<Vec<Document>>().await
        };
        let chats = db.call(Box::pin(find)).await?;
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
            let counts = said.get_document("unread").cloned().unwrap_or_default();
            let same = truth.iter().all(|(key, value)| said.get(key) == Some(value))
                && said
                    .get_array("participants")
                    .map(|users| users.iter().filter_map(|user| user.as_object_id()).collect::<Vec<_>>())
                    .unwrap_or_default()
                    .iter()
                    .all(|user| {
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

/// The unread counter of a user within a chat.
pub(super) fn unread_field(user: &UserId) -> String {
    format!("unread.{user}")
}
