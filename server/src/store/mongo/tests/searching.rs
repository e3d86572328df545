//! What the search index keeps of messages that share an entry.

use std::collections::BTreeSet;

use chat_protocol::{Message, UserId};
use futures_util::future::join_all;
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;

use super::super::{MongoStore, search};
use super::open_own;
use crate::store::suite::Bench;
use crate::store::suite::search::walked;
use crate::store::{MessageStore as _, SendOutcome, Store as _, UserStore as _};

/// More than share one entry, in each of two chats, and more entries than are looked at first.
const MANY: usize = 900;

#[tokio::test]
async fn pages_hold_every_match_once_and_newest_first() {
    let (store, _mongo, _) = open_own().await;
    let b = Bench::new(store.clone());
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    // Two chats whose messages lie between each other, so that entries overlap.
    let mut sent = Vec::new();
    for n in 0..MANY {
        let other = if n % 3 == 0 { &bob } else { &eve };
        let word = if n % 2 == 0 { "needle" } else { "straw" };
        let (done, stored) = tokio::sync::oneshot::channel();
        let message = b.message(&ann, other, &format!("{word} number {n}"));
        sent.push((word, message.id.clone()));
        let answer = Box::new(move |outcome| drop(done.send(outcome)));
        store.submit(message, answer).await.unwrap();
        stored.await.unwrap().unwrap();
    }
    store.search_caught_up().await.unwrap();
    let expected: Vec<_> = sent
        .iter()
        .rev()
        .filter(|(word, _)| *word == "needle")
        .map(|(_, id)| id.clone())
        .collect();
    for limit in [1, 7, MANY] {
        let found = walked(&b, &ann, "eedle num", limit).await;
        let found: Vec<_> = found.into_iter().map(|message| message.id).collect();
        assert_eq!(found, expected, "pages of {limit}");
    }
}

#[tokio::test]
async fn a_change_of_one_message_leaves_those_that_share_its_entry() {
    let (store, _mongo, _) = open_own().await;
    let b = Bench::new(store.clone());
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let mut ids = Vec::new();
    for word in ["zebra", "giraffe", "elephant", "penguin"] {
        ids.push(b.send(&ann, &bob, word).await.id);
    }
    store.search_caught_up().await.unwrap();
    // Whatever was indexed one by one meanwhile, now all of them share one entry.
    store.db.search.delete_many(doc! {}).await.unwrap();
    let nothing = vec![doc! {"$set": {"indexed": 0_i64, "waiting": "$participants"}}];
    store.db.chats.update_many(doc! {}, nothing).await.unwrap();
    store.search_caught_up().await.unwrap();
    let entries = || async { store.db.search.count_documents(doc! {}).await.unwrap() };
    assert_eq!(entries().await, 1);

    store.edit_message(&ids[1], &ann, "ostrich".into()).await.unwrap();
    store.delete_message(&ids[0], &ann).await.unwrap();
    store.search_caught_up().await.unwrap();
    assert_eq!(entries().await, 1);
    for (query, hits) in [
        ("zebra", 0),
        ("giraffe", 0),
        ("ostrich", 1),
        ("elephant", 1),
        ("penguin", 1),
    ] {
        let found = store.search_messages(&bob, query, None, None, 9).await.unwrap();
        assert_eq!(found.items.len(), hits, "{query}");
    }
    let chat = chats_of(&store, &ann, &bob).await;
    for gone in ["zebra", "giraffe"] {
        assert_no_trace_of(&store, &chat, gone).await;
    }

    for id in &ids[1..] {
        store.delete_message(id, &ann).await.unwrap();
    }
    store.search_caught_up().await.unwrap();
    assert_eq!(entries().await, 0);
}

#[test]
fn an_entry_has_no_more_tokens_than_can_be_written_in_one_go() {
    let entries_from = |first: i64, length: usize, messages: i64| -> Vec<usize> {
        let message = |n: i64| doc! {"order": n, "seq": first + n, "content": "x".repeat(length)};
        let messages: Vec<_> = (0..messages).map(message).collect();
        let (mut rest, mut entries) = (messages.as_slice(), Vec::new());
        while !rest.is_empty() {
            let fitting = search::fitting(rest).unwrap();
            entries.push(fitting);
            rest = &rest[fitting..];
        }
        entries
    };
    let entries_of = |length, messages| entries_from(0, length, messages);
    assert_eq!(entries_of(100, 600), [256, 256, 88]);
    assert_eq!(entries_of(4000, 20), [8, 8, 4]);
    // One that has more than all of them may is alone.
    assert_eq!(entries_of(40_000, 3), [1, 1, 1]);
    assert_eq!(entries_of(0, 300), [256, 44]);
    // All of an entry are in one stretch of their chat.
    assert_eq!(entries_from(search::STRETCH - 10, 100, 300), [10, 256, 34]);
}

