//! What is stored and not counted or not indexed yet, and who finds it.

use std::collections::BTreeSet;
use std::sync::Arc;

use chat_protocol::{Message, UserId};
use futures_util::future::{join_all, try_join};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::super::{MongoStore, rebuild, row};
use super::searching::{assert_no_trace_of, chats_of};
use super::{node, open_own};
use crate::store::suite::Bench;
use crate::store::{EditOutcome, MessageStore as _, SendOutcome, Store as _};

/// Ten people write three messages each to Bob at once, so that a few groups have all of them.
async fn many_write_to_bob(bench: &Bench) -> (UserId, Vec<Message>) {
    let bob = bench.user("bob").await;
    let mut senders = Vec::new();
    for n in 0..10 {
        senders.push(bench.user(&format!("sender{n}")).await);
    }
    let sends = (0..30).map(|n| {
        let message = bench.message(&senders[n % 10], &bob, &format!("left behind {n}"));
        bench.store.send(message)
    });
    let sent = join_all(sends).await.into_iter().map(|sent| match sent.unwrap() {
        SendOutcome::Stored(message) => message,
        other => panic!("{other:?}"),
    });
    (bob, sent.collect())
}

async fn having(store: &MongoStore, field: &str) -> (u64, u64) {
    let having = || doc! {field: {"$exists": true}};
    let messages = store.db.messages.count_documents(having()).await.unwrap();
    let chats = store.db.chats.count_documents(having()).await.unwrap();
    (messages, chats)
}

async fn assert_all_is_seen(node: &MongoStore, bob: &UserId) {
    let list = node.chats(bob, None, 50).await.unwrap().items;
    assert_eq!(list.len(), 10);
    for chat in &list {
        assert_eq!((chat.unread, chat.last_message.seq), (3, Some(3)));
    }
    assert_eq!(node.partners(bob).await.unwrap().len(), 10);
    let found = node.search_messages(bob, "behind", None, None, 50).await.unwrap();
    assert_eq!(found.items.len(), 30);
    let one = Some(&list[0].id);
    let found = node.search_messages(bob, "behind", one, None, 50).await.unwrap();
    assert_eq!(found.items.len(), 3);
}

/// A node that stored messages and does nothing more, as if it had died: others count and index what it left.
#[tokio::test]
async fn what_a_node_left_others_see_at_once_and_count_and_index() {
    let (first, _mongo, uri) = open_own().await;
    let bench = Bench::new(first.clone());
    let held = first.counters.hold().await;
    let (bob, sent) = many_write_to_bob(&bench).await;
    let (marked, waiting) = (having(&first, "uncounted").await.0, having(&first, "waiting").await.1);
    assert!(marked > 0 && marked < 15, "{marked} groups for {} messages", sent.len());
    assert_eq!(waiting, 0, "nothing is counted");

    let second = node(&uri).await;
    let found = second.search_messages(&bob, "behind", None, None, 50).await.unwrap();
    assert_eq!(found.items.len(), 30, "before anything is counted");
    assert_all_is_seen(&second, &bob).await;
    assert!(
        having(&first, "uncounted").await.0 > 0,
        "a reader counts its own chats alone"
    );
    second.search_caught_up().await.unwrap();
    assert_eq!(having(&first, "uncounted").await.0, 0);
    assert_eq!(having(&first, "waiting").await.1, 0);
    assert_all_is_seen(&second, &bob).await;

    // It was not dead, and counts the same.
    drop(held);
    first.counters.settle_all().await.unwrap();
    assert_eq!(
        rebuild::rebuild(&first.db).await.unwrap(),
        0,
        "chats that were counted twice"
    );
    first.search_caught_up().await.unwrap();
    assert_eq!(indexed(&first).await.len(), 30);
    assert_all_is_seen(&first, &bob).await;
}

