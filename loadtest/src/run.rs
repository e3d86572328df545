//! Makes runs: prepares the target and the accounts once, and plays as often as is asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use url::Url;

use crate::action::Weights;
use crate::attack::{self, AttackError, Load, Order, Script};
use crate::capacity::Objective;
use crate::cast::{Cast, Shard};
use crate::drift;
use crate::generator::{Generator, Seen};
use crate::glance::Watch;
use crate::people::{self, FileError, GatherError, Person};
use crate::profile::Profile;
use crate::rest::Rest;
use crate::result::{self, Environment, Measured, RunResult, SizeInfo, TargetInfo, Verdict, cores};
use crate::scenario::{Scenario, Size};
use crate::schedule::{Curve, Pattern, Phase, Trace};
use crate::stamp::RunMark;
use crate::target::{Ahead, Target, ahead};

/// What stays the same over all runs of one command.
#[derive(Debug, Clone)]
pub struct Settings {
    pub scenario: Scenario,
    pub weights: Weights,
    pub size: Size,
    pub shard: Shard,
    pub pattern: Pattern,
    pub seed: u64,
    /// Characters of a message.
    pub length: usize,
    pub read_every: u32,
    pub late_after: Duration,
    /// Whether connections may break that the run does not break itself.
    pub may_disconnect: bool,
    pub drain_within: Duration,
    pub connects_per_second: u32,
    pub start_at: Option<SystemTime>,
    pub objective: Objective,
    /// Where accounts are kept.
    pub people: Option<PathBuf>,
    /// What repeats it.
    pub command: Vec<String>,
}

/// What one run is.
pub struct Play<'a> {
    pub name: &'a str,
    pub load: What,
    pub judges_latency: bool,
    pub judges_drift: bool,
    /// For goose, as on its command line.
    pub goose: Vec<String>,
    pub watch: Option<Watch>,
}

/// What is due when.
pub enum What {
    Curve(Curve),
    Trace(Trace),
}

/// A run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Attack(#[from] AttackError),
    #[error(transparent)]
    People(#[from] GatherError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("a server's address cannot be used")]
    Address,
}

/// A target with accounts on it.
pub struct Session {
    settings: Settings,
    target: Target,
    cast: Arc<Cast>,
    people: Vec<Person>,
    environment: Environment,
    /// Of a part alone, which others are held against by it.
    clock: Option<Ahead>,
}

impl Session {
    /// Makes the accounts. `made` is called for each. What was made is kept, however it ends.
    ///
    /// # Errors
    ///
    /// When the server refuses, or the file of accounts cannot be used.
    pub async fn prepare(
        settings: Settings,
        target: Target,
        lasts: Duration,
        made: impl Fn(),
    ) -> Result<Self, RunError> {
        let environment = Environment::here();
        let cast = Arc::new(settings.scenario.cast(&settings.size, settings.shard));
        let base = target.nodes.first().ok_or(RunError::Address)?.clone();
        let server = key(&base, settings.shard);
        let rest = Rest::new(base.clone()).map_err(|_| RunError::Address)?;
        let known = match &settings.people {
            Some(path) => people::load(path, &server)?,
            None => Vec::new(),
        };
        let keep = |people: &[Person]| match &settings.people {
            Some(path) => people::store(path, &server, people),
            None => Ok(()),
        };
        // Were all users there now.
        let ends = || {
            let devices = cast.devices.len() as u64;
            let connecting = Duration::from_secs(devices / u64::from(settings.connects_per_second.max(1)));
            let ready = SystemTime::now() + connecting;
            let begins = settings.start_at.map_or(ready, |start| start.max(ready));
            people::seconds(begins + lasts + settings.drain_within)
        };
        let stop = attack::interrupted();
        let people = people::gather(&rest, known, cast.persons, ends(), made, keep, stop).await?;
        people::outlive(&people, ends())?;
        let clock = match settings.start_at {
            Some(_) => ahead(&base).await,
            None => None,
        };
        Ok(Self {
            settings,
            target,
            cast,
            people,
            environment,
            clock,
        })
    }

    #[must_use]
    pub fn devices(&self) -> usize {
        self.cast.devices.len()
    }

    /// Accounts that a cast needs.
    #[must_use]
    pub fn accounts(settings: &Settings) -> usize {
        settings.scenario.cast(&settings.size, settings.shard).persons
    }

    /// How the server ended, where it is our own and has.
    #[must_use]
    pub fn server_ended(&self) -> Option<String> {
        self.target.ended()
    }

    /// Waits until the server has done what it put off, at most so long.
    pub async fn settle(&self, at_most: Duration) {
        self.target.resources.settle(at_most).await;
    }

