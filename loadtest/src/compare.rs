//! Holds a new result against an older one. "It cannot be told" is an answer.

use crate::bootstrap::{self, Interval};
use crate::latency::Kind;
use crate::result::{Outcome, RunResult};

/// What became of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    Better,
    /// The intervals lie so close that a change beyond the tolerance, or beyond a fifth if that is more, would show either way.
    Same,
    /// Such a change for the worse would show; one for the better may hide in the intervals.
    NotWorse,
    Worse,
    /// The intervals are so wide that such a change for the worse may hide in them.
    Unsure,
}

/// Intervals that leave no more than this possible are as narrow as runs on one machine get: a smaller tolerance asks no more of them.
const NARROW: f64 = 0.2;

/// One figure of both.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub what: String,
    pub base: Interval,
    pub new: Interval,
    /// By which part of the base it grew.
    pub change: f64,
    pub judgement: Judgement,
}

/// All figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub lines: Vec<Line>,
    /// What makes the two hard to compare, or decides by itself.
    pub remarks: Vec<String>,
    pub outcome: Judgement,
}

/// The two cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    #[error("the two are of different runs: their {0} differs")]
    Different(&'static str),
    #[error("the {0} result is invalid: {1}")]
    Invalid(&'static str, String),
}

/// Compares latencies, and the capacity where both have one. `tolerance` is the part by which the new one may be worse.
///
/// # Errors
///
/// When the two did not do the same, or one says nothing about its server.
pub fn compare(base: &RunResult, new: &RunResult, tolerance: f64) -> Result<Comparison, CompareError> {
    for (equal, what) in [
        (base.scenario == new.scenario, "scenario"),
        (base.profile == new.profile, "profile"),
        (base.weights == new.weights, "weights"),
        (base.size == new.size, "size"),
    ] {
        if !equal {
            return Err(CompareError::Different(what));
        }
    }
    let searches = base.capacity.is_some() && new.capacity.is_some();
    if !searches {
        if base.phases != new.phases {
            return Err(CompareError::Different("load"));
        }
        for (name, result) in [("base", base), ("new", new)] {
            if result.verdict.outcome == Outcome::Invalid {
                return Err(CompareError::Invalid(name, result.verdict.reasons.join("; ")));
            }
        }
    }
    let mut remarks = Vec::new();
    // At capacity both are as slow as they may be: what each bears is the answer.
    let mut lines = capacity(base, new, tolerance);
    // What no line shows.
    let mut besides = None;
    if searches && lines.is_empty() {
        besides = open_ended(base, new);
        remarks.push("a search without an upper end only says what was borne at least".into());
    }
    if !searches {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Turn) {
            for quantile in [0.5, 0.99] {
                lines.extend(line(base, new, kind, quantile, tolerance));
            }
        }
        let failures = failures(base, new);
        besides = (!failures.is_empty()).then_some(Judgement::Worse);
        remarks.extend(failures);
    }
    if base.environment.processor != new.environment.processor || base.environment.cores != new.environment.cores {
        remarks.push("they were made on different machines".into());
    }
    if base.environment.debug_build != new.environment.debug_build {
        remarks.push("one was made by a build without optimization".into());
    }
    let lost = !new.ledger.is_clean();
    if lost {
        remarks.push("the new ledger does not balance".into());
    }
    let has = |judgement| lines.iter().any(|line| line.judgement == judgement);
    let outcome = if lost || has(Judgement::Worse) || besides == Some(Judgement::Worse) {
        Judgement::Worse
    } else if let Some(besides) = besides {
        besides
    } else if lines.is_empty() || has(Judgement::Unsure) {
        Judgement::Unsure
    } else if has(Judgement::Better) {
        Judgement::Better
    } else if has(Judgement::NotWorse) {
        Judgement::NotWorse
    } else {
        Judgement::Same
    };
    Ok(Comparison {
        lines,
        remarks,
        outcome,
    })
}

impl Comparison {
    /// The outcome in words.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        match self.outcome {
            Judgement::Better => "The new one is better.",
            Judgement::Same => "There is no difference beyond the tolerance.",
            Judgement::NotWorse => "The new one is not worse. Whether it is better cannot be told: longer runs may.",
            Judgement::Worse => "The new one is WORSE.",
            Judgement::Unsure => "It cannot be told: make longer runs, or both on a quiet machine.",
        }
    }
}

