//! What a result means under the terms of the run: what the target claims, and which failures are known.

use std::collections::BTreeSet;
use std::fmt;

use chat_spec::{Level, Profile, Requirement};
use serde::Serialize;

use super::known::{Entry, Known};
use super::{CaseResult, Finding, Run};

/// What came of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Pass,
    /// A SHOULD or MAY, or a MUST of a profile that is not claimed, does not hold.
    Warn,
    /// What it is about is not claimed, or the target does not offer what it needs.
    Skipped,
    /// It failed as expected.
    Known,
    /// It failed, and passed on the second try.
    Flaky,
    /// A step before the judgement failed, or the run ended before.
    Inconclusive,
    /// It was expected to fail.
    UnexpectedPass,
    Fail,
    /// The suite itself is broken.
    Harness,
}

/// What a run is judged by.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    pub claims: BTreeSet<Profile>,
    pub known: Known,
}

impl Verdict {
    pub const ALL: [Self; 9] = [
        Self::Pass,
        Self::Warn,
        Self::Skipped,
        Self::Known,
        Self::Flaky,
        Self::Inconclusive,
        Self::UnexpectedPass,
        Self::Fail,
        Self::Harness,
    ];

    /// As in report.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Skipped => "skipped",
            Self::Known => "known",
            Self::Flaky => "flaky",
            Self::Inconclusive => "inconclusive",
            Self::UnexpectedPass => "unexpected-pass",
            Self::Fail => "fail",
            Self::Harness => "harness",
        }
    }

    /// Whether somebody should look at it.
    pub fn is_notable(self) -> bool {
        !matches!(self, Self::Pass | Self::Skipped)
    }

    /// Whether running it again makes sense.
    pub fn is_trouble(self) -> bool {
        self >= Self::Flaky
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Terms {
    /// Whether the target breaks its word when this does not hold.
    pub fn counts(&self, requirement: &Requirement) -> bool {
        requirement.level == Level::Must && self.claims.contains(&requirement.profile)
    }

    /// Whether a result has a failure that counts and that nobody expected.
    pub fn fails(&self, result: &CaseResult) -> bool {
        result.tally.failures.iter().any(|failure| {
            self.counts(failure.requirement) && !self.known.expects(failure.requirement.id, &result.case.id())
        })
    }

    /// The verdict of one result; `stale` are the entries that expected what did not come.
    pub fn verdict(&self, result: &CaseResult, stale: &[&Entry]) -> Verdict {
        let id = result.case.id();
        let counted = result
            .tally
            .failures
            .iter()
            .any(|failure| self.counts(failure.requirement));
        match &result.finding {
            Finding::Broken(_) => Verdict::Harness,
            _ if self.fails(result) => Verdict::Fail,
            _ if counted => Verdict::Known,
            Finding::Inconclusive(_) | Finding::NotRun(_) if self.known.expects_case(&id) => Verdict::Known,
            Finding::Inconclusive(_) | Finding::NotRun(_) => Verdict::Inconclusive,
            Finding::NotApplicable(_) => Verdict::Skipped,
            Finding::Judged if stale.iter().any(|entry| entry.concerns(&id, &result.tally)) => Verdict::UnexpectedPass,
            Finding::Judged if result.first.as_deref().is_some_and(|first| self.was_trouble(first)) => Verdict::Flaky,
            Finding::Judged if !result.tally.failures.is_empty() => Verdict::Warn,
            Finding::Judged => Verdict::Pass,
        }
    }

    fn was_trouble(&self, first: &CaseResult) -> bool {
        self.fails(first) || matches!(first.finding, Finding::Inconclusive(_))
    }

    /// Entries whose requirement was judged, or whose case ran, without failing anywhere.
    pub fn stale(&self, run: &Run) -> Vec<&Entry> {
        let entries = self.known.entries.iter();
        entries
            .filter(|entry| {
                let concerned = || {
                    let results = run.results.iter();
                    results.filter(|result| entry.concerns(&result.case.id(), &result.tally))
                };
                let judged = concerned().any(|result| result.finding == Finding::Judged);
                judged && !concerned().any(|result| entry.met_by(result))
            })
            .collect()
    }
}
