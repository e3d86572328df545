//! The conformance suite, judged: it fails when it should, and only then.

use std::path::Path;

use crate::backends;
use crate::slow;
use crate::steps::{Outcome, cargo, finish};

/// What the reference server runs on.
pub const STACKS: [&str; 3] = ["sqlite", "mongo", "cluster"];

/// Builds the suite with a server that can make mistakes, and lets it loose.
pub fn mutants(root: &Path, args: &[String]) -> Outcome {
    let run = ["run", "--quiet", "-p", "chat-conformance", "--features", "faults", "--"];
    prove(root, &run, "mutants", args, false)
}

/// The suite as it is delivered, again and again.
pub fn flakes(root: &Path, runs: usize, stack: &str, slow: bool) -> Outcome {
    eprintln!("{runs} runs on {stack}");
    let into = root.join("conformance-report/flakes").join(stack);
    let into = into.to_string_lossy();
    let args = ["--runs", &runs.to_string(), "--stack", stack, "--into", &into].map(str::to_owned);
    prove(
        root,
        &["run", "--quiet", "-p", "chat-conformance", "--"],
        "flakes",
        &args,
        slow,
    )
}

fn prove(root: &Path, run: &[&str], what: &str, args: &[String], slowly: bool) -> Outcome {
    // Several nodes need MongoDB and Redis.
    let backends = match backends::provide(root) {
        Ok(backends) => backends,
        Err(why) => {
            eprintln!("{why}");
            return Outcome::Failed;
        }
    };
    let mut command = cargo(root);
    command
        .args(run)
        .args(["prove", what])
        .args(args)
        .envs(backends.variables());
    if !slowly {
        return finish(&mut command);
    }
    // What can be built before is not built slowly.
    match finish(cargo(root).args(["build", "--quiet", "-p", "chat-conformance"])) {
        Outcome::Failed => Outcome::Failed,
        _ => slow::run(&command),
    }
}
