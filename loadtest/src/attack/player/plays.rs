//! What a device does when its turn comes.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chat_client::ErrorKind;
use chat_protocol::event::{ReadReceipt, Typing, UpdateStatus};
use chat_protocol::{Chat, ChatHistory, Login, Message, Page, SendMessage, Session, Status};

use super::{Asked, Link, Player, Report, ToRead, code_of, connect};
use crate::action::Action;
use crate::attack::whispers::Seen;
use crate::latency::Kind;
use crate::ledger::Fate;
use crate::people::Person;
use crate::rest::{CallError, Rest};
use crate::result::CONNECTION_LOST;
use crate::stamp::Stamp;

/// Between two tries to connect again.
pub(super) const RETRY: Duration = Duration::from_millis(250);

impl Player {
    /// Takes every turn whose moment has come, and sets the alarm for the next one.
    pub(super) fn take_turns(&mut self) {
        let Some(go) = self.go else { return };
        let mut taken = false;
        while let Some(due) = self.next {
            let now = Instant::now();
            if go + due > now + Duration::from_micros(50) {
                break;
            }
            taken = true;
            let now = now.saturating_duration_since(go);
            self.tally.at(due.as_secs()).offered += 1;
            self.tally.at(now.as_secs()).done += 1;
            self.sample(Kind::Turn, due, now.saturating_sub(due), None);
            self.take_turn(due);
            self.next = self.turns.as_mut().and_then(Iterator::next);
            if self.next.is_none() {
                // After what the last turn has under way was told, so that the two are never both none too early.
                self.tell_changes();
                self.stage.progress.playing.fetch_sub(1, Ordering::Release);
            }
        }
        if taken {
            self.alarm.set(self.next.map(|next| go + next));
        }
    }

    fn take_turn(&mut self, due: Duration) {
        let action = self.stage.script.weights.draw(&mut self.chance);
        if matches!(self.link, Link::Down { .. }) {
            match action {
                // Whoever has no network writes all the same, and it goes out when there is one.
                Action::Send => {
                    self.awaits(1);
                    self.waiting.push(due);
                    return;
                }
                // Nobody is told of it then.
                Action::Typing | Action::Status | Action::Reconnect => return,
                Action::History | Action::Chats | Action::Search | Action::Login => {}
            }
        }
        match action {
            Action::Send => self.send(due),
            Action::Typing => self.type_on(due),
            Action::Status => self.change_status(due),
            Action::Reconnect => self.drop_connection(),
            Action::History => self.read_history(due),
            Action::Chats => self.list_chats(due),
            Action::Search => self.search(due),
            Action::Login => self.log_in(due),
        }
    }

    /// Sends what became due while there was no connection.
    pub(super) fn send_waiting(&mut self) {
        for due in std::mem::take(&mut self.waiting) {
            self.awaits(-1);
            self.send(due);
        }
    }

    fn send(&mut self, due: Duration) {
        if self.outboxes.is_empty() {
            return;
        }
        self.turn += 1;
        let outbox = self.turn % self.outboxes.len();
        let script = &self.stage.script;
        let Some((place, book)) = self.outboxes.get_mut(outbox) else {
            return;
        };
        let Some(stream) = script.cast.streams.get(*place) else {
            return;
        };
        let Some(receiver) = self.stage.people.get(stream.to) else {
            return;
        };
        let hearers = stream.hearers.len() as i64;
        let number = book.len() as u32;
        let stamp = Stamp {
            run: script.mark,
            stream: stream.id,
            number,
            due,
        };
        let message = SendMessage {
            to: receiver.id.clone(),
            content: stamp.content(script.length),
            message_type: None,
            chat_id: None,
            client_message_id: None,
        };
        let asked = match &self.link {
            Link::Up { connection, .. } => connection.ask_in_stream(&message).map_err(|error| match error.kind() {
                ErrorKind::Full => "CLIENT_QUEUE_FULL".into(),
                _ => code_of(&error),
            }),
            Link::Down { .. } => Err("CLIENT_DISCONNECTED".into()),
        };
        match asked {
            Ok(id) => {
                // Numbered only when it is on its way: what never was is an error and no message.
                book.send();
                self.asked.insert(id, Asked::Message { outbox, number, due });
                self.changes.sent += 1;
                let second = self.now().as_secs();
                self.tally.at(second).sent += 1;
                self.awaits(1);
                self.under_way(hearers);
            }
            Err(code) => self.sample(Kind::Ack, due, Duration::ZERO, Some(code)),
        }
    }