#[tokio::test]
async fn marks_go_when_what_they_speak_of_is_counted() {
    let (store, _mongo, _) = open_own().await;
    let held = store.counters.hold().await;
    let (bob, sent) = many_write_to_bob(&Bench::new(store.clone())).await;
    let marked = having(&store, "uncounted").await.0;
    drop(held);
    // Whoever reads counts of it what is theirs; the marks are there for the others.
    let sender = &sent[0].sender;
    assert_eq!(store.chats(sender, None, 5).await.unwrap().items.len(), 1);
    store.counters.settle_all().await.unwrap();
    assert_eq!(having(&store, "uncounted").await.0, 0, "of {marked}");
    assert_all_is_seen(&store, &bob).await;
    assert_eq!(rebuild::rebuild(&store.db).await.unwrap(), 0);
}

/// The messages that the index knows, by chat and seq; none twice.
async fn indexed(store: &MongoStore) -> BTreeSet<(ObjectId, i64)> {
    let mut known = BTreeSet::new();
    let mut entries = store.db.search.find(doc! {}).await.unwrap();
    while entries.advance().await.unwrap() {
        let entry = entries.deserialize_current().unwrap();
        let chat = entry.get_object_id("chatId").unwrap();
        for seq in row::int(&entry, "from").unwrap()..=row::int(&entry, "to").unwrap() {
            assert!(known.insert((chat, seq)), "indexed twice: {seq} of {chat}");
        }
    }
    known
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_index_a_chat_once() {
    let (first, _mongo, uri) = open_own().await;
    let second = node(&uri).await;
    let (a, b) = (Bench::new(first.clone()), Bench::new(second.clone()));
    let (ann, bob) = (a.user("ann").await, a.user("bob").await);
    let mut sent = 0;
    for round in 0..20 {
        for n in 0..4 {
            let bench = if n % 2 == 0 { &a } else { &b };
            bench.send(&ann, &bob, &format!("number {n} of {round}")).await;
            sent += 1;
        }
        try_join(first.search_caught_up(), second.search_caught_up())
            .await
            .unwrap();
        assert_eq!(indexed(&first).await.len(), sent);
    }
    let found = second.search_messages(&ann, "number 3", None, None, 50).await.unwrap();
    assert_eq!(found.items.len(), 20);
}

/// Whoever indexes a message may have read it before it was edited. What they say before and after has no trigram in common.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_edited_while_it_is_indexed_is_found_by_what_it_says_now() {
    let (first, _mongo, uri) = open_own().await;
    let second = node(&uri).await;
    let bench = Arc::new(Bench::new(first.clone()));
    let (ann, bob) = (bench.user("ann").await, bench.user("bob").await);
    bench.send(&ann, &bob, "first").await;
    let chat = chats_of(&first, &ann, &bob).await;
    for round in 0..15 {
        let mut sent = Vec::new();
        for n in 0..6 {
            sent.push(bench.send(&ann, &bob, &format!("old{round:02}x{n}")).await.id);
        }
        let edits = sent.iter().enumerate().map(|(n, id)| {
            let (editor, id, ann) = (if n % 2 == 0 { &first } else { &second }, id.clone(), ann.clone());
            let editor = editor.clone();
            tokio::spawn(async move {
                let edit = editor.edit_message(&id, &ann, format!("new{round:02}y{n}")).await;
                assert!(matches!(edit, Ok(EditOutcome::Done(_))));
            })
        });
        let edits: Vec<_> = edits.collect();
        // Two that renew the same entry are in each other's way at times, and one of them tries again.
        try_join(first.search_caught_up(), second.search_caught_up())
            .await
            .unwrap();
        for edit in edits {
            edit.await.unwrap();
        }
        // Of both: one that comes too late takes back what it has indexed twice.
        try_join(first.search_caught_up(), second.search_caught_up())
            .await
            .unwrap();
        assert_eq!(having(&first, "fresh").await.0, 0);
        for n in 0..6 {
            let found = async |query: String| {
                let found = first.search_messages(&bob, &query, None, None, 9).await.unwrap();
                found.items.len()
            };
            assert_eq!(found(format!("new{round:02}y{n}")).await, 1, "{round}, {n}");
            assert_eq!(found(format!("old{round:02}x{n}")).await, 0, "{round}, {n}");
        }
        assert_no_trace_of(&first, &chat, &format!("old{round:02}x")).await;
    }
}

