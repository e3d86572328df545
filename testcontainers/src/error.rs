//! One error, with a kind to act on and a text to read.

use std::error::Error as StdError;
use std::{fmt, io};

/// What went wrong. Decide by [`Error::kind`]; the text is for people and may change.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `CHAT_TEST_BACKENDS` says something that is no backend.
    Setting,
    /// There is neither a Docker daemon that answers nor a program to run, or not the one that was asked for.
    NoBackend,
    /// The Docker daemon refused, or the image could be had from nowhere.
    Docker,
    /// The program could not be started.
    Start,
    /// The program ended before it was ready.
    Ended,
    /// It was not ready, or not gone, within its time.
    Late,
    /// The instance is shared with other tests, which must not see it paused, killed or stopped.
    Shared,
    /// The part does not run now: it was killed or stopped, or it ended by itself.
    NotRunning,
    /// The operating system refused: files, sockets, signals.
    Io,
}

impl Error {
    /// What to act on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn caused(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            message: message.into(),
            source: Some(source.into()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// Says what was tried when the operating system refused.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::caused(ErrorKind::Io, what(), error.into()))
    }
}
