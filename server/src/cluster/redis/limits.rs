//! Limits that hold over all nodes.
//!
//! Requests and events are counted where they happen, and a node tells the others what was used: ten times a second, and at
//! once when a key used an eighth of its limit since. So no request and no event waits for Redis. With `n` nodes a limit of `m`
//! can be passed by what the others let through while a report is under way: at most `(n - 1) · m / 8`, and what they take in
//! the millisecond that it travels. Logins are few, dear, and what is guessed at: each is counted in Redis before it is let in,
//! exactly. Without Redis each node counts for itself, from what it last knew.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::ConnectionManager;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::health::Health;
use crate::cluster::frame::{LimitName, News};
use crate::cluster::limits::{Key, Limit, Limits};
use crate::cluster::outbox::Outbox;
use crate::config::{LimitConfig, RedisConfig};

const REPORT_EVERY: Duration = Duration::from_millis(100);
/// Uses of so many keys in one report.
const MOST_USES: usize = 1_000;
/// A login does not wait longer for its count.
const COUNT_WITHIN: Duration = Duration::from_millis(250);
/// Counts one use, unless all are used. In one script: a count without an end would never begin anew.
const COUNT: &str = r"
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
if used >= tonumber(ARGV[1]) then return {0, used, redis.call('PTTL', KEYS[1])} end
used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {1, used, redis.call('PTTL', KEYS[1])}
";

/// The count of logins in Redis.
pub(crate) struct AuthCount {
    connection: ConnectionManager,
    prefix: String,
    health: Arc<Health>,
}

/// What Redis says to one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) allowed: bool,
    pub(crate) used: u32,
    pub(crate) left: Duration,
}

impl AuthCount {
    pub(super) fn new(connection: ConnectionManager, redis: &RedisConfig, health: Arc<Health>) -> Self {
        Self {
            connection,
            prefix: redis.prefix.clone(),
            health,
        }
    }

    /// Counts one use. `None`: Redis does not say now.
    pub(crate) async fn count(&self, key: &Key, limit: LimitConfig) -> Option<Counted> {
        if !self.health.is_up() {
            return None;
        }
        let mut connection = self.connection.clone();
        let mut script = ::redis::cmd("EVAL");
        script.arg(COUNT).arg(1).arg(format!("{}:auth:{key}", self.prefix));
        script
            .arg(limit.max)
            .arg(u64::try_from(limit.window.as_millis()).unwrap_or(u64::MAX));
        let counted = timeout(COUNT_WITHIN, script.query_async::<(u8, u32, i64)>(&mut connection)).await;
        let (allowed, used, left) = counted.ok()?.ok()?;
        Some(Counted {
            allowed: allowed == 1,
            used,
            left: Duration::from_millis(u64::try_from(left).unwrap_or(0)),
        })
    }
}

impl std::fmt::Debug for AuthCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthCount").finish_non_exhaustive()
    }
}

/// Tells the other nodes what was used here, for ever.
pub(super) async fn report(limits: Arc<Limits>, outbox: Outbox) {
    let mut every = interval(REPORT_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = limits.requests.pressing() => {}
            () = limits.events.pressing() => {}
        }
        tell(&limits.requests, LimitName::Requests, &outbox);
        tell(&limits.events, LimitName::Events, &outbox);
    }
}

fn tell(limit: &Limit, name: LimitName, outbox: &Outbox) {
    let uses = limit.unreported();
    for part in uses.chunks(MOST_USES) {
        outbox.tell(&News::Uses {
            limit: name,
            uses: part.to_vec(),
        });
    }
}
