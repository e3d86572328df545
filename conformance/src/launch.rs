//! Starts the reference server as a child process, with any settings.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::mutants::proxy::{Proxy, Tamper};

/// The hidden command that becomes the server.
pub const SERVE: &str = "__serve";
/// The value of a setting that is left out, so that the server's own default counts.
pub const BY_DEFAULT: &str = "\0";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a line of the log may take.
const LOG_PATIENCE: Duration = Duration::from_secs(5);
/// What is written beyond is not kept.
const MOST_LOG: usize = 1 << 20;

/// Knows how to start servers of the kind that is judged.
#[derive(Clone)]
pub struct Launcher {
    program: PathBuf,
    /// Settings of every server that it starts.
    always: Vec<(&'static str, String)>,
    /// Has a hand in what those servers say.
    tamper: Option<Arc<dyn Tamper>>,
}

/// A running server; killed when it is dropped.
pub struct Launched {
    pub base: String,
    /// From the start of the process to its being ready.
    pub ready_after: Duration,
    child: Child,
    data: TempDir,
    launcher: Launcher,
    /// What stands before the server, when somebody has a hand in what it says.
    _proxy: Option<Proxy>,
    log: watch::Receiver<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("the server cannot be started: {0}")]
    Start(#[from] io::Error),
    #[error("the server was not ready within {} s", PATIENCE.as_secs())]
    Late,
    #[error("the server ended at once: {0}")]
    Ended(String),
}

impl Launcher {
    /// Starts this very program anew as the server.
    pub fn reference() -> io::Result<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            always: Vec::new(),
            tamper: None,
        })
    }

    /// What it starts.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The same, with a setting for every server that it starts.
    #[must_use]
    pub fn with(mut self, flag: &'static str, value: &str) -> Self {
        self.always.push((flag, value.to_owned()));
        self
    }

    /// The same, with a hand in what those servers say.
    #[must_use]
    pub fn through(mut self, tamper: Arc<dyn Tamper>) -> Self {
        self.tamper = Some(tamper);
        self
    }

    /// A server on a free port with a data directory of its own. Later settings win over the defaults here: no limits.
    pub async fn launch(&self, settings: &[(&str, &str)]) -> Result<Launched, LaunchError> {
        start(self, TempDir::new()?, settings, None).await
    }

    /// The same where no file may grow beyond `kib`: writing more fails, as it does on a full disk.
    pub async fn launch_on_small_disk(&self, kib: u32, settings: &[(&str, &str)]) -> Result<Launched, LaunchError> {
        start(self, TempDir::new()?, settings, Some(kib)).await
    }
}

async fn start(
    launcher: &Launcher,
    data: TempDir,
    settings: &[(&str, &str)],
    most_kib: Option<u32>,
) -> Result<Launched, LaunchError> {
    let began = Instant::now();
    let program = &launcher.program;
    let mut all = vec![
        ("--host", "127.0.0.1"),
        ("--port", "0"),
        ("--node-env", "test"),
        ("--rate-limit-max-requests", "0"),
        ("--auth-rate-limit-max-requests", "0"),
        ("--socket-rate-limit-max-events", "0"),
        ("--log-level", "error"),
    ];
    for setting in settings {
        all.retain(|(name, _)| name != &setting.0);
        all.push(*setting);
    }
    all.extend(launcher.always.iter().map(|(name, value)| (*name, value.as_str())));
    all.retain(|(_, value)| *value != BY_DEFAULT);
    let mut command = match most_kib {
        None => Command::new(program),
        Some(kib) => {
            // The limit counts blocks of 512 bytes; with the signal ignored, the write itself fails.
            let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(script).arg(program);
            shell
        }
    };
    let mut child = command
        .arg(SERVE)
        .args(all.iter().flat_map(|(name, value)| [name, value]))
        .arg("--data-dir")
        .arg(data.path())
        // Not the settings of whoever runs the suite.
        .args(["--env-file", "/nonexistent"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("no standard output"))?;
    let mut stderr = child
        .stderr
        .take()
        .ok_or_else(|| io::Error::other("no standard error"))?;
    let mut line = String::new();
    let mut stdout = BufReader::new(stdout);
    let read = timeout(PATIENCE, stdout.read_line(&mut line))
        .await
        .map_err(|_| LaunchError::Late)?;
    let Some(base) = line.trim().strip_prefix("listening on ").filter(|_| read.is_ok()) else {
        let mut said = String::new();
        let _ = timeout(Duration::from_secs(2), stderr.read_to_string(&mut said)).await;
        return Err(LaunchError::Ended(said.trim().to_owned()));
    };
    let mut base = base.to_owned();
    let ready_after = began.elapsed();
    let mut proxy = None;
    if let Some(tamper) = &launcher.tamper {
        let started = Proxy::start(&base, tamper.clone()).await?;
        base.clone_from(&started.base);
        proxy = Some(started);
    }
    // Read on, or the server would block when the pipe is full.
    let (writing, log) = watch::channel(String::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            writing.send_modify(|log| {
                if log.len() < MOST_LOG {
                    log.push_str(&line);
                    log.push('\n');
                }
            });
        }
    });
    Ok(Launched {
        base,
        ready_after,
        child,
        data,
        launcher: launcher.clone(),
        _proxy: proxy,
        log,
    })
}

impl Launched {
    /// Kills the server without warning and starts it again on the same data.
    pub async fn crash_and_restart(mut self, settings: &[(&str, &str)]) -> Result<Self, LaunchError> {
        self.child.kill().await?;
        start(&self.launcher, self.data, settings, None).await
    }

    /// Waits for a line in the server's log; none when it does not come.
    pub async fn logged(&self, fits: impl Fn(&str) -> bool) -> Option<String> {
        let mut log = self.log.clone();
        let find = |log: &String| log.lines().find(|line| fits(line)).map(str::to_owned);
        let wait = log.wait_for(|log| find(log).is_some());
        let log = timeout(LOG_PATIENCE, wait).await.ok()?.ok()?;
        find(&log)
    }

    /// Runs one of the operator's commands on the server's data.
    pub async fn operate(&self, arguments: &[&str]) -> Result<(), LaunchError> {
        let done = Command::new(&self.launcher.program)
            .arg(SERVE)
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data.path())
            .args(["--env-file", "/nonexistent"])
            .env_clear()
            .output()
            .await?;
        if done.status.success() {
            Ok(())
        } else {
            Err(LaunchError::Ended(
                String::from_utf8_lossy(&done.stderr).trim().to_owned(),
            ))
        }
    }
}
