//! One open websocket, driven by whoever polls it: it alone touches the socket, and knows nobody behind its two sides.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::connect::{Opened, WebSocket};
use super::connection::End;
use super::incoming::{RawAnswer, RawEvent};
use super::packet::Packet;

/// How much is read or written in one go before the other direction has its turn, and before a flush.
const BURST: usize = 64;
/// How often answers that are late are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the other side may take to agree to the end.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// What a wire carries for: where packets come from, and where goes what arrives. Nothing here may wait.
pub(crate) trait Side {
    /// Whose an answer is.
    type Waiter;
    /// The next packet to be written, or `None` to leave. Pending: the waker is told when there is one.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outgoing<Self::Waiter>>>;
    /// Nobody is there any more for whom anything is carried.
    fn is_gone(&self) -> bool {
        false
    }
    /// The server told something.
    fn event(&mut self, event: RawEvent);
    /// What the server says to a packet.
    fn answer(&mut self, waiter: Self::Waiter, answer: RawAnswer);
    /// No answer came in time to the packet of this id.
    fn unanswered(&mut self, waiter: Self::Waiter, id: u64);
}

/// A packet to be written.
pub(crate) struct Outgoing<W> {
    pub(crate) text: String,
    /// The packet's id and who waits, when an answer is wanted.
    pub(crate) answer: Option<(u64, W)>,
}

pub(crate) struct Wire<W> {
    socket: WebSocket,
    sid: Box<str>,
    /// What came during the handshake; empty from the first poll on.
    early: Vec<Message>,
    /// By the id of the packet.
    waiting: HashMap<u64, (W, Instant)>,
    answer_within: Duration,
    /// The longest that may pass without a frame of the server.
    heartbeat: Duration,
    heard: Instant,
    /// Set to the silence, or to the next look at what waits. Mostly early, for what arrives does not move it.
    timer: Pin<Box<Sleep>>,
    owes_pong: bool,
    unflushed: bool,
}

impl<W> Wire<W> {
    pub(super) fn new(opened: Opened, answer_within: Duration) -> Self {
        let heard = Instant::now();
        Self {
            socket: opened.socket,
            sid: opened.sid,
            early: opened.early,
            waiting: HashMap::new(),
            answer_within,
            heartbeat: opened.heartbeat,
            heard,
            timer: Box::pin(sleep_until((heard + opened.heartbeat).into())),
            owes_pong: false,
            unflushed: false,
        }
    }

    /// The server's name of the socket.
    pub(crate) fn sid(&self) -> &str {
        &self.sid
    }

