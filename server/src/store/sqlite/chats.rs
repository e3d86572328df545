//! Chats, their members, and the list of chats.

use chat_protocol::{ChatId, UserId};
use rusqlite::{Connection, OptionalExtension as _};

use super::failure;
use super::row::{self, MESSAGE};
use crate::store::message::ChatsPlace;
use crate::store::{ChatRecord, Position, Slice, StoreResult};

/// Makes the chat of two users; returns its number.
pub(super) fn create(db: &Connection, id: &ChatId, one: i64, other: i64) -> rusqlite::Result<i64> {
    db.prepare_cached("INSERT INTO chats (id, one, other) VALUES (?1, ?2, ?3)")?
        .execute((id.as_str(), one, other))?;
    let chat = db.last_insert_rowid();
    let mut join = db.prepare_cached("INSERT INTO members (user, chat, peer) VALUES (?1, ?2, ?3)")?;
    join.execute((one, chat, other))?;
    join.execute((other, chat, one))?;
    Ok(chat)
}

pub(super) fn of(db: &Connection, one: &UserId, other: &UserId) -> StoreResult<Option<ChatId>> {
    db.prepare_cached(
        "WITH pair (a, b) AS (SELECT (SELECT num FROM users WHERE id = ?1), (SELECT num FROM users WHERE id = ?2)) \
         SELECT chats.id FROM pair JOIN chats ON one = min(a, b) AND other = max(a, b)",
    )
    .and_then(|mut query| {
        query
            .query_row((one.as_str(), other.as_str()), |found| row::id(found, 0))
            .optional()
    })
    .map_err(failure)
}

pub(super) fn participants(db: &Connection, chat: &ChatId) -> StoreResult<Option<[UserId; 2]>> {
    db.prepare_cached(
        "SELECT a.id, b.id FROM chats JOIN users a ON a.num = one JOIN users b ON b.num = other WHERE chats.id = ?1",
    )
    .and_then(|mut query| {
        query
            .query_row([chat.as_str()], |found| Ok([row::id(found, 0)?, row::id(found, 1)?]))
            .optional()
    })
    .map_err(failure)
}

pub(super) fn partners(db: &Connection, user: &UserId) -> StoreResult<Vec<UserId>> {
    let find = || -> rusqlite::Result<Vec<UserId>> {
        let mut query = db.prepare_cached(
            "SELECT u.id FROM members p JOIN users u ON u.num = p.peer \
             WHERE p.user = (SELECT num FROM users WHERE id = ?1)",
        )?;
        query.query_map([user.as_str()], |found| row::id(found, 0))?.collect()
    };
    find().map_err(failure)
}

/// The list as of its first page. A chat that got messages since is looked up by the newest message it had then, so it
/// appears exactly once, in its old place, with its newest content.
pub(super) fn list(
    db: &Connection,
    user: &UserId,
    from: Option<&Position>,
    limit: usize,
) -> StoreResult<Slice<ChatRecord>> {
    let place = from.map(ChatsPlace::read).transpose()?;
    page(db, user, place, limit).map_err(failure)
}

fn page(
    db: &Connection,
    user: &UserId,
    place: Option<ChatsPlace>,
    limit: usize,
) -> rusqlite::Result<Slice<ChatRecord>> {
    let place = match place {
        Some(place) => place,
        None => ChatsPlace {
            start: db.query_row("SELECT coalesce(max(num), 0) FROM messages", [], |row| row.get(0))?,
            below: i64::MAX,
        },
    };
    let user_num: Option<i64> = db
        .prepare_cached("SELECT num FROM users WHERE id = ?1")?
        .query_row([user.as_str()], |row| row.get(0))
        .optional()?;
    let Some(user_num) = user_num else {
        return Ok(Slice {
            items: Vec::new(),
            next: None,
        });
    };
    // (chat, the message it is listed by)
    let mut listed: Vec<(i64, i64)> = db
        .prepare_cached(
            "SELECT chat, last_num FROM members WHERE user = ?1 AND last_num < ?2 ORDER BY last_num DESC LIMIT ?3",
        )?
        .query_map((user_num, place.below.min(place.start + 1), limit + 1), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    if !fault!(MovedChatsLost) {
        listed.extend(moved(db, user_num, place)?);
    }
    listed.sort_by_key(|(_, num)| std::cmp::Reverse(*num));
    if fault!(ChatsUnordered) {
        listed.sort_by_key(|(chat, _)| *chat);
    }
    let more = listed.len() > limit;
    listed.truncate(limit);
    let last = listed.last().filter(|_| more);
    let next = last.map(|(_, num)| ChatsPlace { below: *num, ..place }.position());
    let mut query = db.prepare_cached(&format!(
        "{} WHERE m.num = (SELECT last_num FROM members WHERE user = ?1 AND chat = ?2)",
        MESSAGE.replace(
            " FROM messages m",
            ", (SELECT unread FROM members WHERE user = ?1 AND chat = ?2) FROM messages m"
        )
    ))?;
    let chats = listed.iter().map(|(chat, _)| {
        query.query_row((user_num, chat), |found| {
            let last_message = row::message(found)?;
            let peer = if last_message.sender == *user {
                &last_message.receiver
            } else {
                &last_message.sender
            };
            Ok(ChatRecord {
                id: last_message.chat_id.clone(),
                peer: peer.clone(),
                unread: found.get::<_, u64>(13)? + u64::from(fault!(UnreadOffByOne)),
                last_message,
            })
        })
    });
    let items = chats.collect::<rusqlite::Result<_>>()?;
    Ok(Slice { items, next })
}

/// Chats that got messages since the walk began and were not shown before.
fn moved(db: &Connection, user: i64, place: ChatsPlace) -> rusqlite::Result<Vec<(i64, i64)>> {
    if place.below == i64::MAX {
        return Ok(Vec::new());
    }
    let mut since = db.prepare_cached("SELECT chat FROM members WHERE user = ?1 AND last_num > ?2")?;
    // Messages of a chat have ascending numbers as they have ascending seqs, so the index of (chat, seq) finds it.
    let mut then =
        db.prepare_cached("SELECT num FROM messages WHERE chat = ?1 AND num <= ?2 ORDER BY seq DESC LIMIT 1")?;
    let mut found = Vec::new();
    for chat in since.query_map((user, place.start), |row| row.get::<_, i64>(0))? {
        let chat = chat?;
        let num: Option<i64> = then.query_row((chat, place.start), |row| row.get(0)).optional()?;
        found.extend(num.filter(|num| *num < place.below).map(|num| (chat, num)));
    }
    Ok(found)
}
