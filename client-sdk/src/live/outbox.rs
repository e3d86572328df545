//! What is still to be sent: bounded, in order for each receiver, and repeated under the same id until it is known to be stored.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_protocol::event::MessageSent;
use chat_protocol::{ClientMessageId, Message, SendMessage, UserId};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::bell::Bell;
use super::lane::{Entry, Lane};
use super::news::News;
use crate::event::Event;
use crate::realtime::{Emit, written};
use crate::retry::{Backoff, Pauses};
use crate::spans;
use crate::{Error, ErrorKind, Result, Retryability};

/// How often a message is repeated that the server fails at, but does not refuse.
const MOST_FAILURES: u32 = 5;
/// Of what is said beside messages and waits to be written.
const MOST_SAID: usize = 256;

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
    /// There is something to send.
    bell: Arc<Bell>,
    /// Something has left.
    room: Notify,
    news: Arc<News>,
    me: UserId,
}

struct State {
    lanes: HashMap<UserId, Lane>,
    /// Receivers to whom something may be sent now.
    ready: VecDeque<UserId>,
    /// Packets that nobody waits for, said while there is a connection; `None` while there is none.
    said: Option<VecDeque<String>>,
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

/// A message that the outbox has taken.
pub(crate) struct Queued {
    pub(crate) id: ClientMessageId,
    pub(crate) done: oneshot::Receiver<Result<Message>>,
    shown: Arc<AtomicU8>,
}

/// A message that has left the outbox, and how. It is told by [`Outbox::finish`].
#[must_use = "somebody waits for it"]
pub(crate) struct Left {
    entry: Entry,
    pub(crate) outcome: Result<Message>,
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
    pub(crate) fn new(
        me: UserId,
        bell: Arc<Bell>,
        news: Arc<News>,
        capacity: usize,
        window: usize,
        give_up_after: Duration,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                lanes: HashMap::new(),
                ready: VecDeque::new(),
                said: None,
                count: 0,
                capacity: capacity.max(1),
                window: window.max(1),
                give_up_after,
                oldest: None,
                not_before: None,
                pauses: Backoff::CONNECTIONS.pauses(),
                closed: None,
            }),
            bell,
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
        let span = spans::send(&id, &message.to);
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some(kind) = state.closed {
            return Err(gone(kind));
        }
        if state.count >= state.capacity {
            return Err(Error::new(ErrorKind::Full, "the outbox is full"));
        }
        state.count += 1;
        let since = Instant::now();
        state.oldest.get_or_insert(since);
        let to = message.to.clone();
        let lane = state.lanes.entry(to.clone()).or_default();
        lane.push(Entry::new(message, id.clone(), since, span, done, shown.clone()));
        // With the window full, an answer comes first.
        let may_be_sent = lane.in_flight() < state.window;
        state.make_ready(&to);
        drop(guard);
        if may_be_sent {
            self.bell.ring();
        }
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

    /// Says something now that is no message, before all that waits. `false`: there is no connection, or it takes nothing.
    pub(crate) fn say<E: Emit>(&self, event: &E) -> bool {
        let Ok(text) = written(None, event) else { return false };
        let mut state = self.state();
        let Some(said) = state.said.as_mut().filter(|said| said.len() < MOST_SAID) else {
            return false;
        };
        said.push_back(text);
        drop(state);
        self.bell.ring();
        true
    }

    /// There is a connection: what was under way on the one before is to be repeated.
    pub(crate) fn connected(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.said = Some(VecDeque::new());
        state.ready.clear();
        for (to, lane) in &mut state.lanes {
            lane.all_again();
            lane.is_ready = true;
            state.ready.push_back(to.clone());
        }
    }

    /// There is none any more.
    pub(crate) fn disconnected(&self) {
        self.state().said = None;
    }

    /// What is to be written next: a packet, and whose answer it has when it is a message. A message becomes the packet of this
    /// number.
    pub(crate) fn next(&self, number: u64) -> Option<(String, Option<UserId>)> {
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some(text) = state.said.as_mut().and_then(VecDeque::pop_front) {
            return Some((text, None));
        }
        if state.ready.is_empty() || state.not_before.is_some_and(|at| at > Instant::now()) {
            return None;
        }
        while let Some(to) = state.ready.pop_front() {
            let Some(lane) = state.lanes.get_mut(&to) else { continue };
            let has_room = lane.in_flight() < state.window;
            let Some(at) = lane.waiting().filter(|_| has_room) else {
                lane.is_ready = false;
                continue;
            };
            let Some(entry) = lane.at(at) else { continue };
            match written(Some(number), &entry.message) {
                Ok(text) => {
                    lane.sent(at, number);
                    state.ready.push_back(to.clone());
                    return Some((text, Some(to)));
                }
                Err(error) => {
                    let gone = state.take(&to, at);
                    state.ready.push_front(to);
                    if let Some(entry) = gone {
                        let outcome = Err(error);
                        self.finish(Left { entry, outcome });
                    }
                }
            }
        }
        None
    }

