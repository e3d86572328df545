//! Holds new results against older ones, of one run a side or of several. "It cannot be told" is an answer.

mod alike;
mod failures;
mod latency;
mod scatter;
mod searches;
mod strain;

use std::path::PathBuf;

use self::searches::Searches;
use crate::bootstrap::Interval;
use crate::latency::Kind;
use crate::result::RunResult;

/// A run of one side.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// By which it is named to people.
    pub file: PathBuf,
    pub result: RunResult,
}

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
    /// There are so few values, or of so few seconds, that no interval says between what the figure lies: no verdict at all.
    TooFew,
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
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Possible {
    pub worse: f64,
    pub better: f64,
}

/// All figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// How many runs of either side the figures are from.
    pub runs: Runs,
    /// Whether they are searches for a capacity.
    pub searches: bool,
    pub lines: Vec<Line>,
    /// What makes the two hard to compare, or decides by itself.
    pub remarks: Vec<String>,
    pub outcome: Judgement,
}

/// So many of either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs {
    pub base: usize,
    pub new: usize,
}

/// The two sides cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    #[error("one side has no result")]
    Nothing,
    #[error("{} and {} are of different runs: their {what} differs", .one.display(), .other.display())]
    Different {
        what: &'static str,
        one: PathBuf,
        other: PathBuf,
    },
    #[error("{}: this result is invalid: {why}", .file.display())]
    Invalid { file: PathBuf, why: String },
    #[error("{} and {} are the same run, and each may count once", .one.display(), .other.display())]
    Twice { one: PathBuf, other: PathBuf },
    #[error("{} is a part of a run: give what merge makes of all its parts, and keep the parts elsewhere", .file.display())]
    Part { file: PathBuf },
}

/// Compares latencies, or the capacity where all searched for one. `tolerance` is the part by which the new side may be worse.
///
/// # Errors
///
/// When not all did the same, one says nothing about its server, or one is given twice.
pub fn compare(base: &[Run], new: &[Run], tolerance: f64) -> Result<Comparison, CompareError> {
    alike::check(base, new)?;
    let searched = Searches::of(base).zip(Searches::of(new));
    let mut runs = Runs {
        base: base.len(),
        new: new.len(),
    };
    let searches = searched.is_some();
    let mut lines = Vec::new();
    let mut remarks = Vec::new();
    // What no line shows.
    let mut besides = None;
    // Whether so little was delivered that the figure that runs are made for tells nothing.
    let mut hardly_delivered = false;
    if let Some((of_base, of_new)) = searched {
        // At capacity both are as slow as they may be: what each bears is the answer.
        lines.extend(searches::line(&of_base, &of_new, tolerance));
        remarks.extend(searches::remarks(&of_base, &of_new));
        if lines.is_empty() {
            besides = searches::open_ended(&of_base, &of_new, tolerance);
            remarks.push("a search without an upper end only says what was borne at least".into());
        }
        runs = Runs {
            base: of_base.count(),
            new: of_new.count(),
        };
    } else {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Turn) {
            for quantile in [0.5, 0.99] {
                let line = latency::line(base, new, kind, quantile, tolerance);
                let is_told = line.as_ref().is_none_or(|line| line.judgement != Judgement::TooFew);
                hardly_delivered |= kind == Kind::Deliver && !is_told;
                lines.extend(line);
            }
        }
        remarks.extend(failures::new_ones(base, new));
        remarks.extend(strain::increases(base, new));
        besides = (!remarks.is_empty()).then_some(Judgement::Worse);
    }
    remarks.extend(alike::circumstances(base, new));
    let lost: Vec<&Run> = new.iter().filter(|run| !run.result.balances()).collect();
    remarks.extend(lost.iter().map(|run| match new {
        [_] => "the new ledger does not balance".into(),
        _ => format!("the ledger of {} does not balance", run.file.display()),
    }));
    let nothing_tells = lines.iter().all(|line| line.judgement == Judgement::TooFew);
    let has = |judgement| lines.iter().any(|line| line.judgement == judgement);
    let outcome = if !lost.is_empty() || has(Judgement::Worse) || besides == Some(Judgement::Worse) {
        Judgement::Worse
    } else if let Some(besides) = besides {
        besides
    } else if nothing_tells || hardly_delivered || has(Judgement::Unsure) {
        Judgement::Unsure
    } else if has(Judgement::Better) {
        Judgement::Better
    } else if has(Judgement::NotWorse) {
        Judgement::NotWorse
    } else {
        Judgement::Same
    };
    Ok(Comparison {
        runs,
        searches,
        lines,
        remarks,
        outcome,
    })
}

impl Comparison {
    /// The outcome in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let few = self.lines.iter().filter(|line| line.judgement == Judgement::TooFew);
        let sentence = self.told();
        match few.count() {
            0 => sentence,
            1 => format!("{sentence} Of one figure there is too little to tell."),
            few => format!("{sentence} Of {few} figures there is too little to tell."),
        }
    }

    fn told(&self) -> String {
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
                "The new one is worse by no more than {}, if at all. Whether it is better cannot be told: {} may.",
                most(|possible| possible.worse),
                self.what_helps()
            ),
            Judgement::Worse => format!("The new one is WORSE.{}", self.caution()),
            Judgement::Unsure | Judgement::TooFew => {
                let all = if self.runs.are_several() { "all" } else { "both" };
                let hardly = match self.has_pair() {
                    true => " Two runs hardly show how much runs differ: three or more a side tell more.",
                    false => "",
                };
                format!(
                    "It cannot be told: make {}, or {all} on a quiet machine.{hardly}",
                    self.what_helps()
                )
            }
        }
    }

    /// What an interval does not know, where it decided.
    fn caution(&self) -> String {
        if !self.lines.iter().any(|line| line.judgement == self.outcome) {
            return String::new();
        }
        let Runs { base, new } = self.runs;
        match (base, new) {
            (1, 1) => {
                " How much runs differ from one another is in no interval: let a second pair say the same.".into()
            }
            (1, _) => {
                " How much runs differ from one another is not in the base's interval: add more of its runs.".into()
            }
            (_, 1) => {
                " How much runs differ from one another is not in the new one's interval: add more of its runs.".into()
            }
            _ => {
                let what = if self.searches { "searches" } else { "runs" };
                format!(" So say {new} {what} of it and {base} of the base.")
            }
        }
    }

    /// Whether some interval is as wide as it is because only two runs are behind it.
    fn has_pair(&self) -> bool {
        self.runs.base == 2 || self.runs.new == 2
    }

    fn what_helps(&self) -> &'static str {
        match self.runs.are_several() {
            true => "more or longer runs",
            false => "longer runs",
        }
    }
}

impl Runs {
    fn are_several(self) -> bool {
        self.base > 1 || self.new > 1
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
        at_most: Possible {
            worse: worst.max(0.0),
            better: best.max(0.0),
        },
        judgement,
    }
}

#[cfg(test)]
mod tests;
