//! Every way in which the server says no.
//!
//! Which one to use:
//! - the caller sent something wrong: [`Error::validation`] with one detail per bad field;
//! - a rule of the chat forbids it: [`Error::code`] with the contract's code;
//! - the caller must slow down: [`Error::rate_limited`];
//! - we cannot answer now and a retry is safe: [`Error::unavailable`];
//! - we are at fault: [`Error::internal`]. Its cause is logged under the request id and never sent.

use std::fmt;

use axum::http::StatusCode;
use chat_protocol::{ApiError, ErrorCode, FieldError};

use crate::store::StoreError;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Seconds that a client is told to wait when we do not know better.
const RETRY_AFTER: u64 = 1;

/// A refusal: its code decides the status and the text; the cause is for the log alone.
#[derive(Debug, Clone)]
pub struct Error {
    code: ErrorCode,
    details: Vec<FieldError>,
    retry_after: Option<u64>,
    cause: Option<String>,
}

impl Error {
    /// A refusal without details.
    pub fn code(code: ErrorCode) -> Self {
        Self {
            code,
            details: Vec::new(),
            retry_after: None,
            cause: None,
        }
    }

    /// `VALIDATION_ERROR` for one field. `must` says what the field must be, never what it was.
    pub fn invalid(field: &str, must: &str) -> Self {
        Self::validation(vec![FieldError {
            field: field.into(),
            message: must.into(),
        }])
    }

    /// `VALIDATION_ERROR` for several fields.
    pub fn validation(details: Vec<FieldError>) -> Self {
        Self {
            details,
            ..Self::code(ErrorCode::ValidationError)
        }
    }

    /// `RATE_LIMITED`; `retry_after` in seconds.
    pub fn rate_limited(retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::code(ErrorCode::RateLimited)
        }
    }

    /// `SERVICE_UNAVAILABLE`: nothing was done, a retry is safe.
    pub fn unavailable(cause: impl fmt::Display) -> Self {
        Self {
            retry_after: Some(RETRY_AFTER),
            cause: Some(cause.to_string()),
            ..Self::code(ErrorCode::ServiceUnavailable)
        }
    }

    /// `INTERNAL_ERROR`.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::code(ErrorCode::InternalError)
        }
    }

    pub fn kind(&self) -> &ErrorCode {
        &self.code
    }

    pub fn details(&self) -> &[FieldError] {
        &self.details
    }

    /// Seconds.
    pub fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// What the log says beside the request id.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    pub fn status(&self) -> StatusCode {
        use ErrorCode as C;
        match self.code {
            C::MalformedJson | C::ValidationError | C::CannotMessageSelf | C::ChatMismatch => StatusCode::BAD_REQUEST,
            C::InvalidCurrentPassword | C::InvalidStatus | C::UnknownEvent => StatusCode::BAD_REQUEST,
            C::TokenMissing | C::TokenInvalid | C::TokenExpired | C::RefreshReused => StatusCode::UNAUTHORIZED,
            C::InvalidCredentials | C::Unauthenticated => StatusCode::UNAUTHORIZED,
            C::AccountInactive | C::NotMessageSender | C::NotMessageReceiver => StatusCode::FORBIDDEN,
            C::NotFound | C::UserNotFound | C::MessageNotFound | C::ChatNotFound => StatusCode::NOT_FOUND,
            C::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            C::UsernameTaken | C::EmailTaken | C::ClientMessageIdReused => StatusCode::CONFLICT,
            C::AlreadyAuthenticated => StatusCode::CONFLICT,
            C::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            C::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            C::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            C::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether the log has a cause that the client is only given the id of.
    pub fn is_ours(&self) -> bool {
        self.status().is_server_error()
    }

    /// What is sent.
    pub fn to_api(&self, request_id: Option<&str>) -> ApiError {
        ApiError {
            message: match (fault!(InternalsTold), &self.cause) {
                (true, Some(cause)) => format!("at {}: {cause}", file!()),
                _ => message(&self.code).into(),
            },
            code: self.code.clone(),
            details: (!self.details.is_empty()).then(|| self.details.clone()),
            request_id: request_id.map(Into::into),
            retry_after: self.retry_after,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(message(&self.code))
    }
}

impl std::error::Error for Error {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable(error),
            StoreError::Broken(_) => Self::internal(error),
            StoreError::BadPosition => Self::invalid("cursor", "must be a nextCursor of this list"),
        }
    }
}

fn message(code: &ErrorCode) -> &'static str {
    use ErrorCode as C;
    match code {
        C::NotFound => "There is nothing at this path.",
        C::MethodNotAllowed => "This path does not take this method; see the Allow header.",
        C::RateLimited => "Too many requests; try again after retryAfter seconds.",
        C::TokenMissing => "This call needs an access token: Authorization: Bearer <token>.",
        C::TokenInvalid => "The token is not valid; log in again.",
        C::TokenExpired => "The token has expired; refresh it.",
        C::RefreshReused => "This refresh token was used before; the session has ended. Log in again.",
        C::PayloadTooLarge => "The body or payload is larger than 64 KiB.",
        C::UnsupportedMediaType => "The body must be sent as Content-Type: application/json.",
        C::MalformedJson => "The body is not valid JSON.",
        C::ValidationError => "Some fields are not valid; see details.",
        C::UsernameTaken => "This username is taken.",
        C::EmailTaken => "This email address is taken.",
        C::InvalidCredentials => "No user with this identifier and password.",
        C::AccountInactive => "This account is not active.",
        C::InvalidCurrentPassword => "The current password is not right.",
        C::UserNotFound => "No such user.",
        C::CannotMessageSelf => "Sender and receiver must be two users.",
        C::ChatMismatch => "chatId is not the chat of these two users.",
        C::ClientMessageIdReused => "This clientMessageId was used for another message.",
        C::MessageNotFound => "No such message.",
        C::NotMessageSender => "Only the sender of the message may do this.",
        C::NotMessageReceiver => "Only the receiver of the message may do this.",
        C::ChatNotFound => "No such chat.",
        C::Unauthenticated => "Authenticate first.",
        C::AlreadyAuthenticated => "This socket is authenticated as another user.",
        C::UnknownEvent => "No such event.",
        C::InvalidStatus => "status must be one of online, away, busy, offline.",
        C::ServiceUnavailable => "The server cannot answer now; try again after retryAfter seconds.",
        _ => "The server failed; its log knows this requestId.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_message_and_status() {
        for code in ErrorCode::ALL {
            let error = Error::code(code.clone());
            let is_internal = *code == ErrorCode::InternalError;
            assert_eq!(
                error.status() == StatusCode::INTERNAL_SERVER_ERROR,
                is_internal,
                "{code}"
            );
            assert_eq!(message(code).starts_with("The server failed"), is_internal, "{code}");
        }
    }

    #[test]
    fn causes_are_not_sent() {
        let sent = format!("{:?}", Error::internal("disk /dev/sda1 burns").to_api(Some("r1")));
        assert!(!sent.contains("sda1"), "{sent}");
    }
}
