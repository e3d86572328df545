//! The events that go out, as one type.

use chat_protocol::event::{
    Authenticated, MessageDeleted, MessageEdited, MessageRead, MessageSent, NewMessage, PresenceChange, TypingStatus,
    server,
};
use chat_protocol::{ApiError, UserStatus};

/// An event and its payload.
#[derive(Debug, Clone)]
pub enum ServerEvent {
    Authenticated(Authenticated),
    NewMessage(NewMessage),
    MessageSent(MessageSent),
    UserOnline(PresenceChange),
    UserOffline(PresenceChange),
    UserStatusChanged(UserStatus),
    TypingStatus(TypingStatus),
    MessageRead(MessageRead),
    MessageEdited(MessageEdited),
    MessageDeleted(MessageDeleted),
    Error(ApiError),
}

impl ServerEvent {
    /// The name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Authenticated(_) => server::AUTHENTICATED,
            Self::NewMessage(_) => server::NEW_MESSAGE,
            Self::MessageSent(_) => server::MESSAGE_SENT,
            Self::UserOnline(_) => server::USER_ONLINE,
            Self::UserOffline(_) => server::USER_OFFLINE,
            Self::UserStatusChanged(_) => server::USER_STATUS_CHANGED,
            Self::TypingStatus(_) => server::TYPING_STATUS,
            Self::MessageRead(_) => server::MESSAGE_READ,
            Self::MessageEdited(_) => server::MESSAGE_EDITED,
            Self::MessageDeleted(_) => server::MESSAGE_DELETED,
            Self::Error(_) => server::ERROR,
        }
    }
}
