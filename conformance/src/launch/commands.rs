//! A server that runs already, and whose operator says how it is killed and started.

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::{LaunchError, Launched, NO_DEACTIVATION};
use crate::engine::{Target, WebSocket};

/// How long the command that starts may take, and how long a node until it answers.
const WITHIN: Duration = Duration::from_secs(60);
/// How long one look may take, and how long to wait before the next.
const LOOK: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// How long the command that kills may take, and how long its end until connections have ended, too: together less than the 10 s
/// after which guests are shown out anyway.
const KILLED: Duration = Duration::from_secs(5);
const ENDED: Duration = Duration::from_secs(4);

/// Programs with their arguments.
#[derive(Debug, Clone)]
pub struct Commands {
    /// Ends every node without warning; they are gone when the command ends.
    pub kill: Vec<String>,
    /// Starts them as they were, on the same data.
    pub start: Vec<String>,
    /// The path that answers with a success once a node is ready; with none, any answer but a 5xx will do.
    pub ready: Option<String>,
}

/// A server that a case may kill: one of its own, or the target when there are [`Commands`] for it.
pub struct Mortal {
    pub base: String,
    life: Life,
}

enum Life {
    Own(Box<Launched>),
    Target(Target),
}

impl From<Launched> for Mortal {
    fn from(server: Launched) -> Self {
        Self {
            base: server.base.clone(),
            life: Life::Own(server.into()),
        }
    }
}

impl Mortal {
    /// The target itself, when it has commands.
    pub fn of_target(target: &Target) -> Option<Self> {
        target.commands.as_ref().map(|_| Self {
            base: target.base.clone(),
            life: Life::Target(target.clone()),
        })
    }

    /// Kills the server without warning and starts it again as it was, on the same data.
    ///
    /// # Errors
    ///
    /// When it is not killed, or does not become ready again.
    pub async fn crash_and_restart(self) -> Result<Self, LaunchError> {
        match self.life {
            Life::Own(server) => Ok(server.crash_and_restart().await?.into()),
            Life::Target(target) => {
                // Nothing is touched yet: whatever is wrong now is the target's own affair.
                let witnesses = witnesses(&target).await.map_err(LaunchError::Ended)?;
                let done = target.while_killed(|target| kill_and_start(target, witnesses)).await;
                done.map_err(LaunchError::Ended)?;
                Ok(Self {
                    base: self.base,
                    life: Life::Target(target),
                })
            }
        }
    }
}

/// A server whose accounts a case may deactivate: one of its own, or the target when there is a command for it.
pub struct Operated {
    pub base: String,
    own: Option<Launched>,
    target: Target,
}

impl Operated {
    /// # Errors
    ///
    /// When there is neither.
    pub fn new(own: Option<Launched>, target: &Target) -> Result<Self, LaunchError> {
        if own.is_none() && target.deactivation().is_none() {
            return Err(LaunchError::Unsupported(NO_DEACTIVATION.into()));
        }
        Ok(Self {
            base: own.as_ref().map_or(&target.base, |own| &own.base).clone(),
            own,
            target: target.clone(),
        })
    }

    /// Deactivates an account beside the running server.
    ///
    /// # Errors
    ///
    /// When there is no command for it, or it fails.
    pub async fn deactivate(&self, username: &str) -> Result<(), LaunchError> {
        let command = self.target.deactivation();
        if let Some(own) = &self.own {
            return own.deactivate(username, command).await;
        }
        let filled = command.unwrap_or_default().iter();
        let filled: Vec<String> = filled.map(|text| text.replace("{username}", username)).collect();
        let done = perform("deactivate", &filled, WITHIN).await;
        done.map_err(LaunchError::Ended)
    }
}

/// A connection to each node, whose end shows that the node has been killed.
async fn witnesses(target: &Target) -> Result<Vec<WebSocket>, String> {
    let mut witnesses = Vec::new();
    for node in &target.nodes {
        match timeout(LOOK, target.sockets.open(node, "EIO=4&transport=websocket")).await {
            Ok(Ok(connection)) => witnesses.push(connection),
            _ => return Err(format!("{node} opened no WebSocket before it was to be killed")),
        }
    }
    Ok(witnesses)
}

/// What was killed is started again, also when the rest went wrong.
async fn kill_and_start(target: Target, witnesses: Vec<WebSocket>) -> Result<(), String> {
    let Some(commands) = &target.commands else {
        return Ok(());
    };
    let killed = perform("kill of [commands]", &commands.kill, KILLED).await;
    let count = witnesses.len();
    let mut alive = 0;
    for mut witness in witnesses {
        let ended = async { while let Some(Ok(_)) = witness.next().await {} };
        alive += usize::from(timeout(ENDED, ended).await.is_err());
    }
    let lives =
        || format!("kill of [commands] ended, and {alive} of {count} nodes live: connections to them are still there");
    // A command that kills nothing would prove nothing.
    let killed = killed.and_then(|()| if alive == 0 { Ok(()) } else { Err(lives()) });
    if killed.is_err() && alive == count {
        return killed;
    }
    perform("start of [commands]", &commands.start, WITHIN).await?;
    for node in &target.nodes {
        commands.until_ready(&target, node).await?;
    }
    killed
}

impl Commands {
    async fn until_ready(&self, target: &Target, node: &str) -> Result<(), String> {
        let url = format!("{node}{}", self.ready.as_deref().unwrap_or("/"));
        let began = Instant::now();
        while began.elapsed() < WITHIN {
            let answer = target.http.get(&url).timeout(LOOK).send().await;
            // What stands before a server answers in its place until it is there.
            let well = |status: reqwest::StatusCode| match self.ready {
                Some(_) => status.is_success(),
                None => !status.is_server_error(),
            };
            if answer.is_ok_and(|answer| well(answer.status())) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(format!(
            "{url} did not answer well within {} s after start of [commands]",
            WITHIN.as_secs()
        ))
    }
}

/// Runs a command to its end. What it writes is not shown: it may have secrets.
async fn perform(name: &str, command: &[String], within: Duration) -> Result<(), String> {
    let failed = |why: String| format!("{name}: {why}");
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| failed("there is no command".into()))?;
    let mut running = Command::new(program);
    running.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    running.stdout(Stdio::null()).stderr(Stdio::null());
    match timeout(within, running.status()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(format!("{program} ended with {status}"))),
        Ok(Err(error)) => Err(failed(format!("{program}: {error}"))),
        Err(_) => Err(failed(format!("{program} took longer than {} s", within.as_secs()))),
    }
}
