//! Positions: numbers that order messages as time does.

use std::sync::atomic::{AtomicI64, Ordering};

use chat_protocol::Timestamp;

/// Low bits that name the node, so that two nodes never give the same position.
const NODE_BITS: u32 = 12;
const NODE_MASK: i64 = (1 << NODE_BITS) - 1;
/// Bits below the milliseconds: a count within the millisecond, and the node.
const BELOW_MILLIS: u32 = 21;
/// What 63 bits leave for milliseconds: the year 2109.
const LATEST: i64 = (1 << 42) - 1;

/// Gives positions that never go back, also when the clock of the machine does or another node's is ahead.
pub(super) struct Clock {
    last: AtomicI64,
    node: i64,
}

impl Clock {
    pub(super) fn new(node: i64) -> Self {
        Self {
            last: AtomicI64::new(0),
            node: node & NODE_MASK,
        }
    }

    /// A position above every one that was given or seen.
    pub(super) fn next(&self) -> i64 {
        self.at(Timestamp::now())
    }

    /// A position of this moment, or above every one that was given or seen.
    pub(super) fn at(&self, moment: Timestamp) -> i64 {
        let moment = moment.as_millis().clamp(0, LATEST) << BELOW_MILLIS;
        let step = |last: i64| Some(moment.max(last + (1 << NODE_BITS)));
        let before = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        let before = before.unwrap_or_else(|last| last);
        moment.max(before + (1 << NODE_BITS)) | self.node
    }

    /// Takes notice of another node's position.
    pub(super) fn observe(&self, position: i64) {
        self.last.fetch_max(position & !NODE_MASK, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Timestamp {
        timestamp(self.next())
    }

    /// Which node gives these positions: `position mod 4096`.
    pub(super) fn node(&self) -> i64 {
        self.node
    }
}

/// How far positions of so many milliseconds are apart.
pub(super) const fn span(millis: i64) -> i64 {
    millis << BELOW_MILLIS
}

/// Nodes that positions can tell apart.
pub(super) const NODES: i64 = 1 << NODE_BITS;

/// When the position was given.
pub(super) fn timestamp(position: i64) -> Timestamp {
    Timestamp::from_millis(position >> BELOW_MILLIS)
}

/// A position that is above all of those before the moment.
pub(super) fn before(moment: Timestamp) -> i64 {
    moment.as_millis().clamp(0, LATEST) << BELOW_MILLIS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_rise_and_tell_nodes_apart() {
        let (one, other) = (Clock::new(1), Clock::new(2));
        let mut last = 0;
        for _ in 0..10_000 {
            let next = one.next();
            assert!(next > last);
            last = next;
        }
        other.observe(last);
        let next = other.next();
        assert!(next > last);
        assert_eq!((last & NODE_MASK, next & NODE_MASK), (1, 2));
        assert!(timestamp(next) >= timestamp(last));
    }
}
