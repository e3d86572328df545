//! The pictures.

use hdrhistogram::Histogram;
use maud::{Markup, html};

use super::chart::{Chart, Scale};
use super::trials;
use crate::capacity::{Capacity, Outcome};
use crate::latency::{Kind, Summary};
use crate::report::figures::{delivery, millis, percent, thousands, three, trial_outcome};
use crate::result::RunResult;
use crate::target::Usage;

/// Latency against rate, with the interval that the capacity is in.
pub(super) fn capacity(result: &RunResult, found: &Capacity) -> Markup {
    let objective = &result.objective;
    let shown: Vec<_> = found
        .trials
        .iter()
        .filter_map(|trial| Some((trial, trial.latency?)))
        .collect();
    let rates = shown.iter().map(|(trial, _)| trial.rate);
    let values = shown
        .iter()
        .flat_map(|(_, latency)| [latency.low, latency.high])
        .chain([objective.below_ms]);
    let mut chart = Chart::new(
        380.0,
        (
            "offered per second",
            Scale::decades(rates.clone().chain(rates.map(|rate| rate * 1.1))),
        ),
        ("delivery in ms", Scale::decades(values)),
    );
    // Without an upper end it lies anywhere beyond.
    let upper = found.upper.unwrap_or(f64::INFINITY);
    chart.stretch(found.lower, upper, "interval", "");
    for (trial, latency) in &shown {
        let class = match trial.outcome {
            Outcome::Holds => "holds",
            Outcome::Fails(_) => "fails",
            Outcome::Unsure => "unsure",
            Outcome::Invalid => "invalid",
        };
        let tip = format!(
            "{}/s: {}, {} failed, {}/s acknowledged: {}",
            thousands(trial.rate),
            delivery(trial),
            percent(trial.errors),
            thousands(trial.achieved),
            trial_outcome(trial.outcome)
        );
        chart.point(trial.rate, (latency.low, latency.estimate, latency.high), class, &tip);
    }
    chart.level(
        objective.below_ms,
        &format!("objective: {}", millis(objective.below_ms)),
    );
    html! {
        section {
            h2 { "Capacity" }
            p.lead { "Each point is a trial: its " (percent(objective.quantile)) " quantile of delivery, from the moment a message was due, with the interval it is known to. "
                "The shaded stretch is where the capacity lies. The table has all trials in their order, also those that delivered nothing." }
            p.legend { span.key.holds { "holds" } span.key.fails { "fails" } span.key.unsure { "unsure" } span.key.invalid { "invalid" } }
            (chart.draw("latency of delivery against the offered rate"))
            (trials::table(found))
        }
    }
}

/// Bands of the percentiles of delivery, by the second in which messages were due.
pub(super) fn latency_over_time(result: &RunResult) -> Markup {
    // What the scenario is about: the kind that came most often, delivery before all.
    let kind = if result.latencies.contains_key(&Kind::Deliver) {
        Some(Kind::Deliver)
    } else {
        let kinds = result
            .latencies
            .iter()
            .filter(|(kind, _)| !matches!(kind, Kind::Turn | Kind::Connect));
        kinds
            .max_by_key(|(_, measured)| measured.summary.count)
            .map(|(kind, _)| *kind)
    };
    let Some((kind, measured)) = kind.and_then(|kind| Some((kind, result.latencies.get(&kind)?))) else {
        return html! {};
    };
    let seconds: Vec<(f64, Summary)> = measured
        .seconds
        .iter()
        .filter(|(_, second)| !second.histogram.0.is_empty())
        .map(|(second, measured)| (f64::from(*second) + 0.5, Summary::of(&measured.histogram.0)))
        .collect();
    let values = seconds.iter().flat_map(|(_, summary)| [summary.p50, summary.max]);
    let mut chart = Chart::new(
        340.0,
        ("seconds since the start", time_axis(result)),
        (
            if kind == Kind::Deliver { "delivery in ms" } else { "ms" },
            Scale::decades(values),
        ),
    );
    phases(&mut chart, result);
    let between = |low: fn(&Summary) -> f64, high: fn(&Summary) -> f64| {
        seconds
            .iter()
            .map(|(at, summary)| (*at, low(summary), high(summary)))
            .collect::<Vec<_>>()
    };
    chart.band(&between(|summary| summary.p99, |summary| summary.max), "b4");
    chart.band(&between(|summary| summary.p90, |summary| summary.p99), "b3");
    chart.band(&between(|summary| summary.p50, |summary| summary.p90), "b2");
    chart.band(&between(|summary| summary.min, |summary| summary.p50), "b1");
    let median: Vec<_> = seconds.iter().map(|(at, summary)| (*at, summary.p50)).collect();
    chart.line(&median, "median");
    for (at, summary) in &seconds {
        let tip = format!(
            "second {:.0}: {} · p50 {} · p90 {} · p99 {} · max {}",
            at - 0.5,
            thousands(summary.count as f64),
            millis(summary.p50),
            millis(summary.p90),
            millis(summary.p99),
            millis(summary.max)
        );
        chart.tip(at - 0.5, at + 0.5, &tip);
    }
    html! {
        section {
            h2 { "Latency over time" }
            p.lead { "Of " (kind.name()) ", from the moment it was due, in the second in which it was due: whatever the server made wait is in there with all of its wait." }
            p.legend { span.key.b1 { "up to the median" } span.key.b2 { "to p90" } span.key.b3 { "to p99" } span.key.b4 { "to the slowest" } }
            (chart.draw("percentiles of the latency by second"))
        }
    }
}

