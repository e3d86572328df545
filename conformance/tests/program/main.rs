//! The program as a CI job uses it: exit codes and reports, against real servers, good and bad.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod action;
mod compared;
mod encrypted;
mod ended;
mod example;
mod refused;
mod targets;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn program(args: &[&str]) -> (Output, TempDir) {
    let dir = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_chat-conformance"))
        .arg("--report")
        .arg(dir.path())
        .args(args)
        .output()
        .unwrap();
    (output, dir)
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// Ends the test unless the program ended so, and shows all that it said; returns what it said on its standard output.
fn must_end(output: &Output, expected: i32) -> String {
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(code(output), Some(expected), "{said}{complained}");
    said.into_owned()
}

fn report(dir: &TempDir) -> Value {
    serde_json::from_str(&std::fs::read_to_string(dir.path().join("report.json")).unwrap()).unwrap()
}

/// A server that answers every request with the same words; gone when the test process ends.
fn parrot(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn the_reference_server_conforms() {
    // And it shows all that the contract names.
    let (output, dir) = program(&["--coverage-gate"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), Some(0), "{said}");
    let report = report(&dir);
    assert_eq!(report["conclusion"], "conformant");
    assert_eq!(report["survived"], true);
    for case in report["cases"].as_array().unwrap() {
        let expected = ["pass", "warn", "skipped"];
        assert!(expected.iter().any(|verdict| case["verdict"] == *verdict), "{case}");
        assert_eq!(
            case["verdict"] == "skipped",
            case["profiles"] == serde_json::json!(["cluster"]),
            "{case}"
        );
        // The known deviations, both of the engine beneath: no `data` with a connection error, and a PING at once.
        for failure in case["failures"].as_array().unwrap() {
            let known = ["socket.handshake.error-data", "transport.heartbeat.first-ping"];
            assert!(known.iter().any(|id| failure["requirement"] == *id), "{case}");
        }
    }
    // Nothing of the contract was excused for it, and what others are excused from it shows.
    let groups = report["coverage"]["groups"].as_array().unwrap().iter();
    let cells: Vec<&Value> = groups.flat_map(|group| group["cells"].as_array().unwrap()).collect();
    assert!(cells.iter().all(|cell| cell["excusedHere"].is_null()));
    for (row, column) in [("errors.server.code", "judged"), ("login", "403 ACCOUNT_INACTIVE")] {
        let cell = cells.iter().find(|cell| cell["row"] == row && cell["column"] == column);
        assert!(cell.unwrap()["seen"].as_u64().unwrap() > 0, "{row} {column}");
    }
    // Every endpoint and every event is judged by something.
    for row in report["rows"].as_array().unwrap() {
        assert!(row["holds"].as_u64().unwrap() > 0, "{row}");
    }
}

#[test]
fn the_page_needs_no_other_file_and_shows_no_secret() {
    let (_, dir) = program(&["--only", "auth:"]);
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    for foreign in [
        "<script src",
        "<link",
        " src=",
        ": url(",
        "@import",
        "http-equiv=\"refresh",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    let mut all = page
        .replace("const PASSWORD = 'a password of many words'", "")
        .replace("PASSWORD='a password of many words'", "");
    for name in ["report.json", "junit.xml", "summary.md"] {
        all += &std::fs::read_to_string(dir.path().join(name)).unwrap();
    }
    assert!(!all.contains("a password of many words") && !all.contains("eyJ"));
}

#[test]
fn a_server_that_says_yes_to_everything_does_not_conform() {
    let (output, dir) = program(&["url", &parrot("201 Created", "{}"), "--only", "wire:"]);
    assert_eq!(code(&output), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(report(&dir)["conclusion"], "not-conformant");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("precedence.path.not-found") && said.contains("expected  404 NOT_FOUND"),
        "{said}"
    );
}

#[test]
fn an_unclaimed_profile_fails_without_consequence() {
    let base = parrot("404 Not Found", r#"{"message": "no", "code": "NOT_FOUND"}"#);
    let (output, dir) = program(&[
        "url",
        &base,
        "--only",
        "paths_and_methods",
        "--claim",
        "cluster",
        "--profile",
        "core,security",
    ]);
    assert_ne!(code(&output), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let states: Vec<Value> = report(&dir)["requirements"].as_array().unwrap().clone();
    assert!(states.iter().any(|one| one["state"] == "noted"));
}

#[test]
fn what_cannot_be_decided_is_no_success() {
    let (output, dir) = program(&[
        "url",
        &parrot("500 Internal Server Error", "{}"),
        "--only",
        "edits::",
        "--claim",
        "cluster",
        "--profile",
        "edits",
        "--no-preflight",
    ]);
    assert_eq!(code(&output), Some(3));
    assert_eq!(report(&dir)["cases"][0]["verdict"], "inconclusive");
}

#[test]
fn a_report_is_what_its_schema_says() {
    let (output, dir) = program(&["--only", "typing::", "--seed", "7"]);
    assert_eq!(code(&output), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let schema: Value = serde_json::from_slice(&program(&["schema"]).0.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let report = report(&dir);
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(report["seed"], 7);
    let junit = std::fs::read_to_string(dir.path().join("junit.xml")).unwrap();
    assert!(
        junit.contains("typing_times_out") && junit.contains("failures=\"0\""),
        "{junit}"
    );
    assert!(
        std::fs::read_to_string(dir.path().join("summary.md"))
            .unwrap()
            .contains("| typing |")
    );
    let badge: Value = serde_json::from_str(&std::fs::read_to_string(dir.path().join("badge.json")).unwrap()).unwrap();
    assert_eq!(
        (&badge["schemaVersion"], &badge["color"]),
        (&1.into(), &"brightgreen".into())
    );
}

#[test]
fn known_failures_are_accepted_until_they_are_stale_or_over() {
    let base = parrot("404 Not Found", r#"{"message": "no", "code": "NOT_FOUND"}"#);
    let selected = ["--only", "paths_and_methods", "--no-preflight", "--no-confirm"];
    let run = |more: &[&str]| {
        let args: Vec<&str> = ["url", &base]
            .into_iter()
            .chain(selected)
            .chain(more.iter().copied())
            .collect();
        program(&args)
    };
    let files = TempDir::new().unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let first = path("first.toml");
    let (output, _) = run(&["--write-known", &first]);
    assert_eq!(code(&output), Some(1), "{}", String::from_utf8_lossy(&output.stdout));

    let (output, dir) = run(&["--known", &first]);
    assert_eq!(code(&output), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(report(&dir)["cases"][0]["verdict"], "known");
    let badge = std::fs::read_to_string(dir.path().join("badge.json")).unwrap();
    assert!(badge.contains("yellow") && badge.contains("known to fail"), "{badge}");

    let written = std::fs::read_to_string(&first).unwrap();
    let over = path("over.toml");
    let begin = written.find("expires = ").unwrap() + "expires = ".len();
    std::fs::write(&over, written.replace(&written[begin..begin + 4], "2001")).unwrap();
    let (output, dir) = run(&["--known", &over]);
    assert_eq!(code(&output), Some(1));
    assert!(!report(&dir)["knownExpired"].as_array().unwrap().is_empty());
    // Whoever reads the XML alone sees it too.
    let junit = std::fs::read_to_string(dir.path().join("junit.xml")).unwrap();
    assert!(
        junit.contains("no known failure is over") && junit.contains("failures=\"2\""),
        "{junit}"
    );

    // The path that is nowhere is answered as it should be, in the one case that was chosen: another may need the entry.
    let known = path("of_all.toml");
    let entry = "\n[[known]]\nrequirement = \"precedence.path.not-found\"\nreason = \"r\"\nexpires = 2999-01-01\n";
    std::fs::write(&known, written.clone() + entry).unwrap();
    let (output, dir) = run(&["--known", &known]);
    assert_eq!(code(&output), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(report(&dir)["knownStale"], serde_json::json!([]));
    // None but this one needs the same entry of this case.
    let stale = path("stale.toml");
    let of_case = format!("{entry}case = \"wire::paths_and_methods\"\n");
    std::fs::write(&stale, written + &of_case).unwrap();
    let (output, dir) = run(&["--known", &stale]);
    assert_eq!(code(&output), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(
        report(&dir)["knownStale"],
        serde_json::json!(["precedence.path.not-found in wire::paths_and_methods"])
    );
}

#[test]
fn a_target_that_dies_is_one_clear_word() {
    // Keeps the port when the target is dead, and does not listen: whoever were given it would answer in its place.
    let holder = tokio::net::TcpSocket::new_v4().unwrap();
    holder.set_reuseaddr(true).unwrap();
    holder.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    // It lives for a few requests.
    let listener = TcpListener::bind(holder.local_addr().unwrap()).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(6) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    let (output, dir) = program(&["url", &base, "--jobs", "2", "--no-preflight"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), Some(1), "{said}");
    assert!(said.contains("THE TARGET FAILED") && said.contains("is gone"), "{said}");
    assert!(said.lines().count() < 120, "a wall of text: {said}");
    let report = report(&dir);
    assert_eq!(
        (&report["cut"]["byTarget"], &report["survived"]),
        (&true.into(), &false.into())
    );
}

#[test]
fn a_storm_of_failures_is_one_clear_word() {
    let base = parrot("500 Internal Server Error", "{}");
    let (output, dir) = program(&["url", &base, "--no-preflight", "--jobs", "4"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), Some(1), "{said}");
    assert!(
        said.contains("THE TARGET FAILED") && said.contains("a storm of failures"),
        "{said}"
    );
    assert!(said.lines().count() < 120, "a wall of text: {said}");
    assert_eq!(report(&dir)["cut"]["byTarget"], true);
}

#[test]
fn a_run_ends_within_its_deadline() {
    // It takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (output, dir) = program(&["url", &base, "--no-preflight", "--deadline", "1", "--only", "wire::"]);
    drop(listener);
    assert_eq!(code(&output), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(report(&dir)["cut"]["why"].as_str().unwrap().contains("deadline"));
}

#[test]
fn a_server_is_started_by_its_command() {
    let this = env!("CARGO_BIN_EXE_chat-conformance");
    // The reference server by another door: it knows nothing but its variables.
    let script = format!("exec {this} __serve --env-file /nonexistent --data-dir {{data}}");
    let (output, dir) = program(&[
        "exec",
        "--no-databases",
        "--ready",
        "/health",
        "--only",
        "typing_goes_to_the_peer",
        "--only",
        "requests_are_counted_by_user",
        "--only",
        "an_idle_guest",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    must_end(&output, 0);
    let report = report(&dir);
    let verdicts: Vec<&Value> = report["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| &case["verdict"])
        .collect();
    assert!(
        verdicts.iter().filter(|verdict| **verdict == "pass").count() >= 2,
        "{report:#}"
    );
    assert!(dir.path().join("server-1.log").exists());
}

#[test]
fn a_limit_that_is_too_low_is_said_before_the_run() {
    let this = env!("CARGO_BIN_EXE_chat-conformance");
    let script = format!("RATE_LIMIT_MAX_REQUESTS=50 exec {this} __serve --env-file /nonexistent --data-dir {{data}}");
    let (output, _) = program(&["exec", "--no-databases", "--", "sh", "-c", &script]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code(&output), Some(3), "{said}");
    assert!(said.contains("RATE_LIMIT_MAX_REQUESTS"), "{said}");
}

#[test]
fn what_failed_is_run_again_and_two_runs_are_compared() {
    let good = r#"{"message": "no", "code": "NOT_FOUND"}"#;
    let dir = TempDir::new().unwrap();
    let into = dir.path().to_str().unwrap();
    let run = |base: &str, more: &[&str]| {
        let mut args = vec!["url", base, "--no-preflight", "--no-confirm", "--report", into];
        args.extend(more);
        Command::new(env!("CARGO_BIN_EXE_chat-conformance"))
            .args(args)
            .output()
            .unwrap()
    };
    run(&parrot("404 Not Found", good), &["--only", "wire::"]);
    let before = dir.path().join("before.json");
    std::fs::copy(dir.path().join("report.json"), &before).unwrap();
    let listed = run("http://127.0.0.1:1", &["--rerun-failed", "--list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("wire::") && !listed.contains("typing::"), "{listed}");

    run(&parrot("500 Internal Server Error", "{}"), &["--only", "wire::"]);
    let compared = Command::new(env!("CARGO_BIN_EXE_chat-conformance"))
        .args([
            std::ffi::OsStr::new("compare"),
            before.as_os_str(),
            dir.path().join("report.json").as_os_str(),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compared.stdout);
    assert_eq!(code(&compared), Some(1), "{said}");
    assert!(said.contains("precedence.path.not-found: holds → failed"), "{said}");
}

#[test]
fn cases_are_chosen_by_name_requirement_and_profile() {
    let list = |args: &[&str]| {
        let args: Vec<&str> = ["--list"].iter().chain(args).copied().collect();
        String::from_utf8_lossy(&program(&args).0.stdout).into_owned()
    };
    let by_glob = list(&["--case", "typing::*out"]);
    assert_eq!(by_glob.lines().count(), 1, "{by_glob}");
    let by_requirement = list(&["--requirement", "typing.stop.*"]);
    assert!(
        by_requirement.contains("typing::typing_times_out") && by_requirement.lines().count() < 20,
        "{by_requirement}"
    );
    assert_eq!(code(&program(&["--requirement", "no.such.*"]).0), Some(4));
    // Nothing that was asked for is left out in silence.
    assert_eq!(code(&program(&["--only", "typing::", "--only", "tyqing::"]).0), Some(4));
    let of_edits = list(&["--profile", "edits"]);
    assert!(
        of_edits.lines().count() > 2 && of_edits.lines().all(|line| line.contains("edits")),
        "{of_edits}"
    );
    // Several nodes claim to be one.
    let cluster = ["--case", "cluster::*"];
    assert_eq!(code(&program(&["--list", cluster[0], cluster[1]]).0), Some(4));
    let nodes = ["url", "http://127.0.0.1:1", "http://127.0.0.1:2"];
    assert!(list(&[&cluster[..], &nodes[..]].concat()).lines().count() > 5);
}

#[test]
fn usage_harness_and_emptiness_have_codes_of_their_own() {
    assert_eq!(code(&program(&["--no-such-flag"]).0), Some(2));
    assert_eq!(code(&program(&["--claim", "everything"]).0), Some(2));
    assert_eq!(code(&program(&["url", "not a url"]).0), Some(2));
    assert_eq!(
        code(&program(&["--stack", "mongo", "url", "http://127.0.0.1:1"]).0),
        Some(2)
    );
    assert_eq!(code(&program(&["url", "http://127.0.0.1:1"]).0), Some(3));
    let mut nowhere = Command::new(env!("CARGO_BIN_EXE_chat-conformance"));
    let output = nowhere
        .args(["--report", "/proc/nowhere", "--only", "typing::"])
        .output();
    assert_eq!(code(&output.unwrap()), Some(3));
    // Who reads the reports alone is not left with those of an earlier run.
    let (_, dir) = program(&["url", "http://127.0.0.1:1"]);
    let junit = std::fs::read_to_string(dir.path().join("junit.xml")).unwrap();
    assert!(
        junit.contains("errors=\"1\"") && junit.contains("there is no server"),
        "{junit}"
    );
    assert_eq!(code(&program(&["url", "http://me:secret@127.0.0.1:1"]).0), Some(3));
    assert_eq!(code(&program(&["--only", "no such case"]).0), Some(4));
    let base = parrot("404 Not Found", "{}");
    // Where nothing of a chat server is, hundreds of cases would say so.
    let (output, dir) = program(&["url", &base]);
    assert_eq!(code(&output), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
    let (summary, complained) = (
        std::fs::read_to_string(dir.path().join("summary.md")).unwrap(),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(summary.contains("there is nothing to judge"), "{summary}");
    assert!(complained.contains("register answered 404"), "{complained}");
    // A case that needs a server of its own says nothing about somebody else's.
    let (output, _) = program(&["url", &base, "--only", "limits::requests_are_counted_by_user"]);
    assert_eq!(code(&output), Some(4), "{}", String::from_utf8_lossy(&output.stdout));
}
