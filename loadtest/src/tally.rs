//! How much there was of what in each second.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The counts of one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Second {
    /// Things that became due, by the schedule.
    pub offered: u64,
    /// Of these: done in this second or a later one; counted in the second in which they were done.
    pub done: u64,
    /// Messages handed to a connection.
    pub sent: u64,
    /// Acks that came.
    pub acked: u64,
    /// Events of messages that came, at all devices.
    pub delivered: u64,
    /// Whatever failed.
    pub errors: u64,
}

/// By second since the start of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tally(BTreeMap<u32, Second>);

impl Tally {
    pub fn at(&mut self, second: u64) -> &mut Second {
        self.0.entry(u32::try_from(second).unwrap_or(u32::MAX)).or_default()
    }

    pub fn add(&mut self, other: &Self) {
        for (second, more) in &other.0 {
            self.0.entry(*second).or_default().add(more);
        }
    }

    /// The counts of one second.
    #[must_use]
    pub fn of(&self, second: u32) -> Second {
        self.0.get(&second).copied().unwrap_or_default()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn seconds(&self) -> impl Iterator<Item = (u32, &Second)> {
        self.0.iter().map(|(second, counts)| (*second, counts))
    }

    /// The sum of all seconds that fit.
    #[must_use]
    pub fn sum(&self, fits: impl Fn(u32) -> bool) -> Second {
        let mut sum = Second::default();
        let fitting = self.0.iter().filter(|(second, _)| fits(**second));
        fitting.for_each(|(_, counts)| sum.add(counts));
        sum
    }
}

impl Second {
    fn add(&mut self, more: &Self) {
        for (sum, more) in [
            (&mut self.offered, more.offered),
            (&mut self.done, more.done),
            (&mut self.sent, more.sent),
            (&mut self.acked, more.acked),
            (&mut self.delivered, more.delivered),
            (&mut self.errors, more.errors),
        ] {
            *sum += more;
        }
    }
}
