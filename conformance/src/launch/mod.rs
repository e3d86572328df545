//! Starts servers: the reference, or any other by a command or an image, as one node or several.

mod commands;
mod recipe;
mod shown;
mod stack;

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chat_testcontainers::Node;
use tokio::process::Command;

use crate::mutants::proxy::{Proxy, Tamper};

pub use self::commands::{Commands, Mortal, Operated};
pub use self::recipe::{Kind, Recipe};
pub use self::stack::{Databases, Stack};

/// The hidden command that becomes the server.
pub const SERVE: &str = "__serve";
/// The value of a setting that is left out, so that the server's own default counts.
pub const BY_DEFAULT: &str = "\0";
/// Why accounts cannot be deactivated.
const NO_DEACTIVATION: &str =
    "needs a command that deactivates an account: deactivate = [\"…\", \"{username}\"] in conformance.toml";
/// How long a line of the log may take.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// Knows how to start servers of the kind that is judged. Cheap to clone.
#[derive(Clone)]
pub struct Launcher {
    recipe: Arc<Recipe>,
    /// Has a hand in what those servers say.
    tamper: Option<Arc<dyn Tamper>>,
    /// Where those servers are kept, for what they write.
    kept: Option<Arc<Mutex<Vec<Arc<Node>>>>>,
}

/// A running server; killed when it is dropped, and its data are removed, unless a launcher keeps it a while longer.
pub struct Launched {
    pub base: String,
    /// From the start of the process to its being ready.
    pub ready_after: Duration,
    node: Arc<Node>,
    /// What stands before the server, when somebody has a hand in what it says.
    _proxy: Option<Proxy>,
    recipe: Arc<Recipe>,
    database: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("the server cannot be started: {0}")]
    Start(#[from] io::Error),
    #[error("{0}")]
    Node(#[from] chat_testcontainers::Error),
    #[error("{0}")]
    Ended(String),
    /// The kind of server that is judged has no such thing.
    #[error("{0}")]
    Unsupported(String),
}

impl Launcher {
    /// Starts this very program anew as the server, on an embedded store.
    ///
    /// # Errors
    ///
    /// When the path of this program is not known.
    pub fn reference() -> io::Result<Self> {
        Ok(Self::of(Recipe::new(Kind::reference()?, Databases::default())))
    }

    /// Starts what the recipe says.
    pub fn of(recipe: Recipe) -> Self {
        Self {
            recipe: Arc::new(recipe),
            tamper: None,
            kept: None,
        }
    }

    /// The same, which keeps the servers that it starts until it is dropped: what they wrote can be read when whoever started
    /// them is done.
    #[must_use]
    pub fn keeping(&self) -> Self {
        Self {
            kept: Some(Arc::default()),
            ..self.clone()
        }
    }

    /// What each server that was kept has written, by its address.
    pub async fn logs(&self) -> Vec<(String, String)> {
        let kept: Vec<Arc<Node>> = match &self.kept {
            Some(kept) => kept.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            None => Vec::new(),
        };
        let mut logs = Vec::with_capacity(kept.len());
        for node in kept {
            logs.push((node.url().to_owned(), node.logs().await.unwrap_or_default()));
        }
        logs
    }

    /// What it starts; empty for an image.
    pub fn program(&self) -> &Path {
        match &self.recipe.kind {
            Kind::Reference { program } => program,
            Kind::Exec { command } => command.first().map_or(Path::new(""), Path::new),
            Kind::Image { .. } => Path::new(""),
        }
    }

    /// An origin whose pages may call its servers: the reference allows any unless it is told otherwise.
    pub fn allowed_origin(&self) -> Option<&'static str> {
        matches!(self.recipe.kind, Kind::Reference { .. }).then_some("https://web.example")
    }

    /// What its servers are given and no log should show.
    pub fn secrets(&self) -> Vec<String> {
        self.recipe.secrets()
    }

    /// A text, such as the end of a log, without them.
    pub fn masked(&self, text: &str) -> String {
        self.recipe.masked(text)
    }

    /// The same, with a setting for every server that it starts.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        let recipe = Arc::unwrap_or_clone(self.recipe).with(name, value);
        Self {
            recipe: Arc::new(recipe),
            ..self
        }
    }

    /// The same, with a hand in what those servers say.
    #[must_use]
    pub fn through(mut self, tamper: Arc<dyn Tamper>) -> Self {
        self.tamper = Some(tamper);
        self
    }

    /// A server on a free port with data of its own. Settings are the reference's flags; later ones win over what is set
    /// without them: no limits. Servers that know only variables get those of the same name.
    ///
    /// # Errors
    ///
    /// When it does not become ready, or has no such setting.
    pub async fn launch(&self, settings: &[(&str, &str)]) -> Result<Launched, LaunchError> {
        let database = self.recipe.new_database();
        self.start(settings, database, None).await
    }

    /// The same where no file may grow beyond `kib`: writing more fails, as it does on a full disk.
    ///
    /// # Errors
    ///
    /// As [`Launcher::launch`]; and when it is not the reference on its embedded store.
    pub async fn launch_on_small_disk(&self, kib: u32, settings: &[(&str, &str)]) -> Result<Launched, LaunchError> {
        if !self.recipe.is_embedded() {
            return Err(LaunchError::Unsupported(
                "needs a server that keeps files of its own".into(),
            ));
        }
        self.start(settings, None, Some(kib)).await
    }

    /// Several nodes of one deployment of their own, with the same settings.
    ///
    /// # Errors
    ///
    /// As [`Launcher::launch`]; and when nodes would have nothing in common.
    pub async fn launch_nodes(&self, count: usize, settings: &[(&str, &str)]) -> Result<Vec<Launched>, LaunchError> {
        let Some(database) = self.recipe.new_database().filter(|_| self.recipe.joins_nodes()) else {
            return Err(LaunchError::Unsupported("needs a deployment of several nodes".into()));
        };
        let mut nodes = Vec::with_capacity(count);
        for _ in 0..count {
            nodes.push(self.start(settings, Some(database.clone()), None).await?);
        }
        Ok(nodes)
    }

    async fn start(
        &self,
        settings: &[(&str, &str)],
        database: Option<String>,
        most_kib: Option<u32>,
    ) -> Result<Launched, LaunchError> {
        let began = Instant::now();
        let program = self.recipe.program(settings, database.as_deref(), most_kib)?;
        let node = Node::start(program).await.map_err(|error| self.recipe.failed(&error))?;
        let node = Arc::new(node);
        let ready_after = began.elapsed();
        if let Some(kept) = &self.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(node.clone());
        }
        let proxy = match &self.tamper {
            Some(tamper) => Some(Proxy::start(node.url(), tamper.clone()).await?),
            None => None,
        };
        Ok(Launched {
            base: proxy.as_ref().map_or(node.url(), |proxy| &proxy.base).to_owned(),
            ready_after,
            node,
            _proxy: proxy,
            recipe: self.recipe.clone(),
            database,
        })
    }
}

