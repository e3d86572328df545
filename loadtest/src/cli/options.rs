//! What every command that makes runs takes.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use url::Url;

use super::{Failed, say};
use crate::action::Weights;
use crate::capacity::Objective;
use crate::cast::Shard;
use crate::run::Settings;
use crate::scenario::{Scenario, Size};
use crate::schedule::Pattern;
use crate::target::{self, Finding, Owned, Resources, Target};
use crate::{attack, people, report};

#[derive(Args)]
pub(super) struct Options {
    /// What is done.
    #[arg(long, value_enum, default_value = "dm")]
    scenario: Scenario,
    /// A node of a running server; may be given several times: the devices take them in turn.
    #[arg(long, value_name = "URL", conflicts_with = "stack")]
    url: Vec<Url>,
    /// A server of our own: on SQLite, on MongoDB, or two nodes on MongoDB and Redis.
    #[arg(long, value_enum, default_value = "sqlite")]
    stack: StackKind,
    /// The host of a target that is not this machine. Only with it is anything but a loopback address loaded.
    #[arg(long, value_name = "HOST", requires = "url")]
    i_own_this_target: Vec<String>,
    /// A page of metrics of a --url in Prometheus' format; CHAT_LOADTEST_METRICS_TOKEN opens it.
    #[arg(long, value_name = "URL", requires = "url")]
    metrics_url: Vec<Url>,
    /// Users who act.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(2..=2_000_000))]
    users: u32,
    /// fanout: partners of each hub.
    #[arg(long, default_value_t = 19, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partners: u32,
    /// fanout: devices of each hub.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    devices: u32,
    /// Further sockets that are there and do nothing.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=2_000_000))]
    silent: u32,
    /// How moments lie within the rate.
    #[arg(long, value_enum, default_value = "poisson")]
    pattern: Pattern,
    /// Makes the schedule: the same seed is the same schedule. By chance when left out; shards need it.
    #[arg(long)]
    seed: Option<u64>,
    /// Characters of a message.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(48..=4096))]
    length: u32,
    /// Every so many messages are read at once by their receiver, who says so; 0: none.
    #[arg(long, default_value_t = 10)]
    read_every: u32,
    /// mixed: a TOML file of how often each thing is done.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Keeps the users in this file (mode 0600), and takes them from it.
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
    /// Objective: the time from due to delivered, in milliseconds, below which the quantile must stay; where there are no messages, of
    /// what there is most of.
    #[arg(long, default_value_t = 100.0, value_name = "MS")]
    latency: f64,
    /// Objective: which quantile.
    #[arg(long, default_value_t = 0.99)]
    quantile: f64,
    /// Objective: the share that may fail.
    #[arg(long, default_value_t = 0.001, value_name = "SHARE")]
    errors: f64,
    /// Devices that connect in a second.
    #[arg(long, default_value_t = 500)]
    connects_per_second: u32,
    /// Seconds that what is under way in the end may take.
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    drain: u64,
    /// What arrives so many seconds after it was due is counted as late.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    late_after: f64,
    /// Connections may break that the run does not break itself, as in a rolling deploy: they are said and fail nothing, and what
    /// they cost is judged by the latency alone.
    #[arg(long)]
    may_disconnect: bool,
    /// Play this part of the load: 1/3, 2/3, 3/3; or job/3 in an Indexed Job of Kubernetes.
    #[arg(long, value_name = "I/N", value_parser = shard, requires = "seed")]
    shard: Option<Shard>,
    /// When several generators start together, and the same for all of them: RFC 3339, 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start_at: Option<SystemTime>,
    /// Where the reports are written.
    #[arg(long, value_name = "DIR", default_value = "loadtest-report")]
    pub(super) report: PathBuf,
    /// No live view.
    #[arg(long)]
    pub(super) quiet: bool,
    /// For goose: thresholds, its dashboard, its own logs. `-- --threshold "p99<50ms for SIO deliver" --dashboard`
    #[arg(last = true, value_name = "GOOSE OPTIONS")]
    pub(super) goose: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StackKind {
    Sqlite,
    Mongo,
    Cluster,
}

impl Options {
    pub(super) fn settings(&self) -> Result<Settings, Failed> {
        let weights = match (&self.weights, self.scenario) {
            (Some(path), Scenario::Mixed) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failed::usage(format!("{}: {error}", path.display())))?;
                Weights::parse(&text).map_err(|error| Failed::usage(format!("{}: {error}", path.display())))?
            }
            (Some(_), _) => return Err(Failed::usage("--weights are for --scenario mixed")),
            (None, scenario) => scenario.weights(),
        };
        // NaN is in no range; what is not finite no result could be read back with.
        if !((0.0..1.0).contains(&self.quantile) && self.latency.is_finite() && self.latency > 0.0) {
            return Err(Failed::usage(
                "the objective is no quantile below 1 of some milliseconds",
            ));
        }
        if !(0.0..=1.0).contains(&self.errors) {
            return Err(Failed::usage("--errors is a share, such as 0.001"));
        }
        if self.start_at.is_some_and(|start| start <= SystemTime::now()) {
            return Err(Failed::usage("--start-at is over already"));
        }
        attack::check_options(&self.goose).map_err(Failed::usage)?;
        let late_after = Duration::try_from_secs_f64(self.late_after)
            .map_err(|_| Failed::usage("--late-after is a number of seconds"))?;
        Ok(Settings {
            scenario: self.scenario,
            weights,
            size: Size {
                users: self.users as usize,
                partners: self.partners as usize,
                devices: self.devices as usize,
                silent: self.silent as usize,
            },
            shard: self.shard.unwrap_or(Shard::WHOLE),
            pattern: self.pattern,
            seed: self.seed.unwrap_or_else(|| rand::random::<u32>().into()),
            length: self.length as usize,
            read_every: self.read_every,
            late_after,
            may_disconnect: self.may_disconnect,
            drain_within: Duration::from_secs(self.drain),
            connects_per_second: self.connects_per_second.max(1),
            start_at: self.start_at,
            objective: Objective {
                quantile: self.quantile,
                below_ms: self.latency,
                errors: self.errors,
            },
            people: self.people.clone(),
            command: std::env::args().collect(),
        })
    }

    /// Sees that what a run makes can be kept, before it is made.
    pub(super) fn places(&self) -> Result<(), Failed> {
        report::check(&self.report).map_err(Failed::harness)?;
        match &self.people {
            Some(path) => people::check(path).map_err(Failed::harness),
            None => Ok(()),
        }
    }

    /// Finds or starts what is to be loaded, once it is sure that it may be.
    pub(super) async fn target(&self) -> Result<Target, Failed> {
        let metrics_token = std::env::var("CHAT_LOADTEST_METRICS_TOKEN").ok();
        if !self.url.is_empty() {
            for url in self.url.iter().chain(&self.metrics_url) {
                target::check_address(url, &self.i_own_this_target).map_err(Failed::usage)?;
            }
            return Ok(Target {
                kind: "a running server".into(),
                nodes: self.url.clone(),
                resources: Resources {
                    metrics: self.metrics_url.clone(),
                    token: metrics_token,
                    ..Resources::default()
                },
                owned: Owned::Nothing,
            });
        }
        match self.stack {
            StackKind::Sqlite => {
                let server = target::launch().await.map_err(Failed::harness)?;
                Ok(Target {
                    kind: "the reference server on SQLite".into(),
                    nodes: vec![server.base.clone()],
                    resources: Resources {
                        processes: vec![server.process],
                        databases: Vec::new(),
                        metrics: metrics_of(std::slice::from_ref(&server.base)),
                        token: Some(server.metrics_token.clone()),
                    },
                    owned: Owned::Server(Box::new(server)),
                })
            }
            StackKind::Mongo | StackKind::Cluster => {
                let nodes = if self.stack == StackKind::Cluster { 2 } else { 1 };
                say("starting MongoDB and the server…");
                let stack = target::bring_up(nodes).await.map_err(Failed::harness)?;
                let urls = stack.urls().map_err(Failed::harness)?;
                Ok(Target {
                    kind: match self.stack {
                        StackKind::Cluster => "two nodes of the reference server on MongoDB and Redis".into(),
                        _ => "the reference server on MongoDB".into(),
                    },
                    resources: Resources {
                        processes: stack.processes(),
                        databases: stack.databases(),
                        metrics: metrics_of(&urls),
                        token: Some(stack.metrics_token.clone()),
                    },
                    nodes: urls,
                    owned: Owned::Stack(Box::new(stack)),
                })
            }
        }
    }

    /// Says what would spoil the run; an error when it cannot work.
    pub(super) async fn preflight(&self, target: &Target, sockets: usize) -> Result<(), Failed> {
        let own = !matches!(target.owned, Owned::Nothing);
        let mut findings = target::preflight(&target.nodes, sockets, own).await;
        if let Err(what) = target.resources.check().await {
            findings.push(Finding {
                fatal: true,
                what,
                remedy: "is it the right --metrics-url? CHAT_LOADTEST_METRICS_TOKEN opens it".into(),
            });
        }
        for finding in &findings {
            let word = if finding.fatal { "cannot run" } else { "beware" };
            say(&format!("{word}: {}\n  → {}", finding.what, finding.remedy));
        }
        if findings.iter().any(|finding| finding.fatal) {
            return Err(Failed::harness("nothing was loaded"));
        }
        Ok(())
    }
}

