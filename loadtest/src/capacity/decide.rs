//! What the trials at one rate come to.

use super::{End, Limit, Outcome, Plan, Step, Trial};

/// What is known of a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Decision {
    Holds,
    Fails(Limit),
    Unsure,
}

/// By so much two trials that agree outweigh the rest; in halves, for a trial that is unsure speaks half against either.
const MARGIN: i64 = 4;
/// While the limit is still far away, one trial decides.
const QUICK: i64 = 2;
/// So many trials that are all too slow say that the rate is, also where one of them was far slower than the others.
const AGREE: usize = 6;
/// A generator that falls behind by chance does so less often than this in a row.
const INVALID: usize = 2;

/// Trials at one rate, weighed as they come.
pub(super) struct Weighing<'a> {
    plan: &'a Plan,
    step: Step,
    /// Trials that say anything, and how many in a row said nothing since.
    valid: usize,
    invalid: usize,
    /// For one that holds and for one that fails.
    holds: i64,
    fails: i64,
    limit: Limit,
    /// As parts of what is allowed.
    latencies: Vec<f64>,
    scatter: Scatter,
}

/// How far trials at one rate lie apart, as a part of their mean. It is learned at all rates: that a few trials happen to agree does not
/// say that trials do, and is not enough to confirm that a rate holds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scatter {
    squares: f64,
    /// Of the squares, how many are free.
    freedom: usize,
}

impl Scatter {
    pub(super) fn learn(&mut self, weighing: &Weighing) {
        let latencies = &weighing.latencies;
        // While the rate is still far from the limit there is one trial at each.
        if let Some(freedom) = latencies.len().checked_sub(1).filter(|freedom| *freedom > 0) {
            let (mean, variance) = spread(latencies);
            self.squares += variance * freedom as f64 / mean.powi(2).max(f64::MIN_POSITIVE);
            self.freedom += freedom;
        }
    }

    /// How far the mean of so many trials may be from the truth.
    fn error(&self, mean: f64, trials: usize) -> f64 {
        let variance = self.squares / self.freedom.max(1) as f64;
        students_t(self.freedom + 1).map_or(0.0, |t| t * mean * (variance / trials as f64).sqrt())
    }
}

impl<'a> Weighing<'a> {
    pub(super) fn new(plan: &'a Plan, step: Step, scatter: Scatter) -> Self {
        Self {
            plan,
            step,
            valid: 0,
            invalid: 0,
            holds: 0,
            fails: 0,
            limit: Limit::Latency,
            latencies: Vec::new(),
            scatter,
        }
    }

    /// What all of them say, now that there is one more; none while there have to be more. An error when the generator cannot.
    pub(super) fn add(&mut self, trial: &Trial) -> Result<Option<Decision>, End> {
        match trial.outcome {
            // A message that was lost is not outweighed by others that were not.
            Outcome::Fails(Limit::Ledger) => return Ok(Some(Decision::Fails(Limit::Ledger))),
            Outcome::Invalid => {
                self.invalid += 1;
                return if self.invalid < INVALID {
                    Ok(None)
                } else {
                    Err(End::Generator)
                };
            }
            Outcome::Holds => (self.holds, self.fails) = (self.holds + 2, self.fails - 2),
            Outcome::Fails(why) => {
                (self.holds, self.fails) = (self.holds - 2, self.fails + 2);
                if why != Limit::Latency {
                    self.limit = why;
                }
            }
            Outcome::Unsure => (self.holds, self.fails) = (self.holds - 1, self.fails - 1),
        }
        self.invalid = 0;
        self.valid += 1;
        self.latencies
            .extend(trial.latency.map(|latency| latency.estimate / self.plan.below_ms));
        // Latencies are weighed together; errors, and whatever has no latency, by the number of trials.
        let weighed = self.step != Step::Bracket && self.limit == Limit::Latency && self.latencies.len() == self.valid;
        let said = if weighed { self.together() } else { self.counted() };
        let last = self.valid >= self.plan.repeats;
        Ok(match said {
            // Whoever looks again and again until it holds, confirms a lucky quarter of an hour.
            Some(Decision::Holds) if self.step == Step::Confirm && !last => None,
            None if last => Some(Decision::Unsure),
            said => said,
        })
    }

    fn counted(&self) -> Option<Decision> {
        let margin = if self.step == Step::Bracket { QUICK } else { MARGIN };
        let most = match self.step {
            // All but one.
            Step::Confirm => margin.max(2 * self.valid as i64 - 4),
            Step::Bracket | Step::Narrow => margin,
        };
        if self.holds >= most {
            Some(Decision::Holds)
        } else if self.fails >= margin {
            Some(Decision::Fails(self.limit))
        } else {
            None
        }
    }

    /// What the latencies of all trials say; none when more of them may say more.
    ///
    /// Near its limit a server is quick for a while and then, for a while, is not. Most short trials see less than the truth, some see
    /// far more: only their mean is near it, and how far they lie apart says how near.
    fn together(&self) -> Option<Decision> {
        let (latencies, count) = (&self.latencies, self.latencies.len());
        if count >= 2 && latencies.iter().all(|part| *part < 0.5) {
            return Some(Decision::Holds);
        }
        if count >= 2 && latencies.iter().all(|part| *part > 2.0) {
            return Some(Decision::Fails(Limit::Latency));
        }
        // However far they lie apart: that all are too slow by chance happens once in 64.
        let all_too_slow = latencies.iter().all(|part| *part >= 1.0);
        if all_too_slow && count >= AGREE {
            return Some(Decision::Fails(Limit::Latency));
        }
        let (mean, variance) = spread(latencies);
        let error = |trials: usize| Some(students_t(trials)? * (variance / trials as f64).sqrt());
        let (now, in_the_end) = (error(count)?, error(self.plan.repeats)?);
        let to_hold = match self.step {
            Step::Confirm => now.max(self.scatter.error(mean, count)),
            Step::Bracket | Step::Narrow => now,
        };
        match () {
            () if mean + to_hold < 1.0 => Some(Decision::Holds),
            () if mean - now >= 1.0 => Some(Decision::Fails(Limit::Latency)),
            // So near to the limit that the rest of them would be spent for nothing.
            () if !all_too_slow && (mean - 1.0).abs() < in_the_end / 2.0 => Some(Decision::Unsure),
            () => None,
        }
    }
}

/// The mean, and the variance.
fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, squares / (count - 1.0))
}

/// Student's t, one-sided 97.5 %, for so many trials; none for fewer than 3.
fn students_t(trials: usize) -> Option<f64> {
    const T: [f64; 13] = [
        4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14,
    ];
    T.get(trials.checked_sub(3)?).or(T.last()).copied()
}

#[cfg(test)]
mod tests;