/// The latency of every quantile, stretched towards the slowest.
pub(super) fn percentiles(result: &RunResult) -> Markup {
    const SHOWN: [(Kind, &str); 4] = [
        (Kind::Ack, "c1"),
        (Kind::Deliver, "c2"),
        (Kind::Read, "c3"),
        (Kind::History, "c4"),
    ];
    const OTHERS: [(Kind, &str); 5] = [
        (Kind::Typing, "c1"),
        (Kind::Status, "c2"),
        (Kind::Chats, "c5"),
        (Kind::Search, "c6"),
        (Kind::Login, "c3"),
    ];
    let known = |(kind, class): (Kind, &'static str)| {
        let histogram = &result.latencies.get(&kind)?.histogram.0;
        (!histogram.is_empty()).then_some((kind, class, histogram))
    };
    let messages = result
        .latencies
        .get(&Kind::Ack)
        .is_some_and(|measured| measured.summary.count > 0);
    let shown: Vec<_> = if messages {
        SHOWN.into_iter().filter_map(known).collect()
    } else {
        OTHERS
            .into_iter()
            .filter_map(known)
            .chain(known((Kind::History, "c4")))
            .collect()
    };
    let most = shown.iter().map(|(_, _, histogram)| histogram.len()).max().unwrap_or(0);
    if most == 0 {
        return html! {};
    }
    // As many nines as there are values for: what is beyond is the slowest one alone.
    let nines = (most as f64).log10().clamp(2.0, 6.0);
    let curves: Vec<_> = shown
        .iter()
        .map(|(kind, class, histogram)| (kind, class, curve(histogram, nines)))
        .collect();
    // Whatever is judged is judged by it.
    let objective = result.main_kind().map(|_| result.objective.below_ms);
    let values = curves
        .iter()
        .flat_map(|(_, _, curve)| curve.iter().map(|(_, value)| *value))
        .chain(objective);
    let mut chart = Chart::new(
        340.0,
        ("share of all that was at least as quick", Scale::Quantile { nines }),
        ("ms", Scale::decades(values)),
    );
    for (_, class, curve) in &curves {
        chart.line(curve, class);
    }
    if let Some(objective) = objective {
        chart.level(objective, &format!("objective: {}", millis(objective)));
    }
    html! {
        section {
            h2 { "Percentiles" }
            p.lead { "How long what share took at most. To the right, each step is ten times rarer." }
            p.legend { @for (kind, class, _) in &curves { span class={ "key " (class) } { (kind.name()) } } }
            (chart.draw("latency by quantile"))
        }
    }
}

