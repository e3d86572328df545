//! Which places of a conversation a device knows.

use std::collections::BTreeSet;

/// The places of one conversation that a device knows: all up to the highest but for those that are missing. Messages of two senders may
/// come in another order than that of their places, and acks of one's own before either.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    highest: u64,
    missing: BTreeSet<u64>,
}

/// More are not remembered one by one: from the first of them on all is asked for.
const MOST_MISSING: u64 = 100_000;

impl Known {
    /// All of them up to this one.
    pub(crate) fn up_to(seq: u64) -> Self {
        Self {
            highest: seq,
            missing: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, seq: u64) {
        if seq <= self.highest {
            self.missing.remove(&seq);
            return;
        }
        let room = MOST_MISSING.saturating_sub(self.missing.len() as u64);
        self.missing.extend((self.highest + 1..seq).take(room as usize));
        self.highest = seq;
    }

    /// The place up to which none is missing.
    pub(super) fn whole(&self) -> u64 {
        self.missing.first().map_or(self.highest, |first| first - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_early_does_not_hide_what_is_missing() {
        let mut known = Known::up_to(7);
        assert_eq!(known.whole(), 7);
        known.add(8);
        // An ack of one's own, before what the peer said.
        known.add(11);
        assert_eq!(known.whole(), 8);
        known.add(10);
        assert_eq!(known.whole(), 8);
        known.add(9);
        assert_eq!(known.whole(), 11);
        // Again, and from before the run.
        known.add(9);
        known.add(3);
        assert_eq!(known.whole(), 11);
    }

    #[test]
    fn a_jump_is_remembered_by_where_it_began() {
        let mut known = Known::default();
        known.add(1);
        known.add(u64::MAX);
        assert_eq!(known.whole(), 1);
        assert!(known.missing.len() as u64 <= MOST_MISSING);
    }
}
