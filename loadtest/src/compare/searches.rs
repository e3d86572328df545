//! Searches for the capacity, held against others.

use super::scatter::between;
use super::{Judgement, Line, Run, judged};
use crate::bootstrap::Interval;
use crate::capacity::{Capacity, End, Outcome as Held};

/// Those of one side that count: what was confirmed, or all where nothing was.
pub(super) struct Searches<'a> {
    counted: Vec<&'a Capacity>,
    made: usize,
}

impl<'a> Searches<'a> {
    /// None when they are not all searches.
    pub(super) fn of(runs: &'a [Run]) -> Option<Self> {
        let all: Vec<&Capacity> = runs
            .iter()
            .map(|run| run.result.capacity.as_ref())
            .collect::<Option<_>>()?;
        let made = all.len();
        let deciding: Vec<&Capacity> = all.iter().copied().filter(|found| decides(found)).collect();
        let counted = if deciding.is_empty() { all } else { deciding };
        Some(Self { counted, made })
    }

    pub(super) fn count(&self) -> usize {
        self.counted.len()
    }

    fn decide(&self) -> bool {
        self.counted.iter().all(|found| decides(found))
    }

    /// None when one has no upper end.
    fn upper(&self) -> Option<f64> {
        let uppers = self.counted.iter().map(|found| found.upper);
        uppers.reduce(|one, other| Some(one?.max(other?)))?
    }

    fn lower(&self) -> f64 {
        self.counted
            .iter()
            .map(|found| found.lower)
            .fold(f64::INFINITY, f64::min)
    }

    /// From the lowest end of any to the highest, and no surer than their middles agree.
    fn interval(&self) -> Option<Interval> {
        let high = self.upper()?;
        let middles = self
            .counted
            .iter()
            .filter_map(|found| Some((found.lower * found.upper?).sqrt()));
        let middles: Vec<f64> = middles.collect();
        let hull = Interval {
            low: self.lower(),
            estimate: *middles.first()?,
            high,
        };
        Some(match middles.as_slice() {
            [_] => hull,
            several => between(several, hull),
        })
    }

    /// What was borne was borne, confirmed or not, but not by chance.
    fn borne(&self) -> Option<f64> {
        let borne = self.counted.iter().map(|found| {
            let held = found.trials.iter().filter(|trial| trial.outcome == Held::Holds);
            let at_the_end = held.filter(|trial| (trial.rate - found.lower).abs() < 1e-6 * found.lower);
            (at_the_end.count() >= 2).then_some(found.lower)
        });
        borne.reduce(|one, other| Some(one?.min(other?)))?
    }
}

/// What was confirmed; and where nothing holds there is nothing to confirm.
fn decides(found: &Capacity) -> bool {
    found.confirmed || matches!(found.end, End::Nothing(_))
}

/// None when one side has no upper end.
pub(super) fn line(base: &Searches, new: &Searches, tolerance: f64) -> Option<Line> {
    let (of_base, of_new) = (base.interval()?, new.interval()?);
    let mut line = judged("capacity per second".into(), of_base, of_new, tolerance, true);
    // Where a search stood when it ended is no interval of what it searched for.
    if !(base.decide() && new.decide()) {
        line.judgement = Judgement::Unsure;
    }
    Some(line)
}

/// Which were not confirmed, and decide nothing.
pub(super) fn remarks(base: &Searches, new: &Searches) -> Vec<String> {
    let mut said = Vec::new();
    let who = match (base.decide(), new.decide(), base.made, new.made) {
        (true, true, ..) => None,
        (false, true, 1, _) => Some("the base's search was not"),
        (true, false, _, 1) => Some("the new one's search was not"),
        (false, false, 1, 1) => Some("both searches were not"),
        (false, true, ..) => Some("none of the base's searches was"),
        (true, false, ..) => Some("none of the new one's searches was"),
        (false, false, ..) => Some("of neither side a search was"),
    };
    said.extend(who.map(|who| format!("{who} confirmed")));
    for (name, side) in [("base", base), ("new one", new)] {
        let (made, left_out) = (side.made, side.made - side.counted.len());
        if left_out > 0 {
            let of = format!("of the {name}'s {made} searches");
            said.push(format!("{of} {left_out} did not get confirmed and count for nothing"));
        }
    }
    said
}

/// Of searches of which one found no upper end: `None` when they do not decide.
pub(super) fn open_ended(base: &Searches, new: &Searches, tolerance: f64) -> Option<Judgement> {
    // No open end is ever confirmed.
    let upper = |side: &Searches| {
        let interval = side.interval().filter(|_| side.decide())?;
        Some(interval.high)
    };
    let is_beyond = |lower: Option<f64>, upper: Option<f64>| {
        let both = lower.zip(upper);
        both.is_some_and(|(lower, upper)| lower > upper * (1.0 + tolerance))
    };
    if is_beyond(new.borne(), upper(base)) {
        Some(Judgement::Better)
    } else if is_beyond(base.borne(), upper(new)) {
        Some(Judgement::Worse)
    } else {
        None
    }
}
