//! The command line. Flags, help and completions are made from the table of variables.

mod healthcheck;
mod migrate;
mod user;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use clap_complete::Shell;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::config::{Config, Settings, Sources, VARIABLES, Variable, env_example};
use crate::serve::{Listeners, serve};
use crate::telemetry;

/// Bad usage or a bad configuration.
const USAGE: u8 = 2;

/// Why a command ended badly.
enum Failure {
    /// Exit code 2.
    Usage(String),
    /// Exit code 1.
    Failed(String),
}

type Outcome = Result<(), Failure>;

/// Runs the program with its arguments, the first being its name. Exit code 0: done; 1: failed; 2: bad usage or configuration.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match faulty(command()).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(answer) => {
            let _ = answer.print(); // Help or an error: there is nobody left to tell.
            return ExitCode::from(if answer.use_stderr() { USAGE } else { 0 });
        }
    };
    let (code, text) = match perform(&matches) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => (ExitCode::from(USAGE), text),
        Err(Failure::Failed(text)) => (ExitCode::FAILURE, text),
    };
    let _ = writeln!(io::stderr(), "error: {text}");
    code
}

fn perform(matches: &ArgMatches) -> Outcome {
    switch_fault_on(matches)?;
    match matches.subcommand() {
        None | Some(("serve", _)) => start(&sources(matches)),
        Some(("check-config", own)) if own.get_flag("example") => say(&env_example()),
        Some(("check-config", _)) => check_config(&sources(matches)),
        Some(("healthcheck", _)) => healthcheck::perform(&sources(matches)),
        Some(("migrate", own)) => migrate::perform(own, &sources(matches)),
        Some(("user", own)) => user::perform(own, &sources(matches)),
        Some(("openapi", own)) => say(pick(own, chat_spec::OPENAPI_YAML, chat_spec::OPENAPI_JSON)),
        Some(("asyncapi", own)) => say(pick(own, chat_spec::ASYNCAPI_YAML, chat_spec::ASYNCAPI_JSON)),
        Some(("completions", own)) => completions(own),
        #[cfg(feature = "faults")]
        Some(("faults", _)) => {
            let names = crate::fault::Fault::ALL
                .iter()
                .map(|fault| format!("{}\n", fault.name()));
            say(&names.collect::<String>())
        }
        Some((other, _)) => Err(Failure::Usage(format!("no such command: {other}"))),
    }
}

fn command() -> Command {
    let documents = |name: &'static str, about: &'static str| {
        let json = Arg::new("json").long("json").action(ArgAction::SetTrue);
        Command::new(name)
            .about(about)
            .arg(json.help("As JSON instead of YAML"))
    };
    let env_file = Arg::new("env-file")
        .long("env-file")
        .value_name("FILE")
        .default_value(".env")
        .value_parser(clap::value_parser!(PathBuf))
        .value_hint(ValueHint::FilePath)
        .global(true)
        .help("Where variables are read from that are neither flags nor in the environment");
    Command::new("chat-server")
        .about("The reference server of the chat API: REST and Socket.IO on an embedded store or on MongoDB")
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(
            "Started without anything it serves on http://127.0.0.1:3000 and keeps its data in ./data.\n\
             Every flag is also a variable: --port is PORT. Flags win over the environment, the environment over .env.\n\
             Exit codes: 0 done, 1 failed, 2 bad usage or configuration.",
        )
        .args(VARIABLES.iter().map(flag))
        .arg(env_file)
        .subcommand(Command::new("serve").about("Serve until SIGTERM or Ctrl-C (what it does without a command)"))
        .subcommand(
            Command::new("check-config")
                .about("Show every setting, where it comes from, and everything that is wrong")
                .arg(
                    Arg::new("example")
                        .long("example")
                        .action(ArgAction::SetTrue)
                        .help("Print a .env with every variable and its default instead"),
                ),
        )
        .subcommand(healthcheck::command())
        .subcommand(user::command())
        .subcommand(migrate::command())
        .subcommand(documents("openapi", "Print the contract of the REST calls"))
        .subcommand(documents("asyncapi", "Print the contract of the Socket.IO events"))
        .subcommand(
            Command::new("completions")
                .about("Print a completion script: chat-server completions bash > …/chat-server")
                .arg(
                    Arg::new("shell")
                        .required(true)
                        .value_parser(clap::value_parser!(Shell)),
                ),
        )
}

