//! When to try again.

use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;

/// How pauses between tries grow, and how long to go on: decorrelated jitter, so that many clients that lost the same server
/// do not come back all at once.
///
/// Each pause is chance between [`first`](Self::first) and three times the pause before, and at most [`most`](Self::most). What
/// the server asks for by `Retry-After` is the least that is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The shortest pause.
    pub first: Duration,
    /// The longest pause of ours.
    pub most: Duration,
    /// How long all tries may take together; `None` goes on for ever.
    pub budget: Option<Duration>,
}

impl Backoff {
    /// For single requests: from 100 ms to 5 s, for 30 s.
    pub const REQUESTS: Self = Self {
        first: Duration::from_millis(100),
        most: Duration::from_secs(5),
        budget: Some(Duration::from_secs(30)),
    };

    /// For connections: from 200 ms to 20 s, for ever.
    pub const CONNECTIONS: Self = Self {
        first: Duration::from_millis(200),
        most: Duration::from_secs(20),
        budget: None,
    };

    pub(crate) fn pauses(self) -> Pauses {
        Pauses {
            backoff: self,
            last: self.first,
            began: Instant::now(),
        }
    }
}

/// The pauses of one matter.
#[derive(Debug)]
pub(crate) struct Pauses {
    backoff: Backoff,
    last: Duration,
    began: Instant,
}

impl Pauses {
    /// The next one, which is at least so long; `None` when it would go beyond the budget.
    pub(crate) fn next(&mut self, at_least: Option<Duration>) -> Option<Duration> {
        let Backoff { first, most, budget } = self.backoff;
        let longest = self.last.saturating_mul(3).min(most).max(first);
        self.last = first + longest.saturating_sub(first).mul_f64(rand::rng().random());
        let pause = self.last.max(at_least.unwrap_or_default());
        let fits = budget.is_none_or(|budget| self.began.elapsed().saturating_add(pause) <= budget);
        fits.then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_within_bounds_until_the_budget_is_spent() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            most: Duration::from_secs(2),
            budget: Some(Duration::from_secs(60)),
        };
        let mut pauses = backoff.pauses();
        let (mut last, mut total) = (backoff.first, Duration::ZERO);
        while let Some(pause) = pauses.next(None) {
            assert!(pause >= backoff.first && pause <= backoff.most, "{pause:?}");
            assert!(pause <= last * 3, "{pause:?} after {last:?}");
            last = pause;
            total += pause;
            tokio::time::advance(pause).await;
        }
        assert!(
            total > Duration::from_secs(57) && total <= Duration::from_secs(60),
            "{total:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_may_ask_for_longer() {
        let mut pauses = Backoff::CONNECTIONS.pauses();
        let asked = Duration::from_secs(90);
        assert_eq!(pauses.next(Some(asked)), Some(asked));
        assert_eq!(Backoff::REQUESTS.pauses().next(Some(asked)), None);
    }
}
