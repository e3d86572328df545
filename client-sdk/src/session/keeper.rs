//! Keeps the tokens of a session fresh: one refresh at a time, whoever asks.

use std::sync::{Arc, Mutex as Cell, PoisonError};
use std::time::{Duration, SystemTime};

use chat_protocol::{ErrorCode, Login, Refresh, Session, SignedIn, Tokens};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};
use tracing::Span;

use super::store::{StoredTokens, TokenStore};
use crate::rest::{Call, Http, Repeat};
use crate::retry::Backoff;
use crate::spans;
use crate::{Error, ErrorKind, Result, Retryability};

/// A fresh token is fetched so long before the old one expires, or after four fifths of its life when that is later.
const AHEAD: Duration = Duration::from_secs(60);
/// How long a renewal that failed waits; longer when the server asks for it.
const AGAIN_IN: Duration = Duration::from_secs(5);
/// No token lives longer for us than this, whatever a server says: no clock could count it.
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// The tokens that hold now.
pub(crate) struct Held {
    pub(crate) access: SecretString,
    refresh: SecretString,
    /// When to fetch new ones.
    pub(crate) due: Instant,
    /// Counts the tokens of this client, so that two who saw the same ones fail refresh them once.
    pub(crate) number: u64,
}

/// What logs in again when the tokens are lost.
pub(crate) struct Credentials {
    pub(crate) identifier: String,
    pub(crate) password: SecretString,
}

/// The session of one client.
pub(crate) struct Keeper {
    http: Http,
    store: Arc<dyn TokenStore>,
    backoff: Backoff,
    /// `None`: the session has ended.
    held: Cell<Option<Arc<Held>>>,
    /// Held by whoever changes the tokens. Inside: what to log in with.
    turn: Mutex<Option<Credentials>>,
    /// The renewal that failed last, until one works.
    failed: Cell<Option<Failed>>,
    /// Whether the user is logging out: nothing makes new tokens any more.
    leaving: watch::Sender<bool>,
}

/// A renewal that failed.
struct Failed {
    at: Instant,
    error: Error,
}

impl Failed {
    /// When another one is due that nobody asks for.
    fn again_at(&self) -> Instant {
        self.at + self.error.retry_after().unwrap_or_default().max(AGAIN_IN)
    }

    /// Its answer to somebody who asked at this moment, if it is one: it was under way then, or the server wanted no other by now.
    fn answers(&self, asked: Instant) -> Option<Error> {
        let wanted = self.error.retry_after().map(|wait| self.at + wait);
        let left = wanted.and_then(|at| at.checked_duration_since(Instant::now()));
        let concerns = self.at > asked || left.is_some_and(|left| !left.is_zero());
        concerns.then(|| self.error.shared().retry_in(left))
    }
}

impl Keeper {
    pub(crate) fn new(
        http: Http,
        store: Arc<dyn TokenStore>,
        backoff: Backoff,
        tokens: StoredTokens,
        credentials: Option<Credentials>,
    ) -> Arc<Self> {
        let left = tokens.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        let held = Held {
            access: tokens.access,
            refresh: tokens.refresh,
            due: due(left),
            number: 0,
        };
        Arc::new(Self {
            http,
            store,
            backoff,
            held: Cell::new(Some(Arc::new(held))),
            turn: Mutex::new(credentials),
            failed: Cell::default(),
            leaving: watch::Sender::new(false),
        })
    }

    /// Tokens that are fresh enough to be used.
    pub(crate) async fn fresh(self: &Arc<Self>) -> Result<Arc<Held>> {
        let held = self.held()?;
        let now = Instant::now();
        if held.due > now || self.renews_again_at() > Some(now) {
            return Ok(held);
        }
        match self.renew(held.number).await {
            // It may still hold; whoever uses it will see.
            Err(error) if error.retryability() != Retryability::Permanent => Ok(held),
            renewed => renewed,
        }
    }

