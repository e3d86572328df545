//! Whether Redis carries what nodes tell each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::outbox::State;
use crate::metrics::ClusterMetrics;

/// Our own beat comes back twice a second; without it for so long, something is broken.
const SILENT_FOR: Duration = Duration::from_millis(2_500);
/// A connection that comes and goes does not fill the log.
const WARN_EVERY: Duration = Duration::from_secs(30);

pub(super) struct Health {
    outbox: Arc<State>,
    started: Instant,
    publishing: AtomicBool,
    /// When our own words last came back, in milliseconds since the start.
    echoed: AtomicU64,
    /// When it was last said that Redis is down, likewise; 0 is never.
    warned: AtomicU64,
    metrics: ClusterMetrics,
}

impl Health {
    pub(super) fn new(outbox: Arc<State>, metrics: ClusterMetrics) -> Self {
        let health = Self {
            outbox,
            started: Instant::now(),
            publishing: AtomicBool::new(true),
            echoed: AtomicU64::new(0),
            warned: AtomicU64::new(0),
            metrics,
        };
        health.judge();
        health
    }

    /// Whether publishing works, and if not, why.
    pub(super) fn published(&self, result: Result<(), String>) {
        let before = self.publishing.swap(result.is_ok(), Ordering::Relaxed);
        if let Err(why) = result
            && before
        {
            self.warn(&why);
        }
        self.judge();
    }

    /// Our own words came back.
    pub(super) fn echoed(&self) {
        self.echoed.store(self.now(), Ordering::Relaxed);
        self.judge();
    }

    /// How long ago our own words last came back.
    pub(super) fn silent_for(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.echoed.load(Ordering::Relaxed)))
    }

    pub(super) fn is_publishing(&self) -> bool {
        self.publishing.load(Ordering::Relaxed)
    }

    pub(super) fn is_up(&self) -> bool {
        self.outbox.up.load(Ordering::Relaxed)
    }

    /// Looks at all that is known. Returns whether the others can be reached.
    pub(super) fn judge(&self) -> bool {
        let up = self.is_publishing() && self.silent_for() < SILENT_FOR;
        let before = self.outbox.up.swap(up, Ordering::Relaxed);
        self.metrics.up.set(i64::from(up));
        if up && !before && self.warned.load(Ordering::Relaxed) > 0 {
            tracing::info!("the other nodes can be reached through Redis again");
        } else if before && !up {
            self.warn("nothing comes back from it");
        }
        up
    }

    fn warn(&self, why: &str) {
        let (now, warned) = (self.now().max(1), self.warned.load(Ordering::Relaxed));
        if warned == 0 || Duration::from_millis(now - warned.min(now)) > WARN_EVERY {
            self.warned.store(now, Ordering::Relaxed);
            tracing::warn!(
                why,
                "Redis does not join the nodes: each serves its own devices, and limits are counted by each alone"
            );
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
