//! What can be said on the command line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use chat_spec::Profile;
use clap::{Args, Parser, Subcommand};

use crate::launch::Stack;
use crate::mutants;

/// No run and no window of a limit takes longer, in seconds.
pub(super) const MONTH: u64 = 31 * 24 * 3600;

/// Judges a server of the chat API against its contract.
///
/// Without a command it starts the reference server and judges that.
#[derive(Parser)]
#[command(
    name = "chat-conformance",
    version,
    after_help = "Exit codes: 0 conformant, 1 not, 2 bad usage, 3 the harness itself failed or could not decide, 4 nothing was selected or run."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) target: Option<Which>,
    #[command(flatten)]
    pub(super) options: Options,
}

#[derive(Subcommand)]
pub(super) enum Which {
    /// Judge a running server, or several nodes of one. Switch its rate limits off first: the suite sends thousands of requests.
    Url {
        /// Where it is: http://127.0.0.1:3000
        #[arg(required = true)]
        urls: Vec<url::Url>,
    },
    /// Start a server by a command and judge it. It gets PORT, MONGODB_URI and REDIS_URL; `{port}` and `{data}` are filled in.
    Exec {
        #[command(flatten)]
        server: Server,
        /// The command and its arguments.
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
    /// Start a server from a container image, beside MongoDB and Redis, and judge it.
    Image {
        #[command(flatten)]
        server: Server,
        /// The image: registry.example/chat:2
        name: String,
    },
    /// Print the cases.
    List,
    /// Judge the suite itself: does it fail when it should, and only then?
    #[command(subcommand)]
    Prove(mutants::command::Prove),
    /// Show what changed between two runs, by their report.json; 1 when something got worse.
    Compare { before: PathBuf, after: PathBuf },
    /// Print the JSON Schema of report.json.
    Schema,
}

/// How a server that is not the reference is started.
#[derive(Args, Clone, Default)]
pub(super) struct Server {
    /// The path that answers with a success once the server is ready; without it, any answer on its port will do.
    #[arg(long, value_name = "PATH")]
    pub(super) ready: Option<String>,
    /// How many nodes of it to start.
    #[arg(long, value_name = "NUMBER", value_parser = at_least_one)]
    pub(super) nodes: Option<usize>,
    /// Do not start MongoDB and Redis for it.
    #[arg(long)]
    pub(super) no_databases: bool,
    /// A variable for it; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(super) env: Vec<(String, String)>,
}

#[derive(Args)]
pub(super) struct Options {
    /// What the reference server runs on; SQLite when nothing is said.
    #[arg(long, global = true, value_enum)]
    pub(super) stack: Option<Stack>,
    /// The target file; without it, conformance.toml when there is one here.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// What the server claims: core, edits, recovery, security, … A failure elsewhere is information. Without it: everything, but
    /// `cluster` only of several nodes.
    #[arg(long, global = true, value_delimiter = ',', value_name = "PROFILES", value_parser = profile)]
    pub(super) claim: Option<Vec<Profile>>,
    /// Run cases of these profiles; without it, those of what is claimed.
    #[arg(long, global = true, value_delimiter = ',', value_name = "PROFILES", value_parser = profile)]
    pub(super) profile: Option<Vec<Profile>>,
    /// Run cases whose name fits, with `*` and `?`; without these, whose name contains it. May be given several times.
    #[arg(long, global = true, alias = "only", value_name = "GLOB")]
    pub(super) case: Vec<String>,
    /// Run cases that judge this requirement, with `*` and `?`. May be given several times.
    #[arg(long, global = true, value_name = "ID")]
    pub(super) requirement: Vec<String>,
    /// Run what did not pass in the last run, by its report.json.
    #[arg(long, global = true)]
    pub(super) rerun_failed: bool,
    /// Print what would run.
    #[arg(long, global = true)]
    pub(super) list: bool,
    /// Decides whatever cases leave to chance; a run prints its own.
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(super) seed: Option<u64>,
    /// Cases at the same time.
    #[arg(long, global = true, default_value_t = 12, value_name = "NUMBER", value_parser = at_least_one)]
    pub(super) jobs: usize,
    /// End at the first failure.
    #[arg(long, global = true)]
    pub(super) fail_fast: bool,
    /// The run ends within so many seconds, whatever the target does.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "900", value_parser = seconds)]
    pub(super) deadline: Duration,
    /// Do not run what failed a second time.
    #[arg(long, global = true)]
    pub(super) no_confirm: bool,
    /// What fails and then passes does not fail the run.
    #[arg(long, global = true)]
    pub(super) allow_flaky: bool,
    /// Something that the contract names and that was never seen leaves the run undecided. Takes a run of all cases.
    #[arg(long, global = true)]
    pub(super) coverage_gate: bool,
    /// Refuse to judge the reference server because nobody names another: for a CI job, which would pass without its target file.
    #[arg(long, global = true)]
    pub(super) target_required: bool,
    /// Do not look at the target before the run.
    #[arg(long, global = true)]
    pub(super) no_preflight: bool,
    /// A file of known failures; may be given several times.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) known: Vec<PathBuf>,
    /// Write a first file of known failures from what failed; there must be none of that name.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) write_known: Option<PathBuf>,
    /// Where the reports are written: report.html, report.json, junit.xml, summary.md, badge.json.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "conformance-report",
        overrides_with = "report"
    )]
    pub(super) report: PathBuf,
}

impl Cli {
    /// Whether a server is to be judged.
    pub(super) fn judges(&self) -> bool {
        let judged = matches!(
            self.target,
            None | Some(Which::Url { .. } | Which::Exec { .. } | Which::Image { .. })
        );
        judged && !self.options.list
    }
}

impl Options {
    /// What was asked for and cannot be had together.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.coverage_gate && self.is_selective() {
            return Err(
                "--coverage-gate asks for all that the contract names, which only a run of all cases shows: leave it out, or \
                 --case, --requirement, --profile and --rerun-failed"
                    .into(),
            );
        }
        Ok(())
    }

    /// Whether some cases were left out on purpose.
    pub(super) fn is_selective(&self) -> bool {
        !self.case.is_empty() || !self.requirement.is_empty() || self.rerun_failed || self.profile.is_some()
    }
}

/// What a server of so many nodes claims that says nothing: all that it can keep.
pub(super) fn default_claims(nodes: usize) -> BTreeSet<Profile> {
    let all = Profile::ALL.iter().copied();
    all.filter(|profile| *profile != Profile::Cluster || nodes > 1)
        .collect()
}

pub(super) fn profile(name: &str) -> Result<Profile, String> {
    let known = || {
        let names: Vec<&str> = Profile::ALL.iter().map(|profile| profile.name()).collect();
        names.join(", ")
    };
    let found = Profile::ALL.iter().find(|profile| profile.name() == name);
    found
        .copied()
        .ok_or_else(|| format!("{name:?} is no profile: there are {}", known()))
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a number of at least 1".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds) if (1..=MONTH).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("expected a number of seconds from 1 to {MONTH}")),
    }
}
