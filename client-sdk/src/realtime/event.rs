//! The events that a server sends, by type.

use chat_protocol::event::{
    Authenticated, MessageDeleted, MessageEdited, MessageRead, MessageSent, NewMessage, PresenceChange, TypingStatus,
    server,
};
use chat_protocol::{ApiError, UserStatus};

use super::incoming::RawEvent;
use crate::Result;

/// What the server tells, each with what the contract has in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The socket belongs to this user now.
    Authenticated(Authenticated),
    /// A message to this user, or from another device of theirs.
    NewMessage(NewMessage),
    /// A message that this socket sent is stored.
    MessageSent(MessageSent),
    /// A chat partner came.
    UserOnline(PresenceChange),
    /// A chat partner went.
    UserOffline(PresenceChange),
    /// A chat partner, or this user elsewhere, chose a status.
    UserStatusChanged(UserStatus),
    /// A chat partner types, or stopped.
    TypingStatus(TypingStatus),
    /// A message was read.
    MessageRead(MessageRead),
    /// A message was edited.
    MessageEdited(MessageEdited),
    /// A message was deleted.
    MessageDeleted(MessageDeleted),
    /// An event without ack failed, or the socket is about to end.
    Error(ApiError),
    /// An event that this version does not know; [`RawEvent::name`] tells which.
    Unknown,
}

impl Event {
    pub(super) fn read(raw: &RawEvent) -> Result<Self> {
        Ok(match raw.name() {
            server::AUTHENTICATED => Self::Authenticated(raw.payload()?),
            server::NEW_MESSAGE => Self::NewMessage(raw.payload()?),
            server::MESSAGE_SENT => Self::MessageSent(raw.payload()?),
            server::USER_ONLINE => Self::UserOnline(raw.payload()?),
            server::USER_OFFLINE => Self::UserOffline(raw.payload()?),
            server::USER_STATUS_CHANGED => Self::UserStatusChanged(raw.payload()?),
            server::TYPING_STATUS => Self::TypingStatus(raw.payload()?),
            server::MESSAGE_READ => Self::MessageRead(raw.payload()?),
            server::MESSAGE_EDITED => Self::MessageEdited(raw.payload()?),
            server::MESSAGE_DELETED => Self::MessageDeleted(raw.payload()?),
            server::ERROR => Self::Error(raw.payload()?),
            _ => Self::Unknown,
        })
    }
}
