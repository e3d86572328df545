//! One connection from its first packet to its end.

use std::sync::Arc;
use std::time::Duration;

use chat_protocol::event::{Authenticate, MessageSent, NewMessage, UpdateStatus, server};
use chat_protocol::{ErrorCode, Message};
use futures_util::future::OptionFuture;
use secrecy::ExposeSecret as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::catch_up::catch_up;
use super::supervisor::is_final;
use crate::client::{Parts, Stop};
use crate::event::{ConnectionState, Event};
use crate::realtime::{self, Connection, Events, Incoming, RawEvent};
use crate::rest::BoxFuture;
use crate::session::Held;
use crate::{Error, ErrorKind, Result};

/// How much of what arrived is dealt with in one go.
const BATCH: usize = 64;
/// Messages of two senders may cross: so long a gap may close by itself before it is fetched.
const GRACE: Duration = Duration::from_millis(50);
/// After a catch-up that failed; longer when the server asks for it.
const AGAIN_IN: Duration = Duration::from_secs(1);
/// How long a renewal that failed waits.
const RENEW_AGAIN_IN: Duration = Duration::from_secs(5);

/// Why a connection is over.
pub(super) enum Over {
    /// The client was asked to stop.
    Stopped,
    /// There is no point in another one.
    Ended(Error),
    /// The server ended it because the token had expired.
    Expired,
    /// The network, or the server.
    Lost,
}

