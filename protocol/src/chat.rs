//! Chats and their history.

use serde::{Deserialize, Serialize};

use crate::{ChatId, Message, Timestamp, User};

/// A conversation as one of its participants sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// Which chat.
    pub id: ChatId,
    /// Both users, the caller included.
    pub participants: Vec<User>,
    /// The newest message, tombstone or not.
    pub last_message: Message,
    /// The timestamp of the newest message.
    pub last_activity: Timestamp,
    /// Always `false` until profile `groups` is specified.
    pub is_group: bool,
    /// Always `None` until profile `groups` is specified.
    pub group_name: Option<String>,
    /// Messages to the caller that are neither read nor deleted.
    pub unread_count: u64,
}

/// The answer of `GET /api/messages/conversation/{userId}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatHistory {
    /// `None` when the two have no chat yet.
    pub chat_id: Option<ChatId>,
    /// Newest first, or ascending from `after`; tombstones included.
    pub items: Vec<Message>,
    /// See [`crate::Page::next_cursor`].
    pub next_cursor: Option<String>,
}
