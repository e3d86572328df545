//! For people at a terminal and in the log of a CI job.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Judged, State, first_reason, left_out, reason, second_tries};
use crate::engine::{CaseResult, Finding, Run, Verdict};

/// Lines of transcript shown before a failure.
const CONTEXT: usize = 8;
/// Failures shown whole; the report has them all.
const MOST: usize = 25;

// Writing to a String cannot fail.
pub fn render(judged: &Judged, run: &Run) -> String {
    let mut text = String::new();
    if run.cut.as_ref().is_none_or(|cut| !cut.by_target) {
        failures(&mut text, judged, run);
    }
    areas(&mut text, judged, run);
    cut(&mut text, judged, run);
    if let Some(matrix) = &judged.coverage {
        let told = matrix.text();
        let (missing, others): (Vec<&str>, Vec<&str>) = told.lines().partition(|line| line.starts_with("  missing"));
        let _ = writeln!(text, "\n{}", others.join("\n"));
        // Of a run that was cut short, what was not seen says nothing.
        let most = if run.cut.is_some() { 0 } else { MOST };
        for line in missing.iter().take(most) {
            let _ = writeln!(text, "{line}");
        }
        if most > 0 && missing.len() > most {
            let _ = writeln!(text, "  … and {} more in the report", missing.len() - most);
        }
    }
    for (title, subjects) in [
        ("KNOWN FAILURES THAT DO NOT FAIL ANY MORE", &judged.stale),
        ("KNOWN FAILURES THAT ARE OVER", &judged.expired),
    ] {
        if !subjects.is_empty() {
            let _ = writeln!(text, "\n{title}\n  {}", subjects.join("\n  "));
        }
    }
    let _ = writeln!(
        text,
        "\n{}, {} judgements in {:.1} s, seed {}. Requirements: {}.\nVerdict: {}.",
        Judged::counted(run),
        judged.judgements,
        run.took.as_secs_f64(),
        run.seed,
        judged.requirements(),
        judged.sentence(),
    );
    text
}

/// The verdict by area.
fn areas(text: &mut String, judged: &Judged, run: &Run) {
    let shown = [
        Verdict::Pass,
        Verdict::Warn,
        Verdict::Skipped,
        Verdict::Known,
        Verdict::Flaky,
        Verdict::Inconclusive,
        Verdict::Fail,
    ];
    let head: Vec<String> = shown.iter().map(|verdict| format!("{:>12}", verdict.name())).collect();
    let _ = writeln!(text, "\n  {:22}{}", "area", head.concat());
    for (area, counts) in judged.areas(run) {
        let folded = |verdict: Verdict| match verdict {
            Verdict::UnexpectedPass => Verdict::Fail,
            Verdict::Harness => Verdict::Inconclusive,
            other => other,
        };
        let mut folded_counts = BTreeMap::new();
        for (verdict, count) in &counts {
            *folded_counts.entry(folded(*verdict)).or_insert(0) += count;
        }
        let worst = folded_counts.keys().max().copied().unwrap_or(Verdict::Pass);
        let mark = match worst {
            Verdict::Pass | Verdict::Warn => '✓',
            Verdict::Fail => '✗',
            Verdict::Skipped if !folded_counts.contains_key(&Verdict::Pass) => '-',
            Verdict::Skipped | Verdict::Known => '✓',
            _ => '?',
        };
        let cells: Vec<String> = shown
            .iter()
            .map(|verdict| match folded_counts.get(verdict) {
                Some(count) => format!("{count:>12}"),
                None => format!("{:>12}", "·"),
            })
            .collect();
        let _ = writeln!(text, "{mark} {area:22}{}", cells.concat());
    }
}

/// Why the run ended early: one clear word instead of a wall of what followed.
fn cut(text: &mut String, judged: &Judged, run: &Run) {
    if let Some(cut) = &run.cut {
        let what = if cut.by_target {
            "THE TARGET FAILED"
        } else {
            "CUT SHORT"
        };
        let _ = writeln!(text, "\n{what} after {:.1} s: {}", cut.at.as_secs_f64(), cut.why);
        if cut.by_target && !cut.running.is_empty() {
            let _ = writeln!(
                text,
                "  These cases ran when it was noticed; one of them may be the reason:"
            );
            for id in &cut.running {
                let _ = writeln!(text, "    {id}");
            }
            let trouble = judged.each(run).filter(|(_, verdict)| verdict.is_trouble()).count();
            let _ = writeln!(
                text,
                "  {trouble} cases failed or could not be judged; most may have followed from it. The report has them."
            );
        }
    } else if !judged.survived {
        let _ = writeln!(text, "\nThe server no longer answered when the run was over.");
    }
}

fn failures(text: &mut String, judged: &Judged, run: &Run) {
    let mut shown = 0;
    let mut told = BTreeMap::<&str, u32>::new();
    for (result, verdict) in judged.each(run).filter(|(_, verdict)| verdict.is_notable()) {
        let source = match (&result.first, verdict) {
            // What passed in the end has its failure in the first try.
            (Some(first), Verdict::Flaky) => first,
            _ => result,
        };
        for failure in &source.tally.failures {
            let times = told.entry(failure.requirement.id).or_default();
            *times += 1;
            // The first one tells the story; the report has them all.
            if *times == 1 {
                shown += 1;
                if shown <= MOST {
                    one(text, judged, source, failure, verdict);
                }
            }
        }
        if matches!(result.finding, Finding::NotRun(_)) {
            continue; // Told below, of all at once.
        }
        match (verdict, reason(result)) {
            (Verdict::Inconclusive | Verdict::Harness, Some(why)) => {
                let _ = writeln!(text, "\n{} {}\n  {why}", verdict.name().to_uppercase(), result.title());
            }
            (Verdict::UnexpectedPass, _) => {
                let _ = writeln!(text, "\nUNEXPECTED PASS {}", result.title());
            }
            (Verdict::Flaky, _) => {
                let title = result.title();
                let _ = writeln!(text, "\nFLAKY {title}\n  It failed, and did not when it was run again.");
                if let Some(why) = first_reason(result) {
                    let _ = writeln!(text, "  The first time it ended early: {why}");
                }
            }
            _ => {}
        }
    }
    if shown > MOST {
        let _ = writeln!(text, "\n… and {} more failures in the report", shown - MOST);
    }
    for (result, why) in second_tries(judged, run) {
        let _ = writeln!(
            text,
            "\nAT THE SECOND TRY {}\n  The first came to nothing: {why}",
            result.title()
        );
    }
    for sentence in left_out(run) {
        let _ = writeln!(text, "\n{sentence}");
    }
    for (id, times) in told.iter().filter(|(_, times)| **times > 1) {
        let _ = writeln!(text, "\n{id} came {times} times; the report has them all");
    }
}

fn one(text: &mut String, judged: &Judged, result: &CaseResult, failure: &crate::engine::Failure, verdict: Verdict) {
    let requirement = failure.requirement;
    let heading = match (verdict, judged.weight(failure, &result.case.id())) {
        (Verdict::Flaky, State::Failed) => "FLAKY",
        (_, State::Failed) => "FAILED",
        (_, State::Known) => "known",
        _ => "noted",
    };
    let _ = writeln!(
        text,
        "\n{heading} {} ({} {})\n  {}",
        requirement.id, requirement.level, requirement.profile, requirement.text
    );
    let _ = writeln!(
        text,
        "  case      {}\n  expected  {}\n  got       {}",
        result.case.id(),
        failure.expected,
        failure.got
    );
    for line in result.transcript.lines(failure.seen, CONTEXT) {
        let _ = writeln!(text, "    {line}");
    }
}
