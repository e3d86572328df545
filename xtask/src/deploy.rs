//! What is in `deploy/`, and the image of the suite, by the tools of those who read it: Docker, Compose, Kubernetes, systemd, HAProxy.
//! And what none of them knows: that its settings are ours, and that the images are built with our toolchain.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::steps::{Outcome, finish};

/// Of the server and of the conformance suite.
const DOCKERFILES: [&str; 2] = ["deploy/Dockerfile", "conformance/Dockerfile"];
const COMPOSE: [&str; 2] = ["deploy/compose.yml", "deploy/compose.cluster.yml"];
const UNIT: &str = "deploy/chat-server.service";
const BALANCER: &str = "deploy/haproxy.cfg";
const MANIFESTS: &str = "deploy/k8s";
/// The first one whose pods can sleep before they stop without a shell.
const OLDEST_KUBERNETES: &str = "1.30";
/// Of ten: how exposed systemd may find the service, times ten.
const EXPOSED: &str = "--threshold=15";
/// In the environment of other images than ours.
const NOT_OURS: [&str; 9] = [
    "CHAT_1",
    "CHAT_2",
    "CHAT_3",
    "MONGO_INITDB_ROOT_PASSWORD",
    "MONGO_INITDB_ROOT_USERNAME",
    "MONGO_PASSWORD",
    "MONGO_REPLICA_KEY",
    "REDISCLI_AUTH",
    "TLS_CERTIFICATE",
];

/// A tool that is missing is said and is no failure.
pub fn run(root: &Path) -> Outcome {
    let manifests = match manifests(root) {
        Ok(manifests) => manifests,
        Err(error) => {
            eprintln!("{MANIFESTS}: {error}");
            return Outcome::Failed;
        }
    };
    let mut failed = false;
    let found = settings(root, &manifests).and_then(|mut found| {
        found.extend(toolchain(root)?);
        Ok(found)
    });
    match found {
        Ok(found) => {
            failed |= !found.is_empty();
            found.iter().for_each(|finding| eprintln!("{finding}"));
        }
        Err(error) => {
            eprintln!("deploy/: {error}");
            failed = true;
        }
    }
    let mut unchecked = BTreeSet::new();
    for (what, mut tool) in tools(root, &manifests) {
        let name = tool.get_program().to_owned();
        if !is_there(&name) {
            unchecked.insert(format!("{what} (no {})", name.display()));
            continue;
        }
        failed |= !matches!(finish(tool.current_dir(root)), Outcome::Passed);
    }
    failed |= match unit(root) {
        Ok(Some(outcome)) => !matches!(outcome, Outcome::Passed),
        Ok(None) => {
            unchecked.insert(format!("{UNIT} (no systemd-analyze)"));
            false
        }
        Err(error) => {
            eprintln!("{UNIT}: {error}");
            true
        }
    };
    match (failed, unchecked.is_empty()) {
        (true, _) => Outcome::Failed,
        (false, true) => Outcome::Passed,
        (false, false) => {
            let unchecked: Vec<String> = unchecked.into_iter().collect();
            Outcome::Partly(format!("NOT checked: {}", unchecked.join(", ")))
        }
    }
}

fn tools(root: &Path, manifests: &[String]) -> Vec<(&'static str, Command)> {
    let tool = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    let mut compose = tool(
        "check-jsonschema",
        &["--quiet", "--builtin-schema", "vendor.compose-spec"],
    );
    compose.args(COMPOSE);
    let mut all = vec![
        ("the Dockerfiles", tool("hadolint", &DOCKERFILES)),
        ("the compose files", compose),
        (BALANCER, {
            let mut balancer = tool("haproxy", &["-c", "-q", "-f"]);
            balancer.arg(root.join(BALANCER));
            for node in ["CHAT_1", "CHAT_2", "CHAT_3"] {
                balancer.env(node, "127.0.0.1:3000");
            }
            balancer
        }),
    ];
    for version in [&[][..], &["--kubernetes-version", OLDEST_KUBERNETES]] {
        let mut kubernetes = tool("kubernetes-validate", &["--strict", "--quiet"]);
        // Kustomize's own file is of no kind that a cluster knows.
        let known = manifests.iter().filter(|file| !file.ends_with("kustomization.yaml"));
        kubernetes.args(version).args(known);
        all.push((MANIFESTS, kubernetes));
    }
    all
}

