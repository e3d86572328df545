//! How runs end that do not end by themselves: what they leave is a result, and nothing else.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chat_loadtest::result::{Outcome, RunResult};
use rustix::process::{Pid, Signal, kill_process};

/// What should take a moment may take so long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program, and the server that it started.
struct Running {
    program: Child,
    said: BufReader<std::process::ChildStderr>,
    server: Option<(u32, PathBuf)>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chat-loadtest"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(program.stderr.take().unwrap());
        Self {
            program,
            said,
            server: None,
        }
    }

    /// Waits until it says this; fails when it ends without.
    fn until_it_says(&mut self, wanted: &str) {
        let mut all = String::new();
        loop {
            let before = all.len();
            assert!(
                self.said.read_line(&mut all).unwrap() > 0,
                "{wanted} was never said: {all}"
            );
            if all[before..].contains(wanted) {
                break;
            }
        }
        self.find_server();
    }

    fn find_server(&mut self) {
        self.server = until(|| server_of(self.program.id()));
    }

    fn signal(&self, pid: u32, signal: Signal) {
        kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Stops its server: it takes what comes, and answers nothing any more.
    fn stop_server(&self) {
        let (server, _) = self.server.clone().unwrap();
        self.signal(server, Signal::STOP);
    }

    /// Sends it a signal and waits for its end; then its server and what that kept are gone.
    fn end_by(self, signal: Signal) -> ExitStatus {
        let (server, data) = self.server.clone().unwrap();
        let status = self.ended_by(signal);
        until(|| (!is_there(server) && !data.exists()).then_some(()));
        status
    }

    fn ended_by(mut self, signal: Signal) -> ExitStatus {
        self.signal(self.program.id(), signal);
        // Whatever it still says has to go somewhere.
        std::io::copy(&mut self.said, &mut std::io::sink()).unwrap();
        self.program.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Looks until there is something.
#[track_caller]
fn until<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let found @ Some(_) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it did not happen within {PATIENCE:?}");
}

/// The server that a process has started, and where it keeps its data.
fn server_of(parent: u32) -> Option<(u32, PathBuf)> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut servers = ids.filter_map(|id| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let of = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        let words = std::fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
        let mut words = words.split('\0').skip(1);
        let ours = of.trim() == parent.to_string() && words.next()? == "__serve_owned";
        ours.then(|| Some((id, PathBuf::from(words.next()?))))?
    });
    servers.next()
}

/// Whether a process runs: one that has ended and that nobody asks about does not.
fn is_there(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| !state.trim().starts_with('Z'))
}

fn words<'a>(report: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["run", "--users", "4", "--rate", "20", "--drain", "2", "--report"];
    words.push(report.to_str().unwrap());
    words.extend(more);
    words
}

/// Said at the begin of the load, and every ten seconds.
const LOAD: &str = "ledger ";

#[test]
fn sigterm_in_a_run_ends_it_with_a_result_as_ctrl_c_does() {
    for signal in [Signal::TERM, Signal::INT] {
        let report = tempfile::tempdir().unwrap();
        let mut arguments = words(report.path(), &["--for", "10m"]);
        // So many that the ledger sees it when goose ends some of them before they hand in their books.
        (arguments[2], arguments[4]) = ("60", "300");
        let mut running = Running::start(&arguments);
        running.until_it_says(LOAD);
        let status = running.end_by(signal);
        assert_eq!(status.code(), Some(4), "{signal:?}");
        let result = RunResult::read(&report.path().join("result.json")).unwrap();
        assert!(
            result.cut_short && result.verdict.outcome == Outcome::Invalid,
            "{:?}",
            result.verdict
        );
    }
}

/// Said when all is over but for the server's history.
const SETTLES: &str = "reading back";

#[test]
fn a_second_signal_ends_at_once_what_the_first_one_does_not() {
    for (first, second) in [
        (Signal::INT, Signal::INT),
        (Signal::INT, Signal::TERM),
        (Signal::TERM, Signal::INT),
    ] {
        let report = tempfile::tempdir().unwrap();
        let mut arguments = words(report.path(), &["--for", "10m", "--pattern", "constant"]);
        // Something is to be read back of even the first moment.
        arguments[4] = "300";
        let mut running = Running::start(&arguments);
        running.until_it_says(LOAD);
        // So that there is something left to wait for.
        running.stop_server();
        running.signal(running.program.id(), first);
        running.until_it_says("another signal ends it at once");
        running.until_it_says(SETTLES);
        let (server, data) = running.server.clone().unwrap();
        assert_eq!(running.ended_by(second).code(), Some(130), "{first:?}, then {second:?}");
        // The kernel ends a process that is stopped and that nobody is there to let go on: it cleans up nothing.
        until(|| (!is_there(server)).then_some(()));
        let _ = std::fs::remove_dir_all(data);
        assert!(!report.path().join("result.json").exists(), "it ended at once");
    }
}

