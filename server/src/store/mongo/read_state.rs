//! Read marks and the unread counters, which change together.

use std::collections::HashMap;

use chat_protocol::{ChatId, MessageId, UserId};
use futures_util::{FutureExt as _, TryStreamExt as _};
use mongodb::ClientSession;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::counters::{Counters, unread_field};
use super::transaction::{Step, Worked};
use super::{Db, chats, row};
use crate::store::{ReadMark, ReadOutcome, ReadScope, StoreError, StoreResult};

/// Messages that are counted by others while we mark them are few; so often is enough.
const TRIES: usize = 20;

/// [`ReadScope`], owned.
#[derive(Clone)]
pub(super) enum Scope {
    /// And whether they must be in this chat.
    Messages(Vec<MessageId>, Option<ChatId>),
    Chat(ObjectId),
}

/// What a run of the transaction came to.
enum Marked {
    Done(ReadOutcome),
    /// These chats have to be counted up to these seqs first.
    NotCounted(HashMap<ObjectId, i64>),
}

pub(super) async fn mark(
    db: &Db,
    counters: &Counters,
    reader: &UserId,
    scope: ReadScope<'_>,
) -> StoreResult<ReadOutcome> {
    let scope = match scope {
        ReadScope::Messages(ids) => Scope::Messages(ids.to_vec(), None),
        ReadScope::MessageIn(id, chat) => Scope::Messages(vec![id.clone()], Some(chat.clone())),
        ReadScope::Chat(chat) => {
            let users = chats::participants(db, chat).await?;
            let Some(id) = row::object_id(chat).filter(|_| users.is_some_and(|users| users.contains(reader))) else {
                return Ok(ReadOutcome::ChatNotFound);
            };
            super::counters::count_on(db, id).await?;
            Scope::Chat(id)
        }
    };
    let Some(reader_id) = row::object_id(reader) else {
        return Ok(ReadOutcome::MessageNotFound);
    };
    for _ in 0..TRIES {
        let (inner, reader, scope) = (db.clone(), reader.clone(), scope.clone());
        let marked = db
            .transact(move |tx| {
                let (db, reader, scope) = (inner.clone(), reader.clone(), scope.clone());
                async move { run(&db, tx, &reader, reader_id, &scope).await }.boxed()
            })
            .await?;
        match marked {
            Marked::Done(outcome) => return Ok(outcome),
            Marked::NotCounted(newest) => counters.reach(newest).await?,
        }
    }
    Err(StoreError::Unavailable("messages were not counted in time".into()))
}

async fn run(db: &Db, tx: &mut ClientSession, reader: &UserId, reader_id: ObjectId, scope: &Scope) -> Worked<Marked> {
    let found = match scope {
        Scope::Messages(ids, chat) => match find(db, tx, reader_id, ids, chat.as_ref()).await? {
            Ok(unread) => unread,
            Err(refusal) => return Ok(Step::Abort(Marked::Done(refusal))),
        },
        Scope::Chat(chat) => in_chat(db, tx, *chat, reader).await?,
    };
    if found.is_empty() {
        return Ok(Step::Abort(Marked::Done(ReadOutcome::Done(Vec::new()))));
    }
    let read_at = db.clock.now();
    let ids: Vec<ObjectId> = found.iter().filter_map(|m| m.get_object_id("_id").ok()).collect();
    let set = doc! {"$set": {"isRead": true, "readAt": row::date(read_at)}};
    db.messages
        .update_many(doc! {"_id": {"$in": ids}}, set)
        .session(&mut *tx)
        .await?;
    let mut chats: HashMap<ObjectId, (i64, i64)> = HashMap::new();
    for message in &found {
        let (count, newest) = chats.entry(row::oid(message, "chatId")?).or_default();
        *count += 1;
        *newest = row::int(message, "seq")?.max(*newest);
    }
    for (chat, (count, newest)) in &chats {
        let counted = doc! {"_id": chat, "lastSeq": {"$gte": newest}};
        let fewer = doc! {"$inc": {unread_field(reader): -count}};
        let changed = db.chats.update_one(counted, fewer).session(&mut *tx).await?;
        if changed.matched_count == 0 {
            let newest = chats.into_iter().map(|(chat, (_, newest))| (chat, newest));
            return Ok(Step::Abort(Marked::NotCounted(newest.collect())));
        }
    }
    let mark = |message: &Document| {
        Ok(ReadMark {
            message: row::id(message, "_id")?,
            chat: row::id(message, "chatId")?,
            sender: row::id(message, "sender")?,
            read_at,
        })
    };
    let marks = found.iter().map(mark).collect::<StoreResult<_>>()?;
    Ok(Step::Commit(Marked::Done(ReadOutcome::Done(marks))))
}