/// What failed that did not before: it is in no histogram, and failing is quick.
fn failures(base: &RunResult, new: &RunResult) -> Vec<String> {
    let kinds = base.latencies.keys().filter(|kind| !new.latencies.contains_key(kind));
    let mut said: Vec<String> = kinds
        .map(|kind| format!("of {} the new one has none", kind.name()))
        .collect();
    let (before, now) = (base.verdict.errors, new.verdict.errors);
    if now > before && now > new.objective.errors {
        said.push(format!(
            "{:.2} % failed, {:.2} % before: {:.2} % may",
            now * 100.0,
            before * 100.0,
            new.objective.errors * 100.0
        ));
    }
    said
}

/// Of two searches, of which one found no upper end: `None` when they do not decide.
fn open_ended(base: &RunResult, new: &RunResult) -> Option<Judgement> {
    let (base, new) = (base.capacity.as_ref()?, new.capacity.as_ref()?);
    if base.upper.is_some_and(|upper| new.lower > upper) {
        Some(Judgement::Better)
    } else if new.upper.is_some_and(|upper| upper < base.lower) {
        Some(Judgement::Worse)
    } else {
        None
    }
}

fn line(base: &RunResult, new: &RunResult, kind: Kind, quantile: f64, tolerance: f64) -> Option<Line> {
    let of = |result: &RunResult| {
        let measured = result.latencies.get(&kind)?;
        let seconds = measured.seconds.iter().filter(|(second, _)| result.measures(**second));
        let blocks = seconds.map(|(_, second)| &second.histogram.0);
        // Two intervals of 95 % that do not meet are apart with more than 99 %.
        let micros = bootstrap::quantile(blocks, quantile, 0.95, 1)?;
        Some(Interval {
            low: micros.low / 1000.0,
            estimate: micros.estimate / 1000.0,
            high: micros.high / 1000.0,
        })
    };
    let (base, new) = (of(base)?, of(new)?);
    let what = format!("{} p{:.0} in ms", kind.name(), quantile * 100.0);
    Some(judged(what, base, new, tolerance, false))
}

fn capacity(base: &RunResult, new: &RunResult, tolerance: f64) -> Vec<Line> {
    let of = |result: &RunResult| {
        let found = result.capacity.as_ref()?;
        let upper = found.upper?;
        Some(Interval {
            low: found.lower,
            estimate: (found.lower * upper).sqrt(),
            high: upper,
        })
    };
    match of(base).zip(of(new)) {
        Some((base, new)) => vec![judged("capacity per second".into(), base, new, tolerance, true)],
        None => Vec::new(),
    }
}

