//! One page, in one file, that needs nothing from anywhere: to be kept beside the result, or sent to somebody.

mod chart;
mod pictures;
mod sections;
mod trials;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figures::{capacity, millis, not_judged, outcome, percent, thousands, three, throughput, verdict};
use crate::latency::{Kind, Summary};
use crate::result::{Outcome, RunResult};

const STYLE: &str = include_str!("style.css");

/// The page. `goose_beside`: whether goose's own report lies in the same directory.
#[must_use]
pub fn render(result: &RunResult, goose_beside: bool) -> String {
    let title = format!("{} · {}", result.scenario, result.profile);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) ": " (verdict(result)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(result, &title))
                    (cards(result))
                    @if let Some(found) = &result.capacity { (pictures::capacity(result, found)) }
                    (pictures::latency_over_time(result))
                    (pictures::percentiles(result))
                    (pictures::throughput(result))
                    (sections::latencies(result))
                    (sections::errors(result))
                    (sections::ledger(result))
                    (pictures::resources(result))
                    (sections::drift(result))
                    (sections::generator(result))
                    (sections::about(result, goose_beside))
                }
            }
        }
    }
    .into_string()
}

fn head(result: &RunResult, title: &str) -> Markup {
    let class = class(outcome(result));
    html! {
        header class=(class) {
            div {
                p.kicker { "Load test of " (result.target.kind) }
                h1 { (title) }
                p.when { (began(&result.began)) " · " (three(result.generator.lasted_seconds)) " s · "
                    (thousands(result.size.users as f64)) " users, " (thousands(result.size.devices as f64)) " devices" }
            }
            p.verdict { (verdict(result)) }
        }
        @if let Some(capacity) = capacity(result) {
            section.answer { h2 { "It bears " (capacity.split_once(", ").map_or(capacity.as_str(), |(interval, _)| interval)) }
                p { (capacity.split_once(", ").map_or("", |(_, rest)| rest)) "." } }
        }
        @if !result.verdict.reasons.is_empty() {
            section class={ "reasons " (class) } {
                @if result.verdict.outcome == Outcome::Invalid {
                    p { strong { "This run says nothing about the server." } " Its figures are shown, but they are those of the generator." }
                }
                ul { @for reason in &result.verdict.reasons { li { (reason) } } }
            }
        }
        @for what in not_judged(result) { p.faint { (what) "." } }
    }
}

/// `2026-01-31 12:00:00 UTC`.
fn began(timestamp: &str) -> String {
    let seconds = timestamp.split('.').next().unwrap_or(timestamp);
    format!("{} UTC", seconds.replace('T', " "))
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Invalid => "invalid",
        Outcome::Unsure => "unsure",
    }
}

/// What one wants to know first.
fn cards(result: &RunResult) -> Markup {
    let deliver = result.latencies.get(&Kind::Deliver).map(|measured| measured.summary);
    // A scenario without messages has something else that is waited for most.
    let main = deliver.map(|summary| ("delivery", summary)).or_else(|| {
        let kinds = result
            .latencies
            .iter()
            .filter(|(kind, _)| !matches!(kind, Kind::Turn | Kind::Connect));
        let (kind, measured) = kinds.max_by_key(|(_, measured)| measured.summary.count)?;
        Some((kind.name(), measured.summary))
    });
    let (name, summary): (&str, Summary) = main.unwrap_or_default();
    let interval = result.verdict.latency;
    let lost = result.ledger.findings().iter().map(|(_, count)| count).sum::<u64>();
    html! {
        div.cards {
            div.card { h3 { (name) ": median" } p.big { (millis(summary.p50)) } p.small { "from due to done" } }
            div.card { h3 { (name) ": p99" } p.big { (millis(summary.p99)) }
                p.small { @if let Some(interval) = interval { (three(interval.low)) " to " (three(interval.high)) " (99 %)" }
                    @else { "p99.9 " (millis(summary.p999)) } } }
            div.card { h3 { "slowest" } p.big { (millis(summary.max)) } p.small { "of " (thousands(summary.count as f64)) } }
            div.card { h3 { "acknowledged" } p.big { (thousands(throughput(result))) span.unit { "/s" } }
                p.small { (thousands(result.ledger.sent as f64)) " messages sent" } }
            div.card { h3 { "failed" } p.big { (percent(result.verdict.errors)) }
                p.small { "at most " (percent(result.objective.errors)) " may" } }
            div class=(if result.ledger.is_clean() { "card" } else { "card bad" }) { h3 { "ledger" }
                p.big { @if result.ledger.is_clean() { "balances" } @else { (thousands(lost as f64)) " wrong" } }
                p.small { (thousands(result.ledger.read_back as f64)) " read back" } }
        }
    }
}