fn is_there(program: &OsString) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !asked.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// The unit with a program that exists, which is all that systemd asks of it here.
fn unit(root: &Path) -> io::Result<Option<Outcome>> {
    let analyze = OsString::from("systemd-analyze");
    if !is_there(&analyze) {
        return Ok(None);
    }
    let text = fs::read_to_string(root.join(UNIT))?.replace("/usr/local/bin/chat-server", "/bin/true");
    let scratch = std::env::temp_dir().join(format!("unit-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let copy = scratch.join("chat-server.service");
    fs::write(&copy, text)?;
    let verified = finish(Command::new(&analyze).args(["verify", "--man=no"]).arg(&copy));
    let secure = finish(
        Command::new(&analyze)
            .args(["security", "--offline=yes", EXPOSED])
            .arg(&copy)
            .stdout(Stdio::null()),
    );
    fs::remove_dir_all(&scratch)?;
    let passed = matches!((verified, secure), (Outcome::Passed, Outcome::Passed));
    Ok(Some(if passed { Outcome::Passed } else { Outcome::Failed }))
}

fn manifests(root: &Path) -> io::Result<Vec<String>> {
    let (mut files, mut folders) = (Vec::new(), vec![MANIFESTS.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().display());
            let found = if entry.file_type()?.is_dir() {
                &mut folders
            } else {
                &mut files
            };
            found.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A setting that the server does not know would be ignored without a word.
fn settings(root: &Path, manifests: &[String]) -> io::Result<Vec<String>> {
    let example = fs::read_to_string(root.join(".env.example"))?;
    let known: BTreeSet<&str> = example
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once('='))
        .map(|(name, _)| name)
        .chain(NOT_OURS)
        .collect();
    let mut found = Vec::new();
    let files = COMPOSE
        .into_iter()
        .chain([UNIT])
        .chain(manifests.iter().map(String::as_str));
    for file in files {
        let text = fs::read_to_string(root.join(file))?;
        for (number, name) in named(&text) {
            if !known.contains(name) {
                found.push(format!(
                    "{file}:{number}: the server has no setting {name}, see .env.example"
                ));
            }
        }
    }
    Ok(found)
}

/// `NAME: value` of YAML and `Environment=NAME=value` of systemd, with the number of the line.
fn named(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).filter_map(|(line, number)| {
        let line = line.trim_start();
        let name = match line.strip_prefix("Environment=") {
            Some(variable) => variable.split_once('=')?.0,
            None => line.split_once(':')?.0,
        };
        let is_name = name.len() > 2
            && name
                .bytes()
                .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        is_name.then_some((number, name))
    })
}

/// The images are built with the version that everything was tested with.
fn toolchain(root: &Path) -> io::Result<Vec<String>> {
    let toolchain = fs::read_to_string(root.join("rust-toolchain.toml"))?;
    let version = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'));
    let Some(version) = version else {
        return Ok(vec!["rust-toolchain.toml names no channel".into()]);
    };
    let wanted = [
        format!("RUST_IMAGE=rust:{version}-"),
        format!("RUSTUP_TOOLCHAIN={version}\n"),
    ];
    let mut found = Vec::new();
    for file in DOCKERFILES {
        let text = fs::read_to_string(root.join(file))?;
        let missing = wanted.iter().filter(|wanted| !text.contains(wanted.as_str()));
        found.extend(missing.map(|wanted| format!("{file}: does not say {}", wanted.trim_end())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_in_yaml_and_in_units_and_nothing_else() {
        let text = "# KEY: in a remark\nenvironment:\n  LOG_LEVEL: info\n  TLS_CERTIFICATE:\nkind: Secret\n- name: X\n\
                    Environment=PORT=3000\nEnvironmentFile=/etc/x\nUMask=0077\n  - \"${CHAT_PUBLISH:-127.0.0.1:3000}:3000\"\n";
        let found: Vec<(usize, &str)> = named(text).collect();
        assert_eq!(found, [(3, "LOG_LEVEL"), (4, "TLS_CERTIFICATE"), (7, "PORT")]);
    }

    #[test]
    fn unknown_settings_and_another_toolchain_are_said() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join(MANIFESTS)).unwrap();
        fs::create_dir_all(root.join("conformance")).unwrap();
        for (file, text) in [
            (".env.example", "PORT=3000\n# HOST=127.0.0.1\n# Takes A=B.\n"),
            (COMPOSE[0], "  PORT: 1\n  PROT: 2\n"),
            (COMPOSE[1], "  HOST: ::\n"),
            (UNIT, "Environment=HOTS=::1\n"),
            ("deploy/k8s/configmap.yaml", "  LOGLEVEL: info\n"),
            ("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95.0\"\n"),
            (
                DOCKERFILES[0],
                "ARG RUST_IMAGE=rust:1.95.0-bookworm\nENV RUSTUP_TOOLCHAIN=1.94.0\n",
            ),
            (
                DOCKERFILES[1],
                "ARG RUST_IMAGE=rust:1.95.0-bookworm\nENV RUSTUP_TOOLCHAIN=1.95.0\n",
            ),
        ] {
            fs::write(root.join(file), text).unwrap();
        }
        let manifests = manifests(root).unwrap();
        let said = settings(root, &manifests).unwrap();
        let places: Vec<&str> = said.iter().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(
            places,
            [
                "deploy/compose.yml:2",
                "deploy/chat-server.service:1",
                "deploy/k8s/configmap.yaml:1"
            ]
        );
        assert_eq!(
            toolchain(root).unwrap(),
            ["deploy/Dockerfile: does not say RUSTUP_TOOLCHAIN=1.95.0"]
        );
    }
}
