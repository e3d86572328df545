//! For the summary of a CI job.

use std::fmt::Write as _;

use super::{Conclusion, Judged, State, first_reason, left_out, reason, second_tries};
use crate::engine::{CaseResult, Finding, Run, Verdict};

/// Rows of the table of failures; the report has them all.
const MOST: usize = 50;

pub fn render(judged: &Judged, run: &Run) -> String {
    let mark = match judged.conclusion {
        Conclusion::Conformant => "✅",
        Conclusion::NotConformant => "❌",
        Conclusion::Undecided | Conclusion::NothingRun => "⚠️",
    };
    let mut text = format!("## {mark} {} is {}\n\n", cell(&judged.target), judged.sentence());
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} made {} judgements in {:.1} s (seed {}). Requirements: {}.\n",
        Judged::counted(run),
        judged.judgements,
        run.took.as_secs_f64(),
        run.seed,
        judged.requirements(),
    );
    if let Some(cut) = &run.cut {
        let _ = writeln!(
            text,
            "**The run was cut short after {:.1} s:** {}\n",
            cut.at.as_secs_f64(),
            cell(&cut.why)
        );
    }
    for sentence in left_out(run) {
        let _ = writeln!(text, "{}\n", cell(&sentence));
    }
    for (result, why) in second_tries(judged, run).take(MOST) {
        let id = result.case.id();
        let _ = writeln!(
            text,
            "`{id}` was judged at the second try: the first came to nothing, {}\n",
            cell(why)
        );
    }
    for warning in &judged.warnings {
        let _ = writeln!(text, "**Before the run:** {}\n", cell(warning));
    }
    for (title, subjects) in [
        ("Known failures that do not fail any more", &judged.stale),
        ("Known failures that are over", &judged.expired),
    ] {
        if !subjects.is_empty() {
            let _ = writeln!(text, "**{title}:** {}\n", subjects.join(", "));
        }
    }
    text += "| area | pass | warn | skipped | known | flaky | inconclusive | **fail** |\n|---|--:|--:|--:|--:|--:|--:|--:|\n";
    for (area, counts) in judged.areas(run) {
        let of = |verdicts: &[Verdict]| verdicts.iter().filter_map(|verdict| counts.get(verdict)).sum::<usize>();
        let _ = writeln!(
            text,
            "| {area} | {} | {} | {} | {} | {} | {} | {} |",
            of(&[Verdict::Pass]),
            of(&[Verdict::Warn]),
            of(&[Verdict::Skipped]),
            of(&[Verdict::Known]),
            of(&[Verdict::Flaky]),
            of(&[Verdict::Inconclusive, Verdict::Harness]),
            of(&[Verdict::Fail, Verdict::UnexpectedPass]),
        );
    }
    failures(&mut text, judged, run);
    text
}

/// Of a run that never began, and why.
pub fn not_run(why: &str) -> String {
    format!("## ⚠️ Nothing was judged\n\n{}\n", cell(why))
}

fn failures(text: &mut String, judged: &Judged, run: &Run) {
    let mut rows: Vec<(Row, usize)> = Vec::new();
    let ran = |result: &CaseResult| !matches!(result.finding, Finding::NotRun(_));
    for (result, verdict) in (judged.each(run)).filter(|(result, verdict)| verdict.is_trouble() && ran(result)) {
        let of_case = of_case(judged, result, verdict);
        // The same line again says nothing new.
        let mut told: Vec<(Row, usize)> = Vec::new();
        for row in of_case {
            match told.iter_mut().find(|(known, _)| *known == row) {
                Some((_, times)) => *times += 1,
                None => told.push((row, 1)),
            }
        }
        rows.extend(told);
    }
    if rows.is_empty() {
        return;
    }
    *text += "\n| verdict | case | requirement | expected | got |\n|---|---|---|---|---|\n";
    for (Row { case, rest }, times) in rows.iter().take(MOST) {
        let times = match times {
            1 => String::new(),
            more => format!(" ×{more}"),
        };
        let _ = writeln!(text, "| {case}{times} | {rest} |");
    }
    if rows.len() > MOST {
        let _ = writeln!(text, "\n… and {} more in report.html.", rows.len() - MOST);
    }
}

/// A line of the table of failures.
#[derive(PartialEq, Eq)]
struct Row {
    /// Its verdict and its name.
    case: String,
    /// The requirement, what was expected and what came.
    rest: String,
}

/// What counts against a case; else why it could not be judged.
fn of_case(judged: &Judged, result: &CaseResult, verdict: Verdict) -> Vec<Row> {
    let id = result.case.id();
    let row = |rest: String| Row {
        case: format!("{verdict} | `{id}`"),
        rest,
    };
    let source = match &result.first {
        // What passed in the end has its failure in the first try.
        Some(first) if verdict == Verdict::Flaky => first,
        _ => result,
    };
    let failures = source.tally.failures.iter();
    let counted = failures.filter(|failure| judged.weight(failure, &id) == State::Failed);
    let mut rows: Vec<Row> = counted
        .map(|failure| {
            row(format!(
                "`{}` {} | {} | {}",
                failure.requirement.id,
                cell(failure.requirement.text),
                cell(&failure.expected),
                cell(&failure.got)
            ))
        })
        .collect();
    if let Some(why) = first_reason(result).filter(|_| verdict == Verdict::Flaky) {
        rows.push(row(format!("the first time it ended early: {} | |", cell(why))));
    }
    match rows.is_empty() {
        true => vec![row(format!("{} | |", cell(reason(source).unwrap_or_default())))],
        false => rows,
    }
}

/// A text that stays in its cell of a table and formats nothing.
fn cell(text: &str) -> String {
    let short: String = text.chars().take(300).collect();
    let mut safe = String::with_capacity(short.len());
    for c in short.chars() {
        match c {
            '\n' | '\r' => safe.push(' '),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' => {
                safe.push('\\');
                safe.push(c);
            }
            '<' => safe += "&lt;",
            c => safe.push(c),
        }
    }
    safe
}
