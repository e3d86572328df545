//! The one error of this crate: a kind, what the server said if it was the server who refused, and a source.
//!
//! | the question | ask |
//! |---|---|
//! | what sort of failure is it? | [`Error::kind`] |
//! | what did the server say? | [`Error::code`], [`Error::details`], [`Error::request_id`] |
//! | may I try again? | [`Error::retryability`], [`Error::retry_after`] |

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chat_protocol::{ApiError, ErrorCode, FieldError};

/// Nobody waits longer because a server said so: it is a mistake, and no clock could count it.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 24 * 3600);

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something did not work. One pointer wide; never shows a secret or what was sent.
pub struct Error(Box<Parts>);

struct Parts {
    kind: ErrorKind,
    /// What was being done or what is wrong, for people.
    what: Cow<'static, str>,
    api: Option<ApiError>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What sort of failure it is. Match on this, never on the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server understood and refused: [`Error::code`] says why.
    Refused,
    /// The server could not be reached, or the connection broke.
    Network,
    /// No answer in time.
    Timeout,
    /// The connection ended before the answer came.
    Disconnected,
    /// The answer is not one of this API's.
    Protocol,
    /// The session has ended: only a new login helps.
    SessionEnded,
    /// A bounded queue has no room: wait, and send slower.
    Full,
    /// What is to be sent is longer than any server of this API takes.
    TooLarge,
    /// The client was shut down.
    Closed,
    /// The tokens could not be kept or read.
    TokenStore,
    /// The file of a [`Position`](crate::Position) could not be written or read.
    Position,
    /// An address or a setting that cannot work.
    Config,
}

/// Whether it makes sense to do the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retryability {
    /// The same would fail again.
    Permanent,
    /// Nothing was done; the same may work later, not before [`Error::retry_after`].
    Transient,
    /// It may have been done. Repeat it when that does no harm: reads, and sends under the same `clientMessageId`.
    Ambiguous,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            kind,
            what: what.into(),
            api: None,
            retry_after: None,
            source: None,
        }))
    }

    /// What the server said.
    pub(crate) fn refused(api: ApiError) -> Self {
        let mut error = Self::new(ErrorKind::Refused, "the server refused");
        let retry_after = api.retry_after.map(Duration::from_secs);
        error.0.api = Some(api);
        error.retry_in(retry_after)
    }

    /// The same for somebody else whom it concerns, without its source.
    pub(crate) fn shared(&self) -> Self {
        Self(Box::new(Parts {
            kind: self.0.kind,
            what: self.0.what.clone(),
            api: self.0.api.clone(),
            retry_after: self.0.retry_after,
            source: None,
        }))
    }

    pub(crate) fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    pub(crate) fn retry_in(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait.or(self.0.retry_after).map(|wait| wait.min(LONGEST_WAIT));
        self
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The server's code, when it was the server who refused.
    #[must_use]
    pub fn code(&self) -> Option<&ErrorCode> {
        self.0.api.as_ref().map(|api| &api.code)
    }

    /// What is wrong with each field, with [`ErrorCode::ValidationError`]; else empty.
    #[must_use]
    pub fn details(&self) -> &[FieldError] {
        let details = self.0.api.as_ref().and_then(|api| api.details.as_deref());
        details.unwrap_or_default()
    }

    /// The id under which the server's log knows the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.api.as_ref()?.request_id.as_deref()
    }

    /// How long the server asks to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether it makes sense to do the same again. The client has then already tried as long as its settings allow.
    #[must_use]
    pub fn retryability(&self) -> Retryability {
        match self.0.kind {
            ErrorKind::Refused => match self.code() {
                Some(ErrorCode::RateLimited | ErrorCode::ServiceUnavailable) => Retryability::Transient,
                // The server's own failure: nobody knows how far it came.
                Some(ErrorCode::InternalError) => Retryability::Ambiguous,
                _ => Retryability::Permanent,
            },
            ErrorKind::Network | ErrorKind::Full => Retryability::Transient,
            ErrorKind::Timeout | ErrorKind::Disconnected => Retryability::Ambiguous,
            ErrorKind::Protocol => Retryability::Ambiguous,
            ErrorKind::SessionEnded
            | ErrorKind::Closed
            | ErrorKind::TooLarge
            | ErrorKind::TokenStore
            | ErrorKind::Position
            | ErrorKind::Config => Retryability::Permanent,
        }
    }

    /// Whether other tokens may help.
    pub(crate) fn is_about_token(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::TokenExpired | ErrorCode::TokenInvalid))
    }

    /// Whether the server refused with this code.
    #[must_use]
    pub fn is(&self, code: &ErrorCode) -> bool {
        self.code() == Some(code)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.api {
            Some(api) => write!(f, "{}: {} ({})", self.0.what, api.message, api.code),
            None => f.write_str(&self.0.what),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Error");
        shown.field("kind", &self.0.kind).field("what", &self.0.what);
        if let Some(api) = &self.0.api {
            shown.field("api", api);
        }
        if let Some(source) = &self.0.source {
            shown.field("source", source);
        }
        shown.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: ErrorCode, retry_after: Option<u64>) -> Error {
        Error::refused(ApiError {
            message: "No.".into(),
            code,
            details: None,
            request_id: Some("r1".into()),
            retry_after,
        })
    }

    #[test]
    fn the_code_decides_whether_to_try_again() {
        let limited = refusal(ErrorCode::RateLimited, Some(7));
        assert_eq!(limited.retryability(), Retryability::Transient);
        assert_eq!(limited.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(limited.request_id(), Some("r1"));
        let unknown = refusal(ErrorCode::Other("TEAPOT".into()), None);
        assert_eq!(unknown.retryability(), Retryability::Permanent);
        assert_eq!(unknown.to_string(), "the server refused: No. (TEAPOT)");
    }

    #[test]
    fn no_wait_is_longer_than_a_clock_can_count() {
        let endless = refusal(ErrorCode::RateLimited, Some(u64::MAX));
        let until = std::time::Instant::now().checked_add(endless.retry_after().unwrap());
        assert!(until.is_some());
        let endless = endless.retry_in(Some(Duration::MAX)).shared();
        assert_eq!(endless.retry_after(), Some(LONGEST_WAIT));
        assert!(endless.is(&ErrorCode::RateLimited));
    }

    #[test]
    fn it_is_one_pointer_wide_and_travels() {
        fn travels<T: Send + Sync + 'static>() {}
        travels::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
