//! The client: a handle to everything.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat_protocol::event::{JoinChat, UpdateStatus};
use chat_protocol::{ChatId, ErrorCode, OwnUser, Status, UserId};
use secrecy::SecretString;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::Span;

use crate::builder::{Builder, Settings};
use crate::event::{ConnectionState, Event, Events};
use crate::live::{Bell, Inbox, News, Outbox, Stop};
use crate::messages::Messages;
use crate::outgoing::Send;
use crate::realtime::{Connection, Tls, Wire};
use crate::rest::{Call, Http, Repeat};
use crate::session::Keeper;
use crate::spans;
use crate::{Error, ErrorKind, Result};

/// A user who is logged in. Cheap to clone; all clones are one client, with one connection.
///
/// It keeps its connection, its tokens and its promises by itself, in one task of the tokio runtime in which it was made. When
/// the last clone is dropped, it leaves at once; [`shutdown`](Self::shutdown) sends what is waiting before.
///
/// ```no_run
/// # async fn example(password: &str) -> chat_client::Result<()> {
/// use chat_client::Client;
///
/// let chat = Client::builder("http://localhost:3000").login("me@example.com", password).await?;
/// let mut messages = chat.messages();
/// while let Some(message) = messages.next().await {
///     println!("{}", message.content);
///     chat.send(&message.sender, "Thank you.").await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Handle>);

struct Handle {
    parts: Arc<Parts>,
    /// `None`: there was none, or it has ended.
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// What the handle, the task and the streams have in common.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) session: Arc<Keeper>,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    pub(crate) news: Arc<News>,
    pub(crate) bell: Arc<Bell>,
    http: Http,
    me: OwnUser,
    tls: Option<Tls>,
    state: watch::Sender<ConnectionState>,
    /// Chosen by the user of this client, to be said again after a reconnect.
    status: Mutex<Option<Status>>,
    first_reader: Mutex<bool>,
}

impl Handle {
    /// Waits until the task of the client has ended, whoever waits for it as well.
    async fn ended(&self) {
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            let _ = running.await; // One that panicked has ended, too.
            *task = None;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.parts.bell.ask_to_stop(Stop::Now);
        if self.task.get_mut().is_none() {
            // Nobody else ends it.
            self.parts.end(ConnectionState::Closed);
        }
    }
}

impl Parts {
    /// Makes a call until it works, is refused for good, or the budget is spent.
    pub(crate) async fn call(&self, call: &Call) -> Result<Vec<u8>> {
        let span = spans::call(call);
        spans::within(&span, self.try_call(call, &span)).await
    }

    async fn try_call(&self, call: &Call, span: &Span) -> Result<Vec<u8>> {
        let mut pauses = self.settings.requests.pauses();
        let (mut renewed, mut unsure, mut tries) = (false, false, 0);
        loop {
            let held = self.session.fresh().await?;
            tries += 1;
            span.record("tries", tries);
            let error = match self.http.send(call, Some(&held.access)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.is_about_token() && !renewed {
                renewed = true;
                self.session.renew(held.number).await?;
                continue;
            }
            // The try before did it; only its answer was lost.
            if unsure && call.repeat == Repeat::UntilGone && error.is(&ErrorCode::MessageNotFound) {
                return Ok(Vec::new());
            }
            if !call.may_repeat_after(&error) {
                return Err(error);
            }
            unsure |= error.retryability() == crate::Retryability::Ambiguous;
            let Some(pause) = pauses.next(error.retry_after()) else {
                return Err(error);
            };
            tracing::debug!(?call, %error, ?pause, "a request is tried again");
            sleep(pause).await;
        }
    }

    pub(crate) async fn connect(&self, token: &SecretString) -> Result<Wire<UserId>> {
        let mut connect = Connection::to(self.http.address())
            .token(token.clone())
            .within(self.settings.connect_within)
            .answer_within(self.settings.answer_within);
        if let Some(tls) = &self.tls {
            connect = connect.tls(tls.clone());
        }
        connect.wire().await
    }

    pub(crate) fn show(&self, state: ConnectionState) {
        let is_new = self
            .state
            .send_if_modified(|shown| std::mem::replace(shown, state) != state);
        if is_new {
            self.news.tell(Event::Connection(state));
        }
    }

    pub(crate) fn chosen_status(&self) -> Option<Status> {
        *self.status()
    }

    pub(crate) fn user_id(&self) -> &UserId {
        &self.me.user.id
    }

    fn status(&self) -> std::sync::MutexGuard<'_, Option<Status>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, state: ConnectionState) {
        self.outbox.close(ErrorKind::Closed);
        self.show(state);
        self.inbox.close();
        self.news.close();
    }
}

