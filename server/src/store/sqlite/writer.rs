//! The write path: one thread that commits whatever is queued as one group.
//!
//! A write that waits for its own disk flush limits a server to a few thousand messages a second. Here everything that came
//! while the last flush ran shares the next one, so a busy store flushes less often per message and an idle one answers at
//! once. Answers are given only after the flush, in the order of the writes, on one task.

use std::sync::{PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::failure;
use super::ledger::Ledger;
use crate::metrics::StoreMetrics;
use crate::store::{StoreError, StoreResult};

/// Writes per commit at most: bounds how long the first of a group waits for the last.
const GROUP: usize = 512;
/// Writes that may wait. Beyond, callers wait for a place.
const QUEUE: usize = 4096;

/// Tells a caller what became of its write, once the group is on disk (`None`) or could not be stored.
type Completion = Box<dyn FnOnce(Option<StoreError>) + Send>;
/// Does its part of a group and says how it went; `None` instead of the ledger refuses it.
type Write = Box<dyn FnOnce(Option<&mut Ledger>) -> (Completion, Option<StoreError>) + Send>;
type Answers = Vec<(Completion, Option<StoreError>)>;

pub(super) struct Writer {
    queue: RwLock<Option<mpsc::Sender<Write>>>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread on this connection. `committed` runs after every commit, on the writer's thread.
    pub(super) fn start(
        db: Connection,
        metrics: StoreMetrics,
        committed: impl Fn() + Send + 'static,
    ) -> StoreResult<Self> {
        let (queue, writes) = mpsc::channel(QUEUE);
        let (done, mut groups) = mpsc::unbounded_channel::<Answers>();
        tokio::spawn(async move {
            while let Some(group) = groups.recv().await {
                for (completion, error) in group {
                    completion(error);
                }
            }
        });
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(Ledger::new(db), writes, &done, &metrics, &committed))
            .map_err(|error| StoreError::Unavailable(format!("cannot start the writer: {error}")))?;
        Ok(Self {
            queue: RwLock::new(Some(queue)),
            thread: std::sync::Mutex::new(Some(thread)),
        })
    }

    /// Queues a write. It either does all it means to do and returns `Ok`, or fails: then its whole group is undone and told
    /// so. `done` gets the result on the delivery task, after the commit.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Ledger) -> StoreResult<T> + Send + 'static,
        done: impl FnOnce(StoreResult<T>) + Send + 'static,
    ) -> StoreResult<()> {
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner).clone();
        let closed = || StoreError::Unavailable("the store is closed".into());
        let job: Write = Box::new(move |ledger: Option<&mut Ledger>| {
            let result = ledger.map_or(Err(StoreError::Unavailable("not begun".into())), write);
            let error = result.as_ref().err().cloned();
            (
                Box::new(move |undone: Option<StoreError>| done(undone.map_or(result, Err))),
                error,
            )
        });
        queue.ok_or_else(closed)?.send(job).await.map_err(|_| closed())
    }

    /// [`Self::submit`] on the settled connection, waiting for the result.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.run_with(|ledger| write(ledger.settled().map_err(failure)?)).await
    }

    /// [`Self::submit`], waiting for the result.
    pub(super) async fn run_with<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Ledger) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.submit(write, move |result| drop(tx.send(result))).await?;
        rx.await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the store closed before it answered".into())))
    }

    pub(super) fn depth(&self) -> usize {
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        queue
            .as_ref()
            .map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    /// Finishes what is queued and ends the thread.
    pub(super) async fn close(&self) {
        drop(self.queue.write().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn run(
    mut ledger: Ledger,
    mut writes: mpsc::Receiver<Write>,
    done: &mpsc::UnboundedSender<Answers>,
    metrics: &StoreMetrics,
    committed: &dyn Fn(),
) {
    let mut group = Vec::with_capacity(GROUP);
    while writes.blocking_recv_many(&mut group, GROUP) > 0 {
        metrics.queue_depth.set(i64::try_from(writes.len()).unwrap_or(i64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "at most GROUP")]
        metrics.group_size.observe(group.len() as f64);
        let started = Instant::now();
        let answers = commit(&mut ledger, &mut group);
        metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        // The delivery task ends only with the runtime; then nobody waits for answers.
        let _ = done.send(answers);
        if fault!(AckBeforeCommit) {
            std::thread::sleep(std::time::Duration::from_millis(150));
            let _ = ledger.commit();
        }
        committed();
    }
}

/// Stores a whole group, or nothing of it.
fn commit(ledger: &mut Ledger, group: &mut Vec<Write>) -> Answers {
    if let Err(error) = ledger.begin().map_err(failure) {
        undo(ledger);
        return group.drain(..).map(|write| refuse(write, &error)).collect();
    }
    let mut failed: Option<StoreError> = None;
    let mut answers: Answers = Vec::with_capacity(group.len());
    for write in group.drain(..) {
        if let Some(error) = &failed {
            answers.push(refuse(write, error));
            continue;
        }
        let (completion, error) = write(Some(&mut *ledger));
        failed.clone_from(&error);
        answers.push((completion, error));
    }
    if failed.is_none() && !fault!(AckBeforeCommit) {
        failed = ledger.commit().map_err(failure).err();
    }
    if let Some(error) = failed {
        undo(ledger);
        tracing::error!(%error, writes = answers.len(), "a group of writes could not be stored");
        let undone = StoreError::Unavailable(format!("undone with its group: {error}"));
        for (_, answer) in &mut answers {
            answer.get_or_insert_with(|| undone.clone());
        }
    }
    answers
}

fn undo(ledger: &mut Ledger) {
    if ledger.roll_back().is_err() {
        tracing::error!("the store could not undo a failed group");
    }
}

fn refuse(write: Write, error: &StoreError) -> (Completion, Option<StoreError>) {
    let (completion, _) = write(None);
    (completion, Some(StoreError::Unavailable(error.to_string())))
}
