//! The program as a CI job uses it: exit codes and reports, against real servers, good and bad.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn program(args: &[&str]) -> (Output, TempDir) {
    let dir = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_chat-conformance"))
        .args(args)
        .arg("--report")
        .arg(dir.path())
        .output()
        .unwrap();
    (output, dir)
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
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
    let (output, dir) = program(&[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), Some(0), "{said}");
    let report = report(&dir);
    assert_eq!(report["verdict"], "conformant");
    assert_eq!(report["survived"], true);
    for case in report["cases"].as_array().unwrap() {
        assert!(case["result"] == "passed" || case["result"] == "noted", "{case}");
        // The one known deviation: the engine beneath cannot send `data` with a connection error.
        for failure in case["failures"].as_array().unwrap() {
            assert_eq!(failure["requirement"], "socket.handshake.error-data", "{case}");
        }
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
    for foreign in ["<script", "<link", "src=", "url(", "@import"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    let all = page + &std::fs::read_to_string(dir.path().join("report.json")).unwrap();
    assert!(!all.contains("a password of many words") && !all.contains("eyJ"));
}

#[test]
fn a_server_that_says_yes_to_everything_does_not_conform() {
    let (output, dir) = program(&["url", &parrot("201 Created", "{}"), "--only", "wire:"]);
    assert_eq!(code(&output), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(report(&dir)["verdict"], "notConformant");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("precedence.path.not-found") && said.contains("expected  404 NOT_FOUND"),
        "{said}"
    );
}

#[test]
fn an_unclaimed_profile_fails_without_consequence() {
    let base = parrot("404 Not Found", r#"{"message": "no", "code": "NOT_FOUND"}"#);
    let (output, dir) = program(&["url", &base, "--only", "paths_and_methods", "--claim", "cluster"]);
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
        "edits",
        "--claim",
        "cluster",
    ]);
    assert_eq!(code(&output), Some(3));
    assert_eq!(report(&dir)["cases"][0]["result"], "inconclusive");
}

#[test]
fn usage_harness_and_emptiness_have_codes_of_their_own() {
    assert_eq!(code(&program(&["--no-such-flag"]).0), Some(2));
    assert_eq!(code(&program(&["--claim", "everything"]).0), Some(2));
    assert_eq!(code(&program(&["url", "not a url"]).0), Some(2));
    assert_eq!(code(&program(&["url", "http://127.0.0.1:1"]).0), Some(3));
    assert_eq!(code(&program(&["--only", "no such case"]).0), Some(4));
    // Cases that need a server of their own say nothing about somebody else's.
    let (output, _) = program(&["url", &parrot("404 Not Found", "{}"), "--only", "limits:"]);
    assert_eq!(code(&output), Some(4), "{}", String::from_utf8_lossy(&output.stdout));
}