fn curve(histogram: &Histogram<u64>, nines: f64) -> Vec<(f64, f64)> {
    let steps = 160;
    let most = 1.0 - 1.0 / histogram.len() as f64;
    (0..=steps)
        .map(|step| 1.0 - 10f64.powf(-nines * f64::from(step) / f64::from(steps)))
        // Beyond its last value a curve would be a lie.
        .filter(|quantile| *quantile <= most + 1e-12)
        .map(|quantile| (quantile, histogram.value_at_quantile(quantile) as f64 / 1000.0))
        .collect()
}

/// What was due, and what became of it.
pub(super) fn throughput(result: &RunResult) -> Markup {
    let all: Vec<_> = result
        .tally
        .seconds()
        .filter(|(second, _)| f64::from(*second) < result.lasts())
        .collect();
    if all.is_empty() {
        return html! {};
    }
    // The last second may be no whole one.
    let length = |second: u32| (result.lasts() - f64::from(second)).clamp(0.05, 1.0);
    let per_second = |of: fn(&crate::tally::Second) -> u64| {
        let points = all
            .iter()
            .map(|(second, counts)| (f64::from(*second) + 0.5, of(counts) as f64 / length(*second)));
        points.collect::<Vec<_>>()
    };
    let offered = per_second(|counts| counts.offered);
    // A scenario without messages has none that are acknowledged or delivered.
    let lines: Vec<_> = [
        ("done", "c4", per_second(|counts| counts.done)),
        ("acknowledged", "c1", per_second(|counts| counts.acked)),
        ("delivered", "c2", per_second(|counts| counts.delivered)),
    ]
    .into_iter()
    .filter(|(_, _, points)| points.iter().any(|(_, value)| *value > 0.0))
    .collect();
    let values = lines
        .iter()
        .flat_map(|(_, _, points)| points.iter().map(|(_, value)| *value))
        .chain(offered.iter().map(|(_, value)| *value));
    let mut chart = Chart::new(
        280.0,
        ("seconds since the start", time_axis(result)),
        ("per second", Scale::from_zero(values)),
    );
    phases(&mut chart, result);
    let below: Vec<_> = offered.iter().map(|(at, value)| (*at, 0.0, *value)).collect();
    chart.band(&below, "offered");
    for (_, class, points) in &lines {
        chart.line(points, class);
    }
    for (second, counts) in &all {
        let tip = format!(
            "second {second}: {} due, {} done, {} sent, {} acknowledged, {} delivered",
            counts.offered, counts.done, counts.sent, counts.acked, counts.delivered
        );
        chart.tip(f64::from(*second), f64::from(*second) + 1.0, &tip);
    }
    html! {
        section {
            h2 { "Offered and achieved" }
            p.lead { "The schedule does not wait for the server: what is due is done, or the generator is to blame. "
                "An event that goes to several devices counts for each." }
            p.legend { span.key.offered { "due" } @for (name, class, _) in &lines { span class={ "key " (class) } { (name) } } }
            (chart.draw("rates over time"))
        }
    }
}

/// When things failed.
pub(super) fn errors_over_time(result: &RunResult) -> Markup {
    let all: Vec<_> = result.tally.seconds().filter(|(_, counts)| counts.errors > 0).collect();
    let values = all.iter().map(|(_, counts)| counts.errors as f64);
    let mut chart = Chart::new(
        170.0,
        ("", whole_time_axis(result)),
        ("errors per second", Scale::from_zero(values)),
    );
    for (second, counts) in all {
        chart.bar(f64::from(second), 1.0, counts.errors as f64, "errors");
        let tip = format!("second {second}: {} errors", thousands(counts.errors as f64));
        chart.tip(f64::from(second), f64::from(second) + 1.0, &tip);
    }
    chart.draw("errors by second")
}

