//! Up to when nothing was missed, in any chat.
//!
//! While messages come live and all before them are known, that is the newest of them. After a connection was lost it stays where
//! it was, whatever comes live, until all that was missed has been fetched: a catch-up that is broken off begins there again.

use chat_protocol::Timestamp;

#[derive(Default)]
pub(super) struct Seen {
    /// Where the client began.
    start: Option<Timestamp>,
    /// Up to here, all.
    until: Option<Timestamp>,
    /// Up to here, some.
    newest: Option<Timestamp>,
    whole: bool,
}

impl Seen {
    /// Nothing is known of what came later.
    pub(super) fn up_to(until: Option<Timestamp>) -> Self {
        Self {
            start: until,
            until,
            newest: until,
            whole: false,
        }
    }

    /// A message that was passed on.
    pub(super) fn one(&mut self, at: Timestamp) {
        self.newest = self.newest.max(Some(at));
        if self.whole {
            self.until = self.newest;
        }
    }

    /// Something may have been missed since.
    pub(super) fn break_off(&mut self) {
        self.whole = false;
    }

    /// All that was missed is there.
    pub(super) fn caught_up(&mut self) {
        self.whole = true;
        self.until = self.newest;
    }

    pub(super) fn start(&self) -> Option<Timestamp> {
        self.start
    }

    pub(super) fn until(&self) -> Option<Timestamp> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn what_comes_live_during_a_catch_up_does_not_hide_what_is_still_to_be_fetched() {
        let mut seen = Seen::up_to(Some(at(10)));
        seen.one(at(20));
        assert_eq!(seen.until(), Some(at(10)));
        seen.caught_up();
        assert_eq!(seen.until(), Some(at(20)));
        seen.one(at(30));
        assert_eq!(seen.until(), Some(at(30)));
        seen.break_off();
        seen.one(at(40));
        assert_eq!((seen.start(), seen.until()), (Some(at(10)), Some(at(30))));
    }
}
