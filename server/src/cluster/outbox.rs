//! What waits to be told to the other nodes.
//!
//! Nothing here waits for them: there is room, or the frame is dropped and counted. History has the messages, and a node that
//! finds a gap in our numbers asks for everything else anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::frame::{self, News};
use crate::metrics::{ClusterMetrics, Lost};

/// Frames that may wait.
const MOST_FRAMES: usize = 16_384;
/// And their bytes.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The way out to the other nodes. Cheap to clone.
#[derive(Clone)]
pub(super) struct Outbox {
    queue: mpsc::Sender<Item>,
    state: Arc<State>,
    metrics: ClusterMetrics,
}

/// The other end, for whoever sends.
pub(super) struct Outgoing {
    pub(super) queue: mpsc::Receiver<Item>,
    pub(super) state: Arc<State>,
    metrics: ClusterMetrics,
}

pub(super) enum Item {
    Frame(Vec<u8>),
    /// Answered when everything before it was sent, or given up.
    Flush(oneshot::Sender<()>),
}

#[derive(Default)]
pub(super) struct State {
    bytes: AtomicUsize,
    /// A frame was dropped: the next batch leaves out a number, so that others notice.
    pub(super) gap: AtomicBool,
    /// Whether the other nodes can be reached, as far as we know.
    pub(super) up: AtomicBool,
    closed: AtomicBool,
}

impl Outbox {
    pub(super) fn new(metrics: ClusterMetrics) -> (Self, Outgoing) {
        let (sender, queue) = mpsc::channel(MOST_FRAMES);
        let state = Arc::<State>::default();
        let outgoing = Outgoing {
            queue,
            state: state.clone(),
            metrics: metrics.clone(),
        };
        let outbox = Self {
            queue: sender,
            state,
            metrics,
        };
        (outbox, outgoing)
    }

    /// Queues a frame. `false`: there was no room, and it is lost.
    pub(super) fn push(&self, frame: Vec<u8>) -> bool {
        if self.state.closed.load(Ordering::Relaxed) || fault!(NodesApart) {
            return true;
        }
        let size = frame.len();
        let queued = self.state.bytes.fetch_add(size, Ordering::Relaxed);
        if queued + size <= MOST_BYTES && self.queue.try_send(Item::Frame(frame)).is_ok() {
            return true;
        }
        self.state.bytes.fetch_sub(size, Ordering::Relaxed);
        self.state.gap.store(true, Ordering::Relaxed);
        self.metrics.lost(Lost::Overflow, 1);
        false
    }

    pub(super) fn tell(&self, news: &News) {
        self.push(frame::news(news));
    }

    /// Whether very many frames more would find room.
    pub(super) fn has_room(&self) -> bool {
        self.queue.capacity() > MOST_FRAMES / 2 && self.state.bytes.load(Ordering::Relaxed) < MOST_BYTES / 2
    }

    /// Whether the other nodes can be reached, as far as we know.
    pub(super) fn is_up(&self) -> bool {
        self.state.up.load(Ordering::Relaxed)
    }

    /// Takes nothing more; returns when everything was sent, or given up.
    pub(super) async fn close(&self) {
        self.state.closed.store(true, Ordering::Relaxed);
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).await.is_ok() {
            let _ = flushed.await; // A sender that is gone has nothing to send any more.
        }
    }
}

impl Outgoing {
    pub(super) fn metrics(&self) -> &ClusterMetrics {
        &self.metrics
    }
}

impl State {
    pub(super) fn taken(&self, frame: &[u8]) {
        self.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_outbox_drops_and_says_so_and_takes_again() {
        let (outbox, mut outgoing) = Outbox::new(ClusterMetrics::default());
        for _ in 0..MOST_FRAMES {
            assert!(outbox.push(vec![1]));
        }
        assert!(!outgoing.state.gap.load(Ordering::Relaxed));
        assert!(!outbox.push(vec![1]));
        assert!(outgoing.state.gap.load(Ordering::Relaxed));
        let Ok(Item::Frame(frame)) = outgoing.queue.try_recv() else {
            panic!("a frame was queued");
        };
        outgoing.state.taken(&frame);
        assert!(outbox.push(vec![1]));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let (outbox, _outgoing) = Outbox::new(ClusterMetrics::default());
        let mut taken = 0;
        while outbox.push(vec![0; MOST_BYTES / 8]) {
            taken += 1;
        }
        assert_eq!(taken, 8);
        assert!(outbox.push(vec![]), "what is small still finds room");
    }
}
