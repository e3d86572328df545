//! The command line.

mod choice;
mod config;
mod options;
mod outputs;
mod select;
mod targets;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use chat_spec::Profile;
use clap::Parser as _;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, timeout_at};

use self::choice::Choice;
use self::config::Config;
use self::options::{Cli, Options, Which};
use crate::cases;
use crate::coverage::Matrix;
use crate::engine::known::{Known, KnownError};
use crate::engine::preflight::preflight;
use crate::engine::{Case, Interruption, Plan, Run, THREADS, Target, Terms};
use crate::launch::SERVE;
use crate::mutants;
use crate::report::{Conclusion, Judged, compare, files, json};

const USAGE: u8 = 2;
const HARNESS: u8 = 3;
const NOTHING: u8 = 4;

/// Why the program ends without a verdict.
enum Failure {
    /// What was asked for makes no sense.
    Usage(String),
    /// The harness or the target could not be made ready.
    Harness(String),
    /// Nothing was selected.
    Nothing(String),
}

/// Runs the program.
pub fn run() -> ExitCode {
    if let Some(ended) = serve_if_asked() {
        return ended;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            let _ = answer.print(); // Help or an error: there is nobody left to tell.
            return ExitCode::from(if answer.use_stderr() { USAGE } else { 0 });
        }
    };
    let (text, code) = match dispatch(&cli) {
        Ok(code) => return ExitCode::from(code),
        Err(Failure::Usage(text)) => (text, USAGE),
        Err(Failure::Harness(text)) => (text, HARNESS),
        Err(Failure::Nothing(text)) => (format!("{text}; `chat-conformance list` prints all cases"), NOTHING),
    };
    complain(&text);
    if cli.judges() {
        // So that nobody takes the verdict of an earlier run for one of this; where that cannot be written, there is none.
        let report = &cli.options.report;
        let _ = files::prepare(report).and_then(|()| files::write_not_run(report, &text));
    }
    ExitCode::from(code)
}

/// Becomes the reference server when the first argument says so: that is how a program with this library starts it.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let asked = args.get(1).is_some_and(|first| first == SERVE);
    asked.then(|| {
        args.remove(1);
        chat_server::cli::run(args)
    })
}

fn dispatch(cli: &Cli) -> Result<u8, Failure> {
    match &cli.target {
        Some(Which::Compare { before, after }) => {
            let text = compare::files(before, after).map_err(Failure::Usage)?;
            return print(&text.text).map(|()| u8::from(text.is_worse));
        }
        Some(Which::Schema) => return print(json::SCHEMA).map(|()| 0),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::Harness(error.to_string()))?;
    if let Some(Which::Prove(prove)) = &cli.target {
        let proved = runtime.block_on(mutants::command::perform(prove, cli.options.stack));
        return proved
            .map(|proved| u8::from(!proved))
            .map_err(|error| Failure::Harness(error.to_string()));
    }
    cli.options.check().map_err(Failure::Usage)?;
    let config = Config::find(cli.options.config.as_deref()).map_err(Failure::Usage)?;
    let choice = Choice::of(cli, &config).map_err(Failure::Usage)?;
    let terms = terms(&cli.options, &config, choice.nodes())?;
    let mut selected = select::select(&cli.options)?;
    let lists_all = matches!(cli.target, Some(Which::List));
    if lists_all || cli.options.list {
        // What a run would skip, and tell of, is not listed; `list` knows no run, and leaves out what was left out in so many words.
        let asked = cli.options.list || cli.options.profile.is_some() || cli.options.claim.is_some();
        selected.retain(|case| {
            let mut profiles = case.profiles().into_iter();
            !asked || profiles.any(|profile| is_chosen(&cli.options, &terms, profile))
        });
        print(&select::listed(&selected))?;
        if !selected.is_empty() {
            return Ok(0);
        }
    }
    if selected.is_empty() {
        return Err(Failure::Nothing("nothing was selected".into()));
    }
    files::prepare(&cli.options.report).map_err(Failure::Harness)?;
    if let Some(path) = &cli.options.write_known {
        outputs::prepare_known(path).map_err(Failure::Usage)?;
    }
    let conclusion = runtime.block_on(judge(&choice, &config, &cli.options, &terms, &selected))?;
    Ok(match conclusion {
        Conclusion::Conformant => 0,
        Conclusion::NotConformant => 1,
        Conclusion::Undecided => HARNESS,
        Conclusion::NothingRun => NOTHING,
    })
}

/// Whether cases of this profile run.
fn is_chosen(options: &Options, terms: &Terms, profile: Profile) -> bool {
    match &options.profile {
        Some(profiles) => profiles.contains(&profile),
        None => terms.claims.contains(&profile),
    }
}

/// What the target claims and which failures are known, from the command line or else the target file.
fn terms(options: &Options, config: &Config, nodes: usize) -> Result<Terms, Failure> {
    let claims = match (&options.claim, &config.claims) {
        (Some(claims), _) => claims.iter().copied().collect(),
        (None, Some(claims)) => claims.iter().copied().collect(),
        (None, None) => options::default_claims(nodes),
    };
    let ids: Vec<String> = cases::all().map(|case| case.id()).collect();
    let wrong = |error: KnownError| Failure::Usage(error.to_string());
    let mut known = Known {
        entries: config.known.clone(),
    };
    known.check_in(&config.path, &ids).map_err(wrong)?;
    for path in options.known.iter().chain(&config.known_failures) {
        known.entries.extend(Known::read(path, &ids).map_err(wrong)?.entries);
    }
    Ok(Terms { claims, known })
}

