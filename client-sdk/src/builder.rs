//! How a client is to be, and how it comes to its session.

use std::sync::Arc;
use std::time::Duration;

use chat_protocol::{Login, OwnUserEnvelope, Register};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};

use crate::client::Client;
use crate::position::Position;
use crate::realtime::Tls;
use crate::rest::{Call, Http, Repeat};
use crate::retry::Backoff;
use crate::session::{Credentials, Keeper, MemoryTokens, StoredTokens, TokenStore, repeatedly, stored};
use crate::{Error, ErrorKind, Result};

/// What a client is to be like, until [`login`](Self::login), [`register`](Self::register) or [`resume`](Self::resume) makes it.
#[derive(Debug)]
#[must_use = "nothing happens until `login`, `register` or `resume`"]
pub struct Builder {
    address: String,
    http: Option<reqwest::Client>,
    tls: Option<Tls>,
    /// PEM.
    roots: Vec<u8>,
    store: Arc<dyn TokenStore>,
    keep_password: bool,
    request_within: Duration,
    settings: Settings,
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) requests: Backoff,
    pub(crate) reconnect: Backoff,
    pub(crate) connect_within: Duration,
    pub(crate) answer_within: Duration,
    pub(crate) outbox: usize,
    pub(crate) in_flight_per_chat: usize,
    pub(crate) give_up_sending_after: Duration,
    pub(crate) message_buffer: usize,
    pub(crate) event_buffer: usize,
    pub(crate) position: Option<Position>,
    pub(crate) realtime: bool,
    pub(crate) realtime_catch_up: bool,
}

impl Builder {
    pub(crate) fn new(address: String) -> Self {
        Self {
            address,
            http: None,
            tls: None,
            roots: Vec::new(),
            store: Arc::new(MemoryTokens::default()),
            keep_password: true,
            request_within: Duration::from_secs(15),
            settings: Settings {
                requests: Backoff::REQUESTS,
                reconnect: Backoff::CONNECTIONS,
                connect_within: Duration::from_secs(10),
                answer_within: Duration::from_secs(20),
                outbox: 1_000,
                in_flight_per_chat: 1,
                give_up_sending_after: Duration::from_secs(20 * 3600),
                message_buffer: 1_000,
                event_buffer: 1_000,
                position: None,
                realtime: true,
                realtime_catch_up: true,
            },
        }
    }

    /// Where the tokens are kept. Default: [`MemoryTokens`].
    pub fn token_store(mut self, store: impl TokenStore) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// Whether the password is kept in memory, to log in again when the session is lost: a refresh token works once, so a
    /// session does not survive when the answer to a refresh is lost on the way. Default: yes, after
    /// [`login`](Self::login) and [`register`](Self::register).
    pub fn keep_password(mut self, keep: bool) -> Self {
        self.keep_password = keep;
        self
    }

    /// The HTTP client for requests: many clients of one process share one, which saves memory and connections. Which
    /// certificates requests trust is then its affair.
    pub fn http(mut self, client: reqwest::Client) -> Self {
        self.http = Some(client);
        self
    }

