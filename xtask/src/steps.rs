//! What CI does, step by step. A step that fails does not keep the others from being run.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{backends, deny, deploy, documents, programs, proof, semver, tidy};

/// Of the suite, with the server in it.
const FAULTS: &str = "chat-conformance/faults";

pub enum Step {
    Format,
    Clippy,
    Deny,
    Tidy,
    /// The two documents of the contract, by their formats' own validators.
    Documents,
    /// What is in `deploy/`, by the tools of those who read it.
    Deploy,
    /// What is published, against its last release.
    Semver,
    /// The pages that rustdoc makes of our comments.
    Docs,
    /// The end-to-end figures of the server.
    Figures,
    /// The hot pieces, by criterion.
    Bench,
    /// The conformance suite before a server that breaks the contract on purpose.
    Mutants(Vec<String>),
    /// The conformance suite so often on a stack.
    Flakes {
        runs: usize,
        stack: String,
        slow: bool,
    },
    /// All of them; with arguments for `cargo test`, what those choose.
    Test(Vec<String>),
}

/// What a step found.
pub enum Outcome {
    Passed,
    /// Passed as far as it could look; says what nobody looked at.
    Partly(String),
    Failed,
}

/// Everything but the tests, the quickest first.
pub fn lints() -> Vec<Step> {
    vec![
        Step::Format,
        Step::Tidy,
        Step::Documents,
        Step::Deploy,
        Step::Deny,
        Step::Clippy,
        Step::Docs,
        Step::Semver,
    ]
}

/// Runs the steps and says in the end how each went. Returns whether none failed.
pub fn run(root: &Path, steps: &[Step]) -> bool {
    let mut ran: Vec<(&str, Duration, Outcome)> = Vec::new();
    for step in steps {
        if steps.len() > 1 {
            eprintln!("== {}", step.name());
        }
        let started = Instant::now();
        let outcome = step.run(root);
        ran.push((step.name(), started.elapsed(), outcome));
    }
    if steps.len() > 1 {
        eprintln!("==");
        for (name, took, outcome) in &ran {
            let said = match outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Partly(gap) => format!("passed, but {gap}"),
                Outcome::Failed => "FAILED".to_owned(),
            };
            eprintln!("{name:>9} {:>6.1} s  {said}", took.as_secs_f64());
        }
    }
    !ran.iter().any(|(_, _, outcome)| matches!(outcome, Outcome::Failed))
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Format => "fmt",
            Self::Clippy => "clippy",
            Self::Deny => "deny",
            Self::Tidy => "tidy",
            Self::Documents => "documents",
            Self::Deploy => "deploy",
            Self::Docs => "docs",
            Self::Semver => "semver",
            Self::Figures => "figures",
            Self::Bench => "bench",
            Self::Mutants(_) => "mutants",
            Self::Flakes { .. } => "flakes",
            Self::Test(_) => "test",
        }
    }

    fn run(&self, root: &Path) -> Outcome {
        match self {
            Self::Format => finish(cargo(root).args(["fmt", "--all", "--check"])),
            Self::Clippy => {
                let clippy = |what: &[&str]| {
                    let mut clippy = cargo(root);
                    clippy.arg("clippy").args(what);
                    finish(clippy.args(["--workspace", "--", "--deny", "warnings"]))
                };
                match clippy(&["--all-targets"]) {
                    // The mistakes that prove the suite are compiled nowhere else. Of the whole workspace and with a test, the
                    // emptiest: so that what is beneath has the same features as a moment ago, and is not checked again.
                    Outcome::Passed => clippy(&["--lib", "--test", "faultless", "--features", FAULTS]),
                    failed => failed,
                }
            }
            Self::Deny => deny::run(root),
            Self::Tidy => tidy::run(root),
            Self::Documents => documents::run(root),
            Self::Deploy => deploy::run(root),
            Self::Semver => semver::run(root),
            Self::Docs => finish(
                cargo(root)
                    .args(["doc", "--workspace", "--no-deps"])
                    .env("RUSTDOCFLAGS", "-D warnings"),
            ),
            Self::Figures => {
                let build = [
                    "build",
                    "--release",
                    "-p",
                    "chat-server",
                    "--bins",
                    "--example",
                    "figures",
                ];
                match finish(cargo(root).args(build)) {
                    Outcome::Passed => {
                        finish(cargo(root).args(["run", "--release", "-p", "chat-server", "--example", "figures"]))
                    }
                    failed => failed,
                }
            }
            Self::Bench => {
                let with_benches = ["chat-server", "chat-client", "chat-loadtest"];
                let packages = with_benches.iter().flat_map(|package| ["-p", package]);
                finish(cargo(root).arg("bench").args(packages).args(["--bench", "hot"]))
            }
            Self::Mutants(args) => proof::mutants(root, args),
            Self::Flakes { runs, stack, slow } => proof::flakes(root, *runs, stack, *slow),
            Self::Test(args) => test(root, args),
        }
    }
}

/// A test that finds no MongoDB or Redis would have to be skipped: so they are made ready, or nothing is run.
fn test(root: &Path, args: &[String]) -> Outcome {
    let backends = match backends::provide(root) {
        Ok(backends) => backends,
        Err(why) => {
            eprintln!("{why}");
            return Outcome::Failed;
        }
    };
    let tested = match args {
        [] => programs::run(root, &backends),
        _ => chosen(root, args, &backends),
    };
    match backends.ran(args.is_empty()) {
        Ok(()) => tested,
        Err(why) => {
            eprintln!("{why}");
            Outcome::Failed
        }
    }
}

fn chosen(root: &Path, args: &[String], backends: &backends::Backends) -> Outcome {
    let mut command = cargo(root);
    command.args(["test", "--no-fail-fast"]).envs(backends.variables());
    // With a package beside it, `--workspace` would win.
    let mut for_cargo = args.iter().take_while(|argument| *argument != "--");
    if !for_cargo.any(|argument| argument.starts_with("-p") || argument.starts_with("--package")) {
        command.arg("--workspace");
    }
    finish(command.args(args))
}

/// The cargo that runs us, at the root of the workspace.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    without_ours(&mut command).current_dir(root);
    command
}

/// What `cargo run` says of xtask is not true of others. Some build scripts look at it, and a `cargo test` by hand would build
/// everything above them anew.
pub fn without_ours(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command that speaks for itself.
pub fn finish(command: &mut Command) -> Outcome {
    match command.status() {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(_) => Outcome::Failed,
        Err(error) => {
            eprintln!("cannot run {}: {error}", command.get_program().display());
            Outcome::Failed
        }
    }
}
