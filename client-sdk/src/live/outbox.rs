//! What is still to be sent: bounded, in order for each receiver, and repeated under the same id until it is known to be stored.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_protocol::event::MessageSent;
use chat_protocol::{ClientMessageId, Message, SendMessage, UserId};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::news::News;
use crate::event::Event;
use crate::realtime::Connection;
use crate::retry::{Backoff, Pauses};
use crate::{Error, ErrorKind, Result, Retryability};

/// How often a message is repeated that the server fails at, but does not refuse.
const MOST_FAILURES: u32 = 5;

/// Where a message of the outbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SendState {
    /// Still to be sent, or sent and not acknowledged: it will be repeated under the same id.
    Pending,
    /// Acknowledged: stored, and readable by both.
    Sent,
    /// Refused, or given up.
    Failed,
}

pub(crate) struct Outbox {
    state: Mutex<State>,
    /// There is something to send, or the client ends.
    pub(crate) work: Notify,
    /// Something has left.
    room: Notify,
    news: Arc<News>,
    me: UserId,
}

struct State {
    lanes: HashMap<UserId, Lane>,
    /// Receivers to whom something may be sent now.
    ready: VecDeque<UserId>,
    /// By the id of the packet.
    in_flight: HashMap<u64, UserId>,
    count: usize,
    capacity: usize,
    /// Messages to one receiver that may be under way at once.
    window: usize,
    give_up_after: Duration,
    /// Nothing has waited longer than since then; `None` when nothing waits.
    oldest: Option<Instant>,
    /// The server wants nothing before.
    not_before: Option<Instant>,
    pauses: Pauses,
    /// Why nothing is taken any more.
    closed: Option<ErrorKind>,
}

/// The messages to one receiver, in the order in which they were given.
#[derive(Default)]
struct Lane {
    queue: VecDeque<Entry>,
    in_flight: usize,
    is_ready: bool,
}

struct Entry {
    message: SendMessage,
    id: ClientMessageId,
    /// Set while it is under way.
    packet: Option<u64>,
    since: Instant,
    failures: u32,
    done: oneshot::Sender<Result<Message>>,
    shown: Arc<AtomicU8>,
}

/// A message that the outbox has taken.
pub(crate) struct Queued {
    pub(crate) id: ClientMessageId,
    pub(crate) done: oneshot::Receiver<Result<Message>>,
    shown: Arc<AtomicU8>,
}

impl Queued {
    pub(crate) fn state(&self) -> SendState {
        match self.shown.load(Ordering::Acquire) {
            1 => SendState::Sent,
            2 => SendState::Failed,
            _ => SendState::Pending,
        }
    }
}