    /// Which certificates requests and the socket trust. Default: the system's. Many clients of one process share one.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Trusts an authority of one's own beside those that the system trusts, for requests and the socket: PEM, one certificate or
    /// several. It may be called again. Many clients share a [`Tls`] instead; both together are [`ErrorKind::Config`]. An HTTP
    /// client of one's own ([`http`](Self::http)) goes on trusting what it did.
    ///
    /// ```no_run
    /// # async fn example(password: &str, authority: Vec<u8>) -> chat_client::Result<()> {
    /// # use chat_client::Client;
    /// let builder = Client::builder("https://chat.internal").add_root_certificate(authority);
    /// let chat = builder.login("ann", password).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_root_certificate(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.roots.extend_from_slice(pem.as_ref());
        self.roots.push(b'\n');
        self
    }

    /// How requests are tried again. Default: [`Backoff::REQUESTS`].
    pub fn requests(mut self, backoff: Backoff) -> Self {
        self.settings.requests = backoff;
        self
    }

    /// How lost connections are opened again. Default: [`Backoff::CONNECTIONS`]. When its budget is spent, the client has ended.
    pub fn reconnect(mut self, backoff: Backoff) -> Self {
        self.settings.reconnect = backoff;
        self
    }

    /// How long one try of a request may take. Default: 15 s.
    pub fn request_within(mut self, time: Duration) -> Self {
        self.request_within = time;
        self
    }

    /// How long the opening of a connection may take. Default: 10 s.
    pub fn connect_within(mut self, time: Duration) -> Self {
        self.settings.connect_within = time;
        self
    }

    /// How long the server may take to acknowledge a message, before it is repeated. Default: 20 s.
    pub fn answer_within(mut self, time: Duration) -> Self {
        self.settings.answer_within = time;
        self
    }

    /// How many messages the outbox holds. Default: 1,000. More wait for their turn, or are refused:
    /// [`Send::queue`](crate::Send::queue).
    pub fn outbox(mut self, messages: usize) -> Self {
        self.settings.outbox = messages;
        self
    }

    /// How many messages to one user may be under way at once. Default: 1, which keeps their order whatever happens.
    ///
    /// More are quicker; then, when the server refuses one of them for a while (overload, a limit) and takes the next, the first
    /// is stored behind it.
    pub fn in_flight_per_chat(mut self, messages: usize) -> Self {
        self.settings.in_flight_per_chat = messages;
        self
    }

    /// How long a message may wait in the outbox. Default: 20 h, for servers know a repeat for at least 24 h.
    pub fn give_up_sending_after(mut self, time: Duration) -> Self {
        self.settings.give_up_sending_after = time;
        self
    }

    /// How many messages wait for a slow reader. Default: 1,000. Those beyond are fetched from the history when the reader comes
    /// to them: nothing is lost, and nothing grows.
    pub fn message_buffer(mut self, messages: usize) -> Self {
        self.settings.message_buffer = messages;
        self
    }

    /// How many events wait for a slow reader. Default: 1,000. Those beyond are lost, and counted:
    /// [`Event::Missed`](crate::Event::Missed).
    pub fn event_buffer(mut self, events: usize) -> Self {
        self.settings.event_buffer = events;
        self
    }

    /// Goes on where a program had read before: the first stream of messages begins with what came since. `None`, as
    /// [`Position::load`] gives it before the first run, is the default: it begins now.
    pub fn position(mut self, position: impl Into<Option<Position>>) -> Self {
        self.settings.position = position.into();
        self
    }

    /// Opens no connection: for programs that only make requests. There are no events then, and the outbox takes nothing
    /// ([`ErrorKind::Closed`](crate::ErrorKind::Closed)); send by [`send_by_rest`](Client::send_by_rest).
    pub fn without_realtime(mut self) -> Self {
        self.settings.realtime = false;
        self
    }

    /// Does not look for what was missed, neither at the start nor after a reconnect: a stream of messages has then what comes
    /// live. Only what a later message of the same chat shows to be missing is fetched all the same.
    pub fn without_catch_up(mut self) -> Self {
        self.settings.realtime_catch_up = false;
        self
    }

    /// Logs in with a username or email, and a password: a new session.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] with `INVALID_CREDENTIALS` or `ACCOUNT_INACTIVE`; and what every request may fail with.
    pub async fn login(self, identifier: impl Into<String>, password: impl Into<SecretString>) -> Result<Client> {
        let (identifier, password) = (identifier.into(), password.into());
        let body = Login {
            identifier: identifier.clone(),
            password: password.expose_secret().to_owned(),
        };
        // Twice is two sessions, of which one is used.
        let call = Call::new(Method::POST, "api/auth/login", Repeat::Freely).body(&body)?;
        self.enter(&call, identifier, password, false).await
    }

    /// Makes an account, and logs in.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] with `USERNAME_TAKEN`, `EMAIL_TAKEN` or `VALIDATION_ERROR` ([`Error::details`] says which fields);
    /// and what every request may fail with. It is not repeated when its answer is lost: try [`login`](Self::login) then.
    pub async fn register(
        self,
        username: impl Into<String>,
        email: impl Into<String>,
        password: impl Into<SecretString>,
    ) -> Result<Client> {
        let (username, password) = (username.into(), password.into());
        let body = Register {
            username: username.clone(),
            email: email.into(),
            password: password.expose_secret().to_owned(),
            confirm_password: password.expose_secret().to_owned(),
        };
        let call = Call::new(Method::POST, "api/auth/register", Repeat::Never).body(&body)?;
        self.enter(&call, username, password, true).await
    }

    async fn enter(self, call: &Call, identifier: String, password: SecretString, is_new: bool) -> Result<Client> {
        let (http, tls) = self.connectors()?;
        let session: chat_protocol::Session = repeatedly(&http, self.settings.requests, call, None).await?;
        let tokens = stored(session.tokens);
        self.store.save(&tokens).await?;
        let credentials = self.keep_password.then_some(Credentials { identifier, password });
        let keeper = Keeper::new(http.clone(), self.store, self.settings.requests, tokens, credentials);
        Client::start(self.settings, http, tls, keeper, session.user, is_new).await
    }

    /// Goes on with the session whose tokens the store has.
    ///
    /// ```no_run
    /// # async fn example(password: &str) -> chat_client::Result<()> {
    /// use chat_client::{Client, ErrorKind, FileTokens};
    ///
    /// let builder = || Client::builder("http://localhost:3000").token_store(FileTokens::new("tokens.json"));
    /// let chat = match builder().resume().await {
    ///     Err(error) if error.kind() == ErrorKind::SessionEnded => builder().login("ann", password).await?,
    ///     resumed => resumed?,
    /// };
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionEnded`] when it has none, or that session is over: log in. [`ErrorKind::TokenStore`]; and what every
    /// request may fail with.
    pub async fn resume(self) -> Result<Client> {
        let none = || Error::new(ErrorKind::SessionEnded, "no session to resume: log in");
        let tokens: StoredTokens = self.store.load().await?.ok_or_else(none)?;
        let (http, tls) = self.connectors()?;
        let keeper = Keeper::new(http.clone(), self.store, self.settings.requests, tokens, None);
        let held = keeper.fresh().await?;
        let call = Call::get("api/auth/profile");
        let answer = match http.send(&call, Some(&held.access)).await {
            Err(error) if error.is_about_token() => {
                let held = keeper.renew(held.number).await?;
                http.send(&call, Some(&held.access)).await?
            }
            answer => answer?,
        };
        let strange = |_| Error::new(ErrorKind::Protocol, "a profile that is not what the contract says");
        let me: OwnUserEnvelope = serde_json::from_slice(&answer).map_err(strange)?;
        Client::start(self.settings, http, tls, keeper, me.user, false).await
    }

    /// For requests, and for the socket when it is encrypted. The certificates are read once for both, and not for an address
    /// that needs none.
    fn connectors(&self) -> Result<(Http, Option<Tls>)> {
        let tls = match &self.tls {
            Some(_) if !self.roots.is_empty() => {
                let either = "either `tls` or `add_root_certificate`: a `Tls` has its own";
                return Err(Error::new(ErrorKind::Config, either));
            }
            Some(tls) => Some(tls.clone()),
            None if !self.roots.is_empty() => Some(Tls::with_root_certificates(&self.roots)?),
            None if self.address.starts_with("https") => Some(Tls::new()?),
            None => None,
        };
        let client = match (&self.http, &tls) {
            (Some(client), _) => client.clone(),
            (None, Some(tls)) => tls.requests()?,
            (None, None) => {
                let unusable = |error| Error::new(ErrorKind::Config, "no HTTP client").because(error);
                let client = reqwest::Client::builder().build();
                // Nothing is encrypted: where the system has no certificates, none are needed.
                let client = client.or_else(|_| reqwest::Client::builder().tls_certs_only([]).build());
                client.map_err(unusable)?
            }
        };
        Ok((Http::new(client, &self.address, self.request_within)?, tls))
    }
}
