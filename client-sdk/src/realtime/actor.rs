//! The task of a bare connection, and the channels that join it to its handle and its events.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc;

use super::connection::{Command, End, Status, Waiter};
use super::incoming::{Incoming, RawAnswer, RawEvent};
use super::wire::{Outgoing, Side, Wire};

/// Carries between the wire and the channels until one of both ends.
pub(super) async fn run(mut wire: Wire<Waiter>, mut channels: Channels) {
    let end = poll_fn(|cx| wire.poll(cx, &mut channels)).await;
    if end == End::Left {
        wire.leave().await;
    }
    tracing::debug!(sid = wire.sid(), %end, "connection ended");
    // Before the waiters are dropped, so that they learn why.
    let _ = channels.status.end.set(end);
}

pub(super) struct Channels {
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Incoming>,
    status: Arc<Status>,
    /// Dropped, and not yet told.
    missed: u64,
}

impl Channels {
    pub(super) fn new(commands: mpsc::Receiver<Command>, events: mpsc::Sender<Incoming>, status: Arc<Status>) -> Self {
        Self {
            commands,
            events,
            status,
            missed: 0,
        }
    }

    /// Never waits: a consumer that is too slow is told what it missed.
    fn hand_over(&mut self, incoming: Incoming) {
        if self.missed > 0 {
            match self.events.try_send(Incoming::Missed(self.missed)) {
                Ok(()) => self.missed = 0,
                Err(_) => {
                    self.miss();
                    return;
                }
            }
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(incoming) {
            self.miss();
        }
    }

    fn miss(&mut self) {
        self.missed += 1;
        self.status.missed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Side for Channels {
    type Waiter = Waiter;

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outgoing<Waiter>>> {
        Poll::Ready(match ready!(self.commands.poll_recv(cx)) {
            Some(Command::Send(packet)) => Some(packet),
            Some(Command::Leave) | None => None,
        })
    }

    fn is_gone(&self) -> bool {
        self.commands.is_closed()
    }

    fn event(&mut self, event: RawEvent) {
        self.hand_over(Incoming::Event(event));
    }

    fn answer(&mut self, waiter: Waiter, answer: RawAnswer) {
        self.status.pending.fetch_sub(1, Ordering::Relaxed);
        match waiter {
            Waiter::Future(reply) => {
                let _ = reply.send(Some(answer)); // Nobody has to want it.
            }
            Waiter::Stream => self.hand_over(Incoming::Answer(answer)),
        }
    }

    fn unanswered(&mut self, waiter: Waiter, id: u64) {
        self.status.pending.fetch_sub(1, Ordering::Relaxed);
        match waiter {
            Waiter::Future(reply) => drop(reply.send(None)),
            Waiter::Stream => self.hand_over(Incoming::Unanswered(id)),
        }
    }
}
