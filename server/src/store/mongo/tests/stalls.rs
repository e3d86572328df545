//! A MongoDB that takes long over one write: until that is done, nothing that came later is durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_protocol::{Message, Timestamp, UserId};
use chat_testcontainers::{Mongo, unique_name};
use mongodb::bson::{Document, doc};
use tokio::task::JoinHandle;

use super::super::connect::latest;
use super::super::{MongoStore, row};
use super::node;
use crate::store::suite::Bench;
use crate::store::suite::sessions::login;
use crate::store::{
    EditOutcome, HistoryRange, MessageStore as _, ReadOutcome, ReadScope, RotateOutcome, SendOutcome,
    SessionStore as _, Store as _, StoreError,
};

const UPDATES: [&str; 2] = ["opcounters", "update"];
/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);
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
        let began = Instant::now();
        while self.count(path).await < since + by {
            assert!(began.elapsed() < PATIENCE, "{path:?} did not grow by {by}");
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
    const COMMITTED: [&str; 2] = ["transactions", "totalCommitted"];
    let before = stalled.count(COMMITTED).await;
    let mut opened = tokio::spawn(async move {
        login(&b, &ann, "s1").await;
    });
    tokio::select! {
        done = &mut opened => panic!("a session that may be lost: {done:?}"),
        () = stalled.grown(COMMITTED, before, 1) => {}
    }
    stalled.go_on().await;
    opened.await.unwrap();
    assert!(stalled.store.session("s1").await.unwrap().is_some());
}

