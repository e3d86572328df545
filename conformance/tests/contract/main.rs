//! The cases of the suite as tests of the workspace, on every stack: `cargo test -p chat-conformance --test contract typing`.
//!
//! Within one process, the cases of a stack run side by side as the program runs them, and each test waits for its own. Under
//! nextest every test is a process of its own; all of a run share one server for each stack.

mod nextest;
mod stacks;

use std::process::ExitCode;
use std::sync::Arc;

use chat_conformance::cases;
use chat_conformance::launch::Stack;
use libtest_mimic::{Arguments, Trial};

use self::stacks::Judge;

fn main() -> ExitCode {
    if let Some(ended) = chat_conformance::cli::serve_if_asked() {
        return ended;
    }
    let args = Arguments::from_args();
    let mut trials = Vec::new();
    for stack in [Stack::Sqlite, Stack::Mongo, Stack::Cluster] {
        let name = |id: &str| format!("{}::{id}", stack.name());
        let chosen = cases::all().filter(|case| !args.is_filtered_out(&Trial::test(name(&case.id()), || Ok(()))));
        let judge = Arc::new(Judge::new(stack, chosen.collect()));
        for case in cases::all() {
            let (judge, id) = (judge.clone(), case.id());
            trials.push(Trial::ignorable_test(name(&id), move || judge.verdict_of(&id)));
        }
    }
    libtest_mimic::run(&args, trials).exit_code()
}
