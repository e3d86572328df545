//! Who runs the tests: the process whose end is the end of the run.

use std::fs;
use std::process::Command;

/// A process of ours or above us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runner {
    pub(crate) id: u32,
    /// When it began, in whatever unit: tells it from an earlier process with the same id.
    pub(crate) began: String,
}

/// What is known of a process.
struct Seen {
    name: String,
    parent: u32,
    began: String,
}

/// No chain of parents that matters is longer.
const DEEPEST: usize = 12;

impl Runner {
    /// The nearest process above us that runs tests; where there is none, this process itself.
    ///
    /// `cargo test`, `cargo nextest` and `cargo xtask test` are the parents of the test processes, and the grandparents of the
    /// examples in documentation.
    pub(crate) fn find() -> Self {
        let me = std::process::id();
        let mut above = std::os::unix::process::parent_id();
        for _ in 0..DEEPEST {
            let Some(seen) = look(above) else { break };
            if seen.name.starts_with("cargo") || seen.name == "xtask" {
                return Self {
                    id: above,
                    began: seen.began,
                };
            }
            above = seen.parent;
        }
        Self {
            id: me,
            began: look(me).map_or_else(String::new, |seen| seen.began),
        }
    }
}

fn look(id: u32) -> Option<Seen> {
    if id < 2 {
        return None;
    }
    match fs::read_to_string(format!("/proc/{id}/stat")) {
        Ok(stat) => read_stat(&stat),
        Err(_) => ask_ps(id),
    }
}

/// `PID (NAME) STATE PARENT …`, where the name may have blanks and parentheses, and the 22nd field is the beginning.
fn read_stat(stat: &str) -> Option<Seen> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut fields = after.split_whitespace();
    Some(Seen {
        name: name.to_owned(),
        parent: fields.nth(1)?.parse().ok()?,
        began: fields.nth(17)?.to_owned(),
    })
}

/// Where there is no `/proc`.
fn ask_ps(id: u32) -> Option<Seen> {
    let output = Command::new("ps")
        .args(["-o", "ppid=,lstart=,comm=", "-p", &id.to_string()])
        .output()
        .ok()?;
    read_ps(&String::from_utf8_lossy(&output.stdout))
}

/// `PARENT Tue Nov 24 21:20:21 2026 /path/of/the/program`
fn read_ps(line: &str) -> Option<Seen> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (parent, rest) = fields.split_first()?;
    let (began, command) = rest.split_at_checked(5)?;
    Some(Seen {
        name: command.join(" ").rsplit('/').next()?.to_owned(),
        parent: parent.parse().ok()?,
        began: began.concat().replace(':', ""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a (b) c) S 42 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2\n";
        let seen = read_stat(stat).unwrap();
        assert_eq!(
            (seen.name.as_str(), seen.parent, seen.began.as_str()),
            ("a (b) c", 42, "123456")
        );
        let seen = read_ps("  42 Tue Nov 24 21:20:21 2026 /usr/local/bin/cargo-nextest\n").unwrap();
        let began = "TueNov242120212026";
        assert_eq!(
            (seen.name.as_str(), seen.parent, seen.began.as_str()),
            ("cargo-nextest", 42, began)
        );
        assert!(read_stat("").is_none() && read_ps("").is_none());
    }

    #[test]
    fn the_runner_of_this_very_test_is_found_and_is_the_same_again() {
        let runner = Runner::find();
        assert_eq!(runner, Runner::find());
        assert!(!runner.began.is_empty());
    }
}
