//! The messages of all chats, each once and each chat in order, for any number of readers.
//!
//! A chat is a log that counts 1, 2, 3 … (promise 2 of the contract), so one number per chat says what was passed on. What
//! follows it is passed on; what came before is a repeat; what comes later waits until the gap has been fetched from the
//! history. So it is the same whether messages come live, late, twice, or from the history after a reconnect.
//!
//! Everything is bounded: what waits for a gap by [`MOST_HELD`], what waits for a reader by its capacity. A message beyond is
//! not kept but fetched again: all that is remembered of it is its number.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use chat_protocol::{ChatId, Message, Timestamp, UserId};

use super::reader::Reader;
use super::seen::Seen;
use crate::position::Position;

/// Messages that wait for a gap, in all chats together.
const MOST_HELD: usize = 1024;
/// Clocks of the nodes of one deployment differ by less.
const CLOCKS_DIFFER_BY: i64 = 60_000;

pub(crate) type ReaderId = u64;

pub(crate) struct Inbox {
    me: UserId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chats: HashMap<ChatId, Log>,
    /// All chats there were at the start are known, so that another one begins with its first message.
    complete: bool,
    seen: Seen,
    held: usize,
    readers: HashMap<ReaderId, Reader>,
    next_reader: ReaderId,
    closed: bool,
}

/// One chat.
#[derive(Default)]
struct Log {
    peer: Option<UserId>,
    /// Where the client began.
    start: u64,
    /// What was passed on, up to here.
    seq: u64,
    /// The last one that is known to exist.
    target: u64,
    /// Behind a gap.
    held: BTreeMap<u64, Message>,
}

/// What a reader is to do.
pub(crate) enum Next {
    Message(Message),
    /// Nothing waits, but of this chat messages found no room.
    Fetch(Gap),
    End,
}

/// Messages of a chat that are to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) chat: ChatId,
    pub(crate) peer: UserId,
    /// They begin behind this number.
    pub(crate) after: u64,
    /// And exist up to this one, at least: a history that ends before has a hole. One that ends before a later number may just
    /// have been read before that was written.
    pub(crate) until: u64,
}

