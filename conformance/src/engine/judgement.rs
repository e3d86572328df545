//! What a case found out.

use std::collections::BTreeMap;

use chat_spec::Requirement;

/// Why a case ended early.
#[derive(Debug)]
pub enum Stop {
    /// The failure is recorded already; what comes after would make no sense.
    Judged,
    /// Nothing can be said: the network or the case itself stood in the way.
    Inconclusive(String),
    /// The case needs what this target does not offer.
    NotApplicable(String),
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
    /// Judgements made.
    pub fn count(&self) -> u64 {
        let passed: u64 = self.passed.values().copied().map(u64::from).sum();
        passed + self.failures.len() as u64
    }
}
