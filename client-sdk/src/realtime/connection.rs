//! The handle of a connection.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::answer::{Answer, Reply};
use super::connect::Connect;
use super::emit::{Emit, packet_of};
use super::wire::{CLOSE_WITHIN, Outgoing};
use crate::{Error, ErrorKind, Result};

/// An open connection. Cheap to clone; when the last clone is dropped, it leaves as
/// [`close`](Self::close) does, without waiting.
///
/// See the [module](super) for what it promises.
#[derive(Clone)]
pub struct Connection {
    commands: mpsc::Sender<Command>,
    status: Arc<Status>,
    /// Answers that may be awaited at once.
    most_pending: usize,
}

/// What handles and answers know of the task.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) sid: Box<str>,
    pub(super) next_id: AtomicU64,
    /// Packets whose answer is still to come.
    pub(super) pending: AtomicUsize,
    /// Of what arrived: dropped, whether that was told or not.
    pub(super) missed: AtomicU64,
    pub(super) end: OnceLock<End>,
    pub(super) task: OnceLock<AbortHandle>,
}

/// What the task is to do.
pub(super) enum Command {
    Send(Outgoing<Waiter>),
    Leave,
}

/// Where an answer goes.
pub(super) enum Waiter {
    Future(oneshot::Sender<Reply>),
    Stream,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// This side left.
    Left,
    /// The server dismissed the socket: the session has ended, the token has expired, or the reader was too slow.
    Dismissed,
    /// The server closed the transport, as it does when it drains.
    Closed,
    /// The server's heartbeat did not come.
    Silent,
    /// The network failed, or the other side broke the websocket protocol. What happened, for people.
    Broken(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("this side left"),
            Self::Dismissed => f.write_str("the server dismissed the socket"),
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Silent => f.write_str("the server's heartbeat did not come"),
            Self::Broken(what) => write!(f, "the connection broke: {what}"),
        }
    }
}

impl Status {
    pub(super) fn new(sid: Box<str>) -> Self {
        Self {
            sid,
            next_id: AtomicU64::new(0),
            pending: AtomicUsize::new(0),
            missed: AtomicU64::new(0),
            end: OnceLock::new(),
            task: OnceLock::new(),
        }
    }

    /// What is said to those who want something of a connection that has ended.
    pub(super) fn gone(&self) -> Error {
        let why = self.end.get().map_or("the connection has ended".into(), End::to_string);
        Error::new(ErrorKind::Disconnected, why)
    }
}

impl Connection {
    /// A connection to this address, to be awaited: `http`, `https`, `ws` or `wss`, with a path when the server is below one.
    pub fn to(address: impl Into<String>) -> Connect {
        Connect::new(address.into())
    }

    pub(super) fn new(commands: mpsc::Sender<Command>, status: Arc<Status>, most_pending: usize) -> Self {
        Self {
            commands,
            status,
            most_pending,
        }
    }

