//! Holds a new result against an older one. "It cannot be told" is an answer.

use std::collections::BTreeMap;

use crate::bootstrap::{self, Interval};
use crate::capacity::{Capacity, End, Outcome as Held};
use crate::latency::Kind;
use crate::result::{Failures, Outcome, RunResult};

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
    /// By which part at most it may have become worse and better, as far as the intervals tell.
    pub at_most: Possible,
    pub judgement: Judgement,
}

/// The most that two intervals leave possible, as parts of the base.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Possible {
    pub worse: f64,
    pub better: f64,
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
        (base.objective == new.objective, "objective"),
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
    remarks.extend(unconfirmed(base, new));
    // What no line shows.
    let mut besides = None;
    if searches && lines.is_empty() {
        besides = open_ended(base, new, tolerance);
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
    let lost = !new.balances();
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
    pub fn sentence(&self) -> String {
        let most = |of: fn(&Possible) -> f64| {
            let parts = self.lines.iter().map(|line| of(&line.at_most));
            // Rounded up: less would not be ruled out.
            format!("{:.0} %", (parts.fold(0.0, f64::max) * 100.0).ceil())
        };
        match self.outcome {
            Judgement::Better => format!("The new one is better.{}", self.caution()),
            Judgement::Same => format!(
                "There is no difference of more than {}: what is less, these runs do not tell.",
                most(|possible| possible.worse.max(possible.better))
            ),
            Judgement::NotWorse => format!(
                "The new one is worse by no more than {}, if at all. Whether it is better cannot be told: longer runs may.",
                most(|possible| possible.worse)
            ),
            Judgement::Worse => format!("The new one is WORSE.{}", self.caution()),
            Judgement::Unsure => "It cannot be told: make longer runs, or both on a quiet machine.".into(),
        }
    }

    /// Intervals know one run each.
    fn caution(&self) -> &'static str {
        match self.lines.iter().any(|line| line.judgement == self.outcome) {
            true => " How much runs differ from one another is in no interval: let a second pair say the same.",
            false => "",
        }
    }
}

/// What was confirmed; and where nothing holds there is nothing to confirm.
fn decides(found: &Capacity) -> bool {
    found.confirmed || matches!(found.end, End::Nothing(_))
}

/// Whose search was not confirmed: its interval is where the search stood when it ended, and decides nothing.
fn unconfirmed(base: &RunResult, new: &RunResult) -> Option<String> {
    let (of_base, of_new) = (base.capacity.as_ref()?, new.capacity.as_ref()?);
    let who = match (decides(of_base), decides(of_new)) {
        (true, true) => return None,
        (false, true) => "the base's search was",
        (true, false) => "the new one's search was",
        (false, false) => "both searches were",
    };
    Some(format!("{who} not confirmed"))
}

/// What failed that did not before: it is in no histogram, and failing is quick.
fn failures(base: &RunResult, new: &RunResult) -> Vec<String> {
    let succeeds = |result: &RunResult, kind: Kind| {
        let measured = result.latencies.get(&kind);
        measured.is_some_and(|measured| measured.summary.count > 0)
    };
    let kinds = base
        .latencies
        .keys()
        .filter(|kind| succeeds(base, **kind) && !succeeds(new, **kind));
    let mut said: Vec<String> = kinds
        .map(|kind| format!("of {} the new one has none", kind.name()))
        .collect();
    let before: BTreeMap<Kind, Failures> = base.failures_by_kind().collect();
    for (kind, now) in new
        .failures_by_kind()
        .filter(|(_, now)| now.exceed(new.objective.errors))
    {
        let before = before.get(&kind).copied().unwrap_or_default();
        // What failed as often before did not become worse.
        if now.interval().low > before.interval().high {
            said.push(format!(
                "{} of {} of {} failed, {} of {} before",
                now.failed,
                now.all,
                kind.name(),
                before.failed,
                before.all
            ));
        }
    }
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
fn open_ended(base: &RunResult, new: &RunResult, tolerance: f64) -> Option<Judgement> {
    let (base, new) = (base.capacity.as_ref()?, new.capacity.as_ref()?);
    let upper = |found: &Capacity| found.upper.filter(|_| decides(found));
    // No open end is ever confirmed. What was borne was borne, but not by chance.
    let borne = |found: &Capacity| {
        let held = found.trials.iter().filter(|trial| trial.outcome == Held::Holds);
        let at_the_end = held.filter(|trial| (trial.rate - found.lower).abs() < 1e-6 * found.lower);
        (at_the_end.count() >= 2).then_some(found.lower)
    };
    let is_beyond = |lower: Option<f64>, upper: Option<f64>| {
        let both = lower.zip(upper);
        both.is_some_and(|(lower, upper)| lower > upper * (1.0 + tolerance))
    };
    if is_beyond(borne(new), upper(base)) {
        Some(Judgement::Better)
    } else if is_beyond(borne(base), upper(new)) {
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
    let Some((of_base, of_new)) = of(base).zip(of(new)) else {
        return Vec::new();
    };
    let mut line = judged("capacity per second".into(), of_base, of_new, tolerance, true);
    if unconfirmed(base, new).is_some() {
        line.judgement = Judgement::Unsure;
    }
    vec![line]
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
        at_most: Possible {
            worse: worst.max(0.0),
            better: best.max(0.0),
        },
        judgement,
    }
}

#[cfg(test)]
mod tests;
