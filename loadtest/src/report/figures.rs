//! Numbers as people read them.

use crate::capacity::{Capacity, End, Limit, Outcome as Held, Step, Trial};
use crate::latency::Kind;
use crate::ledger::Balance;
use crate::profile::Profile;
use crate::result::{Outcome, RunResult};

/// Milliseconds, to three digits, with the unit: `0.42 ms`, `12.3 ms`, `1,240 ms`.
#[must_use]
pub fn millis(value: f64) -> String {
    format!("{} ms", three(value))
}

/// What the generator's processor time was spent for: messages, or what was done where there were none. And how much that took for
/// 100,000 of them, in seconds.
#[must_use]
pub(super) fn own_cost(result: &RunResult) -> (&'static str, f64) {
    let (what, count) = match result.ledger.sent {
        0 => ("per 100,000 things done", result.generator.done),
        sent => ("per 100,000 messages", sent),
    };
    (what, result.generator.cpu_seconds / count.max(1) as f64 * 100_000.0)
}

/// To three digits, or to one where there are more before the point.
#[must_use]
pub(super) fn three(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size < 1.0 => format!("{value:.2}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => thousands(value),
    }
}

/// A whole number with commas: `1,234,567`.
#[must_use]
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 && text != "0" {
        format!("-{text}")
    } else {
        text
    }
}

/// A share as per cent, with as many digits as it takes to see it.
#[must_use]
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".into(),
        part if part < 0.01 => "< 0.01 %".into(),
        part if part < 10.0 => format!("{part:.2} %"),
        part if (part - 100.0).abs() < 1e-9 => "100 %".into(),
        part => format!("{part:.1} %"),
    }
}

/// What it comes to: of a search what it found, whatever run is shown with it; else the run's verdict.
pub(super) fn outcome(result: &RunResult) -> Outcome {
    match &result.capacity {
        Some(found) => found.outcome(),
        None => result.verdict.outcome,
    }
}

/// The same in a word or two.
pub(super) fn verdict(result: &RunResult) -> &'static str {
    match (&result.capacity, outcome(result)) {
        (Some(_), Outcome::Passed) => "confirmed",
        (Some(_), Outcome::Failed) => "nothing holds",
        (Some(found), _) => match (found.confirmed, found.end) {
            (true, End::Drift(_)) => "confirmed, but it drifts",
            (true, _) => "confirmed, but wide",
            (false, _) => "not confirmed",
        },
        (None, Outcome::Passed) => "passed",
        (None, Outcome::Failed) => "failed",
        (None, Outcome::Invalid) => "invalid",
        (None, Outcome::Unsure) => "cannot be told",
    }
}

pub(super) fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Latency => "latency",
        Limit::Errors => "errors",
        Limit::Ledger => "the ledger",
        Limit::Threshold => "a threshold",
    }
}

/// What a trial came to.
pub(super) fn trial_outcome(outcome: Held) -> String {
    match outcome {
        Held::Holds => "holds".into(),
        Held::Fails(by) => format!("fails by {}", limit(by)),
        Held::Unsure => "unsure".into(),
        Held::Invalid => "invalid: the generator was the bottleneck".into(),
    }
}

/// What a trial was for.
pub(super) fn step(step: Step) -> &'static str {
    match step {
        Step::Bracket => "bracket",
        Step::Narrow => "narrow",
        Step::Confirm => "confirm",
    }
}

/// How long it took in a trial until messages were delivered.
pub(super) fn delivery(trial: &Trial) -> String {
    trial.latency.map_or("too few delivered to tell".into(), |latency| {
        let [low, high] = [latency.low, latency.high].map(three);
        format!("{} ({low} to {high})", millis(latency.estimate))
    })
}

fn end(found: &Capacity) -> String {
    match found.end {
        End::Found(by) => format!("above it, {} fails", limit(by)),
        End::Noise => "trials at the same rate disagree: it cannot be told more narrowly".into(),
        End::Drift(held) => format!(
            "it held {} once and not when that was tried again: what it bears may get less with time",
            thousands(held)
        ),
        End::Generator if found.upper.is_none() => "the generator could not go higher: the server may bear more".into(),
        End::Generator => {
            "the generator could not do what lies between or above: it cannot be told more narrowly".into()
        }
        End::Nothing(by) => format!("not even the lowest rate holds, for {}", limit(by)),
        End::Time => "the time was used up: --within gives it more".into(),
        End::Trials => "the number of trials was used up: --trials allows more".into(),
        End::Interrupted => "it was interrupted".into(),
        End::Broken => "a trial could not be made".into(),
    }
}