impl Outbox {
    pub(crate) fn new(me: UserId, news: Arc<News>, capacity: usize, window: usize, give_up_after: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                lanes: HashMap::new(),
                ready: VecDeque::new(),
                in_flight: HashMap::new(),
                count: 0,
                capacity: capacity.max(1),
                window: window.max(1),
                give_up_after,
                oldest: None,
                not_before: None,
                pauses: Backoff::CONNECTIONS.pauses(),
                closed: None,
            }),
            work: Notify::new(),
            room: Notify::new(),
            news,
            me,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message, or says that there is no room.
    pub(crate) fn push(&self, message: SendMessage, id: ClientMessageId) -> Result<Queued> {
        let (done, receiver) = oneshot::channel();
        let shown = Arc::new(AtomicU8::new(SendState::Pending as u8));
        let mut state = self.state();
        if let Some(kind) = state.closed {
            return Err(gone(kind));
        }
        if state.count >= state.capacity {
            return Err(Error::new(ErrorKind::Full, "the outbox is full"));
        }
        state.count += 1;
        let now = Instant::now();
        state.oldest.get_or_insert(now);
        let to = message.to.clone();
        let lane = state.lanes.entry(to.clone()).or_default();
        lane.queue.push_back(Entry {
            message,
            id: id.clone(),
            packet: None,
            since: now,
            failures: 0,
            done,
            shown: shown.clone(),
        });
        state.make_ready(&to);
        drop(state);
        self.work.notify_one();
        Ok(Queued {
            id,
            done: receiver,
            shown,
        })
    }

    /// As [`Self::push`], once there is room.
    pub(crate) async fn push_in_turn(&self, message: SendMessage, id: ClientMessageId) -> Result<Queued> {
        loop {
            let room = self.room.notified();
            match self.push(message.clone(), id.clone()) {
                Err(error) if error.kind() == ErrorKind::Full => room.await,
                done => return done,
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.state().count
    }

    /// Sends what may be sent. `false`: the connection has no room for more now.
    pub(crate) fn pump(&self, connection: &Connection) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.not_before.is_some_and(|at| at > Instant::now()) {
            return true;
        }
        state.not_before = None;
        while let Some(to) = state.ready.pop_front() {
            let Some(lane) = state.lanes.get_mut(&to) else { continue };
            let next = lane.queue.iter_mut().find(|entry| entry.packet.is_none());
            let Some(entry) = next.filter(|_| lane.in_flight < state.window) else {
                lane.is_ready = false;
                continue;
            };
            match connection.ask_in_stream(&entry.message) {
                Ok(packet) => {
                    entry.packet = Some(packet);
                    lane.in_flight += 1;
                    state.in_flight.insert(packet, to.clone());
                    state.ready.push_back(to);
                }
                Err(error) if error.kind() == ErrorKind::Config => {
                    let id = entry.id.clone();
                    state.ready.push_front(to.clone());
                    let gone = state.take(&to, &id);
                    self.finish(gone, Err(error));
                }
                Err(error) => {
                    state.ready.push_front(to);
                    // Without a connection there is nothing to wait for.
                    return error.kind() != ErrorKind::Full;
                }
            }
        }
        true
    }

    /// When the server may be asked again.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.state().not_before
    }

    /// What the server says to a packet. The message when it is stored; `None` of what was not ours, too.
    pub(crate) fn settle(&self, packet: u64, said: Result<MessageSent>) -> Option<Message> {
        let mut guard = self.state();
        let state = &mut *guard;
        let to = state.in_flight.remove(&packet)?;
        let lane = state.lanes.get_mut(&to)?;
        lane.in_flight = lane.in_flight.saturating_sub(1);
        let entry = lane.queue.iter_mut().find(|entry| entry.packet == Some(packet))?;
        entry.packet = None;
        let id = entry.id.clone();
        let outcome = match said {
            Ok(sent) => Ok(stored(&self.me, &entry.message, &id, sent)),
            Err(error) => {
                if error.retryability() == Retryability::Ambiguous {
                    entry.failures += 1;
                }
                let again = error.retryability() != Retryability::Permanent && entry.failures < MOST_FAILURES;
                if again {
                    // No answer in time is reason to ask again, not to wait.
                    if error.kind() != ErrorKind::Timeout {
                        let pause = state.pauses.next(error.retry_after()).unwrap_or_default();
                        state.not_before = Some(Instant::now() + pause);
                    }
                    state.make_ready(&to);
                    return None;
                }
                Err(error)
            }
        };
        if outcome.is_ok() {
            state.pauses = Backoff::CONNECTIONS.pauses();
        }
        let message = outcome.as_ref().ok().cloned();
        let gone = state.take(&to, &id);
        state.make_ready(&to);
        self.finish(gone, outcome);
        message
    }

    fn finish(&self, entry: Option<Entry>, outcome: Result<Message>) {
        let Some(entry) = entry else { return };
        let state = if outcome.is_ok() {
            SendState::Sent
        } else {
            SendState::Failed
        };
        entry.shown.store(state as u8, Ordering::Release);
        let _ = entry.done.send(outcome); // Nobody has to wait for it.
        self.news.tell(Event::Sending { id: entry.id, state });
        self.room.notify_waiters();
    }

    /// The connection is gone, or what it said was missed: what is under way is to be repeated.
    pub(crate) fn repeat_all(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.in_flight.clear();
        state.ready.clear();
        for (to, lane) in &mut state.lanes {
            lane.in_flight = 0;
            for entry in &mut lane.queue {
                entry.packet = None;
            }
            lane.is_ready = true;
            state.ready.push_back(to.clone());
        }
    }

    /// Gives up on what has waited too long. When to look again; `None` when nothing waits.
    pub(crate) fn give_up_on_old_ones(&self) -> Option<Instant> {
        let mut guard = self.state();
        let state = &mut *guard;
        let after = state.give_up_after;
        let mut old: Vec<(UserId, ClientMessageId)> = Vec::new();
        // Looks through all only when the oldest is due.
        if state.oldest.is_none_or(|oldest| oldest.elapsed() < after) {
            return state.oldest.map(|oldest| oldest + after);
        }
        for (to, lane) in &state.lanes {
            let too_old = lane.queue.iter().filter(|entry| entry.since.elapsed() >= after);
            old.extend(too_old.map(|entry| (to.clone(), entry.id.clone())));
        }
        for (to, id) in old {
            let gone = state.take(&to, &id);
            let why = Error::new(ErrorKind::Timeout, "the message could not be sent in time");
            self.finish(gone, Err(why));
        }
        let first = state.lanes.values().filter_map(|lane| lane.queue.front());
        state.oldest = first.map(|entry| entry.since).min();
        state.oldest.map(|oldest| oldest + after)
    }

    /// Takes nothing any more, and fails what is left.
    pub(crate) fn close(&self, kind: ErrorKind) {
        let mut state = self.state();
        state.closed.get_or_insert(kind);
        let lanes = std::mem::take(&mut state.lanes);
        state.in_flight.clear();
        state.ready.clear();
        state.count = 0;
        drop(state);
        for entry in lanes.into_values().flat_map(|lane| lane.queue) {
            self.finish(Some(entry), Err(gone(kind)));
        }
        self.room.notify_waiters();
    }
}

impl State {
    fn make_ready(&mut self, to: &UserId) {
        if let Some(lane) = self.lanes.get_mut(to)
            && !std::mem::replace(&mut lane.is_ready, true)
        {
            self.ready.push_back(to.clone());
        }
    }

    /// Takes a message out. A lane without any is forgotten.
    fn take(&mut self, to: &UserId, id: &ClientMessageId) -> Option<Entry> {
        let lane = self.lanes.get_mut(to)?;
        let at = lane.queue.iter().position(|entry| entry.id == *id)?;
        let entry = lane.queue.remove(at)?;
        self.count -= 1;
        if let Some(packet) = entry.packet {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            self.in_flight.remove(&packet);
        }
        if lane.queue.is_empty() {
            self.lanes.remove(to);
        }
        Some(entry)
    }
}

fn gone(kind: ErrorKind) -> Error {
    let why = match kind {
        ErrorKind::SessionEnded => "the session has ended",
        _ => "the client was shut down",
    };
    Error::new(kind, why)
}

/// The message as its sender's history has it.
fn stored(me: &UserId, sent: &SendMessage, id: &ClientMessageId, receipt: MessageSent) -> Message {
    Message {
        id: receipt.message_id,
        chat_id: receipt.chat_id,
        seq: receipt.seq,
        sender: me.clone(),
        receiver: sent.to.clone(),
        content: sent.content.clone(),
        message_type: sent.message_type.unwrap_or_default(),
        is_read: false,
        read_at: None,
        timestamp: receipt.timestamp,
        edited_at: None,
        deleted_at: None,
        client_message_id: Some(id.clone()),
    }
}
