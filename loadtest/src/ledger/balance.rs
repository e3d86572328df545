//! What the books come to.

use serde::{Deserialize, Serialize};

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
    Lost,
    Missed,
    Doubled,
    OutOfOrder,
    Foreign,
    Contradicted,
    Unanswered,
}

/// One message that something is wrong with, to look for in logs and history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    pub finding: Finding,
    pub stream: u32,
    /// None when it bears no number of ours.
    pub number: Option<u32>,
}

/// The sums of a run, or of a part of it: see the table of [`crate::ledger`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Balance {
    /// Handed to a connection.
    pub sent: u64,
    /// Of these: stored, by the server's word.
    pub acked: u64,
    /// Of these: not stored, by the server's word.
    pub refused: u64,
    /// Of these: the connection broke or the server did not know, so that it may be stored or not.
    pub uncertain: u64,
    /// Events that devices were to get of what was stored.
    pub owed: u64,
    /// Of these: that came.
    pub told: u64,
    /// Of these: found in the history by a device that had been away.
    pub caught_up: u64,
    /// Messages read back from the server's history.
    pub read_back: u64,
    /// Chats whose history could not be read, so that the books of both sides alone were held against each other: lost is then what no
    /// receiver knows of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// Came later than the run calls late; fails nothing.
    pub late: u64,
    pub lost: u64,
    pub missed: u64,
    pub doubled: u64,
    pub out_of_order: u64,
    pub foreign: u64,
    pub contradicted: u64,
    pub unanswered: u64,
    /// The first ones of each finding.
    pub examples: Vec<Example>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// So many examples are kept of each finding, for each part of a run.
const EXAMPLES: usize = 10;

impl Balance {
    /// What fails a run, by name.
    #[must_use]
    pub fn findings(&self) -> [(&'static str, u64); 7] {
        [
            ("lost", self.lost),
            ("missed", self.missed),
            ("doubled", self.doubled),
            ("out of order", self.out_of_order),
            ("foreign", self.foreign),
            ("contradicted", self.contradicted),
            ("unanswered", self.unanswered),
        ]
    }

    /// Whether nothing is wrong, and the sums are those of one and the same set of messages.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let all_sent = self.acked + self.refused + self.uncertain + self.unanswered == self.sent;
        // Lost ones count as owed, and were not told.
        all_sent && self.findings().iter().all(|(_, count)| *count == 0) && self.told + self.caught_up == self.owed
    }

    /// Adds the balance of another part of the run.
    pub fn add(&mut self, other: &Self) {
        for (sum, part) in [
            (&mut self.sent, other.sent),
            (&mut self.acked, other.acked),
            (&mut self.refused, other.refused),
            (&mut self.uncertain, other.uncertain),
            (&mut self.owed, other.owed),
            (&mut self.told, other.told),
            (&mut self.caught_up, other.caught_up),
            (&mut self.read_back, other.read_back),
            (&mut self.unreadable, other.unreadable),
            (&mut self.late, other.late),
            (&mut self.lost, other.lost),
            (&mut self.missed, other.missed),
            (&mut self.doubled, other.doubled),
            (&mut self.out_of_order, other.out_of_order),
            (&mut self.foreign, other.foreign),
            (&mut self.contradicted, other.contradicted),
            (&mut self.unanswered, other.unanswered),
        ] {
            *sum += part;
        }
        self.examples.extend(other.examples.iter().cloned());
        self.examples.sort_unstable();
        self.keep_few_examples();
    }

    /// Counts a finding.
    pub fn find(&mut self, finding: Finding, stream: u32, number: Option<u32>) {
        *match finding {
            Finding::Lost => &mut self.lost,
            Finding::Missed => &mut self.missed,
            Finding::Doubled => &mut self.doubled,
            Finding::OutOfOrder => &mut self.out_of_order,
            Finding::Foreign => &mut self.foreign,
            Finding::Contradicted => &mut self.contradicted,
            Finding::Unanswered => &mut self.unanswered,
        } += 1;
        if self
            .examples
            .iter()
            .filter(|example| example.finding == finding)
            .count()
            < EXAMPLES
        {
            self.examples.push(Example {
                finding,
                stream,
                number,
            });
        }
    }

    /// The smallest ones, so that it does not matter in which order parts were added.
    fn keep_few_examples(&mut self) {
        let mut kept: Vec<Example> = Vec::new();
        for example in self.examples.drain(..) {
            if kept.iter().filter(|other| other.finding == example.finding).count() < EXAMPLES {
                kept.push(example);
            }
        }
        self.examples = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_in_any_order() {
        let part = |offset: u32| {
            let mut part = Balance {
                sent: 100,
                acked: 99,
                owed: 99,
                told: 98,
                late: 3,
                ..Balance::default()
            };
            for number in 0..20 {
                part.find(Finding::Lost, offset, Some(number));
            }
            part
        };
        let (mut there, mut back) = (Balance::default(), Balance::default());
        (0..5).for_each(|offset| there.add(&part(offset)));
        (0..5).rev().for_each(|offset| back.add(&part(offset)));
        assert_eq!(there, back);
        assert_eq!((there.sent, there.lost, there.examples.len()), (500, 100, 10));
        assert!(!there.is_clean());
    }

    #[test]
    fn sums_that_do_not_fit_are_not_clean() {
        let clean = Balance {
            sent: 3,
            acked: 1,
            refused: 1,
            uncertain: 1,
            owed: 2,
            told: 1,
            caught_up: 1,
            ..Balance::default()
        };
        assert!(clean.is_clean());
        assert!(
            !Balance {
                sent: 4,
                ..clean.clone()
            }
            .is_clean()
        );
        assert!(
            !Balance {
                told: 2,
                ..clean.clone()
            }
            .is_clean()
        );
        assert!(!Balance { foreign: 1, ..clean }.is_clean());
    }
}
