//! The answer to a packet, as a future.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::connection::Status;
use super::incoming::RawAnswer;
use crate::{Error, ErrorKind, Result};

/// What the task of the connection hands over: the answer, or that none came in time.
pub(super) type Reply = Option<RawAnswer>;

/// The answer to an [`ask`](super::Connection::ask): a future of `T`, and of when it arrived.
///
/// It fails with [`ErrorKind::Refused`] when the server refuses, [`ErrorKind::Timeout`] when no answer came in time,
/// [`ErrorKind::Disconnected`] when the connection ended before, and [`ErrorKind::Protocol`] when the answer is rubbish. It may
/// be dropped: what was asked for happens nevertheless.
#[must_use = "the packet is on its way; await this for the answer, or use `emit`, which asks for none"]
#[derive(Debug)]
pub struct Answer<T> {
    reply: oneshot::Receiver<Reply>,
    status: Arc<Status>,
    value: PhantomData<fn() -> T>,
}

/// A value, and when it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked<T> {
    /// What stood beside `ok: true`.
    pub value: T,
    /// When the frame left the socket.
    pub at: Instant,
}

impl<T> Answer<T> {
    pub(super) fn new(reply: oneshot::Receiver<Reply>, status: Arc<Status>) -> Self {
        Self {
            reply,
            status,
            value: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Future for Answer<T> {
    type Output = Result<Acked<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.reply).poll(cx)) {
            Ok(Some(answer)) => answer.value().map(|value| Acked { value, at: answer.at }),
            Ok(None) => Err(Error::new(ErrorKind::Timeout, "no answer in time")),
            Err(_) => Err(self.status.gone()),
        })
    }
}
