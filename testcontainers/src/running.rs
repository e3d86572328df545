//! A program that runs, wherever it runs: the same can be done to a process and to a container.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use crate::docker::Container;
use crate::error::{Error, ErrorKind};
use crate::process::{Process, read_log};

#[derive(Debug)]
pub(crate) enum Running {
    Process(Process),
    Container(Container),
}

/// How much of the log an error shows, in bytes.
const SHOWN: usize = 2000;

impl Running {
    pub(crate) async fn pause(&self) -> Result<(), Error> {
        match self {
            Self::Process(process) => process.pause().await,
            Self::Container(container) => container.runs().await?.pause().await,
        }
    }

    pub(crate) async fn unpause(&self) -> Result<(), Error> {
        match self {
            Self::Process(process) => process.signal_all(Signal::CONT),
            Self::Container(container) => container.runs().await?.unpause().await,
        }
    }

    /// SIGKILL; returns when it is gone.
    pub(crate) async fn kill(&self) -> Result<(), Error> {
        match self {
            Self::Process(process) => process.kill().await,
            Self::Container(container) => container.runs().await?.kill().await,
        }
    }

    /// SIGTERM; returns how it ended. A paused one is let run on, for it takes no signal but SIGKILL.
    pub(crate) async fn terminate(&self, within: Duration) -> Result<ExitStatus, Error> {
        match self {
            Self::Process(process) => {
                process.signal(Signal::TERM)?;
                match process.signal_all(Signal::CONT) {
                    // It was not paused, and has ended in between.
                    Err(error) if error.kind() == ErrorKind::NotRunning => {}
                    sent => sent?,
                }
                process.end(within).await
            }
            Self::Container(container) => status(container.runs().await?.terminate(within).await?),
        }
    }

    /// Starts what has ended, with the same arguments, port and data.
    pub(crate) async fn start_again(&self) -> Result<(), Error> {
        match self {
            Self::Process(process) => process.start_again(),
            Self::Container(container) => container.start_again().await,
        }
    }

    /// Kills it if it runs, then starts it again; it may not be ready yet.
    pub(crate) async fn restart(&self) -> Result<(), Error> {
        match self.kill().await {
            Err(error) if error.kind() != ErrorKind::NotRunning => Err(error),
            _ => self.start_again().await,
        }
    }

    /// How it ended, if it has.
    pub(crate) async fn ended(&self) -> Result<Option<ExitStatus>, Error> {
        match self {
            Self::Process(process) => process.ended(),
            Self::Container(container) => container.exit_code().await?.map(status).transpose(),
        }
    }

    pub(crate) async fn logs(&self) -> Result<String, Error> {
        match self {
            Self::Process(process) => Ok(read_log(&process.log_file())),
            Self::Container(container) => container.logs().await,
        }
    }

    /// An error about it, with the end of its log.
    pub(crate) async fn failed(&self, kind: ErrorKind, what: &str) -> Error {
        let log = self.logs().await.unwrap_or_default();
        Error::new(kind, format!("{what}{}", shown(&log)))
    }

    /// Lets it run on until another process, the runner of the tests, is gone; then it is removed, and `beside` with it.
    /// Returns where its log is: a file, or the name of a container.
    pub(crate) fn hand_over(self, runner: u32, beside: &Path) -> Result<String, Error> {
        match self {
            Self::Process(process) => {
                let log = process.log_file().to_string_lossy().into_owned();
                process.hand_over(runner, beside)?;
                Ok(log)
            }
            Self::Container(container) => container.hand_over(runner, beside),
        }
    }
}

/// Of a container there is the code alone; a signal is 128 and its number, as in a shell.
fn status(code: i64) -> Result<ExitStatus, Error> {
    match u8::try_from(code) {
        Ok(code) => Ok(ExitStatus::from_raw(i32::from(code) << 8)),
        Err(_) => Err(Error::new(ErrorKind::Docker, format!("a container ended with {code}"))),
    }
}

/// The end of a log, to be put behind an error's text.
fn shown(log: &str) -> String {
    let log = log.trim_end();
    let mut start = log.len().saturating_sub(SHOWN);
    while !log.is_char_boundary(start) {
        start += 1;
    }
    if log.is_empty() {
        "; it logged nothing".into()
    } else {
        format!("; its log ends:\n{}", &log[start..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_the_end_of_a_log_whatever_is_in_it() {
        assert!(shown("").contains("nothing"));
        let long = "ä".repeat(SHOWN) + "the end\n";
        let shown = shown(&long);
        assert!(shown.ends_with("the end") && shown.len() <= SHOWN + 30);
        assert!(ExitStatus::from_raw(0).success());
        assert_eq!(status(137).unwrap().code(), Some(137));
        assert_eq!(status(-1).unwrap_err().kind(), ErrorKind::Docker);
    }
}