    /// What the server says to a packet: the message, when that is its end. `None` of what is repeated, and of what is no longer
    /// ours.
    pub(crate) fn settle(&self, to: &UserId, packet: u64, said: Result<MessageSent>) -> Option<Left> {
        let mut guard = self.state();
        let state = &mut *guard;
        let lane = state.lanes.get_mut(to)?;
        let at = lane.under_way(packet)?;
        if let Err(error) = &said {
            let entry = lane.at(at)?;
            if error.retryability() == Retryability::Ambiguous {
                entry.failures += 1;
            }
            if error.retryability() != Retryability::Permanent && entry.failures < MOST_FAILURES {
                lane.again(at);
                // No answer in time is reason to ask again, not to wait.
                if error.kind() != ErrorKind::Timeout {
                    state.hold_on(error.retry_after());
                }
                state.make_ready(to);
                return None;
            }
        } else {
            state.pauses = Backoff::CONNECTIONS.pauses();
        }
        let mut entry = state.take(to, at)?;
        let outcome = said.map(|receipt| stored(&self.me, &mut entry, receipt));
        Some(Left { entry, outcome })
    }

    /// Tells whoever waits.
    pub(crate) fn finish(&self, left: Left) {
        let Left { entry, outcome } = left;
        let state = if outcome.is_ok() {
            SendState::Sent
        } else {
            SendState::Failed
        };
        if !entry.span.is_disabled() {
            entry.span.record("tries", entry.tries);
            entry
                .span
                .record("seq", outcome.as_ref().ok().and_then(|message| message.seq));
            spans::ended(&entry.span, &outcome);
        }
        entry.shown.store(state as u8, Ordering::Release);
        let _ = entry.done.send(outcome); // Nobody has to wait for it.
        self.news.tell(Event::Sending { id: entry.id, state });
        self.room.notify_waiters();
    }

    /// When [`Self::tick`] has something to do; `None` when nothing waits.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.state().due()
    }

    /// Gives up on what has waited too long, and goes on when the server wanted a pause that is over. When to call it again.
    pub(crate) fn tick(&self) -> Option<Instant> {
        let mut guard = self.state();
        let state = &mut *guard;
        let (now, after) = (Instant::now(), state.give_up_after);
        state.not_before = state.not_before.filter(|at| *at > now);
        let mut old = Vec::new();
        // Looks through all only when the oldest is due.
        if let Some(since) = now.checked_sub(after)
            && state.oldest.is_some_and(|oldest| oldest <= since)
        {
            let lanes: Vec<UserId> = state.lanes.keys().cloned().collect();
            for to in lanes {
                while let Some(at) = state.lanes.get(&to).and_then(|lane| lane.as_old_as(since)) {
                    old.extend(state.take(&to, at));
                }
            }
            state.oldest = state.lanes.values().filter_map(Lane::oldest).min();
        }
        let due = state.due();
        drop(guard);
        for entry in old {
            let outcome = Err(Error::new(ErrorKind::Timeout, "the message could not be sent in time"));
            self.finish(Left { entry, outcome });
        }
        due
    }

    /// Takes nothing any more, and fails what is left.
    pub(crate) fn close(&self, kind: ErrorKind) {
        let mut state = self.state();
        state.closed.get_or_insert(kind);
        let lanes = std::mem::take(&mut state.lanes);
        state.ready.clear();
        state.said = None;
        state.count = 0;
        drop(state);
        for entry in lanes.into_values().flat_map(Lane::into_entries) {
            let outcome = Err(gone(kind));
            self.finish(Left { entry, outcome });
        }
        self.room.notify_waiters();
    }
}

