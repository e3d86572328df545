//! What is asked for and makes no sense: it is refused before anything is started, in words that say what to do.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{code, parrot, program, report};

/// Ends the test unless the program ended so and complained of this.
fn must_complain(output: &Output, expected: i32, words: &[&str]) {
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code(output), Some(expected), "{complained}");
    for word in words {
        assert!(complained.contains(word), "{word}: {complained}");
    }
}

#[test]
fn a_gate_for_all_of_the_contract_takes_all_cases() {
    for choice in [
        &["--only", "typing::"][..],
        &["--profile", "edits"],
        &["--requirement", "typing.*"],
    ] {
        let (output, _) = program(&[&["--coverage-gate"], choice].concat());
        must_complain(&output, 2, &["--coverage-gate", "a run of all cases"]);
    }
}

#[test]
fn there_is_no_run_of_nothing_at_all() {
    must_complain(&program(&["--jobs", "0"]).0, 2, &["--jobs", "at least 1"]);
    let (output, _) = program(&["exec", "--nodes", "0", "--", "true"]);
    must_complain(&output, 2, &["--nodes", "at least 1"]);
}

#[test]
fn nodes_without_databases_have_nothing_in_common() {
    let (output, _) = program(&["exec", "--nodes", "2", "--no-databases", "--", "true"]);
    must_complain(&output, 2, &["leave out --no-databases"]);
}

#[test]
fn an_image_without_docker_is_not_said_to_be_a_database() {
    let output = Command::new(env!("CARGO_BIN_EXE_chat-conformance"))
        .args([
            "--report",
            TempDir::new().unwrap().path().to_str().unwrap(),
            "image",
            "nosuch:1",
        ])
        .env("DOCKER_HOST", "tcp://127.0.0.1:1")
        .output()
        .unwrap();
    must_complain(&output, 3, &["no Docker daemon answers", "nosuch:1"]);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(!complained.contains("mongo"), "{complained}");
}

#[test]
fn a_requirement_of_every_answer_is_told_from_one_that_there_is_not() {
    let (output, _) = program(&["--requirement", "headers.security.nosniff"]);
    must_complain(&output, 4, &["judged in every case", "without --requirement"]);
    must_complain(
        &program(&["--requirement", "no.such.*"]).0,
        4,
        &["there is no requirement no.such.*"],
    );
    let (output, _) = program(&["--requirement", "send.idempotent.window"]);
    must_complain(&output, 4, &["from outside", "24 hours"]);
}

/// Runs with this as the target file, which is named.
fn with_file(text: &str) -> (Output, String) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("of-the-job.toml");
    std::fs::write(&path, text).unwrap();
    let shown = path.display().to_string();
    (program(&["--config", &shown, "--only", "typing::"]).0, shown)
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_its_name() {
    for (text, word) in [
        ("claims = [\"core\", \"cor\"]\n", "\"cor\" is no profile"),
        ("[server]\ncommand = [\"node\"]\nnodes = 0\n", "at least 1"),
        (
            "[[known]]\nrequirement = \"no.such\"\nreason = \"r\"\nexpires = 2999-01-01\n",
            "no.such",
        ),
        (
            "[[known]]\ncase = \"no::such\"\nreason = \"r\"\nexpires = 2999-01-01\n",
            "no::such",
        ),
        (
            "[[known]]\ncase = \"typing::*\"\nreason = \"\"\nexpires = 2999-01-01\n",
            "has no reason",
        ),
        (
            "[[coverage.excused]]\ncells = \"calls/logon/*\"\nreason = \"r\"\n",
            "fits no cell",
        ),
        (
            "[[coverage.excused]]\ncells = \"calls/login/*\"\nreason = \"\"\n",
            "has no reason",
        ),
    ] {
        let (output, path) = with_file(text);
        must_complain(&output, 2, &[word, &path]);
    }
    // And when the failures stand in a file of their own.
    let dir = TempDir::new().unwrap();
    let known = dir.path().join("failures.toml");
    for entry in [
        "requirement = \"no.such\"\nreason = \"r\"",
        "case = \"typing::*\"\nreason = \" \"",
    ] {
        std::fs::write(&known, format!("[[known]]\n{entry}\nexpires = 2999-01-01\n")).unwrap();
        let shown = known.display().to_string();
        must_complain(&program(&["--known", &shown, "--only", "typing::"]).0, 2, &[&shown]);
    }
}

#[test]
fn a_file_of_known_failures_is_never_written_over() {
    let base = parrot("404 Not Found", r#"{"message": "no", "code": "NOT_FOUND"}"#);
    let run = |path: &Path| {
        let path = path.to_str().unwrap();
        program(&[
            "url",
            &base,
            "--only",
            "paths_and_methods",
            "--no-preflight",
            "--write-known",
            path,
        ])
    };
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("known.toml");
    std::fs::write(&path, "# by hand\n").unwrap();
    let (output, reports) = run(&path);
    must_complain(&output, 2, &["--write-known", "another name"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# by hand\n");
    assert!(
        !reports.path().join("report.json").exists(),
        "it was found out after the run"
    );

    let nowhere = dir.path().join("no/such/directory.toml");
    let (output, reports) = run(&nowhere);
    must_complain(&output, 2, &["--write-known", "cannot be written"]);
    assert!(
        !reports.path().join("report.json").exists(),
        "it was found out after the run"
    );

    let new = dir.path().join("new.toml");
    let (_, reports) = run(&new);
    assert_eq!(report(&reports)["conclusion"], "not-conformant");
    assert!(std::fs::read_to_string(&new).unwrap().contains("[[known]]"));
}

#[test]
fn a_list_is_of_what_was_asked_for() {
    let list = |args: &[&str]| program(&[&["list"], args].concat()).0;
    let none = list(&["--profile", "cluster", "--case", "typing::typing_times_out"]);
    assert_eq!(code(&none), Some(4), "{}", String::from_utf8_lossy(&none.stdout));
    let lines = |output: Output| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let of_cluster = lines(list(&["--profile", "cluster"]));
    assert!(!of_cluster.is_empty() && of_cluster.iter().all(|line| line.contains("cluster")));
    // With nothing said, all that there is.
    assert!(lines(list(&[])).len() > of_cluster.len());
    assert!(lines(list(&["--case", "cluster::*"])).len() > 5);
}
