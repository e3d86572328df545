//! Rate limits: exact counts in fixed windows, a window per key that starts with its first use.
//!
//! A window is two numbers, and the answer to "how many are left, and until when" is exact, which is what the
//! `RateLimit` headers promise. Memory is bounded: of too many keys, the one unused for longest is forgotten.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chat_protocol::UserId;
use lru::LruCache;

use crate::config::{Config, LimitConfig};

/// Keys that one limit remembers: some 10 MB at worst.
const MOST_KEYS: usize = 100_000;

/// The three limits of the contract.
#[derive(Debug)]
pub struct Limits {
    /// REST calls, but for those of [`Self::auth`].
    pub requests: Limit,
    /// Register, login and refresh, by address.
    pub auth: Limit,
    /// Socket events.
    pub events: Limit,
}

/// Whose use is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    User(UserId),
    Address(IpAddr),
}

/// One limit, for any number of keys.
#[derive(Debug)]
pub struct Limit {
    config: LimitConfig,
    most_keys: usize,
    windows: Mutex<LruCache<Key, Window>>,
}

/// What a key has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Uses per window.
    pub limit: u32,
    pub window: Duration,
    pub remaining: u32,
    /// Until the window ends and everything is there again.
    pub reset: Duration,
}

/// Whether a use is allowed, with what is left after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    pub quota: Quota,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends: Instant,
    used: u32,
}

impl Limits {
    pub fn new(config: &Config) -> Self {
        Self {
            requests: Limit::new(config.request_limit),
            auth: Limit::new(config.auth_limit),
            events: Limit::new(config.socket_limit),
        }
    }
}

impl Key {
    /// By address. An IPv6 customer has a whole /64, and an IPv4 address may come dressed as IPv6.
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 => v4,
        })
    }
}

impl Quota {
    /// Whole seconds until the window ends, rounded up: whoever waits that long is served.
    pub fn reset_seconds(&self) -> u64 {
        ceil_seconds(self.reset)
    }
}

impl Limit {
    pub fn new(config: LimitConfig) -> Self {
        Self::with_keys(config, MOST_KEYS)
    }

    fn with_keys(config: LimitConfig, most_keys: usize) -> Self {
        Self {
            config,
            most_keys,
            // Unbounded only in name: a bounded one would reserve its whole memory at once.
            windows: Mutex::new(LruCache::unbounded()),
        }
    }

    /// Uses one, if there is one. What is refused is not counted.
    pub fn check(&self, key: Key) -> Verdict {
        self.check_at(key, Instant::now())
    }

    /// What is left, without using it.
    pub fn peek(&self, key: &Key) -> Quota {
        self.peek_at(key, Instant::now())
    }

    fn check_at(&self, key: Key, now: Instant) -> Verdict {
        if self.config.max == 0 {
            return Verdict {
                allowed: true,
                quota: self.unlimited(),
            };
        }
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Window {
            ends: now + self.config.window,
            used: 0,
        };
        let window = windows.get_or_insert_mut(key, || fresh);
        if window.ends <= now {
            *window = fresh;
        }
        let allowed = window.used < self.config.max;
        window.used += u32::from(allowed);
        let quota = self.quota(*window, now);
        if windows.len() > self.most_keys {
            windows.pop_lru();
        }
        Verdict { allowed, quota }
    }

    fn peek_at(&self, key: &Key, now: Instant) -> Quota {
        if self.config.max == 0 {
            return self.unlimited();
        }
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.peek(key).filter(|window| window.ends > now).copied();
        self.quota(
            window.unwrap_or(Window {
                ends: now + self.config.window,
                used: 0,
            }),
            now,
        )
    }

    fn quota(&self, window: Window, now: Instant) -> Quota {
        Quota {
            limit: self.config.max,
            window: self.config.window,
            remaining: self.config.max - window.used,
            reset: window.ends.saturating_duration_since(now),
        }
    }

    /// A limit that is off still has numbers to show, of which nobody reaches the end.
    fn unlimited(&self) -> Quota {
        Quota {
            limit: u32::MAX,
            window: self.config.window,
            remaining: u32::MAX,
            reset: self.config.window,
        }
    }
}

/// Whole seconds, rounded up, at least one.
pub fn ceil_seconds(span: Duration) -> u64 {
    let up = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    up.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn limit(max: u32) -> Limit {
        Limit::with_keys(LimitConfig { max, window: WINDOW }, 3)
    }

    fn user(name: &str) -> Key {
        Key::User(name.parse().unwrap())
    }

    #[test]
    fn exactly_max_per_window() {
        let (limit, start) = (limit(3), Instant::now());
        let second = Duration::from_secs(1);
        for left in [2, 1, 0] {
            let verdict = limit.check_at(user("ann"), start);
            assert_eq!((verdict.allowed, verdict.quota.remaining), (true, left));
        }
        let refused = limit.check_at(user("ann"), start + second * 4);
        assert_eq!((refused.allowed, refused.quota.remaining), (false, 0));
        assert_eq!(refused.quota.reset_seconds(), 6);
        assert!(limit.check_at(user("bob"), start).allowed, "keys do not share");
        assert!(
            !limit
                .check_at(user("ann"), start + WINDOW - Duration::from_nanos(1))
                .allowed
        );
        let next = limit.check_at(user("ann"), start + WINDOW);
        assert_eq!(
            (next.allowed, next.quota.remaining),
            (true, 2),
            "refused ones were not counted"
        );
    }

    #[test]
    fn peeking_uses_nothing() {
        let (limit, now) = (limit(2), Instant::now());
        assert_eq!(limit.peek_at(&user("ann"), now).remaining, 2);
        limit.check_at(user("ann"), now);
        for _ in 0..5 {
            assert_eq!(limit.peek_at(&user("ann"), now).remaining, 1);
        }
        assert_eq!(
            limit.peek_at(&user("ann"), now + WINDOW).remaining,
            2,
            "a window that ended"
        );
    }

    #[test]
    fn zero_is_off() {
        let limit = limit(0);
        for _ in 0..1000 {
            assert!(limit.check(user("ann")).allowed);
        }
        assert_eq!(limit.windows.lock().unwrap().len(), 0);
    }

    #[test]
    fn memory_is_bounded_and_the_longest_unused_key_goes() {
        let (limit, now) = (limit(5), Instant::now());
        for name in ["a", "b", "c"] {
            limit.check_at(user(name), now);
        }
        limit.check_at(user("a"), now);
        limit.check_at(user("d"), now);
        assert_eq!(limit.windows.lock().unwrap().len(), 3);
        assert_eq!(limit.peek_at(&user("a"), now).remaining, 3);
        assert_eq!(limit.peek_at(&user("b"), now).remaining, 5, "forgotten");
    }

    #[test]
    fn addresses_are_counted_by_who_owns_them() {
        let key = |text: &str| Key::address(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.7"), key("192.0.2.7"));
        assert_ne!(key("192.0.2.7"), key("192.0.2.8"));
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (900_000, 900)] {
            assert_eq!(ceil_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
