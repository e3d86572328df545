//! Search of messages: what the index knows, and what it does not know yet.

use std::collections::BinaryHeap;

use chat_protocol::{ChatId, Message, UserId};
use rusqlite::{Connection, OptionalExtension as _};

use super::failure;
use super::row::{self, MESSAGE, MESSAGE_NUM};
use crate::store::fold::fold;
use crate::store::{Position, Slice, StoreError, StoreResult};

/// The index finds nothing shorter.
const TRIGRAM: usize = 3;

/// A query of FTS5 that means exactly this text.
pub(super) fn phrase(text: &str) -> String {
    // Without positions (detail=none) the index knows no phrases: every trigram must be there, and the caller looks at the
    // text itself.
    let scalars: Vec<char> = text.chars().collect();
    let trigrams = scalars.windows(TRIGRAM).map(|trigram| {
        let trigram: String = trigram.iter().collect();
        format!("\"{}\"", trigram.replace('"', "\"\""))
    });
    trigrams.collect::<Vec<_>>().join(" AND ")
}

pub(super) fn messages(
    db: &Connection,
    user: &UserId,
    query: &str,
    chat: Option<&ChatId>,
    from: Option<&Position>,
    limit: usize,
) -> StoreResult<Slice<Message>> {
    let below = match from {
        Some(position) => position.0.parse().map_err(|_| StoreError::BadPosition)?,
        None => i64::MAX,
    };
    find(db, user, query, chat, below, limit).map_err(failure)
}

fn find(
    db: &Connection,
    user: &UserId,
    query: &str,
    chat: Option<&ChatId>,
    below: i64,
    limit: usize,
) -> rusqlite::Result<Slice<Message>> {
    let nothing = Slice {
        items: Vec::new(),
        next: None,
    };
    let me: Option<i64> = db
        .prepare_cached("SELECT num FROM users WHERE id = ?1")?
        .query_row([user.as_str()], |row| row.get(0))
        .optional()?;
    let Some(me) = me else { return Ok(nothing) };
    let only: Option<i64> = match chat {
        None => None,
        Some(chat) => {
            let num = db
                .prepare_cached(
                    "SELECT c.num FROM chats c JOIN members p ON p.user = ?2 AND p.chat = c.num WHERE c.id = ?1",
                )?
                .query_row((chat.as_str(), me), |row| row.get(0))
                .optional()?;
            let Some(num) = num else { return Ok(nothing) };
            Some(num)
        }
    };
    let needle = if fault!(SearchInCase) {
        query.to_owned()
    } else {
        fold(query)
    };
    // No content has NUL, and the index's query language ends at one.
    if needle.contains('\0') {
        return Ok(nothing);
    }
    let mut page = Page {
        items: Vec::new(),
        limit: limit + 1,
    };
    // The index's own state is read before any message: whatever it claims to know is then there to be read.
    let indexed: i64 = db.query_row("SELECT indexed FROM search.progress", [], |row| row.get(0))?;
    if needle.chars().count() < TRIGRAM {
        walk(db, me, only, below, 0, &needle, &mut page)?;
    } else {
        walk(db, me, only, below, indexed, &needle, &mut page)?;
        if page.items.len() < page.limit {
            in_index(db, me, only, below.min(indexed + 1), &needle, &mut page)?;
        }
    }
    page.items.sort_by_key(|(num, _)| std::cmp::Reverse(*num));
    page.items.dedup_by_key(|(num, _)| *num);
    let more = page.items.len() > limit;
    page.items.truncate(limit);
    let next = page
        .items
        .last()
        .filter(|_| more)
        .map(|(num, _)| Position(num.to_string()));
    let items = page.items.into_iter().map(|(_, message)| message).collect();
    Ok(Slice { items, next })
}

/// Matches so far.
struct Page {
    items: Vec<(i64, Message)>,
    limit: usize,
}

impl Page {
    /// Keeps the message if it matches; `false` when there is no need to go on.
    fn offer(&mut self, row: &rusqlite::Row<'_>, needle: &str) -> rusqlite::Result<bool> {
        let content = row.get_ref(5)?.as_str()?;
        let living = row.get::<_, Option<i64>>(10)?.is_none() || fault!(DeletedInSearch);
        if living && matches(content, needle) {
            self.items.push((row.get(MESSAGE_NUM)?, row::message(row)?));
        }
        Ok(self.items.len() < self.limit)
    }
}

