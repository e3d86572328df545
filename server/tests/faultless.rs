//! What is delivered can make no mistake on purpose: the feature `faults` is nowhere in it.
#![cfg(not(feature = "faults"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_chat-server");

#[test]
fn no_fault_can_be_switched_on() {
    for arguments in [&["--fault", "SeqGap", "check-config"][..], &["faults"]] {
        let ended = Command::new(PROGRAM).args(arguments).env_clear().output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}");
    }
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).to_lowercase().contains("fault\n"));
}

#[test]
fn the_program_does_not_know_their_names() {
    let program = std::fs::read(PROGRAM).unwrap();
    for name in ["IdempotencyOfAnybody", "UnreadCountsOwn", "RevokedTokenLives"] {
        let found = program.windows(name.len()).any(|part| part == name.as_bytes());
        assert!(!found, "{name} is in the program");
    }
}
