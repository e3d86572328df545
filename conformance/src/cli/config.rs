//! The target file, `conformance.toml`: what would else be said on the command line of a CI job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_spec::Profile;
use serde::{Deserialize, Deserializer, de};

use super::options::{MONTH, profile};
use crate::coverage::{Excuse, Matrix};
use crate::engine;
use crate::engine::known::Entry;
use crate::launch;

const FILE: &str = "conformance.toml";

/// Everything in it may be left out; the command line wins.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Config {
    /// The file itself, where there is one.
    #[serde(skip)]
    pub(super) path: PathBuf,
    #[serde(default, deserialize_with = "profiles")]
    pub(super) claims: Option<Vec<Profile>>,
    /// The nodes of a server that runs already.
    #[serde(default)]
    pub(super) urls: Vec<url::Url>,
    pub(super) server: Option<Server>,
    /// An origin whose pages may call the server; without it nothing is known of whom it allows.
    pub(super) origin: Option<String>,
    /// For a server that runs already.
    pub(super) commands: Option<Commands>,
    /// The program by which an operator deactivates an account; `{username}` is filled in.
    #[serde(default)]
    pub(super) deactivate: Vec<String>,
    #[serde(default)]
    pub(super) limits: Limits,
    /// Files of known failures, as this file sees them.
    #[serde(default)]
    pub(super) known_failures: Vec<PathBuf>,
    #[serde(default)]
    pub(super) known: Vec<Entry>,
    #[serde(default)]
    pub(super) coverage: Coverage,
}

/// What `--coverage-gate` asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Coverage {
    /// Cells that this server cannot show.
    #[serde(default)]
    pub(super) excused: Vec<Excuse>,
}

/// How to start the server: for every run, for cases that need settings of their own, and again after a crash.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Server {
    /// A command and its arguments; `{port}` and `{data}` are filled in.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// Or a container image.
    pub(super) image: Option<String>,
    pub(super) ready: Option<String>,
    pub(super) nodes: Option<usize>,
    #[serde(default = "yes")]
    pub(super) databases: bool,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
}

/// How a server that runs already is killed and started again, for cases of durability.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Commands {
    /// Ends every node without warning.
    kill: Vec<String>,
    /// Starts them as they were, on the same data.
    start: Vec<String>,
    ready: Option<String>,
}

/// Limits that cannot be lifted: the suite stays below them. What is left out has no limit.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Limits {
    /// Calls of a user, or of an address without a token, within a window.
    requests: Option<u64>,
    /// Registrations, logins and refreshes of an address within a window.
    auth_requests: Option<u64>,
    /// Events of a user within 10 s.
    events: Option<u64>,
    /// Length of the window; 900 when nothing is said, as in the contract.
    window_seconds: Option<u64>,
}

impl Limits {
    pub(super) fn given(&self) -> engine::Limits {
        let none = engine::Limits::default();
        engine::Limits {
            requests: self.requests,
            auth_requests: self.auth_requests,
            events: self.events,
            window: self.window_seconds.map_or(none.window, Duration::from_secs),
        }
    }
}

impl Commands {
    pub(super) fn given(&self) -> launch::Commands {
        launch::Commands {
            kill: self.kill.clone(),
            start: self.start.clone(),
            ready: self.ready.clone(),
        }
    }
}

/// The error names the word that is no profile, and where it stands.
fn profiles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Profile>>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let profiles: Result<_, _> = names.iter().map(|name| profile(name)).collect();
    profiles.map(Some).map_err(de::Error::custom)
}

fn yes() -> bool {
    true
}

/// Whether it is written as in the header Origin.
fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| url.has_host() && url.origin().ascii_serialization() == text)
}

impl Config {
    /// Reads the file that was named, or the one of this directory when there is one.
    pub(super) fn find(named: Option<&Path>) -> Result<Self, String> {
        let path = match named {
            Some(path) => path,
            None if Path::new(FILE).exists() => Path::new(FILE),
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let here = path.parent().unwrap_or(Path::new(""));
        for file in &mut config.known_failures {
            *file = here.join(&*file);
        }
        path.clone_into(&mut config.path);
        config.check().map_err(|wrong| format!("{}: {wrong}", path.display()))?;
        Ok(config)
    }

    /// What says two things, or half of one.
    fn check(&self) -> Result<(), String> {
        self.check_coverage()?;
        self.check_rest().map_err(str::to_owned)
    }

    fn check_coverage(&self) -> Result<(), String> {
        let excused = &self.coverage.excused;
        if let Some(without) = excused.iter().find(|excuse| excuse.reason.trim().is_empty()) {
            return Err(format!(
                "[[coverage.excused]] of {} has no reason: say why",
                without.cells
            ));
        }
        match excused.is_empty() {
            true => Ok(()),
            false => Matrix::idle(excused).map_or(Ok(()), |idle| {
                Err(format!(
                    "[[coverage.excused]] of {} fits no cell: they are group/row/column, as a run prints what is missing",
                    idle.cells
                ))
            }),
        }
    }

    fn check_rest(&self) -> Result<(), &'static str> {
        if let Some(server) = &self.server {
            let given = usize::from(!server.command.is_empty()) + usize::from(server.image.is_some());
            if given != 1 {
                return Err("[server] takes a command or an image");
            }
            if server.nodes == Some(0) {
                return Err("[server] nodes is a number of at least 1");
            }
            if !self.urls.is_empty() {
                return Err("urls and [server] cannot both be judged");
            }
            if self.commands.is_some() {
                return Err(
                    "[commands] are for a server that runs already: one of [server] is killed and started by the suite",
                );
            }
        }
        if !self.deactivate.is_empty() && !self.deactivate.iter().any(|text| text.contains("{username}")) {
            return Err(
                "deactivate is a program with its arguments, and one of them has {username}, which is filled in",
            );
        }
        if self.origin.as_deref().is_some_and(|origin| !is_origin(origin)) {
            return Err(
                "origin is what browsers send: a scheme, a host and perhaps a port, as in https://chat.example",
            );
        }
        if let Some(commands) = &self.commands {
            if self.urls.is_empty() {
                return Err("[commands] kill and start what is at urls, and there are none");
            }
            if commands.kill.is_empty() || commands.start.is_empty() {
                return Err("[commands] takes kill and start, each a program with its arguments");
            }
        }
        let Limits {
            requests,
            auth_requests,
            events,
            window_seconds,
        } = &self.limits;
        if [requests, auth_requests, events, window_seconds].contains(&&Some(0)) {
            return Err("[limits] takes numbers of at least 1: leave out what has no limit");
        }
        if window_seconds.is_some_and(|seconds| seconds > MONTH) {
            return Err("[limits] window-seconds may be a month at most");
        }
        Ok(())
    }
}