/// Nothing is added in a build without faults.
#[cfg(not(feature = "faults"))]
fn faulty(command: Command) -> Command {
    command
}

#[cfg(not(feature = "faults"))]
fn switch_fault_on(_: &ArgMatches) -> Outcome {
    Ok(())
}

#[cfg(feature = "faults")]
fn faulty(command: Command) -> Command {
    let fault = Arg::new("fault").long("fault").value_name("NAME").global(true);
    command
        .arg(fault.help("A mistake to make, for tests of tests"))
        .subcommand(Command::new("faults").about("Print the mistakes"))
}

#[cfg(feature = "faults")]
fn switch_fault_on(matches: &ArgMatches) -> Outcome {
    match matches.get_one::<String>("fault") {
        None => Ok(()),
        Some(name) => crate::fault::Fault::switch_on(name).map_err(Failure::Usage),
    }
}

fn flag(variable: &'static Variable) -> Arg {
    Arg::new(variable.name)
        .long(variable.flag())
        .value_name("VALUE")
        .value_parser(clap::value_parser!(OsString))
        .global(true)
        .help_heading("Settings")
        .help(format!("{}. {}", variable.help, variable.initial.described()))
        .long_help(format!(
            "{}. {}\nTakes {}.",
            variable.help,
            variable.initial.described(),
            variable.takes
        ))
}

fn sources(matches: &ArgMatches) -> Sources {
    let given = VARIABLES.iter().filter_map(|variable| {
        let value = matches.get_one::<OsString>(variable.name)?;
        Some((variable.name, value.clone()))
    });
    let default = PathBuf::from(".env");
    let env_file = matches.get_one::<PathBuf>("env-file").unwrap_or(&default);
    Sources::gather(given, env_file)
}

fn start(sources: &Sources) -> Outcome {
    let bad = |problems: crate::config::Problems| Failure::Usage(problems.to_string());
    let (config, notices) = Settings::read(sources).and_then(Settings::into_config).map_err(bad)?;
    let _telemetry = telemetry::start(&config).map_err(failed)?;
    for notice in notices {
        tracing::warn!("{notice}");
    }
    runtime(serving_threads(&config))?.block_on(async {
        let stop = stop_signal().map_err(failed)?;
        let app = App::build(config).await.map_err(failed)?;
        let listeners = Listeners::bind(&app.config).await.map_err(failed)?;
        let address = listeners.address().map_err(failed)?;
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "ready");
        say(&format!("listening on http://{address}\n"))?;
        serve(app, listeners, stop).await;
        Ok(())
    })
}

/// Ends with the first SIGTERM or SIGINT; a second one ends the process at once.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        let mut either = async || {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        };
        either().await;
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            std::process::exit(1);
        });
    })
}

fn check_config(sources: &Sources) -> Outcome {
    let settings = Settings::read(sources).map_err(|problems| Failure::Usage(problems.to_string()))?;
    let width = VARIABLES.iter().map(|variable| variable.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for one in settings.effective() {
        text += &format!("{:width$}  {}  [{}]\n", one.name, one.value, one.origin);
    }
    for notice in settings.notices() {
        text += &format!("note: {notice}\n");
    }
    say(&(text + "The configuration is good.\n"))
}

fn completions(own: &ArgMatches) -> Outcome {
    let Some(shell) = own.get_one::<Shell>("shell") else {
        return Err(Failure::Usage("name a shell".into()));
    };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut command(), "chat-server", &mut script);
    io::stdout().write_all(&script).map_err(failed)
}

fn pick(own: &ArgMatches, yaml: &'static str, json: &'static str) -> &'static str {
    if own.get_flag("json") { json } else { yaml }
}

/// One core is the embedded store's: its writer and indexer have threads of their own. With a thread of the runtime for every core
/// they would all wake each other for every message.
fn serving_threads(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let taken = usize::from(config.mongodb_uri.is_none());
    cores.saturating_sub(taken).max(1)
}

fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads);
    builder.enable_all().build().map_err(failed)
}

fn say(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}
