//! Senders that go on whatever happens, and remember what became of each message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::device::Device;
use crate::history::{Outcome, Receipt, Sent};
use crate::person::{PATIENCE, Person};

/// One socket sends so often: a load, and still a history that is read in a second.
const PACE: Duration = Duration::from_millis(12);
/// One that floods sends so often.
const FLOOD: Duration = Duration::from_millis(2);
/// Messages of one socket that are not answered yet.
pub(crate) const WINDOW: usize = 16;
/// The contract has 5 s; the rest is for a machine that runs all of this at once.
const REFUSED_WITHIN: Duration = Duration::from_secs(8);

/// Who sends what to whom, and where.
pub(crate) struct Lane {
    pub(crate) number: usize,
    pub(crate) node: usize,
    pub(crate) person: Arc<Person>,
    /// In turn.
    pub(crate) to: Vec<String>,
    pub(crate) way: Way,
    /// How many messages may be unanswered. With more than [`WINDOW`] the pace is faster too.
    pub(crate) window: usize,
}

pub(crate) enum Way {
    Socket(Arc<Device>),
    /// By REST at this URL.
    Rest(String),
}

#[derive(Default, Clone, Copy, Debug)]
struct Progress {
    acknowledged: usize,
    refused: usize,
}

/// Lanes at work.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    lanes: Vec<Working>,
}

struct Working {
    node: usize,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<Vec<Sent>>,
}

impl Load {
    pub(crate) fn start(lanes: Vec<Lane>) -> Self {
        let stop = watch::Sender::new(false);
        let start = |lane: Lane| {
            let (shown, progress) = watch::channel(Progress::default());
            let node = lane.node;
            let sender = Sender {
                lane,
                stop: stop.subscribe(),
                shown,
                sent: Vec::new(),
            };
            let task = tokio::spawn(sender.work());
            Working { node, progress, task }
        };
        let lanes = lanes.into_iter().map(start).collect();
        Self { stop, lanes }
    }

    /// Waits until every lane at these nodes got so many more messages acknowledged. A lane that is over is not waited for.
    pub(crate) async fn acknowledged(&self, more: usize, nodes: &[usize]) {
        self.reach("acknowledged", nodes, more, |progress| progress.acknowledged)
            .await;
    }

    /// Waits until every lane at these nodes was refused once more.
    pub(crate) async fn refused(&self, nodes: &[usize]) {
        self.reach("refused", nodes, 1, |progress| progress.refused).await;
    }

    async fn reach(&self, what: &str, nodes: &[usize], more: usize, of: impl Fn(&Progress) -> usize) {
        let lanes = || self.lanes.iter().filter(|lane| nodes.contains(&lane.node));
        let goals: Vec<usize> = lanes().map(|lane| of(&lane.progress.borrow()) + more).collect();
        for (lane, goal) in lanes().zip(goals) {
            let mut progress = lane.progress.clone();
            let reached = timeout(PATIENCE, progress.wait_for(|progress| of(progress) >= goal)).await;
            assert!(
                reached.is_ok(),
                "never {what}: {:?} at node {}",
                lane.progress.borrow(),
                lane.node
            );
        }
    }

    /// How often lanes at this node were refused so far.
    pub(crate) fn refusals(&self, node: usize) -> usize {
        let lanes = self.lanes.iter().filter(|lane| lane.node == node);
        lanes.map(|lane| lane.progress.borrow().refused).sum()
    }

    /// Sends no more; what became of everything, each lane's in order.
    pub(crate) async fn end(self) -> Vec<Sent> {
        self.stop.send_replace(true);
        let mut sent = Vec::new();
        for lane in self.lanes {
            sent.extend(lane.task.await.unwrap());
        }
        sent
    }
}

struct Sender {
    lane: Lane,
    stop: watch::Receiver<bool>,
    shown: watch::Sender<Progress>,
    sent: Vec<Sent>,
}

impl Sender {
    async fn work(mut self) -> Vec<Sent> {
        match &self.lane.way {
            Way::Socket(device) => {
                let device = device.clone();
                self.through_socket(&device).await;
            }
            Way::Rest(url) => {
                let url = url.clone();
                self.through_rest(&url).await;
            }
        }
        self.sent
    }

    /// Until it is told to stop or the socket is over; then until all is answered.
    async fn through_socket(&mut self, device: &Device) {
        let mut turns = turns(if self.lane.window > WINDOW { FLOOD } else { PACE });
        let mut waiting = FuturesUnordered::new();
        loop {
            let going = !*self.stop.borrow() && !device.is_over();
            if !going && waiting.is_empty() {
                return;
            }
            tokio::select! {
                Some((at, ack)) = waiting.next() => self.settle(at, ack),
                _ = turns.tick(), if going && waiting.len() < self.lane.window => {
                    let (at, body) = self.next();
                    let ack = device.ask_later("send_message", &body);
                    waiting.push(async move {
                        let ack = timeout(PATIENCE, ack).await;
                        let outcome = ack.unwrap_or_else(|_| panic!("never answered: {body}"));
                        (at, outcome.map_or(Outcome::Unknown, |ack| outcome_of_ack(&ack)))
                    });
                }
            }
        }
    }

    /// Until it is told to stop or the server is gone.
    async fn through_rest(&mut self, url: &str) {
        let mut turns = turns(PACE);
        while !*self.stop.borrow() {
            turns.tick().await;
            let (at, body) = self.next();
            let answer = self
                .lane
                .person
                .call(url, Method::POST, "/api/messages/send", body)
                .await;
            let outcome = match answer {
                Err(_) => Outcome::Unknown,
                Ok(answer) if answer.is_unavailable() => Outcome::Refused,
                Ok(answer) => Outcome::Acknowledged(Receipt::of_message(&answer.ok()["message"])),
            };
            let gone = outcome == Outcome::Unknown;
            self.settle(at, outcome);
            if gone {
                return;
            }
        }
    }

    fn next(&mut self) -> (usize, Value) {
        let at = self.sent.len();
        let to = &self.lane.to[at % self.lane.to.len()];
        let content = format!("{}-{at}", self.lane.number);
        self.sent.push(Sent {
            lane: matches!(self.lane.way, Way::Socket(_)).then_some(self.lane.number),
            node: self.lane.node,
            from: self.lane.person.id.clone(),
            to: to.clone(),
            content: content.clone(),
            began: Instant::now(),
            outcome: Outcome::Unknown,
            retried: false,
        });
        (at, json!({"to": to, "content": content, "clientMessageId": content}))
    }

    fn settle(&mut self, at: usize, outcome: Outcome) {
        let sent = &mut self.sent[at];
        sent.outcome = outcome;
        match &sent.outcome {
            Outcome::Acknowledged(_) => self.shown.send_modify(|progress| progress.acknowledged += 1),
            Outcome::Refused => {
                let took = sent.began.elapsed();
                assert!(took < REFUSED_WITHIN, "{} was refused after {took:?}", sent.content);
                self.shown.send_modify(|progress| progress.refused += 1);
            }
            Outcome::Unknown => {}
        }
    }
}

/// What an ack says of a message. A refusal must be one after which a retry is safe.
pub(crate) fn outcome_of_ack(ack: &Value) -> Outcome {
    if ack["ok"] == true {
        return Outcome::Acknowledged(Receipt::of(ack));
    }
    assert_eq!(ack["error"]["code"], "SERVICE_UNAVAILABLE", "{ack}");
    assert!(ack["error"]["retryAfter"].as_u64().is_some(), "{ack}");
    Outcome::Refused
}

fn turns(pace: Duration) -> tokio::time::Interval {
    let mut turns = interval(pace);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}
