//! A machine of a quarter of the speed: a command and all that it starts, servers and databases too, but for those in Docker, are
//! stopped three quarters of the time.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::steps::Outcome;

/// Short enough for every time-out of the contract, long enough to be more than what switching costs.
const RUNS: Duration = Duration::from_millis(10);
const STOPS: Duration = Duration::from_millis(30);

/// Runs a command that speaks for itself, slowly.
pub fn finish(command: &mut Command) -> Outcome {
    // Of a group of its own: should we be killed while it is stopped, the kernel lets it go on.
    let mut child = match command.process_group(0).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("cannot run {}: {error}", command.get_program().display());
            return Outcome::Failed;
        }
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Outcome::Passed,
            Ok(Some(_)) | Err(_) => return Outcome::Failed,
            Ok(None) => {}
        }
        let running = Instant::now();
        let family = family(child.id());
        std::thread::sleep(RUNS.saturating_sub(running.elapsed()));
        signal(&family, Signal::STOP);
        std::thread::sleep(STOPS);
        signal(&family, Signal::CONT);
    }
}

fn signal(family: &[u32], signal: Signal) {
    for pid in family {
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            // Fails when it has just ended.
            let _ = kill_process(pid, signal);
        }
    }
}

/// A process and all that descend from it, whatever groups they have made of their own; parents come before their children.
fn family(eldest: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let stat = fs::read_to_string(entry.path().join("stat"));
        if let (Some(pid), Some(parent)) = (pid, stat.ok().as_deref().and_then(parent)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family = vec![eldest];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        family.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    family
}

/// Of a line of `/proc/PID/stat`: the name in front may hold anything.
fn parent(stat: &str) -> Option<u32> {
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_family_holds_who_is_in_a_group_of_its_own() {
        assert_eq!(parent("7 (a) b) S 3 7 7"), Some(3));
        let mut child = Command::new("sh");
        let child = child.args(["-c", "echo; exec cat"]).process_group(0);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let found = family(std::process::id());
        assert!(found.contains(&child.id()), "{found:?}");
        assert!(!found.contains(&1), "{found:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!family(std::process::id()).contains(&child.id()));
    }
}
