//! Reads: a few connections beside the writer, each read on one consistent state.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::schema::Database;
use super::{failure, tune};
use crate::store::{StoreError, StoreResult};

/// Reads that run at once; more wait their turn.
const READERS: usize = 4;

pub(super) struct Readers {
    dir: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Runs a read on a blocking thread. All that it reads belongs to one state of the store.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let closed = |_| StoreError::Unavailable("the store is closed".into());
        let permit = self.permits.clone().acquire_owned().await.map_err(closed)?;
        let (idle, dir) = (self.idle.clone(), self.dir.clone());
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let db = known.map_or_else(|| open(&dir), Ok)?;
            db.execute_batch("BEGIN").map_err(failure)?;
            let result = look(&db);
            // A connection that cannot end its read is not used again.
            if db.execute_batch("COMMIT").is_ok() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
            }
            result
        });
        task.await
            .unwrap_or_else(|error| Err(StoreError::Broken(format!("a read failed: {error}"))))
    }

    pub(super) async fn close(&self) {
        // Whoever holds a permit finishes first.
        let all = u32::try_from(READERS).unwrap_or(u32::MAX);
        if let Ok(permits) = self.permits.acquire_many(all).await {
            permits.forget();
        }
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

pub(super) fn open(dir: &Path) -> StoreResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    #[cfg_attr(not(test), expect(unused_mut, reason = "tests listen to it"))]
    let mut db = Connection::open_with_flags(dir.join(Database::Chat.file()), flags).map_err(failure)?;
    #[cfg(test)]
    super::plans::watch(&mut db);
    tune(&db)?;
    for (database, name) in [(Database::Presence, "presence"), (Database::Search, "search")] {
        let path = dir.join(database.file());
        db.execute(&format!("ATTACH ?1 AS {name}"), [path.to_string_lossy()])
            .map_err(failure)?;
    }
    db.pragma_update(None, "query_only", true).map_err(failure)?;
    Ok(db)
}
