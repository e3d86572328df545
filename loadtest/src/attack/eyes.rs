//! Looks at the server once a second, in a task of its own: a page that is slow to come holds up nobody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::target::{Look, Resources, Usage};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What is seen of the server. Sees no more once this is dropped.
pub(super) struct Eyes {
    seen: Arc<Mutex<Vec<Usage>>>,
    looking: JoinHandle<()>,
}

impl Eyes {
    /// Looks from now on; `go` is when the schedule began.
    pub(super) fn open(resources: Resources, go: Instant) -> Self {
        let seen = Arc::<Mutex<Vec<Usage>>>::default();
        let looking = tokio::spawn(look(resources, go, seen.clone()));
        Self { seen, looking }
    }

    pub(super) fn last(&self) -> Option<Usage> {
        locked(&self.seen).last().copied()
    }

    /// All that was seen.
    pub(super) fn close(self) -> Vec<Usage> {
        std::mem::take(&mut *locked(&self.seen))
    }
}

impl Drop for Eyes {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

fn locked(seen: &Mutex<Vec<Usage>>) -> std::sync::MutexGuard<'_, Vec<Usage>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn look(resources: Resources, go: Instant, seen: Arc<Mutex<Vec<Usage>>>) {
    let client = resources.client();
    let mut turn = interval(PAUSE);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<(Duration, Look)> = None;
    loop {
        turn.tick().await;
        let look = resources.look(client.as_ref()).await;
        // When it was read, and not when it was asked for.
        let at = go.elapsed();
        if let Some(before) = last {
            locked(&seen).push(usage(before, (at, look)));
        }
        last = Some((at, look));
    }
}

/// What was used between two looks.
fn usage((last, before): (Duration, Look), (at, look): (Duration, Look)) -> Usage {
    let passed = at.saturating_sub(last).as_secs_f64().max(1e-9);
    let cores =
        |now: Option<Duration>, before: Option<Duration>| Some(now?.saturating_sub(before?).as_secs_f64() / passed);
    Usage {
        second: u32::try_from(at.as_secs()).unwrap_or(u32::MAX),
        cores: cores(look.cpu, before.cpu),
        memory: look.memory,
        sockets: look.sockets,
        queue: look.queue,
        database_cores: cores(look.database_cpu, before.database_cpu),
        database_memory: look.database_memory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_of_the_time_that_passed_between_two_readings() {
        let look = |millis| Look {
            cpu: Some(Duration::from_millis(millis)),
            sockets: Some(7),
            ..Look::default()
        };
        let (first, slow) = (Duration::from_millis(1000), Duration::from_millis(2800));
        let usage = usage((first, look(100)), (slow, look(1000)));
        assert_eq!((usage.second, usage.sockets, usage.memory), (2, Some(7), None));
        assert!(usage.cores.is_some_and(|cores| (cores - 0.5).abs() < 1e-9), "{usage:?}");
    }
}
