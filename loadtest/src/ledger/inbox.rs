//! A receiving device's side of a stream.

/// How a device learned of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// By an event.
    Live,
    /// From the history, after it had been away.
    CaughtUp,
}

/// What one device was told of one stream. Four bytes for each message.
#[derive(Debug, Clone)]
pub struct Inbox {
    stream: u32,
    /// By number: two bits for how, the rest for the `seq` plus one.
    seen: Vec<u32>,
    /// One beyond the highest number that was told live on this connection.
    next: u32,
    told: u64,
    caught_up: u64,
    doubled: Vec<u32>,
    out_of_order: Vec<u32>,
    contradicted: Vec<u32>,
    /// Numbers that no sender can have given yet, such as a billion: they are not made room for.
    absurd: u64,
}

const LIVE: u32 = 1 << 31;
const CAUGHT_UP: u32 = 1 << 30;
const SEQ: u32 = CAUGHT_UP - 1;
/// A number this far beyond the last one was not sent by us.
const MOST_AHEAD: usize = 10_000_000;

impl Inbox {
    #[must_use]
    pub fn new(stream: u32) -> Self {
        Self {
            stream,
            seen: Vec::new(),
            next: 0,
            told: 0,
            caught_up: 0,
            doubled: Vec::new(),
            out_of_order: Vec::new(),
            contradicted: Vec::new(),
            absurd: 0,
        }
    }

    #[must_use]
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// Notes a message. Returns whether the device hears of it for the first time.
    pub fn tell(&mut self, number: u32, seq: Option<u64>, told: Told) -> bool {
        let index = number as usize;
        if index >= self.seen.len() {
            if index - self.seen.len() > MOST_AHEAD {
                self.absurd += 1;
                return false;
            }
            self.seen.resize(index + 1, 0);
        }
        let Some(seen) = self.seen.get_mut(index) else {
            return false;
        };
        let before = *seen;
        let place = seq
            .and_then(|seq| u32::try_from(seq + 1).ok())
            .filter(|place| *place <= SEQ)
            .unwrap_or(0);
        match told {
            Told::Live => {
                if before & LIVE != 0 {
                    self.doubled.push(number);
                } else if number < self.next {
                    self.out_of_order.push(number);
                }
                self.next = self.next.max(number.saturating_add(1));
                self.told += 1;
                *seen |= LIVE;
            }
            Told::CaughtUp => {
                self.caught_up += u64::from(before == 0);
                *seen |= CAUGHT_UP;
            }
        }
        if before & SEQ == 0 {
            *seen |= place;
        } else if place != 0 && before & SEQ != place {
            self.contradicted.push(number);
        }
        before == 0
    }

    /// A new connection: what it is told first may be behind what the old one was told last.
    pub fn reconnected(&mut self) {
        self.next = 0;
    }

    /// Whether the device knows of the message, and at which place.
    #[must_use]
    pub fn knows(&self, number: u32) -> Option<Option<u64>> {
        let seen = *self.seen.get(number as usize)?;
        (seen != 0).then(|| (seen & SEQ).checked_sub(1).map(u64::from))
    }

    /// Events of this stream.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.told
    }

    /// Messages that it first learned of by catching up.
    #[must_use]
    pub fn caught_up(&self) -> u64 {
        self.caught_up
    }

    pub(super) fn doubled(&self) -> &[u32] {
        &self.doubled
    }

    pub(super) fn out_of_order(&self) -> &[u32] {
        &self.out_of_order
    }

    pub(super) fn contradicted(&self) -> &[u32] {
        &self.contradicted
    }

    pub(super) fn absurd(&self) -> u64 {
        self.absurd
    }

    /// Numbers that it knows of, from this one on.
    pub(super) fn known_from(&self, number: usize) -> impl Iterator<Item = u32> + '_ {
        let known = self.seen.iter().enumerate().skip(number);
        known.filter(|(_, seen)| **seen != 0).map(|(number, _)| number as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_and_out_of_order_are_noted_as_they_come() {
        let mut inbox = Inbox::new(1);
        for (number, first) in [(0, true), (2, true), (1, true), (1, false), (3, true), (0, false)] {
            assert_eq!(inbox.tell(number, Some(u64::from(number) + 1), Told::Live), first);
        }
        assert_eq!(inbox.doubled(), [1, 0]);
        assert_eq!(inbox.out_of_order(), [1]);
        assert_eq!(inbox.told(), 6);
        assert_eq!(inbox.knows(2), Some(Some(3)));
        assert_eq!(inbox.knows(4), None);
    }

    #[test]
    fn to_catch_up_on_what_came_live_is_not_to_be_told_twice() {
        let mut inbox = Inbox::new(1);
        inbox.tell(5, Some(6), Told::Live);
        inbox.reconnected();
        inbox.tell(4, Some(5), Told::CaughtUp);
        inbox.tell(5, Some(6), Told::CaughtUp);
        // Live on the new connection before the history was read: it is its first.
        inbox.tell(6, Some(7), Told::CaughtUp);
        inbox.tell(6, Some(7), Told::Live);
        assert!(inbox.doubled().is_empty() && inbox.out_of_order().is_empty());
        assert_eq!(inbox.caught_up(), 2);
        // But the same event on the new connection again is.
        inbox.tell(5, Some(6), Told::Live);
        assert_eq!(inbox.doubled(), [5]);
    }

    #[test]
    fn two_places_for_one_message_contradict() {
        let mut inbox = Inbox::new(1);
        inbox.tell(0, None, Told::Live);
        inbox.tell(0, Some(1), Told::CaughtUp);
        assert!(inbox.contradicted().is_empty());
        inbox.tell(0, Some(2), Told::CaughtUp);
        assert_eq!(inbox.contradicted(), [0]);
    }

    #[test]
    fn an_absurd_number_takes_no_memory() {
        let mut inbox = Inbox::new(1);
        assert!(!inbox.tell(u32::MAX, None, Told::Live));
        assert_eq!((inbox.absurd(), inbox.seen.len()), (1, 0));
    }
}
