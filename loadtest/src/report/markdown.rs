//! A summary in Markdown, for a pull request or a job's page.

use std::fmt::Write as _;

use super::figures::{
    LATENCIES, beside, capacity, disconnects, errors, latencies, millis, not_judged, outcome, percent, thousands,
    throughput, verdict,
};
use crate::result::{Outcome, RunResult};

/// The document.
#[must_use]
pub fn render(result: &RunResult) -> String {
    let mut text = String::new();
    let sign = match outcome(result) {
        Outcome::Passed => "✅",
        Outcome::Failed => "❌",
        Outcome::Invalid => "⚠️",
        Outcome::Unsure => "❔",
    };
    // Writing to a text does not fail.
    let _ = writeln!(
        text,
        "## {sign} {} · {}: {}\n",
        result.scenario,
        result.profile,
        verdict(result)
    );
    for reason in &result.verdict.reasons {
        let _ = writeln!(text, "- {reason}");
    }
    for what in not_judged(result) {
        let _ = writeln!(text, "- {what}");
    }
    if let Some(capacity) = capacity(result) {
        let _ = writeln!(text, "\n**Capacity:** {capacity}.");
    }
    let _ = writeln!(
        text,
        "\n{} on {}, {} users with {} devices; {} messages, {} per second.\n",
        result.target.kind,
        result.environment.processor,
        thousands(result.size.users as f64),
        thousands(result.size.devices as f64),
        thousands(result.ledger.sent as f64),
        thousands(throughput(result)),
    );
    let _ = writeln!(text, "| | {} |", LATENCIES.join(" | "));
    let _ = writeln!(text, "|---|{}", "---:|".repeat(LATENCIES.len()));
    for (kind, figures) in latencies(result) {
        let _ = writeln!(text, "| {} | {} |", kind.name(), figures.join(" | "));
    }
    if let Some(errors) = errors(result) {
        let _ = writeln!(text, "\n**Errors:** {errors}.");
    }
    if let Some(disconnects) = disconnects(result) {
        let _ = writeln!(text, "\n**Connections:** {disconnects}.");
    }
    let found: Vec<String> = result
        .ledger
        .findings()
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let _ = writeln!(text, "\n**Ledger:** {}{}.", found.join(", "), beside(&result.ledger));
    let generator = &result.generator;
    let _ = writeln!(
        text,
        "**Generator:** late by {} at p99, did {} of what was due, {} of all cores.",
        millis(generator.lateness.p99),
        percent(generator.done as f64 / generator.offered.max(1) as f64),
        percent(generator.cpu_share()),
    );
    text
}
