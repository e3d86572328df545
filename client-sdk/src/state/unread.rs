//! What is not read yet.

use std::collections::HashMap;

use chat_protocol::{ChatId, Message, UserId};
use futures_util::TryStreamExt as _;

use crate::{Client, Event, Result};

/// How many messages to this user are neither read nor deleted, by chat.
#[derive(Debug, Clone)]
pub struct Unread {
    me: UserId,
    counts: HashMap<ChatId, u64>,
    /// Up to which message the counts were asked for.
    counted: HashMap<ChatId, u64>,
    stale: bool,
}

impl Unread {
    /// The counts as they are now.
    ///
    /// # Errors
    ///
    /// As [`Client::chats`].
    pub async fn load(client: &Client) -> Result<Self> {
        let mut unread = Self {
            me: client.user_id().clone(),
            counts: HashMap::new(),
            counted: HashMap::new(),
            stale: false,
        };
        unread.reload(client).await?;
        Ok(unread)
    }

    /// Asks for all of them anew.
    ///
    /// # Errors
    ///
    /// As [`Client::chats`]; it is then as it was.
    pub async fn reload(&mut self, client: &Client) -> Result<()> {
        let chats: Vec<_> = client.chats().limit(100).into_stream().try_collect().await?;
        self.counted = chats
            .iter()
            .map(|chat| (chat.id.clone(), chat.last_message.seq.unwrap_or(0)))
            .collect();
        self.counts = chats.into_iter().map(|chat| (chat.id, chat.unread_count)).collect();
        self.stale = false;
        Ok(())
    }

    /// Takes in a message of [`Client::messages`].
    pub fn arrived(&mut self, message: &Message) {
        let counted = self.counted.get(&message.chat_id).copied().unwrap_or(0);
        let is_new = message.seq.is_none_or(|seq| seq > counted);
        if message.receiver == self.me && !message.is_read && message.deleted_at.is_none() && is_new {
            *self.counts.entry(message.chat_id.clone()).or_default() += 1;
        }
    }

    /// Takes in what happened. `true`: something is different now.
    pub fn apply(&mut self, event: &Event) -> bool {
        match event {
            Event::Read(read) if read.reader_id == self.me => {
                let count = self.counts.get_mut(&read.chat_id).filter(|count| **count > 0);
                // Else it came before its message, which then will be counted, or it was counted already.
                self.stale |= count.is_none();
                count.map(|count| *count -= 1).is_some()
            }
            // Nobody tells whether it had been read.
            Event::Deleted(_) | Event::CaughtUp | Event::Missed(_) => {
                self.stale = true;
                false
            }
            _ => false,
        }
    }

    /// Whether [`reload`](Self::reload) would know better: something was deleted or missed, or came in another order.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Of one chat.
    #[must_use]
    pub fn of(&self, chat: &ChatId) -> u64 {
        self.counts.get(chat).copied().unwrap_or(0)
    }

    /// Of all chats together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
