//! This very program as a process of its own, of which one test runs.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};

/// Set in a process that shall say what it has, and stay until its input ends.
pub(crate) const STAY: &str = "CHAT_TEST_STAY";
/// Begins what it says.
const SAYS: &str = "it has ";

pub(crate) struct Running {
    pub(crate) child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

/// What `command` needs to run one test of this program.
pub(crate) fn run(mut command: Command) -> Running {
    let mut child = command
        .env(STAY, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap()).lines();
    Running { child, output }
}

impl Running {
    /// What the next of its processes says.
    pub(crate) async fn said(&mut self) -> String {
        loop {
            let line = self
                .output
                .next_line()
                .await
                .unwrap()
                .expect("it says what it has before it ends");
            // The harness may have begun the line.
            if let Some((_, has)) = line.split_once(SAYS) {
                return has.to_owned();
            }
        }
    }
}

/// In such a process: says what it has, and stays until it is told to go. Elsewhere it does nothing.
pub(crate) async fn say_and_stay(has: impl std::fmt::Display) {
    if std::env::var_os(STAY).is_none() {
        return;
    }
    // What a shell runs in the background ignores this signal, and so would this process: it ends at once, as by default.
    let mut interrupts = signal(SignalKind::interrupt()).unwrap();
    println!("\n{SAYS}{has}");
    // On a thread of its own: it may read on while the test that would wait for it has ended by its own time.
    let told = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    tokio::select! {
        _ = told => {}
        _ = interrupts.recv() => std::process::exit(130),
    }
}
