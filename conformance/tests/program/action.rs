//! The step of `action.yml` that judges, run as GitHub runs it: what it tells the job.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::parrot;

/// The script of the step; its lines are indented by eight.
fn script() -> String {
    let action = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../action.yml")).unwrap();
    let (_, step) = action.split_once("id: judge").unwrap();
    let (_, script) = step.split_once("run: |\n").unwrap();
    let lines = script.lines().map_while(|line| line.strip_prefix("        "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs the step; its exit code, and what it wrote for the job: the outputs, and the summary.
fn judge(directory: &TempDir, target: &str, options: &str) -> (Option<i32>, String, String) {
    let told = TempDir::new().unwrap();
    let (outputs, summary) = (told.path().join("outputs"), told.path().join("summary"));
    let ran = Command::new("bash")
        .args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &script()])
        .current_dir(directory.path())
        .env("SUITE", env!("CARGO_BIN_EXE_chat-conformance"))
        .env("TARGET", target)
        .env("OPTIONS", options)
        .env("REPORT", "conformance-report")
        .env("GITHUB_OUTPUT", &outputs)
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    (ran.status.code(), read(outputs), read(summary))
}

#[test]
fn the_action_tells_the_job_what_the_suite_found() {
    let job = TempDir::new().unwrap();
    // Where the target file is missing, nothing else is judged instead.
    let (code, outputs, _) = judge(&job, "", "");
    assert_eq!((code, outputs.as_str()), (Some(2), ""));
    let (code, outputs, summary) = judge(&job, "", "--stack sqlite --case search::*");
    assert_eq!((code, outputs.as_str()), (Some(0), "conclusion=conformant\n"));
    assert!(summary.starts_with("## ✅"), "{summary}");

    let bad = format!("url {}", parrot("201 Created", "{}"));
    let (code, outputs, summary) = judge(&job, &bad, "--only wire:");
    assert_eq!((code, outputs.as_str()), (Some(1), "conclusion=not-conformant\n"));
    assert!(summary.contains("precedence.path.not-found"), "{summary}");

    // What an earlier run found is no conclusion of one that could not begin.
    let (code, outputs, summary) = judge(&job, "url http://127.0.0.1:1", "");
    assert_eq!((code, outputs.as_str()), (Some(3), ""));
    assert!(summary.starts_with("## ⚠️ Nothing was judged"), "{summary}");
}
