//! What is printed in the end.

use std::fmt::{Display, Write as _};
use std::path::Path;

use super::figures::{
    LATENCIES, beside, capacity, clocks, delivery, disconnects, errors, latencies, millis, not_judged, own_cost,
    percent, step, thousands, three, throughput, trial_outcome, verdict,
};
use crate::capacity::Trial;
use crate::compare::{Comparison, Judgement};
use crate::result::RunResult;

/// The table, with the verdict first.
#[must_use]
pub fn render(result: &RunResult, directory: &Path) -> String {
    let mut text = String::new();
    // Writing to a text does not fail.
    let _ = writeln!(
        text,
        "\n{} · {} · {}: {}",
        result.scenario,
        result.profile,
        result.target.kind,
        verdict(result).to_uppercase()
    );
    for reason in &result.verdict.reasons {
        let _ = writeln!(text, "  ! {reason}");
    }
    for what in not_judged(result) {
        let _ = writeln!(text, "  · {what}");
    }
    if let Some(capacity) = capacity(result) {
        let _ = writeln!(text, "  capacity: {capacity}");
    }
    let _ = writeln!(text, "\n{}", line("", LATENCIES));
    for (kind, figures) in latencies(result) {
        let _ = writeln!(text, "{}", line(kind.name(), figures));
    }
    if let Some(errors) = errors(result) {
        let _ = writeln!(text, "\nerrors     {errors}");
    }
    if let Some(disconnects) = disconnects(result) {
        let _ = writeln!(text, "\nconnections {disconnects}");
    }
    let ledger = &result.ledger;
    let found: Vec<String> = ledger
        .findings()
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{} {name}", thousands(*count as f64)))
        .collect();
    let _ = writeln!(
        text,
        "\nledger     {} sent, {} stored, {} of {} events told{}, {} read back: {}",
        thousands(ledger.sent as f64),
        thousands(ledger.acked as f64),
        thousands(ledger.told as f64),
        thousands(ledger.owed as f64),
        beside(ledger),
        thousands(ledger.read_back as f64),
        match (ledger.is_clean(), found.is_empty()) {
            (true, _) if ledger.unreadable > 0 => "both sides agree, and the server cannot be asked".into(),
            (true, _) => "it balances".into(),
            (false, true) => "the sums do not fit".into(),
            (false, false) => found.join(", "),
        }
    );
    let generator = &result.generator;
    let (cost_of, cost) = own_cost(result);
    let _ = writeln!(
        text,
        "generator  late by {} at p99, did {} of what was due, {cost:.2} CPU-s {cost_of}, {} of all cores",
        millis(generator.lateness.p99),
        percent(generator.done as f64 / generator.offered.max(1) as f64),
        percent(generator.cpu_share()),
    );
    if let Some(clocks) = clocks(result) {
        let _ = writeln!(text, "clocks     {clocks}");
    }
    let most = |value: fn(&crate::target::Usage) -> Option<f64>| {
        result
            .usage
            .iter()
            .filter_map(value)
            .fold(None, |most: Option<f64>, one| {
                Some(most.map_or(one, |most| most.max(one)))
            })
    };
    if let (Some(cores), Some(memory)) = (most(|usage| usage.cores), most(|usage| usage.memory)) {
        let _ = writeln!(
            text,
            "server     at most {cores:.2} cores, {} MiB, {} sockets",
            three(memory),
            most(|usage| usage.sockets.map(|sockets| sockets as f64)).map_or("?".into(), thousands)
        );
    }
    if let (Some(cores), Some(memory)) = (most(|usage| usage.database_cores), most(|usage| usage.database_memory)) {
        let memory = three(memory);
        let _ = writeln!(text, "database   at most {cores:.2} cores, {memory} MiB");
    }
    let _ = writeln!(
        text,
        "load       {} messages per second acknowledged, seed {}",
        thousands(throughput(result)),
        result.seed
    );
    let _ = writeln!(text, "report     {}", directory.join("report.html").display());
    text
}

/// A line of the table of latencies.
fn line<T: Display>(kind: &str, figures: [T; LATENCIES.len()]) -> String {
    let [count, p50, p90, p99, p999, max, failed] = figures;
    format!("{kind:>10} {count:>10} {p50:>10} {p90:>10} {p99:>10} {p999:>10} {max:>10} {failed:>8}")
}

/// One trial of a search, as it is said when it is over.
#[must_use]
pub fn trial_line(trial: &Trial) -> String {
    let (step, rate) = (step(trial.step), thousands(trial.rate));
    format!(
        "{step:>8} {rate:>9}/s  {:<32} {}",
        delivery(trial),
        trial_outcome(trial.outcome)
    )
}

/// A comparison.
#[must_use]
pub fn compared(comparison: &Comparison) -> String {
    let mut text = String::new();
    let what = if comparison.searches { "searches" } else { "runs" };
    let heading = |side: &str, count: usize| match count {
        1 => side.to_owned(),
        _ => format!("{side}, {count} {what}"),
    };
    let (base, new) = (
        heading("base", comparison.runs.base),
        heading("new", comparison.runs.new),
    );
    let _ = writeln!(text, "{:<28} {base:>26} {new:>26} {:>9}", "", "change");
    for line in &comparison.lines {
        let interval = |of: &crate::bootstrap::Interval| {
            format!("{} ({} to {})", three(of.estimate), three(of.low), three(of.high))
        };
        let _ = writeln!(
            text,
            "{:<28} {:>26} {:>26} {:>+8.1}%  {}",
            line.what,
            interval(&line.base),
            interval(&line.new),
            line.change * 100.0,
            match line.judgement {
                Judgement::Better => "better",
                Judgement::Same => "same",
                Judgement::NotWorse => "not worse",
                Judgement::Worse => "WORSE",
                Judgement::Unsure => "cannot be told",
                Judgement::TooFew => "too few to tell",
            }
        );
    }
    for remark in &comparison.remarks {
        let _ = writeln!(text, "! {remark}");
    }
    let _ = writeln!(text, "{}", comparison.sentence());
    text
}