/// What the server used.
pub(super) fn resources(result: &RunResult) -> Markup {
    type Of = fn(&Usage) -> Option<f64>;
    let pictures: [(&'static str, &str, Of); 6] = [
        ("cores", "c1", |usage| usage.cores),
        ("MiB", "c2", |usage| usage.memory),
        ("sockets", "c3", |usage| usage.sockets.map(|sockets| sockets as f64)),
        ("writes waiting", "c4", |usage| usage.queue.map(|queue| queue as f64)),
        ("cores of the database", "c1", |usage| usage.database_cores),
        ("MiB of the database", "c2", |usage| usage.database_memory),
    ];
    let drawn: Vec<_> = pictures
        .into_iter()
        .filter_map(|(name, class, of)| {
            let points: Vec<_> = result
                .usage
                .iter()
                .filter_map(|usage| Some((f64::from(usage.second), of(usage)?)))
                .collect();
            (!points.is_empty()).then_some((name, class, points))
        })
        .collect();
    if drawn.is_empty() {
        return html! {
            section { h2 { "The server" } p.lead { "Nothing is known of what it used: its processes are elsewhere, and no --metrics-url was given." } }
        };
    }
    html! {
        section {
            h2 { "The server" }
            p.lead { "What its " @if result.target.nodes.len() > 1 { (result.target.nodes.len()) " nodes" } @else { "process" } " used, by the second. "
                @if result.environment.cores > 0 { "This machine has " (result.environment.cores) " cores, for the generator too." } }
            div.smalls { @for (name, class, points) in drawn { (small(result, name, class, &points)) } }
        }
    }
}

fn small(result: &RunResult, name: &'static str, class: &str, points: &[(f64, f64)]) -> Markup {
    let values = points.iter().map(|(_, value)| *value);
    let mut chart = Chart::narrow(170.0, ("", whole_time_axis(result)), (name, Scale::from_zero(values)));
    let below: Vec<_> = points.iter().map(|(at, value)| (*at, 0.0, *value)).collect();
    chart.band(&below, class);
    chart.line(points, class);
    for (at, value) in points {
        chart.tip(at - 0.5, at + 0.5, &format!("second {at:.0}: {} {name}", three(*value)));
    }
    chart.draw(name)
}

fn time_axis(result: &RunResult) -> Scale {
    Scale::Linear {
        from: 0.0,
        to: result.lasts().max(1.0),
    }
}

/// Until all has come: what fails or is used after the schedule is shown where it was.
fn whole_time_axis(result: &RunResult) -> Scale {
    let seen = result.usage.iter().map(|usage| usage.second);
    let failed = result.tally.seconds().filter(|(_, counts)| counts.errors > 0);
    let last = seen.chain(failed.map(|(second, _)| second + 1)).max().unwrap_or(0);
    Scale::Linear {
        from: 0.0,
        to: result.lasts().max(f64::from(last)).max(1.0),
    }
}

/// Names the phases behind everything else, those that do not count greyed.
fn phases(chart: &mut Chart, result: &RunResult) {
    let mut began = 0.0;
    for (number, phase) in result.phases.iter().enumerate() {
        let ends = began + phase.lasts.as_secs_f64();
        let class = match (phase.measured, number % 2) {
            (false, _) => "unmeasured",
            (true, 0) => "even",
            (true, _) => "odd",
        };
        let name = if result.phases.len() > 1 {
            phase.name.as_str()
        } else {
            ""
        };
        chart.stretch(began, ends, class, name);
        began = ends;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::Shard;
    use crate::latency::Recorder;
    use crate::ledger::Balance;
    use crate::result::fixture::{SECONDS, result};
    use crate::tally::Tally;

    #[test]
    fn what_happens_after_the_schedule_has_room_of_its_own() {
        let mut tally = Tally::default();
        tally.at(SECONDS + 9).errors = 3;
        let mut result = result(&Recorder::default(), tally, Balance::default(), Shard::WHOLE);
        let until = |result: &RunResult| match whole_time_axis(result) {
            Scale::Linear { to, .. } => to,
            other => panic!("{other:?}"),
        };
        assert_eq!(until(&result), (SECONDS + 10) as f64);
        result.usage.push(Usage {
            second: 34,
            ..Usage::default()
        });
        assert_eq!(until(&result), 34.0);
        // What was due and how long it took is of the schedule alone.
        assert_eq!(
            time_axis(&result),
            Scale::Linear {
                from: 0.0,
                to: SECONDS as f64
            }
        );
    }
}