#[tokio::test]
async fn what_waits_to_be_durable_is_shown_and_acknowledged_to_nobody() {
    let mut stalled = Stalled::open().await;
    let second = node(&stalled.uri).await;
    let (a, b) = (Bench::new(stalled.store.clone()), Bench::new(second));
    let (ann, bob) = (a.user("ann").await, a.user("bob").await);
    for bench in [&a, &b] {
        bench.send(&ann, &bob, "hello").await;
    }
    let chat = stalled.store.chat_of(&ann, &bob).await.unwrap().unwrap();
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
    while messages
        .find_one(stored.clone())
        .read_concern(latest())
        .await
        .unwrap()
        .is_none()
    {
        tokio::task::yield_now().await;
    }
    // There, and not to be seen.
    let history = b.store.history(&chat, HistoryRange::Above(0), 10);
    assert_eq!(history.await.unwrap().0.len(), 2);
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

/// Two messages from Ann to Bob that are acknowledged, and of which the second is counted, but not durably so.
struct Counted {
    stalled: Stalled,
    second: Arc<MongoStore>,
    bob: UserId,
    last: Message,
}

impl Counted {
    async fn open() -> Self {
        let mut stalled = Stalled::open().await;
        let (first, second) = (stalled.store.clone(), node(&stalled.uri).await);
        let a = Bench::new(first.clone());
        let (ann, bob) = (a.user("ann").await, a.user("bob").await);
        a.send(&ann, &bob, "one").await;
        first.counters.flush().await.unwrap();
        let held = first.counters.hold().await;
        let last = a.send(&ann, &bob, "two").await;
        stalled.stall().await;
        drop(held);
        let counted = doc! {"lastSeq": 2_i64};
        let look = || first.db.chats.find_one(counted.clone()).read_concern(latest());
        while look().await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        Self {
            stalled,
            second,
            bob,
            last,
        }
    }

    /// Goes on when another node has tried to count.
    async fn go_on(&mut self, updates: i64) {
        self.stalled.grown(UPDATES, updates, 1).await;
        self.stalled.go_on().await;
    }
}

#[tokio::test]
async fn a_list_shows_what_is_acknowledged_while_another_node_counts_it() {
    let mut counted = Counted::open().await;
    let updates = counted.stalled.count(UPDATES).await;
    let (second, bob) = (counted.second.clone(), counted.bob.clone());
    let list = tokio::spawn(async move { second.chats(&bob, None, 5).await.unwrap() });
    counted.go_on(updates).await;
    let list = list.await.unwrap();
    assert_eq!(
        (list.items[0].unread, &list.items[0].last_message.id),
        (2, &counted.last.id)
    );
}

#[tokio::test]
async fn a_chat_is_marked_up_to_what_another_node_counts() {
    let mut counted = Counted::open().await;
    let updates = counted.stalled.count(UPDATES).await;
    let (second, bob, chat) = (
        counted.second.clone(),
        counted.bob.clone(),
        counted.last.chat_id.clone(),
    );
    let marked = tokio::spawn(async move { second.mark_read(&bob, ReadScope::Chat(&chat)).await });
    counted.go_on(updates).await;
    let ReadOutcome::Done(marks) = marked.await.unwrap().unwrap() else {
        panic!("it is Bob's");
    };
    assert_eq!(marks.len(), 2);
}

#[tokio::test]
async fn a_refresh_that_had_no_answer_can_be_repeated() {
    let mut stalled = Stalled::open().await;
    let b = Bench::new(stalled.store.clone());
    let ann = b.user("ann").await;
    login(&b, &ann, "s1").await;
    let expires = Timestamp::from_millis(Timestamp::now().as_millis() + 60_000);
    let rotate = || stalled.store.rotate_session("s1", 0, 0, expires);
    assert!(matches!(rotate().await.unwrap(), RotateOutcome::Rotated(session) if session.refresh_number == 1));

    stalled.stall().await;
    let again = || stalled.store.rotate_session("s1", 0, 1, expires);
    assert!(matches!(again().await, Err(StoreError::Unavailable(_))));
    stalled.go_on().await;
    let again = || stalled.store.rotate_session("s1", 0, 1, expires);
    assert!(matches!(again().await.unwrap(), RotateOutcome::Rotated(session) if session.refresh_number == 2));
    assert!(matches!(again().await.unwrap(), RotateOutcome::Reused { .. }));

    // One that was not spent after all, and then was: whoever comes with it now has stolen it.
    login(&b, &ann, "s2").await;
    stalled.store.spends.put(("s2".to_owned(), 0));
    let rotate = || stalled.store.rotate_session("s2", 0, 0, expires);
    assert!(matches!(rotate().await.unwrap(), RotateOutcome::Rotated(_)));
    assert!(matches!(rotate().await.unwrap(), RotateOutcome::Reused { .. }));
}

#[tokio::test]
async fn a_deletion_that_had_no_answer_can_be_repeated() {
    let mut stalled = Stalled::open().await;
    let b = Bench::new(stalled.store.clone());
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let sent = b.send(&ann, &bob, "a mistake").await;
    stalled.store.counters.flush().await.unwrap();
    stalled.stall().await;
    let delete = stalled.store.delete_message(&sent.id, &ann).await;
    assert!(matches!(delete, Err(StoreError::Unavailable(_))), "{delete:?}");
    stalled.go_on().await;
    let delete = || stalled.store.delete_message(&sent.id, &ann);
    let EditOutcome::Done(deleted) = delete().await.unwrap() else {
        panic!("whoever has it must hear of it");
    };
    assert_eq!((deleted.id, deleted.receiver), (sent.id.clone(), bob.clone()));
    assert!(matches!(delete().await.unwrap(), EditOutcome::NotFound));
}

#[tokio::test]
async fn marks_that_had_no_answer_are_told_to_whoever_asks_again() {
    let mut stalled = Stalled::open().await;
    let b = Bench::new(stalled.store.clone());
    let (ann, bob, cleo) = (b.user("ann").await, b.user("bob").await, b.user("cleo").await);
    let named = b.send(&ann, &bob, "by its id").await;
    let other = b.send(&cleo, &bob, "with its chat").await;
    stalled.store.counters.flush().await.unwrap();
    stalled.stall().await;
    let both = [named.id.clone(), other.id.clone()];
    let refused = stalled.store.mark_read(&bob, ReadScope::Messages(&both)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    stalled.go_on().await;
    // In the same chat, and of nobody's concern before.
    let newer = b.send(&cleo, &bob, "newer").await;
    let ask = async |scope| match stalled.store.mark_read(&bob, scope).await.unwrap() {
        ReadOutcome::Done(marks) => marks.into_iter().map(|mark| (mark.message, mark.sender)).collect(),
        other => panic!("{other:?}"),
    };
    let told = |message: &Message| (message.id.clone(), message.sender.clone());
    let by_id = ReadScope::Messages(std::slice::from_ref(&named.id));
    for (scope, expected) in [
        (by_id, vec![told(&named)]),
        (ReadScope::Chat(&other.chat_id), vec![told(&other), told(&newer)]),
    ] {
        let again: Vec<_> = ask(scope).await;
        assert_eq!(again, expected, "their senders must hear of it");
        let again: Vec<_> = ask(scope).await;
        assert_eq!(again, [], "and no more than once");
    }
    let list = stalled.store.chats(&bob, None, 5).await.unwrap();
    assert!(list.items.iter().all(|chat| chat.unread == 0));
}