    /// Plays one run and judges it.
    ///
    /// # Errors
    ///
    /// When it cannot be made: what went wrong in it is in the result.
    pub async fn play(&self, play: Play<'_>) -> Result<RunResult, RunError> {
        let settings = &self.settings;
        let (pattern, trace) = match &play.load {
            What::Curve(_) => (Some(settings.pattern), None),
            What::Trace(trace) => (None, Some(trace.digest())),
        };
        let (load, phases, lasts) = match play.load {
            What::Curve(curve) => {
                let (phases, lasts) = (curve.phases().to_vec(), curve.lasts());
                (Load::Curve(Arc::new(curve), settings.pattern), phases, lasts)
            }
            What::Trace(trace) => {
                let (lasts, count) = (trace.lasts(), trace.len() as f64);
                let mean = count / lasts.as_secs_f64().max(1e-9);
                let phases = vec![Phase::steady("trace", lasts, mean)];
                (Load::Trace(Arc::new(trace.deal(self.cast.shares))), phases, lasts)
            }
        };
        let asked = attack::thresholds(&play.goose);
        let script = Script {
            cast: self.cast.clone(),
            weights: settings.weights,
            load,
            seed: settings.seed,
            mark: RunMark::random(),
            length: settings.length,
            read_every: settings.read_every,
            late_after: settings.late_after,
            may_disconnect: settings.may_disconnect,
            // What is asked in the first moment may be answered in the last one of the drain.
            answer_within: lasts.saturating_add(settings.drain_within),
            nodes: self.target.nodes.clone(),
        };
        let played = attack::play(Order {
            script,
            name: settings.scenario.name(),
            people: self.people.clone(),
            resources: self.target.resources.clone(),
            connects_per_second: settings.connects_per_second,
            drain_within: settings.drain_within,
            start_at: settings.start_at,
            goose: play.goose,
            watch: play.watch,
        })
        .await?;
        let measured = |second| result::measures(&phases, second);
        let seen = Seen {
            lasted: played.lasted,
            cpu: played.own_cpu,
            busy_cores: played.busy_cores,
            memory: played.own_memory,
            connected: played.connected,
            disconnects: played.disconnects,
            overrun: played.overrun,
            unplayed: played.unplayed,
            cores: cores(),
        };
        let generator = Generator::judge(&played.recorder, &played.tally, seen, measured, &settings.objective);
        let seconds = phases.iter().map(|phase| phase.lasts.as_secs_f64()).sum::<f64>() as u32;
        let mut thresholds = played.thresholds;
        if played.goose_failed.is_some() && !asked.is_empty() {
            thresholds.extend(asked.into_iter().map(|rule| format!("{rule} (not judged)")));
        }
        // The histograms are there once, and there may be many.
        let rows = played.recorder.into_rows();
        let mut result = RunResult {
            format: result::FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            command: settings.command.clone(),
            part_commands: Vec::new(),
            began: timestamp(played.began),
            clock: self.clock,
            environment: self.environment.clone(),
            target: TargetInfo {
                kind: self.target.kind.clone(),
                nodes: self.target.nodes.iter().map(Url::to_string).collect(),
            },
            scenario: settings.scenario.name().into(),
            profile: play.name.into(),
            weights: settings.weights,
            size: SizeInfo {
                users: self.cast.persons,
                devices: self.cast.devices.len(),
                silent: self
                    .cast
                    .devices
                    .iter()
                    .filter(|device| device.hears.is_empty())
                    .count(),
                message_length: settings.length,
                read_every: settings.read_every,
            },
            phases,
            pattern,
            trace,
            seed: settings.seed,
            shards: vec![settings.shard],
            objective: settings.objective,
            judges_latency: play.judges_latency,
            cut_short: played.cut_short,
            part_owes: false,
            verdict: Verdict::none(),
            latencies: rows.map(|(kind, row)| (kind, Measured::from(row))).collect(),
            tally: played.tally,
            ledger: played.ledger,
            generator,
            usage: played.usage,
            drift: Vec::new(),
            thresholds,
            capacity: None,
        };
        if play.judges_drift {
            let recorder = result.main_row().into_iter().collect();
            result.drift = drift::judge(seconds, &result.usage, result.judged(&recorder));
        }
        result.verdict = result::judge(&result);
        let reasons = &mut result.verdict.reasons;
        if let Some(why) = played.unread {
            reasons.push(format!("its history was asked for: {why}"));
        }
        reasons.extend(self.target.ended());
        if let Some(why) = played.goose_failed {
            reasons.push(format!("goose wrote no page of its own: {why}"));
        }
        Ok(result)
    }
}

/// How a profile is played.
#[must_use]
pub fn profile(profile: Profile, rate: f64, lasts: Duration) -> Play<'static> {
    Play {
        name: profile.name(),
        load: What::Curve(profile.curve(rate, lasts)),
        judges_latency: profile.judges_latency(),
        judges_drift: profile.judges_drift(),
        goose: Vec::new(),
        watch: None,
    }
}

/// Several generators have accounts of their own.
fn key(base: &Url, shard: Shard) -> String {
    match shard {
        Shard { count: 1, .. } => base.to_string(),
        Shard { index, count } => format!("{base} {}/{count}", index + 1),
    }
}

fn timestamp(at: SystemTime) -> String {
    let millis = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    chat_protocol::Timestamp::from_millis(i64::try_from(millis).unwrap_or(0)).to_string()
}
