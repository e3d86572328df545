//! `chat-loadtest capacity`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use super::options::{Options, duration, rate};
use super::shown::{Bar, live};
use super::{Failed, before, code, print, say};
use crate::attack::{self, AttackError};
use crate::capacity::{self, Capacity, End, Limit, Outcome, Plan, Step, Trial};
use crate::profile::{TRIAL, trial};
use crate::report;
use crate::result::{self, Outcome as Verdict, RunResult};
use crate::run::{Play, RunError, Session, Settings, What};
use crate::target;

#[derive(Args)]
pub(super) struct CapacityOptions {
    #[command(flatten)]
    options: Options,
    /// The first rate that is tried. [default: 200]
    #[arg(long, value_name = "PER SECOND")]
    start: Option<f64>,
    /// How wide the interval may be, as a part of its upper end.
    #[arg(long, default_value_t = 0.1, value_name = "PART")]
    width: f64,
    /// How long each trial lasts.
    #[arg(long, default_value = "15s", value_name = "TIME", value_parser = duration)]
    trial: Duration,
    /// At most so many trials at one rate; that many, where it is confirmed that it holds.
    #[arg(long, default_value_t = 6, value_name = "TRIALS", value_parser = clap::value_parser!(u16).range(3..))]
    repeats: u16,
    /// At most so many trials in all.
    #[arg(long, default_value_t = 60, value_name = "TRIALS", value_parser = clap::value_parser!(u16).range(1..))]
    trials: u16,
    /// At most so long in all.
    #[arg(long, default_value = "30m", value_name = "TIME", value_parser = duration)]
    within: Duration,
}

pub(super) async fn run(given: CapacityOptions) -> Result<ExitCode, Failed> {
    let options = &given.options;
    let settings = options.settings()?;
    let start = given.start.unwrap_or(settings.scenario.usual_rate());
    rate(start, "--start", 1)?;
    if !(given.width > 0.0 && given.width < 1.0) {
        return Err(Failed::usage("--width must be between 0 and 1"));
    }
    if !whole_second(given.trial) {
        return Err(Failed::usage(
            "a --trial warms up for a fifth of it, and a whole second is to be left: 2s at least",
        ));
    }
    can_be_searched(&settings)?;
    let objective = settings.objective;
    let sockets = settings.scenario.cast(&settings.size, settings.shard).devices.len();
    options.places()?;
    target::raise_open_files(sockets);
    let target = before(options.target()).await?;
    before(options.preflight(&target, sockets)).await?;
    let bar = Bar::users(Session::accounts(&settings), options.quiet);
    let session = Session::prepare(settings, target, given.within, || bar.one()).await;
    bar.end();
    let session = session.map_err(Failed::harness)?;
    report::clear(&options.report).map_err(Failed::harness)?;
    let plan = Plan {
        start,
        width: given.width,
        repeats: given.repeats.into(),
        below_ms: objective.below_ms,
        trials: given.trials.into(),
    };
    let mut trials = Trials {
        session: &session,
        given: &given,
        kept_back: u32::try_from(plan.kept_back()).unwrap_or(u32::MAX),
        began: Instant::now(),
        dearest: given.trial,
        made: Made::default(),
        broken: None,
    };
    let found = capacity::search(&plan, async |rate, step| trials.one(rate, step).await).await;
    let broken = trials.broken.take();
    let Some(mut result) = trials.made.shown(&found) else {
        return Err(Failed::harness(match (broken, found.end) {
            (Some(error), _) => error,
            (None, End::Interrupted) => "it was interrupted before a single trial was over".into(),
            (None, _) => "there was no time for a single trial".into(),
        }));
    };
    if let Some(error) = broken {
        let reason = format!("the search ended there: {error}");
        result.verdict.reasons.push(reason);
    }
    let outcome = found.outcome();
    result.capacity = Some(found);
    report::write(&result, &options.report).map_err(Failed::harness)?;
    print(&report::terminal(&result, &options.report))?;
    Ok(code(outcome))
}

/// Whether a trial of this length has a second that is measured from begin to end.
fn whole_second(lasts: Duration) -> bool {
    let phases = trial(1.0, lasts);
    (0..lasts.as_secs() as u32).any(|second| result::measures(phases.phases(), second))
}

