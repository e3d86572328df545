//! Chats that have not counted all: what is missing is looked for among the messages.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use mongodb::ClientSession;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::count::{Count, Unread, counted_to};
use super::transaction::Trouble;
use super::{Db, row};
use crate::store::{StoreError, StoreResult};

/// Messages that are counted at once where they have to be looked for.
const BATCH: i64 = 1000;
/// Chats that are looked through at the same time.
const AT_ONCE: usize = 16;
/// A chat that moves under our hands this often is being counted by others.
const TRIES: usize = 50;

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
        if counted_to(&chat) < newest.get(&id).copied().unwrap_or(0) {
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

/// What a [`Count`] needs to know of a message.
fn what_counts() -> Document {
    doc! {"chatId": 1, "seq": 1, "order": 1, "receiver": 1, "timestamp": 1}
}

/// What those of these chats have to count that have not counted up to these seqs, as a transaction sees it, which then has to count it;
/// and whether that is all there is. A chat with too much to be counted so is left out.
pub(super) async fn missing(
    db: &Db,
    tx: &mut ClientSession,
    newest: &HashMap<ObjectId, i64>,
) -> Result<HashMap<ObjectId, (Count, bool)>, Trouble> {
    let mut missing = HashMap::new();
    if newest.is_empty() {
        return Ok(missing);
    }
    let ids: Vec<&ObjectId> = newest.keys().collect();
    let find = db.chats.find(doc! {"_id": {"$in": ids}});
    let mut cursor = find
        .projection(doc! {"lastSeq": 1, "participants": 1})
        .session(&mut *tx)
        .await?;
    let mut behind: Vec<Document> = cursor.stream(&mut *tx).try_collect().await?;
    let is_behind = |chat: &Document| row::oid(chat, "_id").is_ok_and(|id| newest.get(&id) > Some(&counted_to(chat)));
    behind.retain(is_behind);
    if behind.is_empty() {
        return Ok(missing);
    }
    let mut new: HashMap<ObjectId, Vec<Document>> = HashMap::new();
    let ranges = behind.iter().map(|chat| {
        let from = counted_to(chat);
        Ok(doc! {"chatId": row::oid(chat, "_id")?, "seq": {"$gt": from, "$lte": from + BATCH}})
    });
    let ranges = ranges.collect::<StoreResult<Vec<_>>>()?;
    let find = db.messages.find(doc! {"$or": ranges}).projection(what_counts());
    let mut cursor = find.session(&mut *tx).await?;
    let found: Vec<Document> = cursor.stream(&mut *tx).try_collect().await?;
    for message in found {
        new.entry(row::oid(&message, "chatId")?).or_default().push(message);
    }
    for chat in &behind {
        let id = row::oid(chat, "_id")?;
        let mut messages = new.remove(&id).unwrap_or_default();
        messages.sort_by_key(|message| row::int(message, "seq").unwrap_or(0));
        let is_all = i64::try_from(messages.len()).is_ok_and(|new| new < BATCH);
        let count = Count::of(chat, &messages)?.filter(|count| Some(&count.to()) >= newest.get(&id));
        missing.extend(count.map(|count| (id, (count, is_all))));
    }
    Ok(missing)
}

/// Counts a chat up to its newest message. When this returns, that is durable and every transaction sees it, whoever counted.
pub(super) async fn count_on(db: &Db, chat: ObjectId) -> StoreResult<()> {
    for _ in 0..TRIES {
        let Some(known) = db.call(db.chats.find_one(doc! {"_id": chat})).await? else {
            return Ok(());
        };
        let find = db
            .messages
            .find(above(chat, counted_to(&known)))
            .sort(doc! {"seq": 1})
            .limit(BATCH);
        let new = db.all(find.projection(what_counts())).await?;
        let Some(count) = Count::of(&known, &new)? else {
            return Ok(());
        };
        let counted = db
            .call(db.chats.update_one(count.place(chat), count.change(&Unread::new())))
            .await?;
        // A miss means that somebody else has counted, which is durable after this call, and a full batch that there may be more. Then we
        // look again.
        if counted.matched_count > 0 && i64::try_from(new.len()).is_ok_and(|new| new < BATCH) {
            return Ok(());
        }
    }
    Err(StoreError::Unavailable("a chat is being counted by others".into()))
}
