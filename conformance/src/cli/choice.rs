//! What is judged, decided once: by the command line, else by the target file, else it is the reference server.

use std::ffi::OsString;

use url::Url;

use super::config::Config;
use super::options::{Cli, Server, Which};
use crate::launch::{Kind, Stack};

/// One kind of target.
pub(super) enum Choice {
    /// Nodes that run already.
    Running(Vec<Url>),
    /// Started by us; what is said of it on the command line won over the file.
    Started { kind: Kind, server: Server },
    /// The reference server.
    Reference(Stack),
}

impl Choice {
    /// # Errors
    ///
    /// When two things are said that cannot both be meant.
    pub(super) fn of(cli: &Cli, config: &Config) -> Result<Self, String> {
        let started = |kind, said: &Server| Self::Started {
            kind,
            server: over_file(said, config),
        };
        let (choice, named_by) = match (&cli.target, &config.server) {
            (Some(Which::Url { urls }), _) => (Self::Running(urls.clone()), "url"),
            (Some(Which::Exec { server, command }), _) => {
                let command = command.clone();
                (started(Kind::Exec { command }, server), "exec")
            }
            (Some(Which::Image { server, name }), _) => {
                let name = name.clone();
                (started(Kind::Image { name }, server), "image")
            }
            (_, Some(server)) => {
                let kind = match &server.image {
                    Some(name) => Kind::Image { name: name.clone() },
                    None => Kind::Exec {
                        command: server.command.iter().map(OsString::from).collect(),
                    },
                };
                (started(kind, &Server::default()), "the target file")
            }
            (_, None) if !config.urls.is_empty() => (Self::Running(config.urls.clone()), "the target file"),
            (_, None) if cli.options.target_required && cli.options.stack.is_none() => {
                return Err(
                    "no server is named: give url, exec or image on the command line, or urls or [server] in conformance.toml, which is \
                     looked up where the program runs; or --stack, which has the reference server judged"
                        .into(),
                );
            }
            (_, None) => return Ok(Self::Reference(cli.options.stack.unwrap_or(Stack::Sqlite))),
        };
        if config.commands.is_some() && matches!(cli.target, Some(Which::Url { .. })) {
            return Err(
                "[commands] of the target file kill its own urls, and url names others: leave one of them out".into(),
            );
        }
        if let Self::Started { server, .. } = &choice
            && let Some(nodes) = server.nodes.filter(|nodes| *nodes > 1)
            && server.no_databases
        {
            return Err(format!(
                "{nodes} nodes of one deployment share MongoDB and Redis, which the suite starts for them: leave out --no-databases, \
                 and databases = false in the target file"
            ));
        }
        match cli.options.stack {
            None => Ok(choice),
            Some(stack) => Err(format!(
                "--stack {} is what the reference server runs on, but {named_by} names another server: leave one of them out",
                stack.name()
            )),
        }
    }

    /// How many nodes it has.
    pub(super) fn nodes(&self) -> usize {
        match self {
            Self::Running(urls) => urls.len(),
            Self::Started { server, .. } => server.nodes.unwrap_or(1),
            Self::Reference(stack) => stack.nodes(),
        }
    }
}

/// What the command line leaves open the file says.
fn over_file(said: &Server, config: &Config) -> Server {
    let Some(file) = &config.server else {
        return said.clone();
    };
    let variables = file.variables.iter().map(|(name, value)| (name.clone(), value.clone()));
    Server {
        ready: said.ready.clone().or_else(|| file.ready.clone()),
        nodes: said.nodes.or(file.nodes),
        no_databases: said.no_databases || !file.databases,
        // The later one wins.
        env: variables.chain(said.env.iter().cloned()).collect(),
    }
}
