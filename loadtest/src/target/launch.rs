//! Starts the reference server as a process of its own: this very program anew.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use url::Url;

/// The hidden command that becomes the server.
pub const SERVE: &str = "__serve";

/// The same, of a server that ends when its standard input does, and its data with it: they follow as the first argument.
pub const OWNED: &str = "__serve_owned";

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; killed when it is dropped, its data with it.
#[derive(Debug)]
pub struct Launched {
    pub base: Url,
    pub process: u32,
    /// Opens `/metrics`.
    pub metrics_token: String,
    child: Mutex<Child>,
    /// It sees by this end that we are gone.
    _alive: ChildStdin,
    _data: TempDir,
}

/// The server did not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("the server cannot be started: {0}")]
    Start(#[from] io::Error),
    #[error("the server was not ready within {} s", PATIENCE.as_secs())]
    Late,
    #[error("the server ended at once: {0}")]
    Ended(String),
}

/// What a server under load is told: its limits are off, and tokens outlive the run.
pub(super) const SETTINGS: [(&str, &str); 6] = [
    ("--node-env", "test"),
    ("--rate-limit-max-requests", "0"),
    ("--auth-rate-limit-max-requests", "0"),
    ("--socket-rate-limit-max-events", "0"),
    ("--jwt-expires-in", "24h"),
    ("--log-level", "error"),
];

/// A server on a free port, on an empty directory.
///
/// # Errors
///
/// When it cannot be started, or says that it cannot run.
pub async fn launch() -> Result<Launched, LaunchError> {
    let data = TempDir::new()?;
    let metrics_token = format!("{:016x}", rand::random::<u64>());
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(OWNED)
        .arg(data.path())
        .args(["--host", "127.0.0.1", "--port", "0"])
        .args(SETTINGS.iter().flat_map(|(name, value)| [name, value]))
        // Not the settings of whoever runs this.
        .args(["--env-file", "/nonexistent"])
        .env_clear()
        .env("METRICS_TOKEN", &metrics_token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // A terminal's Ctrl-C is for us: the server has to be there until the end of the run.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn()?;
    let missing = || io::Error::other("no pipe to the server");
    let alive = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let process = child.id().ok_or_else(missing)?;
    let base = until_ready(stdout, stderr).await?;
    Ok(Launched {
        base,
        process,
        metrics_token,
        child: Mutex::new(child),
        _alive: alive,
        _data: data,
    })
}

impl Launched {
    /// How it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.try_wait().ok()??;
        Some(format!("the server ended: {status}"))
    }
}

/// Has this process, which is the server of a run, end with whoever started it, and its data with it.
pub fn end_with_parent(data: PathBuf) {
    std::thread::spawn(move || {
        // Nobody writes there: it ends when the other end is gone, in whatever way.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = std::fs::remove_dir_all(&data);
        std::process::exit(1);
    });
}

async fn until_ready(stdout: ChildStdout, mut stderr: ChildStderr) -> Result<Url, LaunchError> {
    let mut line = String::new();
    let mut lines = BufReader::new(stdout);
    timeout(PATIENCE, lines.read_line(&mut line))
        .await
        .map_err(|_| LaunchError::Late)??;
    let said = line
        .trim()
        .strip_prefix("listening on ")
        .and_then(|url| url.parse().ok());
    let Some(base) = said else {
        let mut why = String::new();
        let _ = timeout(Duration::from_secs(2), stderr.read_to_string(&mut why)).await;
        return Err(LaunchError::Ended(why.trim().to_owned()));
    };
    // Read on, or the server would block when a pipe is full.
    tokio::spawn(async move { tokio::io::copy(&mut lines, &mut tokio::io::sink()).await });
    tokio::spawn(async move {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = writeln!(io::stderr(), "server: {line}");
        }
    });
    Ok(base)
}
