//! JUnit XML, as CI systems read it.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::{Judged, State, reason};
use crate::engine::{CaseResult, Run, Verdict};

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
    report.to_string().map_err(|error| format!("junit.xml: {error}"))
}

fn status(judged: &Judged, result: &CaseResult, verdict: Verdict) -> TestCaseStatus {
    let why = reason(result).unwrap_or_default();
    let told = |mut status: TestCaseStatus| {
        status.set_message(if why.is_empty() { verdict.name() } else { why });
        status.set_description(failures(judged, result));
        status
    };
    match verdict {
        Verdict::Pass | Verdict::Warn => TestCaseStatus::success(),
        Verdict::Skipped | Verdict::Known => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(if why.is_empty() { "a known failure" } else { why });
            status
        }
        Verdict::Flaky => {
            let mut status = TestCaseStatus::success();
            if let (Some(first), TestCaseStatus::Success { flaky_runs, .. }) = (&result.first, &mut status) {
                let mut rerun = TestRerun::new(NonSuccessKind::Failure);
                rerun.set_message("failed, and not when it was run again");
                rerun.set_description(failures(judged, first));
                flaky_runs.push(rerun);
            }
            status
        }
        Verdict::Fail | Verdict::UnexpectedPass => told(TestCaseStatus::non_success(NonSuccessKind::Failure)),
        Verdict::Inconclusive | Verdict::Harness => told(TestCaseStatus::non_success(NonSuccessKind::Error)),
    }
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
