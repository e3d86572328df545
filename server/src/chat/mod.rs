//! The rules, a file per noun. Knows no axum, no Socket.IO and no database.

mod accounts;
mod cursor;
pub mod fields;
pub mod lists;
pub mod messages;
pub mod presence;
pub mod sessions;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

use chat_protocol::UserId;
use futures_util::TryStreamExt as _;
use tokio::sync::Mutex;
use tracing::Instrument as _;

use crate::auth::password::Passwords;
use crate::auth::token::Tokens;
use crate::cluster::{Ended, Registry};
use crate::id::IdSource;
use crate::store::{SessionId, Store};
use crate::{Error, Result};

/// Presence changes of one user happen one after the other; so many users may change at once.
const TURNS: usize = 64;

/// Looks into the store at the same time, when there are many to be taken.
const LOOKS_AT_ONCE: usize = 16;

/// Everything that the rules need. Cheap to clone.
#[derive(Clone)]
pub struct Chat {
    pub(crate) ids: Arc<IdSource>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) registry: Arc<Registry>,
    turns: Arc<[Mutex<()>]>,
    grace: Duration,
}

impl Chat {
    pub fn new(
        store: Arc<dyn Store>,
        passwords: Passwords,
        tokens: Tokens,
        registry: Arc<Registry>,
        grace: Duration,
    ) -> Self {
        Self {
            ids: Arc::default(),
            store,
            passwords: Arc::new(passwords),
            tokens: Arc::new(tokens),
            registry,
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
            grace,
        }
    }

    /// Ends the sockets of these sessions of a user.
    pub fn disconnect_sessions(&self, user: &UserId, sessions: &[SessionId]) {
        self.registry.end_sessions(user, Ended::These(sessions));
    }

    /// Ends the sockets of users whom an operator has deactivated beside this process.
    pub async fn end_inactive_users(&self) -> Result<()> {
        for users in self.registry.connected().chunks(500) {
            for user in self.store.users(users).await?.iter().filter(|user| !user.active) {
                self.registry.close_here(&user.id, Ended::All);
            }
        }
        Ok(())
    }

    /// Ends the sockets of this process whose sessions ended unheard of: at other nodes, while they could not say so.
    pub async fn end_dead_sessions(&self) -> Result<()> {
        let sessions = futures_util::stream::iter(self.registry.sessions().into_iter().map(Ok));
        let look = async |(user, session): (UserId, SessionId)| {
            if self.store.session(&session).await?.is_none() {
                self.registry
                    .close_here(&user, Ended::These(std::slice::from_ref(&session)));
            }
            Ok(())
        };
        sessions.try_for_each_concurrent(LOOKS_AT_ONCE, look).await
    }
}

/// Does to its end what others are to hear of, also when whoever asked for it hangs up meanwhile: the store does it all the same.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    if fault!(HungUpForgotten) {
        return work.await;
    }
    match tokio::spawn(work.in_current_span()).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::unavailable("the server ends")),
        },
    }
}
