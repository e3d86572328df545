//! The stream of messages.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use chat_protocol::Message;
use futures_util::{Stream, StreamExt};
use tokio::time::sleep;

use crate::Result;
use crate::client::Parts;
use crate::live::{Gap, Next, ReaderId, conversation};
use crate::position::Position;
use crate::rest::BoxFuture;
use crate::retry::Backoff;

/// Messages, each once and each chat in the order of its `seq`, through reconnects. A [`Stream`] that ends when the client has
/// ended.
///
/// Messages of different chats come in no particular order. What finds no room because the reader is slow is fetched from the
/// history when the reader comes to it; [`lagged`](Self::lagged) tells how much that was.
#[must_use = "streams do nothing unless polled"]
pub struct Messages {
    parts: Arc<Parts>,
    reader: ReaderId,
    position: Position,
    fetching: Option<(Gap, Fetching)>,
}

/// A page of a history, and whether it is the last.
type Fetching = BoxFuture<Result<(Vec<Message>, bool)>>;

impl Messages {
    pub(crate) fn new(parts: Arc<Parts>, everything: bool, from_start: bool) -> Self {
        let capacity = parts.settings.message_buffer;
        let (reader, position) = parts.inbox.subscribe(capacity, everything, from_start);
        Self {
            parts,
            reader,
            position,
            fetching: None,
        }
    }

    /// The next message; `None` once the client has ended.
    pub async fn next(&mut self) -> Option<Message> {
        StreamExt::next(self).await
    }

    /// How far this stream has been read: what was taken from it counts as dealt with.
    ///
    /// Keep it, and give it to [`Builder::position`](crate::Builder::position) after a restart.
    ///
    /// ```no_run
    /// # async fn example(chat: chat_client::Client) -> chat_client::Result<()> {
    /// let mut messages = chat.messages();
    /// while let Some(message) = messages.next().await {
    ///     println!("{}", message.content); // dealt with, and only then kept
    ///     messages.position().save("position.json").await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn position(&self) -> Position {
        let mut position = self.position.clone();
        position.seen = self.parts.inbox.seen_by(self.reader);
        position
    }

    /// How many messages found no room here, and were or will be fetched from the history.
    #[must_use]
    pub fn lagged(&self) -> u64 {
        self.parts.inbox.lagged(self.reader)
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let this = &mut *self;
        let inbox = &this.parts.inbox;
        loop {
            if let Some((gap, fetching)) = &mut this.fetching
                && let Poll::Ready(fetched) = fetching.as_mut().poll(cx)
            {
                match fetched {
                    Ok((page, is_last)) => inbox.fetched(this.reader, gap, page, is_last),
                    Err(error) => {
                        tracing::warn!(%error, "what a slow reader missed could not be fetched yet");
                        inbox.not_fetched(this.reader, gap);
                    }
                }
                this.fetching = None;
            }
            // What waits and what comes of other chats does not wait for what is fetched.
            match ready!(inbox.poll(this.reader, this.fetching.is_some(), cx)) {
                Next::Message(message) => {
                    if let Some(seq) = message.seq {
                        this.position.chats.insert(message.chat_id.clone(), seq);
                    }
                    return Poll::Ready(Some(message));
                }
                Next::Fetch(gap) => {
                    let (parts, peer, after) = (this.parts.clone(), gap.peer.clone(), gap.after);
                    let fetch = async move {
                        let page = conversation(&parts, &peer, after).await;
                        if let Err(error) = &page {
                            // The requests' own budget is spent. The stream goes on as long as the client does.
                            sleep(error.retry_after().unwrap_or_default().max(Backoff::REQUESTS.most)).await;
                        }
                        page
                    };
                    this.fetching = Some((gap, Box::pin(fetch)));
                }
                Next::End => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.parts.inbox.unsubscribe(self.reader);
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("lagged", &self.lagged())
            .finish_non_exhaustive()
    }
}