    /// The server's name of the socket.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.status.sid
    }

    /// Sends an event and wants no answer: when it fails, the server sends an `error` event. Never waits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] when too much is queued already, [`ErrorKind::Disconnected`] when the connection has ended. When it
    /// is on its way, that does not prove that it arrives.
    pub fn emit<E: Emit>(&self, event: &E) -> Result<()> {
        self.emit_named(E::NAME, event)
    }

    /// As [`Self::emit`], for a name and a payload of any kind.
    ///
    /// # Errors
    ///
    /// As [`Self::emit`]; and [`ErrorKind::Config`] when the payload cannot be written as JSON, [`ErrorKind::TooLarge`] when it is
    /// longer than half a MiB.
    pub fn emit_named(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let text = packet_of(None, name, payload)?;
        self.queue(Outgoing { text, answer: None })
    }

    /// Sends an event whose answer is to be awaited, now or later. Never waits itself.
    ///
    /// # Errors
    ///
    /// As [`Self::emit`]; it is [`ErrorKind::Full`] as well when too many answers are awaited already.
    pub fn ask<E: Emit>(&self, event: &E) -> Result<Answer<E::Ack>> {
        self.ask_named(E::NAME, event)
    }

    /// As [`Self::ask`], for a name and a payload of any kind.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`]; and [`ErrorKind::Config`] and [`ErrorKind::TooLarge`] as [`Self::emit_named`].
    pub fn ask_named<T: DeserializeOwned>(&self, name: &str, payload: &impl Serialize) -> Result<Answer<T>> {
        let (sender, reply) = oneshot::channel();
        self.ask_for(name, payload, Waiter::Future(sender))?;
        Ok(Answer::new(reply, self.status.clone()))
    }

    /// Sends an event whose answer comes out of [`Events`](super::Events), as [`Incoming::Answer`](super::Incoming::Answer)
    /// with the id that this returns: the cheapest way, with one place where everything arrives.
    ///
    /// When none comes in time, [`Incoming::Unanswered`](super::Incoming::Unanswered) comes in its place.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn ask_in_stream<E: Emit>(&self, event: &E) -> Result<u64> {
        self.ask_for(E::NAME, event, Waiter::Stream)
    }

    fn ask_for(&self, name: &str, payload: &impl Serialize, waiter: Waiter) -> Result<u64> {
        let pending = &self.status.pending;
        if pending.fetch_add(1, Ordering::Relaxed) >= self.most_pending {
            pending.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::new(ErrorKind::Full, "too many answers are awaited already"));
        }
        let id = self.status.next_id.fetch_add(1, Ordering::Relaxed);
        let queued = packet_of(Some(id), name, payload).and_then(|text| {
            let answer = Some((id, waiter));
            self.queue(Outgoing { text, answer })
        });
        if queued.is_err() {
            pending.fetch_sub(1, Ordering::Relaxed);
        }
        queued.map(|()| id)
    }

    fn queue(&self, packet: Outgoing<Waiter>) -> Result<()> {
        self.commands
            .try_send(Command::Send(packet))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Error::new(ErrorKind::Full, "the queue of packets is full"),
                mpsc::error::TrySendError::Closed(_) => self.status.gone(),
            })
    }

    /// Waits until the queue of packets has room again. Others may be quicker to take it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Disconnected`] when the connection has ended.
    pub async fn room(&self) -> Result<()> {
        let room = self.commands.reserve().await;
        room.map(drop).map_err(|_| self.status.gone())
    }

    /// How many answers are still to come.
    #[must_use]
    pub fn pending(&self) -> usize {
        match self.status.end.get() {
            None => self.status.pending.load(Ordering::Relaxed),
            Some(_) => 0,
        }
    }

    /// How much of what arrived was dropped until now, for [`Events`](super::Events) was full: what
    /// [`Incoming::Missed`](super::Incoming::Missed) has told, and what it will tell once something else arrives.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.status.missed.load(Ordering::Relaxed)
    }

    /// Why the connection ended; `None` while it is open.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.status.end.get()
    }

    /// Waits until the connection has ended, and tells why.
    pub async fn ended(&self) -> End {
        self.commands.closed().await;
        self.status.end.get().cloned().unwrap_or(End::Left)
    }

    /// Sends what is queued, says goodbye and waits until the connection is closed; at most about two seconds, also when the server
    /// reads nothing any more.
    ///
    /// A server may drop what it has not done yet when its client leaves: await the answers that matter before.
    pub async fn close(&self) {
        let leaving = async {
            let _ = self.commands.send(Command::Leave).await; // It has ended already when this fails.
            self.commands.closed().await;
        };
        if timeout(2 * CLOSE_WITHIN, leaving).await.is_err() {
            if let Some(task) = self.status.task.get() {
                task.abort();
            }
            self.commands.closed().await;
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("sid", &self.status.sid)
            .field("end", &self.status.end.get())
            .finish_non_exhaustive()
    }
}
