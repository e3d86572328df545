//! The one task of a client: opens connections one after the other, and keeps each busy.

use std::sync::Arc;
use std::time::Duration;

use chat_protocol::UserId;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument as _;

use super::session::{Over, Session, is_final};
use crate::client::Parts;
use crate::event::ConnectionState;
use crate::realtime::Wire;
use crate::retry::Pauses;
use crate::spans;
use crate::{Error, ErrorKind, Result};

/// A connection that lived so long begins the pauses anew.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// A server that ends every connection at once is not asked more often.
pub(super) const ONCE_A_SECOND: Duration = Duration::from_secs(1);

/// Runs until the client ends, by its user's will or because there is nothing more to be done.
pub(crate) async fn run(parts: Arc<Parts>) {
    let ended = live(&parts).await;
    let (state, kind) = match ended.kind() {
        ErrorKind::SessionEnded => (ConnectionState::SessionEnded, ErrorKind::SessionEnded),
        _ => (ConnectionState::Closed, ErrorKind::Closed),
    };
    tracing::debug!(reason = %ended, "the client has ended");
    parts.outbox.close(kind);
    parts.show(state);
    parts.inbox.close();
    parts.news.close();
}

/// Why it ended.
async fn live(parts: &Arc<Parts>) -> Error {
    let mut pauses = parts.settings.reconnect.pauses();
    loop {
        parts.show(ConnectionState::Connecting);
        let opened = tokio::select! {
            biased;
            () = parts.bell.asked_to_stop() => return closed(),
            // As much as it takes to connect is not kept for as long as the client lives.
            opened = Box::pin(connect(parts)) => opened,
        };
        let wait = match opened {
            Ok(wire) => {
                let began = Instant::now();
                let span = spans::connection(parts.user_id(), wire.sid());
                let over = Session::new(parts, wire).run().instrument(span).await;
                if began.elapsed() >= STABLE_AFTER {
                    pauses = parts.settings.reconnect.pauses();
                }
                match over {
                    Over::Stopped => return closed(),
                    Over::Ended(error) => return error,
                    // Not the network's fault: there is nothing to wait for.
                    Over::Expired if began.elapsed() >= ONCE_A_SECOND => continue,
                    Over::Expired | Over::Lost => None,
                }
            }
            Err(error) if is_final(&error) => return error,
            Err(error) => {
                tracing::debug!(%error, "no connection");
                error.retry_after()
            }
        };
        if let Err(error) = pause(parts, &mut pauses, wait).await {
            return error;
        }
    }
}

async fn pause(parts: &Parts, pauses: &mut Pauses, at_least: Option<Duration>) -> Result<()> {
    parts.show(ConnectionState::Waiting);
    let Some(pause) = pauses.next(at_least) else {
        return Err(Error::new(ErrorKind::Network, "no connection within the budget"));
    };
    let until = Instant::now() + pause;
    loop {
        let look = parts.outbox.tick();
        tokio::select! {
            () = parts.bell.asked_to_stop() => return Err(closed()),
            () = sleep_until(look.map_or(until, |look| look.min(until))) => {}
        }
        if Instant::now() >= until {
            return Ok(());
        }
    }
}

async fn connect(parts: &Arc<Parts>) -> Result<Wire<UserId>> {
    let span = spans::connect(parts.user_id());
    spans::within(&span, open(parts)).await
}

/// A connection that the server has taken. A token that it does not like is renewed once.
async fn open(parts: &Arc<Parts>) -> Result<Wire<UserId>> {
    let held = parts.session.fresh().await?;
    match parts.connect(&held.access).await {
        Err(error) if error.is_about_token() => {
            let held = parts.session.renew(held.number).await?;
            parts.connect(&held.access).await
        }
        opened => opened,
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the client was shut down")
}
