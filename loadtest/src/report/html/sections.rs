//! The tables.

use maud::{Markup, html};

use crate::latency::Kind;
use crate::ledger::Finding;
use crate::report::figures::{clocks, millis, own_cost, percent, thousands, three};
use crate::result::RunResult;
use crate::schedule::Pattern;

/// All kinds with their figures.
pub(super) fn latencies(result: &RunResult) -> Markup {
    html! {
        section {
            h2 { "All latencies" }
            div.wide { table {
                thead { tr { th {} th { "count" } th { "min" } th { "p50" } th { "p90" } th { "p99" } th { "p99.9" } th { "max" } th { "failed" } } }
                tbody {
                    @for (kind, measured) in result.latencies.iter().filter(|(kind, _)| **kind != Kind::Turn) {
                        @let summary = &measured.summary;
                        tr {
                            th { (kind.name()) " " span.faint { (kind.method()) } }
                            td { (thousands(summary.count as f64)) }
                            @for value in [summary.min, summary.p50, summary.p90, summary.p99, summary.p999, summary.max] {
                                td { @if summary.count > 0 { (millis(value)) } @else { "–" } }
                            }
                            td class=[(measured.failed() > 0).then_some("bad")] { (thousands(measured.failed() as f64)) }
                        }
                    }
                }
            } }
            p.faint { "Of what was due while it was measured, from the moment it was due. Connections count from their begin." }
        }
    }
}

/// What failed, by the server's code.
pub(super) fn errors(result: &RunResult) -> Markup {
    let all = result
        .latencies
        .iter()
        .flat_map(|(kind, measured)| measured.errors.iter().map(move |(code, count)| (kind, code, *count)));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
    html! {
        section {
            h2 { "Errors" }
            @if all.is_empty() {
                p.lead { "Nothing failed." }
            } @else {
                p.lead { (percent(result.verdict.errors)) " of what was due failed; " (percent(result.objective.errors)) " may." }
                (super::pictures::errors_over_time(result))
                table {
                    thead { tr { th { "at" } th.left { "code" } th { "times" } } }
                    tbody { @for (kind, code, count) in all { tr { th { (kind.name()) } td.left { code { (code) } } td { (thousands(count as f64)) } } } }
                }
            }
        }
    }
}

/// The books.
pub(super) fn ledger(result: &RunResult) -> Markup {
    let ledger = &result.ledger;
    let sums: [(&str, u64, &str); 9] = [
        ("sent", ledger.sent, "handed to a connection"),
        ("stored", ledger.acked, "of these, by the server's ack"),
        ("refused", ledger.refused, "of these, by the server's ack"),
        (
            "uncertain",
            ledger.uncertain,
            "the connection broke before the ack, or the server did not know",
        ),
        (
            "owed",
            ledger.owed,
            "events that devices were to get of what was stored",
        ),
        ("told", ledger.told, "of these, that came"),
        (
            "caught up",
            ledger.caught_up,
            "of these, found in the history by a device that had been away",
        ),
        (
            "read back",
            ledger.read_back,
            "from the server's history, to settle what was open and the tail of each chat",
        ),
        (
            "late",
            ledger.late,
            "came, but late; counted, and left to the latency to judge",
        ),
    ];
    let meanings = [
        "acknowledged, and in no history",
        "stored, but a device was never told",
        "told to a device twice, or twice in the history",
        "told or stored behind a later one",
        "told or stored, but never sent so",
        "ack, event and history name different places",
        "no ack, on a connection that lived",
    ];
    html! {
        section {
            h2 { "Ledger: " @if ledger.is_clean() { "it balances" } @else { span.bad { "it does not balance" } } }
            div.columns {
                table { tbody { @for (name, count, meaning) in sums {
                    tr { th { (name) } td { (thousands(count as f64)) } td.left.faint { (meaning) } } } } }
                table { tbody { @for ((name, count), meaning) in ledger.findings().into_iter().zip(meanings) {
                    tr { th { (name) } td class=(if count > 0 { "bad" } else { "good" }) { (thousands(count as f64)) } td.left.faint { (meaning) } } } } }
            }
            @if !ledger.examples.is_empty() {
                details {
                    summary { "The first ones, to look for" }
                    table {
                        thead { tr { th.left { "finding" } th { "stream" } th { "number" } } }
                        tbody { @for example in &ledger.examples { tr {
                            td.left { (finding(example.finding)) }
                            td { @if example.stream == u32::MAX { "–" } @else { (example.stream) } }
                            td { @if let Some(number) = example.number { (number) } @else { "–" } }
                        } } }
                    }
                    p.faint { "A message's content begins with the run's mark, its stream and its number." }
                }
            }
        }
    }
}

fn finding(finding: Finding) -> &'static str {
    match finding {
        Finding::Lost => "lost",
        Finding::Missed => "missed",
        Finding::Doubled => "doubled",
        Finding::OutOfOrder => "out of order",
        Finding::Foreign => "foreign",
        Finding::Contradicted => "contradicted",
        Finding::Unanswered => "unanswered",
    }
}

