//! Writing messages, and reading them back.

use async_trait::async_trait;
use chat_protocol::{ChatId, Message, MessageId, UserId};
use rusqlite::{Connection, OptionalExtension as _};

use super::ledger::Ledger;
use super::row::{self, MESSAGE};
use super::{Clock, SqliteStore, chats, failure, read_state, search};
use crate::store::{
    ChatRecord, Deleted, EditOutcome, HistoryRange, MessageStore, NewMessage, Position, ReadOutcome, ReadScope,
    SendDone, SendOutcome, Slice, StoreResult,
};

#[async_trait]
impl MessageStore for SqliteStore {
    async fn submit(&self, message: NewMessage, done: SendDone) -> StoreResult<()> {
        self.writer.submit_message(message, self.clock.clone(), done).await
    }

    async fn chat_of(&self, one: &UserId, other: &UserId) -> StoreResult<Option<ChatId>> {
        let (one, other) = (one.clone(), other.clone());
        self.readers.read(move |db| chats::of(db, &one, &other)).await
    }

    async fn participants(&self, chat: &ChatId) -> StoreResult<Option<[UserId; 2]>> {
        let chat = chat.clone();
        self.readers.read(move |db| chats::participants(db, &chat)).await
    }

    async fn partners(&self, user: &UserId) -> StoreResult<Vec<UserId>> {
        let user = user.clone();
        self.readers.read(move |db| chats::partners(db, &user)).await
    }

    async fn history(&self, chat: &ChatId, range: HistoryRange, limit: usize) -> StoreResult<(Vec<Message>, bool)> {
        let chat = chat.clone();
        self.readers
            .read(move |db| history(db, &chat, range, limit).map_err(failure))
            .await
    }

    async fn chats(&self, user: &UserId, from: Option<&Position>, limit: usize) -> StoreResult<Slice<ChatRecord>> {
        let (user, from) = (user.clone(), from.cloned());
        self.readers
            .read(move |db| chats::list(db, &user, from.as_ref(), limit))
            .await
    }

    async fn search_messages(
        &self,
        user: &UserId,
        query: &str,
        chat: Option<&ChatId>,
        from: Option<&Position>,
        limit: usize,
    ) -> StoreResult<Slice<Message>> {
        let (user, query, chat, from) = (user.clone(), query.to_owned(), chat.cloned(), from.cloned());
        self.readers
            .read(move |db| search::messages(db, &user, &query, chat.as_ref(), from.as_ref(), limit))
            .await
    }

    async fn edit_message(
        &self,
        id: &MessageId,
        editor: &UserId,
        content: String,
    ) -> StoreResult<EditOutcome<Message>> {
        let (id, editor, clock) = (id.clone(), editor.clone(), self.clock.clone());
        self.writer
            .run(move |db| {
                own(db, &id, &editor, |num| {
                    db.prepare_cached("UPDATE messages SET content = ?2, edited_at = ?3 WHERE num = ?1")?
                        .execute((num, &content, clock.now().as_millis()))?;
                    if fault!(EditResetsRead) {
                        db.execute("UPDATE messages SET read_at = NULL WHERE num = ?1", [num])?;
                    }
                    if !fault!(EditKeepsSearch) {
                        reindex(db, num)?;
                    }
                    by_num(db, num)
                })
                .map_err(failure)
            })
            .await
    }

