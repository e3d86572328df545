//! How far one has read.

use std::collections::BTreeMap;

use chat_protocol::{ChatId, Timestamp};
use serde::{Deserialize, Serialize};

/// How far a program has read in every chat: keep it, by serde, to go on there after a restart.
///
/// Take it from [`Messages::position`](crate::Messages::position) when what was read has been dealt with, and give it to
/// [`Builder::position`](crate::Builder::position).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The `seq` of the last message that was read, by chat.
    pub(crate) chats: BTreeMap<ChatId, u64>,
    /// When the newest of all was stored.
    pub(crate) newest: Option<Timestamp>,
}

impl Position {
    /// The `seq` up to which a chat was read; 0 when nothing was.
    #[must_use]
    pub fn of(&self, chat: &ChatId) -> u64 {
        self.chats.get(chat).copied().unwrap_or(0)
    }
}
