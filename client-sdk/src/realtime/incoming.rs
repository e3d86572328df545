//! What arrives, as it arrives.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use chat_protocol::ApiError;
use futures_util::Stream;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::event::Event;
use crate::{Error, ErrorKind, Result};

/// What comes out of [`Events`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Incoming {
    /// The server told something.
    Event(RawEvent),
    /// The answer to a [`Connection::ask_in_stream`](super::Connection::ask_in_stream).
    Answer(RawAnswer),
    /// No answer came in time to the [`Connection::ask_in_stream`](super::Connection::ask_in_stream) that returned this id.
    Unanswered(u64),
    /// So many of these were dropped at this place, for the stream was full.
    Missed(u64),
}

/// An event, not parsed yet.
#[derive(Clone)]
pub struct RawEvent {
    /// When its frame left the socket.
    pub at: Instant,
    text: Utf8Bytes,
    name: Range<usize>,
    payload: Range<usize>,
}

/// An answer, not parsed yet.
#[derive(Clone)]
pub struct RawAnswer {
    /// To which packet: what [`Connection::ask_in_stream`](super::Connection::ask_in_stream) returned.
    pub id: u64,
    /// When its frame left the socket.
    pub at: Instant,
    text: Utf8Bytes,
    payload: Range<usize>,
}

/// What arrives on one connection, in order. A [`Stream`] that ends when the connection has ended.
#[derive(Debug)]
pub struct Events(pub(super) mpsc::Receiver<Incoming>);

impl RawEvent {
    pub(super) fn new(at: Instant, text: Utf8Bytes, name: Range<usize>, payload: Range<usize>) -> Self {
        Self {
            at,
            text,
            name,
            payload,
        }
    }

    /// Its name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text.get(self.name.clone()).unwrap_or_default()
    }

    /// Its payload as JSON, without further arguments being cut off; empty when it has none.
    #[must_use]
    pub fn json(&self) -> &str {
        self.text.get(self.payload.clone()).unwrap_or_default()
    }

    /// Reads the payload. `T` may borrow from the event, so that nothing is copied that is not wanted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] when the payload is not a `T`.
    pub fn payload<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        first(self.json())
    }

    /// Reads it as what the contract has under this name; [`Event::Unknown`] when it has no such name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] when the payload is not what the contract says.
    pub fn event(&self) -> Result<Event> {
        Event::read(self)
    }
}

impl RawAnswer {
    pub(super) fn new(id: u64, at: Instant, text: Utf8Bytes, payload: Range<usize>) -> Self {
        Self { id, at, text, payload }
    }

    /// The answer as JSON; empty when it is.
    #[must_use]
    pub fn json(&self) -> &str {
        self.text.get(self.payload.clone()).unwrap_or_default()
    }

    /// Reads `{ok: true, …}` as a `T`, or `{ok: false, error}` as an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] when the server refused, [`ErrorKind::Protocol`] when the answer is neither.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        // As servers write it; anything else is read twice, for the verdict and for what stands beside it.
        if self.json().starts_with(r#"{"ok":true"#) {
            return first(self.json());
        }
        let verdict: Verdict = first(self.json())?;
        match (verdict.ok, verdict.error) {
            (true, _) => first(self.json()),
            (false, Some(error)) => Err(Error::refused(error)),
            (false, None) => Err(Error::new(
                ErrorKind::Protocol,
                "an ack that is neither done nor refused",
            )),
        }
    }
}

#[derive(Deserialize)]
struct Verdict {
    ok: bool,
    error: Option<ApiError>,
}

/// The first of the values that the text begins with.
fn first<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(json);
    // serde_json's message names the position and the type that was expected, never the text.
    T::deserialize(&mut reader).map_err(|error| Error::new(ErrorKind::Protocol, unexpected(&error)))
}

fn unexpected(error: &serde_json::Error) -> String {
    format!(
        "a payload that is not what the contract says, at character {}",
        error.column()
    )
}

// Contents of messages are in the text, so that it does not print.
impl fmt::Debug for RawEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawEvent")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RawAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawAnswer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Events {
    /// The next of what arrived; `None` once the connection has ended and everything before has been taken.
    pub async fn recv(&mut self) -> Option<Incoming> {
        self.0.recv().await
    }

    /// The next if it is there already.
    pub fn try_recv(&mut self) -> Option<Incoming> {
        self.0.try_recv().ok()
    }

    /// Waits for something, then takes up to `most` of what is there: one wake-up for many. `0`: the connection has ended.
    pub async fn recv_many(&mut self, into: &mut Vec<Incoming>, most: usize) -> usize {
        self.0.recv_many(into, most).await
    }
}

impl Stream for Events {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        self.0.poll_recv(cx)
    }
}
