//! For the summary of a CI job.

use std::fmt::Write as _;

use super::{Conclusion, Judged, State, reason};
use crate::engine::{Run, Verdict};

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
        "{} made {} judgements in {:.1} s (seed {}): {} requirements hold, {} failed, {} noted, {} not judged.\n",
        Judged::counted(run),
        judged.judgements,
        run.took.as_secs_f64(),
        run.seed,
        judged.count(State::Holds),
        judged.count(State::Failed),
        judged.count(State::Noted),
        judged.count(State::NotJudged),
    );
    if let Some(cut) = &run.cut {
        let _ = writeln!(
            text,
            "**The run was cut short after {:.1} s:** {}\n",
            cut.at.as_secs_f64(),
            cell(&cut.why)
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
    let mut rows = Vec::new();
    for (result, verdict) in judged.each(run).filter(|(_, verdict)| verdict.is_trouble()) {
        let id = result.case.id();
        let counted = result
            .tally
            .failures
            .iter()
            .filter(|failure| judged.weight(failure, &id) == State::Failed);
        let before = rows.len();
        rows.extend(counted.map(|failure| {
            format!(
                "| {verdict} | `{id}` | `{}` {} | {} | {} |",
                failure.requirement.id,
                cell(failure.requirement.text),
                cell(&failure.expected),
                cell(&failure.got)
            )
        }));
        if rows.len() == before {
            rows.push(format!(
                "| {verdict} | `{id}` | {} | | |",
                cell(reason(result).unwrap_or_default())
            ));
        }
    }
    if rows.is_empty() {
        return;
    }
    *text += "\n| verdict | case | requirement | expected | got |\n|---|---|---|---|---|\n";
    for row in rows.iter().take(MOST) {
        *text += row;
        text.push('\n');
    }
    if rows.len() > MOST {
        let _ = writeln!(text, "\n… and {} more in report.html.", rows.len() - MOST);
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
