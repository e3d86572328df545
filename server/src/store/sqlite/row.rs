//! Rows as types.

use std::str::FromStr;

use chat_protocol::{Message, MessageType, Timestamp};
use rusqlite::Row;
use rusqlite::types::Type;

use crate::store::UserRecord;

/// Columns that [`message`] reads.
pub(super) const MESSAGE: &str = "SELECT m.id, c.id, m.seq, s.id, r.id, m.content, m.type, m.sent_at, m.read_at, \
     m.edited_at, m.deleted_at, m.client_id, m.num FROM messages m JOIN chats c ON c.num = m.chat \
     JOIN users s ON s.num = m.sender JOIN users r ON r.num = m.receiver";

/// Where [`MESSAGE`] has the message's number.
pub(super) const MESSAGE_NUM: usize = 12;

pub(super) fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let kind: usize = row.get(6)?;
    let read_at = time(row, 8)?;
    Ok(Message {
        id: id(row, 0)?,
        chat_id: id(row, 1)?,
        seq: Some(row.get(2)?),
        sender: id(row, 3)?,
        receiver: id(row, 4)?,
        content: row.get(5)?,
        message_type: MessageType::ALL.get(kind).copied().unwrap_or_default(),
        is_read: read_at.is_some(),
        read_at,
        timestamp: Timestamp::from_millis(row.get(7)?),
        edited_at: time(row, 9)?,
        deleted_at: time(row, 10)?,
        client_message_id: row
            .get::<_, Option<String>>(11)?
            .map(|text| parse(&text, 11))
            .transpose()?,
    })
}

/// The number that a message type is stored as.
pub(super) fn type_number(kind: MessageType) -> usize {
    MessageType::ALL.iter().position(|known| *known == kind).unwrap_or(0)
}

/// Columns that [`user`] reads, where `presence.db` is attached.
pub(super) const USER: &str = "SELECT u.id, u.username, u.email, u.profile_picture, u.bio, u.created_at, u.active, \
     (SELECT at FROM presence.last_seen WHERE user = u.id) FROM users u";

/// The same on the writer's connection, which knows no last-seen times.
pub(super) const USER_UNSEEN: &str =
    "SELECT u.id, u.username, u.email, u.profile_picture, u.bio, u.created_at, u.active, NULL FROM users u";

pub(super) fn user(row: &Row<'_>) -> rusqlite::Result<UserRecord> {
    Ok(UserRecord {
        id: id(row, 0)?,
        username: row.get(1)?,
        email: row.get(2)?,
        profile_picture: row.get(3)?,
        bio: row.get(4)?,
        created_at: Timestamp::from_millis(row.get(5)?),
        active: row.get(6)?,
        last_seen: time(row, 7)?,
    })
}

pub(super) fn id<T: FromStr>(row: &Row<'_>, at: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    parse(row.get_ref(at)?.as_str()?, at)
}

pub(super) fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_millis))
}

fn parse<T: FromStr>(text: &str, at: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}
