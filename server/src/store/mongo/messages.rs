//! Messages: sending, history, edits.

use std::collections::HashMap;

use async_trait::async_trait;
use chat_protocol::{ChatId, Message, MessageId, UserId};
use futures_util::FutureExt as _;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use super::count::unread_field;
use super::transaction::{Pauses, Step};
use super::{Db, MongoStore, chats, row, search};
use crate::store::{
    ChatRecord, Deleted, EditOutcome, HistoryRange, MessageStore, NewMessage, Position, ReadOutcome, ReadScope,
    SendDone, Slice, StoreError, StoreResult,
};

#[async_trait]
impl MessageStore for MongoStore {
    async fn submit(&self, message: NewMessage, done: SendDone) -> StoreResult<()> {
        self.writer.submit(message, done).await
    }

    async fn chat_of(&self, one: &UserId, other: &UserId) -> StoreResult<Option<ChatId>> {
        chats::of(&self.db, one, other).await
    }

    async fn participants(&self, chat: &ChatId) -> StoreResult<Option<[UserId; 2]>> {
        chats::participants(&self.db, chat).await
    }

    async fn partners(&self, user: &UserId) -> StoreResult<Vec<UserId>> {
        chats::partners(&self.db, user).await
    }

    async fn history(&self, chat: &ChatId, range: HistoryRange, limit: usize) -> StoreResult<(Vec<Message>, bool)> {
        let Some(chat) = row::object_id(chat) else {
            return Ok((Vec::new(), false));
        };
        let (filter, sort) = page(chat, range);
        let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let find = self.db.messages.find(filter).sort(sort).limit(one_more);
        let found = self.db.all(find).await?;
        let more = found.len() > limit;
        let items = found.iter().take(limit).map(row::message).collect::<StoreResult<_>>()?;
        Ok((items, more))
    }

    async fn chats(&self, user: &UserId, from: Option<&Position>, limit: usize) -> StoreResult<Slice<ChatRecord>> {
        let list = chats::list(&self.db, &self.counters, user, from, limit);
        self.db.calls(list).await
    }

    async fn search_messages(
        &self,
        user: &UserId,
        query: &str,
        chat: Option<&ChatId>,
        from: Option<&Position>,
        limit: usize,
    ) -> StoreResult<Slice<Message>> {
        let search = search::messages(&self.db, user, query, chat, from, limit);
        self.db.calls(search).await
    }

    async fn edit_message(
        &self,
        id: &MessageId,
        editor: &UserId,
        content: String,
    ) -> StoreResult<EditOutcome<Message>> {
        let (Some(id), Some(editor)) = (row::object_id(id), row::object_id(editor)) else {
            return Ok(EditOutcome::NotFound);
        };
        // The index has to look at it again, which `fresh` says; it takes the mark away only from the revision it has seen.
        let set = doc! {
            "content": content, "editedAt": row::date(self.db.clock.now()), "fresh": ["$sender", "$receiver"],
            "rev": next_revision(),
        };
        let mut set = literal(set, "content");
        if fault!(EditResetsRead) {
            set.insert("readAt", Bson::Null);
        }
        if fault!(EditKeepsSearch) {
            set.remove("fresh");
            set.remove("rev");
        }
        let edit = self
            .db
            .messages
            .find_one_and_update(own(id, editor), vec![doc! {"$set": set}])
            .return_document(ReturnDocument::After);
        match self.db.call(edit).await? {
            Some(edited)
                if fault!(EditedAllTheSame) && edited.get_object_id("receiver").is_ok_and(|id| id == editor) =>
            {
                Ok(EditOutcome::NotSender)
            }
            Some(edited) => {
                self.indexer.wake();
                Ok(EditOutcome::Done(row::message(&edited)?))
            }
            None => Ok(refusal(
                self.db.call(self.db.messages.find_one(doc! {"_id": id})).await?,
                editor,
            )),
        }
    }

    async fn delete_message(&self, id: &MessageId, editor: &UserId) -> StoreResult<EditOutcome<Deleted>> {
        let (Some(id), Some(editor)) = (row::object_id(id), row::object_id(editor)) else {
            return Ok(EditOutcome::NotFound);
        };
        let mut pauses = Pauses::new();
        loop {
            match delete(&self.db, id, editor).await {
                Ok(Ok(EditOutcome::NotFound)) if self.deletions.take(&(id, editor)) => {
                    return deleted(&self.db, id, editor).await;
                }
                Ok(Ok(outcome)) => {
                    self.deletions.take(&(id, editor));
                    self.indexer.wake();
                    return Ok(outcome);
                }
                Ok(Err(newest)) => self.counters.reach(newest).await?,
                Err(error) => {
                    self.deletions.put((id, editor));
                    self.indexer.wake();
                    return Err(error);
                }
            }
            if !pauses.wait().await {
                return Err(StoreError::Unavailable("a message was not counted in time".into()));
            }
        }
    }

