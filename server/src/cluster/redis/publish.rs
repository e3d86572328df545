//! Telling the other nodes: one task, so that everything keeps its order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::redis::aio::ConnectionManager;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::said;
use super::health::Health;
use crate::cluster::frame::{self, Head, NodeId};
use crate::cluster::outbox::{Item, Outgoing};
use crate::metrics::{ClusterMetrics, Lost};

/// Frames and bytes of one batch; a single frame may have more.
const MOST_FRAMES: usize = 512;
const MOST_BYTES: usize = 512 * 1024;
/// A connection that is lost is made again only upon a command, which fails. So it is a probe that fails, not a message.
const PROBE: Duration = Duration::from_millis(250);

pub(super) struct Publisher {
    channel: String,
    connection: ConnectionManager,
    health: Arc<Health>,
    /// The head of the last batch.
    head: Head,
    batch: Vec<u8>,
    /// In `batch`.
    frames: u64,
}

impl Publisher {
    pub(super) fn new(node: NodeId, channel: String, connection: ConnectionManager, health: Arc<Health>) -> Self {
        Self {
            channel,
            connection,
            health,
            head: Head { node, number: 0 },
            batch: Vec::new(),
            frames: 0,
        }
    }

    /// Sends what is queued, as much at a time as there is, until nobody can queue any more.
    pub(super) async fn run(mut self, mut outgoing: Outgoing) {
        let mut items = Vec::with_capacity(MOST_FRAMES);
        let mut probe = interval(PROBE);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                count = outgoing.queue.recv_many(&mut items, MOST_FRAMES) => if count == 0 { return },
                _ = probe.tick() => self.probe().await,
            }
            for item in items.drain(..) {
                match item {
                    Item::Frame(bytes) => {
                        outgoing.state.taken(&bytes);
                        if self.batch.is_empty() {
                            // A frame that found no room leaves a gap in the numbers, so that others ask for what it said.
                            let gap = outgoing.state.gap.swap(false, Ordering::Relaxed);
                            self.head.number += 1 + u64::from(gap);
                            frame::head(&mut self.batch, self.head);
                        }
                        frame::add(&mut self.batch, &bytes);
                        self.frames += 1;
                        if self.batch.len() > MOST_BYTES {
                            self.send(&outgoing).await;
                        }
                    }
                    Item::Flush(done) => {
                        self.send(&outgoing).await;
                        let _ = done.send(()); // Whoever asked may have stopped waiting.
                    }
                }
            }
            self.send(&outgoing).await;
        }
    }

    async fn send(&mut self, outgoing: &Outgoing) {
        if self.batch.is_empty() {
            return;
        }
        let metrics: &ClusterMetrics = outgoing.metrics();
        let mut publish = ::redis::cmd("PUBLISH");
        publish.arg(&self.channel).arg(&self.batch);
        let result = publish.query_async::<i64>(&mut self.connection).await;
        self.batch.clear();
        let frames = std::mem::take(&mut self.frames);
        match &result {
            Ok(_) => {
                metrics.sent.inc();
            }
            // Not sent again: a time-out does not tell whether the others have it, and twice is worse than not at all.
            Err(_) => metrics.lost(Lost::Unsent, frames),
        }
        self.health.published(result.map(drop).map_err(|error| said(&error)));
    }

    async fn probe(&mut self) {
        let result = ::redis::cmd("PING").exec_async(&mut self.connection).await;
        self.health.published(result.map_err(|error| said(&error)));
    }
}