/// A search is made by one generator, of runs that follow each other, and judged by deliveries.
fn can_be_searched(settings: &Settings) -> Result<(), Failed> {
    if settings.shard.count > 1 {
        return Err(Failed::usage("one generator searches; --shard is for run"));
    }
    if settings.start_at.is_some() {
        return Err(Failed::usage(
            "a search is many runs, each when the one before is over; --start-at is for run",
        ));
    }
    if settings.weights.messages() <= 0.0 {
        return Err(Failed::usage(format!(
            "capacity is judged by how long messages take, and {} sends none: take --scenario dm, or mixed with --weights of which \
             send is above 0; how long everything else takes is in the report of run",
            settings.scenario.name()
        )));
    }
    Ok(())
}

/// Runs trials, and keeps the results of which one will be shown.
struct Trials<'a> {
    session: &'a Session,
    given: &'a CapacityOptions,
    /// Trials for which there has to be time until both ends are confirmed.
    kept_back: u32,
    began: Instant,
    /// The longest that a trial took, with all that goes with it.
    dearest: Duration,
    made: Made,
    /// Why the last one could not be made.
    broken: Option<String>,
}

impl Trials<'_> {
    async fn one(&mut self, rate: f64, step: Step) -> Result<Trial, End> {
        let kept_back = match step {
            Step::Confirm => Duration::ZERO,
            // With less time than that, half of it is for either.
            Step::Bracket | Step::Narrow => self.dearest.saturating_mul(self.kept_back).min(self.given.within / 2),
        };
        let needed = self.dearest.saturating_add(kept_back);
        if self.began.elapsed().saturating_add(needed) > self.given.within {
            return Err(End::Time);
        }
        let began = Instant::now();
        // What one trial leaves behind is not the next one's.
        if !self.made.0.is_empty() {
            tokio::select! {
                () = self.session.settle(self.given.trial) => {}
                () = attack::interrupted() => return Err(End::Interrupted),
            }
        }
        let play = Play {
            name: TRIAL,
            load: What::Curve(trial(rate, self.given.trial)),
            judges_latency: true,
            judges_drift: false,
            goose: self.given.options.goose.clone(),
            watch: live(self.given.options.quiet),
        };
        let result = match self.session.play(play).await {
            Ok(result) => result,
            Err(RunError::Attack(AttackError::Interrupted)) => return Err(End::Interrupted),
            Err(error) => {
                let ended = self.session.server_ended().into_iter();
                let why: Vec<String> = std::iter::once(error.to_string()).chain(ended).collect();
                self.broken = Some(why.join("; "));
                return Err(End::Broken);
            }
        };
        if result.cut_short {
            return Err(End::Interrupted);
        }
        self.dearest = self.dearest.max(began.elapsed());
        let trial = judged(&result, rate, step);
        say(&report::trial_line(&trial));
        let gone = result.ledger.unreadable > 0;
        if gone {
            let ended = self.session.server_ended();
            let why = ended.unwrap_or_else(|| "the server cannot be asked any more".into());
            self.broken = Some(format!("{why}, at {} per second", report::thousands(rate)));
        }
        self.made.take(trial.clone(), result);
        if gone { Err(End::Broken) } else { Ok(trial) }
    }
}

/// The results of the last trial at each rate; where one held, of the last that did.
#[derive(Default)]
struct Made(Vec<(Trial, RunResult)>);

impl Made {
    fn take(&mut self, trial: Trial, result: RunResult) {
        let held = trial.outcome == Outcome::Holds;
        match self.0.iter_mut().find(|(before, _)| before.rate == trial.rate) {
            Some((before, _)) if before.outcome == Outcome::Holds && !held => {}
            Some(before) => *before = (trial, result),
            None => self.0.push((trial, result)),
        }
    }

    /// The run that stands for what was found: the one at the lower end; when nothing held, the one at the lowest rate.
    fn shown(mut self, found: &Capacity) -> Option<RunResult> {
        let rates = || self.0.iter().enumerate().map(|(at, (trial, _))| (at, trial.rate));
        let lower = rates().find(|(_, rate)| *rate == found.lower);
        let (at, _) = lower.or_else(|| rates().min_by(|(_, one), (_, other)| one.total_cmp(other)))?;
        Some(self.0.swap_remove(at).1)
    }
}

