//! What would else be shell scripts.

#![allow(unreachable_pub, reason = "a program has no outside")]

mod backends;
mod deny;
mod deploy;
mod documents;
mod programs;
mod proof;
mod semver;
mod slow;
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
    /// Break the contract on purpose, on the wire and in the server, and see whether the conformance suite notices. Takes
    /// minutes.
    Mutants {
        /// Passed on to `chat-conformance prove mutants`: `cargo xtask mutants -- --mutant fault/`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run the conformance suite again and again on the reference server: every failure is a false alarm.
    Flakes {
        /// How often on each stack.
        #[arg(long, default_value_t = 50)]
        runs: usize,
        /// Only on this one: sqlite, mongo or cluster.
        #[arg(long)]
        stack: Option<String>,
        /// With a quarter of the processors' time, which needs root.
        #[arg(long)]
        slow: bool,
    },
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
        Task::Mutants { args } => steps::run(&root, &[steps::Step::Mutants(args)]),
        Task::Flakes { runs, stack, slow } => {
            let stacks = stack.map_or_else(|| proof::STACKS.map(str::to_owned).to_vec(), |stack| vec![stack]);
            let flakes = stacks
                .into_iter()
                .map(|stack| steps::Step::Flakes { runs, stack, slow });
            steps::run(&root, &flakes.collect::<Vec<_>>())
        }
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
