//! Bracket, narrow, confirm.

use super::{Capacity, End, Limit, Outcome, Step, Trial};

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The first rate that is tried, in messages per second.
    pub start: f64,
    /// How wide the interval may be, as a part of its upper end: 0.1.
    pub width: f64,
    /// At most so many trials at one rate.
    pub repeats: usize,
    /// Of the objective: the latency that may not be reached, in milliseconds.
    pub below_ms: f64,
    /// At most so many trials in all.
    pub trials: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            start: 100.0,
            width: 0.1,
            repeats: 6,
            below_ms: super::Objective::default().below_ms,
            trials: 60,
        }
    }
}

/// A rate below this is none.
const LOWEST: f64 = 1.0;
/// By so much two trials that agree outweigh the rest; in halves, for a trial that is unsure speaks half against either.
const MARGIN: i64 = 4;
/// By which part of the asked width each end is moved outward.
const GUARD: f64 = 0.2;
/// While the limit is still far away, one trial decides.
const QUICK: i64 = 2;
/// A generator that falls behind by chance does so less often than this in a row.
const INVALID: usize = 2;

/// Searches for the highest rate that holds. `trial` runs one trial at a rate; none when there is no time for it.
pub async fn search(plan: &Plan, trial: impl AsyncFnMut(f64, Step) -> Option<Trial>) -> Capacity {
    let mut search = Search {
        plan,
        trial,
        trials: Vec::new(),
    };
    let (lower, upper, confirmed, end) = search.run().await;
    Capacity {
        lower,
        upper,
        confirmed,
        end,
        trials: search.trials,
    }
}

struct Search<'a, T> {
    plan: &'a Plan,
    trial: T,
    trials: Vec<Trial>,
}

/// What all trials at one rate come to.
#[derive(Clone, Copy, PartialEq)]
enum Decision {
    Holds,
    Fails(Limit),
    Unsure,
    /// Nothing more can be decided.
    Over(End),
}

type Found = (f64, Option<f64>, bool, End);

