//! Messages and the bodies of the `/api/messages` calls.

use serde::{Deserialize, Serialize};

use crate::{ChatId, ClientMessageId, MessageId, Timestamp, UserId};

/// What `content` is. All four follow the rules of text until profile `media` is specified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageType {
    /// Plain text.
    #[default]
    Text,
    /// A caption or link of an image.
    Image,
    /// A caption or link of a file.
    File,
    /// A caption or link of a sound.
    Audio,
    /// One that this version does not know, read from a newer server. Never sent.
    #[serde(other)]
    Unknown,
}

impl MessageType {
    /// Every type, in the order of the contract.
    pub const ALL: [MessageType; 4] = [
        MessageType::Text,
        MessageType::Image,
        MessageType::File,
        MessageType::Audio,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageType::Text => "text",
            MessageType::Image => "image",
            MessageType::File => "file",
            MessageType::Audio => "audio",
            MessageType::Unknown => "unknown",
        }
    }
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Which message.
    pub id: MessageId,
    /// In which chat.
    pub chat_id: ChatId,
    /// Its place in the chat: 1, 2, 3 … without holes. `None` only on servers without profile `recovery`.
    pub seq: Option<u64>,
    /// Who wrote it.
    pub sender: UserId,
    /// To whom.
    pub receiver: UserId,
    /// 1 to 4096 characters, stored exactly; empty in a tombstone.
    pub content: String,
    /// What the content is.
    pub message_type: MessageType,
    /// Whether the receiver has read it.
    pub is_read: bool,
    /// When the receiver first read it.
    pub read_at: Option<Timestamp>,
    /// When it was stored.
    pub timestamp: Timestamp,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted: it is then a tombstone.
    pub deleted_at: Option<Timestamp>,
    /// The sender's own id of it. Only the sender sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<ClientMessageId>,
}

/// `{message}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageEnvelope {
    /// The message.
    pub message: Message,
}

/// `POST /api/messages/send` and the event `send_message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    /// To whom.
    pub to: UserId,
    /// 1 to 4096 characters, not only white space, no NUL.
    pub content: String,
    /// Text when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<MessageType>,
    /// When given, must be the chat of these two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<ChatId>,
    /// Makes the send safe to repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<ClientMessageId>,
}

/// `PUT /api/messages/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditMessage {
    /// The new content, under the rules of the old.
    pub content: String,
}

/// `POST /api/messages/mark-read`: some messages, or all of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MarkRead {
    /// 1 to 100 messages.
    #[serde(rename_all = "camelCase")]
    Messages {
        /// Which.
        message_ids: Vec<MessageId>,
    },
    /// Everything in a chat.
    #[serde(rename_all = "camelCase")]
    Chat {
        /// Which.
        chat_id: ChatId,
    },
}

/// The answer of mark-read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedRead {
    /// How many messages became read by this call.
    pub updated: u64,
}
