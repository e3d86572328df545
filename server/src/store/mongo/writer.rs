//! The write path: one task that stores whatever is queued in groups.
//!
//! A majority of journals takes a few milliseconds, whether for one message or for hundreds. Everything that came while the last
//! group was written shares the next one. While a group waits for the journals a second one may be written, of other senders and
//! other chats: what one of them sends, and what is said in one chat, stays in order. Answers are given only afterwards, on one
//! task.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chat_protocol::UserId;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::counters::Counters;
use super::group::Group;
use super::indexer::Backlog;
use super::memory::Memory;
use super::{Db, chats};
use crate::metrics::StoreMetrics;
use crate::store::{NewMessage, SendDone, SendOutcome, StoreError, StoreResult};

/// Messages per group at most: bounds how long the first of a group waits for the last.
const GROUP: usize = 512;
/// Messages that may wait. Beyond, callers wait for a place.
const QUEUE: usize = 4096;
/// From a message's coming to its answer, whatever the database does.
const ANSWER_WITHIN: Duration = Duration::from_millis(4500);

/// Groups that are under way at the same time.
const AT_ONCE: usize = 2;

/// A message on its way.
pub(super) struct Job {
    pub(super) message: NewMessage,
    /// Names the chat; `None` when one of the users cannot exist.
    pub(super) pair: Option<String>,
    pub(super) deadline: Instant,
}

type Answer = (SendDone, StoreResult<SendOutcome>);

pub(super) struct Writer {
    queue: RwLock<Option<mpsc::Sender<(Job, SendDone)>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(db: Db, metrics: StoreMetrics, counters: Arc<Counters>, indexer: Arc<Backlog>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (done, mut groups) = mpsc::unbounded_channel::<Vec<Answer>>();
        let delivery = tokio::spawn(async move {
            while let Some(group) = groups.recv().await {
                for (done, outcome) in group {
                    done(outcome);
                }
            }
        });
        let memory = Arc::new(Memory::new());
        let group = move || Group::new(db.clone(), counters.clone(), memory.clone());
        let writer = tokio::spawn(run(group, jobs, done, metrics, indexer));
        Self {
            queue: RwLock::new(Some(queue)),
            tasks: Mutex::new(vec![writer, delivery]),
        }
    }

    pub(super) async fn submit(&self, mut message: NewMessage, done: SendDone) -> StoreResult<()> {
        if fault!(LostIdempotency) {
            message.client_message_id = None;
        }
        if fault!(ContentTrimmed) {
            message.content = message.content.trim().to_owned();
        }
        let closed = || StoreError::Unavailable("the store is closed".into());
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner).clone();
        let deadline = Instant::now() + ANSWER_WITHIN;
        let place = timeout_at(deadline, queue.ok_or_else(closed)?.reserve_owned()).await;
        let place = place.map_err(|_| StoreError::Unavailable("the queue of messages stayed full".into()))?;
        let pair = chats::pair_of(&message);
        let job = Job {
            message,
            pair,
            deadline,
        };
        place.map_err(|_| closed())?.send((job, done));
        Ok(())
    }

    pub(super) fn depth(&self) -> usize {
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        queue
            .as_ref()
            .map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    /// Stores and answers what is queued. May be given up and called again.
    pub(super) async fn close(&self) {
        drop(self.queue.write().unwrap_or_else(PoisonError::into_inner).take());
        let mut tasks = self.tasks.lock().await;
        while let Some(task) = tasks.last_mut() {
            let _ = task.await; // A task that panicked has nothing left to finish.
            tasks.pop();
        }
    }
}

type Queued = (Job, SendDone);

async fn run(
    group: impl Fn() -> Group,
    mut queued: mpsc::Receiver<Queued>,
    done: mpsc::UnboundedSender<Vec<Answer>>,
    metrics: StoreMetrics,
    indexer: Arc<Backlog>,
) {
    let mut waiting = Waiting::default();
    let mut arrived = Vec::with_capacity(GROUP);
    let mut under_way = FuturesUnordered::new();
    let mut open = true;
    loop {
        while under_way.len() < AT_ONCE {
            let taken = waiting.take();
            if taken.is_empty() {
                break;
            }
            #[expect(clippy::cast_precision_loss, reason = "at most GROUP")]
            metrics.group_size.observe(taken.len() as f64);
            let group = group();
            under_way.push(async {
                let started = Instant::now();
                let (jobs, dones): (Vec<Job>, Vec<SendDone>) = taken.into_iter().unzip();
                let outcomes = group.store(&jobs).await;
                metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
                (jobs, dones.into_iter().zip(outcomes).collect())
            });
        }
        tokio::select! {
            Some((jobs, answers)) = under_way.next() => {
                waiting.ended(&jobs);
                // The delivery task ends only after this one.
                let _ = done.send(answers);
                indexer.grew(jobs.len());
            }
            count = queued.recv_many(&mut arrived, GROUP), if open && waiting.jobs.len() < GROUP => {
                open = count > 0;
                waiting.jobs.extend(arrived.drain(..));
            }
            else => return,
        }
        let depth = queued.len() + waiting.jobs.len();
        metrics.queue_depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
    }
}

/// What waits for its group, in the order of its coming.
#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Queued>,
    /// Whose messages, and in which chats, are under way.
    busy: Busy,
    under_way: usize,
}

#[derive(Default)]
struct Busy {
    senders: HashSet<UserId>,
    pairs: HashSet<String>,
}

impl Busy {
    fn concerns(&self, job: &Job) -> bool {
        self.senders.contains(&job.message.sender) || job.pair.as_ref().is_some_and(|pair| self.pairs.contains(pair))
    }

    fn add(&mut self, job: &Job) {
        self.senders.insert(job.message.sender.clone());
        self.pairs.extend(job.pair.clone());
    }
}

impl Waiting {
    /// The next group: whatever does not come after something that is under way or stays here. Empty when it is better to wait:
    /// many small groups cost more than few large ones.
    fn take(&mut self) -> Vec<Queued> {
        if self.jobs.len() * 2 < self.under_way {
            return Vec::new();
        }
        let mut held = Busy::default();
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        for queued in self.jobs.drain(..) {
            let job = &queued.0;
            if taken.len() < GROUP && !self.busy.concerns(job) && !held.concerns(job) {
                taken.push(queued);
            } else {
                held.add(job);
                left.push_back(queued);
            }
        }
        self.jobs = left;
        for (job, _) in &taken {
            self.busy.add(job);
        }
        self.under_way += taken.len();
        taken
    }

    fn ended(&mut self, jobs: &[Job]) {
        self.under_way -= jobs.len();
        for job in jobs {
            self.busy.senders.remove(&job.message.sender);
            if let Some(pair) = &job.pair {
                self.busy.pairs.remove(pair);
            }
        }
    }
}
