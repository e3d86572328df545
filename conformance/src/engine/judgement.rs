//! What a case found out.

use std::collections::BTreeMap;

use chat_spec::Requirement;

use crate::ambient;

/// Why a case ended early.
#[derive(Debug)]
pub enum Stop {
    /// The failure is recorded already; what comes after would make no sense.
    Judged,
    /// Nothing can be said: the network or the case itself stood in the way.
    Inconclusive(String),
    /// The machine was too busy for the case to judge in time. Unless something has failed by then, it is tried again
    /// before it is inconclusive.
    TooSlow(String),
    /// The case needs what this target does not offer.
    NotApplicable(String),
}

impl Stop {
    /// Why the case was ended; empty where a judgement says it.
    pub fn reason(&self) -> &str {
        match self {
            Self::Judged => "",
            Self::Inconclusive(why) | Self::TooSlow(why) | Self::NotApplicable(why) => why,
        }
    }
}

pub type Outcome = Result<(), Stop>;

/// A requirement that was not met.
#[derive(Debug, Clone)]
pub struct Failure {
    pub requirement: &'static Requirement,
    pub expected: String,
    pub got: String,
    /// How many lines of the transcript came before.
    pub seen: usize,
}

/// The judgements of one case.
#[derive(Debug, Default)]
pub struct Tally {
    /// How often each requirement was found to hold.
    pub passed: BTreeMap<&'static str, u32>,
    pub failures: Vec<Failure>,
}

impl Tally {
    /// Adds what was judged over the whole case, of which so many lines were seen.
    pub(super) fn add(&mut self, judgement: ambient::Judgement, seen: usize) {
        let ambient::Judgement {
            requirement,
            pass,
            expected,
            got,
        } = judgement;
        if pass {
            *self.passed.entry(requirement.id).or_default() += 1;
        } else {
            self.failures.push(Failure {
                requirement,
                expected,
                got,
                seen,
            });
        }
    }

    /// Judgements made.
    pub fn count(&self) -> u64 {
        let passed: u64 = self.passed.values().copied().map(u64::from).sum();
        passed + self.failures.len() as u64
    }
}
