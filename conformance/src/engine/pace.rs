//! Limits of a target that cannot be lifted, and how the suite stays below those that count by address.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chat_spec::Operation;

/// The contract's window.
const WINDOW: Duration = Duration::from_secs(900);
/// Server and suite do not count from the same moment.
const MARGIN: Duration = Duration::from_secs(3);
/// Of a limit that much is used: what others ask at the same address counts too.
const USED_PERCENT: u64 = 90;

/// What a target allows within a window; none where it is not known to limit anything.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Calls of a user, or of an address without a token.
    pub requests: Option<u64>,
    /// Registrations, logins and refreshes of an address.
    pub auth_requests: Option<u64>,
    /// Events of a user within 10 s.
    pub events: Option<u64>,
    /// In which the calls are counted.
    pub window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: None,
            auth_requests: None,
            events: None,
            window: WINDOW,
        }
    }
}

/// How much of a limit the suite uses.
pub(super) fn used(limit: u64) -> u64 {
    (limit.saturating_mul(USED_PERCENT) / 100).max(1)
}

/// What a call is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// Registrations, logins and refreshes: by address.
    Auth,
    /// By address.
    Guest,
    /// By its user, for whom it is never much.
    User,
}

impl Counted {
    pub(super) fn of(operation: Option<Operation>, has_token: bool) -> Self {
        match operation {
            Some(Operation::Register | Operation::Login | Operation::RefreshToken) => Self::Auth,
            _ if has_token => Self::User,
            _ => Self::Guest,
        }
    }
}

/// Spreads the calls that all cases share a count of.
#[derive(Debug, Default)]
pub(super) struct Pace {
    auth: Option<Bucket>,
    guests: Option<Bucket>,
}

impl Pace {
    pub(super) fn of(limits: &Limits) -> Self {
        let bucket = |limit: Option<u64>| limit.map(|limit| Bucket::new(limit, limits.window));
        Self {
            auth: bucket(limits.auth_requests),
            guests: bucket(limits.requests),
        }
    }

    /// When one more call may go; the place is taken.
    pub(super) fn take(&self, counted: Counted) -> Instant {
        let now = Instant::now();
        self.bucket(counted).map_or(now, |bucket| bucket.take(now))
    }

    /// So many calls were counted that nobody waited for.
    pub(super) fn spent(&self, counted: Counted, calls: u64) {
        if let Some(bucket) = self.bucket(counted) {
            bucket.spend(calls, Instant::now());
        }
    }

    fn bucket(&self, counted: Counted) -> Option<&Bucket> {
        match counted {
            Counted::Auth => self.auth.as_ref(),
            Counted::Guest => self.guests.as_ref(),
            Counted::User => None,
        }
    }
}

/// At most so many within any window of that length.
#[derive(Debug)]
struct Bucket {
    most: usize,
    window: Duration,
    /// When the last ones went, or are to go, the earliest first.
    taken: Mutex<VecDeque<Instant>>,
}

impl Bucket {
    fn new(limit: u64, window: Duration) -> Self {
        Self {
            most: usize::try_from(used(limit)).unwrap_or(usize::MAX),
            window: window + MARGIN,
            taken: Mutex::default(),
        }
    }

    /// When the next one may go: places are given in the order in which they are asked for.
    fn take(&self, now: Instant) -> Instant {
        let mut taken = self.taken();
        let free = match taken.len() < self.most {
            true => now,
            false => taken.pop_front().map_or(now, |oldest| now.max(oldest + self.window)),
        };
        // Behind whoever was given a place before.
        let due = taken.back().map_or(free, |last| free.max(*last));
        taken.push_back(due);
        due
    }

    fn spend(&self, calls: u64, now: Instant) {
        for _ in 0..calls.min(self.most as u64) {
            let mut taken = self.taken();
            if taken.len() >= self.most {
                taken.pop_front();
            }
            let at = taken.back().map_or(now, |last| now.max(*last));
            taken.push_back(at);
        }
    }

    fn taken(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn no_window_has_more_than_its_share() {
        let bucket = Bucket::new(10, WINDOW);
        let begin = Instant::now();
        let mut due: Vec<Instant> = (0..40).map(|_| bucket.take(begin)).collect();
        // Somebody asks again when the first window is over.
        due.extend((0..10).map(|_| bucket.take(begin + Duration::from_secs(60))));
        assert!(due.is_sorted(), "in the order in which they asked");
        for (first, beyond) in due.iter().zip(&due[9..]) {
            assert!(*beyond - *first >= WINDOW, "10 within the window");
        }
        assert_eq!(due[8], begin, "what is allowed goes at once");
    }

    #[test]
    fn what_was_spent_before_counts() {
        let bucket = Bucket::new(10, WINDOW);
        let begin = Instant::now();
        bucket.spend(8, begin);
        assert_eq!(bucket.take(begin), begin);
        assert!(bucket.take(begin) >= begin + WINDOW);
        // More than there is room for is no more than all of it.
        let bucket = Bucket::new(10, WINDOW);
        bucket.spend(1_000_000, begin);
        let waited = bucket.take(begin) - begin;
        assert!((WINDOW..WINDOW * 2).contains(&waited), "{waited:?}");
    }
}