    /// Reads, writes and looks at the clock until nothing is left to be done now. Ready when the connection has ended.
    ///
    /// Never waits in one direction alone: a server that reads nothing must not keep us from reading, and the other way round.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, side: &mut impl Side<Waiter = W>) -> Poll<End> {
        for event in std::mem::take(&mut self.early) {
            if let Some(end) = self.receive(event, side) {
                return Poll::Ready(end);
            }
        }
        loop {
            let mut busy = false;
            for _ in 0..BURST {
                match self.socket.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        busy = true;
                        if let Some(end) = self.receive(frame, side) {
                            return Poll::Ready(end);
                        }
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(broken(error)),
                    Poll::Ready(None) => return Poll::Ready(End::Closed),
                    Poll::Pending => break,
                }
            }
            for _ in 0..BURST {
                match self.socket.poll_ready_unpin(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(broken(error)),
                    // A server that reads nothing, but pings, would keep it for ever.
                    Poll::Pending if side.is_gone() => return Poll::Ready(End::Left),
                    Poll::Pending => break,
                }
                let text = if std::mem::take(&mut self.owes_pong) {
                    "3".into()
                } else {
                    match side.poll_next(cx) {
                        Poll::Ready(Some(Outgoing { text, answer })) => {
                            if let Some((id, waiter)) = answer {
                                self.wait_for(id, waiter);
                            }
                            text
                        }
                        Poll::Ready(None) => return Poll::Ready(End::Left),
                        Poll::Pending => break,
                    }
                };
                if let Err(error) = self.socket.start_send_unpin(Message::text(text)) {
                    return Poll::Ready(broken(error));
                }
                busy = true;
                self.unflushed = true;
            }
            if self.unflushed {
                match self.socket.poll_flush_unpin(cx) {
                    Poll::Ready(Ok(())) => self.unflushed = false,
                    Poll::Ready(Err(error)) => return Poll::Ready(broken(error)),
                    Poll::Pending => {}
                }
            }
            if self.timer.as_mut().poll(cx).is_ready() {
                busy = true;
                if self.heard.elapsed() >= self.heartbeat {
                    return Poll::Ready(End::Silent);
                }
                self.give_up_on_late_answers(side);
                let next_look = self.next_look();
                self.timer.as_mut().reset(next_look.into());
            }
            if !busy {
                return Poll::Pending;
            }
        }
    }

    /// `Some`: the connection has ended.
    fn receive(&mut self, frame: Message, side: &mut impl Side<Waiter = W>) -> Option<End> {
        let at = Instant::now();
        self.heard = at;
        let Message::Text(text) = frame else {
            // The library answers pings and closes by itself. The contract has no binary packets.
            return None;
        };
        match Packet::read(&text) {
            Packet::Event { name, payload } => side.event(RawEvent::new(at, text, name, payload)),
            Packet::Ack { id, payload } => {
                // Without a waiter: it came too late, or it answers nothing.
                if let Some((waiter, _)) = self.waiting.remove(&id) {
                    side.answer(waiter, RawAnswer::new(id, at, text, payload));
                }
            }
            Packet::Ping => self.owes_pong = true,
            Packet::Dismissed => return Some(End::Dismissed),
            Packet::Close => return Some(End::Closed),
            Packet::Open(_) | Packet::Connected(_) | Packet::Refused(_) | Packet::Other => ignore(&text),
        }
        None
    }

    fn wait_for(&mut self, id: u64, waiter: W) {
        let now = Instant::now();
        if self.waiting.is_empty() && self.timer.deadline() > (now + LOOK_EVERY).into() {
            self.timer.as_mut().reset((now + LOOK_EVERY).into());
        }
        self.waiting.insert(id, (waiter, now));
    }

    fn give_up_on_late_answers(&mut self, side: &mut impl Side<Waiter = W>) {
        let within = self.answer_within;
        let late = self.waiting.extract_if(|_, (_, since)| since.elapsed() >= within);
        for (id, (waiter, _)) in late {
            side.unanswered(waiter, id);
        }
        if self.waiting.is_empty() {
            self.waiting = HashMap::new(); // Idle again, it takes no memory.
        }
    }

    fn next_look(&self) -> Instant {
        let silent = self.heard + self.heartbeat;
        if self.waiting.is_empty() {
            silent
        } else {
            silent.min(Instant::now() + LOOK_EVERY)
        }
    }

    /// Leaves the namespace, and the transport in the order that the websocket protocol wants.
    pub(crate) async fn leave(&mut self) {
        let socket = &mut self.socket;
        let leaving = async {
            socket.send(Message::text("41")).await?;
            socket.close(None).await?;
            while socket.next().await.transpose()?.is_some() {}
            Ok::<_, tungstenite::Error>(())
        };
        let _ = timeout(CLOSE_WITHIN, leaving).await; // It is closed either way.
    }
}

fn broken(error: tungstenite::Error) -> End {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => End::Closed,
        error => End::Broken(error.to_string()),
    }
}

/// Its first character tells the kind; the rest may be anybody's words.
fn ignore(text: &Utf8Bytes) {
    tracing::debug!(kind = ?text.chars().next(), length = text.len(), "passed over a packet");
}
