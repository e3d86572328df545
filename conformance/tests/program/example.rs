//! The worked example of `docs/conformance.md`: a server that is not ours. It needs npm, which `CHAT_INTEROP=required` makes a
//! duty; without it, the test says so and judges nothing.
#![allow(clippy::print_stderr, reason = "says what it could not do")]

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{must_end, report};

#[test]
fn a_server_that_is_not_ours_is_what_the_documentation_says() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/other-server");
    let dir = TempDir::new().unwrap();
    for entry in std::fs::read_dir(source).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
    }
    let npm = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output();
    let Ok(installed) = npm else {
        let required = std::env::var_os("CHAT_INTEROP").is_some_and(|value| value == "required");
        assert!(!required, "there is no npm for the server of the example");
        eprintln!("NOT judged: there is no npm for the server of the example");
        return;
    };
    assert!(
        installed.status.success(),
        "npm ci: {}",
        String::from_utf8_lossy(&installed.stderr)
    );
    let judge = |into: &TempDir, more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_chat-conformance"))
            .arg("--report")
            .arg(into.path())
            .args(more)
            .current_dir(dir.path())
            .output()
            .unwrap()
    };

    // It was written from the contract alone, on the official Socket.IO server: an alarm here is most likely a false one.
    let reports = TempDir::new().unwrap();
    let output = judge(&reports, &[]);
    let said = must_end(&output, 0);
    let conclusion = report(&reports);
    let counted = |verdict: &str| {
        let cases = conclusion["cases"].as_array().unwrap().iter();
        cases.filter(|case| case["verdict"] == verdict).count()
    };
    assert!(counted("known") > 0 && counted("pass") > 150, "{said}");

    // Without its known failures it does not conform, and it is told why.
    let own = std::fs::read_to_string(dir.path().join("conformance.toml")).unwrap();
    let strict: Vec<&str> = own.lines().filter(|line| !line.starts_with("known-failures")).collect();
    std::fs::write(dir.path().join("strict.toml"), strict.join("\n")).unwrap();
    let output = judge(&reports, &["--config", "strict.toml", "--case", "auth::*"]);
    let said = must_end(&output, 1);
    assert!(said.contains("register.race.one-wins"), "{said}");
}
