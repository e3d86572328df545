//! The tests' programs, several at a time: most of them wait for something more than they compute.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::steps::{Outcome, cargo, finish};

/// As many programs run at the same time.
const AT_ONCE: usize = 2;
/// Begun first, for they take longest: what is begun last should be short.
const FIRST: &[&str] = &["faults", "contract", "program", "interop", "cluster"];

/// One executable that cargo made of tests.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    /// `faults (server)`
    name: String,
    target: String,
    executable: PathBuf,
    /// Where cargo would run it.
    directory: PathBuf,
}

/// Builds every test of the workspace and runs them all, with these variables.
pub fn run(root: &Path, variables: &[(&str, PathBuf)]) -> Outcome {
    let programs = match build(root) {
        Ok(programs) => programs,
        Err(why) => {
            eprintln!("{why}");
            return Outcome::Failed;
        }
    };
    let failed = run_all(programs, variables);
    // The examples in the documentation are built as they are run, on all cores.
    let documented = finish(
        cargo(root)
            .args(["test", "--workspace", "--doc", "--no-fail-fast"])
            .envs(variables.iter().map(|(name, value)| (name, value))),
    );
    if !failed.is_empty() {
        eprintln!("failed: {}", failed.join(", "));
        return Outcome::Failed;
    }
    documented
}

fn build(root: &Path) -> Result<Vec<Program>, String> {
    let mut command = cargo(root);
    command.args(["test", "--workspace", "--no-run"]);
    command.arg("--message-format=json-render-diagnostics");
    let built = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !built.status.success() {
        return Err("the tests cannot be built".into());
    }
    let said = String::from_utf8_lossy(&built.stdout);
    let mut programs: Vec<Program> = said.lines().filter_map(program).collect();
    if programs.is_empty() {
        return Err("cargo names no test".into());
    }
    let place = |program: &Program| FIRST.iter().position(|first| *first == program.target);
    programs.sort_by_key(|program| place(program).unwrap_or(FIRST.len()));
    Ok(programs)
}

/// What one of cargo's messages says of a test.
fn program(line: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let executable = message["executable"].as_str().filter(|_| is_test)?;
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?;
    let target = message["target"]["name"].as_str()?;
    let package = directory.file_name()?.to_str()?;
    Some(Program {
        name: format!("{target} ({package})"),
        target: target.to_owned(),
        executable: executable.into(),
        directory: directory.to_owned(),
    })
}

/// Runs them and prints what each said when it has ended. Returns the names of those that failed.
fn run_all(programs: Vec<Program>, variables: &[(&str, PathBuf)]) -> Vec<String> {
    let waiting = Mutex::new(VecDeque::from(programs));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(program) = next() {
                    let began = Instant::now();
                    eprintln!("     Running {}", program.name);
                    let (passed, said) = run_one(&program, variables);
                    let mut shown = std::io::stdout().lock();
                    // Whoever reads no more has seen enough.
                    let _ = write!(shown, "\n== {}, {:.1} s\n", program.name, began.elapsed().as_secs_f64());
                    let _ = shown.write_all(&said);
                    if !passed {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.push(program.name);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Whether it passed, and what it said on both its outputs.
fn run_one(program: &Program, variables: &[(&str, PathBuf)]) -> (bool, Vec<u8>) {
    let ran = || -> std::io::Result<(bool, Vec<u8>)> {
        let (mut output, input) = std::io::pipe()?;
        let mut command = Command::new(&program.executable);
        command
            .current_dir(&program.directory)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            // As cargo does for what it runs.
            .env("CARGO_MANIFEST_DIR", &program.directory)
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input);
        let mut child = command.spawn()?;
        // It has our ends of the pipe, which would else keep it open.
        drop(command);
        let mut said = Vec::new();
        output.read_to_end(&mut said)?;
        Ok((child.wait()?.success(), said))
    };
    ran().unwrap_or_else(|error| (false, format!("cannot be run: {error}\n").into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_from_what_cargo_says() {
        let test = r#"{"reason":"compiler-artifact","manifest_path":"/w/server/Cargo.toml","target":{"name":"faults"},
            "profile":{"test":true},"executable":"/w/target/debug/deps/faults-1"}"#
            .replace('\n', "");
        let found = program(&test).unwrap();
        assert_eq!(found.name, "faults (server)");
        assert_eq!(found.directory, Path::new("/w/server"));
        assert_eq!(
            program(&test.replace("true", "false")),
            None,
            "an ordinary program is no test"
        );
        assert_eq!(
            program(&test.replace("\"/w/target/debug/deps/faults-1\"", "null")),
            None
        );
        assert_eq!(program("Compiling chat-server"), None);
    }

    #[test]
    fn a_failure_and_all_that_was_said_come_back() {
        let shell = |name: &str, executable: &str| Program {
            name: name.into(),
            target: name.into(),
            executable: executable.into(),
            directory: "/".into(),
        };
        let (passed, said) = run_one(&shell("names", "/usr/bin/env"), &[("TEST_OF_TESTS", "seen".into())]);
        assert!(passed && String::from_utf8_lossy(&said).contains("TEST_OF_TESTS=seen"));
        let programs = ["/bin/true", "/bin/false", "/nowhere"].map(|path| shell(path, path));
        let mut failed = run_all(programs.into(), &[]);
        failed.sort();
        assert_eq!(failed, ["/bin/false", "/nowhere"]);
    }
}