/// `more_is_better` for a capacity; for latencies less is.
fn judged(what: String, base: Interval, new: Interval, tolerance: f64, more_is_better: bool) -> Line {
    let change = new.estimate / base.estimate.max(1e-9) - 1.0;
    let apart = base.is_apart_from(&new);
    let worse = if more_is_better { change < 0.0 } else { change > 0.0 };
    // The most that the two intervals leave possible, either way.
    let grows = new.high / base.low.max(1e-9) - 1.0;
    let shrinks = 1.0 - new.low / base.high.max(1e-9);
    let (worst, best) = if more_is_better {
        (shrinks, grows)
    } else {
        (grows, shrinks)
    };
    let narrow = tolerance.max(NARROW);
    let judgement = if apart && change.abs() > tolerance {
        if worse { Judgement::Worse } else { Judgement::Better }
    } else if worst > narrow {
        Judgement::Unsure
    } else if best > narrow {
        Judgement::NotWorse
    } else {
        Judgement::Same
    };
    Line {
        what,
        base,
        new,
        change,
        judgement,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::capacity::{Capacity, End};
    use crate::cast::Shard;
    use crate::latency::{Recorder, Sample};
    use crate::ledger::Balance;
    use crate::result::fixture::result;
    use crate::tally::Tally;

    fn judged_as(base: [f64; 3], new: [f64; 3], more_is_better: bool) -> Judgement {
        let interval = |[low, estimate, high]: [f64; 3]| Interval { low, estimate, high };
        judged(String::new(), interval(base), interval(new), 0.05, more_is_better).judgement
    }

    #[test]
    fn only_intervals_that_are_apart_decide() {
        assert_eq!(
            judged_as([9.0, 10.0, 11.0], [12.0, 13.0, 14.0], false),
            Judgement::Worse
        );
        assert_eq!(judged_as([9.0, 10.0, 11.0], [7.0, 8.0, 8.5], false), Judgement::Better);
        assert_eq!(
            judged_as([9.9, 10.0, 10.1], [10.2, 10.3, 10.4], false),
            Judgement::Same,
            "3 %"
        );
        assert_eq!(judged_as([9.8, 10.0, 10.2], [9.9, 10.1, 10.3], false), Judgement::Same);
        assert_eq!(
            judged_as([9.8, 10.0, 10.1], [10.2, 10.3, 20.0], false),
            Judgement::Unsure,
            "the estimates are close, but it may be twice as slow"
        );
        assert_eq!(
            judged_as([5.0, 10.0, 15.0], [6.0, 14.0, 20.0], false),
            Judgement::Unsure
        );
        assert_eq!(
            judged_as([900.0, 950.0, 1000.0], [500.0, 550.0, 600.0], true),
            Judgement::Worse
        );
        assert_eq!(
            judged_as([500.0, 550.0, 600.0], [900.0, 950.0, 1000.0], true),
            Judgement::Better
        );
    }

    /// A run in which deliveries took so long, and of so many requests for the history every `failing`-th failed at once.
    fn ran(millis: u64, reads: u64, failing: u64) -> RunResult {
        let (mut recorder, mut tally, mut ledger) = (Recorder::default(), Tally::default(), Balance::default());
        for number in 0..4000 {
            let due = Duration::from_millis(number * 5);
            let mut record = |kind, took, fails: bool| {
                let error = fails.then(|| "SERVICE_UNAVAILABLE".into());
                recorder.record(&Sample {
                    kind,
                    due,
                    took: Duration::from_millis(took),
                    error,
                    measured: true,
                });
            };
            record(Kind::Deliver, millis + number % 3, false);
            if number < reads {
                record(Kind::History, 2, number % failing == failing - 1);
            }
            let second = tally.at(due.as_secs());
            (second.offered, second.done) = (second.offered + 1, second.done + 1);
            (ledger.sent, ledger.acked) = (ledger.sent + 1, ledger.acked + 1);
            (ledger.owed, ledger.told) = (ledger.owed + 1, ledger.told + 1);
        }
        result(&recorder, tally, ledger, Shard { index: 0, count: 1 })
    }

    #[test]
    fn failing_quickly_is_not_better() {
        let base = ran(20, 4000, u64::MAX);
        let compared = |new: &RunResult| compare(&base, new, 0.05).unwrap();
        assert_eq!(compared(&ran(20, 4000, u64::MAX)).outcome, Judgement::Same);
        assert_eq!(compared(&ran(10, 4000, u64::MAX)).outcome, Judgement::Better);
        let fails = compared(&ran(10, 4000, 2));
        assert_eq!(fails.outcome, Judgement::Worse);
        assert!(fails.remarks[0].contains("failed"), "{:?}", fails.remarks);
        let has_none = compared(&ran(10, 0, u64::MAX));
        assert_eq!(has_none.outcome, Judgement::Worse);
        assert_eq!(has_none.remarks, ["of history the new one has none"]);
    }

    #[test]
    fn searches_without_an_upper_end_are_not_compared_by_their_latencies() {
        let searched = |lower, upper| {
            let capacity = Capacity {
                lower,
                upper,
                confirmed: false,
                end: End::Generator,
                trials: Vec::new(),
            };
            RunResult {
                capacity: Some(capacity),
                ..ran(20, 0, 1)
            }
        };
        let outcome = |base: RunResult, new: RunResult| compare(&base, &new, 0.05).unwrap().outcome;
        let quick = RunResult {
            latencies: ran(10, 0, 1).latencies,
            ..searched(2000.0, None)
        };
        assert_eq!(outcome(searched(1000.0, None), quick), Judgement::Unsure);
        assert_eq!(
            outcome(searched(1000.0, Some(1100.0)), searched(2000.0, None)),
            Judgement::Better
        );
        assert_eq!(
            outcome(searched(2000.0, None), searched(1000.0, Some(1100.0))),
            Judgement::Worse
        );
        assert_eq!(
            outcome(searched(1000.0, Some(1500.0)), searched(1200.0, None)),
            Judgement::Unsure
        );
    }

    #[test]
    fn what_may_be_better_is_not_the_same() {
        // Half as slow, by estimates whose intervals just touch.
        let (slow, quick) = ([150.0, 246.0, 300.0], [90.0, 122.0, 160.0]);
        assert_eq!(judged_as(slow, quick, false), Judgement::NotWorse);
        assert_eq!(judged_as(quick, slow, false), Judgement::Unsure);
        assert_eq!(judged_as(quick, slow, true), Judgement::NotWorse);
        assert_eq!(judged_as(slow, quick, true), Judgement::Unsure);
    }
}
