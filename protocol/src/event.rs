//! Socket.IO events (protocol 5, namespace `/`): names, payloads and acks.

use serde::{Deserialize, Serialize};

use crate::{ApiError, ChatId, ClientMessageId, Message, MessageId, MessageType, OwnUser, Status, Timestamp, UserId};

/// Names of the events that a client sends.
pub mod client {
    /// [`super::Authenticate`].
    pub const AUTHENTICATE: &str = "authenticate";
    /// [`super::JoinChat`].
    pub const JOIN_CHAT: &str = "join_chat";
    /// [`crate::SendMessage`].
    pub const SEND_MESSAGE: &str = "send_message";
    /// [`super::Typing`].
    pub const TYPING: &str = "typing";
    /// [`super::ReadReceipt`].
    pub const READ_RECEIPT: &str = "read_receipt";
    /// [`super::UpdateStatus`].
    pub const UPDATE_STATUS: &str = "update_status";
    /// All of them.
    pub const ALL: [&str; 6] = [
        AUTHENTICATE,
        JOIN_CHAT,
        SEND_MESSAGE,
        TYPING,
        READ_RECEIPT,
        UPDATE_STATUS,
    ];
}

/// Names of the events that a server sends.
pub mod server {
    /// [`super::Authenticated`].
    pub const AUTHENTICATED: &str = "authenticated";
    /// [`super::NewMessage`].
    pub const NEW_MESSAGE: &str = "new_message";
    /// [`super::MessageSent`].
    pub const MESSAGE_SENT: &str = "message_sent";
    /// [`super::PresenceChange`].
    pub const USER_ONLINE: &str = "user_online";
    /// [`super::PresenceChange`].
    pub const USER_OFFLINE: &str = "user_offline";
    /// [`crate::UserStatus`].
    pub const USER_STATUS_CHANGED: &str = "user_status_changed";
    /// [`super::TypingStatus`].
    pub const TYPING_STATUS: &str = "typing_status";
    /// [`super::MessageRead`].
    pub const MESSAGE_READ: &str = "message_read";
    /// [`super::MessageEdited`].
    pub const MESSAGE_EDITED: &str = "message_edited";
    /// [`super::MessageDeleted`].
    pub const MESSAGE_DELETED: &str = "message_deleted";
    /// [`crate::ApiError`].
    pub const ERROR: &str = "error";
    /// All of them.
    pub const ALL: [&str; 11] = [
        AUTHENTICATED,
        NEW_MESSAGE,
        MESSAGE_SENT,
        USER_ONLINE,
        USER_OFFLINE,
        USER_STATUS_CHANGED,
        TYPING_STATUS,
        MESSAGE_READ,
        MESSAGE_EDITED,
        MESSAGE_DELETED,
        ERROR,
    ];
}

/// `authenticate`, and the `auth` of the handshake.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticate {
    /// An access token.
    pub token: String,
}

impl std::fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticate").finish_non_exhaustive()
    }
}

/// `join_chat`: marks the chat as open on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinChat {
    /// Which chat.
    pub chat_id: ChatId,
}

/// `typing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    /// Who shall see it.
    pub to: UserId,
    /// Started or stopped.
    pub is_typing: bool,
}

/// `read_receipt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadReceipt {
    /// Which message.
    pub message_id: MessageId,
    /// In which chat.
    pub chat_id: ChatId,
}

/// `update_status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateStatus {
    /// The new status; `Offline` is invisible.
    pub status: Status,
}

/// `authenticated`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticated {
    /// The socket's user.
    pub user: OwnUser,
}

/// `new_message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewMessage {
    /// Which message.
    pub message_id: MessageId,
    /// In which chat.
    pub chat_id: ChatId,
    /// Its place in the chat.
    pub seq: Option<u64>,
    /// Who wrote it.
    pub sender: UserId,
    /// To whom.
    pub receiver: UserId,
    /// What.
    pub content: String,
    /// Of which type.
    pub message_type: MessageType,
    /// When it was stored.
    pub timestamp: Timestamp,
}

/// `message_sent`, and the success of `send_message`'s ack (there without `clientMessageId`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageSent {
    /// Which message.
    pub message_id: MessageId,
    /// In which chat.
    pub chat_id: ChatId,
    /// Its place in the chat.
    pub seq: Option<u64>,
    /// When it was stored.
    pub timestamp: Timestamp,
    /// As it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<ClientMessageId>,
}

/// `user_online` and `user_offline`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PresenceChange {
    /// Who.
    pub user_id: UserId,
    /// Under which name.
    pub username: String,
    /// The status now.
    pub status: Status,
}

/// `typing_status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypingStatus {
    /// Who types.
    pub from: UserId,
    /// Started or stopped.
    pub is_typing: bool,
    /// When.
    pub timestamp: Timestamp,
}

/// `message_read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRead {
    /// Which message.
    pub message_id: MessageId,
    /// In which chat.
    pub chat_id: ChatId,
    /// When it was first read.
    pub read_at: Timestamp,
    /// Who read it.
    pub reader_id: UserId,
}

/// `message_edited`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageEdited {
    /// The message as it is now.
    pub message: Message,
}

/// `message_deleted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageDeleted {
    /// Which message.
    pub message_id: MessageId,
    /// In which chat.
    pub chat_id: ChatId,
    /// When.
    pub deleted_at: Timestamp,
}

/// Every ack: `{ok: true, …}` or `{ok: false, error}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ack<T> {
    /// It was done; the fields of `T` stand beside `ok`.
    Ok(T),
    /// It was not done.
    Err(ApiError),
}

impl<T: Serialize> Serialize for Ack<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Done<'a, T> {
            ok: bool,
            #[serde(flatten)]
            value: &'a T,
        }
        #[derive(Serialize)]
        struct Failed<'a> {
            ok: bool,
            error: &'a ApiError,
        }
        match self {
            Ack::Ok(value) => Done { ok: true, value }.serialize(serializer),
            Ack::Err(error) => Failed { ok: false, error }.serialize(serializer),
        }
    }
}

/// The ack of `join_chat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// Which chat.
    pub chat_id: ChatId,
}

/// An ack without further fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn acks_are_flat() {
        let ack = Ack::Ok(Joined {
            chat_id: "c1".parse().unwrap(),
        });
        assert_eq!(serde_json::to_string(&ack).unwrap(), r#"{"ok":true,"chatId":"c1"}"#);
        assert_eq!(serde_json::to_string(&Ack::Ok(Done {})).unwrap(), r#"{"ok":true}"#);
        let error = ApiError {
            message: "no".into(),
            code: ErrorCode::ChatNotFound,
            details: None,
            request_id: None,
            retry_after: None,
        };
        let json = serde_json::to_string(&Ack::<Done>::Err(error)).unwrap();
        assert_eq!(json, r#"{"ok":false,"error":{"message":"no","code":"CHAT_NOT_FOUND"}}"#);
    }
}
