//! The target file, `conformance.toml`: what would else be said on the command line of a CI job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::engine::known::Entry;

const FILE: &str = "conformance.toml";

/// Everything in it may be left out; the command line wins.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Config {
    pub(super) claims: Option<Vec<String>>,
    /// The nodes of a server that runs already.
    #[serde(default)]
    pub(super) urls: Vec<url::Url>,
    pub(super) server: Option<Server>,
    #[serde(default)]
    pub(super) limits: Limits,
    /// Files of known failures, as this file sees them.
    #[serde(default)]
    pub(super) known_failures: Vec<PathBuf>,
    #[serde(default)]
    pub(super) known: Vec<Entry>,
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

/// Limits that cannot be lifted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Limits {
    /// Requests that are allowed within a window.
    pub(super) requests: Option<u64>,
}

fn yes() -> bool {
    true
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
        if let Some(server) = &config.server {
            let given = usize::from(!server.command.is_empty()) + usize::from(server.image.is_some());
            if given != 1 {
                return Err(format!("{}: [server] takes a command or an image", path.display()));
            }
        }
        Ok(config)
    }
}