/// More chats than are asked for together, and of each more than is indexed.
#[tokio::test]
async fn every_chat_of_a_user_is_looked_into() {
    let (store, _mongo, _) = open_own().await;
    let b = Bench::new(store.clone());
    let ann = b.user("ann").await;
    let mut sent = Vec::new();
    for indexed in [true, false] {
        for n in 0..search::TOGETHER + 5 {
            if indexed {
                b.user(&format!("other{n}")).await;
            }
            let other = store
                .search_users(&format!("other{n}"), None, 1)
                .await
                .unwrap()
                .items
                .remove(0)
                .id;
            sent.push(b.send(&ann, &other, &format!("a needle for {n}")).await.id);
        }
        if indexed {
            store.search_caught_up().await.unwrap();
        }
    }
    sent.reverse();
    for limit in [sent.len(), 30] {
        let found = walked(&b, &ann, "needle", limit).await;
        let found: Vec<_> = found.into_iter().map(|message| message.id).collect();
        assert_eq!(found, sent, "pages of {limit}");
    }
    // The oldest of all, by what nothing newer says.
    let first = store.search_messages(&ann, "for 0", None, None, 9).await.unwrap();
    assert_eq!(first.items.len(), 2);
}

/// A chat of more than one stretch, beside one that says the same in between.
#[tokio::test]
async fn every_stretch_of_a_chat_is_looked_into() {
    let (store, _mongo, _) = open_own().await;
    let b = Bench::new(store.clone());
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    let all = search::STRETCH + 300;
    let mut needles = Vec::new();
    for some in (0..all).collect::<Vec<_>>().chunks(512) {
        let sends = some.iter().map(|n| {
            let word = if n % 700 == 5 { "needle" } else { "straw" };
            store.send(b.message(&ann, &bob, &format!("{word} number {n}")))
        });
        let sent = join_all(sends).await.into_iter().map(|sent| match sent.unwrap() {
            SendOutcome::Stored(message) => message,
            other => panic!("{other:?}"),
        });
        let mut these: Vec<_> = sent.filter(|message| message.content.starts_with("needle")).collect();
        these.sort_by_key(|message| message.seq);
        needles.append(&mut these);
        needles.push(b.send(&ann, &eve, "needle of another").await);
    }
    store.search_caught_up().await.unwrap();
    let chat = chats_of(&store, &ann, &bob).await;
    let beyond = doc! {"chatId": chat, "from": {"$gte": search::STRETCH}};
    assert!(store.db.search.count_documents(beyond).await.unwrap() > 0);

    let ids = |found: &[Message]| -> Vec<_> { found.iter().map(|message| message.id.clone()).collect() };
    needles.reverse();
    for limit in [3, needles.len()] {
        let found = walked(&b, &ann, "needle", limit).await;
        assert_eq!(ids(&found), ids(&needles), "pages of {limit}");
    }
    // What the oldest stretch alone says, and what is too short for the index.
    assert_eq!(walked(&b, &bob, "needle number 705", 9).await.len(), 1);
    let short = store.search_messages(&bob, "ne", None, None, 50).await.unwrap();
    let of_bob: Vec<_> = needles
        .iter()
        .filter(|message| message.receiver == bob)
        .cloned()
        .collect();
    assert_eq!(ids(&short.items), ids(&of_bob));
}

pub(super) async fn chats_of(store: &MongoStore, one: &UserId, other: &UserId) -> ObjectId {
    let chat = store.chat_of(one, other).await.unwrap().unwrap();
    ObjectId::parse_str(chat.as_str()).unwrap()
}

/// Nothing that says this of its own is left in the index of this chat.
pub(super) async fn assert_no_trace_of(store: &MongoStore, chat: &ObjectId, text: &str) {
    let tokens = |content: &str| -> BTreeSet<i64> {
        let tokens = search::tokens(chat, 1, &[doc! {"content": content}]).unwrap();
        tokens.into_iter().collect()
    };
    let gone: Vec<i64> = tokens(text).difference(&tokens("")).copied().collect();
    assert_eq!(gone.len(), text.len() - 2);
    let filter = doc! {"tokens": {"$in": gone}};
    let left = store.db.search.count_documents(filter).await.unwrap();
    assert_eq!(left, 0, "{text}");
}
