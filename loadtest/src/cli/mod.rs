//! The command line; also becomes the server that is loaded.

mod capacity;
mod options;
mod run;
mod settle;
mod shown;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::attack;
use crate::result::Outcome;
use crate::target::{self, OWNED, SERVE};

/// Finds how much a server of the chat API bears, at what latency for the other user, and whether it lost any of it.
///
/// Without --url or --stack it loads a reference server of its own, in a process of its own.
#[derive(Parser)]
#[command(
    name = "chat-loadtest",
    version,
    after_help = "Exit codes: 0 passed, 1 failed (or a regression), 2 bad usage, 3 the run could not be made, 4 invalid: the \
                  generator was the bottleneck, or the run was ended early or had nothing to do, 5 it cannot be told, 130 a second signal \
                  ended it at once. A part (--shard) is 0 once its result is written: merge judges the whole."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play a scenario by a profile and judge it.
    Run(Box<run::RunOptions>),
    /// Search for the highest rate that keeps the objective.
    Capacity(Box<capacity::CapacityOptions>),
    /// Hold new results against older ones: is it slower?
    ///
    /// Of one run a side how much runs differ is not known, and a second pair has to say the same. Of several a side it is: of three
    /// or more, made in turns, the answer is surer than any longer run makes it.
    Compare {
        /// The result.json to compare with; or a directory of several runs: its own and those of the directories in it.
        base: PathBuf,
        /// The result.json that is judged, or a directory of several.
        new: PathBuf,
        /// How much worse it may be, as a part: 0.05 lets pass 5 %.
        #[arg(long, default_value_t = 0.05, value_name = "PART")]
        tolerance: f64,
        /// A Markdown summary is written here.
        #[arg(long, value_name = "FILE")]
        markdown: Option<PathBuf>,
    },
    /// Make one report of the parts of a run that several generators made.
    Merge {
        /// The result.json of every shard.
        #[arg(required = true)]
        parts: Vec<PathBuf>,
        /// Where the reports are written.
        #[arg(long, value_name = "DIR", default_value = "loadtest-report")]
        report: PathBuf,
    },
    /// Write the reports of a result anew.
    Report {
        /// A result.json.
        result: PathBuf,
        /// Where they are written, with a copy of the result; beside it when left out.
        #[arg(long, value_name = "DIR")]
        report: Option<PathBuf>,
    },
    /// Print the JSON Schema of result.json.
    Schema,
}

const HARNESS: u8 = 3;

/// Runs the program.
#[must_use]
pub fn run() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|first| first == SERVE) {
        args.remove(1);
        return chat_server::cli::run(args);
    }
    if args.get(1).is_some_and(|first| first == OWNED) {
        args.remove(1);
        if args.len() > 1 {
            let data = args.remove(1);
            target::end_with_parent(data.clone().into());
            args.extend(["--data-dir".into(), data]);
        }
        return chat_server::cli::run(args);
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(answer) => {
            let _ = answer.print(); // Help or an error: there is nobody left to tell.
            return ExitCode::from(if answer.use_stderr() { 2 } else { 0 });
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&error.to_string());
            return ExitCode::from(HARNESS);
        }
    };
    match runtime.block_on(carry_out(cli.command)) {
        Ok(code) => code,
        Err(Failed { code, text }) => {
            say(&text);
            ExitCode::from(code)
        }
    }
}

/// Why nothing came of it, and the exit code that says so.
struct Failed {
    code: u8,
    text: String,
}

impl Failed {
    fn usage(text: impl ToString) -> Self {
        Self {
            code: 2,
            text: text.to_string(),
        }
    }

    fn harness(text: impl ToString) -> Self {
        Self {
            code: HARNESS,
            text: text.to_string(),
        }
    }
}

async fn carry_out(command: Command) -> Result<ExitCode, Failed> {
    if matches!(command, Command::Run(_) | Command::Capacity(_)) {
        attack::listen(|| say("it comes to its end; another signal ends it at once"));
    }
    match command {
        Command::Run(options) => run::run(*options).await,
        Command::Capacity(options) => capacity::run(*options).await,
        Command::Compare {
            base,
            new,
            tolerance,
            markdown,
        } => settle::compare(&base, &new, tolerance, markdown.as_deref()),
        Command::Merge { parts, report } => settle::merge(&parts, &report),
        Command::Report { result, report } => settle::report(&result, report.as_deref()),
        Command::Schema => {
            print(crate::result::SCHEMA)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What comes before a run, unless somebody ends it there.
async fn before<T>(doing: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    tokio::select! {
        done = doing => done,
        () = attack::interrupted() => Err(Failed::harness("it was ended before it began")),
    }
}

fn code(outcome: Outcome) -> ExitCode {
    ExitCode::from(match outcome {
        Outcome::Passed => 0,
        Outcome::Failed => 1,
        Outcome::Invalid => 4,
        Outcome::Unsure => 5,
    })
}

fn print(text: &str) -> Result<(), Failed> {
    std::io::stdout().write_all(text.as_bytes()).map_err(Failed::harness)
}

/// To whoever looks on; when nobody can, nobody does.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
