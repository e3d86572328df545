//! A message on its way out.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use chat_protocol::{ClientMessageId, Message, MessageType, SendMessage, UserId};

use crate::client::Client;
use crate::ids::new_client_message_id;
use crate::live::{Queued, SendState};
use crate::rest::BoxFuture;
use crate::{Error, ErrorKind, Result};

/// A message for the outbox: await it for the stored message, or [`queue`](Self::queue) it.
///
/// It fails with [`ErrorKind::Refused`] when the server refuses it for good, [`ErrorKind::Timeout`] when it could not be sent
/// for too long, [`ErrorKind::SessionEnded`] and [`ErrorKind::Closed`]; and, when the server failed at it five times, as the last
/// time: with `INTERNAL_ERROR`, [`ErrorKind::Timeout`] or [`ErrorKind::Protocol`]. But for the first case it may have been stored.
/// When the outbox is full, it waits for room.
#[derive(Debug)]
#[must_use = "nothing is sent until this is awaited or queued"]
pub struct Send {
    client: Client,
    message: SendMessage,
}

impl Send {
    pub(crate) fn new(client: Client, to: UserId, content: String) -> Self {
        let message = SendMessage {
            to,
            content,
            message_type: None,
            chat_id: None,
            client_message_id: None,
        };
        Self { client, message }
    }

    /// What the content is. Default: text.
    pub fn message_type(mut self, kind: MessageType) -> Self {
        self.message.message_type = Some(kind);
        self
    }

    /// One's own id of it, by which the server knows a repeat: a program that keeps it can repeat a send after a crash.
    /// Default: a new one.
    pub fn client_message_id(mut self, id: ClientMessageId) -> Self {
        self.message.client_message_id = Some(id);
        self
    }

    /// Puts it into the outbox, and does not wait.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] when the outbox has no room; [`ErrorKind::SessionEnded`] and [`ErrorKind::Closed`] when the client has
    /// ended.
    pub fn queue(self) -> Result<Outgoing> {
        let (client, message, id) = self.identified();
        client.parts().outbox.push(message, id).map(Outgoing)
    }

    fn identified(mut self) -> (Client, SendMessage, ClientMessageId) {
        let id = self
            .message
            .client_message_id
            .get_or_insert_with(new_client_message_id)
            .clone();
        (self.client, self.message, id)
    }
}

impl IntoFuture for Send {
    type Output = Result<Message>;
    type IntoFuture = BoxFuture<Result<Message>>;

    fn into_future(self) -> Self::IntoFuture {
        let (client, message, id) = self.identified();
        Box::pin(async move {
            let queued = client.parts().outbox.push_in_turn(message, id).await?;
            Outgoing(queued).await
        })
    }
}

/// A message in the outbox: await it for the stored message, as [`Send`]. Dropping it does not take the message back.
#[must_use = "the message is on its way; await this to know that it is stored, or drop it"]
pub struct Outgoing(Queued);

impl Outgoing {
    /// The `clientMessageId` under which it is sent, and told by [`Event::Sending`](crate::Event::Sending).
    #[must_use]
    pub fn id(&self) -> &ClientMessageId {
        &self.0.id
    }

    /// Where it is now.
    #[must_use]
    pub fn state(&self) -> SendState {
        self.0.state()
    }
}

impl Future for Outgoing {
    type Output = Result<Message>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(Pin::new(&mut self.0.done).poll(cx));
        Poll::Ready(done.unwrap_or_else(|_| Err(Error::new(ErrorKind::Closed, "the client was dropped"))))
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("id", self.id())
            .field("state", &self.state())
            .finish()
    }
}
