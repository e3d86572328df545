//! The real server as a child process, and what the kernel says about it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Clock ticks in a second, as Linux reports processor time.
const TICKS: u64 = 100;

pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) ready_after: Duration,
    child: Child,
    _data: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(program());
        command
            .args([
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--log-level",
                "warn",
                "--env-file",
                "/nonexistent",
            ])
            .args([
                "--rate-limit-max-requests",
                "0",
                "--auth-rate-limit-max-requests",
                "0",
                "--socket-rate-limit-max-events",
                "0",
            ])
            .arg("--data-dir")
            .arg(data.path());
        Self::run(command, data)
    }

    /// Two nodes, joined by this Redis; their addresses with a space between.
    pub(crate) fn pair(redis: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.args([super::nodes::PAIR, redis]);
        Self::run(command, tempfile::tempdir().expect("a directory"))
    }

    fn run(mut command: Command, data: TempDir) -> Self {
        let began = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chat-server beside this program: build it first");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        Self {
            base: line.trim().trim_start_matches("listening on ").to_owned(),
            ready_after: began.elapsed(),
            child,
            _data: data,
        }
    }

    /// Processor time so far, of all its threads.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(&self.child.id().to_string())
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace()
            .nth(1)
            .expect("a number")
            .parse::<u64>()
            .expect("a number")
            * 1024
    }
}

/// Processor time of this program so far.
pub(crate) fn own_cpu() -> Duration {
    cpu("self")
}

fn cpu(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    Duration::from_millis(ticks * 1000 / TICKS)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `target/release/examples/figures` → `target/release/chat-server`.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().expect("a path");
    path.pop();
    path.pop();
    path.join("chat-server")
}
