//! The command line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use chat_spec::Profile;
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cases;
use crate::coverage::Matrix;
use crate::engine::{Case, Run, Target, run as run_cases};
use crate::launch::{Launcher, SERVE};
use crate::mutants;
use crate::report::{Judged, State, Verdict, html, json, terminal};

/// Judges a server of the chat API against its contract.
///
/// Without a command it starts the reference server on an embedded store and judges that.
#[derive(Parser)]
#[command(
    name = "chat-conformance",
    version,
    after_help = "Exit codes: 0 conformant, 1 not, 2 bad usage, 3 the harness itself failed or could not decide, 4 nothing was selected or run."
)]
struct Cli {
    #[command(subcommand)]
    target: Option<Which>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Which {
    /// Judge a running server. Switch its rate limits off first: the suite sends thousands of requests.
    Url {
        /// Where it is: http://127.0.0.1:3000
        url: url::Url,
    },
    /// Print the cases.
    List,
    /// Judge the suite itself: does it fail when it should, and only then?
    #[command(subcommand)]
    Prove(mutants::command::Prove),
}

#[derive(Args)]
struct Options {
    /// What the server claims; a failure elsewhere is information.
    #[arg(long, global = true, value_delimiter = ',', value_name = "PROFILES", default_value = "core,edits,recovery,security", value_parser = profile)]
    claim: Vec<Profile>,
    /// Run only cases whose area or name contains this; may be given several times.
    #[arg(long, global = true, value_name = "TEXT")]
    only: Vec<String>,
    /// Cases at the same time.
    #[arg(long, global = true, default_value_t = 12)]
    jobs: usize,
    /// Fail when something that the contract names was never seen.
    #[arg(long, global = true)]
    coverage_gate: bool,
    /// Where report.html and report.json are written.
    #[arg(long, global = true, value_name = "DIR", default_value = "conformance-report")]
    report: PathBuf,
}

fn profile(name: &str) -> Result<Profile, String> {
    let known = || {
        Profile::ALL
            .iter()
            .map(|profile| profile.name())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = Profile::ALL.iter().find(|profile| profile.name() == name);
    found.copied().ok_or_else(|| format!("profiles are {}", known()))
}

const HARNESS: u8 = 3;
const NOTHING: u8 = 4;

/// Runs the program.
pub fn run() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|first| first == SERVE) {
        args.remove(1);
        return chat_server::cli::run(args);
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(answer) => {
            let _ = answer.print(); // Help or an error: there is nobody left to tell.
            return ExitCode::from(if answer.use_stderr() { 2 } else { 0 });
        }
    };
    let selected = select(&cli.options.only);
    if matches!(cli.target, Some(Which::List)) {
        let lines: String = selected.iter().map(|case| format!("{}\n", case.id())).collect();
        return if io::stdout().write_all(lines.as_bytes()).is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(HARNESS)
        };
    }
    if selected.is_empty() {
        complain("no case fits --only; `chat-conformance list` prints them all");
        return ExitCode::from(NOTHING);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(HARNESS);
        }
    };
    if let Some(Which::Prove(prove)) = &cli.target {
        return match runtime.block_on(mutants::command::perform(prove)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                complain(&error.to_string());
                ExitCode::from(HARNESS)
            }
        };
    }
    match runtime.block_on(judge(&cli, &selected)) {
        Ok(verdict) => ExitCode::from(match verdict {
            Verdict::Conformant => 0,
            Verdict::NotConformant => 1,
            Verdict::Undecided => HARNESS,
            Verdict::NothingRun => NOTHING,
        }),
        Err(text) => {
            complain(&text);
            ExitCode::from(HARNESS)
        }
    }
}

fn select(only: &[String]) -> Vec<Case> {
    let fits = |case: &Case| {
        let name = format!("{}: {}", case.area, case.name);
        only.is_empty() || only.iter().any(|text| name.contains(text.as_str()))
    };
    cases::all().filter(fits).collect()
}

async fn judge(cli: &Cli, selected: &[Case]) -> Result<Verdict, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let (target, launched) = match &cli.target {
        Some(Which::Url { url }) => (Target::new(url.as_str(), None)?, None),
        _ => {
            let launcher = Launcher::reference().map_err(|error| failed(&error))?;
            let launched = launcher.launch(&[]).await.map_err(|error| failed(&error))?;
            complain(&format!(
                "the reference server was ready after {} ms",
                launched.ready_after.as_millis()
            ));
            (Target::new(&launched.base, Some(launcher))?, Some(launched))
        }
    };
    let alive = |target: &Target| {
        let request = target.http.get(format!("{}/api/users/online", target.base));
        async move { request.send().await.map_err(|error| error.to_string()) }
    };
    alive(&target)
        .await
        .map_err(|error| format!("there is no server at {}: {error}", target.base))?;
    let run = with_progress(&target, selected, cli.options.jobs).await;
    let survived = alive(&target).await.is_ok();
    drop(launched);

    let claims: BTreeSet<Profile> = cli.options.claim.iter().copied().collect();
    let judged = Judged::new(&run, &claims, &target.base, survived, cli.options.only.is_empty());
    let mut out = io::stdout().lock();
    out.write_all(terminal::render(&judged, &run).as_bytes())
        .map_err(|error| failed(&error))?;
    let known = judged.states.iter().filter(|(_, state)| **state != State::NotJudged);
    let records = run.results.iter().map(|result| &result.transcript);
    let matrix = Matrix::of(records, &known.map(|(id, _)| *id).collect(), &claims);
    if cli.options.only.is_empty() {
        out.write_all(matrix.text().as_bytes())
            .map_err(|error| failed(&error))?;
    }
    let dir = &cli.options.report;
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for (name, text) in [
        ("report.html", html::render(&judged, &run)),
        ("report.json", json::render(&judged, &run)),
        (
            "coverage.json",
            serde_json::to_string(&matrix).map_err(|error| failed(&error))?,
        ),
    ] {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    writeln!(out, "Report: {}", dir.join("report.html").display()).map_err(|error| failed(&error))?;
    if cli.options.coverage_gate && judged.verdict == Verdict::Conformant && !matrix.missing().is_empty() {
        return Ok(Verdict::Undecided);
    }
    Ok(judged.verdict)
}

async fn with_progress(target: &Target, selected: &[Case], jobs: usize) -> Run {
    let bar = ProgressBar::new(selected.len() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let quiet = !io::stderr().is_terminal();
    if quiet {
        complain(&format!("running {} cases against {}", selected.len(), target.base));
    }
    let run = run_cases(target, selected, jobs, rand::random(), |result| {
        bar.set_message(result.title());
        bar.inc(1);
    });
    let run = run.await;
    bar.finish_and_clear();
    run
}

fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
