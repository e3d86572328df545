//! Counts that have gathered, and marks that count along.

use std::sync::Arc;

use chat_protocol::{Message, UserId};
use mongodb::bson::{Document, doc};

use super::super::counters::Counters;
use super::super::read_state::{Request, mark};
use super::super::rebuild::rebuild;
use super::super::untold::Untold;
use super::super::{MongoStore, row};
use super::open_own;
use crate::store::suite::Bench;
use crate::store::{ReadOutcome, ReadScope, Store as _};

/// Bob, whom Ann wrote three messages and Eve two; no chat has counted any, and only [`Uncounted::counters`] know of them.
struct Uncounted {
    store: Arc<MongoStore>,
    counters: Counters,
    bob: UserId,
    of_ann: Vec<Message>,
    of_eve: Vec<Message>,
    _mongo: chat_testcontainers::Mongo,
}

impl Uncounted {
    async fn new() -> Self {
        let (store, mongo, _) = open_own().await;
        let bench = Bench::new(store.clone());
        let (ann, bob, eve) = (
            bench.user("ann").await,
            bench.user("bob").await,
            bench.user("eve").await,
        );
        let (mut of_ann, mut of_eve) = (Vec::new(), Vec::new());
        for n in 0..3 {
            of_ann.push(bench.send(&ann, &bob, &n.to_string()).await);
        }
        for n in 0..2 {
            of_eve.push(bench.send(&eve, &bob, &n.to_string()).await);
        }
        store.search_caught_up().await.unwrap();
        store.counters.flush().await.unwrap();
        let counters = Counters::new(store.db.clone(), Arc::default());
        let uncounted = Self {
            store,
            counters,
            bob,
            of_ann,
            of_eve,
            _mongo: mongo,
        };
        uncounted.uncount().await;
        uncounted
    }

    async fn uncount(&self) {
        let nothing = doc! {"$set": {"lastSeq": 0_i64, "order": 0_i64, "lastMessage": null, "unread": {}}};
        self.store.db.chats.update_many(doc! {}, nothing).await.unwrap();
    }

    /// As if this node had just stored them.
    async fn gather(&self, messages: &[Message]) {
        let mut stored = Vec::new();
        for message in messages {
            let id = row::own_id(&message.id).unwrap();
            let found = self
                .store
                .db
                .messages
                .find_one(doc! {"_id": id})
                .await
                .unwrap()
                .unwrap();
            stored.push((message.clone(), row::int(&found, "order").unwrap()));
        }
        self.counters.add(None, stored.iter());
    }

