//! What is said of runs that were made up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::engine::{Case, Cut, Tally};

/// A MUST of core, and another one.
const MUST: &Requirement = &req::JSON_RESPONSE_CONTENT_TYPE;
const OTHER_MUST: &Requirement = &req::JSON_RESPONSE_NAMED_OBJECT;

fn result(name: &str, finding: Finding, failed: &[&'static Requirement]) -> CaseResult {
    let failures = failed.iter().map(|requirement| Failure {
        requirement,
        expected: "this".into(),
        got: "that".into(),
        seen: 0,
    });
    let case = Case::made("area", name, vec![MUST], |_| async { Ok(()) });
    CaseResult {
        tally: Tally {
            passed: [(MUST.id, 1)].into(),
            failures: failures.collect(),
        },
        ..CaseResult::without_running(case, finding)
    }
}

fn run(results: Vec<CaseResult>) -> Run {
    Run {
        results,
        took: Duration::ZERO,
        seed: 0,
        cut: None,
    }
}

/// Of a server that claims `core`, with these requirements known to fail.
fn judged(run: &Run, known: &[&Requirement]) -> Judged {
    let known: String = (known.iter())
        .map(|one| {
            format!(
                "[[known]]\nrequirement = {:?}\nreason = \"r\"\nexpires = 2999-01-01\n",
                one.id
            )
        })
        .collect();
    let terms = Terms {
        claims: [Profile::Core].into(),
        known: toml::from_str(&known).unwrap(),
    };
    Judged::new(run, &terms, "a server", true, false)
}

fn badge(judged: &Judged) -> (String, String) {
    let badge: Value = serde_json::from_str(&badge::render(judged)).unwrap();
    let text = |member: &str| badge[member].as_str().unwrap().to_owned();
    (text("message"), text("color"))
}

#[test]
fn a_known_failure_is_shown_wherever_something_is_shown() {
    let run = run(vec![result("one", Finding::Judged, &[OTHER_MUST])]);
    let judged = judged(&run, &[OTHER_MUST]);
    assert_eq!(judged.conclusion, Conclusion::Conformant);
    let (message, color) = badge(&judged);
    let open = judged.claims_not_judged();
    assert!(open > 100);
    assert_eq!(
        message,
        format!("1 requirements hold, 1 known to fail, {open} not judged")
    );
    assert_eq!(color, "yellow");
    for text in [
        markdown::render(&judged, &run),
        terminal::render(&judged, &run),
        html::render(&judged, &run),
    ] {
        assert!(text.contains("but for 1 that are known to fail"), "{text}");
        assert!(
            text.contains("1 known to fail, ") && text.contains(&format!("({open} of what is claimed)")),
            "{text}"
        );
    }
}

#[test]
fn a_badge_is_green_where_nothing_had_to_be_accepted() {
    let run = run(vec![result("one", Finding::Judged, &[])]);
    let (message, color) = badge(&judged(&run, &[]));
    assert!(!message.contains("known"), "{message}");
    assert_eq!(color, "brightgreen");
}

#[test]
fn what_failed_once_does_not_hold() {
    let mut second = result("one", Finding::Judged, &[]);
    second.first = Some(Box::new(result("one", Finding::Judged, &[MUST])));
    let run = run(vec![second]);
    let mut judged = judged(&run, &[]);
    assert_eq!(judged.states.get(MUST.id), Some(&State::Flaky));
    assert!(judged.rows.iter().all(|row| row.holds == 0));
    // The table says what it was.
    let summary = markdown::render(&judged, &run);
    assert!(
        summary.contains("| flaky | `area::one` | `json.response.content-type`"),
        "{summary}"
    );
    judged.allow_flaky(true);
    assert_eq!(judged.conclusion, Conclusion::Conformant);
    assert_eq!(badge(&judged).1, "yellow");
}

#[test]
fn why_a_first_try_came_to_nothing_is_told_wherever_the_second_is() {
    let nothing = |failed: &[&'static Requirement]| result("one", Finding::Inconclusive("no user came".into()), failed);
    for (failed, conclusion) in [(&[][..], Conclusion::Conformant), (&[MUST], Conclusion::NotConformant)] {
        let mut second = result("one", Finding::Judged, &[]);
        second.first = Some(Box::new(nothing(failed)));
        let run = run(vec![second]);
        let judged = judged(&run, &[]);
        assert_eq!(judged.conclusion, conclusion);
        for text in [
            markdown::render(&judged, &run),
            terminal::render(&judged, &run),
            html::render(&judged, &run),
            json::render(&judged, &run),
            junit::render(&judged, &run).unwrap(),
        ] {
            assert!(text.contains("no user came"), "{text}");
        }
    }
}

#[test]
fn the_same_line_is_shown_once_with_its_number() {
    let run = run(vec![
        result("one", Finding::Judged, &[MUST, MUST, OTHER_MUST, MUST]),
        result("two", Finding::Judged, &[MUST]),
    ]);
    let summary = markdown::render(&judged(&run, &[]), &run);
    let of = |text: &str| summary.lines().filter(|line| line.contains(text)).count();
    assert_eq!(of("`area::one` ×3 | `json.response.content-type`"), 1, "{summary}");
    assert_eq!(
        (of("`json.response.content-type`"), of("`json.response.named-object`")),
        (2, 1),
        "{summary}"
    );
    assert_eq!(of("×"), 1, "{summary}");
}

#[test]
fn cases_that_were_not_run_are_one_line() {
    let why = || Finding::NotRun("it was late".into());
    let mut run = run(vec![result("one", Finding::Judged, &[])]);
    run.results
        .extend((0..50).map(|number| result(&format!("late_{number}"), why(), &[])));
    let judged = judged(&run, &[]);
    assert_eq!(judged.conclusion, Conclusion::Undecided);
    for text in [markdown::render(&judged, &run), terminal::render(&judged, &run)] {
        assert_eq!(text.matches("50 cases were not run: it was late").count(), 1, "{text}");
        assert!(!text.contains("late_") && !text.contains("late 1"), "{text}");
    }
}

#[test]
fn a_run_that_was_cut_short_is_not_conformant_by_what_is_known() {
    let mut run = run(vec![
        result("one", Finding::Judged, &[]),
        result("two", Finding::NotRun("late".into()), &[]),
    ]);
    run.cut = Some(Cut {
        why: "late".into(),
        at: Duration::ZERO,
        running: Vec::new(),
        by_target: false,
    });
    let terms = Terms {
        claims: [Profile::Core].into(),
        known: toml::from_str("[[known]]\ncase = \"area::two\"\nreason = \"r\"\nexpires = 2999-01-01\n").unwrap(),
    };
    let judged = Judged::new(&run, &terms, "a server", true, false);
    assert_eq!(judged.conclusion, Conclusion::Undecided);
}