/// What must not grow.
pub(super) fn drift(result: &RunResult) -> Markup {
    if result.drift.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "Drift" }
            p.lead { "The second fifth of the run beside its last: what grows while the load stays will end some day." }
            table {
                thead { tr { th {} th { "before" } th { "after" } th.left {} } }
                tbody { @for drift in &result.drift { tr {
                    th { (drift.what) }
                    td { (three(drift.before.estimate)) " " (drift.unit) }
                    td { (three(drift.after.estimate)) " " (drift.unit) }
                    td.left { @if drift.grew { span.bad { "grew" } } @else { "stayed" } }
                } } }
            }
        }
    }
}

/// How the generator did.
pub(super) fn generator(result: &RunResult) -> Markup {
    let generator = &result.generator;
    let (cost_of, cost) = own_cost(result);
    let rows = [
        (
            "late, at p99",
            millis(generator.lateness.p99),
            "from the moment something was due to the moment it was done",
        ),
        ("latest", millis(generator.lateness.max), "the worst of it"),
        (
            "done in time",
            percent(generator.done as f64 / generator.offered.max(1) as f64),
            "of what was due while it was measured",
        ),
        (
            "of all cores",
            percent(generator.cpu_share()),
            "what this program took of the machine",
        ),
        (
            cost_of,
            format!("{cost:.2} CPU-s"),
            "what it cost to send, to take and to keep book",
        ),
        (
            "memory",
            generator
                .memory
                .map_or("unknown".into(), |memory| format!("{} MiB", three(memory))),
            "resident, once everybody was connected",
        ),
        (
            "disconnects",
            thousands(generator.disconnects as f64),
            "connections that broke, on purpose or not",
        ),
    ];
    html! {
        section {
            h2 { "Generator: " @if generator.faults.is_empty() { "quick enough" } @else { span.bad { "the bottleneck" } } }
            @if result.environment.debug_build {
                p.lead { span.bad { "This program was built without optimization: it costs several times what it should." } }
            }
            table { tbody { @for (name, value, meaning) in rows { tr { th { (name) } td { (value) } td.left.faint { (meaning) } } } } }
        }
    }
}

/// Where, with what, and how to repeat it.
pub(super) fn about(result: &RunResult, goose_beside: bool) -> Markup {
    let environment = &result.environment;
    let mut rows: Vec<(&str, String)> = vec![
        (
            "target",
            format!("{}: {}", result.target.kind, result.target.nodes.join(", ")),
        ),
        (
            "machine",
            format!(
                "{}, {} cores, {} GiB",
                environment.processor, environment.cores, environment.memory
            ),
        ),
        ("system", environment.system.clone()),
        ("load before", format!("{:.2}", environment.load_before)),
        (
            "messages",
            format!(
                "{} characters, {}",
                result.size.message_length,
                match result.size.read_every {
                    0 => "none read".into(),
                    1 => "each read".into(),
                    every => format!("every {every}th read"),
                }
            ),
        ),
        ("weights", weights(result)),
        (
            "moments",
            match (&result.pattern, &result.trace) {
                (Some(Pattern::Poisson), _) => "by chance".into(),
                (Some(Pattern::Constant), _) => "evenly".into(),
                (None, Some(trace)) => format!("of the trace {trace}"),
                (None, None) => "unknown".into(),
            },
        ),
        ("seed", result.seed.to_string()),
        (
            "generators",
            match result.shards.as_slice() {
                [one] if one.count > 1 => format!("part {} of {}", one.index + 1, one.count),
                shards => shards.len().max(1).to_string(),
            },
        ),
        ("version", result.version.clone()),
    ];
    rows.extend(clocks(result).map(|clocks| ("their clocks", clocks)));
    html! {
        section {
            h2 { "How to repeat it" }
            pre { code { (commands(result)) } }
            table { tbody { @for (name, value) in rows { tr { th { (name) } td.left { (value) } } } } }
            p.faint {
                "Beside this page: result.json, which has every histogram, junit.xml and summary.md"
                @if goose_beside { ", and " a href="goose.html" { "goose's own report" } }
                "."
            }
        }
    }
}

fn weights(result: &RunResult) -> String {
    let all = result.weights.all();
    let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
    let parts = all.iter().filter(|(_, weight)| *weight > 0.0);
    let parts: Vec<String> = parts
        .map(|(action, weight)| format!("{} {}", percent(weight / sum), format!("{action:?}").to_lowercase()))
        .collect();
    parts.join(", ")
}

/// Of all parts, a line each.
fn commands(result: &RunResult) -> String {
    let parts: Vec<String> = result.part_commands.iter().map(|words| command(words)).collect();
    match parts.is_empty() {
        true => command(&result.command),
        false => parts.join("\n"),
    }
}

/// With the program's name alone, and quotes where a shell needs them.
fn command(words: &[String]) -> String {
    let mut words = words.iter();
    let program = words
        .next()
        .map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
    let quoted = words.map(|word| {
        let plain = word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_=./:,@%+".contains(&byte));
        if plain && !word.is_empty() {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    program.into_iter().chain(quoted).collect::<Vec<_>>().join(" ")
}
