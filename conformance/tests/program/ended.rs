//! Runs that end early: by somebody who wants that, or at the first failure. What was judged is told, and nothing is left behind.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{code, parrot, program, report};

const THIS: &str = env!("CARGO_BIN_EXE_chat-conformance");
/// Much longer than it takes to end.
const SOON: Duration = Duration::from_secs(60);

/// The program with a server that it starts by a command.
fn begin(reports: &Path, options: &[&str], script: &str) -> Child {
    let mut command = Command::new(THIS);
    command.arg("--report").arg(reports).args(options);
    command.args(["exec", "--no-databases", "--ready", "/health", "--", "sh", "-c", script]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(name: &str, process: &Child) {
    let sent = Command::new("kill").args([name, &process.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Waits until it has ended, which must be soon.
fn ended(process: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        assert!(began.elapsed() < SOON, "it does not end");
        std::thread::yield_now();
    }
}

#[test]
fn a_run_that_is_ended_from_outside_tells_what_was_judged() {
    for name in ["-TERM", "-INT"] {
        let reports = TempDir::new().unwrap();
        let script = format!("exec {THIS} __serve --env-file /nonexistent --data-dir {{data}}");
        let mut run = begin(reports.path(), &["--jobs", "2"], &script);
        let mut complaints = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
        let running = complaints.find(|line| line.starts_with("running ")).unwrap();
        let (_, address) = running.split_once("http://").unwrap();
        let address = address.split(' ').next().unwrap();
        TcpStream::connect(address).unwrap();
        signal(name, &run);
        // So that it is not kept from ending by what it says.
        let said = std::thread::spawn({
            let out = run.stdout.take().unwrap();
            move || std::io::read_to_string(out).unwrap()
        });
        complaints.for_each(drop);
        let status = ended(&mut run);
        let said = said.join().unwrap();
        assert_eq!(status.code(), Some(3), "{said}");
        assert!(
            said.contains("CUT SHORT") && said.contains(" cases were not run: "),
            "{said}"
        );
        assert!(said.lines().count() < 150, "a wall of text: {said}");
        let report = report(&reports);
        assert_eq!(report["conclusion"], "undecided");
        let why = report["cut"]["why"].as_str().unwrap();
        assert!(
            why.contains(if name == "-TERM" { "SIGTERM" } else { "Ctrl-C" }),
            "{why}"
        );
        for file in ["report.html", "junit.xml", "summary.md", "badge.json"] {
            assert!(reports.path().join(file).exists(), "{file}");
        }
        assert!(TcpStream::connect(address).is_err(), "its server is left behind");
    }
}

#[test]
fn a_run_that_is_ended_before_it_began_says_so() {
    let (reports, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let started = files.path().join("pid");
    // It never becomes ready.
    let script = format!("echo $$ >{0}.new; mv {0}.new {0}; exec sleep 600", started.display());
    let mut run = begin(reports.path(), &[], &script);
    let began = Instant::now();
    while !started.exists() {
        assert!(
            began.elapsed() < SOON && run.try_wait().unwrap().is_none(),
            "nothing was started"
        );
        std::thread::yield_now();
    }
    signal("-TERM", &run);
    assert_eq!(ended(&mut run).code(), Some(3));
    let summary = std::fs::read_to_string(reports.path().join("summary.md")).unwrap();
    assert!(summary.contains("before it began"), "{summary}");
    let pid = std::fs::read_to_string(&started).unwrap();
    // Killed, it may wait a moment for whoever started it.
    let gone = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim()));
        status.is_err() || status.is_ok_and(|status| status.contains("State:\tZ"))
    };
    while !gone() {
        assert!(began.elapsed() < SOON, "its server is left behind");
        std::thread::yield_now();
    }
}

#[test]
fn the_first_failure_is_not_buried_under_what_did_not_run() {
    let base = parrot("201 Created", "{}");
    let (output, dir) = program(&[
        "url",
        &base,
        "--no-preflight",
        "--fail-fast",
        "--no-confirm",
        "--jobs",
        "1",
    ]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), Some(1), "{said}");
    assert_eq!(said.matches(" cases were not run: --fail-fast").count(), 1, "{said}");
    assert!(said.matches("INCONCLUSIVE").count() < 5, "{said}");
    let summary = std::fs::read_to_string(dir.path().join("summary.md")).unwrap();
    assert_eq!(
        summary.matches(" cases were not run: --fail-fast").count(),
        1,
        "{summary}"
    );
    assert!(!summary.contains("| inconclusive | `typing::"), "{summary}");
}
