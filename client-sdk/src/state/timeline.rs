//! A chat as it is shown.

use std::collections::BTreeMap;

use chat_protocol::{ClientMessageId, Message, UserId};

use crate::{Client, Event, Outgoing, Result, SendState};

/// As many as a page may have.
const PAGE: u32 = 50;

/// The messages of one chat, as far back as they were loaded: history, what comes live, edits, deletions, read marks, and what
/// is still on its way out.
///
/// Feed it with [`Client::all_messages`] and [`Client::events`].
#[derive(Debug)]
pub struct Timeline {
    client: Client,
    peer: UserId,
    messages: BTreeMap<u64, Message>,
    /// Where older ones are.
    older: Option<String>,
    sending: Vec<Sending>,
}

/// A message that is not in the history yet.
#[derive(Debug)]
struct Sending {
    id: ClientMessageId,
    content: String,
    state: SendState,
}

impl Timeline {
    /// The newest page of the chat with this user.
    ///
    /// # Errors
    ///
    /// As [`Client::history`].
    pub async fn open(client: &Client, peer: &UserId) -> Result<Self> {
        let mut timeline = Self {
            client: client.clone(),
            peer: peer.clone(),
            messages: BTreeMap::new(),
            older: None,
            sending: Vec::new(),
        };
        timeline.reload().await?;
        Ok(timeline)
    }

    /// Begins anew with the newest page: after a reconnect, edits and read marks may have been missed.
    ///
    /// # Errors
    ///
    /// As [`Client::history`]; it is then as it was.
    pub async fn reload(&mut self) -> Result<()> {
        let page = self.client.history(&self.peer).limit(PAGE).await?;
        self.messages.clear();
        self.older = page.next_cursor;
        for message in page.items {
            self.put(message);
        }
        Ok(())
    }

    /// Loads the page before the oldest message. `false`: there is none.
    ///
    /// # Errors
    ///
    /// As [`Client::history`].
    pub async fn load_older(&mut self) -> Result<bool> {
        let Some(cursor) = self.older.clone() else {
            return Ok(false);
        };
        let page = self.client.history(&self.peer).limit(PAGE).cursor(cursor).await?;
        self.older = page.next_cursor;
        for message in page.items {
            self.put(message);
        }
        Ok(true)
    }

    /// Sends a message, and shows it until it is in the history.
    ///
    /// # Errors
    ///
    /// As [`Send::queue`](crate::Send::queue).
    pub fn send(&mut self, content: impl Into<String>) -> Result<Outgoing> {
        let content = content.into();
        let outgoing = self.client.send(&self.peer, content.clone()).queue()?;
        self.sending.push(Sending {
            id: outgoing.id().clone(),
            content,
            state: SendState::Pending,
        });
        Ok(outgoing)
    }

    /// Takes in a message of any chat. `true`: it is one of this.
    pub fn arrived(&mut self, message: &Message) -> bool {
        let is_ours = message.sender == self.peer || message.receiver == self.peer;
        if is_ours {
            self.put(message.clone());
        }
        is_ours
    }

    /// Takes in what happened. `true`: something is different now.
    pub fn apply(&mut self, event: &Event) -> bool {
        match event {
            Event::Edited(message) => self.change(|known| known.id == message.id, |known| known.clone_from(message)),
            Event::Deleted(deleted) => self.change(
                |known| known.id == deleted.message_id,
                |known| {
                    known.content.clear();
                    known.deleted_at = Some(deleted.deleted_at);
                },
            ),
            Event::Read(read) => self.change(
                |known| known.id == read.message_id,
                |known| {
                    known.is_read = true;
                    known.read_at = known.read_at.or(Some(read.read_at));
                },
            ),
            Event::Sending { id, state } => {
                let known = self.sending.iter_mut().find(|sending| sending.id == *id);
                let Some(known) = known else { return false };
                known.state = *state;
                true
            }
            _ => false,
        }
    }

    /// The messages, oldest first.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.values()
    }

    /// What is not in the history yet, oldest first.
    pub fn unsent(&self) -> impl Iterator<Item = (&str, SendState)> {
        let unsent = self.sending.iter().filter(|sending| sending.state != SendState::Sent);
        unsent.map(|sending| (sending.content.as_str(), sending.state))
    }

    /// With whom the chat is.
    #[must_use]
    pub fn peer(&self) -> &UserId {
        &self.peer
    }

    /// Whether there are messages before the oldest one.
    #[must_use]
    pub fn has_older(&self) -> bool {
        self.older.is_some()
    }

    fn put(&mut self, message: Message) {
        if let Some(id) = &message.client_message_id {
            self.sending.retain(|sending| sending.id != *id);
        }
        let Some(seq) = message.seq else { return };
        // Live news may be older than what the history said: it never takes back an edit, a deletion or a read mark.
        let known = self.messages.entry(seq).or_insert_with(|| message.clone());
        if message.edited_at >= known.edited_at
            && message.deleted_at >= known.deleted_at
            && message.is_read >= known.is_read
        {
            *known = message;
        }
    }

    fn change(&mut self, which: impl Fn(&Message) -> bool, how: impl FnOnce(&mut Message)) -> bool {
        // What changes is mostly new.
        let found = self.messages.values_mut().rev().find(|message| which(message));
        found.map(how).is_some()
    }
}
