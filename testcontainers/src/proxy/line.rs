//! The state of the network between the two sides.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// What the network does to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// Swallows everything.
    pub(super) silent: bool,
    /// How much later each byte arrives.
    pub(super) delay: Duration,
    /// Bytes per second in each direction; 0 is without limit.
    pub(super) rate: u64,
}

/// How all connections end that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Reset,
}

/// What all connections of a proxy share.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) condition: watch::Sender<Condition>,
    /// How the connections were ended last, those there were then.
    pub(super) ends: watch::Sender<End>,
    pub(super) up: Lane,
    pub(super) down: Lane,
    open: AtomicUsize,
}

/// One direction of the network.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// When all that was given to it has left.
    free: Mutex<Option<Instant>>,
}

/// Counts a connection as long as it lives.
#[derive(Debug)]
pub(super) struct Open<'a>(&'a Lines);

impl Default for Lines {
    fn default() -> Self {
        Self {
            condition: watch::Sender::new(Condition::HEALTHY),
            ends: watch::Sender::new(End::Closed),
            up: Lane::default(),
            down: Lane::default(),
            open: AtomicUsize::new(0),
        }
    }
}

impl Lines {
    pub(super) fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn open(&self) -> Open<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lane {
    /// When so many bytes that are sent now arrive: each waits until those before it have left, takes its time to leave,
    /// and then the delay.
    pub(super) fn arrival(&self, bytes: usize, condition: Condition) -> Instant {
        let now = Instant::now();
        if condition.rate == 0 {
            return now + condition.delay;
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = free.map_or(now, |free| free.max(now));
        let left = begins + leaving(bytes, condition.rate);
        *free = Some(left);
        left + condition.delay
    }

    /// Forgets what was still to leave.
    pub(super) fn clear(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn leaving(bytes: usize, rate: u64) -> Duration {
    let nanoseconds = bytes as u128 * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_leave_one_after_the_other_and_are_delayed_together() {
        let lane = Lane::default();
        let now = Instant::now();
        let condition = Condition {
            rate: 1000,
            delay: Duration::from_millis(50),
            silent: false,
        };
        assert_eq!(lane.arrival(100, condition), now + Duration::from_millis(150));
        assert_eq!(lane.arrival(200, condition), now + Duration::from_millis(350));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(lane.arrival(100, condition), now + Duration::from_millis(1150));
        lane.clear();
        assert_eq!(lane.arrival(7, Condition::HEALTHY), Instant::now());
    }
}
