//! What a device has asked for and has no answer to yet.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::latency::Kind;

/// What an answer is the answer to.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    Message {
        outbox: usize,
        number: u32,
        due: Duration,
    },
    /// The mark that a message was read.
    Mark {
        stream: u32,
        number: u32,
        due: Duration,
    },
    /// Whose failure alone is of interest.
    Other {
        kind: Kind,
        due: Duration,
    },
}

/// By the ids of one connection. They count up, and answers come in almost the same order, so that a queue finds them sooner
/// than a map.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// The id of the first one in the queue.
    base: u64,
    queue: VecDeque<Option<Asked>>,
    /// What all behind it overtook: those would wait in the queue as long.
    overtaken: HashMap<u64, Asked>,
}

/// More than this are not kept for one that is not answered.
const QUEUE: usize = 4096;

impl Questions {
    pub(super) fn ask(&mut self, id: u64, asked: Asked) {
        if self.queue.is_empty() {
            self.base = id;
        }
        let Some(place) = id.checked_sub(self.base).and_then(|place| usize::try_from(place).ok()) else {
            self.overtaken.insert(id, asked);
            return;
        };
        // Ids between were of what could not be sent.
        while self.queue.len() < place && self.queue.len() < QUEUE {
            self.queue.push_back(None);
        }
        if place == self.queue.len() {
            self.queue.push_back(Some(asked));
        } else if let Some(room) = self.queue.get_mut(place) {
            *room = Some(asked);
        } else {
            self.overtaken.insert(id, asked);
        }
        while self.queue.len() > QUEUE {
            if let Some(Some(asked)) = self.queue.pop_front() {
                self.overtaken.insert(self.base, asked);
            }
            self.base += 1;
        }
    }

    pub(super) fn answered(&mut self, id: u64) -> Option<Asked> {
        let place = id.checked_sub(self.base).and_then(|place| usize::try_from(place).ok());
        let asked = place.and_then(|place| self.queue.get_mut(place)).and_then(Option::take);
        while let Some(None) = self.queue.front() {
            self.queue.pop_front();
            self.base += 1;
        }
        asked.or_else(|| self.overtaken.remove(&id))
    }

    /// All that was not answered; of the next connection other ids are.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Asked> + use<> {
        let Self { queue, overtaken, .. } = std::mem::take(self);
        queue.into_iter().flatten().chain(overtaken.into_values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(number: u32) -> Asked {
        Asked::Message {
            outbox: 0,
            number,
            due: Duration::ZERO,
        }
    }

    #[test]
    fn answers_find_their_questions_in_any_order_and_once() {
        let mut questions = Questions::default();
        // 8 could not be sent.
        for id in [5, 6, 7, 9, 10] {
            questions.ask(id, asked(id as u32));
        }
        for id in [6, 5, 10, 9, 7] {
            assert_eq!(questions.answered(id), Some(asked(id as u32)));
            assert_eq!(questions.answered(id), None, "once");
        }
        for unknown in [0, 8, 11, u64::MAX] {
            assert_eq!(questions.answered(unknown), None);
        }
        questions.ask(3, asked(3));
        assert_eq!(questions.take().collect::<Vec<_>>(), [asked(3)]);
        assert_eq!(questions.take().count(), 0);
    }

    #[test]
    fn one_that_is_never_answered_does_not_keep_all_behind_it() {
        let mut questions = Questions::default();
        questions.ask(0, asked(0));
        for id in 1..100_000 {
            questions.ask(id, asked(id as u32));
            assert_eq!(questions.answered(id), Some(asked(id as u32)));
        }
        assert!(questions.queue.len() <= QUEUE, "{}", questions.queue.len());
        assert_eq!(questions.answered(0), Some(asked(0)));
        // So many that could not be sent.
        questions.ask(100_000, asked(0));
        questions.ask(200_000, asked(1));
        questions.ask(200_001, asked(2));
        assert!(questions.queue.len() <= QUEUE, "{}", questions.queue.len());
        for (id, number) in [(200_001, 2), (100_000, 0), (200_000, 1)] {
            assert_eq!(questions.answered(id), Some(asked(number)));
        }
    }
}
