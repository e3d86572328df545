//! Read marks and the unread counter, which change together.

use chat_protocol::{ChatId, MessageId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension as _};

use super::ledger::Ledger;
use super::row;
use crate::store::{ReadMark, ReadOutcome, ReadScope};

/// [`ReadScope`], owned.
pub(super) enum Scope {
    Messages(Vec<MessageId>),
    MessageIn(MessageId, ChatId),
    Chat(ChatId),
}

impl From<ReadScope<'_>> for Scope {
    fn from(scope: ReadScope<'_>) -> Self {
        match scope {
            ReadScope::Messages(ids) => Self::Messages(ids.to_vec()),
            ReadScope::MessageIn(id, chat) => Self::MessageIn(id.clone(), chat.clone()),
            ReadScope::Chat(chat) => Self::Chat(chat.clone()),
        }
    }
}

/// An unread message.
struct Unread {
    num: i64,
    chat: i64,
    mark: ReadMark,
}

/// Columns that [`unread`] reads.
const UNREAD: &str = "SELECT m.num, m.chat, m.id, c.id, s.id FROM messages m JOIN chats c ON c.num = m.chat \
     JOIN users s ON s.num = m.sender";

pub(super) fn mark(
    ledger: &mut Ledger,
    reader: &UserId,
    scope: &Scope,
    at: Timestamp,
) -> rusqlite::Result<ReadOutcome> {
    let reader = ledger.user(reader)?.map_or(-1, |known| known.num);
    let found = match scope {
        Scope::Messages(ids) => find(ledger.db(), reader, ids, None, at)?,
        Scope::MessageIn(id, chat) => find(ledger.db(), reader, std::slice::from_ref(id), Some(chat), at)?,
        // The counter says how far to look.
        Scope::Chat(chat) => in_chat(ledger.settled()?, reader, chat, at)?,
    };
    let unread = match found {
        Ok(unread) => unread,
        Err(refusal) => return Ok(refusal),
    };
    let unread_still = "SELECT read_at IS NULL FROM messages WHERE num = ?1";
    for message in &unread {
        if !fault!(ReadAgain) || (ledger.db()).query_row(unread_still, [message.num], |row| row.get(0))? {
            ledger.count_read(message.chat, reader);
        }
        ledger
            .db()
            .prepare_cached("UPDATE messages SET read_at = ?2 WHERE num = ?1")?
            .execute((message.num, at.as_millis()))?;
    }
    Ok(ReadOutcome::Done(unread.into_iter().map(|u| u.mark).collect()))
}

/// Looks every message up before anything changes.
fn find(
    db: &Connection,
    reader: i64,
    ids: &[MessageId],
    chat: Option<&ChatId>,
    at: Timestamp,
) -> rusqlite::Result<Result<Vec<Unread>, ReadOutcome>> {
    let mine = if fault!(StrangerReads) {
        "?2 IS NOT NULL"
    } else {
        "(m.sender = ?2 OR m.receiver = ?2)"
    };
    let there = if fault!(ReceiptIgnoresChat) {
        "(?3 IS NULL OR TRUE)"
    } else {
        "(?3 IS NULL OR c.id = ?3)"
    };
    let mut query = db.prepare_cached(&format!(
        "{} WHERE m.id = ?1 AND {mine} AND {there}",
        UNREAD.replace(
            " FROM messages",
            ", m.sender = ?2, m.read_at IS NULL AND m.deleted_at IS NULL FROM messages"
        )
    ))?;
    let mut messages: Vec<Unread> = Vec::new();
    let mut own = false;
    for id in ids {
        let found = query
            .query_row((id.as_str(), reader, chat.map(AsRef::as_ref)), |row| {
                Ok((unread(row, at)?, row.get::<_, bool>(5)?, row.get::<_, bool>(6)?))
            })
            .optional()?;
        let Some((message, is_own, is_unread)) = found else {
            return Ok(Err(ReadOutcome::MessageNotFound));
        };
        own |= is_own;
        if (is_unread || fault!(ReadAgain)) && messages.iter().all(|known| known.num != message.num) {
            messages.push(message);
        }
    }
    if own {
        return Ok(Err(ReadOutcome::NotReceiver));
    }
    messages.sort_by_key(|message| message.num);
    Ok(Ok(messages))
}

/// Walks back from the newest message until as many as the counter says are found: unread messages are the newest ones, so
/// this costs what it marks, however long the chat is.
fn in_chat(
    db: &Connection,
    reader: i64,
    chat: &ChatId,
    at: Timestamp,
) -> rusqlite::Result<Result<Vec<Unread>, ReadOutcome>> {
    let member: Option<(i64, i64)> = db
        .prepare_cached(
            "SELECT c.num, p.unread FROM chats c JOIN members p ON p.chat = c.num AND p.user = ?2 WHERE c.id = ?1",
        )?
        .query_row((chat.as_str(), reader), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((chat, count)) = member else {
        return Ok(Err(ReadOutcome::ChatNotFound));
    };
    let mut query = db.prepare_cached(&format!(
        "{UNREAD} WHERE m.chat = ?1 AND m.receiver = ?2 AND m.read_at IS NULL AND m.deleted_at IS NULL \
         ORDER BY m.seq DESC LIMIT ?3"
    ))?;
    let found = query.query_map((chat, reader, count), |row| unread(row, at))?;
    let mut messages = found.collect::<rusqlite::Result<Vec<_>>>()?;
    messages.reverse();
    Ok(Ok(messages))
}

fn unread(row: &rusqlite::Row<'_>, read_at: Timestamp) -> rusqlite::Result<Unread> {
    Ok(Unread {
        num: row.get(0)?,
        chat: row.get(1)?,
        mark: ReadMark {
            message: row::id(row, 2)?,
            chat: row::id(row, 3)?,
            sender: row::id(row, 4)?,
            read_at,
        },
    })
}
