//! JUnit, as CI systems show it: a case for each thing that is judged.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::figures::{capacity, millis, outcome, percent};
use crate::capacity::{Limit, Outcome as Held};
use crate::result::{Outcome, RunResult};

/// The document.
#[must_use]
pub fn render(result: &RunResult) -> String {
    let mut suite = TestSuite::new(format!("{} {}", result.scenario, result.profile));
    let lasted = std::time::Duration::from_secs_f64(result.generator.lasted_seconds.max(0.0));
    for (name, failure) in cases(result) {
        let status = match failure {
            None => TestCaseStatus::success(),
            Some((kind, text)) => {
                let mut status = TestCaseStatus::non_success(kind);
                status.set_message(text);
                status
            }
        };
        let mut case = TestCase::new(name, status);
        case.set_classname("chat-loadtest");
        suite.add_test_case(case);
    }
    suite.set_time(lasted);
    let mut report = Report::new("chat-loadtest");
    report.add_test_suite(suite);
    report.to_string().unwrap_or_default()
}

type Failure = Option<(NonSuccessKind, String)>;

fn cases(result: &RunResult) -> Vec<(String, Failure)> {
    let failure = |failed: bool, text: String| failed.then_some((NonSuccessKind::Failure, text));
    let mut cases = vec![(
        "the generator was fast enough".to_owned(),
        match result.generator.faults.is_empty() && !result.cut_short {
            true => None,
            false => Some((NonSuccessKind::Error, result.verdict.reasons.join("; "))),
        },
    )];
    for (name, count) in result.ledger.findings() {
        let text = format!("{count} messages");
        // What the generator did not take itself is no failure of the server's.
        let failed = count > 0 && !result.balances();
        cases.push((format!("ledger: none is {name}"), failure(failed, text)));
    }
    let nothing_found = result.ledger.findings().iter().all(|(_, count)| *count == 0);
    let text = "what was sent, answered, owed and told are not of the same messages".into();
    let unfit = nothing_found && !result.balances();
    cases.push(("ledger: its sums fit".into(), failure(unfit, text)));
    let errors = result.verdict.errors;
    let text = format!("{} failed", percent(errors));
    let too_many = errors > result.objective.errors || result.verdict.objective == Held::Fails(Limit::Errors);
    cases.push(("errors are within the objective".into(), failure(too_many, text)));
    // Of a search one trial is shown, and all at its rate decide.
    if result.judges_latency && result.ledger.sent > 0 && result.capacity.is_none() {
        let text = result
            .verdict
            .latency
            .map_or_else(String::new, |latency| millis(latency.estimate));
        let slow = matches!(result.verdict.objective, Held::Fails(Limit::Latency));
        let unsure = result.verdict.outcome == Outcome::Unsure;
        cases.push(("delivery is within the objective".into(), failure(slow || unsure, text)));
    }
    for drift in &result.drift {
        let text = format!(
            "{:.1} to {:.1} {}",
            drift.before.estimate, drift.after.estimate, drift.unit
        );
        cases.push((format!("{} does not grow", drift.what), failure(drift.grew, text)));
    }
    for rule in &result.thresholds {
        cases.push((format!("threshold {rule}"), failure(true, rule.clone())));
    }
    if let Some(text) = capacity(result) {
        let found = outcome(result) == Outcome::Passed;
        cases.push(("capacity is found".into(), failure(!found, text)));
    }
    cases
}
