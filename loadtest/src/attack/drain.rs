//! How long is waited for what is under way once the schedule is over.

use std::time::{Duration, Instant};

/// First the devices take the turns that they are behind with, then the server has its time. Were both one time, a generator
/// that is behind would use up the server's, and what it asked for last would look lost.
#[derive(Debug)]
pub(super) struct Drain {
    /// For either.
    within: Duration,
    began: Instant,
    /// Since when no device has a turn left.
    played: Option<Instant>,
}

impl Drain {
    pub(super) fn begin(within: Duration, now: Instant) -> Self {
        Self {
            within,
            began: now,
            played: None,
        }
    }

    /// Whether there is time left, now that so many devices still have turns to take.
    pub(super) fn goes_on(&mut self, now: Instant, playing: u64) -> bool {
        if playing == 0 {
            self.played.get_or_insert(now);
        }
        let since = self.played.unwrap_or(self.began);
        now.saturating_duration_since(since) < self.within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(15);

    #[test]
    fn the_server_has_all_its_time_from_the_last_turn_on() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let mut drain = Drain::begin(WITHIN, start);
        assert!(drain.goes_on(at(10), 3));
        // The last one has taken its last turn.
        assert!(drain.goes_on(at(12), 0));
        assert!(drain.goes_on(at(26), 0));
        assert!(!drain.goes_on(at(27), 0));
    }

    #[test]
    fn a_generator_that_stays_behind_is_not_waited_for_for_ever() {
        let start = Instant::now();
        let mut drain = Drain::begin(WITHIN, start);
        assert!(drain.goes_on(start + WITHIN - Duration::from_millis(1), 3));
        assert!(!drain.goes_on(start + WITHIN, 3));
    }
}
