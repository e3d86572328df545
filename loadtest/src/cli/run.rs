//! `chat-loadtest run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::options::{Options, duration, rate};
use super::shown::{Bar, live};
use super::{Failed, before, code, print, say};
use crate::profile::Profile;
use crate::report;
use crate::run::{Session, What, profile};
use crate::schedule::Trace;
use crate::target;

#[derive(Args)]
pub(super) struct RunOptions {
    #[command(flatten)]
    options: Options,
    /// How the rate goes over time.
    #[arg(long, value_enum, default_value = "steady")]
    profile: Profile,
    /// Things that are done in a second, by all users together; of most scenarios, messages. [default: 200; of login-storm 20, for each is
    /// a password to be hashed]
    #[arg(long, value_name = "PER SECOND")]
    rate: Option<f64>,
    /// How long the profile is stretched: 90s, 5m, 2h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasts: Option<Duration>,
    /// Recorded moments instead of a rate: lines of SECONDS or SECONDS,USER.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "lasts"])]
    trace: Option<PathBuf>,
}

pub(super) async fn run(given: RunOptions) -> Result<ExitCode, Failed> {
    let options = &given.options;
    let settings = options.settings()?;
    let per_second = given.rate.unwrap_or(settings.scenario.usual_rate());
    rate(per_second, "--rate", settings.shard.count)?;
    let is_part = settings.shard.count > 1;
    if is_part && settings.start_at.is_none() {
        return Err(Failed::usage(
            "parts that do not start together are not one run: give every --shard the same --start-at",
        ));
    }
    let trace = given.trace.as_deref().map(read).transpose()?;
    let lasts = match &trace {
        Some(trace) => trace.lasts(),
        None => given.lasts.unwrap_or(given.profile.lasts()),
    };
    let sockets = settings.scenario.cast(&settings.size, settings.shard).devices.len();
    options.places()?;
    target::raise_open_files(sockets);
    let target = before(options.target()).await?;
    before(options.preflight(&target, sockets)).await?;
    if given.profile.judges_drift() && !target.resources.tell_memory().await {
        say(
            "beware: nobody tells how much memory the server uses, so whether it grows is not judged\n  → name its --metrics-url",
        );
    }
    let bar = Bar::users(Session::accounts(&settings), options.quiet);
    let session = Session::prepare(settings, target, lasts, || bar.one()).await;
    bar.end();
    let session = session.map_err(Failed::harness)?;
    let mut play = profile(given.profile, per_second, lasts);
    if let Some(trace) = trace {
        play.name = "trace";
        play.load = What::Trace(trace);
    }
    report::clear(&options.report).map_err(Failed::harness)?;
    play.goose = report::goose_files(&options.report);
    play.goose.extend(options.goose.iter().cloned());
    play.watch = live(options.quiet);
    let result = session.play(play).await.map_err(Failed::harness)?;
    report::write(&result, &options.report).map_err(Failed::harness)?;
    print(&report::terminal(&result, &options.report))?;
    // A part alone decides nothing: `merge` does, and a job of parts ends its others when one fails.
    match is_part {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(code(result.verdict.outcome)),
    }
}

fn read(path: &Path) -> Result<Trace, Failed> {
    let failed = |error: &dyn std::fmt::Display| Failed::usage(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let trace: Trace = text.parse().map_err(|error| failed(&error))?;
    if trace.is_empty() {
        return Err(failed(&"there is no moment in it"));
    }
    Ok(trace)
}