    fn type_on(&mut self, due: Duration) {
        let Some((_, peer)) = self.first_peer() else { return };
        let to = peer.id.clone();
        self.typing = !self.typing;
        let is_typing = self.typing;
        let seen = Seen::Typing(is_typing);
        self.show(due, seen, &Typing { to, is_typing });
    }

    fn change_status(&mut self, due: Duration) {
        const TURN: [Status; 3] = [Status::Away, Status::Busy, Status::Online];
        let status = TURN.get(self.status % TURN.len()).copied().unwrap_or(Status::Online);
        self.status += 1;
        self.show(due, Seen::Status(status), &UpdateStatus { status });
    }

    /// Something that the peers are to see.
    fn show(&mut self, due: Duration, what: Seen, event: &impl chat_client::realtime::Emit) {
        let kind = what.kind();
        let asked = match &self.link {
            Link::Up { connection, .. } => connection.ask_in_stream(event).map_err(|error| code_of(&error)),
            Link::Down { .. } => Err("CLIENT_DISCONNECTED".into()),
        };
        match asked {
            Ok(id) => {
                self.stage.whisper(self.role.person, what, due);
                self.asked.insert(id, Asked::Other { kind, due });
                self.awaits(1);
            }
            Err(code) => self.sample(kind, due, Duration::ZERO, Some(code)),
        }
    }

    /// Tells the sender that a message was read.
    pub(super) fn read(&mut self, to_read: ToRead) {
        let receipt = ReadReceipt {
            message_id: to_read.message,
            chat_id: to_read.chat,
        };
        if let Link::Up { connection, .. } = &self.link
            && let Ok(id) = connection.ask_in_stream(&receipt)
        {
            let Stamp {
                stream, number, due, ..
            } = to_read.stamp;
            self.asked.insert(id, Asked::Mark { stream, number, due });
            self.awaits(1);
        } else {
            self.stays_unread();
        }
    }

    /// A message that was to be read will not be: nobody waits for the news of it.
    pub(super) fn stays_unread(&mut self) {
        self.under_way(-1);
    }

    fn read_history(&mut self, due: Duration) {
        let Some((_, peer)) = self.first_peer() else { return };
        let path = format!("/api/messages/conversation/{}", peer.id);
        self.call(Kind::History, due, |rest, person| async move {
            rest.get::<ChatHistory>(&path, &[], &person.token).await.map(drop)
        });
    }

    fn list_chats(&mut self, due: Duration) {
        self.call(Kind::Chats, due, |rest, person| async move {
            rest.get::<Page<Chat>>("/api/messages/chats", &[], &person.token)
                .await
                .map(drop)
        });
    }

    /// For a part of a message's number, which some messages have and most have not.
    fn search(&mut self, due: Duration) {
        let wanted = format!(" {} ", rand::RngExt::random_range(&mut self.chance, 0..1000));
        self.call(Kind::Search, due, |rest, person| async move {
            let query = [("q", wanted.as_str())];
            rest.get::<Page<Message>>("/api/messages/search", &query, &person.token)
                .await
                .map(drop)
        });
    }

    fn log_in(&mut self, due: Duration) {
        self.call(Kind::Login, due, |rest, person| async move {
            let body = Login {
                identifier: person.username.clone(),
                password: person.password.clone(),
            };
            rest.post::<Session>("/api/auth/login", None, &body).await.map(drop)
        });
    }

    /// Makes a REST call beside, so that nothing waits for it.
    fn call<F, C>(&mut self, kind: Kind, due: Duration, call: F)
    where
        F: FnOnce(Rest, Person) -> C,
        C: Future<Output = Result<(), CallError>> + Send + 'static,
    {
        let (Some(rest), Some(person)) = (self.stage.rest(self.number).cloned(), self.person().cloned()) else {
            return;
        };
        self.awaits(1);
        self.last_call += 1;
        let number = self.last_call;
        self.calls.insert(number, (kind, due));
        let calling = call(rest, person);
        self.beside.spawn(async move {
            let error = calling.await.err().map(|error| error.code());
            Report::Done {
                call: number,
                at: Instant::now(),
                error,
            }
        });
    }

    /// Lets go of the connection as a phone does that enters a tunnel: without a word.
    fn drop_connection(&mut self) {
        if matches!(self.link, Link::Up { .. }) {
            self.lost();
        }
    }

