//! Tables and their versions.
//!
//! `num` columns are rowids, given in the order of commits. Messages of one chat have ascending `num` as they have ascending
//! `seq`, so one number is the keyset of every list that is newest first.

use rusqlite::Connection;

use super::failure;
use crate::store::{StoreError, StoreResult};

/// A step from version n to n + 1, each in a transaction of its own. Steps are never changed once released.
const CHAT: &[&str] = &[
    "
    CREATE TABLE users (
        num INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        username TEXT NOT NULL,
        username_key TEXT NOT NULL UNIQUE,
        email TEXT NOT NULL UNIQUE,
        password TEXT NOT NULL,
        profile_picture TEXT,
        bio TEXT,
        created_at INTEGER NOT NULL,
        active INTEGER NOT NULL DEFAULT 1
    ) STRICT;
    CREATE VIRTUAL TABLE username_trigrams USING fts5(
        username_key, content='', contentless_delete=1, detail=none, tokenize='trigram case_sensitive 1'
    );
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        user INTEGER NOT NULL REFERENCES users,
        generation INTEGER NOT NULL DEFAULT 0,
        refresh_number INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sessions_by_user ON sessions (user);
    CREATE INDEX sessions_by_expiry ON sessions (expires_at);
    CREATE TABLE chats (
        num INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        one INTEGER NOT NULL REFERENCES users,
        other INTEGER NOT NULL REFERENCES users,
        last_seq INTEGER NOT NULL DEFAULT 0,
        UNIQUE (one, other),
        CHECK (one < other)
    ) STRICT;
    CREATE TABLE members (
        user INTEGER NOT NULL,
        chat INTEGER NOT NULL,
        peer INTEGER NOT NULL,
        unread INTEGER NOT NULL DEFAULT 0 CHECK (unread >= 0),
        last_num INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (user, chat)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX members_by_activity ON members (user, last_num);
    CREATE TABLE messages (
        num INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        chat INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        sender INTEGER NOT NULL,
        receiver INTEGER NOT NULL,
        content TEXT NOT NULL,
        type INTEGER NOT NULL,
        sent_at INTEGER NOT NULL,
        read_at INTEGER,
        edited_at INTEGER,
        deleted_at INTEGER,
        client_id TEXT,
        sent_hash BLOB,
        UNIQUE (chat, seq)
    ) STRICT;
    CREATE UNIQUE INDEX messages_by_client_id ON messages (sender, client_id) WHERE client_id IS NOT NULL;
    CREATE TABLE reindex (num INTEGER PRIMARY KEY, version INTEGER NOT NULL DEFAULT 1) STRICT;
",
    // The index of (chat, seq) knows it, without a write per message.
    "ALTER TABLE chats DROP COLUMN last_seq;",
];

const PRESENCE: &[&str] =
    &["CREATE TABLE last_seen (user TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"];

const SEARCH: &[&str] = &[
    "
    CREATE VIRTUAL TABLE trigrams USING fts5(
        folded, content='', contentless_delete=1, detail=none, tokenize='trigram case_sensitive 1'
    );
    CREATE TABLE progress (one INTEGER PRIMARY KEY CHECK (one = 1), indexed INTEGER NOT NULL) STRICT;
    INSERT INTO progress VALUES (1, 0);
",
    MERGES,
];

/// Parts of the index are put together by sixteens instead of fours, which writes an entry half as often. A search looks into a few
/// more parts.
const MERGES: &str = "
    INSERT INTO trigrams (trigrams, rank) VALUES ('automerge', 16);
    INSERT INTO trigrams (trigrams, rank) VALUES ('crisismerge', 32);
";

/// One of the store's files.
#[derive(Debug, Clone, Copy)]
pub(super) enum Database {
    Chat,
    Presence,
    Search,
}

impl Database {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Chat => "chat.db",
            Self::Presence => "presence.db",
            Self::Search => "search.db",
        }
    }

    fn steps(self) -> &'static [&'static str] {
        match self {
            Self::Chat => CHAT,
            Self::Presence => PRESENCE,
            Self::Search => SEARCH,
        }
    }

    /// Brings the file to the newest version. A file of a newer program is left alone.
    pub(super) fn migrate(self, db: &mut Connection) -> StoreResult<()> {
        let steps = self.steps();
        loop {
            let tx = db
                .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
                .map_err(failure)?;
            let version: usize = tx
                .query_row("PRAGMA user_version", [], |row| row.get(0))
                .map_err(failure)?;
            if version > steps.len() {
                return Err(StoreError::Broken(format!(
                    "{} has version {version}, this program knows versions up to {}: run the newer program",
                    self.file(),
                    steps.len()
                )));
            }
            let Some(step) = steps.get(version) else { return Ok(()) };
            tx.execute_batch(step).map_err(failure)?;
            tx.pragma_update(None, "user_version", version + 1).map_err(failure)?;
            tx.commit().map_err(failure)?;
            tracing::info!(file = self.file(), version = version + 1, "store migrated");
        }
    }
}