impl Inbox {
    pub(crate) fn new(me: UserId, position: Option<&Position>) -> Self {
        let mut state = State::default();
        if let Some(position) = position {
            state.complete = true;
            state.seen = Seen::up_to(position.seen);
            for (chat, seq) in &position.chats {
                let log = Log {
                    start: *seq,
                    seq: *seq,
                    target: *seq,
                    ..Log::default()
                };
                state.chats.insert(chat.clone(), log);
            }
        }
        Self {
            me,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peer_of(&self, message: &Message) -> UserId {
        peer(&self.me, message).clone()
    }

    /// Where a chat was when the client began; `false` when that is known.
    pub(crate) fn begin(&self, last: &Message) -> bool {
        let (mut state, peer) = (self.state(), self.peer_of(last));
        if state.chats.contains_key(&last.chat_id) {
            return false;
        }
        let seq = last.seq.unwrap_or(0);
        let log = Log {
            peer: Some(peer),
            start: seq,
            seq,
            target: seq,
            held: BTreeMap::new(),
        };
        state.chats.insert(last.chat_id.clone(), log);
        true
    }

    /// All chats there were have been told, and what came before this moment is old.
    pub(crate) fn begun(&self, at: Option<Timestamp>) {
        let mut state = self.state();
        state.complete = true;
        state.seen = Seen::up_to(at);
    }

    /// Before this moment nothing can have been missed.
    pub(crate) fn surely_seen(&self) -> Option<Timestamp> {
        let until = self.state().seen.until()?;
        Some(Timestamp::from_millis(until.as_millis() - CLOCKS_DIFFER_BY))
    }

    /// Of any chat something may have been missed from now on.
    pub(crate) fn break_off(&self) {
        self.state().seen.break_off();
    }

    /// All that was missed has been fetched.
    pub(crate) fn caught_up(&self) {
        self.state().seen.caught_up();
    }

    /// The last message of a chat. `true`: something before it was missed, or it itself.
    pub(crate) fn exists(&self, last: &Message) -> bool {
        let (mut state, peer) = (self.state(), self.peer_of(last));
        let log = state.chats.entry(last.chat_id.clone()).or_default();
        log.peer = Some(peer);
        log.target = log.target.max(last.seq.unwrap_or(0));
        log.target > log.seq
    }

    /// A message as it comes, of others or one's own. `true`: others before it are missing.
    pub(crate) fn live(&self, message: Cow<'_, Message>) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(seq) = message.seq else {
            // A server that does not count gives no promise either.
            state.pass_on(&self.me, message);
            return false;
        };
        let log = match state.chats.get_mut(&message.chat_id) {
            Some(log) => log,
            None => {
                let begin = if state.complete { 0 } else { seq.saturating_sub(1) };
                let log = Log {
                    start: begin,
                    seq: begin,
                    target: begin,
                    ..Log::default()
                };
                state.chats.entry(message.chat_id.clone()).or_insert(log)
            }
        };
        log.peer.get_or_insert_with(|| peer(&self.me, &message).clone());
        log.target = log.target.max(seq);
        if seq <= log.seq {
            return false;
        }
        if seq > log.seq + 1 {
            if state.held < MOST_HELD && log.held.insert(seq, message.into_owned()).is_none() {
                state.held += 1;
            }
            return true;
        }
        log.seq = seq;
        if log.held.is_empty() {
            let has_gap = log.target > log.seq;
            state.pass_on(&self.me, message);
            return has_gap;
        }
        let chat = message.chat_id.clone();
        state.pass_on(&self.me, message);
        state.release(&self.me, &chat)
    }

    /// A chat of which something is missing, among these.
    pub(crate) fn gap(&self, among: impl Fn(&ChatId) -> bool) -> Option<Gap> {
        let state = self.state();
        let has_gap = |(chat, log): &(&ChatId, &Log)| log.target > log.seq && among(chat);
        let mut logs = state.chats.iter().filter(has_gap);
        logs.find_map(|(chat, log)| {
            Some(Gap {
                chat: chat.clone(),
                peer: log.peer.clone()?,
                after: log.seq,
                until: log.target,
            })
        })
    }

    /// What the history has in a gap, ascending, and whether that is all.
    pub(crate) fn history(&self, gap: &Gap, page: Vec<Message>, is_last: bool) {
        let mut guard = self.state();
        let state = &mut *guard;
        for message in page {
            let (Some(seq), Some(log)) = (message.seq, state.chats.get_mut(&gap.chat)) else {
                continue;
            };
            if seq <= log.seq {
                continue;
            }
            // The history leaves nothing out; what cannot be read of it is lost to us anyway.
            log.seq = seq;
            log.target = log.target.max(seq);
            if log.held.remove(&seq).is_some() {
                state.held -= 1;
            }
            state.pass_on(&self.me, Cow::Owned(message));
        }
        state.release(&self.me, &gap.chat);
        if is_last
            && let Some(log) = state.chats.get_mut(&gap.chat)
            && log.seq < gap.until
        {
            // The server told of messages that its history does not have. Whatever waits is passed on as it is.
            tracing::warn!(chat = %gap.chat, "the history has a hole: it is passed over");
            let waits = log.held.keys().next().map_or(gap.until, |first| first - 1);
            log.seq = waits.min(gap.until);
            state.release(&self.me, &gap.chat);
        }
    }

    /// A reader of what comes; when `from_start`, of all since the client began.
    pub(crate) fn subscribe(&self, capacity: usize, everything: bool, from_start: bool) -> (ReaderId, Position) {
        let mut state = self.state();
        let id = state.next_reader;
        state.next_reader += 1;
        let seen = if from_start {
            state.seen.start()
        } else {
            state.passed_on()
        };
        let mut reader = Reader::new(capacity, everything, seen);
        let mut position = Position::default();
        for (chat, log) in &state.chats {
            let begin = if from_start { log.start } else { log.seq };
            position.chats.insert(chat.clone(), begin);
            if begin < log.seq {
                reader.behind(chat.clone(), begin);
            }
        }
        state.readers.insert(id, reader);
        (id, position)
    }

    pub(crate) fn unsubscribe(&self, reader: ReaderId) {
        self.state().readers.remove(&reader);
    }

    /// What a reader is to do now. One that is fetching already is not told to.
    pub(crate) fn poll(&self, reader: ReaderId, is_fetching: bool, cx: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state();
        let closed = state.closed;
        let State { readers, chats, .. } = &mut *state;
        let Some(reader) = readers.get_mut(&reader) else {
            return Poll::Ready(Next::End);
        };
        if let Some(message) = reader.next() {
            return Poll::Ready(Next::Message(message));
        }
        if closed {
            return Poll::Ready(Next::End);
        }
        let gap = |(chat, after): (&ChatId, u64)| {
            let log = chats.get(chat)?;
            Some(Gap {
                chat: chat.clone(),
                peer: log.peer.clone()?,
                after,
                until: log.seq,
            })
        };
        if !is_fetching && let Some(gap) = reader.all_behind().find_map(gap) {
            return Poll::Ready(Next::Fetch(gap));
        }
        reader.listen(cx);
        Poll::Pending
    }

    /// What a reader fetched, ascending, and whether that is all.
    pub(crate) fn fetched(&self, reader: ReaderId, gap: &Gap, page: Vec<Message>, is_last: bool) {
        let mut state = self.state();
        let State { readers, chats, .. } = &mut *state;
        let (Some(reader), Some(log)) = (readers.get_mut(&reader), chats.get(&gap.chat)) else {
            return;
        };
        reader.fetched(&self.me, &gap.chat, page, log.seq, is_last.then_some(gap.until));
    }

    /// A reader could not fetch this: others come first.
    pub(crate) fn not_fetched(&self, reader: ReaderId, gap: &Gap) {
        if let Some(reader) = self.state().readers.get_mut(&reader) {
            reader.not_fetched(&gap.chat);
        }
    }

    /// Up to when a reader took what there was, of all chats.
    pub(crate) fn seen_by(&self, reader: ReaderId) -> Option<Timestamp> {
        let mut state = self.state();
        let passed_on = state.passed_on();
        state.readers.get_mut(&reader)?.seen(passed_on)
    }

    /// How many messages found no room at this reader, and were or will be fetched.
    pub(crate) fn lagged(&self, reader: ReaderId) -> u64 {
        self.state().readers.get(&reader).map_or(0, Reader::lagged)
    }

    /// Nothing comes any more.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.readers.values_mut().for_each(Reader::wake);
    }
}

