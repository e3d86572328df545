//! The write path: one thread that commits whatever is queued as one group.
//!
//! A write that waits for its own disk flush limits a server to a few thousand messages a second. Here everything that came
//! while the last flush ran shares the next one, so a busy store flushes less often per message and an idle one answers at
//! once. Answers are given only after the flush, in the order of the writes, on one task.

use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::ledger::Ledger;
use super::{Clock, failure, messages};
use crate::metrics::StoreMetrics;
use crate::store::{NewMessage, SendDone, SendOutcome, StoreError, StoreResult};

/// Writes per commit at most: bounds how long the first of a group waits for the last.
const GROUP: usize = 512;
/// Writes that may wait. Beyond, callers wait for a place.
const QUEUE: usize = 4096;

/// Tells a caller what became of its write, once the group is on disk (`None`) or could not be stored.
type Completion = Box<dyn FnOnce(Option<StoreError>) + Send>;
/// Does its part of a group and says how it went; an error instead of the ledger refuses it.
type Work = Box<dyn FnOnce(StoreResult<&mut Ledger>) -> (Completion, Option<StoreError>) + Send>;

/// What is to be done. Messages, most of all by far, do without the two boxes that other work needs: made on one thread and dropped
/// on another, they would have threads wait for each other in the allocator.
enum Write {
    Message(NewMessage, Arc<Clock>, SendDone),
    Other(Work),
}

/// What is to be said once the group is on disk.
enum Answer {
    Message(StoreResult<SendOutcome>, SendDone),
    Other(Option<StoreError>, Completion),
}

impl Write {
    /// Does it, or refuses it by this error.
    fn answer(self, ledger: StoreResult<&mut Ledger>) -> Answer {
        match self {
            Self::Message(message, clock, done) => {
                let stored = ledger.and_then(|ledger| messages::send(ledger, &clock, message).map_err(failure));
                Answer::Message(stored, done)
            }
            Self::Other(work) => {
                let (completion, error) = work(ledger);
                Answer::Other(error, completion)
            }
        }
    }
}

impl Answer {
    fn error(&self) -> Option<&StoreError> {
        match self {
            Self::Message(stored, _) => stored.as_ref().err(),
            Self::Other(error, _) => error.as_ref(),
        }
    }

    /// What went well was undone with its group.
    fn undone(&mut self, why: &StoreError) {
        match self {
            Self::Message(stored @ Ok(_), _) => *stored = Err(why.clone()),
            Self::Other(error @ None, _) => *error = Some(why.clone()),
            Self::Message(Err(_), _) | Self::Other(Some(_), _) => {}
        }
    }

