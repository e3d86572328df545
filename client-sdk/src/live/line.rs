//! The client's side of its wire: what leaves comes from the outbox, and what arrives goes to the inbox and the news.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};

use chat_protocol::event::{MessageSent, NewMessage, server};
use chat_protocol::{ErrorCode, Message, UserId};

use crate::client::Parts;
use crate::event::Event;
use crate::realtime::{self, Outgoing, RawAnswer, RawEvent, Side};
use crate::{Error, ErrorKind, Result};

pub(super) struct Line<'a> {
    pub(super) parts: &'a Arc<Parts>,
    next_id: u64,
    /// Something was found to be missing since.
    pub(super) has_gap: bool,
    /// Nobody knows what was missed since.
    pub(super) has_missed: bool,
    /// The server says that the token has.
    pub(super) expired: bool,
}

impl<'a> Line<'a> {
    pub(super) fn new(parts: &'a Arc<Parts>) -> Self {
        parts.inbox.break_off();
        Self {
            parts,
            next_id: 0,
            // One may be left of the connection before.
            has_gap: parts.inbox.gap(|_| true).is_some(),
            has_missed: parts.settings.realtime_catch_up,
            expired: false,
        }
    }

    fn settle(&mut self, to: &UserId, packet: u64, said: Result<MessageSent>) {
        if let Some(left) = self.parts.outbox.settle(to, packet, said) {
            if let Ok(message) = &left.outcome {
                self.has_gap |= self.parts.inbox.live(Cow::Borrowed(message));
            }
            self.parts.outbox.finish(left);
        }
    }
}

impl Side for Line<'_> {
    /// To whom the message was.
    type Waiter = UserId;

    /// The bell rings when there is more.
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Outgoing<UserId>>> {
        let id = self.next_id;
        let Some((text, to)) = self.parts.outbox.next(id) else {
            return Poll::Pending;
        };
        self.next_id += 1;
        let answer = to.map(|to| (id, to));
        Poll::Ready(Some(Outgoing { text, answer }))
    }

    fn answer(&mut self, to: UserId, answer: RawAnswer) {
        self.settle(&to, answer.id, answer.value());
    }

    fn unanswered(&mut self, to: UserId, id: u64) {
        let late = Error::new(ErrorKind::Timeout, "no answer in time");
        self.settle(&to, id, Err(late));
    }

    fn event(&mut self, raw: RawEvent) {
        // The two that come most, without a detour; of the second, the ack says all.
        match raw.name() {
            server::NEW_MESSAGE => {
                match raw.payload::<NewMessage>() {
                    Ok(message) => self.has_gap |= self.parts.inbox.live(Cow::Owned(fresh(message))),
                    Err(error) => {
                        tracing::warn!(%error, "a message that makes no sense; the history will tell");
                        self.parts.inbox.break_off();
                        self.has_missed = self.parts.settings.realtime_catch_up;
                    }
                }
                return;
            }
            server::MESSAGE_SENT => return,
            _ => {}
        }
        let event = match raw.event() {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(name = raw.name(), %error, "an event that makes no sense: passed over");
                return;
            }
        };
        use realtime::Event as E;
        let news = match event {
            // Dealt with, or known from the handshake.
            E::Authenticated(_) | E::MessageSent(_) | E::NewMessage(_) => return,
            E::UserOnline(change) => Event::Online(change),
            E::UserOffline(change) => Event::Offline(change),
            E::UserStatusChanged(status) => Event::StatusChanged(status),
            E::TypingStatus(typing) => Event::Typing(typing),
            E::MessageRead(read) => Event::Read(read),
            E::MessageEdited(edited) => Event::Edited(edited.message),
            E::MessageDeleted(deleted) => Event::Deleted(deleted),
            E::Error(error) => {
                self.expired |= error.code == ErrorCode::TokenExpired;
                Event::ServerError(error)
            }
            E::Unknown => Event::Unknown {
                name: raw.name().to_owned(),
                json: raw.json().to_owned(),
            },
        };
        self.parts.news.tell(news);
    }
}

/// As the history will have it.
fn fresh(new: NewMessage) -> Message {
    Message {
        id: new.message_id,
        chat_id: new.chat_id,
        seq: new.seq,
        sender: new.sender,
        receiver: new.receiver,
        content: new.content,
        message_type: new.message_type,
        is_read: false,
        read_at: None,
        timestamp: new.timestamp,
        edited_at: None,
        deleted_at: None,
        client_message_id: None,
    }
}
