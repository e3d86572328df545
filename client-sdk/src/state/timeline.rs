//! A chat as it is shown.

use std::collections::{BTreeMap, VecDeque};

use chat_protocol::{ClientMessageId, Message, UserId};

use crate::{Client, Event, Outgoing, Result, SendState};

/// As many as a page may have.
const PAGE: u32 = 50;
/// Events are told beside messages, so what happens to a message may be told before itself; so many of those are kept.
const MOST_EARLY: usize = 256;

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
    /// What happened to messages that are not here, the latest last.
    early: VecDeque<Event>,
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
            early: VecDeque::new(),
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
            Event::Edited(_) | Event::Deleted(_) | Event::Read(_) => {
                // What changes is mostly new.
                let found = self.messages.values_mut().rev().find(|known| concerns(event, known));
                let is_here = found.map(|known| change(known, event)).is_some();
                if !is_here {
                    self.early.push_back(event.clone());
                    if self.early.len() > MOST_EARLY {
                        self.early.pop_front();
                    }
                }
                is_here
            }
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
        let early = self.early.iter().any(|event| concerns(event, &message));
        let known = self.messages.entry(seq).or_insert_with(|| message.clone());
        renew(known, message);
        if early {
            self.early.retain(|event| {
                let is_its = concerns(event, known);
                if is_its {
                    change(known, event);
                }
                !is_its
            });
        }
    }
}

/// Whether this event is about this message.
fn concerns(event: &Event, message: &Message) -> bool {
    match event {
        Event::Edited(edited) => edited.id == message.id,
        Event::Deleted(deleted) => deleted.message_id == message.id,
        Event::Read(read) => read.message_id == message.id,
        _ => false,
    }
}

fn change(known: &mut Message, event: &Event) {
    match event {
        Event::Edited(edited) => renew(known, edited.clone()),
        Event::Deleted(deleted) => {
            known.content.clear();
            known.deleted_at = Some(deleted.deleted_at);
        }
        Event::Read(read) => {
            known.is_read = true;
            known.read_at = known.read_at.or(Some(read.read_at));
        }
        _ => {}
    }
}

/// Takes what is newer of the same message. What comes live may be older than what the history said: no edit, deletion or read mark is
/// ever taken back.
fn renew(known: &mut Message, message: Message) {
    if message.edited_at >= known.edited_at && message.deleted_at >= known.deleted_at {
        known.content = message.content;
        known.edited_at = message.edited_at;
        known.deleted_at = message.deleted_at;
    }
    known.is_read |= message.is_read;
    known.read_at = known.read_at.or(message.read_at);
}
