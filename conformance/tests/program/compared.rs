//! `compare`: what it says of two reports, and of files that are none.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{code, program, report};

fn compare(before: &Path, after: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chat-conformance"))
        .arg("compare")
        .args([before, after])
        .output()
        .unwrap()
}

#[test]
fn what_is_no_report_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, value: Value| {
        let path = dir.path().join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path
    };
    let (nothing, hello) = (file("nothing.json", json!({})), file("hello.json", json!({"hello": 1})));
    let of_later = file("later.json", json!({"version": 99, "conclusion": "conformant"}));
    for (path, word) in [
        (&nothing, "report.json"),
        (&hello, "report.json"),
        (&of_later, "version 99"),
    ] {
        let output = compare(path, path);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code(&output), Some(2), "{said}");
        assert!(said.contains(word) && said.contains(path.to_str().unwrap()), "{said}");
    }
}

#[test]
fn a_case_that_passed_and_is_gone_is_worse_but_not_in_a_choice() {
    let (_, whole) = program(&["--only", "typing::"]);
    let (_, choice) = program(&["--only", "typing::typing_times_out"]);
    let (before, after) = (whole.path().join("report.json"), choice.path().join("report.json"));
    let output = compare(&before, &after);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), Some(0), "{said}");
    assert!(
        said.contains("only in the earlier run") && said.contains("a choice of cases"),
        "{said}"
    );

    // The same from a run that left out nothing on purpose: the cases are missed.
    let mut complete = report(&choice);
    assert_eq!(complete["selective"], true);
    complete["selective"] = false.into();
    std::fs::write(&after, complete.to_string()).unwrap();
    let output = compare(&before, &after);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), Some(1), "{said}");
    assert!(
        said.contains("typing::typing_ends_with_the_device: pass → gone"),
        "{said}"
    );
}