/// The capacity in one sentence.
pub(super) fn capacity(result: &RunResult) -> Option<String> {
    let found = result.capacity.as_ref()?;
    // What few users say comes together and is cheaper for each.
    let per_second = format!("per second of {} users", thousands(result.size.users as f64));
    let interval = match found.upper {
        Some(upper) => format!(
            "between {} and {} {per_second}",
            thousands(found.lower),
            thousands(upper)
        ),
        None => format!("at least {} {per_second}", thousands(found.lower)),
    };
    let confirmed = if found.confirmed { "confirmed" } else { "not confirmed" };
    Some(format!("{interval}, {confirmed}; {}", end(found)))
}

/// Whether generators that started together did so by the server's clock too; none where there is but one.
pub(super) fn clocks(result: &RunResult) -> Option<String> {
    if result.shards.len() < 2 {
        return None;
    }
    Some(match result.clock {
        Some(clock) => format!("within {:.1} s of each other, by the server's", clock.high - clock.low),
        None => "not compared: not every part knows how far the server's is from its own".into(),
    })
}

/// What a passed run does not say, because it was not judged.
pub(super) fn not_judged(result: &RunResult) -> Vec<&'static str> {
    let mut all = Vec::new();
    if result.capacity.is_none() && result.did_something() {
        match (result.judges_latency, result.main_kind()) {
            (false, _) => all.push("latency was not judged: the profile asks for more than is borne"),
            (true, None) => all.push("latency was not judged: nothing that was done is waited for"),
            (true, Some(_)) => {}
        }
    }
    let soaks = result.profile == Profile::Soak.name();
    if soaks && !result.drift.iter().any(|drift| drift.unit == "MiB") {
        all.push("memory was not judged: nobody told how much the server uses (--metrics-url does)");
    }
    if soaks && !result.drift.iter().any(|drift| drift.unit == "ms") {
        all.push("whether latency grows was not judged: too little was done that is waited for");
    }
    all
}

/// Connections that broke, where any did.
pub(super) fn disconnects(result: &RunResult) -> Option<String> {
    let (all, lost) = (result.generator.disconnects, result.lost_connections());
    (all > 0).then(|| {
        let (all, lost) = (thousands(all as f64), thousands(lost as f64));
        format!("{all} broke, {lost} of them without having been asked to")
    })
}

/// So many codes are said where there is little room.
const FEW: usize = 5;

/// What failed most, where anything did.
pub(super) fn errors(result: &RunResult) -> Option<String> {
    let all = result.errors();
    let few = all.iter().take(FEW);
    let mut few: Vec<String> = few
        .map(|(kind, code, count)| format!("{} {code} at {}", thousands(*count as f64), kind.name()))
        .collect();
    if all.len() > FEW {
        few.push(format!("{} others", all.len() - FEW));
    }
    (!few.is_empty()).then(|| few.join(", "))
}

/// What the ledger counts beside the usual, where there is any: `, 3 uncertain`.
pub(super) fn beside(ledger: &Balance) -> String {
    let all = [
        (ledger.refused, "refused"),
        (ledger.uncertain, "uncertain"),
        (ledger.caught_up, "caught up"),
        (ledger.late, "late"),
    ];
    let some = all.iter().filter(|(count, _)| *count > 0);
    some.map(|(count, what)| format!(", {} {what}", thousands(*count as f64)))
        .collect()
}

/// What [`latencies`] has of each kind.
pub(super) const LATENCIES: [&str; 7] = ["count", "p50", "p90", "p99", "p99.9", "max", "failed"];

/// Each kind with its figures, in words.
pub(super) fn latencies(result: &RunResult) -> impl Iterator<Item = (Kind, [String; LATENCIES.len()])> {
    let shown = result.latencies.iter().filter(|(kind, _)| **kind != Kind::Turn);
    shown.map(|(kind, measured)| {
        let summary = &measured.summary;
        let figures = [
            thousands(summary.count as f64),
            millis(summary.p50),
            millis(summary.p90),
            millis(summary.p99),
            millis(summary.p999),
            millis(summary.max),
            thousands(measured.failed() as f64),
        ];
        (*kind, figures)
    })
}