impl State {
    /// Sends nothing for a while. Of many that are refused at once the longest pause that is asked for counts, and they are one
    /// reason to wait longer, not many.
    fn hold_on(&mut self, asked: Option<Duration>) {
        let now = Instant::now();
        let before = self.not_before.filter(|at| *at > now);
        let pause = match before {
            Some(_) => asked,
            None => self.pauses.next(asked),
        };
        self.not_before = before.max(Some(now + pause.unwrap_or_default()));
    }

    fn make_ready(&mut self, to: &UserId) {
        if let Some(lane) = self.lanes.get_mut(to)
            && !std::mem::replace(&mut lane.is_ready, true)
        {
            self.ready.push_back(to.clone());
        }
    }

    fn due(&self) -> Option<Instant> {
        let too_old = self.oldest.and_then(|oldest| oldest.checked_add(self.give_up_after));
        self.not_before.into_iter().chain(too_old).min()
    }

    /// Takes a message out. A lane without any is forgotten; of another one the next may have a place now.
    fn take(&mut self, to: &UserId, at: usize) -> Option<Entry> {
        let lane = self.lanes.get_mut(to)?;
        let entry = lane.remove(at)?;
        self.count -= 1;
        if lane.is_empty() {
            self.lanes.remove(to);
        } else {
            self.make_ready(to);
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
fn stored(me: &UserId, sent: &mut Entry, receipt: MessageSent) -> Message {
    Message {
        id: receipt.message_id,
        chat_id: receipt.chat_id,
        seq: receipt.seq,
        sender: me.clone(),
        receiver: sent.message.to.clone(),
        content: std::mem::take(&mut sent.message.content),
        message_type: sent.message.message_type.unwrap_or_default(),
        is_read: false,
        read_at: None,
        timestamp: receipt.timestamp,
        edited_at: None,
        deleted_at: None,
        client_message_id: Some(sent.id.clone()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep_until;

    use super::super::lane::tests::message;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_place_of_a_message_that_was_given_up_goes_to_the_next() {
        let me = "ann".parse().unwrap();
        let outbox = Outbox::new(me, Arc::default(), Arc::default(), 8, 1, Duration::from_secs(1));
        outbox.connected();
        let mut first = outbox.push(message("first"), "id-1".parse().unwrap()).unwrap();
        assert!(outbox.next(1).unwrap().0.contains("first"));
        sleep_until(outbox.due().unwrap()).await;
        let _second = outbox.push(message("second"), "id-2".parse().unwrap()).unwrap();
        assert!(outbox.next(2).is_none(), "one is under way, and no more may be");
        outbox.tick();
        let given_up = first.done.try_recv().unwrap().unwrap_err();
        assert_eq!(given_up.kind(), ErrorKind::Timeout);
        assert!(outbox.next(2).unwrap().0.contains("second"));
    }

    /// Handed out, it would end the connection, and the next one.
    #[tokio::test]
    async fn what_no_server_takes_fails_and_holds_up_nothing() {
        let me = "ann".parse().unwrap();
        let outbox = Outbox::new(me, Arc::default(), Arc::default(), 8, 1, Duration::from_secs(1));
        outbox.connected();
        let long = "a".repeat(600_000);
        let mut long = outbox.push(message(&long), "id-1".parse().unwrap()).unwrap();
        let _short = outbox.push(message("short"), "id-2".parse().unwrap()).unwrap();
        assert!(outbox.next(1).unwrap().0.contains("short"));
        let refused = long.done.try_recv().unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_refusals_the_longest_wait_counts_and_they_count_once() {
        let me = "ann".parse().unwrap();
        let outbox = Outbox::new(me, Arc::default(), Arc::default(), 64, 1, Duration::from_secs(600));
        outbox.connected();
        let to: Vec<UserId> = (0..50).map(|n| format!("user{n}").parse().unwrap()).collect();
        for (number, to) in (0..).zip(&to) {
            let message = SendMessage {
                to: to.clone(),
                ..message("hello")
            };
            let _ = outbox.push(message, format!("id-{number}").parse().unwrap()).unwrap();
            assert!(outbox.next(number).is_some());
        }
        let busy = |seconds| {
            let error = Error::new(ErrorKind::Network, "busy");
            Err(error.retry_in(Some(Duration::from_secs(seconds))))
        };
        let began = Instant::now();
        for (number, to) in (0..).zip(&to) {
            let seconds = if number == 7 { 10 } else { 1 };
            assert!(outbox.settle(to, number, busy(seconds)).is_none());
        }
        assert_eq!(outbox.due(), Some(began + Duration::from_secs(10)));
    }
}
