//! What the writer remembers between messages, so that storing one costs one insert: who the users are, how far each chat has
//! come, and counters that are written once per group instead of once per message.
//!
//! Only the writer writes, but an operator's command may do so beside it: a change by another connection is noticed at the
//! beginning of each group, and everything is forgotten.

use std::collections::HashMap;

use chat_protocol::{ChatId, UserId};
use lru::LruCache;
use rusqlite::{Connection, OptionalExtension as _};

use super::{chats, row};

/// Users and chats that are remembered; those unused for the longest time go first.
const MOST: usize = 65_536;

pub(super) struct Ledger {
    db: Connection,
    /// SQLite's count of changes by other connections.
    version: Option<i64>,
    users: LruCache<UserId, KnownUser>,
    /// By both users' numbers, the smaller one first.
    chats: LruCache<(i64, i64), KnownChat>,
    /// What the group has changed for members of chats and not written yet, by the numbers of user and chat.
    counts: HashMap<(i64, i64), Counted>,
}

#[derive(Clone, Copy)]
pub(super) struct KnownUser {
    pub(super) num: i64,
    pub(super) active: bool,
}

#[derive(Clone)]
pub(super) struct KnownChat {
    pub(super) num: i64,
    pub(super) id: ChatId,
    pub(super) last_seq: u64,
}

/// What is new of a chat for one of its members.
#[derive(Default)]
struct Counted {
    /// The last message, if there is a new one.
    last_num: Option<i64>,
    /// How many more are unread, or how many fewer.
    unread: i64,
}

impl Ledger {
    pub(super) fn new(db: Connection) -> Self {
        Self {
            db,
            version: None,
            // Unbounded only in name: bounded ones would reserve their whole memory at once.
            users: LruCache::unbounded(),
            chats: LruCache::unbounded(),
            counts: HashMap::new(),
        }
    }

    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let version = self
            .db
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if self.version.replace(version) != Some(version) {
            self.forget();
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        self.settle()?;
        self.db.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Undoes what was begun, if anything.
    pub(super) fn roll_back(&mut self) -> rusqlite::Result<()> {
        self.counts.clear();
        self.forget();
        match self.db.is_autocommit() {
            true => Ok(()),
            false => self.db.execute_batch("ROLLBACK"),
        }
    }

    /// To be called by whoever changes what is remembered here.
    pub(super) fn forget(&mut self) {
        self.users.clear();
        self.chats.clear();
    }

    /// The connection, with every counter as it must be.
    pub(super) fn settled(&mut self) -> rusqlite::Result<&Connection> {
        self.settle()?;
        Ok(&self.db)
    }

    /// The connection, for those who neither read nor change counters.
    pub(super) fn db(&self) -> &Connection {
        &self.db
    }

    pub(super) fn user(&mut self, id: &UserId) -> rusqlite::Result<Option<KnownUser>> {
        if let Some(known) = self.users.get(id) {
            return Ok(Some(*known));
        }
        let found = self
            .db
            .prepare_cached("SELECT num, active FROM users WHERE id = ?1")?
            .query_row([id.as_str()], |row| {
                Ok(KnownUser {
                    num: row.get(0)?,
                    active: row.get(1)?,
                })
            })
            .optional()?;
        if let Some(known) = found {
            self.users.put(id.clone(), known);
            if self.users.len() > MOST {
                self.users.pop_lru();
            }
        }
        Ok(found)
    }

    /// The chat of two users, if they have one.
    pub(super) fn chat(&mut self, one: i64, other: i64) -> rusqlite::Result<Option<KnownChat>> {
        let pair = (one.min(other), one.max(other));
        if let Some(known) = self.chats.get(&pair) {
            return Ok(Some(known.clone()));
        }
        let found = self
            .db
            .prepare_cached(
                "SELECT num, id, (SELECT coalesce(max(seq), 0) FROM messages WHERE chat = chats.num) FROM chats \
                 WHERE one = ?1 AND other = ?2",
            )?
            .query_row(pair, |found| {
                Ok(KnownChat {
                    num: found.get(0)?,
                    id: row::id(found, 1)?,
                    last_seq: found.get(2)?,
                })
            })
            .optional()?;
        if let Some(known) = &found {
            self.remember(pair, known.clone());
        }
        Ok(found)
    }

    /// Makes the chat of two users.
    pub(super) fn create_chat(&mut self, id: ChatId, one: i64, other: i64) -> rusqlite::Result<KnownChat> {
        let pair = (one.min(other), one.max(other));
        let created = KnownChat {
            num: chats::create(&self.db, &id, pair.0, pair.1)?,
            id,
            last_seq: 0,
        };
        self.remember(pair, created.clone());
        Ok(created)
    }

    /// Counts a message that was inserted as number `num`.
    pub(super) fn count(&mut self, chat: &KnownChat, num: i64, sender: i64, receiver: i64) {
        if let Some(known) = self.chats.get_mut(&(sender.min(receiver), sender.max(receiver))) {
            known.last_seq += if fault!(SeqGap) && known.last_seq == 2 { 2 } else { 1 };
        }
        for user in [sender, receiver] {
            let counted = self.counts.entry((user, chat.num)).or_default();
            counted.last_num = Some(num);
            counted.unread += i64::from(user == receiver || fault!(UnreadCountsOwn));
        }
    }

    /// Counts that a member of a chat has read a message.
    pub(super) fn count_read(&mut self, chat: i64, reader: i64) {
        self.counts.entry((reader, chat)).or_default().unread -= 1;
    }

    fn remember(&mut self, pair: (i64, i64), chat: KnownChat) {
        self.chats.put(pair, chat);
        if self.chats.len() > MOST {
            self.chats.pop_lru();
        }
    }

    fn settle(&mut self) -> rusqlite::Result<()> {
        if self.counts.is_empty() {
            return Ok(());
        }
        let mut member = self
            .db
            .prepare_cached("UPDATE members SET last_num = ?3, unread = unread + ?4 WHERE user = ?1 AND chat = ?2")?;
        // The index of activity stays as it is where nobody wrote.
        let mut reader = self
            .db
            .prepare_cached("UPDATE members SET unread = unread + ?3 WHERE user = ?1 AND chat = ?2")?;
        for ((user, chat), counted) in self.counts.drain() {
            match counted.last_num {
                Some(last_num) => member.execute((user, chat, last_num, counted.unread))?,
                None => reader.execute((user, chat, counted.unread))?,
            };
        }
        Ok(())
    }
}
