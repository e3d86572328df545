//! Brings up what is judged.

use std::ffi::OsString;

use super::config::Config;
use super::options::{Cli, Server, Which};
use crate::engine::Target;
use crate::launch::{Databases, Kind, Launched, Launcher, Recipe, Stack};

/// What is judged, and what must live as long.
pub(super) struct Up {
    pub(super) target: Target,
    /// For reports.
    pub(super) name: String,
    /// For people, before the run.
    pub(super) said: String,
    launched: Vec<Launched>,
}

impl Up {
    /// What every server that we started has written.
    pub(super) async fn logs(&self) -> Vec<String> {
        let mut logs = Vec::with_capacity(self.launched.len());
        for server in &self.launched {
            logs.push(server.log().await);
        }
        logs
    }
}

pub(super) async fn bring_up(cli: &Cli, config: &Config) -> Result<Up, String> {
    match &cli.target {
        Some(Which::Url { urls }) => running(urls),
        Some(Which::Exec { server, command }) => {
            foreign(
                Kind::Exec {
                    command: command.clone(),
                },
                server,
                config,
            )
            .await
        }
        Some(Which::Image { server, name }) => foreign(Kind::Image { name: name.clone() }, server, config).await,
        _ => match &config.server {
            Some(server) => {
                let kind = match &server.image {
                    Some(name) => Kind::Image { name: name.clone() },
                    None => Kind::Exec {
                        command: server.command.iter().map(OsString::from).collect(),
                    },
                };
                foreign(kind, &Server::default(), config).await
            }
            None if !config.urls.is_empty() => running(&config.urls),
            None => reference(cli).await,
        },
    }
}

/// How many nodes [`bring_up`] will have.
pub(super) fn nodes(cli: &Cli, config: &Config) -> usize {
    let of_file = config.server.as_ref().map(|server| server.nodes.unwrap_or(1));
    match &cli.target {
        Some(Which::Url { urls }) => urls.len(),
        Some(Which::Exec { server, .. } | Which::Image { server, .. }) => server.nodes.or(of_file).unwrap_or(1),
        _ => match of_file {
            Some(nodes) => nodes,
            None if !config.urls.is_empty() => config.urls.len(),
            None => cli.options.stack.unwrap_or(Stack::Sqlite).nodes(),
        },
    }
}

fn running(urls: &[url::Url]) -> Result<Up, String> {
    if urls
        .iter()
        .any(|url| !url.username().is_empty() || url.password().is_some())
    {
        return Err(
            "an address must have no user and no password: requests carry tokens, and reports name the address".into(),
        );
    }
    let nodes: Vec<&str> = urls.iter().map(url::Url::as_str).collect();
    let target = Target::of_nodes(&nodes, None)?;
    Ok(Up {
        name: target.nodes.join(", "),
        target,
        said: String::new(),
        launched: Vec::new(),
    })
}

async fn reference(cli: &Cli) -> Result<Up, String> {
    let stack = cli.options.stack.unwrap_or(Stack::Sqlite);
    let databases = stack.databases().await.map_err(|error| error.to_string())?;
    let kind = Kind::reference().map_err(|error| error.to_string())?;
    let launcher = Launcher::of(Recipe::new(kind, databases));
    let launched = start(&launcher, stack.nodes()).await?;
    up(launcher, launched, format!("the reference server ({})", stack.name()))
}

/// What the command line says wins over the file.
async fn foreign(kind: Kind, server: &Server, config: &Config) -> Result<Up, String> {
    let file = config.server.as_ref();
    let name = match &kind {
        Kind::Image { name } => name.clone(),
        Kind::Exec { command } => {
            let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
            words.join(" ")
        }
        Kind::Reference { .. } => "the reference server".to_owned(),
    };
    let databases = if server.no_databases || file.is_some_and(|file| !file.databases) {
        Databases::default()
    } else {
        Databases::start()
            .await
            .map_err(|error| format!("{error}; --no-databases does without"))?
    };
    let mut recipe = Recipe::new(kind, databases);
    let of_file = file.into_iter().flat_map(|file| &file.variables);
    for (name, value) in of_file.chain(server.env.iter().map(|(name, value)| (name, value))) {
        recipe = recipe.with(name, value);
    }
    if let Some(path) = server.ready.as_ref().or_else(|| file?.ready.as_ref()) {
        recipe = recipe.ready_at(path);
    }
    let nodes = server.nodes.or_else(|| file?.nodes).unwrap_or(1);
    let launcher = Launcher::of(recipe);
    let launched = start(&launcher, nodes).await?;
    up(launcher, launched, name)
}

async fn start(launcher: &Launcher, nodes: usize) -> Result<Vec<Launched>, String> {
    let launched = match nodes {
        0 | 1 => launcher.launch(&[]).await.map(|one| vec![one]),
        more => launcher.launch_nodes(more, &[]).await,
    };
    launched.map_err(|error| error.to_string())
}

fn up(launcher: Launcher, launched: Vec<Launched>, name: String) -> Result<Up, String> {
    let nodes: Vec<&str> = launched.iter().map(|server| server.base.as_str()).collect();
    let slowest = launched
        .iter()
        .map(|server| server.ready_after)
        .max()
        .unwrap_or_default();
    Ok(Up {
        target: Target::of_nodes(&nodes, Some(launcher))?,
        said: format!("{name} was ready after {} ms", slowest.as_millis()),
        name,
        launched,
    })
}
