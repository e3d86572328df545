//! One page, in one file, that needs nothing from anywhere: to be kept beside the result, or sent to somebody.

mod chart;
mod pictures;
mod sections;
mod trials;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figures::{capacity, millis, not_judged, outcome, percent, thousands, three, throughput, verdict};
use crate::latency::Summary;
use crate::result::{Outcome, RunResult, noun, percentile};

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
    let main = result.main_kind();
    let name = main.map_or("nothing", noun);
    let summary = main.and_then(|kind| result.latencies.get(&kind));
    let summary: Summary = summary.map(|measured| measured.summary).unwrap_or_default();
    let lost = result.ledger.findings().iter().map(|(_, count)| count).sum::<u64>();
    html! {
        div.cards {
            div.card { h3 { (name) ": median" } p.big { (millis(summary.p50)) } p.small { "from due to done" } }
            @match result.verdict.latency {
                Some(interval) => div.card { h3 { (name) ": " (percentile(result.objective.quantile)) } p.big { (millis(interval.estimate)) }
                    p.small { (three(interval.low)) " to " (three(interval.high)) " (99 %)" } },
                None => div.card { h3 { (name) ": p99" } p.big { (millis(summary.p99)) } p.small { "p99.9 " (millis(summary.p999)) } },
            }
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
