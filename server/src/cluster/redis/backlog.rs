//! Batches that were received and wait to be read: bounded in number and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

const MOST_BATCHES: usize = 4096;
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Where they are put.
#[derive(Clone)]
pub(super) struct Backlog {
    queue: mpsc::Sender<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
}

/// Where they are taken from.
pub(super) struct Batches {
    queue: mpsc::Receiver<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
}

impl Backlog {
    pub(super) fn new() -> (Self, Batches) {
        let (sender, receiver) = mpsc::channel(MOST_BATCHES);
        let bytes = Arc::<AtomicUsize>::default();
        let batches = Batches {
            queue: receiver,
            bytes: bytes.clone(),
        };
        (Self { queue: sender, bytes }, batches)
    }

    /// Never waits. One for which there is no room is missing in the numbers, and counted and seen to there.
    pub(super) fn put(&self, batch: Vec<u8>) {
        let size = batch.len();
        let waiting = self.bytes.fetch_add(size, Ordering::Relaxed);
        if waiting + size > MOST_BYTES || self.queue.try_send(batch).is_err() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }
}

impl Batches {
    /// `None`: nobody puts any more.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        let batch = self.queue.recv().await?;
        self.bytes.fetch_sub(batch.len(), Ordering::Relaxed);
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_are_bounded_and_there_is_room_again_when_they_are_read() {
        let (backlog, mut batches) = Backlog::new();
        for _ in 0..5 {
            backlog.put(vec![0; MOST_BYTES / 4]);
        }
        for _ in 0..4 {
            assert!(batches.next().await.is_some());
        }
        backlog.put(vec![1]);
        assert_eq!(batches.next().await, Some(vec![1]), "the fifth found no room");
    }
}