pub(super) struct Session<'a> {
    parts: &'a Arc<Parts>,
    connection: Connection,
    events: Events,
    /// Fetches what was missed.
    catching_up: Option<BoxFuture<Result<()>>>,
    /// Something was found to be missing since.
    has_gap: bool,
    /// Nobody knows what was missed since.
    has_missed: bool,
    expired: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(parts: &'a Arc<Parts>, connection: Connection, events: Events) -> Self {
        Self {
            parts,
            connection,
            events,
            catching_up: None,
            has_gap: false,
            has_missed: parts.settings.realtime_catch_up,
            expired: false,
        }
    }

    pub(super) async fn run(mut self, stop: &mut watch::Receiver<Stop>) -> Over {
        let parts = self.parts.clone();
        parts.outbox.repeat_all();
        parts.attach(Some(self.connection.clone()));
        if let Some(status) = parts.chosen_status() {
            let _ = self.connection.emit(&UpdateStatus { status }); // When it is gone already, the next one says it.
        }
        parts.show(ConnectionState::Online);
        let over = self.serve(stop).await;
        parts.attach(None);
        if matches!(over, Over::Stopped) {
            self.connection.close().await;
        }
        over
    }

    async fn serve(&mut self, stop: &mut watch::Receiver<Stop>) -> Over {
        let parts = self.parts.clone();
        let mut batch = Vec::new();
        let mut renewing: Option<BoxFuture<Result<Arc<Held>>>> = None;
        let mut renew_at = parts.session.held().map_or_else(|_| Instant::now(), |held| held.due);
        let mut stopping = false;
        loop {
            let has_room = parts.outbox.pump(&self.connection);
            let look = parts.outbox.give_up_on_old_ones();
            if stopping && parts.outbox.len() == 0 {
                return Over::Stopped;
            }
            self.start_catching_up();
            let blocked = parts.outbox.not_before();
            tokio::select! {
                taken = self.events.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return if self.expired { Over::Expired } else { Over::Lost };
                    }
                    for incoming in batch.drain(..) {
                        self.take(incoming);
                    }
                }
                () = parts.outbox.work.notified() => {}
                _ = self.connection.room(), if !has_room => {}
                Some(()) = OptionFuture::from(blocked.map(sleep_until)) => {}
                Some(()) = OptionFuture::from(look.map(sleep_until)) => {}
                Some(done) = OptionFuture::from(self.catching_up.as_mut()) => {
                    self.catching_up = None;
                    match done {
                        Ok(()) if !self.has_gap && !self.has_missed => parts.news.tell(Event::CaughtUp),
                        Ok(()) => {}
                        Err(error) if is_final(&error) => return Over::Ended(error),
                        Err(error) => {
                            tracing::warn!(%error, "what was missed could not be fetched yet");
                            let wait = error.retry_after().unwrap_or_default().max(AGAIN_IN);
                            self.catching_up = Some(Box::pin(again(parts.clone(), wait)));
                        }
                    }
                }
                () = sleep_until(renew_at), if renewing.is_none() => {
                    let parts = parts.clone();
                    let number = parts.session.held().map(|held| held.number);
                    renewing = Some(Box::pin(async move { parts.session.renew(number?).await }));
                }
                Some(renewed) = OptionFuture::from(renewing.as_mut()) => {
                    renewing = None;
                    match renewed {
                        Ok(held) => {
                            renew_at = held.due;
                            self.extend(&held);
                        }
                        Err(error) if is_final(&error) => return Over::Ended(error),
                        Err(error) => {
                            tracing::debug!(%error, "the token could not be renewed yet");
                            renew_at = Instant::now() + RENEW_AGAIN_IN;
                        }
                    }
                }
                how = told_to_stop(stop, stopping) => {
                    if how == Stop::Now {
                        return Over::Stopped;
                    }
                    stopping = true;
                }
            }
        }
    }

    /// A living socket lives on with a fresh token.
    fn extend(&self, held: &Held) {
        let token = held.access.expose_secret().to_owned();
        if let Err(error) = self.connection.emit(&Authenticate { token }) {
            // The next connection has it in any case.
            tracing::debug!(%error, "the socket could not be extended");
        }
    }

    fn start_catching_up(&mut self) {
        if self.catching_up.is_some() || !(self.has_gap || self.has_missed) {
            return;
        }
        let (parts, all) = (self.parts.clone(), self.has_missed);
        (self.has_gap, self.has_missed) = (false, false);
        self.catching_up = Some(Box::pin(async move {
            if !all {
                sleep(GRACE).await;
            }
            catch_up(parts, all).await
        }));
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Event(event) => self.tell(&event),
            Incoming::Answer(answer) => {
                let sent = self.parts.outbox.settle(answer.id, answer.value::<MessageSent>());
                if let Some(message) = sent {
                    self.has_gap |= self.parts.inbox.live(message);
                }
            }
            Incoming::Unanswered(id) => {
                let late = Error::new(ErrorKind::Timeout, "no answer in time");
                self.parts.outbox.settle(id, Err(late));
            }
            // Nobody knows what: messages, answers, or nothing of interest.
            Incoming::Missed(number) => {
                tracing::warn!(number, "events came faster than they could be taken");
                self.has_missed = true;
                self.parts.outbox.repeat_all();
                self.parts.news.tell(Event::Missed(number));
            }
        }
    }

    fn tell(&mut self, raw: &RawEvent) {
        // The one that comes most, without a detour.
        if raw.name() == server::NEW_MESSAGE {
            match raw.payload::<NewMessage>() {
                Ok(message) => self.has_gap |= self.parts.inbox.live(fresh(message)),
                Err(error) => {
                    tracing::warn!(%error, "a message that makes no sense; the history will tell");
                    self.has_missed = true;
                }
            }
            return;
        }
        let event = match raw.event() {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(name = raw.name(), %error, "an event that makes no sense: passed over");
                return;
            }
        };
        use realtime::Event as E;
        let news = match event {
            // Acks say it, and `NewMessage` was dealt with.
            E::Authenticated(_) | E::MessageSent(_) | E::NewMessage(_) => return,
            E::UserOnline(change) => Event::Online(change),
            E::UserOffline(change) => Event::Offline(change),
            E::UserStatusChanged(status) => Event::StatusChanged(status),
            E::TypingStatus(typing) => Event::Typing(typing),
            E::MessageRead(read) => Event::Read(read),
            E::MessageEdited(edited) => Event::Edited(edited.message),
            E::MessageDeleted(deleted) => Event::Deleted(deleted),
            E::Error(error) => {
                self.expired |= error.code == ErrorCode::TokenExpired;
                Event::ServerError(error)
            }
            E::Unknown => Event::Unknown {
                name: raw.name().to_owned(),
                json: raw.json().to_owned(),
            },
        };
        self.parts.news.tell(news);
    }
}

async fn again(parts: Arc<Parts>, wait: Duration) -> Result<()> {
    sleep(wait).await;
    catch_up(parts, true).await
}

/// What is asked for beyond what is being done already. With the sender the client is gone.
async fn told_to_stop(stop: &mut watch::Receiver<Stop>, stopping: bool) -> Stop {
    let told = stop.wait_for(|stop| *stop == Stop::Now || (*stop == Stop::Gently && !stopping));
    told.await.map_or(Stop::Now, |stop| *stop)
}

/// As the history will have it.
fn fresh(new: NewMessage) -> Message {
    Message {
        id: new.message_id,
        chat_id: new.chat_id,
        seq: new.seq,
        sender: new.sender,
        receiver: new.receiver,
        content: new.content,
        message_type: new.message_type,
        is_read: false,
        read_at: None,
        timestamp: new.timestamp,
        edited_at: None,
        deleted_at: None,
        client_message_id: None,
    }
}