impl<T: AsyncFnMut(f64, Step) -> Option<Trial>> Search<'_, T> {
    async fn run(&mut self) -> Found {
        let (mut lower, mut upper, mut limit) = match self.bracket().await {
            Ok(bracket) => bracket,
            Err((lower, upper, end)) => return (lower, upper, false, end),
        };
        // What is confirmed may turn out otherwise; then the interval is corrected and narrowed again.
        for _ in 0..4 {
            let end = self.narrow(&mut lower, &mut upper, &mut limit).await;
            if end == Some(End::Time) {
                return (lower, Some(upper), false, End::Time);
            }
            // Trials this near to the limit say either by chance: the ends are moved apart before they are confirmed.
            lower *= 1.0 - GUARD * self.plan.width;
            upper *= 1.0 + GUARD * self.plan.width;
            match self.confirm(&mut lower, &mut upper, &mut limit).await {
                Ok(true) => return (lower, Some(upper), true, end.unwrap_or(End::Found(limit))),
                Ok(false) => {}
                Err(end) => return (lower, Some(upper), false, end),
            }
        }
        (lower, Some(upper), false, End::Noise)
    }

    /// Two rates of which the lower holds and the upper, at most twice as high, does not.
    async fn bracket(&mut self) -> Result<(f64, f64, Limit), (f64, Option<f64>, End)> {
        let mut rate = self.plan.start.max(LOWEST);
        let mut lower: Option<f64> = None;
        let mut upper: Option<(f64, Limit)> = None;
        loop {
            match self.decide(rate, Step::Bracket, QUICK).await {
                Decision::Holds => lower = Some(rate),
                Decision::Fails(limit) => upper = Some((rate, limit)),
                // Near the limit: it is between what is around.
                Decision::Unsure => {
                    rate *= if lower.is_some() { 1.5 } else { 0.5 };
                    if rate < LOWEST {
                        return Err((0.0, upper.map(|(rate, _)| rate), End::Noise));
                    }
                    continue;
                }
                Decision::Over(end) => return Err((lower.unwrap_or(0.0), upper.map(|(rate, _)| rate), end)),
            }
            match (lower, upper) {
                (Some(lower), Some((upper, limit))) => return Ok((lower, upper, limit)),
                (Some(lower), None) => rate = lower * 2.0,
                (None, Some((upper, limit))) => {
                    rate = upper / 2.0;
                    if rate < LOWEST {
                        return Err((0.0, Some(upper), End::Nothing(limit)));
                    }
                }
                (None, None) => {}
            }
        }
    }

    /// Halves until the interval is as narrow as asked, or until what is left cannot be told apart.
    async fn narrow(&mut self, lower: &mut f64, upper: &mut f64, limit: &mut Limit) -> Option<End> {
        // Rates that were neither: from the lowest to the highest of them.
        let mut between: Option<(f64, f64)> = None;
        // What the guards will add is left out.
        while *upper - *lower > (1.0 - 2.5 * GUARD) * self.plan.width * *upper {
            let rate = match between {
                None => (*lower * *upper).sqrt(),
                // Below what is unsure or above it, where there is more room.
                Some((low, high)) => {
                    let (below, above) = (low - *lower, *upper - high);
                    let room = below.max(above);
                    if room < self.plan.width * *upper / 4.0 {
                        return Some(End::Noise);
                    }
                    if below >= above {
                        (*lower * low).sqrt()
                    } else {
                        (high * *upper).sqrt()
                    }
                }
            };
            match self.decide(rate, Step::Narrow, MARGIN).await {
                Decision::Holds => {
                    *lower = rate;
                    between = between.filter(|(low, _)| *low > rate);
                }
                Decision::Fails(why) => {
                    (*upper, *limit) = (rate, why);
                    between = between.filter(|(_, high)| *high < rate);
                }
                Decision::Unsure => {
                    let (low, high) = between.unwrap_or((rate, rate));
                    between = Some((low.min(rate), high.max(rate)));
                }
                Decision::Over(end) => return Some(if end == End::Generator { End::Noise } else { end }),
            }
        }
        None
    }

    /// Trials at the lower end and above the upper one, apart from those that led there.
    async fn confirm(&mut self, lower: &mut f64, upper: &mut f64, limit: &mut Limit) -> Result<bool, End> {
        let above = *upper * (1.0 + self.plan.width / 2.0);
        match self.decide(*lower, Step::Confirm, MARGIN).await {
            Decision::Over(end) => return Err(end),
            Decision::Holds => {}
            Decision::Fails(_) | Decision::Unsure => {
                let before = *lower;
                *lower = self.holds_below(*lower).await?;
                if *lower <= 0.0 {
                    return Err(End::Noise);
                }
                // What held once and does not now is no upper end: that stays where it failed.
                return Ok(before <= *lower);
            }
        }
        match self.decide(above, Step::Confirm, MARGIN).await {
            Decision::Over(End::Generator) => Err(End::Generator),
            Decision::Over(end) => Err(end),
            Decision::Fails(why) => {
                *limit = why;
                Ok(true)
            }
            Decision::Holds => {
                *lower = above;
                *upper = above * (1.0 + self.plan.width * 2.0);
                Ok(false)
            }
            Decision::Unsure => {
                *upper = above * (1.0 + self.plan.width / 2.0);
                Ok(false)
            }
        }
    }

    /// The next rate further down that holds.
    async fn holds_below(&mut self, rate: f64) -> Result<f64, End> {
        let mut rate = rate;
        for _ in 0..4 {
            rate *= 1.0 - self.plan.width;
            match self.decide(rate, Step::Confirm, MARGIN).await {
                Decision::Holds => return Ok(rate),
                Decision::Over(end) => return Err(end),
                Decision::Fails(_) | Decision::Unsure => {}
            }
        }
        Ok(0.0)
    }

    /// Trials at one rate until so many more say the one than the other.
    async fn decide(&mut self, rate: f64, step: Step, margin: i64) -> Decision {
        // For one that holds and for one that fails.
        let (mut holds, mut fails) = (0, 0);
        let (mut invalid, mut limit) = (0, Limit::Latency);
        let mut latencies = Vec::new();
        for tried in 0..self.plan.repeats.max(1) {
            if self.trials.len() >= self.plan.trials {
                return Decision::Over(End::Time);
            }
            let Some(trial) = (self.trial)(rate, step).await else {
                return Decision::Over(End::Time);
            };
            match trial.outcome {
                Outcome::Holds => (holds, fails) = (holds + 2, fails - 2),
                Outcome::Fails(why) => {
                    (holds, fails) = (holds - 2, fails + 2);
                    limit = why;
                }
                Outcome::Unsure => (holds, fails) = (holds - 1, fails - 1),
                Outcome::Invalid => invalid += 1,
            }
            latencies.extend(trial.latency.map(|latency| latency.estimate / self.plan.below_ms));
            // Latencies are weighed together; errors and the ledger, and whatever has none, by the number of trials.
            let weighed = margin == MARGIN && latencies.len() == tried + 1 && limit == Limit::Latency && invalid == 0;
            self.trials.push(trial);
            if weighed {
                match together(&latencies) {
                    Some(true) => return Decision::Holds,
                    Some(false) => return Decision::Fails(limit),
                    None => continue,
                }
            }
            if holds >= margin {
                return Decision::Holds;
            }
            if fails >= margin {
                return Decision::Fails(limit);
            }
            if invalid >= INVALID {
                return Decision::Over(End::Generator);
            }
        }
        Decision::Unsure
    }
}

/// What the latencies of all trials at a rate say, as parts of what is allowed; none when they do not say.
///
/// Near its limit a server is quick for a while and then, for a while, is not. Most short trials see less than the truth, some see far
/// more: only their mean is near it, and how far they lie apart says how near.
fn together(latencies: &[f64]) -> Option<bool> {
    /// Student's t, one-sided 97.5 %, for 3 trials and more.
    const T: [f64; 6] = [4.30, 3.18, 2.78, 2.57, 2.45, 2.36];
    let count = latencies.len();
    if count >= 2 && latencies.iter().all(|part| *part < 0.5) {
        return Some(true);
    }
    if count >= 2 && latencies.iter().all(|part| *part > 2.0) {
        return Some(false);
    }
    let t = T.get(count.checked_sub(3)?).or(T.last())?;
    let mean = latencies.iter().sum::<f64>() / count as f64;
    let variance = latencies.iter().map(|part| (part - mean).powi(2)).sum::<f64>() / (count - 1) as f64;
    let error = t * (variance / count as f64).sqrt();
    match () {
        () if mean + error < 1.0 => Some(true),
        () if mean - error >= 1.0 => Some(false),
        () => None,
    }
}

#[cfg(test)]
mod tests;
