//! Bracket, narrow, confirm.

use super::decide::{Decision, Scatter, Weighing};
use super::known::Known;
use super::{Capacity, End, Limit, Step, Trial};

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The first rate that is tried, in messages per second.
    pub start: f64,
    /// How wide the interval may be, as a part of its upper end: 0.1.
    pub width: f64,
    /// At most so many trials at one rate, and that many at a lower end that is confirmed.
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

impl Plan {
    /// Trials that are kept back until both ends are confirmed.
    #[must_use]
    pub fn kept_back(&self) -> usize {
        (2 * self.repeats).min(self.trials / 2)
    }
}

/// A rate below this is none.
const LOWEST: f64 = 1.0;
/// By which part of the asked width each end is moved outward, at least.
const GUARD: f64 = 0.2;
/// How often a rate is looked for between what held and what the generator could not do.
const BELOW_CEILING: usize = 3;
/// An end that does not hold what it promised is moved by at most this part.
const STRIDE: f64 = 0.5;
/// And by at least this part, once there are less trials left than so many times what one rate may take.
const LAST_STRIDE: f64 = 0.3;
const LAST: usize = 5;

/// Searches for the highest rate that holds. `trial` runs one trial at a rate, or says why there is none: when it is for want of time, one
/// to confirm may still be made.
pub async fn search(plan: &Plan, trial: impl AsyncFnMut(f64, Step) -> Result<Trial, End>) -> Capacity {
    let mut search = Search {
        plan,
        trial,
        trials: Vec::new(),
        known: Known::default(),
        scatter: Scatter::default(),
    };
    let found = search.run().await;
    let known = &search.known;
    let (lower, upper) = match found {
        Ok((lower, upper, _)) => (lower, Some(upper)),
        // Not where it was about to be tried, but where it was, and what it said last.
        Err(_) => (known.lower().unwrap_or(0.0), known.upper().map(|(rate, _)| rate)),
    };
    let end = match found {
        Ok((_, _, end)) | Err(end) => end,
    };
    let held_more = upper.and_then(|upper| known.held_beyond(upper));
    Capacity {
        lower,
        upper,
        confirmed: found.is_ok(),
        end: match (end, held_more) {
            // Whatever else ended it: no answer to this would have been true for long.
            (End::Found(_) | End::Noise | End::Time | End::Trials, Some(held)) => End::Drift(held),
            (end, _) => end,
        },
        trials: search.trials,
    }
}

struct Search<'a, T> {
    plan: &'a Plan,
    trial: T,
    trials: Vec<Trial>,
    known: Known,
    scatter: Scatter,
}

