//! The one error shape of REST, acks and the `error` event (contract, "Everywhere").

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An error as the server sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// For people. Never repeats what was sent.
    pub message: String,
    /// For programs.
    pub code: ErrorCode,
    /// One entry per bad field, with `VALIDATION_ERROR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Vec<FieldError>>,
    /// The `X-Request-Id` of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Seconds after which to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's name on the wire.
    pub field: String,
    /// What the field must be.
    pub message: String,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $wire:literal,)+) => {
        /// What went wrong, for programs.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)+
            /// A code that this version does not know.
            Other(Box<str>),
        }

        impl ErrorCode {
            /// Every code of the contract.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name),+];

            /// The code on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(ErrorCode::$name => $wire,)+
                    ErrorCode::Other(code) => code,
                }
            }
        }

        impl From<&str> for ErrorCode {
            fn from(code: &str) -> Self {
                match code {
                    $($wire => ErrorCode::$name,)+
                    other => ErrorCode::Other(other.into()),
                }
            }
        }
    };
}

codes! {
    /// No such path.
    NotFound = "NOT_FOUND",
    /// The path exists, the method does not.
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    /// Too many requests or events; see `retry_after`.
    RateLimited = "RATE_LIMITED",
    /// No bearer token.
    TokenMissing = "TOKEN_MISSING",
    /// A token that is not good, or of a session that ended.
    TokenInvalid = "TOKEN_INVALID",
    /// A token past its time: refresh.
    TokenExpired = "TOKEN_EXPIRED",
    /// A refresh token used twice: the session has ended.
    RefreshReused = "REFRESH_REUSED",
    /// A body or payload over 64 KiB.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE",
    /// A body that is not `application/json`.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE",
    /// A body that is not JSON.
    MalformedJson = "MALFORMED_JSON",
    /// Bad fields; see `details`.
    ValidationError = "VALIDATION_ERROR",
    /// The username belongs to somebody.
    UsernameTaken = "USERNAME_TAKEN",
    /// The email belongs to somebody.
    EmailTaken = "EMAIL_TAKEN",
    /// Unknown user or wrong password; which, is not said.
    InvalidCredentials = "INVALID_CREDENTIALS",
    /// The password was right, the account is switched off.
    AccountInactive = "ACCOUNT_INACTIVE",
    /// The current password is wrong.
    InvalidCurrentPassword = "INVALID_CURRENT_PASSWORD",
    /// No such user, or not an active one.
    UserNotFound = "USER_NOT_FOUND",
    /// Sender and receiver are the same.
    CannotMessageSelf = "CANNOT_MESSAGE_SELF",
    /// `chatId` is not the chat of these two.
    ChatMismatch = "CHAT_MISMATCH",
    /// The same `clientMessageId` with another receiver, content or type.
    ClientMessageIdReused = "CLIENT_MESSAGE_ID_REUSED",
    /// No such message, or not one of the caller's.
    MessageNotFound = "MESSAGE_NOT_FOUND",
    /// Only the sender may do this.
    NotMessageSender = "NOT_MESSAGE_SENDER",
    /// Only the receiver may do this.
    NotMessageReceiver = "NOT_MESSAGE_RECEIVER",
    /// No such chat, or not one of the caller's.
    ChatNotFound = "CHAT_NOT_FOUND",
    /// The socket is not authenticated.
    Unauthenticated = "UNAUTHENTICATED",
    /// The socket belongs to another user.
    AlreadyAuthenticated = "ALREADY_AUTHENTICATED",
    /// No such event.
    UnknownEvent = "UNKNOWN_EVENT",
    /// Not one of the four statuses.
    InvalidStatus = "INVALID_STATUS",
    /// The server cannot answer now; a retry is safe.
    ServiceUnavailable = "SERVICE_UNAVAILABLE",
    /// The server failed; its log knows the `request_id`.
    InternalError = "INTERNAL_ERROR",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Ok(ErrorCode::from(code.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for code in ErrorCode::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(&serde_json::from_str::<ErrorCode>(&json).unwrap(), code);
        }
    }

    #[test]
    fn unknown_codes_are_kept() {
        let code: ErrorCode = serde_json::from_str("\"TEAPOT\"").unwrap();
        assert_eq!(code, ErrorCode::Other("TEAPOT".into()));
        assert_eq!(code.as_str(), "TEAPOT");
    }
}
