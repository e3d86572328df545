//! For people at a terminal and in the log of a CI job.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Judged, State, notable};
use crate::engine::{Finding, Run};

/// Lines of transcript shown before a failure.
const CONTEXT: usize = 8;
/// Failures shown whole; the report has them all.
const MOST: usize = 25;

pub fn render(judged: &Judged, run: &Run) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{:52} {:>6} {:>6} {:>6} {:>10}",
        "endpoint or event", "holds", "noted", "FAILED", "not judged"
    );
    for row in &judged.rows {
        let mark = if row.failed > 0 {
            "✗"
        } else if row.holds > 0 {
            "✓"
        } else {
            "·"
        };
        let _ = writeln!(
            text,
            "{mark} {:50} {:>6} {:>6} {:>6} {:>10}",
            row.name, row.holds, row.noted, row.failed, row.not_judged
        );
    }
    let mut shown = 0;
    let mut told = BTreeMap::<&str, u32>::new();
    for result in notable(run) {
        for failure in &result.tally.failures {
            let requirement = failure.requirement;
            let times = told.entry(requirement.id).or_default();
            *times += 1;
            // The first one tells the story; the report has them all.
            if *times > 1 {
                continue;
            }
            shown += 1;
            if shown > MOST {
                continue;
            }
            let heading = if judged.weight(failure) == State::Failed {
                "FAILED"
            } else {
                "noted"
            };
            let _ = writeln!(
                text,
                "\n{heading} {} ({} {})\n  {}",
                requirement.id, requirement.level, requirement.profile, requirement.text
            );
            let _ = writeln!(
                text,
                "  case      {}\n  expected  {}\n  got       {}",
                result.title(),
                failure.expected,
                failure.got
            );
            for line in result.transcript.lines(failure.seen, CONTEXT) {
                let _ = writeln!(text, "    {line}");
            }
        }
        match &result.finding {
            Finding::Inconclusive(why) => drop(writeln!(text, "\nINCONCLUSIVE {}\n  {why}", result.title())),
            Finding::Broken(why) => drop(writeln!(text, "\nBROKEN {}\n  {why}", result.title())),
            Finding::NotApplicable(_) | Finding::Judged => {}
        }
    }
    if shown > MOST {
        let _ = writeln!(text, "\n… and {} more failures in the report", shown - MOST);
    }
    for (id, times) in told.iter().filter(|(_, times)| **times > 1) {
        let _ = writeln!(text, "\n{id} came {times} times; the report has them all");
    }
    let skipped = run
        .results
        .iter()
        .filter(|r| matches!(r.finding, Finding::NotApplicable(_)))
        .count();
    if skipped > 0 {
        let _ = writeln!(
            text,
            "\n{skipped} cases need a server with settings of its own and were not run here."
        );
    }
    if !judged.survived {
        let _ = writeln!(text, "\nThe server no longer answered when the run was over.");
    }
    let _ = writeln!(
        text,
        "\n{} cases, {} judgements in {:.1} s: {} requirements hold, {} failed, {} noted, {} not judged.\nVerdict: {}.",
        run.results.len(),
        judged.judgements,
        run.took.as_secs_f64(),
        judged.count(State::Holds),
        judged.count(State::Failed),
        judged.count(State::Noted),
        judged.count(State::NotJudged),
        judged.sentence(),
    );
    text
}