async fn judge(
    choice: &Choice,
    config: &Config,
    options: &Options,
    terms: &Terms,
    selected: &[Case],
) -> Result<Conclusion, Failure> {
    let interruption = Interruption::by_signals().map_err(|error| Failure::Harness(error.to_string()))?;
    let ends = Instant::now() + options.deadline;
    let begin = async {
        let up = targets::bring_up(choice, config).await.map_err(Failure::Harness)?;
        if !up.said.is_empty() {
            complain(&up.said);
        }
        up.target.claim(&terms.claims);
        let warnings = looked_at(&up.target, options).await?;
        Ok((up, warnings))
    };
    let (up, warnings) = tokio::select! {
        why = interruption.came() => return Err(Failure::Harness(format!("{why} before it began"))),
        begun = timeout_at(ends, begin) => begun.map_err(|_| {
            let seconds = options.deadline.as_secs();
            Failure::Harness(format!("the deadline of {seconds} s came before the run began"))
        })??,
    };
    let run = with_progress(&up.target, selected, options, terms, (ends, &interruption)).await;
    let survived = if run.cut.is_some() && interruption.has_come() {
        // Whatever ended the run may have ended the target as well. But nobody's server is left dead by a case.
        let _ = up.target.restarted().await; // Said by the case that wanted it.
        true
    } else {
        up.target.examine().await.is_ok()
    };
    let log = up.logs().await.map_err(Failure::Harness)?;

    let mut judged = Judged::new(&run, terms, &up.name, survived, options.is_selective());
    judged.warnings = warnings;
    judged.allow_flaky(options.allow_flaky);
    if !options.is_selective() {
        let records = run.results.iter().map(|result| &result.transcript);
        let mut matrix = Matrix::of(records, &judged.judged_requirements(), &terms.claims);
        matrix.excuse(&config.coverage.excused);
        matrix.excuse_inapplicable(&run.results);
        judged.measure(matrix);
    }
    judged.require_coverage(options.coverage_gate);
    outputs::write(&judged, &run, options, &log).map_err(Failure::Harness)?;
    Ok(judged.conclusion)
}

/// Looks at the target before the run; what is wrong with it, unless that makes a run pointless.
async fn looked_at(target: &Target, options: &Options) -> Result<Vec<String>, Failure> {
    if options.no_preflight {
        return Ok(Vec::new());
    }
    let troubles = preflight(target, (!options.is_selective()).then_some(options.deadline)).await;
    let (fatal, others): (Vec<_>, Vec<_>) = troubles.into_iter().partition(|trouble| trouble.fatal);
    if !fatal.is_empty() {
        let lines: Vec<String> = fatal.iter().map(ToString::to_string).collect();
        return Err(Failure::Harness(lines.join("\n")));
    }
    let warnings: Vec<String> = others.iter().map(ToString::to_string).collect();
    warnings.iter().for_each(|warning| complain(warning));
    Ok(warnings)
}

/// Runs the cases, until all are done or something ends the run.
async fn with_progress(
    target: &Target,
    selected: &[Case],
    options: &Options,
    terms: &Terms,
    (ends, interruption): (Instant, &Interruption),
) -> Run {
    let bar = ProgressBar::new(selected.len() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let seed = options.seed.unwrap_or_else(|| rand::random::<u64>() >> 16);
    if !io::stderr().is_terminal() {
        complain(&format!(
            "running {} cases against {} with the seed {seed}",
            selected.len(),
            target.nodes.join(" and ")
        ));
    }
    let plan = Plan {
        target,
        cases: selected,
        jobs: options.jobs,
        seed,
        deadline: ends.saturating_duration_since(Instant::now()),
        interruption,
        watch: true,
        fail_fast: options.fail_fast,
        confirm: !options.no_confirm,
        skip: &|case| {
            let profiles = case.profiles();
            let names: Vec<&str> = profiles.iter().map(|profile| profile.name()).collect();
            let is_chosen = |profile: &Profile| is_chosen(options, terms, *profile);
            (!profiles.iter().any(is_chosen)).then(|| format!("{} is not claimed", names.join(", ")))
        },
        fails: &|result| terms.fails(result),
    };
    let mut failed = 0;
    let run = plan
        .run(|result| {
            if terms.fails(result) {
                failed += 1;
                bar.println(format!("FAIL {}", result.title()));
            }
            let so_far = if failed > 0 {
                format!("{failed} failed, ")
            } else {
                String::new()
            };
            bar.set_message(format!("{so_far}{}", result.title()));
            bar.inc(1);
        })
        .await;
    bar.finish_and_clear();
    run
}

fn print(text: &str) -> Result<(), Failure> {
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(|error| Failure::Harness(error.to_string()))
}

fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
