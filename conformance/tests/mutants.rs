//! A part of the proof that the suite can fail, small enough for every run of the tests: `cargo xtask mutants` is the whole.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// What is broken: every field of a call with and one without a token, what holds for every refusal, handshakes of sockets.
const MUTANTS: [&str; 4] = [
    "field/getUser 200/",
    "field/register 201/",
    "header/failure",
    "transport/transport.open",
];
/// Cases that come by it.
const JUDGES: [&str; 5] = [
    "users: ",
    "auth: register",
    "auth: login",
    "auth: whoever",
    "transport opening: ",
];

#[test]
fn what_is_broken_is_noticed() {
    let dir = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-conformance"));
    command
        .args(["prove", "mutants", "--stack", "sqlite", "--into"])
        .arg(dir.path());
    for mutant in MUTANTS {
        command.args(["--mutant", mutant]);
    }
    for judge in JUDGES {
        command.args(["--judge", judge]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let written = std::fs::read_to_string(dir.path().join("mutants.json")).unwrap();
    let proof: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(proof["problems"], serde_json::json!([]), "{said}");
    assert!(output.status.success(), "{said}");
    assert!(proof["mutants"].as_array().unwrap().len() > 40, "{said}");
}

/// Judges a lawful server: no alarm may come of it.
fn passes(which: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-conformance"));
    let output = command
        .args(["prove", "lawful", "--stack", "sqlite"])
        .args(which)
        .output();
    let output = output.unwrap();
    let [told, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{told}{said}");
}

#[test]
fn a_lawful_server_unlike_the_reference_passes() {
    passes(&[]);
}

#[test]
fn a_lawful_server_that_cannot_edit_passes() {
    passes(&["--without", "edits"]);
}

#[test]
fn a_lawful_server_that_counts_its_ids_and_recovers_nothing_passes() {
    passes(&["--ids", "numbers", "--without", "recovery"]);
}

#[test]
fn a_lawful_server_without_extensions_passes() {
    passes(&["--without", "edits", "--without", "recovery"]);
}

#[test]
fn nothing_tried_is_no_proof() {
    let dir = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-conformance"));
    let no_such = ["--mutant", "no such mutant", "--judge", "auth: login"];
    command
        .args(["prove", "mutants", "--stack", "sqlite", "--into"])
        .arg(dir.path());
    let output = command.args(no_such).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("no mutant was tried"),
        "{said}"
    );
    assert!(!dir.path().join("mutants.md").exists());
}
