//! The task of a connection: it alone touches the socket.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::connect::{Settings, WebSocket};
use super::connection::{Command, End, Status, Waiter};
use super::incoming::{Incoming, RawAnswer, RawEvent};
use super::packet::Packet;

/// How much is read or written in one go before the other direction has its turn, and before a flush.
const BURST: usize = 64;
/// How often answers that are late are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the other side may take to agree to the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Actor {
    socket: WebSocket,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Incoming>,
    status: Arc<Status>,
    /// By the id of the packet.
    waiting: HashMap<u64, (Waiter, Instant)>,
    answer_within: Duration,
    /// The longest that may pass without a frame of the server.
    heartbeat: Duration,
    heard: Instant,
    /// Dropped, and not yet told.
    missed: u64,
    owes_pong: bool,
    unflushed: bool,
}

impl Actor {
    pub(super) fn new(
        socket: WebSocket,
        heartbeat: Duration,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Incoming>,
        status: Arc<Status>,
        settings: Settings,
    ) -> Self {
        Self {
            socket,
            commands,
            events,
            status,
            waiting: HashMap::new(),
            answer_within: settings.answer_within,
            heartbeat,
            heard: Instant::now(),
            missed: 0,
            owes_pong: false,
            unflushed: false,
        }
    }

    /// Begins with what came during the handshake.
    pub(super) async fn run(mut self, early: Vec<Message>) {
        for event in early {
            self.receive(event);
        }
        let end = {
            let mut timer = pin!(sleep_until((self.heard + self.heartbeat).into()));
            poll_fn(|cx| self.poll(cx, timer.as_mut())).await
        };
        if end == End::Left {
            self.leave().await;
        }
        tracing::debug!(sid = %self.status.sid, %end, "connection ended");
        // Before the waiters are dropped, so that they learn why.
        let _ = self.status.end.set(end);
    }

    /// Reads, writes and looks at the clock until nothing is left to be done now. Ready when the connection has ended.
    ///
    /// Never waits in one direction alone: a server that reads nothing must not keep us from reading, and the other way round.
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<End> {
        loop {
            let mut busy = false;
            for _ in 0..BURST {
                match self.socket.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        busy = true;
                        if let Some(end) = self.receive(frame) {
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
                    Poll::Pending => break,
                }
                let text = if std::mem::take(&mut self.owes_pong) {
                    "3".into()
                } else {
                    match self.commands.poll_recv(cx) {
                        Poll::Ready(Some(Command::Send { text, answer })) => {
                            if let Some((id, waiter)) = answer {
                                self.wait_for(id, waiter, timer.as_mut());
                            }
                            text
                        }
                        Poll::Ready(Some(Command::Leave) | None) => return Poll::Ready(End::Left),
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
            if timer.as_mut().poll(cx).is_ready() {
                busy = true;
                if self.heard.elapsed() >= self.heartbeat {
                    return Poll::Ready(End::Silent);
                }
                self.give_up_on_late_answers();
                timer.as_mut().reset(self.next_look().into());
            }
            if !busy {
                return Poll::Pending;
            }
        }
    }

    /// `Some`: the connection has ended.
    fn receive(&mut self, frame: Message) -> Option<End> {
        let at = Instant::now();
        self.heard = at;
        let Message::Text(text) = frame else {
            // The library answers pings and closes by itself. The contract has no binary packets.
            return None;
        };
        match Packet::read(&text) {
            Packet::Event { name, payload } => {
                self.hand_over(Incoming::Event(RawEvent::new(at, text, name, payload)));
            }
            Packet::Ack { id, payload } => self.answer(id, RawAnswer::new(id, at, text, payload)),
            Packet::Ping => self.owes_pong = true,
            Packet::Dismissed => return Some(End::Dismissed),
            Packet::Close => return Some(End::Closed),
            Packet::Open(_) | Packet::Connected(_) | Packet::Refused(_) | Packet::Other => ignore(&text),
        }
        None
    }

    fn answer(&mut self, id: u64, answer: RawAnswer) {
        // Without a waiter: it came too late, or it answers nothing.
        let Some((waiter, _)) = self.waiting.remove(&id) else {
            return;
        };
        self.status.pending.fetch_sub(1, Ordering::Relaxed);
        match waiter {
            Waiter::Future(reply) => {
                let _ = reply.send(Some(answer)); // Nobody has to want it.
            }
            Waiter::Stream => self.hand_over(Incoming::Answer(answer)),
        }
    }

    /// Never waits: a consumer that is too slow is told what it missed.
    fn hand_over(&mut self, incoming: Incoming) {
        if self.missed > 0 {
            match self.events.try_send(Incoming::Missed(self.missed)) {
                Ok(()) => self.missed = 0,
                Err(_) => {
                    self.missed += 1;
                    return;
                }
            }
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(incoming) {
            self.missed += 1;
        }
    }

    fn wait_for(&mut self, id: u64, waiter: Waiter, timer: Pin<&mut Sleep>) {
        let now = Instant::now();
        if self.waiting.is_empty() && timer.deadline() > (now + LOOK_EVERY).into() {
            timer.reset((now + LOOK_EVERY).into());
        }
        self.waiting.insert(id, (waiter, now));
    }

    fn give_up_on_late_answers(&mut self) {
        let (within, pending) = (self.answer_within, &self.status.pending);
        let late = self.waiting.extract_if(|_, (_, since)| since.elapsed() >= within);
        let mut unanswered = Vec::new();
        for (id, (waiter, _)) in late {
            pending.fetch_sub(1, Ordering::Relaxed);
            match waiter {
                Waiter::Future(reply) => drop(reply.send(None)),
                Waiter::Stream => unanswered.push(id),
            }
        }
        for id in unanswered {
            self.hand_over(Incoming::Unanswered(id));
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
    async fn leave(&mut self) {
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