/// Looks every message up before anything changes. The unread ones, in the order of seq.
async fn find(
    db: &Db,
    tx: &mut ClientSession,
    reader: ObjectId,
    ids: &[MessageId],
    chat: Option<&ChatId>,
) -> Result<Result<Vec<Document>, ReadOutcome>, super::transaction::Trouble> {
    let mut wanted = Vec::new();
    for id in ids {
        match row::object_id(id) {
            Some(id) if wanted.contains(&id) => {}
            Some(id) => wanted.push(id),
            None => return Ok(Err(ReadOutcome::MessageNotFound)),
        }
    }
    let filter = doc! {"_id": {"$in": &wanted}, "seq": {"$gt": 0}};
    let mut cursor = db.messages.find(filter).session(&mut *tx).await?;
    let mut found: Vec<Document> = cursor.stream(&mut *tx).try_collect().await?;
    let is = |message: &Document, key: &str| message.get_object_id(key).is_ok_and(|id| id == reader);
    let in_chat = |message: &Document| {
        chat.is_none_or(|chat| {
            message
                .get_object_id("chatId")
                .is_ok_and(|id| id.to_hex() == chat.as_str())
        })
    };
    let mine = |message: &&Document| (is(message, "sender") || is(message, "receiver")) && in_chat(message);
    if found.iter().filter(mine).count() < wanted.len() {
        return Ok(Err(ReadOutcome::MessageNotFound));
    }
    if found.iter().any(|message| is(message, "sender")) {
        return Ok(Err(ReadOutcome::NotReceiver));
    }
    let missing = |message: &Document, key: &str| message.get(key).is_none_or(|value| *value == Bson::Null);
    found.retain(|message| missing(message, "readAt") && missing(message, "deletedAt"));
    found.sort_by_key(|message| row::int(message, "order").unwrap_or(0));
    Ok(Ok(found))
}

/// The unread messages of a chat; `limit` is how many there are.
pub(super) fn unread_in(chat: ObjectId, reader: ObjectId) -> Document {
    doc! {"chatId": chat, "seq": {"$gt": 0}, "receiver": reader, "readAt": Bson::Null, "deletedAt": Bson::Null}
}

/// Walks back from the newest message until as many as the counter says are found: unread messages are the newest ones, so
/// this costs what it marks, however long the chat is.
async fn in_chat(
    db: &Db,
    tx: &mut ClientSession,
    chat: ObjectId,
    reader: &UserId,
) -> Result<Vec<Document>, super::transaction::Trouble> {
    let known = db.chats.find_one(doc! {"_id": chat}).session(&mut *tx).await?;
    let count = known
        .as_ref()
        .and_then(|known| row::int(known.get_document("unread").ok()?, reader.as_str()).ok())
        .unwrap_or(0);
    if count <= 0 {
        return Ok(Vec::new());
    }
    let find = db.messages.find(unread_in(chat, row::own_id(reader)?));
    let projection = doc! {"chatId": 1, "seq": 1, "sender": 1, "order": 1};
    let find = find.sort(doc! {"seq": -1}).limit(count).projection(projection);
    let mut cursor = find.session(&mut *tx).await?;
    let mut found: Vec<Document> = cursor.stream(&mut *tx).try_collect().await?;
    found.reverse();
    Ok(found)
}
