//! A MongoDB that takes long over one write: until that is done, transactions see nothing that came later, and nothing that came
//! later is durable.

use std::sync::Arc;

use chat_testcontainers::{Mongo, unique_name};
use mongodb::bson::{Document, doc};
use tokio::task::JoinHandle;

use super::super::{MongoStore, row};
use super::node;
use crate::store::suite::Bench;
use crate::store::suite::sessions::login;
use crate::store::{SendOutcome, SessionStore as _, Store as _};

/// Stops MongoDB in the middle of an insert.
const FAIL_POINT: &str = "hangAfterCollectionInserts";

struct Stalled {
    _mongo: Mongo,
    uri: String,
    store: Arc<MongoStore>,
    write: Option<JoinHandle<()>>,
}

impl Stalled {
    async fn open() -> Self {
        let mongo = Mongo::start_with_fail_points().await.unwrap();
        let uri = mongo.database_uri(&unique_name("stalled"));
        let store = node(&uri).await;
        Self {
            _mongo: mongo,
            uri,
            store,
            write: None,
        }
    }

    async fn admin(&self, command: Document) -> Document {
        let admin = self.store.db.client.database("admin");
        admin.run_command(command).await.unwrap()
    }

    /// Returns when the write has begun.
    async fn stall(&mut self) {
        let other = self.store.db.database.collection::<Document>("other");
        // The collection is there before, so that it is the insert that stops.
        other.insert_one(doc! {"first": true}).await.unwrap();
        let of = doc! {"collectionNS": other.namespace().to_string()};
        let set = self
            .admin(doc! {"configureFailPoint": FAIL_POINT, "mode": "alwaysOn", "data": of})
            .await;
        let times = row::int(&set, "count").unwrap() + 1;
        self.write = Some(tokio::spawn(async move {
            other.insert_one(doc! {"first": false}).await.unwrap();
        }));
        self.admin(doc! {"waitForFailPoint": FAIL_POINT, "timesEntered": times, "maxTimeMS": 30_000})
            .await;
    }

    async fn go_on(&mut self) {
        self.admin(doc! {"configureFailPoint": FAIL_POINT, "mode": "off"}).await;
        self.write.take().unwrap().await.unwrap();
    }

    /// Waits until a number that MongoDB tells about itself has grown by so much.
    async fn grown(&self, path: [&str; 2], since: i64, by: i64) {
        while self.count(path).await < since + by {
            tokio::task::yield_now().await;
        }
    }

    async fn count(&self, [section, name]: [&str; 2]) -> i64 {
        let status = self.admin(doc! {"serverStatus": 1}).await;
        row::int(status.get_document(section).unwrap(), name).unwrap()
    }
}

#[tokio::test]
async fn who_was_made_during_a_stall_gets_a_session_that_lives() {
    let mut stalled = Stalled::open().await;
    let b = Bench::new(stalled.store.clone());
    stalled.stall().await;
    // Not durable, but there: it is durable when the session is.
    let ann = b.user("ann").await;
    const ABORTED: [&str; 2] = ["transactions", "totalAborted"];
    let before = stalled.count(ABORTED).await;
    let opened = tokio::spawn(async move {
        login(&b, &ann, "s1").await;
    });
    stalled.grown(ABORTED, before, 1).await;
    stalled.go_on().await;
    opened.await.unwrap();
    assert!(stalled.store.session("s1").await.unwrap().is_some());
}

#[tokio::test]
async fn what_waits_to_be_durable_is_acknowledged_to_nobody() {
    let mut stalled = Stalled::open().await;
    let second = node(&stalled.uri).await;
    let (a, b) = (Bench::new(stalled.store.clone()), Bench::new(second));
    let (ann, bob) = (a.user("ann").await, a.user("bob").await);
    for bench in [&a, &b] {
        bench.send(&ann, &bob, "hello").await;
    }
    // Nothing else is inserted meanwhile.
    stalled.store.search_caught_up().await.unwrap();
    let send = |bench: &Bench| {
        let mut message = bench.message(&ann, &bob, "once");
        message.client_message_id = Some("c-1".parse().unwrap());
        let store = bench.store.clone();
        tokio::spawn(async move { store.send(message).await })
    };
    stalled.stall().await;
    let mut first = send(&a);
    let stored = doc! {"clientMessageId": "c-1"};
    let messages = &stalled.store.db.messages;
    while messages.find_one(stored.clone()).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    const INSERTS: [&str; 2] = ["opcounters", "insert"];
    let before = stalled.count(INSERTS).await;
    let mut repeat = send(&b);
    // Both have waited in vain, looked for what became of it, and try again.
    tokio::select! {
        answer = &mut first => panic!("acknowledged before it is durable: {answer:?}"),
        answer = &mut repeat => panic!("acknowledged before it is durable: {answer:?}"),
        () = stalled.grown(INSERTS, before, 3) => {}
    }
    stalled.go_on().await;
    let SendOutcome::Stored(message) = first.await.unwrap().unwrap() else {
        panic!("the first is stored");
    };
    let SendOutcome::Repeated(again) = repeat.await.unwrap().unwrap() else {
        panic!("the second is a repeat");
    };
    assert_eq!(message, again);
}