    async fn mark_read(&self, reader: &UserId, scope: ReadScope<'_>) -> StoreResult<ReadOutcome> {
        let (mut marks, mut below) = (Vec::new(), Some(i64::MAX));
        while let Some(seq) = below {
            let marked = self.db.calls(self.marker.mark(&self.db, reader, scope, seq)).await;
            let answer = match marked {
                // What is marked already has to be told. The rest stays unread, and the list of chats says so.
                Err(_) if !marks.is_empty() => break,
                marked => marked?,
            };
            let ReadOutcome::Done(mut older) = answer.outcome else {
                return Ok(answer.outcome);
            };
            older.append(&mut marks);
            (marks, below) = (older, answer.more_below);
        }
        Ok(ReadOutcome::Done(marks))
    }
}

/// A page of a chat.
pub(super) fn page(chat: ObjectId, range: HistoryRange) -> (Document, Document) {
    let bound = |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX);
    let (seq, direction) = match range {
        HistoryRange::Newest => (doc! {"$gt": 0_i64}, -1),
        HistoryRange::Below(seq) => (doc! {"$gt": 0_i64, "$lt": bound(seq)}, -1),
        HistoryRange::Above(seq) => (doc! {"$gt": bound(seq)}, 1),
    };
    let mut filter = doc! {"chatId": chat, "seq": seq};
    if fault!(TombstonesHidden) {
        filter.insert("deletedAt", Bson::Null);
    }
    (filter, doc! {"seq": direction})
}

/// A living message of this sender.
fn own(id: ObjectId, sender: ObjectId) -> Document {
    if fault!(StrangerEdits) {
        return doc! {"_id": id, "receiver": {"$ne": sender}, "deletedAt": Bson::Null, "seq": {"$gt": 0}};
    }
    if fault!(ReceiverEdits, EditedAllTheSame) {
        return doc! {
            "_id": id, "$or": [{"sender": sender}, {"receiver": sender}], "deletedAt": Bson::Null, "seq": {"$gt": 0},
        };
    }
    doc! {"_id": id, "sender": sender, "deletedAt": Bson::Null, "seq": {"$gt": 0}}
}

fn next_revision() -> Document {
    doc! {"$add": [{"$ifNull": ["$rev", 0]}, 1]}
}

/// What a client wrote must not be read as an expression.
fn literal(mut set: Document, key: &str) -> Document {
    if let Some(value) = set.remove(key) {
        set.insert(key, doc! {"$literal": value});
    }
    set
}

/// Why a message could not be changed.
fn refusal<T>(found: Option<Document>, editor: ObjectId) -> EditOutcome<T> {
    let living = found.filter(|found| found.get_datetime("deletedAt").is_err());
    match living {
        Some(found) if found.get_object_id("receiver").is_ok_and(|id| id == editor) || fault!(StrangerForbidden) => {
            EditOutcome::NotSender
        }
        _ => EditOutcome::NotFound,
    }
}

/// What became of a message that its sender deleted without hearing of it.
async fn deleted(db: &Db, id: ObjectId, editor: ObjectId) -> StoreResult<EditOutcome<Deleted>> {
    let tombstone = doc! {"_id": id, "sender": editor, "deletedAt": {"$type": "date"}};
    let Some(found) = db.call(db.messages.find_one(tombstone)).await? else {
        return Ok(EditOutcome::NotFound);
    };
    let message = row::message(&found)?;
    Ok(EditOutcome::Done(Deleted {
        at: message.deleted_at.unwrap_or(message.timestamp),
        id: message.id,
        chat: message.chat_id,
        sender: message.sender,
        receiver: message.receiver,
    }))
}

/// Makes a tombstone of the message, or says which chat has to be counted first.
async fn delete(
    db: &Db,
    id: ObjectId,
    editor: ObjectId,
) -> StoreResult<Result<EditOutcome<Deleted>, HashMap<ObjectId, i64>>> {
    let inner = db.clone();
    db.transact(move |tx| {
        let db = inner.clone();
        async move {
            let at = db.clock.now();
            let mut set = doc! {
                "content": "", "deletedAt": row::date(at), "fresh": ["$sender", "$receiver"], "rev": next_revision(),
            };
            if fault!(DeleteKeepsContent, DeletedInSearch) {
                set.remove("content");
            }
            let change = db
                .messages
                .find_one_and_update(own(id, editor), vec![doc! {"$set": set}]);
            let Some(before) = change.session(&mut *tx).await? else {
                let found = db.messages.find_one(doc! {"_id": id}).session(&mut *tx).await?;
                return Ok(Step::Abort(Ok(refusal(found, editor))));
            };
            let message = row::message(&before)?;
            if !message.is_read && !fault!(DeleteKeepsUnread) {
                let (chat, seq) = (row::oid(&before, "chatId")?, row::int(&before, "seq")?);
                let counted = doc! {"_id": chat, "lastSeq": {"$gte": seq}};
                let fewer = doc! {"$inc": {unread_field(message.receiver.as_str()): -1_i64}};
                let changed = db.chats.update_one(counted, fewer).session(&mut *tx).await?;
                if changed.matched_count == 0 {
                    return Ok(Step::Abort(Err(HashMap::from([(chat, seq)]))));
                }
            }
            Ok(Step::Commit(Ok(EditOutcome::Done(Deleted {
                id: message.id,
                chat: message.chat_id,
                sender: message.sender,
                receiver: message.receiver,
                at,
            }))))
        }
        .boxed()
    })
    .await
}
