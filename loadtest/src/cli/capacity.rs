//! `chat-loadtest capacity`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use super::options::{Options, duration};
use super::shown::{Bar, live};
use super::{Failed, print, say};
use crate::capacity::{self, Capacity, End, Outcome, Plan, Step, Trial};
use crate::profile::trial;
use crate::report;
use crate::result::{Outcome as Verdict, RunResult};
use crate::run::{Play, RunError, Session, What};

#[derive(Args)]
pub(super) struct CapacityOptions {
    #[command(flatten)]
    options: Options,
    /// The first rate that is tried.
    #[arg(long, default_value_t = 200.0, value_name = "PER SECOND")]
    start: f64,
    /// How wide the interval may be, as a part of its upper end.
    #[arg(long, default_value_t = 0.1, value_name = "PART")]
    width: f64,
    /// How long each trial lasts.
    #[arg(long, default_value = "15s", value_name = "TIME", value_parser = duration)]
    trial: Duration,
    /// At most so many trials at one rate.
    #[arg(long, default_value_t = 6)]
    repeats: usize,
    /// At most so long in all.
    #[arg(long, default_value = "30m", value_name = "TIME", value_parser = duration)]
    within: Duration,
}

pub(super) async fn run(given: CapacityOptions) -> Result<ExitCode, Failed> {
    let options = &given.options;
    let settings = options.settings()?;
    if !(given.start > 0.0 && given.width > 0.0 && given.width < 1.0) {
        return Err(Failed::usage("--start must be above 0, and --width between 0 and 1"));
    }
    if settings.shard.count > 1 {
        return Err(Failed::usage("one generator searches; --shard is for run"));
    }
    let objective = settings.objective;
    let sockets = settings.scenario.cast(&settings.size, settings.shard).devices.len();
    let target = options.target().await?;
    options.preflight(&target, sockets).await?;
    let bar = Bar::users(Session::accounts(&settings), options.quiet);
    let session = Session::prepare(settings, target, given.within, || bar.one()).await;
    bar.end();
    let session = session.map_err(Failed::harness)?;
    report::prepare(&options.report).map_err(Failed::harness)?;
    let plan = Plan {
        start: given.start,
        width: given.width,
        repeats: given.repeats.max(1),
        below_ms: objective.below_ms,
        ..Plan::default()
    };
    let mut trials = Trials {
        session: &session,
        given: &given,
        began: Instant::now(),
        shown: None,
        failed: None,
    };
    let found = capacity::search(&plan, async |rate, step| trials.one(rate, step).await).await;
    if let Some(error) = trials.failed {
        return Err(Failed::harness(error));
    }
    let Some(mut result) = trials.shown else {
        return Err(Failed::harness("there was no time for a single trial"));
    };
    result.capacity = Some(found);
    report::write(&result, &options.report).map_err(Failed::harness)?;
    print(&report::terminal(&result, &options.report))?;
    Ok(ExitCode::from(result.capacity.as_ref().map_or(3, code)))
}

/// 0: an interval that was confirmed. A lower end alone is something, but no answer.
fn code(found: &Capacity) -> u8 {
    match found.end {
        End::Found(_) if found.confirmed => 0,
        End::Nothing(_) => 1,
        End::Generator => 4,
        End::Found(_) | End::Noise | End::Time => 5,
    }
}

/// Runs trials, and keeps the result of the one at the highest rate that held: that is what the report shows.
struct Trials<'a> {
    session: &'a Session,
    given: &'a CapacityOptions,
    began: Instant,
    shown: Option<RunResult>,
    failed: Option<RunError>,
}

impl Trials<'_> {
    async fn one(&mut self, rate: f64, step: Step) -> Option<Trial> {
        // What one trial leaves behind is not the next one's.
        if self.shown.is_some() {
            self.session.settle(self.given.trial).await;
        }
        if self.began.elapsed() + self.given.trial > self.given.within {
            return None;
        }
        let play = Play {
            name: "capacity",
            load: What::Curve(trial(rate, self.given.trial)),
            judges_latency: true,
            judges_drift: false,
            goose: self.given.options.goose.clone(),
            watch: live(self.given.options.quiet),
        };
        let result = match self.session.play(play).await {
            Ok(result) => result,
            Err(error) => {
                self.failed = Some(error);
                return None;
            }
        };
        if result.cut_short {
            return None;
        }
        let trial = judged(&result, rate, step);
        say(&report::trial_line(&trial));
        let higher = |shown: &RunResult| {
            let shown = shown.phases.last().map_or(0.0, |phase| phase.to);
            rate >= shown
        };
        let held = trial.outcome == Outcome::Holds;
        let replaced = match &self.shown {
            None => true,
            Some(shown) if held => shown.verdict.outcome != Verdict::Passed || higher(shown),
            Some(shown) => shown.verdict.outcome != Verdict::Passed && !higher(shown),
        };
        if replaced {
            self.shown = Some(result);
        }
        Some(trial)
    }
}

fn judged(result: &RunResult, rate: f64, step: Step) -> Trial {
    let valid = result.generator.faults.is_empty();
    let seconds = (0..result.lasts().ceil() as u32)
        .filter(|second| result.measures(*second))
        .count();
    let acked = result.tally.sum(|second| result.measures(second)).acked;
    Trial {
        rate,
        outcome: match result.verdict.objective {
            // What is lost is lost, whoever was slow.
            Outcome::Fails(capacity::Limit::Ledger) => Outcome::Fails(capacity::Limit::Ledger),
            _ if !valid => Outcome::Invalid,
            outcome => outcome,
        },
        latency: result.verdict.latency,
        errors: result.verdict.errors,
        achieved: acked as f64 / seconds.max(1) as f64,
        step,
    }
}