    /// When a renewal that failed is due again.
    pub(crate) fn renews_again_at(&self) -> Option<Instant> {
        self.failed().as_ref().map(Failed::again_at)
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds now, fresh or not.
    pub(crate) fn held(&self) -> Result<Arc<Held>> {
        self.now().clone().ok_or_else(ended)
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Option<Arc<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other tokens than those of this number: new ones, unless somebody else has already fetched them.
    ///
    /// When it fails, everybody who asked meanwhile has the same answer.
    pub(crate) async fn renew(self: &Arc<Self>, stale: u64) -> Result<Arc<Held>> {
        let (this, asked) = (self.clone(), Instant::now());
        to_the_end(async move { this.renew_in_turn(stale, asked).await }).await
    }

    async fn renew_in_turn(&self, stale: u64, asked: Instant) -> Result<Arc<Held>> {
        let credentials = self.turn.lock().await;
        let held = self.held()?;
        if held.number != stale {
            return Ok(held);
        }
        let answer = self.failed().as_ref().and_then(|failed| failed.answers(asked));
        if let Some(error) = answer {
            return Err(error);
        }
        let renewed = self.renew_now(&held, credentials.as_ref()).await;
        *self.failed() = renewed.as_ref().err().map(|error| Failed {
            at: Instant::now(),
            error: error.shared(),
        });
        renewed
    }

    async fn renew_now(&self, held: &Held, credentials: Option<&Credentials>) -> Result<Arc<Held>> {
        if self.is_leaving() {
            return Err(ended());
        }
        // When the answer is lost nobody knows whether the token is spent. Trying it again is the only way to know; when it was,
        // the session has ended, and only a password helps.
        let call = refresh(held)?;
        let mut leaving = self.leaving.subscribe();
        let refreshed = tokio::select! {
            refreshed = self.without_token::<SignedIn>(&call) => refreshed,
            // Whoever logs out needs no new ones, and does not wait for them.
            _ = leaving.wait_for(|leaving| *leaving) => return Err(ended()),
        };
        let refused = match refreshed {
            Ok(answer) => {
                tracing::debug!("tokens were refreshed");
                return self.keep(answer.tokens).await;
            }
            Err(error) => error,
        };
        if !says_it_has_ended(&refused) {
            return Err(refused);
        }
        let Some(credentials) = credentials.filter(|_| !self.is_leaving()) else {
            self.end().await;
            return Err(ended().because(refused));
        };
        let body = Login {
            identifier: credentials.identifier.clone(),
            password: credentials.password.expose_secret().to_owned(),
        };
        let call = Call::new(Method::POST, "api/auth/login", Repeat::Freely).body(&body)?;
        let refused = match self.without_token::<Session>(&call).await {
            Ok(session) => {
                tracing::info!("the session was lost; logged in again");
                return self.keep(session.tokens).await;
            }
            Err(error) => error,
        };
        // Any other answer says nothing about the credentials: the next renewal may get a better one.
        let is_final = matches!(
            refused.code(),
            Some(ErrorCode::InvalidCredentials | ErrorCode::AccountInactive)
        );
        if !is_final {
            return Err(refused);
        }
        self.end().await;
        Err(ended().because(refused))
    }

    /// Makes a call that changes the password to this one, and takes the tokens of its answer: all before them have ended.
    ///
    /// The turn is held all the while: a renewal in between would find its token spent, and the session lost. As a renewal it goes
    /// on when the caller is gone.
    pub(crate) async fn change_password(self: &Arc<Self>, call: Call, password: SecretString) -> Result<()> {
        let this = self.clone();
        to_the_end(async move { this.change_password_now(&call, password).await }).await
    }

    async fn change_password_now(self: &Arc<Self>, call: &Call, password: SecretString) -> Result<()> {
        let mut renewed = false;
        loop {
            // Not while the turn is held, for a renewal takes it.
            self.fresh().await?;
            let mut credentials = self.turn.lock().await;
            let held = self.held()?;
            let error = match repeatedly::<SignedIn>(&self.http, self.backoff, call, Some(&held.access)).await {
                Ok(answer) => {
                    if let Some(credentials) = &mut *credentials {
                        credentials.password = password;
                    }
                    return self.keep(answer.tokens).await.map(drop);
                }
                Err(error) => error,
            };
            drop(credentials);
            if renewed || !error.is_about_token() {
                return Err(error);
            }
            renewed = true;
            self.renew(held.number).await?;
        }
    }

    /// Tells the server that the session is over, and forgets it. From its beginning on nothing logs in again, and it goes on when the
    /// caller is gone.
    pub(crate) async fn log_out(self: &Arc<Self>) -> Result<()> {
        self.held()?;
        self.leaving.send_replace(true);
        let this = self.clone();
        to_the_end(async move { this.log_out_in_turn().await }).await
    }

    async fn log_out_in_turn(&self) -> Result<()> {
        // A login that is under way makes a session that has to end, too.
        let _turn = self.turn.lock().await;
        let told = self.tell_that_it_is_over().await;
        self.end().await;
        match told {
            Err(error) if says_it_has_ended(&error) => Ok(()),
            told => told,
        }
    }

    async fn tell_that_it_is_over(&self) -> Result<()> {
        let call = Call::new(Method::POST, "api/auth/logout", Repeat::Freely);
        let held = self.held()?;
        match self.http.send(&call, Some(&held.access)).await {
            // The session may live longer than the token: only one that holds can end it.
            Err(error) if error.is(&ErrorCode::TokenExpired) => {
                let fresh = self
                    .without_token::<SignedIn>(&refresh(&held)?)
                    .await?
                    .tokens
                    .access_token;
                self.http.send(&call, Some(&fresh.into())).await.map(drop)
            }
            told => told.map(drop),
        }
    }

    fn is_leaving(&self) -> bool {
        *self.leaving.borrow()
    }

    async fn keep(&self, tokens: Tokens) -> Result<Arc<Held>> {
        let tokens = stored(tokens);
        // First where it outlives us: the token before is spent.
        let saved = self.store.save(&tokens).await;
        let left = tokens.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        let held = Arc::new(Held {
            access: tokens.access,
            refresh: tokens.refresh,
            due: due(left),
            number: self.now().as_ref().map_or(0, |held| held.number + 1),
        });
        *self.now() = Some(held.clone());
        if let Err(error) = saved {
            // They hold in this process all the same.
            tracing::error!(%error, "new tokens could not be kept: a restart will need the password");
        }
        Ok(held)
    }

    /// From now on nobody is logged in.
    pub(crate) async fn end(&self) {
        *self.now() = None;
        if let Err(error) = self.store.clear().await {
            tracing::error!(%error, "the tokens of a session that has ended could not be removed");
        }
    }

    /// A call that needs no token, tried again while it may work.
    async fn without_token<T: DeserializeOwned>(&self, call: &Call) -> Result<T> {
        repeatedly(&self.http, self.backoff, call, None).await
    }
}

/// Makes a call, with this token if there is one, until it works, is refused for good, or the budget is spent.
pub(crate) async fn repeatedly<T: DeserializeOwned>(
    http: &Http,
    backoff: Backoff,
    call: &Call,
    token: Option<&SecretString>,
) -> Result<T> {
    let span = spans::call(call);
    spans::within(&span, try_repeatedly(http, backoff, call, token, &span)).await
}

async fn try_repeatedly<T: DeserializeOwned>(
    http: &Http,
    backoff: Backoff,
    call: &Call,
    token: Option<&SecretString>,
    span: &Span,
) -> Result<T> {
    let (mut pauses, mut tries) = (backoff.pauses(), 0);
    loop {
        tries += 1;
        span.record("tries", tries);
        let error = match http.send(call, token).await {
            Ok(answer) => {
                let read = serde_json::from_slice(&answer);
                return read
                    .map_err(|_| Error::new(ErrorKind::Protocol, "an answer that is not what the contract says"));
            }
            Err(error) => error,
        };
        if !call.may_repeat_after(&error) {
            return Err(error);
        }
        match pauses.next(error.retry_after()) {
            Some(pause) => sleep(pause).await,
            None => return Err(error),
        }
    }
}

/// From what the server gives, by this machine's clock.
pub(crate) fn stored(tokens: Tokens) -> StoredTokens {
    StoredTokens {
        access: tokens.access_token.into(),
        refresh: tokens.refresh_token.into(),
        expires_at: SystemTime::now() + Duration::from_secs(tokens.expires_in).min(LONGEST_LIFE),
    }
}

fn due(left: Duration) -> Instant {
    Instant::now() + left.saturating_sub(AHEAD).max(left.mul_f64(0.8))
}

fn refresh(held: &Held) -> Result<Call> {
    let body = Refresh {
        refresh_token: held.refresh.expose_secret().to_owned(),
    };
    Call::new(Method::POST, "api/auth/refresh-token", Repeat::Freely).body(&body)
}

/// Does it all, even when nobody waits for it any more.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let done = tokio::spawn(work).await;
    done.map_err(|error| Error::new(ErrorKind::Closed, "the runtime is shutting down").because(error))?
}

/// Whether this refusal says that there is no such session any more.
fn says_it_has_ended(refusal: &Error) -> bool {
    matches!(
        refusal.code(),
        Some(ErrorCode::TokenInvalid | ErrorCode::TokenExpired | ErrorCode::RefreshReused)
    )
}

fn ended() -> Error {
    Error::new(ErrorKind::SessionEnded, "the session has ended: log in again")
}

#[cfg(test)]
mod tests;
