//! What a device does with what comes.

use std::time::{Duration, Instant};

use chat_client::realtime::{Incoming, RawAnswer, RawEvent};
use chat_protocol::event::{Done, MessageRead, TypingStatus, server};
use chat_protocol::{ApiError, ChatId, ErrorCode, MessageId, UserStatus};
use serde::Deserialize;

use super::plays::RETRY;
use super::{Asked, Link, Player, Report, ToRead, code_of};
use crate::attack::stage::Unread;
use crate::attack::whispers::Seen;
use crate::latency::Kind;
use crate::ledger::{Fate, Told};
use crate::rest::OUT_OF_FILES;
use crate::stamp::Stamp;

/// Readings that may wait for their ack.
const MOST_EARLY: usize = 10_000;

/// Of `new_message`, what is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arrived<'a> {
    #[serde(borrow)]
    message_id: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    chat_id: std::borrow::Cow<'a, str>,
    seq: Option<u64>,
    #[serde(borrow)]
    sender: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    receiver: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    content: std::borrow::Cow<'a, str>,
}

/// Of a message's ack, what is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    message_id: MessageId,
    seq: Option<u64>,
}

impl Player {
    pub(super) fn hear(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Event(event) => self.event(&event),
            Incoming::Answer(answer) => self.answer(&answer),
            // What was dropped is counted when the connection is let go: all of it is known only then.
            _ => {}
        }
    }

    fn event(&mut self, event: &RawEvent) {
        match event.name() {
            server::NEW_MESSAGE => match event.payload::<Arrived<'_>>() {
                Ok(message) => self.message(&message, event.at),
                Err(_) => self.foreign += 1,
            },
            server::MESSAGE_READ => {
                if let Ok(read) = event.payload::<MessageRead>() {
                    self.was_read(read, event.at);
                }
            }
            server::TYPING_STATUS => {
                if let Ok(typing) = event.payload::<TypingStatus>()
                    && let Some(person) = self.person_of(typing.from.as_str())
                    && let Some(due) = self.stage.heard(person, Seen::Typing(typing.is_typing))
                {
                    self.arrived(Kind::Typing, due, event.at);
                }
            }
            server::USER_STATUS_CHANGED => {
                if let Ok(status) = event.payload::<UserStatus>()
                    && let Some(person) = self.person_of(status.user_id.as_str())
                    && person != self.role.person
                    && let Some(due) = self.stage.heard(person, Seen::Status(status.status))
                {
                    self.arrived(Kind::Status, due, event.at);
                }
            }
            server::ERROR => {
                let code = event
                    .payload::<ApiError>()
                    .map_or("UNREADABLE".into(), |error| error.code.as_str().into());
                let now = self.now();
                self.sample(Kind::Connect, now, Duration::ZERO, Some(code));
            }
            _ => {}
        }
    }

    fn message(&mut self, message: &Arrived<'_>, at: Instant) {
        let script = &self.stage.script;
        let Some(stamp) = Stamp::read(&message.content, script.mark, script.length) else {
            self.foreign += 1;
            return;
        };
        let Some((place, inbox)) = self.inboxes.get_mut(&stamp.stream) else {
            // A connection that breaks takes acks with it. When the server gets to the message only afterwards, the new connection is
            // another device of the sender, and is told.
            let own = self.outboxes.iter().find(|(_, book)| book.stream() == stamp.stream);
            if own.and_then(|(_, book)| book.fate(stamp.number)) != Some(Fate::Uncertain) {
                self.foreign += 1;
            }
            return;
        };
        let Some(stream) = script.cast.streams.get(*place) else {
            return;
        };
        let of = |person: usize| self.stage.people.get(person).map(|person| person.id.as_str());
        if of(stream.from) != Some(&*message.sender) || of(stream.to) != Some(&*message.receiver) {
            self.foreign += 1;
            return;
        }
        let first = inbox.tell(stamp.number, message.seq, Told::Live);
        let to_me = stream.to == self.role.person;
        let peer = if to_me { stream.from } else { stream.to };
        if let Some(seq) = message.seq {
            self.known.entry(peer).or_default().add(seq);
        }
        let second = self.since_start(at).as_secs();
        self.tally.at(second).delivered += 1;
        self.changes.delivered += 1;
        if !first {
            return;
        }
        self.under_way(-1);
        self.arrived(Kind::Deliver, stamp.due, at);
        if to_me && self.reads(stamp.number) {
            let (Ok(message), Ok(chat)) = (
                message.message_id.parse::<MessageId>(),
                message.chat_id.parse::<ChatId>(),
            ) else {
                self.foreign += 1;
                return;
            };
            self.read(ToRead { message, chat, stamp });
        }
    }

    /// Whether this device reads the message of this number at once: the first of its person does.
    fn reads(&self, number: u32) -> bool {
        let every = self.stage.script.read_every;
        self.role.share.is_some() && every > 0 && number.is_multiple_of(every)
    }

    fn was_read(&mut self, read: MessageRead, at: Instant) {
        if let Some(Unread { due, owed, .. }) = self.unread.remove(&read.message_id) {
            self.under_way(-i64::from(owed));
            self.arrived(Kind::Read, due, at);
        } else if self.person().is_some_and(|me| me.id != read.reader_id) && self.read_early.len() < MOST_EARLY {
            // The news of the reading was quicker than the ack.
            self.read_early.insert(read.message_id, at);
        }
    }

    /// Something that was due has come.
    fn arrived(&mut self, kind: Kind, due: Duration, at: Instant) {
        let took = self.since_start(at).saturating_sub(due);
        if kind == Kind::Deliver && took > self.stage.script.late_after {
            self.late += 1;
        }
        self.sample(kind, due, took, None);
    }

    fn answer(&mut self, answer: &RawAnswer) {
        let Some(asked) = self.asked.remove(&answer.id) else {
            return;
        };
        self.awaits(-1);
        match asked {
            Asked::Message { outbox, number, due } => self.acked(answer, outbox, number, due),
            // What they are to bring about is measured where it arrives.
            Asked::Other { kind, due } => {
                if let Err(error) = answer.value::<Done>() {
                    self.stage.whisper_refused(self.role.person, kind, due);
                    self.sample(kind, due, Duration::ZERO, Some(code_of(&error)));
                }
            }
            Asked::Mark { stream, number, due } => match answer.value::<Done>() {
                Ok(_) => self.marked.push((stream, number)),
                Err(error) => {
                    self.stays_unread();
                    self.sample(Kind::Read, due, Duration::ZERO, Some(code_of(&error)));
                }
            },
        }
    }

    fn acked(&mut self, answer: &RawAnswer, outbox: usize, number: u32, due: Duration) {
        let sent = answer.value::<Stored>();
        let fate = match &sent {
            Ok(sent) => Fate::Acked(sent.seq),
            Err(error) => match error.code() {
                // By the contract a retry is safe: it may have been stored.
                Some(ErrorCode::ServiceUnavailable | ErrorCode::InternalError) | None => Fate::Uncertain,
                Some(_) => Fate::Refused,
            },
        };
        if let Some((_, book)) = self.outboxes.get_mut(outbox) {
            book.answer(number, fate);
        }
        match sent {
            Ok(sent) => {
                let second = self.since_start(answer.at).as_secs();
                self.tally.at(second).acked += 1;
                self.changes.acked += 1;
                self.arrived(Kind::Ack, due, answer.at);
                let place = self.outboxes.get(outbox).map(|(place, _)| *place);
                let peer = place.and_then(|place| self.peer(place)).map(|(peer, _)| peer);
                if let (Some(peer), Some(seq)) = (peer, sent.seq) {
                    self.known.entry(peer).or_default().add(seq);
                }
                let every = self.stage.script.read_every;
                if every > 0 && number.is_multiple_of(every) {
                    match self.read_early.remove(&sent.message_id) {
                        Some(at) => self.arrived(Kind::Read, due, at),
                        None => {
                            let stream = self.outboxes.get(outbox).map_or(u32::MAX, |(_, book)| book.stream());
                            let unread = Unread {
                                stream,
                                number,
                                due,
                                owed: true,
                            };
                            self.unread.insert(sent.message_id, unread);
                            self.under_way(1);
                        }
                    }
                }
            }
            Err(error) => {
                let hearers = self.hearers(outbox);
                self.under_way(-hearers);
                self.sample(Kind::Ack, due, Duration::ZERO, Some(code_of(&error)));
            }
        }
    }

    pub(super) fn note(&mut self, report: Report) {
        match report {
            Report::Done { call, at, error } => {
                let Some((kind, due)) = self.calls.remove(&call) else {
                    return;
                };
                self.awaits(-1);
                let took = self.since_start(at).saturating_sub(due);
                self.sample(kind, due, took, error);
            }
            Report::Connected { link, began, at } => {
                self.awaits(-1);
                let Link::Down { since } = self.link else { return };
                let (connection, events) = *link;
                self.link = Link::Up { connection, events };
                self.reconnects += 1;
                self.inboxes.values_mut().for_each(|(_, inbox)| inbox.reconnected());
                self.misses_whispers();
                let due = self.since_start(began);
                self.sample(Kind::Connect, due, at.saturating_duration_since(began), None);
                self.send_waiting();
                // Only now: what comes from here on comes live.
                self.catch_up(since);
            }
            Report::NotConnected { error } => {
                self.awaits(-1);
                if !self.is_excused(&error) {
                    let due = self.now();
                    self.sample(Kind::Connect, due, Duration::ZERO, Some(error));
                }
                self.try_again();
            }
            Report::CaughtUp {
                peer,
                messages,
                since,
                at,
                error,
                reconnect,
            } => {
                self.awaits(-1);
                let failed = error.is_some();
                self.caught_up(peer, &messages, (since, at), error);
                // What was missed stays missed until it is fetched. Whoever has connected again meanwhile has asked again.
                if failed && reconnect == self.reconnects {
                    self.catch_up_with(peer, since, RETRY);
                }
            }
        }
    }

    /// Whether this failure to come back is not said: while nodes are started anew, nobody may be there yet.
    fn is_excused(&self, error: &str) -> bool {
        self.stage.script.may_disconnect && error != OUT_OF_FILES
    }

    fn caught_up(
        &mut self,
        peer: usize,
        messages: &[(u64, String)],
        (since, at): (Instant, Instant),
        error: Option<Box<str>>,
    ) {
        let due = self.since_start(since);
        // It is asked again.
        if !error.as_deref().is_some_and(|error| self.is_excused(error)) {
            self.sample(Kind::CatchUp, due, at.saturating_duration_since(since), error);
        }
        let script = &self.stage.script;
        let mut news = Vec::new();
        for (seq, content) in messages {
            self.known.entry(peer).or_default().add(*seq);
            let Some(stamp) = Stamp::read(content, script.mark, script.length) else {
                continue;
            };
            // What this device sent itself is in there too.
            if let Some((place, inbox)) = self.inboxes.get_mut(&stamp.stream)
                && inbox.tell(stamp.number, Some(*seq), Told::CaughtUp)
            {
                news.push((*place, stamp));
            }
        }
        for (place, stamp) in news {
            self.under_way(-1);
            // Its user sees it only now.
            self.arrived(Kind::Deliver, stamp.due, at);
            let stream = self.stage.script.cast.streams.get(place);
            if stream.is_some_and(|stream| stream.to == self.role.person) && self.reads(stamp.number) {
                self.stays_unread();
            }
        }
    }

    /// Which person it is, of those that this device talks with.
    fn person_of(&self, id: &str) -> Option<usize> {
        let streams = &self.stage.script.cast.streams;
        let of = |person: usize| {
            self.stage
                .people
                .get(person)
                .is_some_and(|person| person.id.as_str() == id)
        };
        self.role
            .hears
            .iter()
            .filter_map(|place| streams.get(*place))
            .map(|stream| stream.from)
            .find(|person| of(*person))
    }
}
