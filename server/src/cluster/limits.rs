//! Rate limits: exact counts in fixed windows, a window per key that starts with its first use.
//!
//! A window is two numbers, and the answer to "how many are left, and until when" is exact, which is what the
//! `RateLimit` headers promise. Memory is bounded: of too many keys, the one unused for longest is forgotten. Over several nodes
//! the counts are brought together; how, and what that promises, is said in `cluster/redis/limits.rs`.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chat_protocol::UserId;
use lru::LruCache;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::frame::{LimitName, Use};
use super::redis::AuthCount;
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
    /// What the nodes together count for [`Self::auth`].
    auth_count: Option<AuthCount>,
}

/// Whose use is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    reports: Option<Reports>,
}

/// What other nodes are to hear of.
#[derive(Debug, Default)]
struct Reports {
    uses: Mutex<HashMap<Key, u32>>,
    /// A key used so much since the last report that the next should not wait.
    pressing: Notify,
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
            auth_count: None,
        }
    }

    /// Of a node among others.
    pub(super) fn joined(config: &Config, auth_count: AuthCount) -> Self {
        Self {
            requests: Limit::new(config.request_limit).reported(),
            events: Limit::new(config.socket_limit).reported(),
            auth_count: Some(auth_count),
            ..Self::new(config)
        }
    }

    /// Uses one of [`Self::auth`], if there is one at all nodes together.
    pub async fn check_auth(&self, key: Key) -> Verdict {
        // Counted here before the others are asked: answers to calls of one moment come in any order.
        let here = self.auth.check(key.clone());
        let asked = self.auth_count.as_ref().filter(|_| here.allowed && self.auth.is_on());
        let Some(count) = asked else {
            return here;
        };
        match count.count(&key, self.auth.config).await {
            Some(counted) => self.auth.settle(key, counted.allowed, counted.used, counted.left),
            None => here,
        }
    }

    /// Counts what was used at another node.
    pub(super) fn absorb(&self, limit: LimitName, uses: Vec<Use>) {
        if fault!(LimitsPerNode) {
            return;
        }
        match limit {
            LimitName::Requests => self.requests.absorb(uses, Instant::now()),
            LimitName::Events => self.events.absorb(uses, Instant::now()),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "{user}"),
            Self::Address(address) => write!(f, "{address}"),
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
        let max = match config.max {
            0 if fault!(ZeroIsDefault) => 100,
            max => max,
        };
        Self {
            config: LimitConfig { max, ..config },
            most_keys,
            // Unbounded only in name: a bounded one would reserve its whole memory at once.
            windows: Mutex::new(LruCache::unbounded()),
            reports: None,
        }
    }

    fn reported(self) -> Self {
        Self {
            reports: Some(Reports::default()),
            ..self
        }
    }

    fn is_on(&self) -> bool {
        self.config.max > 0
    }

    fn windows(&self) -> MutexGuard<'_, LruCache<Key, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
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
        let counts_events = self.config.window.as_secs() <= 10;
        if !self.is_on() || fault!(LimitsUnmounted) || (counts_events && fault!(EventsUnlimited)) {
            return Verdict {
                allowed: true,
                quota: self.unlimited(),
            };
        }
        let reported = self.reports.as_ref().map(|reports| (reports, key.clone()));
        let mut windows = self.windows();
        let window = self.window(&mut windows, key, now);
        let allowed = window.used < self.config.max;
        window.used += u32::from(allowed);
        let quota = self.quota(*window, now);
        self.forget_oldest(&mut windows);
        drop(windows);
        if allowed && let Some((reports, key)) = reported {
            reports.add(key, self.config.max, self.most_keys);
        }
        Verdict { allowed, quota }
    }

    /// The window of a key that holds now.
    fn window<'a>(&self, windows: &'a mut LruCache<Key, Window>, key: Key, now: Instant) -> &'a mut Window {
        let fresh = Window {
            ends: now + self.config.window,
            used: 0,
        };
        let window = windows.get_or_insert_mut(key, || fresh);
        if window.ends <= now {
            *window = fresh;
        }
        window
    }

    fn forget_oldest(&self, windows: &mut LruCache<Key, Window>) {
        if windows.len() > self.most_keys {
            windows.pop_lru();
        }
    }

    /// Takes over what all nodes together counted for a use that is counted here already.
    fn settle(&self, key: Key, allowed: bool, used: u32, left: Duration) -> Verdict {
        let now = Instant::now();
        let mut windows = self.windows();
        let window = self.window(&mut windows, key, now);
        window.used = window.used.max(used);
        window.ends = now + left.min(self.config.window);
        let quota = self.quota(*window, now);
        self.forget_oldest(&mut windows);
        Verdict { allowed, quota }
    }

    /// Adds what was used at another node. The windows of a key end together: with the first of them.
    fn absorb(&self, uses: Vec<Use>, now: Instant) {
        if !self.is_on() {
            return;
        }
        let mut windows = self.windows();
        for Use { key, count, left } in uses {
            let ends = now + Duration::from_millis(left).min(self.config.window);
            let window = self.window(&mut windows, key, now);
            window.used = window.used.saturating_add(count);
            window.ends = window.ends.min(ends);
            self.forget_oldest(&mut windows);
        }
    }

    /// What was used here since the last call.
    pub(super) fn unreported(&self) -> Vec<Use> {
        let Some(reports) = &self.reports else {
            return Vec::new();
        };
        let uses = std::mem::take(&mut *reports.uses());
        if uses.is_empty() {
            return Vec::new();
        }
        let (now, windows) = (Instant::now(), self.windows());
        let left = |key: &Key| {
            windows
                .peek(key)
                .map(|window| window.ends.saturating_duration_since(now))
        };
        let uses = uses.into_iter().filter_map(|(key, count)| {
            let left = u64::try_from(left(&key)?.as_millis()).unwrap_or(u64::MAX);
            (left > 0).then_some(Use { key, count, left })
        });
        uses.collect()
    }

    /// Waits until what was used should be told at once.
    pub(super) async fn pressing(&self) {
        match &self.reports {
            Some(reports) => reports.pressing.notified().await,
            None => std::future::pending().await,
        }
    }

    fn peek_at(&self, key: &Key, now: Instant) -> Quota {
        if !self.is_on() {
            return self.unlimited();
        }
        let windows = self.windows();
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
            remaining: self.config.max.saturating_sub(window.used),
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

impl Reports {
    fn uses(&self) -> MutexGuard<'_, HashMap<Key, u32>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, key: Key, max: u32, most_keys: usize) {
        let mut uses = self.uses();
        if uses.len() >= most_keys && !uses.contains_key(&key) {
            return;
        }
        let used = uses.entry(key).or_default();
        *used += 1;
        if *used >= (max / 8).max(1) {
            self.pressing.notify_one();
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
    use futures_util::FutureExt as _;

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
    fn two_nodes_count_together_and_their_windows_end_together() {
        let (here, there, now) = (limit(8).reported(), limit(8).reported(), Instant::now());
        for _ in 0..3 {
            here.check_at(user("ann"), now);
        }
        let later = now + Duration::from_secs(2);
        there.check_at(user("ann"), later);
        let uses = here.unreported();
        assert_eq!((uses.len(), uses[0].count), (1, 3));
        assert!(here.unreported().is_empty(), "told once");
        there.absorb(
            vec![Use {
                left: 8_000,
                ..uses[0].clone()
            }],
            later,
        );
        let left = there.peek_at(&user("ann"), later);
        assert_eq!((left.remaining, left.reset_seconds()), (4, 8));
        there.absorb(
            vec![Use {
                count: 7,
                ..uses[0].clone()
            }],
            later,
        );
        let refused = there.check_at(user("ann"), later);
        assert_eq!((refused.allowed, refused.quota.remaining), (false, 0), "more than all");
        let reported = there.unreported();
        assert_eq!(reported[0].count, 1, "what others used is not told again");
    }

    #[test]
    fn an_eighth_is_told_at_once_so_that_a_limit_is_passed_by_less() {
        let (here, there, now) = (limit(80).reported(), limit(80).reported(), Instant::now());
        let mut allowed = 0;
        for (one, other, times) in [(&here, &there, 9), (&there, &here, 100), (&here, &there, 100)] {
            for _ in 0..times {
                allowed += u32::from(one.check_at(user("ann"), now).allowed);
                if one.pressing().now_or_never().is_some() {
                    other.absorb(one.unreported(), now);
                }
            }
        }
        assert_eq!(allowed, 80 + 9);
    }

    #[test]
    fn what_was_asked_at_once_is_counted_once_in_whatever_order_it_is_answered() {
        let (limit, left) = (limit(6), |limit: &Limit| limit.peek(&user("ann")).remaining);
        for _ in 0..3 {
            limit.check(user("ann"));
        }
        // Two more are another node's.
        for used in [5, 1, 3] {
            limit.settle(user("ann"), true, used, WINDOW);
        }
        assert_eq!(left(&limit), 1);
        limit.check(user("ann"));
        limit.settle(user("ann"), true, 1, WINDOW);
        assert_eq!(left(&limit), 0, "a Redis that comes back empty");
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