/// A node of now finds everything in the database of an older one at once, and indexes all of it; what it was found by is gone.
async fn assert_taken_over(uri: &str, bob: &UserId, old_index: &str) -> Arc<MongoStore> {
    let store = node(uri).await;
    assert_all_is_seen(&store, bob).await;
    store.search_caught_up().await.unwrap();
    assert_all_is_seen(&store, bob).await;
    assert_eq!(indexed(&store).await.len(), 30);
    let collections = store.db.database.list_collection_names().await.unwrap();
    assert!(!collections.contains(&old_index.to_owned()), "of no use any more");
    store
}

/// Until version 2 each message said whether it was counted and indexed.
#[tokio::test]
async fn a_database_of_version_1_is_taken_over() {
    let (old, _mongo, uri) = open_own().await;
    let bench = Bench::new(old.clone());
    let (bob, sent) = many_write_to_bob(&bench).await;
    old.search_caught_up().await.unwrap();
    old.close().await;
    drop(bench);
    // All indexed and counted but for the last message of each chat, and half of those counted.
    let store = node(&uri).await;
    let db = &store.db;
    let last: Vec<ObjectId> = sent
        .iter()
        .filter(|message| message.seq == Some(3))
        .map(|message| ObjectId::parse_str(message.id.as_str()).unwrap())
        .collect();
    let of_last = || doc! {"_id": {"$in": &last}};
    let marked = vec![doc! {"$set": {"fresh": ["$sender", "$receiver"]}}];
    db.messages.update_many(of_last(), marked).await.unwrap();
    let old_index = db.database.collection::<Document>("searchIndex");
    old_index.insert_one(doc! {"tokens": [1_i64]}).await.unwrap();
    db.search.drop().await.unwrap();
    let silent = doc! {"$unset": {"indexed": 1, "waiting": 1}};
    db.chats.update_many(doc! {}, silent).await.unwrap();
    for message in sent.iter().filter(|message| message.seq == Some(3)).take(5) {
        let chat = ObjectId::parse_str(message.chat_id.as_str()).unwrap();
        let second = sent
            .iter()
            .find(|other| other.chat_id == message.chat_id && other.seq == Some(2))
            .unwrap();
        let second = ObjectId::parse_str(second.id.as_str()).unwrap();
        let second = db.messages.find_one(doc! {"_id": second}).await.unwrap().unwrap();
        let back = doc! {
            "$set": {"lastSeq": 2_i64, "order": second.get_i64("order").unwrap(), "lastMessage": second.get_object_id("_id").unwrap()},
            "$inc": {format!("unread.{bob}"): -1_i64},
        };
        db.chats.update_one(doc! {"_id": chat}, back).await.unwrap();
    }
    db.messages.drop_index("uncounted").await.unwrap();
    db.chats.drop_index("waiting").await.unwrap();
    db.meta
        .update_one(doc! {"_id": "schema"}, doc! {"$set": {"version": 1_i64}})
        .await
        .unwrap();
    store.close().await;

    let store = assert_taken_over(&uri, &bob, old_index.name()).await;
    assert_eq!(having(&store, "fresh").await.0, 0);
    assert_eq!(rebuild::rebuild(&store.db).await.unwrap(), 0);
    let version = store.db.meta.find_one(doc! {"_id": "schema"}).await.unwrap().unwrap();
    assert_eq!(version.get_i64("version").unwrap(), 3);
}

/// Until version 3 the tokens of the search index named chats, and not stretches of them.
#[tokio::test]
async fn a_database_of_version_2_is_taken_over() {
    let (store, _mongo, uri) = open_own().await;
    let bench = Bench::new(store.clone());
    let (bob, _) = many_write_to_bob(&bench).await;
    store.search_caught_up().await.unwrap();
    store.db.search.drop().await.unwrap();
    let old_index = store.db.database.collection::<Document>("searchEntries");
    old_index.insert_one(doc! {"tokens": [1_i64]}).await.unwrap();
    let before = doc! {"$set": {"version": 2_i64}};
    store.db.meta.update_one(doc! {"_id": "schema"}, before).await.unwrap();
    store.close().await;
    drop(bench);
    assert_taken_over(&uri, &bob, old_index.name()).await;
}