/// Whether a folded needle is in a text.
fn matches(content: &str, needle: &str) -> bool {
    if fault!(SearchOfPatterns) {
        return fold(content).contains(needle.trim_matches(['%', '_', '.', '*']));
    }
    fold(content).contains(needle)
}

/// Reads own messages one by one, newest first, above `above`. The chats are merged by their newest message not yet read, so a
/// chat costs nothing before its turn comes.
fn walk(
    db: &Connection,
    me: i64,
    only: Option<i64>,
    below: i64,
    above: i64,
    needle: &str,
    page: &mut Page,
) -> rusqlite::Result<()> {
    let mut members = db.prepare_cached(
        "SELECT last_num, chat FROM members WHERE user = ?1 AND last_num > ?2 AND (?3 IS NULL OR chat = ?3)",
    )?;
    let heads = members.query_map((me, above, only), |row| Ok((row.get(0)?, row.get(1)?)))?;
    // (newest message that may come, chat, seq to go on below)
    let mut heads: BinaryHeap<(i64, i64, i64)> = heads
        .map(|head| head.map(|(num, chat): (i64, i64)| (num, chat, i64::MAX)))
        .collect::<rusqlite::Result<_>>()?;
    let mut next = db.prepare_cached(&format!(
        "{MESSAGE} WHERE m.chat = ?1 AND m.seq < ?2 ORDER BY m.seq DESC LIMIT ?3"
    ))?;
    while let Some((_, chat, seq)) = heads.pop() {
        let rival = heads.peek().map_or(above, |head| head.0);
        let mut rows = next.query((chat, seq, 256))?;
        let mut read = 0;
        while let Some(row) = rows.next()? {
            read += 1;
            let num: i64 = row.get(MESSAGE_NUM)?;
            if num <= above {
                break;
            }
            if num < rival {
                // Another chat has newer ones: this one goes on after it.
                heads.push((num, chat, row.get::<_, i64>(2)? + 1));
                break;
            }
            if num < below && !page.offer(row, needle)? {
                return Ok(());
            }
            if read == 256 {
                heads.push((num, chat, row.get(2)?));
            }
        }
    }
    Ok(())
}

/// Asks the index, newest first, and looks at each message itself: the index may be behind an edit.
fn in_index(
    db: &Connection,
    me: i64,
    only: Option<i64>,
    below: i64,
    needle: &str,
    page: &mut Page,
) -> rusqlite::Result<()> {
    let mine = if fault!(SearchEverywhere) {
        "m.num < ?1 AND (?2 OR ?3 OR TRUE)"
    } else {
        "m.num < ?1 AND (m.sender = ?2 OR m.receiver = ?2) AND (?3 IS NULL OR m.chat = ?3)"
    };
    // Edited since they were indexed: few, and not to be found by what they were.
    let mut edited = db.prepare_cached(&format!(
        "{MESSAGE} WHERE m.num IN (SELECT num FROM reindex) AND {mine}"
    ))?;
    let mut rows = edited.query((below, me, only))?;
    let mut extra = Page {
        items: Vec::new(),
        limit: usize::MAX,
    };
    while let Some(row) = rows.next()? {
        extra.offer(row, needle)?;
    }
    let mut matching = db.prepare_cached(
        "SELECT rowid FROM search.trigrams WHERE trigrams MATCH ?1 AND rowid < ?2 ORDER BY rowid DESC",
    )?;
    let mut one = db.prepare_cached(&format!("{MESSAGE} WHERE m.num = ?4 AND {mine}"))?;
    let mut nums = matching.query((phrase(needle), below))?;
    while let Some(found) = nums.next()? {
        let num: i64 = found.get(0)?;
        let mut rows = one.query((below, me, only, num))?;
        if let Some(row) = rows.next()?
            && !page.offer(row, needle)?
        {
            break;
        }
    }
    page.items.append(&mut extra.items);
    Ok(())
}
