//! The events that go out, as one type.

use chat_protocol::event::{
    Authenticated, MessageDeleted, MessageEdited, MessageRead, MessageSent, NewMessage, PresenceChange, TypingStatus,
    server,
};
use chat_protocol::{ApiError, UserStatus};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

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
    /// Any of them, as another node wrote it or as it is written for other nodes.
    Encoded(Encoded),
}

/// An event whose payload is JSON already: it is written once, for however many devices and nodes.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// One of [`server::ALL`].
    pub name: &'static str,
    pub payload: Box<RawValue>,
}

impl ServerEvent {
    /// The event, written.
    pub fn encode(&self) -> serde_json::Result<Encoded> {
        fn written<T: Serialize>(payload: &T) -> serde_json::Result<Box<RawValue>> {
            to_raw_value(payload)
        }
        let payload = match self {
            Self::Authenticated(payload) => written(payload),
            Self::NewMessage(payload) => written(payload),
            Self::MessageSent(payload) => written(payload),
            Self::UserOnline(payload) | Self::UserOffline(payload) => written(payload),
            Self::UserStatusChanged(payload) => written(payload),
            Self::TypingStatus(payload) => written(payload),
            Self::MessageRead(payload) => written(payload),
            Self::MessageEdited(payload) => written(payload),
            Self::MessageDeleted(payload) => written(payload),
            Self::Error(payload) => written(payload),
            Self::Encoded(event) => Ok(event.payload.clone()),
        }?;
        Ok(Encoded {
            name: self.name(),
            payload,
        })
    }

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
            Self::Encoded(event) => event.name,
        }
    }
}
