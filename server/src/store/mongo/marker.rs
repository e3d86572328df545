//! Marks messages as read, in groups: what comes while one group is committed shares the next one.
//!
//! A transaction that waits for the journals of a majority takes milliseconds, whether for one request or for hundreds; and
//! requests that change the same chat would wait for each other anyway.

use std::sync::Arc;

use chat_protocol::UserId;
use tokio::sync::{mpsc, oneshot};

use super::Db;
use super::background::Background;
use super::counters::Counters;
use super::others::Others;
use super::read_state::{Answer, Request, mark};
use super::untold::Untold;
use crate::store::{ReadScope, StoreError, StoreResult};

/// Requests per group at most.
const GROUP: usize = 256;
/// Requests that may wait. Beyond, callers wait for a place.
const QUEUE: usize = 1024;

type Waiting = (Request, oneshot::Sender<StoreResult<Answer>>);

pub(super) struct Marker {
    queue: mpsc::Sender<Waiting>,
    task: Background,
}

impl Marker {
    pub(super) fn start(db: Db, counters: Arc<Counters>) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE);
        Self {
            queue,
            task: Background::spawn(run(db, counters, requests)),
        }
    }

    /// Answers when the marks are durable; of a chat, those of the newest [`AT_ONCE`](super::read_state::AT_ONCE) unread messages below
    /// this seq. Whoever stops waiting may find them made all the same.
    pub(super) async fn mark(&self, db: &Db, reader: &UserId, scope: ReadScope<'_>, below: i64) -> StoreResult<Answer> {
        let request = match Request::new(db, reader, scope, below).await? {
            Ok(request) => request,
            Err(outcome) => return Ok(outcome.into()),
        };
        let closed = || StoreError::Unavailable("the store is closed".into());
        let (done, answer) = oneshot::channel();
        self.queue.send((request, done)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) async fn close(&self) {
        // Marks that nobody was told of need not be made.
        self.task.close().await;
    }
}

async fn run(db: Db, counters: Arc<Counters>, mut queue: mpsc::Receiver<Waiting>) {
    let (untold, others) = (Arc::new(Untold::new()), Arc::new(Others::default()));
    let mut group = Vec::with_capacity(GROUP);
    while queue.recv_many(&mut group, GROUP).await > 0 {
        group.retain(|(_, done)| !done.is_closed());
        if group.is_empty() {
            continue;
        }
        let (requests, dones): (Vec<Request>, Vec<_>) = group.drain(..).unzip();
        let answers = match mark(&db, &counters, &untold, &others, requests.clone().into()).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            // Damage that one of them met must not refuse the others.
            Err(StoreError::Broken(_)) if requests.len() > 1 => {
                one_by_one(&db, &counters, &untold, &others, &requests).await
            }
            Err(error) => vec![Err(error); dones.len()],
        };
        for ((done, answer), request) in dones.into_iter().zip(answers).zip(&requests) {
            // Whoever asked may have given up.
            if let Err(Ok(answer)) = done.send(answer) {
                request.was_not_told(&answer, &untold);
            }
        }
        others.let_through().await;
    }
}

async fn one_by_one(
    db: &Db,
    counters: &Counters,
    untold: &Arc<Untold>,
    others: &Arc<Others>,
    requests: &[Request],
) -> Vec<StoreResult<Answer>> {
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let marked = mark(db, counters, untold, others, Arc::new([request.clone()])).await;
        let lost = || StoreError::Broken("a request got no answer".into());
        answers.push(marked.and_then(|answers| answers.into_iter().next().ok_or_else(lost)));
    }
    answers
}
