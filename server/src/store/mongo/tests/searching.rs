//! What the search index keeps of messages that share an entry.

use std::collections::HashSet;

use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;

use super::super::{clock, search};
use super::open_own;
use crate::store::suite::Bench;
use crate::store::{MessageStore as _, Store as _};

/// More than share one entry, in each of two chats, and more entries than are looked at first.
const MANY: usize = 450;

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
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page = store
                .search_messages(&ann, "eedle num", None, from.as_ref(), limit)
                .await
                .unwrap();
            found.extend(page.items.into_iter().map(|message| message.id));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
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
    let fresh = vec![doc! {"$set": {"fresh": ["$sender", "$receiver"]}}];
    store.db.messages.update_many(doc! {}, fresh).await.unwrap();
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
    // Nothing of what was deleted or edited away is left in the index.
    let users = [&ann, &bob].map(|user| ObjectId::parse_str(user.as_str()).unwrap());
    let tokens = |content: &str| -> HashSet<i64> {
        let message = doc! {"_id": ObjectId::new(), "content": content, "sender": users[0], "receiver": users[1]};
        let contents = search::contents(std::iter::once(&message)).unwrap();
        contents
            .get_array("tokens")
            .unwrap()
            .iter()
            .map(|token| token.as_i64().unwrap())
            .collect()
    };
    for gone in ["zebra", "giraffe"] {
        let own: Vec<i64> = tokens(gone).difference(&tokens("")).copied().collect();
        assert_eq!(own.len(), 2 * (gone.len() - 2));
        let left = store
            .db
            .search
            .count_documents(doc! {"tokens": {"$in": own}})
            .await
            .unwrap();
        assert_eq!(left, 0, "{gone}");
    }

    for id in &ids[1..] {
        store.delete_message(id, &ann).await.unwrap();
    }
    store.search_caught_up().await.unwrap();
    assert_eq!(entries().await, 0);
}

#[test]
fn an_entry_has_no_more_tokens_than_can_be_written_in_one_go() {
    let entries_of = |length: usize, messages: i64| -> Vec<usize> {
        let (chat, user) = (ObjectId::new(), ObjectId::new());
        let message = |order: i64| {
            doc! {"_id": ObjectId::new(), "chatId": chat, "sender": user, "receiver": user, "order": order, "content": "x".repeat(length)}
        };
        let messages: Vec<_> = (0..messages).map(|n| message(n * clock::NODES)).collect();
        let entries = search::entries(&messages).unwrap();
        entries
            .map(|entry| search::messages_of(&entry.unwrap()).len())
            .collect()
    };
    assert_eq!(entries_of(100, 300), [128, 128, 44]);
    assert_eq!(entries_of(4000, 10), [4, 4, 2]);
    // One that has more than all of them may is alone.
    assert_eq!(entries_of(20_000, 3), [1, 1, 1]);
    assert_eq!(entries_of(0, 200), [128, 72]);
}

/// An index of the time when each message had an entry of its own, and tokens lay anywhere.
#[tokio::test]
async fn entries_without_a_list_are_about_the_message_they_are_named_after() {
    let (store, _mongo, _) = open_own().await;
    let b = Bench::new(store.clone());
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let id = b.send(&ann, &bob, "from long ago").await.id;
    store.search_caught_up().await.unwrap();
    let entry = store.db.search.find_one(doc! {}).await.unwrap().unwrap();
    store.db.search.delete_many(doc! {}).await.unwrap();
    let mut old = entry;
    old.remove("ids");
    old.insert("_id", ObjectId::parse_str(id.as_str()).unwrap());
    let trigrams: Vec<char> = "from long ago".chars().collect();
    let users = [&ann, &bob].map(|user| ObjectId::parse_str(user.as_str()).unwrap());
    let of = |user: &ObjectId| -> Vec<i64> {
        let trigrams = std::iter::once::<&[char]>(&[]).chain(trigrams.windows(3));
        trigrams.map(|trigram| search::scattered_token(user, trigram)).collect()
    };
    old.insert("tokens", users.iter().flat_map(of).collect::<Vec<i64>>());
    store.db.search.insert_one(old).await.unwrap();
    let hits = async |query: &str| {
        store
            .search_messages(&ann, query, None, None, 9)
            .await
            .unwrap()
            .items
            .len()
    };
    assert_eq!(hits("long ago").await, 1);
    store.edit_message(&id, &ann, "of this day".into()).await.unwrap();
    store.search_caught_up().await.unwrap();
    assert_eq!((hits("long ago").await, hits("this day").await), (0, 1));
    assert_eq!(store.db.search.count_documents(doc! {}).await.unwrap(), 1);
}
