//! The rules, a file per noun. Knows no axum, no Socket.IO and no database.

mod accounts;
mod cursor;
pub mod fields;
mod late;
pub mod lists;
pub mod messages;
pub mod presence;
pub mod sessions;
pub mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chat_protocol::UserId;
use futures_util::TryStreamExt as _;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};
use tracing::Instrument as _;

use self::late::Late;
use crate::auth::password::Passwords;
use crate::auth::token::Tokens;
use crate::cluster::{Ended, Registry};
use crate::id::IdSource;
use crate::store::{SessionId, Store, StoreResult};
use crate::{Error, Result};

/// Presence changes of one user happen one after the other; so many users may change at once.
const TURNS: usize = 64;

/// Looks for sessions that ended unheard of: what is written late is missed by the first.
const LOOKS: u32 = 2;

/// Looks into the store at the same time, when there are many to be taken.
const LOOKS_AT_ONCE: usize = 16;

/// Something is under way for as long as this is kept.
pub type UnderWay = OwnedRwLockReadGuard<()>;

/// Everything that the rules need. Cheap to clone.
#[derive(Clone)]
pub struct Chat {
    pub(crate) ids: Arc<IdSource>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) registry: Arc<Registry>,
    turns: Arc<[Mutex<()>]>,
    late: Arc<Late>,
    /// Looks that are still to be made.
    doubts: Arc<AtomicU32>,
    /// Read by all that is done of which others are to hear.
    under_way: Arc<RwLock<()>>,
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
            late: Arc::default(),
            doubts: Arc::default(),
            under_way: Arc::default(),
            grace,
        }
    }

    /// To be kept while something is done of which others are to hear: it is none once the end is waited for.
    pub fn under_way(&self) -> Option<UnderWay> {
        self.under_way.clone().try_read_owned().ok()
    }

    /// Waits until nothing is under way of which others are to hear.
    pub async fn at_rest(&self) {
        drop(self.under_way.write().await);
    }

    /// Does to its end what others are to hear of, also when whoever asked for it hangs up meanwhile: the store does it all the same.
    async fn to_the_end<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        if fault!(HungUpForgotten) {
            return work.await;
        }
        let held = self.under_way();
        let work = async move {
            let done = work.await;
            drop(held);
            done
        };
        match tokio::spawn(work.in_current_span()).await {
            Ok(done) => done,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::unavailable("the server ends")),
            },
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

    /// Sessions may have ended of which this process did not hear: another node could not say so, or a write had no answer.
    fn doubt_sessions(&self) {
        self.doubts.store(LOOKS, Ordering::Relaxed);
    }

    /// After a write that may end sessions: one that had no answer may be done all the same, now or a little later.
    fn written<T>(&self, written: StoreResult<T>) -> StoreResult<T> {
        if written.is_err() {
            self.doubt_sessions();
        }
        written
    }

    /// Where there is doubt, ends the sockets of this process whose sessions have ended.
    pub async fn end_doubted_sessions(&self) -> Result<()> {
        // Before the look: what is doubted while it lasts is looked for again.
        let one_less = |left: u32| left.checked_sub(1);
        let doubted = self.doubts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        if doubted.is_err() {
            return Ok(());
        }
        let looked = self.end_dead_sessions().await;
        if looked.is_err() {
            self.doubt_sessions();
        }
        looked
    }

    async fn end_dead_sessions(&self) -> Result<()> {
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
