//! Test programs, two at a time: most of what one waits for is no work of the processor.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::backends::Backends;
use crate::steps::{Outcome, cargo, finish};

/// They hold what they see against the clock: nothing else runs beside them.
const ALONE: [(&str, &str); 3] = [
    ("chat-loadtest", "program"),
    ("chat-loadtest", "toy"),
    ("chat-server", "faults"),
];
/// They take longest, and come first, so that none of them is left alone at the end.
const LONG: [&str; 3] = ["contract", "interop", "program"];
const AT_ONCE: usize = 2;

/// What `cargo test` would run.
struct Program {
    package: String,
    target: String,
    executable: PathBuf,
    /// Where cargo would run it.
    directory: PathBuf,
}

/// Builds every test of the workspace and runs them all, those in the documentation last.
pub fn run(root: &Path, backends: &Backends) -> Outcome {
    let programs = match build(root) {
        Ok(programs) => programs,
        Err(why) => {
            eprintln!("{why}");
            return Outcome::Failed;
        }
    };
    let (alone, mut together): (Vec<_>, Vec<_>) = programs.into_iter().partition(Program::is_alone);
    together.sort_by_key(|program| !LONG.contains(&program.target.as_str()));
    let mut failed = lanes(together, AT_ONCE, backends);
    failed.extend(lanes(alone, 1, backends));
    let mut documented = cargo(root);
    documented
        .args(["test", "--workspace", "--no-fail-fast", "--doc"])
        .envs(backends.variables());
    let documented = finish(&mut documented);
    for program in &failed {
        eprintln!("FAILED: {program}");
    }
    match failed.is_empty() {
        true => documented,
        false => Outcome::Failed,
    }
}

fn build(root: &Path) -> Result<Vec<Program>, String> {
    let mut build = cargo(root);
    build.args([
        "test",
        "--workspace",
        "--no-run",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let built = build.stderr(Stdio::inherit()).output();
    let built = built.map_err(|error| format!("cannot run cargo: {error}"))?;
    if !built.status.success() {
        return Err("the tests do not build".into());
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let programs: Vec<Program> = messages.lines().filter_map(Program::read).collect();
    match programs.is_empty() {
        true => Err("cargo says nothing of any test".into()),
        false => Ok(programs),
    }
}

impl Program {
    /// From a line of cargo's; none for what is no test.
    fn read(line: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(line).ok()?;
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
            return None;
        }
        let manifest = Path::new(message["manifest_path"].as_str()?);
        let directory = manifest.parent()?.to_owned();
        // `path+file:///…/server#chat-server@0.1.0`, or without the name where the directory has it.
        let id = message["package_id"].as_str()?.rsplit(['#', '/']).next()?;
        let package = id.split('@').next()?;
        Some(Self {
            package: match package.starts_with(|first: char| first.is_ascii_digit()) {
                true => directory.file_name()?.to_string_lossy().into_owned(),
                false => package.to_owned(),
            },
            target: message["target"]["name"].as_str()?.to_owned(),
            executable: message["executable"].as_str()?.into(),
            directory,
        })
    }

    fn name(&self) -> String {
        format!("{} {}", self.package, self.target)
    }

    fn is_alone(&self) -> bool {
        ALONE.contains(&(&self.package, &self.target))
    }

    /// What it said, and whether it passed.
    fn run(&self, backends: &Backends) -> (Vec<u8>, bool) {
        let mut command = Command::new(&self.executable);
        command
            .current_dir(&self.directory)
            .env("CARGO_MANIFEST_DIR", &self.directory)
            .envs(backends.variables());
        match command.output() {
            Ok(mut output) => {
                output.stdout.append(&mut output.stderr);
                (output.stdout, output.status.success())
            }
            Err(error) => (format!("cannot be run: {error}\n").into(), false),
        }
    }
}

/// Runs them, so many at once; the names of those that failed. What one says is shown whole when it has ended.
fn lanes(programs: Vec<Program>, at_once: usize, backends: &Backends) -> Vec<String> {
    let (waiting, failed) = (Mutex::new(VecDeque::from(programs)), Mutex::default());
    std::thread::scope(|lanes| {
        for _ in 0..at_once {
            lanes.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(program) = next else { break };
                    eprintln!("running {}", program.name());
                    let began = Instant::now();
                    let (said, passed) = program.run(backends);
                    let mut out = std::io::stdout().lock();
                    // Whoever listens may have gone; the verdict is the exit code.
                    let _ = writeln!(out, "\n== {}, {:.1} s", program.name(), began.elapsed().as_secs_f64());
                    let _ = out.write_all(&said);
                    if !passed {
                        let mut failed: std::sync::MutexGuard<'_, Vec<String>> =
                            failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.push(program.name());
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_read_from_what_cargo_says() {
        let line = |id: &str, test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact",
                "package_id": id,
                "manifest_path": "/w/server/Cargo.toml",
                "target": {"name": "faults", "kind": ["test"]},
                "profile": {"test": test},
                "executable": "/w/target/debug/deps/faults-1",
            })
            .to_string()
        };
        let program = Program::read(&line("path+file:///w/server#chat-server@0.1.0", true)).unwrap();
        assert_eq!(program.name(), "chat-server faults");
        assert_eq!(program.directory, Path::new("/w/server"));
        assert!(program.is_alone());
        let program = Program::read(&line("path+file:///w/server#0.1.0", true)).unwrap();
        assert_eq!(program.name(), "server faults");
        assert!(Program::read(&line("path+file:///w/server#0.1.0", false)).is_none());
        assert!(Program::read("Compiling").is_none());
    }
}
