//! Fills the search index behind the write path, on a thread of its own.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::watch;

use super::schema::Database;
use super::{failure, tune};
use crate::store::fold::fold;
use crate::store::{StoreError, StoreResult};

/// Messages per transaction: few large ones leave the index with far fewer parts to merge than many small ones.
const BATCH: usize = 4000;
/// No further message once there are so many bytes of them: a batch is read into memory before it is indexed, for while a reader is
/// open the writer's log cannot begin anew.
const BYTES: usize = 4 << 20;
/// How long the indexer lets messages gather. Searches read what is not indexed, so nobody waits for it.
const GATHER: Duration = Duration::from_millis(300);
/// What the indexer adds to its niceness: messages that are on their way do not wait for it, and of a busy machine it still gets a part.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
/// How long the indexer rests after a failure, such as a full disk. Searches read what is not indexed, so nothing is missed.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Indexer {
    signal: Arc<Signal>,
    /// Rounds finished.
    rounds: watch::Receiver<u64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Rounds asked for.
    wanted: u64,
    /// Somebody waits for the round.
    urgent: bool,
    closed: bool,
    /// The thread sleeps until it is asked for a round; else a commit need not wake it.
    idle: bool,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn committed(&self) {
        let mut state = self.lock();
        state.wanted += 1;
        if state.idle {
            self.changed.notify_all();
        }
    }

    /// Waits for the next round and returns its number; `None` at the end.
    fn next(&self, finished: u64) -> Option<u64> {
        let mut state = self.lock();
        state.idle = true;
        let asked = self
            .changed
            .wait_while(state, |state| state.wanted == finished && !state.closed);
        state = asked.unwrap_or_else(PoisonError::into_inner);
        state.idle = false;
        state = self.wait(state, GATHER, |state| !state.urgent);
        state.urgent = false;
        (!state.closed).then_some(state.wanted)
    }

    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        long: Duration,
        on: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let waited = self
            .changed
            .wait_timeout_while(state, long, |state| !state.closed && on(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Indexer {
    pub(super) fn start(dir: &Path, mut index: Connection) -> StoreResult<Self> {
        let chat = Connection::open(dir.join(Database::Chat.file())).map_err(failure)?;
        tune(&chat)?;
        let signal = Arc::new(Signal::default());
        signal.set(|state| state.wanted = 1);
        let (done, rounds) = watch::channel(0);
        let heard = signal.clone();
        let thread = std::thread::Builder::new()
            .name("store-indexer".into())
            .spawn(move || {
                stand_back();
                run(&chat, &mut index, &heard, &done);
            })
            .map_err(|error| StoreError::Unavailable(format!("cannot start the indexer: {error}")))?;
        Ok(Self {
            signal,
            rounds,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// To be called after each commit.
    pub(super) fn waker(&self) -> impl Fn() + Send + 'static {
        let signal = self.signal.clone();
        move || signal.committed()
    }

    /// Waits until a round that began after this call has ended.
    pub(super) async fn caught_up(&self) -> StoreResult<()> {
        let mut target = 0;
        self.signal.set(|state| {
            state.wanted += 1;
            state.urgent = true;
            target = state.wanted;
        });
        let mut rounds = self.rounds.clone();
        rounds
            .wait_for(|done| *done >= target)
            .await
            .map(|_| ())
            .map_err(|_| StoreError::Unavailable("the store is closed".into()))
    }

    pub(super) async fn close(&self) {
        self.signal.set(|state| state.closed = true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Lets all other threads go first.
#[cfg(target_os = "linux")]
fn stand_back() {
    use rustix::process::{getpriority_process, setpriority_process};
    // On Linux a thread has a niceness of its own; elsewhere it would be that of the whole process.
    let thread = Some(rustix::thread::gettid());
    let niceness = getpriority_process(thread).map_or(NICENESS, |before| before + NICENESS);
    if let Err(error) = setpriority_process(thread, niceness) {
        tracing::info!(%error, "the search index is as urgent as messages");
    }
}

#[cfg(not(target_os = "linux"))]
fn stand_back() {}

fn run(chat: &Connection, index: &mut Connection, signal: &Signal, done: &watch::Sender<u64>) {
    let mut finished = 0;
    while let Some(wanted) = signal.next(finished) {
        match round(chat, index, signal) {
            Ok(()) => {
                finished = wanted;
                done.send_replace(finished);
            }
            Err(error) => {
                tracing::warn!(%error, "the search index is behind; searches read the messages themselves");
                drop(signal.wait(signal.lock(), RETRY, |_| true));
            }
        }
    }
}

/// Indexes everything there is.
fn round(chat: &Connection, index: &mut Connection, signal: &Signal) -> rusqlite::Result<()> {
    while step(chat, index)? > 0 {
        if signal.lock().closed {
            return Ok(());
        }
    }
    renew(chat, index)
}

/// Indexes the next messages; how many.
fn step(chat: &Connection, index: &mut Connection) -> rusqlite::Result<usize> {
    let tx = index.transaction()?;
    let from: i64 = tx.query_row("SELECT indexed FROM progress", [], |row| row.get(0))?;
    let batch = after(chat, from)?;
    if let Some((last, _)) = batch.last() {
        {
            let mut insert = tx.prepare_cached("INSERT INTO trigrams (rowid, folded) VALUES (?1, ?2)")?;
            for (num, content) in &batch {
                insert.execute((num, fold(content)))?;
            }
        }
        tx.execute("UPDATE progress SET indexed = ?1", [last])?;
        tx.commit()?;
    }
    Ok(batch.len())
}

/// The messages behind this number, as many as are indexed at once.
fn after(chat: &Connection, from: i64) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut new = chat.prepare_cached("SELECT num, content FROM messages WHERE num > ?1 ORDER BY num LIMIT ?2")?;
    let mut rows = new.query((from, BATCH))?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BYTES
        && let Some(row) = rows.next()?
    {
        let content: String = row.get(1)?;
        bytes += content.len();
        batch.push((row.get(0)?, content));
    }
    Ok(batch)
}

/// Indexes again what was edited or deleted.
fn renew(chat: &Connection, index: &mut Connection) -> rusqlite::Result<()> {
    loop {
        let mut changed = chat.prepare_cached("SELECT num, version FROM reindex LIMIT ?1")?;
        let batch: Vec<(i64, i64)> = changed
            .query_map([BATCH], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        if batch.is_empty() {
            return Ok(());
        }
        let tx = index.transaction()?;
        for (num, _) in &batch {
            let content: Option<String> = chat
                .prepare_cached("SELECT content FROM messages WHERE num = ?1 AND deleted_at IS NULL")?
                .query_row([num], |row| row.get(0))
                .optional()?;
            tx.execute("DELETE FROM trigrams WHERE rowid = ?1", [num])?;
            if let Some(content) = content {
                tx.execute(
                    "INSERT INTO trigrams (rowid, folded) VALUES (?1, ?2)",
                    (num, fold(&content)),
                )?;
            }
        }
        tx.commit()?;
        // Only what has not changed again meanwhile.
        for (num, version) in batch {
            chat.execute("DELETE FROM reindex WHERE num = ?1 AND version = ?2", (num, version))?;
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn its_thread_alone_stands_back() {
        let of_this_thread = || getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = of_this_thread();
        let indexers = std::thread::spawn(move || {
            stand_back();
            of_this_thread()
        });
        assert_eq!(indexers.join().unwrap(), (before + NICENESS).min(19));
        assert_eq!(of_this_thread(), before);
    }
}
