//! The embedded store: SQLite files in one directory.
//!
//! `chat.db` is the truth: users, sessions, chats, messages; one writer, every commit flushed. `presence.db` holds last-seen
//! times with a writer of its own, so that presence never waits for messages nor they for it. `search.db` is made from
//! `chat.db` behind the write path and may be deleted at any time.

mod chats;
mod indexer;
mod ledger;
mod messages;
#[cfg(test)]
mod plans;
mod presence;
mod read_state;
mod reader;
mod row;
mod schema;
mod search;
mod sessions;
#[cfg(test)]
mod tests;
mod users;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chat_protocol::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use self::indexer::Indexer;
use self::reader::Readers;
use self::schema::Database;
use self::writer::Writer;
use super::{Store, StoreError, StoreResult};
use crate::metrics::StoreMetrics;

/// Opened once per directory; see the module.
pub struct SqliteStore {
    writer: Writer,
    presence: Writer,
    readers: Readers,
    indexer: Indexer,
    clock: Arc<Clock>,
    /// Held while a server uses the directory.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens or makes the store in `dir`, for a server: nobody else may serve from it meanwhile. Needs a Tokio runtime.
    pub fn open(dir: &Path, metrics: StoreMetrics) -> StoreResult<Arc<Self>> {
        make_dir(dir)?;
        let lock = lock(dir)?;
        Self::start(dir, metrics, Some(lock))
    }

    /// Opens the store beside a server that may be running: for the operator's commands.
    pub fn open_beside(dir: &Path) -> StoreResult<Arc<Self>> {
        if !dir.join(Database::Chat.file()).exists() {
            let text = format!(
                "there is no store in {}: has a server run with this DATA_DIR?",
                dir.display()
            );
            return Err(StoreError::Unavailable(text));
        }
        Self::start(dir, StoreMetrics::default(), None)
    }

    fn start(dir: &Path, metrics: StoreMetrics, lock: Option<File>) -> StoreResult<Arc<Self>> {
        let chat = open(dir, Database::Chat)?;
        let presence = open(dir, Database::Presence)?;
        let search = open(dir, Database::Search)?;
        let clock = Arc::new(Clock::new(&chat)?);
        let readers = Readers::new(dir);
        let indexer = Indexer::start(dir, search)?;
        let wake = indexer.waker();
        Ok(Arc::new(Self {
            writer: Writer::start(chat, metrics, wake)?,
            presence: Writer::start(presence, StoreMetrics::default(), || {})?,
            readers,
            indexer,
            clock,
            _lock: lock,
        }))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn check(&self) -> StoreResult<()> {
        self.readers
            .read(|db| db.query_row("SELECT 1", [], |_| Ok(())).map_err(failure))
            .await?;
        // The version is written to itself: a write that changes nothing and still must reach the disk.
        self.writer
            .run(|db| {
                let id: i64 = db
                    .query_row("PRAGMA application_id", [], |row| row.get(0))
                    .map_err(failure)?;
                db.pragma_update(None, "application_id", id).map_err(failure)
            })
            .await
    }

    async fn close(&self) {
        self.writer.close().await;
        self.presence.close().await;
        self.indexer.close().await;
        self.readers.close().await;
    }

    fn queue_depth(&self) -> usize {
        self.writer.depth()
    }

    async fn search_caught_up(&self) -> StoreResult<()> {
        self.writer.run(|_| Ok(())).await?;
        self.indexer.caught_up().await
    }
}

/// Times that never go back, so that the order of times is the order of commits.
struct Clock(AtomicI64);

impl Clock {
    fn new(db: &Connection) -> StoreResult<Self> {
        let last = db
            .query_row(
                "SELECT coalesce((SELECT sent_at FROM messages WHERE num = (SELECT max(num) FROM messages)), 0)",
                [],
                |row| row.get(0),
            )
            .map_err(failure)?;
        Ok(Self(AtomicI64::new(last)))
    }

    fn now(&self) -> Timestamp {
        let now = Timestamp::now().as_millis();
        Timestamp::from_millis(self.0.fetch_max(now, Ordering::Relaxed).max(now))
    }
}

fn make_dir(dir: &Path) -> StoreResult<()> {
    std::fs::create_dir_all(dir)
        .map_err(|error| StoreError::Unavailable(format!("cannot make the directory {}: {error}", dir.display())))
}

fn lock(dir: &Path) -> StoreResult<File> {
    let path = dir.join("server.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| StoreError::Unavailable(format!("cannot open {}: {error}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "another server uses {}: stop it, or choose another DATA_DIR",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(StoreError::Unavailable(format!(
            "cannot lock {}: {error}",
            path.display()
        ))),
    }
}

fn open(dir: &Path, database: Database) -> StoreResult<Connection> {
    let path = dir.join(database.file());
    let in_file = |error| match failure(error) {
        StoreError::Broken(text) => StoreError::Broken(format!("{}: {text}", path.display())),
        StoreError::Unavailable(text) => StoreError::Unavailable(format!("{}: {text}", path.display())),
        StoreError::BadPosition => StoreError::BadPosition,
    };
    let mut db = Connection::open(&path).map_err(in_file)?;
    db.busy_timeout(Duration::from_secs(5)).map_err(in_file)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(in_file)?;
    tune(&db)?;
    let safety = if fault!(NoFsync) {
        "OFF"
    } else if matches!(database, Database::Search) {
        "NORMAL"
    } else {
        "FULL"
    };
    db.pragma_update(None, "synchronous", safety).map_err(in_file)?;
    database.migrate(&mut db)?;
    #[cfg(test)]
    plans::watch(&mut db);
    Ok(db)
}

/// What every connection has.
fn tune(db: &Connection) -> StoreResult<()> {
    db.set_prepared_statement_cache_capacity(64);
    // Or every new value bound to a query of a table with a partial index has it planned anew.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(failure)?;
    db.busy_timeout(Duration::from_secs(5)).map_err(failure)?;
    db.pragma_update(None, "cache_size", -16_384).map_err(failure)?;
    db.pragma_update(None, "temp_store", "MEMORY").map_err(failure)
}

/// What SQLite said, in our terms.
#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn failure(error: rusqlite::Error) -> StoreError {
    use ErrorCode as E;
    match error.sqlite_error_code() {
        Some(E::DatabaseBusy | E::DatabaseLocked | E::DiskFull | E::SystemIoFailure | E::CannotOpen | E::ReadOnly) => {
            StoreError::Unavailable(error.to_string())
        }
        _ => StoreError::Broken(error.to_string()),
    }
}
