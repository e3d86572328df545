//! The program itself, in a directory and an environment of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::client::Client;
use crate::person::Person;

/// Where the program is started, and what surrounds it.
pub(crate) struct Place {
    dir: Arc<TempDir>,
    environment: Vec<(String, String)>,
}

/// A server that runs until it is told to stop, at the latest until the test ends.
pub(crate) struct Running {
    pub(crate) url: String,
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
    _dir: Arc<TempDir>,
}

/// How it ended.
pub(crate) struct Ended {
    /// None: by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            environment: Vec::new(),
        }
    }

    /// With this variable in the environment.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With this text in `.env`.
    pub(crate) fn env_file(self, text: &str) -> Self {
        fs::write(self.path(".env"), text).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        self.command(Path::new(PROGRAM)).args(args).output().await.unwrap()
    }

    /// Standard output of a command that must succeed.
    pub(crate) async fn said(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        assert!(output.status.success(), "{args:?} {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that must end with this code.
    pub(crate) async fn fails(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args).await;
        assert_eq!(output.status.code(), Some(code), "{args:?} {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Serves on a free port.
    pub(crate) async fn serve(&self) -> Running {
        let mut command = self.command(Path::new(PROGRAM));
        command.args(["serve", "--port", "0"]);
        Running::spawn(command, self.dir.clone()).await
    }

    /// Serves where no file may grow beyond `kib`: writing more fails, as it does on a full disk.
    pub(crate) async fn serve_in_files_of_at_most(&self, kib: u32) -> Running {
        let mut command = self.command(Path::new("sh"));
        // The limit counts blocks of 512 bytes; with the signal ignored, the write itself fails.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" serve --port 0", kib * 2);
        command.args(["-c", &script, PROGRAM]);
        Running::spawn(command, self.dir.clone()).await
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("RATE_LIMIT_MAX_REQUESTS", "0")
            .env("AUTH_RATE_LIMIT_MAX_REQUESTS", "0")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_chat-server");

impl Running {
    async fn spawn(mut command: Command, dir: Arc<TempDir>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        let Some(url) = line.strip_prefix("listening on ") else {
            let mut why = String::new();
            stderr.read_to_string(&mut why).await.unwrap();
            panic!("it did not start: {line:?} {why}");
        };
        Self {
            url: url.trim_end().into(),
            child,
            stdout,
            stderr,
            _dir: dir,
        }
    }

    pub(crate) fn visitor(&self) -> Client {
        Client::new(&self.url)
    }

    pub(crate) async fn person(&self, name: &str) -> Person {
        Person::register(self.visitor(), name).await
    }

    /// Asks it to stop, and does not wait.
    pub(crate) async fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id().unwrap());
        let status = Command::new("sh").args(["-c", &kill]).status().await.unwrap();
        assert!(status.success(), "{kill}");
    }

    pub(crate) async fn ended(mut self) -> Ended {
        let (mut out, mut stderr) = (String::new(), String::new());
        let read = tokio::join!(
            self.stdout.read_to_string(&mut out),
            self.stderr.read_to_string(&mut stderr)
        );
        assert!(read.0.is_ok() && read.1.is_ok());
        let code = self.child.wait().await.unwrap().code();
        Ended { code, stderr }
    }

    /// SIGTERM, and an orderly end.
    pub(crate) async fn stops(self) -> Ended {
        self.signal("TERM").await;
        let ended = self.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    }
}