fn metrics_of(nodes: &[Url]) -> Vec<Url> {
    nodes.iter().filter_map(|node| node.join("/metrics").ok()).collect()
}

/// `1/3`, or `job/3` in an Indexed Job of Kubernetes, which counts from 0 and says so in the environment.
fn shard(text: &str) -> Result<Shard, String> {
    let index = std::env::var("JOB_COMPLETION_INDEX")
        .ok()
        .and_then(|index| index.parse::<usize>().ok());
    let text = match (text.strip_prefix("job/"), index) {
        (Some(count), Some(index)) => format!("{}/{count}", index + 1),
        (Some(_), None) => return Err("job/N is for an Indexed Job, and JOB_COMPLETION_INDEX is not set".into()),
        (None, _) => text.to_owned(),
    };
    let parsed = text.split_once('/').and_then(|(index, count)| {
        let (index, count) = (index.parse::<usize>().ok()?, count.parse::<usize>().ok()?);
        (1..=count).contains(&index).then(|| Shard {
            index: index - 1,
            count,
        })
    });
    parsed.ok_or_else(|| "a part of the whole, such as 1/3".into())
}

fn moment(text: &str) -> Result<SystemTime, String> {
    let moment: chat_protocol::Timestamp = text
        .parse()
        .map_err(|error: chat_protocol::InvalidTimestamp| error.to_string())?;
    let millis = u64::try_from(moment.as_millis()).map_err(|error| error.to_string())?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}