impl State {
    /// Up to when everything was passed on to readers, as far as that is known: of what waits for a gap, and what found no place to
    /// wait, nobody knows how old it is.
    fn passed_on(&self) -> Option<Timestamp> {
        let has_gap = self.chats.values().any(|log| log.target > log.seq);
        self.seen.until().filter(|_| !has_gap)
    }

    fn pass_on(&mut self, me: &UserId, message: Cow<'_, Message>) {
        self.seen.one(message.timestamp);
        let mut readers = self
            .readers
            .values_mut()
            .filter_map(|reader| reader.has_place(me, &message));
        let Some(mut reader) = readers.next() else { return };
        // The last one gets the message itself, the others a copy.
        for next in readers {
            reader.take((*message).clone());
            reader = next;
        }
        reader.take(message.into_owned());
    }

    /// Passes on what no longer waits. `true`: there is another gap.
    fn release(&mut self, me: &UserId, chat: &ChatId) -> bool {
        loop {
            let Some(log) = self.chats.get_mut(chat) else {
                return false;
            };
            // Repeats that were held behind a gap.
            let current = log.held.split_off(&(log.seq + 1));
            self.held -= log.held.len();
            log.held = current;
            let Some(message) = log.held.remove(&(log.seq + 1)) else {
                return log.target > log.seq;
            };
            self.held -= 1;
            log.seq += 1;
            self.pass_on(me, Cow::Owned(message));
        }
    }
}

fn peer<'a>(me: &UserId, message: &'a Message) -> &'a UserId {
    if message.sender == *me {
        &message.receiver
    } else {
        &message.sender
    }
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
