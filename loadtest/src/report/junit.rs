//! JUnit, as CI systems show it: a case for each thing that is judged.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::figures::{capacity, disconnects, errors, millis, not_judged, outcome, percent};
use crate::capacity::{Limit, Outcome as Held};
use crate::latency::Kind;
use crate::result::{Outcome, RunResult, noun};

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
    for what in not_judged(result) {
        let (name, why) = what.split_once(": ").unwrap_or((what, ""));
        let mut status = TestCaseStatus::skipped();
        status.set_message(why);
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
        match result.generator.faults.is_empty() && !result.cut_short && result.did_something() {
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
    let text = format!("of {} chats the history could not be read", result.ledger.unreadable);
    cases.push((
        "the server can be read back".into(),
        failure(result.ledger.unreadable > 0, text),
    ));
    let errors = result.verdict.errors;
    let codes = self::errors(result).unwrap_or_default();
    let text = format!("{} failed: {codes}", percent(errors));
    let too_many = errors > result.objective.errors || result.verdict.objective == Held::Fails(Limit::Errors);
    cases.push(("errors are within the objective".into(), failure(too_many, text)));
    let mut kinds = result.failures_by_kind();
    let broke = kinds.any(|(kind, failures)| kind == Kind::Connect && failures.exceed(result.objective.errors));
    let text = disconnects(result).unwrap_or_default();
    cases.push(("connections stay, and are made".into(), failure(broke, text)));
    // Of a search one trial is shown, and all at its rate decide.
    if result.judges_latency
        && result.capacity.is_none()
        && let Some(kind) = result.main_kind()
    {
        let text = result
            .verdict
            .latency
            .map_or_else(|| result.verdict.reasons.join("; "), |latency| millis(latency.estimate));
        let slow = matches!(result.verdict.objective, Held::Fails(Limit::Latency));
        let unsure = result.verdict.outcome == Outcome::Unsure;
        let name = format!("{} is within the objective", noun(kind));
        cases.push((name, failure(slow || unsure, text)));
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
