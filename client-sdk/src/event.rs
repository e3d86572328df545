//! What a client tells beside messages.

use std::pin::Pin;
use std::task::{Context, Poll};

use chat_protocol::event::{MessageDeleted, MessageRead, PresenceChange, TypingStatus};
use chat_protocol::{ApiError, ClientMessageId, Message, UserStatus};
use futures_util::{Stream, StreamExt};

use crate::live::{SendState, Subscription};

/// What happens beside the arrival of messages, which are in [`Messages`](crate::Messages).
///
/// What was told while the client was away is not told again: [`CaughtUp`](Event::CaughtUp) is the moment to read anew what is
/// shown. The helpers of [`state`](crate::state) do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The connection came or went.
    Connection(ConnectionState),
    /// Everything that was missed has been passed on: after a (re)connect, and after a gap that showed itself in between.
    CaughtUp,
    /// A message was edited; this is what it is now.
    Edited(Message),
    /// A message was deleted.
    Deleted(MessageDeleted),
    /// A message was read, by its receiver or by this user on another device.
    Read(MessageRead),
    /// A chat partner types, or stopped.
    Typing(TypingStatus),
    /// A chat partner came.
    Online(PresenceChange),
    /// A chat partner went.
    Offline(PresenceChange),
    /// A chat partner, or this user on another device, chose a status.
    StatusChanged(UserStatus),
    /// A message of the outbox is in another state.
    Sending {
        /// Which: [`Outgoing::id`](crate::Outgoing::id).
        id: ClientMessageId,
        /// Its state now.
        state: SendState,
    },
    /// The server complains of something that nobody waits for.
    ServerError(ApiError),
    /// An event that this version does not know.
    Unknown {
        /// Its name on the wire.
        name: String,
        /// Its payload, as JSON.
        json: String,
    },
    /// So many events were dropped at this place, for the reader was too slow.
    Missed(u64),
}

/// Whether there is a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// There is none; it is being opened.
    Connecting,
    /// There is one, and this user is authenticated.
    Online,
    /// There is none; it will be tried again.
    Waiting,
    /// The session has ended, and there will be none: log in again.
    SessionEnded,
    /// The client was shut down, or has given up within its budget.
    Closed,
}

/// The events of a client: a [`Stream`] that ends with the client.
#[must_use = "streams do nothing unless polled"]
pub struct Events(pub(crate) Subscription);

impl Events {
    /// The next event; `None` once the client has ended.
    pub async fn next(&mut self) -> Option<Event> {
        StreamExt::next(self).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll(cx)
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events(..)")
    }
}