/// Messages per second that were acknowledged while it was measured; of a run that was cut short, until then.
pub(super) fn throughput(result: &RunResult) -> f64 {
    let lasts = match result.cut_short {
        true => result.lasts().min(result.generator.lasted_seconds.floor()),
        false => result.lasts(),
    };
    let counted = (0..lasts.ceil() as u32)
        .filter(|second| result.measures(*second))
        .count();
    result.tally.sum(|second| result.measures(second)).acked as f64 / counted.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_search_came_to_is_the_same_in_every_report() {
        let (recorder, shard) = (crate::latency::Recorder::default(), crate::cast::Shard::WHOLE);
        let run = crate::result::fixture::result(&recorder, crate::tally::Tally::default(), Balance::default(), shard);
        for (end, confirmed, outcome, words) in [
            (End::Found(Limit::Latency), true, Outcome::Passed, "confirmed"),
            (End::Noise, true, Outcome::Unsure, "confirmed, but wide"),
            (End::Time, true, Outcome::Unsure, "confirmed, but wide"),
            (End::Drift(500.0), true, Outcome::Unsure, "confirmed, but it drifts"),
            (End::Drift(500.0), false, Outcome::Unsure, "not confirmed"),
            (End::Broken, false, Outcome::Unsure, "not confirmed"),
            (End::Generator, false, Outcome::Invalid, "not confirmed"),
            (End::Nothing(Limit::Ledger), false, Outcome::Failed, "nothing holds"),
        ] {
            let found = Capacity {
                lower: 100.0,
                upper: Some(200.0),
                confirmed,
                end,
                trials: Vec::new(),
            };
            let result = RunResult {
                capacity: Some(found),
                ..run.clone()
            };
            assert_eq!((super::outcome(&result), verdict(&result)), (outcome, words), "{end:?}");
            let junit = super::super::junit(&result);
            assert_eq!(junit.contains("<failure"), outcome != Outcome::Passed, "{junit}");
            let terminal = super::super::terminal(&result, std::path::Path::new("there"));
            assert!(
                terminal.contains(&format!(": {}\n", words.to_uppercase())),
                "{terminal}"
            );
            let page = super::super::html(&result, false);
            assert!(page.contains(&format!(">{words}</p>")), "{end:?}");
            assert!(
                super::super::markdown(&result).contains(&format!(": {words}\n")),
                "{end:?}"
            );
        }
    }

    #[test]
    fn numbers_are_short_and_true() {
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(-1000.0), "-1,000");
        assert_eq!(millis(0.4249), "0.42 ms");
        assert_eq!(millis(12.34), "12.3 ms");
        assert_eq!(millis(1240.0), "1,240 ms");
        assert_eq!(percent(0.000_01), "< 0.01 %");
        assert_eq!(percent(0.0123), "1.23 %");
    }

    /// A passed run of 10 s of which each second had ten messages.
    fn run() -> RunResult {
        let mut tally = crate::tally::Tally::default();
        (0..10).for_each(|second| tally.at(second).acked = 10);
        let recorder = crate::latency::Recorder::default();
        crate::result::fixture::result(&recorder, tally, Balance::default(), crate::cast::Shard::WHOLE)
    }

    #[test]
    fn the_load_of_a_run_that_was_cut_short_is_that_until_then() {
        let mut run = run();
        run.generator.lasted_seconds = 10.3;
        assert!((throughput(&run) - 5.0).abs() < 1e-9, "{}", throughput(&run));
        run.cut_short = true;
        assert!((throughput(&run) - 10.0).abs() < 1e-9, "{}", throughput(&run));
    }

    #[test]
    fn what_happened_beside_is_in_every_report_for_people() {
        let mut run = run();
        let (refused, uncertain, caught_up) = (1, 2, 3);
        run.ledger = Balance {
            refused,
            uncertain,
            caught_up,
            ..Balance::default()
        };
        run.generator.disconnects = 1234;
        let mut recorder = crate::latency::Recorder::default();
        for code in ["RATE_LIMITED", "RATE_LIMITED", "CONNECTION_LOST"] {
            recorder.record(&crate::latency::Sample {
                kind: Kind::Connect,
                due: std::time::Duration::ZERO,
                took: std::time::Duration::ZERO,
                error: Some(code.into()),
                measured: true,
            });
        }
        let row = recorder.row(Kind::Connect).unwrap();
        run.latencies.insert(Kind::Connect, row.into());
        let terminal = super::super::terminal(&run, std::path::Path::new("there"));
        let markdown = super::super::markdown(&run);
        for text in [&terminal, &markdown] {
            for said in [
                "1 refused, 2 uncertain, 3 caught up",
                "2 RATE_LIMITED at connect, 1 CONNECTION_LOST",
                "1,234 broke, 1 of them",
            ] {
                assert!(text.contains(said), "{said}: {text}");
            }
        }
    }

    #[test]
    fn what_was_not_judged_is_in_every_report() {
        let mut run = run();
        let mut recorder = crate::latency::Recorder::default();
        recorder.record(&crate::latency::Sample {
            kind: Kind::CatchUp,
            due: std::time::Duration::ZERO,
            took: std::time::Duration::ZERO,
            error: None,
            measured: true,
        });
        run.latencies
            .insert(Kind::CatchUp, recorder.row(Kind::CatchUp).unwrap().into());
        run.profile = Profile::Soak.name().into();
        for text in [
            super::super::terminal(&run, std::path::Path::new("there")),
            super::super::markdown(&run),
            super::super::junit(&run),
            super::super::html(&run, false),
        ] {
            for said in ["latency was not judged", "memory was not judged"] {
                assert!(text.contains(said), "{said}: {text}");
            }
        }
    }
}