    fn give(self) {
        match self {
            Self::Message(stored, done) => done(stored),
            Self::Other(error, completion) => completion(error),
        }
    }
}

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
        let (done, mut answers) = mpsc::unbounded_channel::<Answer>();
        tokio::spawn(async move {
            let mut some = Vec::with_capacity(GROUP);
            while answers.recv_many(&mut some, GROUP).await > 0 {
                some.drain(..).for_each(Answer::give);
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
        let work: Work = Box::new(move |ledger: StoreResult<&mut Ledger>| {
            let result = ledger.and_then(write);
            let error = result.as_ref().err().cloned();
            (
                Box::new(move |undone: Option<StoreError>| done(undone.map_or(result, Err))),
                error,
            )
        });
        self.queue(Write::Other(work)).await
    }

    /// Queues a message, as [`Self::submit`] does.
    pub(super) async fn submit_message(
        &self,
        message: NewMessage,
        clock: Arc<Clock>,
        done: SendDone,
    ) -> StoreResult<()> {
        self.queue(Write::Message(message, clock, done)).await
    }

    async fn queue(&self, write: Write) -> StoreResult<()> {
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner).clone();
        let closed = || StoreError::Unavailable("the store is closed".into());
        queue.ok_or_else(closed)?.send(write).await.map_err(|_| closed())
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
    done: &mpsc::UnboundedSender<Answer>,
    metrics: &StoreMetrics,
    committed: &dyn Fn(),
) {
    let (mut group, mut answers) = (Vec::with_capacity(GROUP), Vec::with_capacity(GROUP));
    while writes.blocking_recv_many(&mut group, GROUP) > 0 {
        metrics.queue_depth.set(i64::try_from(writes.len()).unwrap_or(i64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "at most GROUP")]
        metrics.group_size.observe(group.len() as f64);
        let started = Instant::now();
        commit(&mut ledger, &mut group, &mut answers);
        metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        for answer in answers.drain(..) {
            // The delivery task ends only with the runtime; then nobody waits for answers.
            let _ = done.send(answer);
        }
        if fault!(AckBeforeCommit) {
            std::thread::sleep(std::time::Duration::from_millis(150));
            let _ = ledger.commit();
        }
        committed();
    }
}

/// Stores a whole group, or nothing of it.
fn commit(ledger: &mut Ledger, group: &mut Vec<Write>, answers: &mut Vec<Answer>) {
    if let Err(error) = ledger.begin().map_err(failure) {
        undo(ledger);
        answers.extend(group.drain(..).map(|write| write.answer(Err(refusal(&error)))));
        return;
    }
    let mut failed: Option<StoreError> = None;
    for write in group.drain(..) {
        let answer = match &failed {
            Some(error) => write.answer(Err(refusal(error))),
            None => {
                let answer = write.answer(Ok(&mut *ledger));
                failed = answer.error().cloned();
                answer
            }
        };
        answers.push(answer);
    }
    // Of a write that failed the others are not guilty, and may try again; a commit that can never be is everybody's.
    let mut undone: fn(String) -> StoreError = StoreError::Unavailable;
    if failed.is_none() && !fault!(AckBeforeCommit) {
        failed = ledger.commit().map_err(failure).err();
        if matches!(failed, Some(StoreError::Broken(_))) {
            undone = StoreError::Broken;
        }
    }
    if let Some(error) = failed {
        undo(ledger);
        tracing::error!(%error, writes = answers.len(), "a group of writes could not be stored");
        let undone = undone(format!("undone with its group: {error}"));
        for answer in answers {
            answer.undone(&undone);
        }
    }
}

/// What those are told whose turn never came, because of this error of others.
fn refusal(error: &StoreError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn undo(ledger: &mut Ledger) {
    if ledger.roll_back().is_err() {
        tracing::error!("the store could not undo a failed group");
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{clock, ledger, message};
    use super::*;

    #[test]
    fn a_write_that_fails_undoes_its_group_and_each_is_told() {
        let dir = tempfile::TempDir::new().unwrap();
        let mut ledger = ledger(&dir);
        let message = |content| Write::Message(message("ann", "bob", content), Arc::new(clock()), Box::new(|_| ()));
        let mistake = || StoreError::Broken("a mistake".into());
        let wrong: Work = Box::new(move |_| (Box::new(|_| ()), Some(mistake())));
        let mut group = vec![message("before"), Write::Other(wrong), message("after")];
        let mut answers = Vec::new();
        commit(&mut ledger, &mut group, &mut answers);
        let errors: Vec<String> = answers
            .iter()
            .map(|answer| answer.error().unwrap().to_string())
            .collect();
        assert!(
            errors[0].contains("undone with its group")
                && matches!(answers[0].error(), Some(StoreError::Unavailable(_)))
        );
        assert!(errors[1].contains("a mistake") && matches!(answers[1].error(), Some(StoreError::Broken(_))));
        assert!(
            matches!(answers[2].error(), Some(StoreError::Unavailable(_))),
            "{errors:?}"
        );
        let stored: i64 = (ledger.db())
            .query_row("SELECT EXISTS (SELECT 1 FROM messages WHERE num > 0)", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(stored, 0);
    }
}