/// What one generator cannot make by far, and whose books no memory holds.
const MOST_PER_SECOND: f64 = 1_000_000.0;

/// Whether a rate can be asked for, of so many generators together.
pub(super) fn rate(given: f64, option: &str, generators: usize) -> Result<(), Failed> {
    if !(given.is_finite() && given > 0.0) {
        return Err(Failed::usage(format!("{option} must be above 0")));
    }
    if given > MOST_PER_SECOND * generators as f64 {
        return Err(Failed::usage(format!(
            "{option}: one generator makes some ten thousand things in a second, and {MOST_PER_SECOND:.0} are the most that can be \
             asked of each (--shard)"
        )));
    }
    Ok(())
}

/// `90s`, `5m`, `2h`, or plain seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()) {
        number if number.len() == text.len() => (number, 1.0),
        number => match &text[number.len()..] {
            "s" => (number, 1.0),
            "m" => (number, 60.0),
            "h" => (number, 3600.0),
            _ => return Err("90s, 5m or 2h".into()),
        },
    };
    let seconds = number.parse::<f64>().map_err(|_| "90s, 5m or 2h")? * unit;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| *duration >= Duration::from_secs(1))
        .ok_or_else(|| "at least 1s".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    /// The exit code that such options are refused with.
    fn refused(options: &[&str]) -> Option<u8> {
        let words = std::iter::once(&"chat-loadtest").chain(options);
        let line = Line::try_parse_from(words).unwrap();
        line.options.settings().err().map(|failed| failed.code)
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused_before_anything_is_loaded() {
        assert_eq!(refused(&[]), None);
        assert_eq!(
            refused(&["--late-after", "0.5", "--errors", "0", "--latency", "50"]),
            None
        );
        for bad in [
            ["--late-after", "1e20"],
            ["--late-after", "NaN"],
            ["--latency", "NaN"],
            ["--latency", "inf"],
            ["--latency", "0"],
            ["--quantile", "NaN"],
            ["--quantile", "1"],
            ["--errors", "NaN"],
            ["--errors", "1.5"],
        ] {
            assert_eq!(refused(&bad), Some(2), "{bad:?}");
        }
    }

    #[test]
    fn times_and_shards_are_read() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        for bad in ["", "0s", "5d", "-1s", "s", "1é"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert_eq!(shard("2/3"), Ok(Shard { index: 1, count: 3 }));
        for bad in ["0/3", "4/3", "1", "a/b", "1/0"] {
            assert!(shard(bad).is_err(), "{bad:?}");
        }
    }
}