impl Client {
    /// A client of the server at this address: `http` or `https`, with a path when the server is below one.
    pub fn builder(address: impl Into<String>) -> Builder {
        Builder::new(address.into())
    }

    pub(crate) async fn start(
        settings: Settings,
        http: Http,
        tls: Option<Tls>,
        session: Arc<Keeper>,
        me: OwnUser,
        is_new: bool,
    ) -> Result<Self> {
        let news = Arc::new(News::default());
        let user = me.user.id.clone();
        let bell = Arc::new(Bell::default());
        let outbox = Outbox::new(
            user.clone(),
            bell.clone(),
            news.clone(),
            settings.outbox,
            settings.in_flight_per_chat,
            settings.give_up_sending_after,
        );
        let parts = Arc::new(Parts {
            inbox: Inbox::new(user, settings.position.as_ref()),
            outbox,
            news,
            bell,
            http,
            me,
            tls,
            session,
            state: watch::Sender::new(ConnectionState::Connecting),
            status: Mutex::default(),
            first_reader: Mutex::new(true),
            settings,
        });
        let mut task = None;
        if parts.settings.realtime {
            let knows = is_new || parts.settings.position.is_some();
            if is_new {
                parts.inbox.begun(None);
            } else if !knows && parts.settings.realtime_catch_up {
                crate::live::baseline(&parts).await?;
            }
            task = Some(tokio::spawn(crate::live::run(parts.clone())));
        } else {
            // Nothing would ever leave it, and nobody is to wait for that.
            parts.outbox.close(ErrorKind::Closed);
            parts.show(ConnectionState::Closed);
        }
        Ok(Self(Arc::new(Handle {
            parts,
            task: tokio::sync::Mutex::new(task),
        })))
    }

    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.0.parts
    }

    pub(crate) fn session(&self) -> &Arc<Keeper> {
        &self.0.parts.session
    }

    pub(crate) async fn call(&self, call: &Call) -> Result<Vec<u8>> {
        self.0.parts.call(call).await
    }

    /// Who is logged in.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        self.0.parts.user_id()
    }

    /// Who is logged in, as it was at the login; [`profile`](Self::profile) asks anew.
    #[must_use]
    pub fn me(&self) -> &OwnUser {
        &self.0.parts.me
    }

    /// Messages to this user: what was missed and what comes live, each once, each chat in order.
    ///
    /// The first stream of a client begins where the client did, so that nothing is lost between the login and this call; later
    /// ones begin now. See [`Messages`].
    pub fn messages(&self) -> Messages {
        let mut first = self.0.parts.first_reader.lock().unwrap_or_else(PoisonError::into_inner);
        Messages::new(self.0.parts.clone(), false, std::mem::take(&mut *first))
    }

    /// As [`messages`](Self::messages), with this user's own messages and the tombstones of deleted ones: each chat as a log
    /// without holes.
    pub fn all_messages(&self) -> Messages {
        let mut first = self.0.parts.first_reader.lock().unwrap_or_else(PoisonError::into_inner);
        Messages::new(self.0.parts.clone(), true, std::mem::take(&mut *first))
    }

    /// Everything else that happens, from now on.
    ///
    /// ```no_run
    /// # async fn example(chat: chat_client::Client) {
    /// use chat_client::Event;
    ///
    /// let mut events = chat.events();
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Event::Typing(typing) if typing.is_typing => println!("{} types", typing.from),
    ///         Event::Edited(message) => println!("{} is now: {}", message.id, message.content),
    ///         Event::CaughtUp | Event::Missed(_) => println!("what is shown may be old: read it anew"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        Events(self.0.parts.news.subscribe(self.0.parts.settings.event_buffer))
    }

    /// A message for the outbox: await it to know that it is stored.
    ///
    /// It goes out as soon as there is a connection, after those before it to the same user, and is repeated under one
    /// `clientMessageId` until the server has answered: it is stored once. Dropping what this returns before the outbox had room
    /// for it sends nothing; dropping it later does not take the message back.
    pub fn send(&self, to: &UserId, content: impl Into<String>) -> Send {
        Send::new(self.clone(), to.clone(), content.into())
    }

    /// How many messages are in the outbox.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.0.parts.outbox.len()
    }

    /// Whether there is a connection now. [`Event::Connection`] tells of every change.
    #[must_use]
    pub fn connection_state(&self) -> ConnectionState {
        *self.0.parts.state.borrow()
    }

    /// Waits until there is a connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionEnded`] or [`ErrorKind::Closed`] when there will be none.
    pub async fn online(&self) -> Result<()> {
        let mut state = self.0.parts.state.subscribe();
        let settled = |state: &ConnectionState| {
            matches!(
                state,
                ConnectionState::Online | ConnectionState::SessionEnded | ConnectionState::Closed
            )
        };
        let state = state.wait_for(settled).await.map(|state| *state);
        match state {
            Ok(ConnectionState::Online) => Ok(()),
            Ok(ConnectionState::SessionEnded) => Err(Error::new(ErrorKind::SessionEnded, "the session has ended")),
            _ => Err(Error::new(
                ErrorKind::Closed,
                "the client was shut down, or opens no connection",
            )),
        }
    }

    /// Chooses a status: said now if there is a connection, and again after every reconnect. [`Status::Offline`] is invisible.
    pub fn set_status(&self, status: Status) {
        *self.0.parts.status() = Some(status);
        self.0.parts.outbox.say(&UpdateStatus { status });
    }

    /// Says that a chat is open on this device, if there is a connection. Not needed to receive its messages.
    pub fn open_chat(&self, chat: &ChatId) {
        self.0.parts.outbox.say(&JoinChat { chat_id: chat.clone() });
    }

    /// Tells the server that this session is over, and ends the client.
    ///
    /// # Errors
    ///
    /// When the server cannot be told: the client ends and forgets its tokens all the same. Once begun it goes on, even when what waits
    /// for it is dropped.
    pub async fn logout(&self) -> Result<()> {
        let told = self.0.parts.session.log_out().await;
        self.end(Stop::Now).await;
        told
    }

    /// Sends what is in the outbox, for at most 5 s, leaves, and ends every stream. What could not be sent fails with
    /// [`ErrorKind::Closed`]: all of it when there is no connection now, for none is opened or waited for. The session lives on:
    /// [`resume`](Builder::resume) needs no password.
    pub async fn shutdown(&self) {
        self.end(Stop::Gently).await;
    }

    async fn end(&self, stop: Stop) {
        const AT_MOST: Duration = Duration::from_secs(5);
        let parts = &self.0.parts;
        parts.bell.ask_to_stop(stop);
        if timeout(AT_MOST, self.0.ended()).await.is_err() {
            parts.bell.ask_to_stop(Stop::Now);
            self.0.ended().await; // It has a second at most left to do.
        }
        parts.end(ConnectionState::Closed);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("user", self.user_id())
            .field("state", &self.connection_state())
            .finish_non_exhaustive()
    }
}
