//! What would else be shell scripts.

#![allow(unreachable_pub, reason = "a program has no outside")]

mod backends;
mod deny;
mod deploy;
mod documents;
mod semver;
mod steps;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "The workspace's own commands")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make MongoDB and Redis ready and run every test of the workspace.
    Test {
        /// Passed on to `cargo test`: `cargo xtask test -- -p chat-server`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Format, tidy, the contract's validators, what deploys it, deny, clippy, docs and semver: all that CI checks before the tests.
    Lint,
    /// Check the floors, the length of files, names, and the picture in ARCHITECTURE.md.
    Tidy,
    /// All that CI runs: lint, then test.
    Ci,
    /// Measure what the server costs, end to end and in its hot pieces, in a release build. Takes minutes.
    Bench {
        /// Only the end-to-end figures.
        #[arg(long)]
        figures: bool,
    },
}

fn main() -> ExitCode {
    let task = Cli::parse().task;
    let Some(root) = root() else {
        eprintln!("xtask is run by cargo: cargo xtask --help");
        return ExitCode::FAILURE;
    };
    let passed = match task {
        Task::Test { args } => steps::run(&root, &[steps::Step::Test(args)]),
        Task::Lint => steps::run(&root, &steps::lints()),
        Task::Tidy => steps::run(&root, &[steps::Step::Tidy]),
        Task::Bench { figures } => {
            let mut all = vec![steps::Step::Figures];
            if !figures {
                all.push(steps::Step::Bench);
            }
            steps::run(&root, &all)
        }
        Task::Ci => {
            let mut all = steps::lints();
            all.push(steps::Step::Test(Vec::new()));
            steps::run(&root, &all)
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The workspace: where cargo found this package, one up.
fn root() -> Option<PathBuf> {
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    Some(package.parent()?.to_owned())
}
