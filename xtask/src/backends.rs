//! MongoDB and Redis for the tests: in Docker, or as plain programs. Provided before the tests run, so that none of them has
//! to be skipped; afterwards it is said which ones ran.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Chooses: `docker`, `native` or `auto`. The tests read it too.
const CHOICE: &str = "CHAT_TEST_BACKENDS";
/// Names the file in which the tests' library notes what it started.
const RECORD: &str = "CHAT_TEST_BACKENDS_RAN";
/// Makes the images, and with `--binaries` the programs; says which versions.
const SCRIPT: &str = "testcontainers/images/build.sh";

/// What the tests are run on.
pub struct Backends {
    chosen: Backend,
    record: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Backend {
    Docker,
    Native,
}

/// Makes one ready as `CHAT_TEST_BACKENDS` says: by default Docker when a daemon answers, else native. Says what is missing
/// when it cannot.
pub fn provide(root: &Path) -> Result<Backends, String> {
    let wanted = std::env::var(CHOICE).unwrap_or_default();
    let chosen = match wanted.trim() {
        "docker" => docker(root).map(|()| Backend::Docker),
        "native" => native(root).map(|()| Backend::Native),
        "" | "auto" => docker(root).map(|()| Backend::Docker).or_else(|no_docker| {
            native(root)
                .map(|()| Backend::Native)
                .map_err(|no_native| format!("{no_docker}; {no_native}"))
        }),
        other => Err(format!("{CHOICE}={other}, which takes docker, native or auto")),
    };
    let chosen = chosen.map_err(|why| format!("no MongoDB and Redis for the tests: {why}"))?;
    eprintln!("MongoDB and Redis for the tests: {chosen}");
    let record = std::env::temp_dir().join(format!("backends-ran-{}", std::process::id()));
    std::fs::write(&record, "").map_err(|error| format!("cannot write {}: {error}", record.display()))?;
    Ok(Backends { chosen, record })
}

fn docker(root: &Path) -> Result<(), String> {
    if !quietly(Command::new("docker").arg("version")) {
        return Err("no Docker daemon answers".into());
    }
    let images = images(root)?;
    let there = |image: &String| quietly(Command::new("docker").args(["image", "inspect", image]));
    let pulled = |image: &String| quietly(Command::new("docker").args(["pull", "--quiet", image]));
    if images.iter().all(|image| there(image) || pulled(image)) || script(root, &[]) {
        Ok(())
    } else {
        Err(format!("{} can neither be pulled nor made", images.join(" and ")))
    }
}

fn native(root: &Path) -> Result<(), String> {
    let programs = ["mongod", "redis-server"];
    let there = |program: &&str| quietly(Command::new(program).arg("--version"));
    if programs.iter().all(there) || script(root, &["--binaries"]) {
        Ok(())
    } else {
        Err(format!(
            "{} are not in PATH and cannot be fetched",
            programs.join(" and ")
        ))
    }
}

/// The images by the versions that the script has: one place says them.
fn images(root: &Path) -> Result<Vec<String>, String> {
    let script = std::fs::read_to_string(root.join(SCRIPT)).map_err(|error| format!("{SCRIPT}: {error}"))?;
    let version = |name: &str| {
        let begin = format!("{}_VERSION=", name.to_uppercase());
        let version = script.lines().find_map(|line| line.strip_prefix(&begin));
        version.map(|version| format!("{name}:{version}"))
    };
    let both = ["mongo", "redis"].map(|name| version(name).ok_or_else(|| format!("{SCRIPT} has no version of {name}")));
    both.into_iter().collect()
}

fn script(root: &Path, arguments: &[&str]) -> bool {
    let status = Command::new("bash").arg(root.join(SCRIPT)).args(arguments).status();
    status.is_ok_and(|status| status.success())
}

fn quietly(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

impl Backends {
    /// What the tests must be told.
    pub fn variables(&self) -> [(&'static str, PathBuf); 2] {
        [(CHOICE, self.chosen.to_string().into()), (RECORD, self.record.clone())]
    }

    /// Says what ran. When all tests were run, an error if that was not all it should have been.
    pub fn ran(self, all: bool) -> Result<(), String> {
        let record = std::fs::read_to_string(&self.record).unwrap_or_default();
        let _ = std::fs::remove_file(&self.record);
        let started = count(&record);
        if started.is_empty() {
            eprintln!("no MongoDB and no Redis was started for these tests");
        }
        for (part, times) in &started {
            eprintln!("{part}: started {times} times");
        }
        let missing = missing(&started, self.chosen);
        if all && !missing.is_empty() {
            return Err(format!("no test ran on {}", missing.join(" and ")));
        }
        Ok(())
    }
}

/// How often each line is there.
fn count(record: &str) -> BTreeMap<&str, usize> {
    let mut started = BTreeMap::new();
    for line in record.lines() {
        *started.entry(line).or_insert(0) += 1;
    }
    started
}

fn missing(started: &BTreeMap<&str, usize>, chosen: Backend) -> Vec<String> {
    let parts = ["mongod", "redis-server"].map(|program| format!("{program} {chosen}"));
    parts
        .into_iter()
        .filter(|part| !started.contains_key(part.as_str()))
        .collect()
}

/// As the variable takes it.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Native => "native",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_run_on_the_chosen_backend_is_missed() {
        let record = "mongod docker\nredis-server native\nmongod docker\nredis-server docker\n";
        let started = count(record);
        assert_eq!(started["mongod docker"], 2);
        assert!(missing(&started, Backend::Docker).is_empty());
        assert_eq!(missing(&started, Backend::Native), ["mongod native"]);
        assert_eq!(missing(&count(""), Backend::Native).len(), 2);
    }

    #[test]
    fn the_images_are_those_of_the_script() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let images = images(root).unwrap();
        assert!(
            images[0].starts_with("mongo:") && images[1].starts_with("redis:"),
            "{images:?}"
        );
    }
}