fn judged(result: &RunResult, rate: f64, step: Step) -> Trial {
    let seconds = (0..result.lasts().ceil() as u32)
        .filter(|second| result.measures(*second))
        .count();
    let acked = result.tally.sum(|second| result.measures(second)).acked;
    Trial {
        rate,
        outcome: match result.verdict.objective {
            // What is lost is lost, whoever was slow.
            Outcome::Fails(Limit::Ledger) => Outcome::Fails(Limit::Ledger),
            _ if result.verdict.outcome == Verdict::Invalid => Outcome::Invalid,
            Outcome::Holds | Outcome::Unsure if !result.thresholds.is_empty() => Outcome::Fails(Limit::Threshold),
            outcome => outcome,
        },
        // What is too little to tell is not to be weighed with other trials either.
        latency: result.verdict.latency.filter(|_| result.tells()),
        errors: result.verdict.errors,
        achieved: acked as f64 / seconds.max(1) as f64,
        step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::Shard;
    use crate::latency::{Kind, Recorder, Sample};
    use crate::ledger::Balance;
    use crate::result::fixture::{SECONDS, result};
    use crate::tally::Tally;

    /// A run whose deliveries took so long.
    fn ran(millis: u64) -> RunResult {
        let (mut recorder, mut tally) = (Recorder::default(), Tally::default());
        for number in 0..SECONDS * 50 {
            recorder.record(&Sample {
                kind: Kind::Deliver,
                due: Duration::from_millis(number * 20),
                took: Duration::from_millis(millis),
                error: None,
                measured: true,
            });
            let second = tally.at(number / 50);
            (second.offered, second.done) = (second.offered + 1, second.done + 1);
        }
        let sent = SECONDS * 50;
        let ledger = Balance {
            sent,
            acked: sent,
            owed: sent,
            told: sent,
            read_back: sent,
            ..Balance::default()
        };
        result(&recorder, tally, ledger, Shard::WHOLE)
    }

    #[test]
    fn a_threshold_of_gooses_fails_a_trial_that_would_hold() {
        let outcome = |result: &RunResult| judged(result, 50.0, Step::Narrow).outcome;
        let (quick, slow) = (ran(10), ran(300));
        assert_eq!(outcome(&quick), Outcome::Holds, "{:?}", quick.verdict);
        assert_eq!(outcome(&slow), Outcome::Fails(Limit::Latency));
        let with = |result: &RunResult| RunResult {
            thresholds: vec!["p99<5ms for SIO deliver".into()],
            ..result.clone()
        };
        assert_eq!(outcome(&with(&quick)), Outcome::Fails(Limit::Threshold));
        assert_eq!(outcome(&with(&slow)), Outcome::Fails(Limit::Latency));
    }

    #[test]
    fn a_trial_of_a_few_messages_says_nothing() {
        let mut few = ran(10);
        // A thousand tell one in a hundred, and not one in a thousand.
        few.objective.quantile = 0.999;
        few.verdict = result::judge(&few);
        let trial = judged(&few, 50.0, Step::Confirm);
        assert_eq!((trial.outcome, trial.latency), (Outcome::Unsure, None));
        assert!(judged(&ran(10), 50.0, Step::Confirm).latency.is_some());
    }

    #[test]
    fn the_last_run_that_held_at_the_lower_end_is_shown() {
        let run = ran(10);
        let trial = |rate, outcome| Trial {
            rate,
            outcome,
            ..judged(&run, rate, Step::Confirm)
        };
        let shown = |lower| {
            let mut made = Made::default();
            for (seed, rate, outcome) in [
                (1, 200.0, Outcome::Holds),
                (2, 100.0, Outcome::Unsure),
                (3, 100.0, Outcome::Holds),
                (4, 100.0, Outcome::Holds),
                (5, 100.0, Outcome::Unsure),
                (6, 300.0, Outcome::Fails(Limit::Latency)),
            ] {
                let result = RunResult { seed, ..run.clone() };
                made.take(trial(rate, outcome), result);
            }
            let found = Capacity {
                lower,
                upper: Some(300.0),
                confirmed: true,
                end: End::Noise,
                trials: Vec::new(),
            };
            made.shown(&found).map(|result| result.seed)
        };
        assert_eq!((shown(100.0), shown(200.0)), (Some(4), Some(1)));
        assert_eq!(shown(0.0), Some(4), "nothing held: the lowest rate");
    }
}