    async fn request(&self, scope: ReadScope<'_>) -> Request {
        let request = Request::new(&self.store.db, &self.bob, scope, i64::MAX).await.unwrap();
        request.unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    /// The seqs that were marked.
    async fn mark(&self, scope: ReadScope<'_>) -> Vec<u64> {
        self.mark_as(self.request(scope).await).await
    }

    async fn mark_as(&self, request: Request) -> Vec<u64> {
        let mut answers = mark(
            &self.store.db,
            &self.counters,
            &Arc::new(Untold::new()),
            &Arc::default(),
            Arc::new([request]),
        )
        .await
        .unwrap();
        let marks = match answers.remove(0).outcome {
            ReadOutcome::Done(marks) => marks,
            refusal => panic!("{refusal:?}"),
        };
        let all = || self.of_ann.iter().chain(&self.of_eve);
        let seq = |id| all().find(|message| message.id == id).and_then(|message| message.seq);
        marks.into_iter().filter_map(|mark| seq(mark.message)).collect()
    }

    /// Whether something has gathered of the chat of this message, and whether what is known.
    async fn waits(&self, message: &Message) -> Option<bool> {
        let id = row::object_id(&message.chat_id).unwrap();
        let held = self.counters.hold().await;
        held.gathered().get(&id).map(Option::is_some)
    }

    /// Up to which seq the chat of this message has counted, and what is unread of it.
    async fn chat(&self, message: &Message) -> (i64, i64) {
        let id = row::object_id(&message.chat_id).unwrap();
        let chat: Document = self.store.db.chats.find_one(doc! {"_id": id}).await.unwrap().unwrap();
        let unread = row::int(chat.get_document("unread").unwrap(), self.bob.as_str());
        (row::int(&chat, "lastSeq").unwrap(), unread.unwrap_or(0))
    }

    /// With Eve's chat counted, too.
    async fn assert_right(&self) {
        if self.chat(&self.of_eve[0]).await.0 == 0 {
            self.gather(&self.of_eve).await;
        }
        self.counters.flush().await.unwrap();
        assert_eq!(
            rebuild(&self.store.db).await.unwrap(),
            0,
            "chats that were counted wrong"
        );
    }
}

#[tokio::test]
async fn a_mark_counts_what_has_gathered_of_its_chat_and_leaves_the_rest() {
    let case = Uncounted::new().await;
    case.gather(&case.of_ann).await;
    case.gather(&case.of_eve).await;
    let marked = case.mark(ReadScope::Messages(&[case.of_ann[0].id.clone()])).await;
    assert_eq!(marked, [1]);
    assert_eq!(case.chat(&case.of_ann[0]).await, (3, 2));
    assert_eq!(case.waits(&case.of_ann[0]).await, None, "by the same update");
    assert_eq!(case.chat(&case.of_eve[0]).await, (0, 0), "nobody has asked for it");
    assert_eq!(case.waits(&case.of_eve[0]).await, Some(true));
    case.counters.flush().await.unwrap();
    assert_eq!(case.chat(&case.of_eve[0]).await, (2, 2));
    case.assert_right().await;
}

#[tokio::test]
async fn a_mark_adds_what_has_gathered_to_what_was_unread() {
    let case = Uncounted::new().await;
    case.gather(&case.of_ann[..2]).await;
    case.counters.flush().await.unwrap();
    assert_eq!(case.chat(&case.of_ann[0]).await, (2, 2));
    case.gather(&case.of_ann[2..]).await;
    let marked = case.mark(ReadScope::Messages(&[case.of_ann[1].id.clone()])).await;
    assert_eq!(marked, [2]);
    assert_eq!(case.chat(&case.of_ann[0]).await, (3, 2));
    assert_eq!(case.waits(&case.of_ann[0]).await, None, "by the same update");
    case.assert_right().await;
}

#[tokio::test]
async fn a_mark_of_what_others_have_counted_meanwhile_is_made_once() {
    let case = Uncounted::new().await;
    case.gather(&case.of_ann).await;
    case.store.rebuild_counters().await.unwrap();
    let marked = case.mark(ReadScope::Messages(&[case.of_ann[2].id.clone()])).await;
    assert_eq!(marked, [3]);
    assert_eq!(case.chat(&case.of_ann[0]).await, (3, 2));
    assert_eq!(case.waits(&case.of_ann[0]).await, Some(false), "to be looked for");
    case.assert_right().await;
}

#[tokio::test]
async fn a_mark_reaches_past_what_has_gathered() {
    let case = Uncounted::new().await;
    // The others are of a node that has not counted them.
    case.gather(&case.of_ann[..1]).await;
    let marked = case.mark(ReadScope::Messages(&[case.of_ann[2].id.clone()])).await;
    assert_eq!(marked, [3]);
    assert_eq!(case.chat(&case.of_ann[0]).await, (3, 2));
    case.counters.flush().await.unwrap();
    assert_eq!(case.mark(ReadScope::Chat(&case.of_eve[0].chat_id)).await, [1, 2]);
    case.assert_right().await;
}

#[tokio::test]
async fn a_whole_chat_is_marked_whoever_has_counted_it() {
    let case = Uncounted::new().await;
    case.gather(&case.of_ann).await;
    // Counts it at first; what has gathered does not fit any more.
    assert_eq!(case.mark(ReadScope::Chat(&case.of_ann[0].chat_id)).await, [1, 2, 3]);
    assert_eq!(case.chat(&case.of_ann[0]).await, (3, 0));
    assert!(case.mark(ReadScope::Chat(&case.of_ann[0].chat_id)).await.is_empty());
    case.counters.flush().await.unwrap();
    assert_eq!(case.chat(&case.of_ann[0]).await, (3, 0));
    assert_eq!(case.mark(ReadScope::Chat(&case.of_eve[0].chat_id)).await, [1, 2]);
    case.assert_right().await;
}

/// The oldest must not stay behind because a newer one was marked in its place.
#[tokio::test]
async fn what_comes_while_a_whole_chat_waits_to_be_marked_stays_unread() {
    let case = Uncounted::new().await;
    let request = case.request(ReadScope::Chat(&case.of_ann[0].chat_id)).await;
    case.uncount().await;
    case.gather(&case.of_ann[..2]).await;
    case.counters.flush().await.unwrap();
    case.gather(&case.of_ann[2..]).await;
    assert_eq!(case.mark_as(request).await, [1, 2]);
    assert_eq!(case.chat(&case.of_ann[0]).await, (3, 1));
    assert_eq!(case.waits(&case.of_ann[0]).await, None, "by the same update");
    case.assert_right().await;
}

#[tokio::test]
async fn what_was_held_is_counted_with_what_has_gathered_since() {
    let case = Uncounted::new().await;
    case.gather(&case.of_ann[..2]).await;
    let held = case.counters.hold().await;
    case.gather(&case.of_ann[2..]).await;
    case.gather(&case.of_eve).await;
    drop(held);
    assert_eq!(case.waits(&case.of_ann[0]).await, Some(true));
    assert_eq!(case.chat(&case.of_ann[0]).await, (0, 0));
    case.counters.flush().await.unwrap();
    assert_eq!(case.chat(&case.of_ann[0]).await, (3, 3));
    assert_eq!(case.chat(&case.of_eve[0]).await, (2, 2));
    case.assert_right().await;
}
