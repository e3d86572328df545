//! Log lines: text for people, JSON in production; on standard error and, with `LOG_DIR`, in daily files.
//!
//! Libraries speak from `warn` on only: below that some of them would log what users wrote.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, Environment, LogLevel};

/// Days of log files that are kept.
const FILES: usize = 14;

/// Writes what is still queued when it is dropped.
#[must_use = "dropping it stops the log"]
pub struct Telemetry {
    _writers: Vec<WorkerGuard>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("cannot log into {dir}: {source}")]
    Directory {
        dir: String,
        source: tracing_appender::rolling::InitError,
    },
    #[error("cannot make the directory {dir} of LOG_DIR: {source}")]
    Make { dir: String, source: io::Error },
    #[error("cannot start the log: {0}")]
    Subscriber(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging for the whole process. Lines are written by threads of their own: a stuck disk or pipe drops lines
/// rather than holding up messages.
pub fn start(config: &Config) -> Result<Telemetry, TelemetryError> {
    let json = config.environment == Environment::Production;
    let (stderr, guard) = tracing_appender::non_blocking(io::stderr());
    let mut writers = vec![guard];
    let mut layers = vec![lines(stderr, json, io::stderr().is_terminal())];
    if let Some(dir) = &config.log_dir {
        let failed = |source: io::Error| TelemetryError::Make {
            dir: dir.display().to_string(),
            source,
        };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let file = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix("chat-server")
            .filename_suffix("log")
            .max_log_files(FILES)
            .build(dir)
            .map_err(|source| TelemetryError::Directory {
                dir: dir.display().to_string(),
                source,
            })?;
        let (file, guard) = tracing_appender::non_blocking(file);
        writers.push(guard);
        layers.push(lines(file, json, false));
    }
    let ours = level(config.log_level);
    let filter = Targets::new()
        .with_default(ours.min(LevelFilter::WARN))
        .with_target("chat_server", ours);
    tracing_subscriber::registry()
        .with(layers.with_filter(filter))
        .try_init()?;
    Ok(Telemetry { _writers: writers })
}

fn lines<S>(writer: NonBlocking, json: bool, ansi: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi && !json);
    if json {
        layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed()
    } else {
        layer.boxed()
    }
}

/// winston's levels on tracing's. One line per request is `info`, so `http` adds nothing to it.
fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info | LogLevel::Http => LevelFilter::INFO,
        LogLevel::Verbose | LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Silly => LevelFilter::TRACE,
    }
}
