//! The write path: one task that stores whatever is queued as one group.
//!
//! A majority of journals takes a few milliseconds, whether for one message or for hundreds. Everything that came while the last
//! group was written shares the next one. Answers are given only afterwards, in the order of the writes, on one task.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::Db;
use super::counters::Counters;
use super::group::Group;
use crate::metrics::StoreMetrics;
use crate::store::{NewMessage, SendDone, SendOutcome, StoreError, StoreResult};

/// Messages per group at most: bounds how long the first of a group waits for the last.
const GROUP: usize = 512;
/// Messages that may wait. Beyond, callers wait for a place.
const QUEUE: usize = 4096;
/// From a message's coming to its answer, whatever the database does.
const ANSWER_WITHIN: Duration = Duration::from_millis(4500);

/// A message on its way.
pub(super) struct Job {
    pub(super) message: NewMessage,
    pub(super) deadline: Instant,
}

type Answer = (SendDone, StoreResult<SendOutcome>);

pub(super) struct Writer {
    queue: RwLock<Option<mpsc::Sender<(Job, SendDone)>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(db: Db, metrics: StoreMetrics, counters: Arc<Counters>, indexer: Arc<Notify>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (done, mut groups) = mpsc::unbounded_channel::<Vec<Answer>>();
        let delivery = tokio::spawn(async move {
            while let Some(group) = groups.recv().await {
                for (done, outcome) in group {
                    done(outcome);
                }
            }
        });
        let writer = tokio::spawn(run(Group::new(db, counters), jobs, done, metrics, indexer));
        Self {
            queue: RwLock::new(Some(queue)),
            tasks: Mutex::new(vec![writer, delivery]),
        }
    }

    pub(super) async fn submit(&self, message: NewMessage, done: SendDone) -> StoreResult<()> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner).clone();
        let deadline = Instant::now() + ANSWER_WITHIN;
        let place = timeout_at(deadline, queue.ok_or_else(closed)?.reserve_owned()).await;
        let place = place.map_err(|_| StoreError::Unavailable("the queue of messages stayed full".into()))?;
        place.map_err(|_| closed())?.send((Job { message, deadline }, done));
        Ok(())
    }

    pub(super) fn depth(&self) -> usize {
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        queue
            .as_ref()
            .map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    /// Stores and answers what is queued.
    pub(super) async fn close(&self) {
        drop(self.queue.write().unwrap_or_else(PoisonError::into_inner).take());
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            let _ = task.await; // A task that panicked has nothing left to finish.
        }
    }
}

async fn run(
    mut group: Group,
    mut queued: mpsc::Receiver<(Job, SendDone)>,
    done: mpsc::UnboundedSender<Vec<Answer>>,
    metrics: StoreMetrics,
    indexer: Arc<Notify>,
) {
    let mut taken = Vec::with_capacity(GROUP);
    while queued.recv_many(&mut taken, GROUP).await > 0 {
        metrics.queue_depth.set(i64::try_from(queued.len()).unwrap_or(i64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "at most GROUP")]
        metrics.group_size.observe(taken.len() as f64);
        let started = Instant::now();
        let (jobs, dones): (Vec<Job>, Vec<SendDone>) = taken.drain(..).unzip();
        let outcomes = group.store(&jobs).await;
        metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        let answers = dones.into_iter().zip(outcomes).collect();
        // The delivery task ends only after this one.
        let _ = done.send(answers);
        indexer.notify_one();
    }
}
