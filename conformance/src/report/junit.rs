//! JUnit XML, as CI systems read it.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::{Conclusion, Judged, State, first_reason, reason};
use crate::engine::{CaseResult, Run, Verdict};

/// Stands beside the areas.
const RUN: &str = "the run";

/// Red whenever the program's exit code is not 0: CI systems that read this file alone come to the same conclusion.
///
/// # Errors
///
/// When the XML cannot be written.
pub fn render(judged: &Judged, run: &Run) -> Result<String, String> {
    let mut report = Report::new("chat-conformance");
    report.set_time(run.took);
    for (area, _) in judged.areas(run) {
        let mut suite = TestSuite::new(area);
        for (result, verdict) in judged.each(run).filter(|(result, _)| result.case.area == area) {
            let mut case = TestCase::new(result.case.name.to_string(), status(judged, result, verdict));
            case.set_classname(area);
            case.set_time(result.took);
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.add_test_suite(whole(judged, run));
    report.to_string().map_err(|error| format!("junit.xml: {error}"))
}

/// Of a run that never began, and why.
///
/// # Errors
///
/// As [`render`].
pub fn not_run(why: &str) -> Result<String, String> {
    let mut suite = TestSuite::new(RUN);
    suite.add_test_case(of_run("the run began", bad(NonSuccessKind::Error, why)));
    let mut report = Report::new("chat-conformance");
    report.add_test_suite(suite);
    report.to_string().map_err(|error| format!("junit.xml: {error}"))
}

/// What fails a run and is of no case: entries of known failures that nobody needs any more, an early end, and the conclusion.
fn whole(judged: &Judged, run: &Run) -> TestSuite {
    let mut suite = TestSuite::new(RUN);
    let mut add = |name: &str, trouble: Option<String>| {
        let failed = |why: String| bad(NonSuccessKind::Failure, &why);
        suite.add_test_case(of_run(name, trouble.map_or_else(TestCaseStatus::success, failed)));
    };
    let listed = |entries: &[String]| (!entries.is_empty()).then(|| entries.join(", "));
    add("no known failure is over", listed(&judged.expired));
    add("every known failure still fails", listed(&judged.stale));
    let cut = run.cut.as_ref().map(|cut| cut.why.clone());
    let gone = || (!judged.survived).then(|| "the server no longer answered when the run was over".to_owned());
    add("the run came to its end", cut.or_else(gone));
    let conforms = judged.conclusion == Conclusion::Conformant;
    add("the conclusion", (!conforms).then(|| judged.sentence()));
    suite
}

/// What is said of the run as a whole.
fn of_run(name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(RUN);
    case
}

fn bad(kind: NonSuccessKind, why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(why);
    status
}

fn status(judged: &Judged, result: &CaseResult, verdict: Verdict) -> TestCaseStatus {
    let why = reason(result).unwrap_or_default();
    let told = |mut status: TestCaseStatus| {
        status.set_message(if why.is_empty() { verdict.name() } else { why });
        status.set_description(failures(judged, result));
        status
    };
    match verdict {
        Verdict::Pass | Verdict::Warn => passed(result),
        Verdict::Skipped | Verdict::Known => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(if why.is_empty() { "a known failure" } else { why });
            status
        }
        Verdict::Flaky => flaky(judged, result),
        Verdict::Fail | Verdict::UnexpectedPass => told(TestCaseStatus::non_success(NonSuccessKind::Failure)),
        Verdict::Inconclusive | Verdict::Harness => told(TestCaseStatus::non_success(NonSuccessKind::Error)),
    }
}

/// With why the first try came to nothing, where it did.
fn passed(result: &CaseResult) -> TestCaseStatus {
    let mut status = TestCaseStatus::success();
    if let (TestCaseStatus::Success { flaky_runs, .. }, Some(why)) = (&mut status, first_reason(result)) {
        let mut rerun = TestRerun::new(NonSuccessKind::Error);
        rerun.set_message(why);
        flaky_runs.push(rerun);
    }
    status
}

/// A failure, unless the run lets what failed and then passed be.
fn flaky(judged: &Judged, result: &CaseResult) -> TestCaseStatus {
    const WHY: &str = "failed, and not when it was run again";
    let first = result.first.as_deref().unwrap_or(result);
    let what = failures(judged, first) + reason(first).unwrap_or_default();
    if judged.flaky_is_failure {
        let mut status = bad(NonSuccessKind::Failure, WHY);
        status.set_description(what);
        return status;
    }
    let mut status = TestCaseStatus::success();
    if let TestCaseStatus::Success { flaky_runs, .. } = &mut status {
        let mut rerun = TestRerun::new(NonSuccessKind::Failure);
        rerun.set_message(WHY);
        rerun.set_description(what);
        flaky_runs.push(rerun);
    }
    status
}

/// The failures in words.
fn failures(judged: &Judged, result: &CaseResult) -> String {
    let id = result.case.id();
    let mut text = String::new();
    for failure in result
        .tally
        .failures
        .iter()
        .filter(|failure| judged.weight(failure, &id) == State::Failed)
    {
        text += &format!(
            "{}: {}\n  expected {}\n  got      {}\n",
            failure.requirement.id, failure.requirement.text, failure.expected, failure.got
        );
    }
    text
}
