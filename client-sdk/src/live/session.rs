//! One connection from its first packet to its end.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chat_protocol::UserId;
use chat_protocol::event::{Authenticate, UpdateStatus};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::bell::Stop;
use super::catch_up::catch_up;
use super::line::Line;
use super::supervisor::ONCE_A_SECOND;
use crate::client::Parts;
use crate::event::{ConnectionState, Event};
use crate::realtime::{End, Wire};
use crate::rest::BoxFuture;
use crate::retry::{Backoff, Pauses};
use crate::session::Held;
use crate::{Error, ErrorKind, Result};

/// Messages of two senders may cross: so long a gap may close by itself before it is fetched.
const GRACE: Duration = Duration::from_millis(50);
/// After catch-ups that failed; longer when the server asks for it.
const AGAIN: Backoff = Backoff {
    first: Duration::from_secs(1),
    most: Duration::from_secs(10),
    budget: None,
};

/// Sleeps so long when nothing is due; what becomes due wakes it earlier.
const IDLE: Duration = Duration::from_secs(3600);

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

/// All that happens while a connection lives happens in the task of its client, in [`Self::poll`]: between what the network
/// brings and whoever waits for it there is no other task, no channel and no timer.
pub(super) struct Session<'a> {
    wire: Wire<UserId>,
    line: Line<'a>,
    /// Fetches what was missed.
    catching_up: Option<BoxFuture<Result<()>>>,
    /// Between catch-ups that fail.
    pauses: Pauses,
    renewing: Option<BoxFuture<Result<Arc<Held>>>>,
    /// `None` while it is being done.
    renew_at: Option<Instant>,
    /// Set to what is due next, or earlier.
    timer: Pin<Box<Sleep>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(parts: &'a Arc<Parts>, wire: Wire<UserId>) -> Self {
        let renew_at = parts.session.held().map_or_else(|_| Instant::now(), |held| held.due);
        Self {
            wire,
            line: Line::new(parts),
            catching_up: None,
            pauses: AGAIN.pauses(),
            renewing: None,
            renew_at: Some(renew_at),
            timer: Box::pin(sleep_until(renew_at)),
        }
    }

    pub(super) async fn run(mut self) -> Over {
        let parts = self.line.parts;
        parts.outbox.connected();
        if let Some(status) = parts.chosen_status() {
            parts.outbox.say(&UpdateStatus { status });
        }
        parts.show(ConnectionState::Online);
        let over = poll_fn(|cx| self.poll(cx)).await;
        parts.outbox.disconnected();
        if matches!(over, Over::Stopped | Over::Ended(_)) {
            self.wire.leave().await;
        }
        over
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        let parts = self.line.parts;
        parts.bell.listen(cx);
        loop {
            let stop = parts.bell.stop();
            if stop == Stop::Now {
                return Poll::Ready(Over::Stopped);
            }
            if let Poll::Ready(end) = self.wire.poll(cx, &mut self.line) {
                return Poll::Ready(self.over(&end));
            }
            if stop == Stop::Gently && parts.outbox.len() == 0 {
                return Poll::Ready(Over::Stopped);
            }
            self.start_catching_up();
            let mut busy = false;
            if let Some(done) = ready(&mut self.catching_up, cx) {
                busy = true;
                if let Err(error) = self.caught_up(done) {
                    return Poll::Ready(Over::Ended(error));
                }
            }
            if let Some(renewed) = ready(&mut self.renewing, cx) {
                busy = true;
                if let Err(error) = self.renewed(renewed) {
                    return Poll::Ready(Over::Ended(error));
                }
            }
            let due = self.renew_at.into_iter().chain(parts.outbox.due()).min();
            if let Some(due) = due.filter(|due| *due < self.timer.deadline()) {
                self.timer.as_mut().reset(due);
            }
            if self.timer.as_mut().poll(cx).is_ready() {
                busy = true;
                self.tick();
            }
            if !busy {
                return Poll::Pending;
            }
        }
    }

    fn over(&self, end: &End) -> Over {
        tracing::debug!(sid = self.wire.sid(), %end, "connection ended");
        if self.line.expired { Over::Expired } else { Over::Lost }
    }

    /// Something is due by the clock.
    fn tick(&mut self) {
        let parts = self.line.parts;
        let now = Instant::now();
        if self.renew_at.take_if(|at| *at <= now).is_some() {
            let parts = parts.clone();
            let number = parts.session.held().map(|held| held.number);
            self.renewing = Some(Box::pin(async move { parts.session.renew(number?).await }));
        }
        let due = self.renew_at.into_iter().chain(parts.outbox.tick()).min();
        self.timer.as_mut().reset(due.unwrap_or(now + IDLE));
    }

    /// An error: no other connection helps.
    fn renewed(&mut self, renewed: Result<Arc<Held>>) -> Result<()> {
        let parts = self.line.parts;
        match renewed {
            Ok(held) => {
                self.renew_at = Some(held.due);
                // A living socket lives on with a fresh token; if this is not said any more, the next one has it.
                let token = held.access.expose_secret().to_owned();
                parts.outbox.say(&Authenticate { token });
            }
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "the token could not be renewed yet");
                let now = Instant::now();
                self.renew_at = Some(parts.session.renews_again_at().unwrap_or(now).max(now + ONCE_A_SECOND));
            }
        }
        Ok(())
    }

    fn start_catching_up(&mut self) {
        let line = &mut self.line;
        if self.catching_up.is_some() || !(line.has_gap || line.has_missed) {
            return;
        }
        let (parts, all) = (line.parts.clone(), line.has_missed);
        (line.has_gap, line.has_missed) = (false, false);
        self.catching_up = Some(Box::pin(async move {
            if !all {
                sleep(GRACE).await;
            }
            catch_up(parts, all).await
        }));
    }

    /// An error: no other connection helps.
    fn caught_up(&mut self, done: Result<()>) -> Result<()> {
        let Line {
            parts,
            has_gap,
            has_missed,
            ..
        } = self.line;
        match done {
            Ok(()) => {
                self.pauses = AGAIN.pauses();
                if !has_missed && parts.settings.realtime_catch_up {
                    parts.inbox.caught_up();
                }
                if !has_missed && !has_gap {
                    parts.news.tell(Event::CaughtUp);
                }
            }
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "what was missed could not be fetched yet");
                let wait = self.pauses.next(error.retry_after()).unwrap_or(AGAIN.most);
                let all = parts.settings.realtime_catch_up;
                self.catching_up = Some(Box::pin(again(parts.clone(), all, wait)));
            }
        }
        Ok(())
    }
}

/// Whether no further try makes sense.
pub(super) fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::SessionEnded | ErrorKind::Closed | ErrorKind::Config
    )
}

/// What a future gives, once: then there is none.
fn ready<T>(future: &mut Option<BoxFuture<T>>, cx: &mut Context<'_>) -> Option<T> {
    match future.as_mut()?.as_mut().poll(cx) {
        Poll::Ready(done) => {
            *future = None;
            Some(done)
        }
        Poll::Pending => None,
    }
}

async fn again(parts: Arc<Parts>, all: bool, wait: Duration) -> Result<()> {
    sleep(wait).await;
    catch_up(parts, all).await
}