    /// The connection broke, and nobody here broke it.
    pub(super) fn was_cut(&mut self) {
        if !self.stage.script.may_disconnect {
            let now = self.now();
            self.sample(Kind::Connect, now, Duration::ZERO, Some(CONNECTION_LOST.into()));
        }
        self.lost();
    }

    /// The connection is gone: what was under way is uncertain, and a new one is made.
    pub(super) fn lost(&mut self) {
        let since = Instant::now();
        self.count_dropped();
        self.link = Link::Down { since };
        self.stage.progress.disconnects.fetch_add(1, Ordering::Relaxed);
        for asked in std::mem::take(&mut self.asked).into_values() {
            self.awaits(-1);
            if matches!(asked, Asked::Mark { .. }) {
                self.stays_unread();
            }
            if let Asked::Message { outbox, number, .. } = asked {
                if let Some((_, book)) = self.outboxes.get_mut(outbox) {
                    book.answer(number, Fate::Uncertain);
                }
                // Whether it will be delivered, nobody knows: nobody waits for it.
                let hearers = self.hearers(outbox);
                self.under_way(-hearers);
            }
        }
        // News of what was read comes once, and not to those who are away.
        let owed = self.unread.values_mut().filter(|unread| unread.owed);
        let news = owed.map(|unread| unread.owed = false).count();
        self.under_way(-(news as i64));
        self.stage.whispers_broke(self.role.person);
        self.misses_whispers();
        self.connect_again(Duration::ZERO);
    }

    /// This device was away: what it was to see of others meanwhile is owed to nobody.
    pub(super) fn misses_whispers(&self) {
        let streams = self.role.hears.iter().filter_map(|&place| self.peer(place));
        streams.for_each(|(peer, _)| self.stage.whispers_broke(peer));
    }

    /// To how many devices the messages of an outbox go.
    pub(super) fn hearers(&self, outbox: usize) -> i64 {
        let place = self.outboxes.get(outbox).map(|(place, _)| *place);
        let stream = place.and_then(|place| self.stage.script.cast.streams.get(place));
        stream.map_or(0, |stream| stream.hearers.len() as i64)
    }

    pub(super) fn connect_again(&mut self, after: Duration) {
        let (stage, number, role) = (self.stage.clone(), self.number, self.role.clone());
        self.awaits(1);
        self.beside.spawn(async move {
            tokio::time::sleep(after).await;
            let began = Instant::now();
            match connect(&stage, number, &role).await {
                Ok(link) => Report::Connected {
                    link: Box::new(link),
                    began,
                    at: Instant::now(),
                },
                Err(error) => Report::NotConnected { error },
            }
        });
    }

    /// Fetches what was said while this device was away.
    pub(super) fn catch_up(&mut self, since: Instant) {
        let mut peers: Vec<usize> = Vec::new();
        for &place in &self.role.hears {
            if let Some((peer, _)) = self.peer(place)
                && !peers.contains(&peer)
            {
                peers.push(peer);
            }
        }
        for peer in peers {
            self.catch_up_with(peer, since, Duration::ZERO);
        }
    }

    /// Fetches what was said in one conversation, from the first place on that this device does not know.
    pub(super) fn catch_up_with(&mut self, peer: usize, since: Instant, delay: Duration) {
        let (Some(rest), Some(me), Some(other)) = (
            self.stage.rest(self.number).cloned(),
            self.person().cloned(),
            self.stage.people.get(peer).map(|person| person.id.clone()),
        ) else {
            return;
        };
        let after = self.known.entry(peer).or_default().whole();
        let reconnect = self.reconnects;
        self.awaits(1);
        self.beside.spawn(async move {
            tokio::time::sleep(delay).await;
            let fetched = rest.history_after(&me.token, &other, after).await;
            let at = Instant::now();
            let error = fetched.as_ref().err().map(CallError::code);
            let messages = fetched.unwrap_or_default().into_iter();
            let messages = messages
                .map(|message| (message.seq.unwrap_or(0), message.content))
                .collect();
            Report::CaughtUp {
                peer,
                messages,
                since,
                at,
                error,
                reconnect,
            }
        });
    }

    /// After a connection could not be made.
    pub(super) fn try_again(&mut self) {
        if !*self.stop.borrow() {
            self.connect_again(RETRY);
        }
    }

    fn first_peer(&self) -> Option<(usize, &Person)> {
        let place = self.role.sends.first().or(self.role.hears.first())?;
        self.peer(*place)
    }
}