    async fn delete_message(&self, id: &MessageId, editor: &UserId) -> StoreResult<EditOutcome<Deleted>> {
        let (id, editor, clock) = (id.clone(), editor.clone(), self.clock.clone());
        self.writer
            .run(move |db| {
                own(db, &id, &editor, |num| {
                    let message = by_num(db, num)?;
                    let at = clock.now();
                    let bury = if fault!(DeleteKeepsContent, DeletedInSearch) {
                        "UPDATE messages SET deleted_at = ?2 WHERE num = ?1"
                    } else {
                        "UPDATE messages SET content = '', deleted_at = ?2 WHERE num = ?1"
                    };
                    db.prepare_cached(bury)?.execute((num, at.as_millis()))?;
                    if !message.is_read && !fault!(DeleteKeepsUnread) {
                        db.prepare_cached(
                            "UPDATE members SET unread = unread - 1 WHERE (user, chat) = \
                             (SELECT receiver, chat FROM messages WHERE num = ?1)",
                        )?
                        .execute([num])?;
                    }
                    reindex(db, num)?;
                    Ok(Deleted {
                        id: message.id,
                        chat: message.chat_id,
                        sender: message.sender,
                        receiver: message.receiver,
                        at,
                    })
                })
                .map_err(failure)
            })
            .await
    }

    async fn mark_read(&self, reader: &UserId, scope: ReadScope<'_>) -> StoreResult<ReadOutcome> {
        let (reader, clock) = (reader.clone(), self.clock.clone());
        let scope = read_state::Scope::from(scope);
        self.writer
            .run_with(move |ledger| read_state::mark(ledger, &reader, &scope, clock.now()).map_err(failure))
            .await
    }
}

/// An earlier message of the sender with the same `clientMessageId`: its number and fingerprint.
fn earlier(db: &Connection, sender: i64, client_id: &str) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
    let look = if fault!(IdempotencyOfAnybody) {
        "SELECT num, sent_hash FROM messages WHERE ?1 > 0 AND client_id = ?2"
    } else {
        "SELECT num, sent_hash FROM messages WHERE sender = ?1 AND client_id = ?2"
    };
    db.prepare_cached(look)?
        .query_row((sender, client_id), |found| {
            Ok((found.get(0)?, found.get::<_, Option<_>>(1)?.unwrap_or_default()))
        })
        .optional()
}

/// Stores a message, once, as a part of a group.
pub(super) fn send(ledger: &mut Ledger, clock: &Clock, mut new: NewMessage) -> rusqlite::Result<SendOutcome> {
    if fault!(LostIdempotency) {
        new.client_message_id = None;
    }
    if fault!(ContentTrimmed) {
        new.content = new.content.trim().to_owned();
    }
    let Some(sender) = ledger.user(&new.sender)? else {
        return Ok(SendOutcome::UserNotFound);
    };
    let mut hash = None;
    let mut reused = false;
    if let Some(client_id) = &new.client_message_id {
        let sent = new.fingerprint();
        if let Some((num, first)) = earlier(ledger.db(), sender.num, client_id.as_str())? {
            if first == sent || fault!(ReuseAccepted) {
                // As it was sent: the hash says that the content is the same, and later fates are not part of the answer.
                return Ok(SendOutcome::Repeated(Message {
                    content: new.content,
                    is_read: false,
                    read_at: None,
                    edited_at: None,
                    deleted_at: None,
                    ..by_num(ledger.db(), num)?
                }));
            }
            reused = true;
        }
        hash = Some(sent);
    }
    let receiver = ledger
        .user(&new.receiver)?
        .filter(|receiver| receiver.active || fault!(MessageToInactive));
    let Some(receiver) = receiver.filter(|_| sender.active) else {
        return Ok(SendOutcome::UserNotFound);
    };
    let known = ledger.chat(sender.num, receiver.num)?;
    if new.chat.is_some() && new.chat.as_ref() != known.as_ref().map(|chat| &chat.id) {
        return Ok(SendOutcome::ChatMismatch);
    }
    if reused {
        return Ok(SendOutcome::ClientMessageIdReused);
    }
    let chat = match known {
        Some(chat) => chat,
        None => ledger.create_chat(new.new_chat, sender.num, receiver.num)?,
    };
    let seq = chat.last_seq + if fault!(SeqGap) && chat.last_seq == 2 { 2 } else { 1 };
    let timestamp = clock.now();
    let db = ledger.db();
    db.prepare_cached(
        "INSERT INTO messages (id, chat, seq, sender, receiver, content, type, sent_at, client_id, sent_hash) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        new.id.as_str(),
        chat.num,
        seq,
        sender.num,
        receiver.num,
        &new.content,
        row::type_number(new.message_type),
        timestamp.as_millis(),
        new.client_message_id.as_ref().map(AsRef::as_ref),
        hash,
    ))?;
    let num = db.last_insert_rowid();
    ledger.count(&chat, num, sender.num, receiver.num);
    Ok(SendOutcome::Stored(Message {
        id: new.id,
        chat_id: chat.id,
        seq: Some(seq),
        sender: new.sender,
        receiver: new.receiver,
        content: new.content,
        message_type: new.message_type,
        is_read: false,
        read_at: None,
        timestamp,
        edited_at: None,
        deleted_at: None,
        client_message_id: new.client_message_id,
    }))
}

