//! Test programs, two at a time: most of what one waits for is no work of the processor.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::backends::Backends;
use crate::steps::{Outcome, cargo, finish, without_ours};

/// They hold what they see against the clock: nothing else runs beside them.
const ALONE: [(&str, &str); 3] = [
    ("chat-server", "chat_server"),
    ("chat-server", "cluster"),
    ("chat-server", "faults"),
];
/// They take longest, and come first, so that none of them is left alone at the end.
const LONG: [&str; 4] = ["contract", "interop", "program", "toy"];
const AT_ONCE: usize = 2;

/// What `cargo test` would run.
#[derive(Debug)]
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
    for failure in &failed {
        eprintln!("FAILED: {failure}");
    }
    match failed.is_empty() {
        true => documented,
        false => Outcome::Failed,
    }
}

fn build(root: &Path) -> Result<Vec<Program>, String> {
    let mut build = cargo(root);
    build.args(["test", "--workspace", "--no-run", "--message-format"]);
    let built = build
        .arg("json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !built.status.success() {
        return Err("the tests do not build".into());
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let programs: Vec<Program> = messages.lines().filter_map(Program::read).collect();
    for (package, target) in ALONE {
        if !programs.iter().any(|program| program.is(package, target)) {
            return Err(format!("{package} has no test {target}, which is to run alone"));
        }
    }
    Ok(programs)
}

impl Program {
    /// From a line of cargo's; none for what is no test.
    fn read(line: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(line).ok()?;
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
            return None;
        }
        let directory = Path::new(message["manifest_path"].as_str()?).parent()?;
        // `path+file:///…/server#chat-server@0.1.0`, or `…/server#0.1.0` where the directory has the name.
        let (place, package) = message["package_id"].as_str()?.rsplit_once('#')?;
        let package = match package.split_once('@') {
            Some((name, _)) => name,
            None => place.rsplit('/').next()?,
        };
        Some(Self {
            package: package.to_owned(),
            target: message["target"]["name"].as_str()?.to_owned(),
            executable: message["executable"].as_str()?.into(),
            directory: directory.to_owned(),
        })
    }

    fn name(&self) -> String {
        format!("{} {}", self.package, self.target)
    }

    fn is(&self, package: &str, target: &str) -> bool {
        self.package == package && self.target == target
    }

    fn is_alone(&self) -> bool {
        ALONE.iter().any(|(package, target)| self.is(package, target))
    }

    /// Runs it as cargo would; what it says goes to a file. A pipe would stay open as long as anything that it has started.
    fn run(&self, said: &File, backends: &Backends) -> io::Result<ExitStatus> {
        let mut command = Command::new(&self.executable);
        without_ours(&mut command)
            .current_dir(&self.directory)
            .env("CARGO_MANIFEST_DIR", &self.directory)
            .env("CARGO_MANIFEST_PATH", self.directory.join("Cargo.toml"))
            .envs(backends.variables())
            .stdout(said.try_clone()?)
            .stderr(said.try_clone()?)
            .status()
    }

    /// Runs it and shows what it said. Why it failed, if it did.
    fn show(&self, backends: &Backends) -> Option<String> {
        eprintln!("running {}", self.name());
        let began = Instant::now();
        let file = std::env::temp_dir().join(format!("test-{}-{}", std::process::id(), self.name().replace(' ', "-")));
        let ran = File::create(&file).and_then(|said| self.run(&said, backends));
        let said = std::fs::read(&file).unwrap_or_default();
        let _ = std::fs::remove_file(&file); // In the directory for what may go.
        let mut out = io::stdout().lock();
        // Whoever listens may have gone; the verdict is the exit code.
        let _ = writeln!(out, "\n== {}, {:.1} s", self.name(), began.elapsed().as_secs_f64());
        let _ = out.write_all(&said);
        match ran {
            Ok(status) if status.success() => None,
            Ok(status) => Some(format!("{}: {status}", self.name())),
            Err(error) => Some(format!("{}: {error}", self.name())),
        }
    }
}

/// Runs them, so many at once; those that failed.
fn lanes(programs: Vec<Program>, at_once: usize, backends: &Backends) -> Vec<String> {
    let (waiting, failed) = (Mutex::new(VecDeque::from(programs)), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|lanes| {
        for _ in 0..at_once {
            lanes.spawn(|| {
                while let Some(program) = next() {
                    let why = program.show(backends);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).extend(why);
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, test: bool) -> String {
        serde_json::json!({
            "reason": "compiler-artifact",
            "package_id": id,
            "manifest_path": "/w/server/Cargo.toml",
            "target": {"name": "faults", "kind": ["test"]},
            "profile": {"test": test},
            "executable": "/w/target/debug/deps/faults-1",
        })
        .to_string()
    }

    #[test]
    fn a_test_is_read_from_what_cargo_says() {
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
