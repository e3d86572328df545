//! A machine of a quarter of the speed: a command and all that it starts are stopped three quarters of the time.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::steps::Outcome;

/// Short enough for every time-out of the contract, long enough to be more than what switching costs.
const RUNS: Duration = Duration::from_millis(10);
const STOPS: Duration = Duration::from_millis(30);

/// Runs a command that speaks for itself, slowly.
pub fn finish(command: &mut Command) -> Outcome {
    let mut child = match command.process_group(0).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("cannot run {}: {error}", command.get_program().display());
            return Outcome::Failed;
        }
    };
    // Of a group of its own, so that we go on.
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Outcome::Passed,
            Ok(Some(_)) | Err(_) => return Outcome::Failed,
            Ok(None) => {}
        }
        let signal = |signal| {
            // Fails when the group has just ended.
            let _ = group.map(|group| kill_process_group(group, signal));
        };
        signal(Signal::STOP);
        std::thread::sleep(STOPS);
        signal(Signal::CONT);
        std::thread::sleep(RUNS);
    }
}