fn history(
    db: &Connection,
    chat: &ChatId,
    range: HistoryRange,
    limit: usize,
) -> rusqlite::Result<(Vec<Message>, bool)> {
    let (from, comparison, order) = match range {
        HistoryRange::Newest => (i64::MAX, "<", "DESC"),
        HistoryRange::Below(seq) => (i64::try_from(seq).unwrap_or(i64::MAX), "<", "DESC"),
        HistoryRange::Above(seq) => (i64::try_from(seq).unwrap_or(i64::MAX), ">", "ASC"),
    };
    let hidden = if fault!(TombstonesHidden) {
        " AND m.deleted_at IS NULL"
    } else {
        ""
    };
    let mut query = db.prepare_cached(&format!(
        "{MESSAGE} WHERE m.chat = (SELECT num FROM chats WHERE id = ?1) AND m.seq {comparison} ?2{hidden} \
         ORDER BY m.seq {order} LIMIT ?3"
    ))?;
    let found = query.query_map((chat.as_str(), from, limit + 1), row::message)?;
    let mut items = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = items.len() > limit;
    items.truncate(limit);
    Ok((items, more))
}

/// Applies a change that only the sender of a living message may make.
fn own<T>(
    db: &Connection,
    id: &MessageId,
    editor: &UserId,
    change: impl FnOnce(i64) -> rusqlite::Result<T>,
) -> rusqlite::Result<EditOutcome<T>> {
    let found = db
        .prepare_cached(
            "SELECT m.num, s.id = ?2 FROM messages m JOIN users s ON s.num = m.sender \
             JOIN users r ON r.num = m.receiver \
             WHERE m.id = ?1 AND m.deleted_at IS NULL AND (s.id = ?2 OR r.id = ?2)",
        )?
        .query_row((id.as_str(), editor.as_str()), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if fault!(StrangerEdits, StrangerForbidden) {
        let num = db
            .prepare_cached("SELECT num FROM messages WHERE id = ?1 AND deleted_at IS NULL")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        match (found, num) {
            (None, Some(num)) if fault!(StrangerEdits) => return change(num).map(EditOutcome::Done),
            (None, Some(_)) => return Ok(EditOutcome::NotSender),
            _ => {}
        }
    }
    match found {
        None => Ok(EditOutcome::NotFound),
        Some((num, false)) if fault!(ReceiverEdits) => change(num).map(EditOutcome::Done),
        Some((num, false)) if fault!(EditedAllTheSame) => change(num).map(|_| EditOutcome::NotSender),
        Some((_, false)) => Ok(EditOutcome::NotSender),
        Some((num, true)) => change(num).map(EditOutcome::Done),
    }
}

fn by_num(db: &Connection, num: i64) -> rusqlite::Result<Message> {
    db.prepare_cached(&format!("{MESSAGE} WHERE m.num = ?1"))?
        .query_row([num], row::message)
}

/// Tells the indexer that a message it may have indexed has changed.
fn reindex(db: &Connection, num: i64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO reindex (num) VALUES (?1) ON CONFLICT DO UPDATE SET version = version + 1")?
        .execute([num])?;
    Ok(())
}
