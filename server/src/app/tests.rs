//! Whoever asks for something may hang up while the store does it, and the store may refuse in the middle: whom it concerns hears of what
//! was done, and of nothing else.

use std::sync::Arc;
use std::time::Duration;

use chat_protocol::{Message, Status, Timestamp, UserId};
use chat_testcontainers::{Mongo, unique_name};
use futures_util::poll;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::auth::password::Passwords;
use crate::auth::token::Tokens;
use crate::chat::Chat;
use crate::chat::messages::ReadRequest;
use crate::chat::sessions::Caller;
use crate::cluster::{Device, DeviceId, Full, Registry, ServerEvent};
use crate::config::{Secret, TokenConfig};
use crate::metrics::{Metrics, StoreMetrics};
use crate::store::Store;
use crate::store::mongo::MongoStore;
use crate::store::sqlite::SqliteStore;
use crate::store::suite::Bench;
use crate::store::suite::sessions::login;

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
const CLOSED: &str = "closed";

/// Says which events it gets, and that it is closed.
struct Ear(DeviceId, UnboundedSender<&'static str>);

impl Device for Ear {
    fn id(&self) -> DeviceId {
        self.0
    }

    fn send(&self, event: &ServerEvent) -> Result<(), Full> {
        let _ = self.1.send(event.name());
        Ok(())
    }

    fn close(&self) {
        let _ = self.1.send(CLOSED);
    }

    fn close_slow(&self) {
        self.close();
    }
}

/// Bob, who has a device and a message from Ann, who has another.
struct World {
    chat: Chat,
    ann: UserId,
    bob: UserId,
    message: Message,
    heard: [UnboundedReceiver<&'static str>; 2],
    _dir: Option<TempDir>,
}

impl World {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(dir.path(), StoreMetrics::default()).unwrap();
        Self {
            _dir: Some(dir),
            ..Self::on(store).await
        }
    }

    async fn on(store: Arc<dyn Store>) -> Self {
        let b = Bench::new(store.clone());
        let (ann, bob) = (b.user("ann").await, b.user("bob").await);
        login(&b, &ann, "of-ann").await;
        login(&b, &bob, "of-bob").await;
        let message = b.send(&ann, &bob, "hello").await;
        let tokens = TokenConfig {
            secret: Secret("of these tests, and long enough for anybody".into()),
            lifetime: Duration::from_secs(3600),
        };
        let chat = Chat::new(
            store,
            Passwords::new(1).unwrap(),
            Tokens::with(&tokens, &tokens),
            Arc::new(Registry::new(Metrics::new(&mut Default::default()))),
            Duration::ZERO,
        );
        let heard = [(&ann, "of-ann", 1), (&bob, "of-bob", 2)].map(|(user, session, number)| {
            let (tell, heard) = unbounded_channel();
            let ear = Arc::new(Ear(DeviceId(number), tell));
            let session = session.to_owned();
            chat.registry.attach(user, &session, ear, Timestamp::now(), |_| {});
            heard
        });
        Self {
            chat,
            ann,
            bob,
            message,
            heard,
            _dir: None,
        }
    }

    fn caller(&self, user: &UserId, session: &str) -> Caller {
        Caller {
            user: user.clone(),
            session: session.to_owned(),
            expires_at: Timestamp::now(),
        }
    }

    /// A device that the store answers nothing about from its greeting on: it is not let in.
    async fn is_refused(&self, user: &UserId) {
        let (tell, _heard) = unbounded_channel();
        let ear = Arc::new(Ear(DeviceId(3), tell));
        let store = self.chat.store.clone();
        let greet = move |_| tokio::task::block_in_place(|| Handle::current().block_on(store.close()));
        let session = "another".to_owned();
        assert!(self.chat.connect(user, &session, ear, greet).await.is_err());
    }

    /// What Ann (0) or Bob (1) hears next.
    async fn hears(&mut self, who: usize) -> &'static str {
        let next = tokio::time::timeout(PATIENCE, self.heard[who].recv()).await;
        next.expect("nobody is told").expect("the device lives")
    }
}

/// Begins it and hangs up before there is an answer.
async fn hang_up(work: impl Future) {
    let mut work = Box::pin(work);
    assert!(poll!(&mut work).is_pending(), "the store answered at once");
}

#[tokio::test]
async fn whose_message_was_read_hears_of_it_though_the_reader_hung_up() {
    let mut world = World::new().await;
    let request = ReadRequest::Messages(vec![world.message.id.clone()]);
    hang_up(world.chat.mark_read(&world.bob, request)).await;
    assert_eq!(world.hears(0).await, "message_read");
}

#[tokio::test]
async fn both_hear_of_an_edit_whose_author_hung_up() {
    let mut world = World::new().await;
    hang_up(
        world
            .chat
            .edit(&world.ann, world.message.id.as_str(), "good day".into()),
    )
    .await;
    assert_eq!([world.hears(0).await, world.hears(1).await], ["message_edited"; 2]);
}

#[tokio::test]
async fn both_hear_of_a_deletion_whose_author_hung_up() {
    let mut world = World::new().await;
    hang_up(world.chat.delete(&world.ann, world.message.id.as_str())).await;
    assert_eq!([world.hears(0).await, world.hears(1).await], ["message_deleted"; 2]);
}

#[tokio::test]
async fn a_logout_ends_the_sockets_of_its_session_though_nobody_waits_for_the_answer() {
    let mut world = World::new().await;
    hang_up(world.chat.logout(&world.caller(&world.ann, "of-ann"))).await;
    assert_eq!(world.hears(0).await, CLOSED);
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_the_session_though_the_thief_hangs_up() {
    let mut world = World::new().await;
    let tokens = world.chat.tokens.issue(&world.ann, "of-ann", 0, 0).unwrap();
    let body = json!({"refreshToken": tokens.refresh_token});
    world.chat.refresh(&body).await.unwrap();
    hang_up(world.chat.refresh(&body)).await;
    assert_eq!(world.hears(0).await, CLOSED);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_session_nobody_could_look_up_is_not_there() {
    let world = World::new().await;
    let before = world.chat.registry.sessions().len();
    world.is_refused(&world.ann).await;
    assert_eq!(world.chat.registry.sessions().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_let_in_nowhere_else_was_never_there() {
    let world = World::new().await;
    let eve = Bench::new(world.chat.store.clone()).user("eve").await;
    world.is_refused(&eve).await;
    assert_eq!(world.chat.registry.presence(&eve), None);
}

#[tokio::test]
async fn a_status_that_was_refused_is_not_set_and_can_be_chosen_again() {
    let mongo = Mongo::start().await.unwrap();
    let uri = mongo.database_uri(&unique_name("status"));
    let mut world = World::on(MongoStore::open(&uri, StoreMetrics::default()).await.unwrap()).await;
    mongo.pause().await.unwrap();
    let chosen = world.chat.update_status(&world.bob, Status::Busy).await;
    assert!(chosen.is_err());
    let shown = world.chat.registry.presence(&world.bob).unwrap();
    assert_eq!(shown.status, Status::Online);
    mongo.unpause().await.unwrap();
    world.chat.update_status(&world.bob, Status::Busy).await.unwrap();
    assert_eq!([world.hears(0).await, world.hears(1).await], ["user_status_changed"; 2]);
}
