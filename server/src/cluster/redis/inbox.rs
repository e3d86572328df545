//! What other nodes tell: one task that takes it in order and delivers to devices of this process alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_protocol::event::server;
use chat_protocol::{Timestamp, UserId};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::backlog::Batches;
use super::health::Health;
use super::nodes::{Arrival, Nodes};
use super::typing::Typing;
use crate::cluster::frame::{self, Frame, Frames, News, NodeId};
use crate::cluster::limits::Limits;
use crate::cluster::notice::{Change, Notice, NoticeBoard};
use crate::cluster::outbox::Outbox;
use crate::cluster::{Encoded, Ended, Registry, ServerEvent};
use crate::metrics::{ClusterMetrics, Lost};

/// How often it is looked who is gone, and who has to be asked again.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A beat of ours that took longer to come back tells nothing about now.
const FRESH: i64 = 1_500;
/// Everything is told at most so often, however many ask.
const ALL_EVERY: Duration = Duration::from_millis(100);
/// How often ended sessions are looked for, at most after something was missed, and while the others cannot be reached.
const SESSIONS_EVERY: Duration = Duration::from_secs(5);
/// Events of bulk deliveries that wait for slow devices.
const BULK: usize = 16_384;

pub(super) struct Inbox {
    pub(super) node: NodeId,
    pub(super) registry: Arc<Registry>,
    pub(super) limits: Arc<Limits>,
    pub(super) outbox: Outbox,
    pub(super) board: NoticeBoard,
    pub(super) health: Arc<Health>,
    pub(super) metrics: ClusterMetrics,
    /// How many nodes said all that they have.
    pub(super) known: watch::Sender<usize>,
}

/// What the inbox remembers between batches.
struct Memory {
    nodes: Nodes,
    typing: Typing,
    bulk: mpsc::Sender<(UserId, ServerEvent)>,
    /// Somebody asked for all that we have.
    asked: bool,
    answered: Instant,
    /// Something was said that we did not hear.
    missed: bool,
    looked: Instant,
}

impl Inbox {
    pub(super) async fn run(self, mut batches: Batches) {
        let (bulk, waiting) = mpsc::channel(BULK);
        let mut memory = Memory {
            nodes: Nodes::default(),
            typing: Typing::default(),
            bulk,
            asked: false,
            answered: Instant::now(),
            missed: false,
            looked: Instant::now(),
        };
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let bulk = deliver_bulk(self.registry.clone(), waiting);
        let take = async {
            loop {
                tokio::select! {
                    biased;
                    _ = look.tick() => self.look(&mut memory),
                    batch = batches.next() => match batch {
                        Some(batch) => self.take(&mut memory, &batch),
                        None => return,
                    },
                }
            }
        };
        tokio::join!(take, bulk);
    }

    fn take(&self, memory: &mut Memory, batch: &[u8]) {
        let Some((head, frames)) = frame::read(batch) else {
            return tracing::debug!("passed over what is no batch, or one of another release");
        };
        if head.node == self.node {
            return self.take_own(memory, frames);
        }
        self.metrics.received.inc();
        match memory.nodes.arrived(head) {
            Arrival::Stale => return,
            Arrival::Next => {}
            Arrival::After(missing) => {
                self.metrics.lost(Lost::Missed, missing);
                memory.missed |= missing > 0;
                self.outbox.tell(&News::Ask { of: Some(head.node) });
            }
        }
        for frame in frames.flatten() {
            match frame {
                Frame::Event {
                    to,
                    name,
                    payload,
                    bulk,
                } => self.event(memory, &to, name, payload, bulk),
                Frame::News(news) => self.news(memory, head.node, news),
            }
        }
    }

    /// Our own words: the only news is that they come back.
    fn take_own(&self, memory: &mut Memory, frames: Frames<'_>) {
        for news in frames.news() {
            if let News::Beat { at } = news {
                self.health.echoed();
                if Timestamp::now().as_millis() - at.as_millis() < FRESH {
                    memory.nodes.beat();
                }
            }
        }
    }

    fn event(&self, memory: &mut Memory, to: &[&str], name: &'static str, payload: &str, bulk: bool) {
        let users: Vec<UserId> = to.iter().filter_map(|user| self.registry.connected_as(user)).collect();
        if users.is_empty() {
            return;
        }
        if name == server::TYPING_STATUS {
            memory.typing.told(&users, payload, Instant::now());
        }
        let Ok(payload) = RawValue::from_string(payload.to_owned()) else {
            return tracing::warn!(event = name, "passed over an event of another node that is not JSON");
        };
        let event = ServerEvent::Encoded(Encoded { name, payload });
        for user in users {
            if !bulk {
                self.registry.deliver_here(&user, None, &event);
            } else if memory.bulk.try_send((user, event.clone())).is_err() {
                self.metrics.lost(Lost::Overflow, 1);
            }
        }
    }

    fn news(&self, memory: &mut Memory, node: NodeId, news: News) {
        match news {
            News::Beat { at } => memory.nodes.clock(node, at),
            News::Ask { of } => {
                if of.is_none_or(|of| of == self.node) {
                    memory.asked = true;
                    self.answer(memory);
                }
            }
            News::All { users } => {
                memory.nodes.complete(node);
                self.changed(self.registry.all_at(node, &users, None));
                self.known.send_replace(memory.nodes.complete_ones());
            }
            News::Present { shown, told } => {
                self.changed(Vec::from_iter(self.registry.came(node, &shown, told.as_ref())));
            }
            News::Left { user, told, .. } => {
                self.changed(Vec::from_iter(self.registry.went(node, &user, told.as_ref())));
            }
            News::Status { shown } => self.registry.status_at(&shown),
            News::Ended { user, sessions } => match &sessions {
                Some(sessions) => self.registry.close_here(&user, Ended::These(sessions)),
                None => self.registry.close_here(&user, Ended::All),
            },
            News::Uses { limit, uses } => self.limits.absorb(limit, uses),
            News::Bye { at } => memory.nodes.ended(node, at),
        }
    }

    fn look(&self, memory: &mut Memory) {
        let up = self.health.judge();
        for (node, at) in memory.nodes.gone() {
            tracing::warn!(?node, "a node is gone, and its users with it");
            self.changed(self.registry.all_at(node, &[], Some(at)));
        }
        self.metrics
            .nodes
            .set(i64::try_from(memory.nodes.count()).unwrap_or(i64::MAX));
        if up {
            for node in memory.nodes.incomplete() {
                self.outbox.tell(&News::Ask { of: Some(node) });
            }
        }
        self.answer(memory);
        for (user, event) in memory.typing.over(Instant::now()) {
            self.registry.deliver_here(&user, None, &event);
        }
        if (memory.missed || !up) && memory.looked.elapsed() >= SESSIONS_EVERY {
            memory.missed = false;
            memory.looked = Instant::now();
            self.board.post(Notice::Missed);
        }
    }

    fn answer(&self, memory: &mut Memory) {
        if memory.asked && memory.answered.elapsed() >= ALL_EVERY {
            memory.asked = false;
            memory.answered = Instant::now();
            self.registry.tell_all();
        }
    }

    fn changed(&self, changes: Vec<Change>) {
        if !changes.is_empty() && self.registry.has_devices() {
            self.board.post(Notice::Changed(changes));
        }
    }
}

async fn deliver_bulk(registry: Arc<Registry>, mut waiting: mpsc::Receiver<(UserId, ServerEvent)>) {
    while let Some((user, event)) = waiting.recv().await {
        registry.deliver_bulk_here(&user, None, &[event]).await;
    }
}