impl Launched {
    /// Kills the server without warning and starts it again as it was, on the same data.
    ///
    /// # Errors
    ///
    /// When it does not become ready again.
    pub async fn crash_and_restart(self) -> Result<Self, LaunchError> {
        self.node.kill().await?;
        let began = Instant::now();
        self.node.restart().await.map_err(|error| self.recipe.failed(&error))?;
        Ok(Self {
            ready_after: began.elapsed(),
            ..self
        })
    }

    /// Kills the server without warning.
    ///
    /// # Errors
    ///
    /// When it is not running.
    pub async fn kill(&self) -> Result<(), LaunchError> {
        Ok(self.node.kill().await?)
    }

    /// Asks the server to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub async fn terminate(&self) -> Result<(), LaunchError> {
        self.node.terminate().await?;
        Ok(())
    }

    /// How it ended, if it has.
    pub async fn ended(&self) -> Option<String> {
        let status = self.node.ended().await.ok().flatten()?;
        Some(status.to_string())
    }

    /// All that it has written to its outputs.
    pub async fn log(&self) -> String {
        self.node.logs().await.unwrap_or_default()
    }

    /// Waits for a line in the server's log; none when it does not come.
    pub async fn logged(&self, fits: impl Fn(&str) -> bool) -> Option<String> {
        let began = Instant::now();
        loop {
            let log = self.log().await;
            if let Some(line) = log.lines().find(|line| fits(line)) {
                return Some(line.to_owned());
            }
            if began.elapsed() > LOG_PATIENCE {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Deactivates an account, by a command of the reference, or else by `command`, in which `{username}`, `{data}` and `{port}` are
    /// filled in, and which gets the variables of the server.
    ///
    /// # Errors
    ///
    /// When there is no command, or it fails.
    pub(super) async fn deactivate(&self, username: &str, command: Option<&[String]>) -> Result<(), LaunchError> {
        let database = self.database.as_deref();
        let mut running = match (&self.recipe.kind, command) {
            (Kind::Reference { program }, _) => {
                let mut own = Command::new(program);
                own.args([SERVE, "user", "deactivate", username, "--data-dir"])
                    .arg(self.data());
                own.args(["--env-file", "/nonexistent"]).env_clear();
                own.envs(self.recipe.variables(database));
                own
            }
            (Kind::Exec { .. } | Kind::Image { .. }, Some([program, arguments @ ..])) => {
                let filled = |text: &String| self.filled(text).replace("{username}", username);
                let mut theirs = Command::new(filled(program));
                theirs
                    .args(arguments.iter().map(filled))
                    .envs(self.recipe.variables(database));
                theirs.envs(self.recipe.always().map(|(name, value)| (name, self.filled(value))));
                theirs.env("PORT", self.node.address().port().to_string());
                theirs
            }
            _ => return Err(LaunchError::Unsupported(NO_DEACTIVATION.into())),
        };
        let done = running.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        if done.status.success() {
            Ok(())
        } else {
            let said = self.recipe.masked(String::from_utf8_lossy(&done.stderr).trim());
            Err(LaunchError::Ended(format!(
                "the command that deactivates an account failed: {said}"
            )))
        }
    }

    fn filled(&self, text: &str) -> String {
        let port = self.node.address().port().to_string();
        let data = self.data().display().to_string();
        text.replace("{port}", &port).replace("{data}", &data)
    }

    fn data(&self) -> &Path {
        self.node.data()
    }
}