#[test]
fn a_signal_while_a_server_does_not_answer_in_the_end_leaves_a_result() {
    let report = tempfile::tempdir().unwrap();
    let mut arguments = words(report.path(), &["--for", "2s", "--pattern", "constant"]);
    arguments[4] = "300";
    let mut running = Running::start(&arguments);
    running.until_it_says(LOAD);
    running.stop_server();
    running.until_it_says(SETTLES);
    assert_eq!(running.end_by(Signal::INT).code(), Some(4));
    let result = RunResult::read(&report.path().join("result.json")).unwrap();
    assert!(
        result.cut_short && result.verdict.outcome == Outcome::Invalid && result.ledger.unreadable == 0,
        "{:?}",
        result.verdict
    );
}

#[test]
fn a_run_that_is_killed_leaves_no_server_behind() {
    let report = tempfile::tempdir().unwrap();
    std::fs::write(report.path().join("result.json"), "of an older run").unwrap();
    let mut running = Running::start(&words(report.path(), &["--for", "10m"]));
    running.until_it_says(LOAD);
    assert_eq!(running.end_by(Signal::KILL).code(), None);
    assert!(!report.path().join("result.json").exists(), "it is of an older run");
}

#[test]
fn users_that_were_made_are_kept_when_it_is_ended_meanwhile() {
    for signal in [Signal::TERM, Signal::INT] {
        let report = tempfile::tempdir().unwrap();
        let people = report.path().join("people.json");
        let more = ["--people", people.to_str().unwrap()];
        let mut arguments = words(report.path(), &more);
        // More than can be made until it is told to end.
        arguments[2] = "2000";
        let mut running = Running::start(&arguments);
        running.find_server();
        let count = || {
            let text = std::fs::read(&people).ok()?;
            let accounts: serde_json::Value = serde_json::from_slice(&text).ok()?;
            let of_the_server = accounts.as_object()?.values().next()?;
            Some(of_the_server.as_array()?.len())
        };
        let before = until(count).unwrap();
        let status = running.end_by(signal);
        assert_eq!(status.code(), Some(3), "{signal:?}");
        let after = count().unwrap();
        assert!(before >= 32 && after >= before, "{before}, then {after}");
    }
}

#[test]
fn a_server_that_dies_under_load_leaves_a_result_that_failed() {
    let report = tempfile::tempdir().unwrap();
    let mut running = Running::start(&words(report.path(), &["--for", "14s"]));
    running.until_it_says(LOAD);
    // Ten seconds later it says so again.
    running.until_it_says(LOAD);
    let (server, _) = running.server.clone().unwrap();
    running.signal(server, Signal::KILL);
    std::io::copy(&mut running.said, &mut std::io::sink()).unwrap();
    let status = running.program.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    let result = RunResult::read(&report.path().join("result.json")).unwrap();
    assert!(
        result.ledger.unreadable > 0 && result.tally.seconds().next().is_some(),
        "{:?}",
        result.ledger
    );
    for said in ["cannot be read back", "the server ended: signal: 9"] {
        let reasons = &result.verdict.reasons;
        assert!(
            reasons.iter().any(|reason| reason.contains(said)),
            "{said}: {reasons:?}"
        );
    }
}

#[test]
fn a_search_whose_server_dies_says_so() {
    let report = tempfile::tempdir().unwrap();
    let place = report.path().to_str().unwrap();
    let mut running = Running::start(&[
        "capacity", "--users", "4", "--drain", "2", "--trial", "6s", "--report", place,
    ]);
    running.until_it_says(LOAD);
    let (server, _) = running.server.clone().unwrap();
    running.signal(server, Signal::KILL);
    std::io::copy(&mut running.said, &mut std::io::sink()).unwrap();
    assert_eq!(running.program.wait().unwrap().code(), Some(5));
    let result = RunResult::read(&report.path().join("result.json")).unwrap();
    let reasons = &result.verdict.reasons;
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("the search ended there: the server ended: signal: 9")),
        "{reasons:?}"
    );
}
