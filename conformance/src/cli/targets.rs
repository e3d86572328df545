//! Brings up what is judged.

use std::time::Duration;

use chat_testcontainers::Backend;
use tokio::time::timeout;

use super::choice::Choice;
use super::config::{Commands, Config};
use super::options::Server;
use crate::engine::{Limits, Target};
use crate::launch::{Databases, Kind, Launched, Launcher, Recipe, Stack};

/// How long it may take to hand out a log.
const LOG_WITHIN: Duration = Duration::from_secs(10);

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
    /// What every server that we started has written, without secrets.
    pub(super) async fn logs(&self) -> Result<Vec<String>, String> {
        let secrets = self.target.all_secrets()?;
        let mut logs = Vec::with_capacity(self.launched.len());
        for server in &self.launched {
            let log = timeout(LOG_WITHIN, server.log()).await.unwrap_or_default();
            logs.push(secrets.text(&log));
        }
        Ok(logs)
    }
}

pub(super) async fn bring_up(choice: &Choice, config: &Config) -> Result<Up, String> {
    let up = match choice {
        Choice::Running(urls) => running(urls, config)?,
        Choice::Started { kind, server } => started(kind.clone(), server, config.limits.given()).await?,
        Choice::Reference(stack) => return reference(*stack).await,
    };
    if !config.deactivate.is_empty() {
        up.target.deactivate_by(&config.deactivate);
    }
    if let Some(origin) = &config.origin {
        up.target.allow_origin(origin);
    }
    Ok(up)
}

fn running(urls: &[url::Url], config: &Config) -> Result<Up, String> {
    if urls
        .iter()
        .any(|url| !url.username().is_empty() || url.password().is_some())
    {
        return Err(
            "an address must have no user and no password: requests carry tokens, and reports name the address".into(),
        );
    }
    let nodes: Vec<&str> = urls.iter().map(url::Url::as_str).collect();
    let commands = config.commands.as_ref().map(Commands::given);
    let target = Target::with(&nodes, None, commands, config.limits.given())?;
    Ok(Up {
        name: target.nodes.join(", "),
        target,
        said: String::new(),
        launched: Vec::new(),
    })
}

async fn reference(stack: Stack) -> Result<Up, String> {
    let databases = stack.databases().await.map_err(|error| error.to_string())?;
    let kind = Kind::reference().map_err(|error| error.to_string())?;
    let launcher = Launcher::of(Recipe::new(kind, databases));
    let launched = start(&launcher, stack.nodes()).await?;
    let name = format!("the reference server ({})", stack.name());
    up(launcher, launched, name, Limits::default())
}

async fn started(kind: Kind, server: &Server, limits: Limits) -> Result<Up, String> {
    let name = kind.name();
    if matches!(kind, Kind::Image { .. }) && !Backend::Docker.is_available().await {
        return Err(format!(
            "no Docker daemon answers, and {name} is an image: start Docker, or have the server started by a command (exec)"
        ));
    }
    let databases = match server.no_databases {
        true => Databases::default(),
        false => Databases::start()
            .await
            .map_err(|error| format!("{error}; --no-databases does without"))?,
    };
    let mut recipe = Recipe::new(kind, databases);
    for (name, value) in &server.env {
        recipe = recipe.with(name, value);
    }
    if let Some(path) = &server.ready {
        recipe = recipe.ready_at(path);
    }
    let launcher = Launcher::of(recipe);
    let launched = start(&launcher, server.nodes.unwrap_or(1)).await?;
    up(launcher, launched, name, limits)
}

async fn start(launcher: &Launcher, nodes: usize) -> Result<Vec<Launched>, String> {
    let launched = match nodes {
        0 | 1 => launcher.launch(&[]).await.map(|one| vec![one]),
        more => launcher.launch_nodes(more, &[]).await,
    };
    launched.map_err(|error| error.to_string())
}

fn up(launcher: Launcher, launched: Vec<Launched>, name: String, limits: Limits) -> Result<Up, String> {
    let nodes: Vec<&str> = launched.iter().map(|server| server.base.as_str()).collect();
    let slowest = launched
        .iter()
        .map(|server| server.ready_after)
        .max()
        .unwrap_or_default();
    Ok(Up {
        target: Target::with(&nodes, Some(launcher), None, limits)?,
        said: format!("{name} was ready after {} ms", slowest.as_millis()),
        name,
        launched,
    })
}