impl<T: AsyncFnMut(f64, Step) -> Result<Trial, End>> Search<'_, T> {
    /// Both ends, once they are confirmed, and why the interval is not narrower; or why it came to nothing.
    async fn run(&mut self) -> Result<(f64, f64, End), End> {
        self.bracket().await?;
        let mut confirmed = None;
        loop {
            let stopped = self.narrow().await;
            let again = match stopped {
                Some(end @ (End::Interrupted | End::Broken)) => Err(end),
                _ => self.confirm().await,
            };
            let (lower, upper, limit) = match again {
                Ok(again) => again,
                // What was confirmed before is wider, and as true as it was.
                Err(end) => {
                    let left = confirmed.and_then(|before| self.known.left_of(before));
                    return left.map(|(lower, upper)| (lower, upper, end)).ok_or(end);
                }
            };
            confirmed = Some((lower, upper));
            let narrow = upper - lower <= (self.plan.width + 1e-9) * upper;
            match stopped {
                _ if narrow => return Ok((lower, upper, End::Found(limit))),
                // Both ends moved, but nothing lies between of which it is known that it cannot be told.
                None if self.known.unsure().is_none() && self.known.held_beyond(upper).is_none() => {}
                _ => return Ok((lower, upper, stopped.unwrap_or(End::Noise))),
            }
        }
    }

    /// A rate that holds and one, if possible at most twice as high, that does not.
    async fn bracket(&mut self) -> Result<(), End> {
        let mut rate = self.plan.start.max(LOWEST);
        let (mut ceiling, mut below_it) = (None, 0);
        loop {
            match self.decide(rate, Step::Bracket).await {
                // More than the generator can; less may still be more than the server can.
                Err(End::Generator) if self.known.lower().is_some() => ceiling = Some(rate),
                decided => {
                    decided?;
                }
            }
            rate = match (self.known.lower(), self.known.upper(), self.known.unsure()) {
                (Some(_), Some(_), _) => return Ok(()),
                (Some(lower), None, unsure) => match (ceiling, unsure) {
                    (Some(_), _) if below_it == BELOW_CEILING => return Err(End::Generator),
                    (Some(ceiling), unsure) => {
                        below_it += 1;
                        (unsure.map_or(lower, |(_, high)| high) * ceiling).sqrt()
                    }
                    (None, Some((_, high))) => high * 1.5,
                    (None, None) => lower * 2.0,
                },
                (None, _, Some((low, _))) => low / 2.0,
                (None, Some((upper, _)), None) => upper / 2.0,
                (None, None, None) => return Err(End::Noise),
            };
            if rate < LOWEST {
                return Err(self.known.nothing());
            }
        }
    }

    /// Halves until the interval is as narrow as asked; or says why it is not.
    async fn narrow(&mut self) -> Option<End> {
        while let (Some(lower), Some((upper, _))) = (self.known.lower(), self.known.upper()) {
            // What the guards will add is left out.
            if upper - lower <= (1.0 - 2.0 * GUARD) * self.plan.width * upper {
                return None;
            }
            let rate = match self.known.unsure() {
                None => (lower * upper).sqrt(),
                // Below what is unsure or above it, where there is more room.
                Some((low, high)) => {
                    let (below, above) = (low - lower, upper - high);
                    // Each rate that is unsure takes more trials than any other.
                    if below.max(above) < self.plan.width * upper {
                        return Some(End::Noise);
                    }
                    if below >= above {
                        (lower * low).sqrt()
                    } else {
                        (high * upper).sqrt()
                    }
                }
            };
            if let Err(end) = self.decide(rate, Step::Narrow).await {
                return Some(end);
            }
        }
        None
    }

    /// Trials at both ends, apart from those that led there, until one round of them says that the lower holds and the upper does not.
    async fn confirm(&mut self) -> Result<(f64, f64, Limit), End> {
        let (mut lower, mut upper) = self.apart()?;
        let (mut down, mut up) = (self.plan.width, self.plan.width);
        // That it fails is not asked again when only the lower end moves: what gets slower goes on failing.
        let mut failed = None;
        loop {
            if let Some((rate, limit)) = self.known.lost().filter(|(rate, _)| *rate <= upper) {
                (upper, failed) = (rate, Some(limit));
            }
            let (below, above) = match self.both(lower, upper, failed).await {
                // Further up than the generator comes: it is asked again where it failed. Not when only the lower end was to be tried.
                Err(End::Generator) if failed.is_none() => match self.known.upper() {
                    Some((fails, _)) if fails < upper => {
                        upper = fails;
                        continue;
                    }
                    _ => return Err(End::Generator),
                },
                said => said?,
            };
            match (below, above) {
                (Some(Decision::Holds), Some(Decision::Fails(limit))) => return Ok((lower, upper, limit)),
                (Some(Decision::Fails(limit)), _) => {
                    (upper, failed) = (lower, Some(limit));
                    lower = self.further_down(lower, &mut down);
                }
                (_, Some(Decision::Holds)) => {
                    lower = upper;
                    upper = self.further_up(upper, &mut up);
                }
                (below, above) => {
                    if below == Some(Decision::Unsure) {
                        lower = self.further_down(lower, &mut down);
                    }
                    match above {
                        Some(Decision::Fails(limit)) => failed = Some(limit),
                        _ => upper = self.further_up(upper, &mut up),
                    }
                }
            }
            if lower < LOWEST {
                return Err(self.known.nothing());
            }
        }
    }

    /// The ends to confirm. Trials that are very near to the limit say either by chance: what the asked width has to spare is put between.
    fn apart(&self) -> Result<(f64, f64), End> {
        let (Some(lower), Some((upper, _))) = (self.known.lower(), self.known.upper()) else {
            return Err(End::Noise);
        };
        let spare = lower / upper / (1.0 - 0.99 * self.plan.width);
        let guard = spare.max(1.0).sqrt().max(1.0 + GUARD * self.plan.width);
        Ok((lower / guard, upper * guard))
    }

    /// Further down, but not below what is known to hold.
    fn further_down(&self, rate: f64, by: &mut f64) -> f64 {
        let next = rate * (1.0 - self.stride(by));
        let holds = self.known.lower().filter(|holds| *holds < rate);
        holds.map_or(next, |holds| next.max(holds))
    }

    /// Further up, but not above what is known to fail.
    fn further_up(&self, rate: f64, by: &mut f64) -> f64 {
        let next = rate / (1.0 - self.stride(by));
        let fails = self.known.upper().filter(|(fails, _)| *fails > rate);
        fails.map_or(next, |(fails, _)| next.min(fails))
    }

    /// By which part an end is moved: each time by more, and by much when there are few trials for another time.
    fn stride(&self, by: &mut f64) -> f64 {
        let left = self.plan.trials.saturating_sub(self.trials.len());
        let stride = if left < LAST * self.plan.repeats {
            by.max(LAST_STRIDE)
        } else {
            *by
        };
        *by *= 2.0;
        stride.min(STRIDE)
    }

    /// Trials at one rate until they say something of it.
    async fn decide(&mut self, rate: f64, step: Step) -> Result<Decision, End> {
        let mut weighing = Weighing::new(self.plan, step, self.scatter);
        loop {
            if let Some(decision) = weighing.add(self.one(rate, step).await?)? {
                self.scatter.learn(&weighing);
                self.known.keep(rate, step, decision);
                return Ok(decision);
            }
        }
    }

    /// Trials at two rates in turn, so that what they say is said of the same minutes. What is decided of one may make it pointless to go
    /// on with the other. The upper one is not tried when it is known why it `failed`.
    async fn both(
        &mut self,
        lower: f64,
        upper: f64,
        failed: Option<Limit>,
    ) -> Result<(Option<Decision>, Option<Decision>), End> {
        let (plan, scatter) = (self.plan, self.scatter);
        let weighing = || Weighing::new(plan, Step::Confirm, scatter);
        let mut ends = [(lower, None), (upper, failed.map(Decision::Fails))];
        let mut weighings = [weighing(), weighing()];
        // The lower, the upper twice, the lower twice: neither is always the first.
        for turn in [0, 1, 1, 0].into_iter().cycle() {
            let over = match (ends[0].1, ends[1].1) {
                // The ends move, and nothing that is still to be said of the other one would be of use there.
                (Some(Decision::Fails(_)), _) | (_, Some(Decision::Holds | Decision::Unsure)) => true,
                (below, above) => below.is_some() && above.is_some(),
            };
            if over {
                break;
            }
            let (rate, decision) = &mut ends[turn];
            if decision.is_some() {
                continue;
            }
            *decision = weighings[turn].add(self.one(*rate, Step::Confirm).await?)?;
            if let Some(decision) = *decision {
                self.known.keep(*rate, Step::Confirm, decision);
            }
        }
        weighings.iter().for_each(|weighing| self.scatter.learn(weighing));
        Ok((ends[0].1, ends[1].1))
    }

    async fn one(&mut self, rate: f64, step: Step) -> Result<&Trial, End> {
        // An interval that is wide is worth more than one that nobody confirmed.
        let kept_back = if step == Step::Confirm {
            0
        } else {
            self.plan.kept_back()
        };
        if self.trials.len() + kept_back >= self.plan.trials {
            return Err(End::Trials);
        }
        let trial = (self.trial)(rate, step).await?;
        self.trials.push(trial);
        self.trials.last().ok_or(End::Trials)
    }
}

#[cfg(test)]
mod tests;
