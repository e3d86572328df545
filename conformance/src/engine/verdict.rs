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
    /// It failed, and did not when it was run again.
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
        let first = result.first.as_deref();
        let failed_before = first.is_some_and(|first| self.fails(first));
        match &result.finding {
            Finding::Broken(_) => Verdict::Harness,
            _ if self.fails(result) => Verdict::Fail,
            // Whatever else there is to say of the second time: the first is not hidden.
            Finding::Judged | Finding::NotApplicable(_) if failed_before => Verdict::Flaky,
            // That a requirement is known to fail, one that every answer is held against perhaps, is no word about the rest of the case.
            Finding::Inconclusive(_) | Finding::NotRun(_) if self.known.expects_case(&id) => Verdict::Known,
            Finding::Inconclusive(_) | Finding::NotRun(_) => Verdict::Inconclusive,
            _ if counted => Verdict::Known,
            Finding::NotApplicable(_) => Verdict::Skipped,
            Finding::Judged if stale.iter().any(|entry| entry.concerns(&id, &result.tally)) => Verdict::UnexpectedPass,
            // That the first try came to nothing is no failure. Reports say why it did.
            Finding::Judged if !result.tally.failures.is_empty() => Verdict::Warn,
            Finding::Judged => Verdict::Pass,
        }
    }

    /// Entries that nobody needs any more: what they are about was judged, and failed nowhere. A run that was cut short, or that left
    /// cases out on purpose, which makes it `selective`, knows this of entries about one case alone.
    pub fn stale(&self, run: &Run, selective: bool) -> Vec<&Entry> {
        let is_whole = !selective && run.cut.is_none();
        // What does not apply to this target did not fail at it either.
        let is_decided = |result: &CaseResult| matches!(result.finding, Finding::Judged | Finding::NotApplicable(_));
        let entries = self.known.entries.iter();
        entries
            .filter(|entry| {
                let concerned = || {
                    let results = run.results.iter();
                    results.filter(|result| entry.concerns(&result.case.id(), &result.tally))
                };
                let judged = concerned().any(|result| result.finding == Finding::Judged);
                let undecided = run
                    .results
                    .iter()
                    .any(|result| entry.may_be_met_by(&result.case, &run.results) && !is_decided(result));
                let looked_everywhere = entry.is_of_one_case() || is_whole;
                judged && looked_everywhere && !undecided && !concerned().any(|result| entry.met_by(result))
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use chat_spec::req;

    use super::*;
    use crate::engine::{Case, Cut, Failure, Tally};

    /// A MUST of core.
    const MUST: &Requirement = &req::JSON_RESPONSE_CONTENT_TYPE;
    const OTHER_MUST: &Requirement = &req::JSON_RESPONSE_NAMED_OBJECT;
    /// A SHOULD.
    const SHOULD: &Requirement = &req::SOCKET_HANDSHAKE_ERROR_DATA;

    fn result(finding: Finding, failed: &[&'static Requirement]) -> CaseResult {
        let failures = failed.iter().map(|requirement| Failure {
            requirement,
            expected: String::new(),
            got: String::new(),
            seen: 0,
        });
        let case = Case::made("area", "name", vec![MUST], |_| async { Ok(()) });
        CaseResult {
            tally: Tally {
                passed: [(MUST.id, 1)].into(),
                failures: failures.collect(),
            },
            ..CaseResult::without_running(case, finding)
        }
    }

    fn terms(known: &str) -> Terms {
        Terms {
            claims: [Profile::Core].into(),
            known: toml::from_str(known).unwrap(),
        }
    }

    fn run_of(results: Vec<CaseResult>) -> Run {
        Run {
            results,
            took: Duration::ZERO,
            seed: 0,
            cut: None,
        }
    }

    #[test]
    fn only_what_was_promised_fails() {
        let terms = terms("");
        let verdict = |finding, failed: &[&'static Requirement]| terms.verdict(&result(finding, failed), &[]);
        assert_eq!(verdict(Finding::Judged, &[]), Verdict::Pass);
        assert_eq!(verdict(Finding::Judged, &[MUST]), Verdict::Fail);
        assert_eq!(verdict(Finding::Judged, &[SHOULD]), Verdict::Warn);
        let unclaimed = Terms::default();
        assert_eq!(unclaimed.verdict(&result(Finding::Judged, &[MUST]), &[]), Verdict::Warn);
    }

    #[test]
    fn what_could_not_be_judged_never_passes() {
        let terms = terms("");
        let why = || "no user".to_owned();
        assert_eq!(
            terms.verdict(&result(Finding::Inconclusive(why()), &[]), &[]),
            Verdict::Inconclusive
        );
        assert_eq!(
            terms.verdict(&result(Finding::NotRun(why()), &[]), &[]),
            Verdict::Inconclusive
        );
        assert_eq!(
            terms.verdict(&result(Finding::Broken(why()), &[]), &[]),
            Verdict::Harness
        );
        // A failure that was seen before it ended stays one.
        assert_eq!(
            terms.verdict(&result(Finding::Inconclusive(why()), &[MUST]), &[]),
            Verdict::Fail
        );
    }

    #[test]
    fn a_known_failure_does_not_stand_for_what_was_not_judged() {
        let by_requirement = "requirement = \"json.response.content-type\"";
        let entry = |what: &str| format!("[[known]]\n{what}\nreason = \"r\"\nexpires = 2999-01-01\n");
        for finding in [
            Finding::Inconclusive("no socket".into()),
            Finding::NotRun("it ended".into()),
        ] {
            let result = result(finding, &[MUST]);
            assert_eq!(
                terms(&entry(by_requirement)).verdict(&result, &[]),
                Verdict::Inconclusive
            );
            // Whoever names the case expects it to come to nothing.
            let both = entry(by_requirement) + &entry("case = \"area::name\"");
            assert_eq!(terms(&both).verdict(&result, &[]), Verdict::Known);
        }
        let unneeded = result(Finding::NotApplicable("no launcher".into()), &[MUST]);
        assert_eq!(terms(&entry(by_requirement)).verdict(&unneeded, &[]), Verdict::Known);
    }

    #[test]
    fn a_failure_that_does_not_come_again_is_flaky_and_what_came_to_nothing_is_none() {
        let terms = terms("");
        let mut second = result(Finding::Judged, &[]);
        second.first = Some(Box::new(result(Finding::Judged, &[MUST])));
        assert_eq!(terms.verdict(&second, &[]), Verdict::Flaky);
        second.first = Some(Box::new(result(Finding::Inconclusive("late".into()), &[])));
        assert_eq!(terms.verdict(&second, &[]), Verdict::Pass);
        second.first = Some(Box::new(result(Finding::Inconclusive("late".into()), &[SHOULD])));
        assert_eq!(terms.verdict(&second, &[]), Verdict::Pass);
        // A failure that was seen before the first try came to nothing stays one.
        second.first = Some(Box::new(result(Finding::Inconclusive("late".into()), &[MUST])));
        assert_eq!(terms.verdict(&second, &[]), Verdict::Flaky);
        // What could never be judged is no pass.
        second.finding = Finding::Inconclusive("late again".into());
        second.first = Some(Box::new(result(Finding::Inconclusive("late".into()), &[])));
        assert_eq!(terms.verdict(&second, &[]), Verdict::Inconclusive);
    }

    #[test]
    fn a_known_failure_does_not_hide_that_another_one_came_and_went() {
        let known = "[[known]]\nrequirement = \"json.response.content-type\"\nreason = \"r\"\nexpires = 2999-01-01\n";
        let mut second = result(Finding::Judged, &[MUST]);
        assert_eq!(terms(known).verdict(&second, &[]), Verdict::Known);
        second.first = Some(Box::new(result(Finding::Judged, &[MUST, OTHER_MUST])));
        assert_eq!(terms(known).verdict(&second, &[]), Verdict::Flaky);
        second.finding = Finding::NotApplicable("no launcher".into());
        assert_eq!(terms(known).verdict(&second, &[]), Verdict::Flaky);
        second.finding = Finding::Inconclusive("no user".into());
        assert_eq!(terms(known).verdict(&second, &[]), Verdict::Inconclusive);
    }

    #[test]
    fn a_known_failure_is_known_until_it_does_not_come() {
        let terms =
            terms("[[known]]\nrequirement = \"json.response.content-type\"\nreason = \"r\"\nexpires = 2999-01-01\n");
        let failing = run_of(vec![result(Finding::Judged, &[MUST])]);
        assert!(terms.stale(&failing, false).is_empty());
        assert_eq!(terms.verdict(&failing.results[0], &[]), Verdict::Known);
        let mended = run_of(vec![result(Finding::Judged, &[])]);
        let stale = terms.stale(&mended, false);
        assert_eq!(stale.len(), 1);
        assert_eq!(terms.verdict(&mended.results[0], &stale), Verdict::UnexpectedPass);
        // What was not judged says nothing about the entry.
        assert!(terms.stale(&run_of(Vec::new()), false).is_empty());
    }

    #[test]
    fn an_entry_is_stale_only_when_all_that_may_need_it_was_judged() {
        let entry = |what: &str| terms(&format!("[[known]]\n{what}\nreason = \"r\"\nexpires = 2999-01-01\n"));
        let of_all = entry("requirement = \"json.response.content-type\"");
        let of_one = entry("requirement = \"json.response.content-type\"\ncase = \"area::name\"");
        let of_some = entry("case = \"area::*\"");
        let mended = || result(Finding::Judged, &[]);
        let stale = |terms: &Terms, run: &Run, selective| !terms.stale(run, selective).is_empty();
        let whole = run_of(vec![mended()]);
        for (terms, when_chosen) in [(&of_all, false), (&of_some, false), (&of_one, true)] {
            assert!(stale(terms, &whole, false));
            // The case that fails may have been left out.
            assert_eq!(stale(terms, &whole, true), when_chosen);
        }
        let mut cut = run_of(vec![mended()]);
        cut.cut = Some(Cut {
            why: "late".into(),
            at: Duration::ZERO,
            running: Vec::new(),
            by_target: false,
        });
        assert!(!stale(&of_all, &cut, false));
        // One that names the requirement came to nothing, and its failure with it.
        let nothing = |case: Case| CaseResult::without_running(case, Finding::Inconclusive("late".into()));
        let declared = Case::made("other", "name", vec![MUST], |_| async { Ok(()) });
        assert!(!stale(&of_all, &run_of(vec![mended(), nothing(declared)]), false));
        let foreign = Case::made("other", "name", vec![OTHER_MUST], |_| async { Ok(()) });
        assert!(stale(&of_all, &run_of(vec![mended(), nothing(foreign)]), false));
        let elsewhere = Case::made("other", "name", vec![MUST], |_| async { Ok(()) });
        let unneeded = CaseResult::without_running(elsewhere, Finding::NotApplicable("no launcher".into()));
        assert!(stale(&of_all, &run_of(vec![mended(), unneeded]), false));
        // It came once, and may come again.
        let mut flaky = mended();
        flaky.first = Some(Box::new(result(Finding::Judged, &[MUST])));
        assert!(!stale(&of_all, &run_of(vec![flaky]), false));
    }
}
