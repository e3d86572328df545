//! Several nodes on one database.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use mongodb::bson::doc;

use super::super::{MongoStore, rebuild};
use super::{node, open_own};
use crate::store::suite::Bench;
use crate::store::suite::sessions::login;
use crate::store::{
    EditOutcome, HistoryRange, MessageStore as _, ReadOutcome, ReadScope, SendOutcome, SessionStore as _, Store as _,
    StoreError,
};

fn bench(store: &Arc<MongoStore>) -> Bench {
    Bench::new(store.clone())
}

#[tokio::test]
async fn two_nodes_write_to_one_chat_without_gaps_and_in_order() {
    let (first, _mongo, uri) = open_own().await;
    let second = node(&uri).await;
    let (a, b) = (bench(&first), bench(&second));
    let (ann, bob) = (a.user("ann").await, a.user("bob").await);
    const EACH: usize = 150;
    let mut sends = Vec::new();
    for n in 0..EACH {
        for (bench, from, to) in [(&a, &ann, &bob), (&b, &bob, &ann)] {
            let (done, sent) = tokio::sync::oneshot::channel();
            let message = bench.message(from, to, &n.to_string());
            let answer = Box::new(move |outcome| drop(done.send(outcome)));
            bench.store.submit(message, answer).await.unwrap();
            sends.push(sent);
        }
    }
    let mut chat = None;
    for sent in sends {
        let SendOutcome::Stored(message) = sent.await.unwrap().unwrap() else {
            panic!()
        };
        chat = Some(message.chat_id);
    }
    let (items, _) = second
        .history(&chat.unwrap(), HistoryRange::Above(0), 1000)
        .await
        .unwrap();
    let seqs: Vec<u64> = items.iter().map(|m| m.seq.unwrap()).collect();
    assert_eq!(seqs, (1..=2 * EACH as u64).collect::<Vec<_>>());
    assert!(items.is_sorted_by_key(|m| m.timestamp));
    for sender in [&ann, &bob] {
        let own: Vec<_> = items
            .iter()
            .filter(|m| m.sender == *sender)
            .map(|m| &m.content)
            .collect();
        let sent: Vec<_> = (0..EACH).map(|n| n.to_string()).collect();
        assert_eq!(own, sent.iter().collect::<Vec<_>>(), "the order of one sender");
    }
    for user in [&ann, &bob] {
        let list = first.chats(user, None, 5).await.unwrap();
        assert_eq!(list.items[0].unread, EACH as u64);
        assert_eq!(list.items[0].last_message, items[items.len() - 1]);
    }
}

/// Each chat of a group by itself would cost a try of its own, which waits for the journals of a majority.
#[tokio::test]
async fn one_refusal_tells_of_all_chats_that_another_node_wrote_to() {
    const CHATS: usize = 30;
    let (first, _mongo, uri) = open_own().await;
    let second = node(&uri).await;
    let (a, b) = (bench(&first), bench(&second));
    let mut pairs = Vec::new();
    for n in 0..CHATS {
        pairs.push((a.user(&format!("one{n}")).await, a.user(&format!("other{n}")).await));
    }
    let db = &first.db;
    for bench in [&a, &b] {
        for (one, other) in &pairs {
            bench.send(one, other, "by turns").await;
        }
    }
    db.database.run_command(doc! {"profile": 2}).await.unwrap();
    let sends = pairs.iter().map(|(one, other)| a.send(one, other, "all at once"));
    let sent = futures_util::future::join_all(sends).await;
    db.database.run_command(doc! {"profile": 0}).await.unwrap();
    assert!(sent.iter().all(|message| message.seq == Some(3)));
    let inserts = doc! {"op": "insert", "ns": format!("{}.messages", db.database.name())};
    let profile = db.database.collection::<mongodb::bson::Document>("system.profile");
    let tries = profile.count_documents(inserts).await.unwrap();
    assert!((2..=8).contains(&tries), "{tries} tries for {CHATS} chats");
}

/// Ann writes to many at one node, who all answer her at the other.
#[tokio::test]
async fn two_nodes_write_to_many_chats_and_every_sender_keeps_the_order() {
    const OTHERS: usize = 12;
    const EACH: usize = 15;
    let (first, _mongo, uri) = open_own().await;
    let second = node(&uri).await;
    let (a, b) = (bench(&first), bench(&second));
    let ann = a.user("ann").await;
    let mut others = Vec::new();
    for n in 0..OTHERS {
        others.push(a.user(&format!("other{n}")).await);
    }
    let mut sends = Vec::new();
    for n in 0..EACH {
        for other in &others {
            for (bench, from, to) in [(&a, &ann, other), (&b, other, &ann)] {
                let (done, sent) = tokio::sync::oneshot::channel();
                let message = bench.message(from, to, &n.to_string());
                let answer = Box::new(move |outcome| drop(done.send(outcome)));
                bench.store.submit(message, answer).await.unwrap();
                sends.push(sent);
            }
        }
    }
    let mut sent = Vec::new();
    for one in sends {
        match one.await.unwrap().unwrap() {
            SendOutcome::Stored(message) => sent.push(message),
            other => panic!("{other:?}"),
        }
    }
    let by_position = first.db.messages.find(doc! {}).sort(doc! {"order": 1}).await.unwrap();
    let stored: Vec<mongodb::bson::Document> = by_position.try_collect().await.unwrap();
    assert_eq!(stored.len(), 2 * OTHERS * EACH);
    for sender in others.iter().chain([&ann]) {
        let own = stored
            .iter()
            .filter(|message| message.get_object_id("sender").unwrap().to_hex() == sender.as_str());
        let own: Vec<String> = own
            .map(|message| message.get_object_id("_id").unwrap().to_hex())
            .collect();
        let ids = sent.iter().filter(|message| message.sender == *sender);
        let ids: Vec<String> = ids.map(|message| message.id.to_string()).collect();
        assert!(own == ids, "the order of one sender, over all chats");
    }
    for other in &others {
        let chat = first.chat_of(&ann, other).await.unwrap().unwrap();
        let (items, _) = second.history(&chat, HistoryRange::Above(0), 1000).await.unwrap();
        let seqs: Vec<u64> = items.iter().map(|message| message.seq.unwrap()).collect();
        assert_eq!(seqs, (1..=2 * EACH as u64).collect::<Vec<_>>());
    }
    let list = second.chats(&ann, None, 50).await.unwrap().items;
    assert!(list.len() == OTHERS && list.iter().all(|chat| chat.unread == EACH as u64));
    assert_eq!(rebuild::rebuild(&first.db).await.unwrap(), 0);
}

#[tokio::test]
async fn one_client_message_id_is_stored_once_over_two_nodes() {
    let (first, _mongo, uri) = open_own().await;
    let second = node(&uri).await;
    let (a, b) = (bench(&first), bench(&second));
    let (ann, bob) = (a.user("ann").await, a.user("bob").await);
    let mut stored = 0;
    for round in 0..20 {
        let sends = [&a, &b].map(|bench| {
            let mut message = bench.message(&ann, &bob, "once");
            message.client_message_id = Some(format!("c-{round}").parse().unwrap());
            bench.store.send(message)
        });
        for outcome in futures_util::future::join_all(sends).await {
            stored += usize::from(matches!(outcome.unwrap(), SendOutcome::Stored(_)));
        }
    }
    assert_eq!(stored, 20);
    assert_eq!(a.send(&bob, &ann, "next").await.seq, Some(21));
}

#[tokio::test]
async fn what_one_node_has_not_counted_another_reads_right() {
    let (first, _mongo, uri) = open_own().await;
    let second = node(&uri).await;
    let a = bench(&first);
    let (ann, bob) = (a.user("ann").await, a.user("bob").await);
    let sent = a.send(&ann, &bob, "one").await;
    for n in 2..=5_u64 {
        let last = a.send(&ann, &bob, "more").await;
        // At once: the first node has had no time to count.
        let list = second.chats(&bob, None, 5).await.unwrap();
        assert_eq!((list.items[0].unread, &list.items[0].last_message), (n, &last));
    }
    let unseen = a.send(&ann, &bob, "read before it is counted").await;
    second.mark_read(&bob, ReadScope::Messages(&[unseen.id])).await.unwrap();
    let list = first.chats(&bob, None, 5).await.unwrap();
    assert_eq!(list.items[0].unread, 5);
    second.delete_message(&sent.id, &ann).await.unwrap();
    assert_eq!(first.chats(&bob, None, 5).await.unwrap().items[0].unread, 4);
}

#[tokio::test]
async fn counters_can_be_rebuilt() {
    let (store, _mongo, _) = open_own().await;
    let b = bench(&store);
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    let mut sent = Vec::new();
    for n in 0..6 {
        sent.push(b.send(&ann, &bob, &n.to_string()).await);
    }
    b.send(&bob, &ann, "back").await;
    b.send(&eve, &ann, "other").await;
    store
        .mark_read(&bob, ReadScope::Messages(&[sent[0].id.clone()]))
        .await
        .unwrap();
    store.delete_message(&sent[1].id, &ann).await.unwrap();
    let truth = store.chats(&bob, None, 5).await.unwrap();
    assert_eq!(truth.items[0].unread, 4);
    store.counters.flush().await.unwrap();
    assert_eq!(rebuild::rebuild(&store.db).await.unwrap(), 0, "nothing was wrong");
    let wrong = doc! {"$set": {format!("unread.{bob}"): 77_i64, "lastMessage": null, "order": 5_i64}};
    let chat = doc! {"pair": {"$regex": bob.as_str()}};
    store.db.chats.update_one(chat, wrong).await.unwrap();
    assert_eq!(store.rebuild_counters().await.unwrap(), 1);
    assert_eq!(store.chats(&bob, None, 5).await.unwrap(), truth);
}

#[tokio::test]
async fn two_nodes_start_at_once() {
    let mongo = chat_testcontainers::Mongo::shared().await.unwrap();
    for _ in 0..5 {
        let uri = mongo.database_uri(&chat_testcontainers::unique_name("start"));
        let starts = (0..4).map(|_| {
            let uri = uri.clone();
            tokio::spawn(async move { node(&uri).await })
        });
        let mut stores = Vec::new();
        for start in starts.collect::<Vec<_>>() {
            stores.push(start.await.unwrap());
        }
        let numbers: std::collections::HashSet<i64> = stores.iter().map(|store| store.db.clock.node()).collect();
        assert_eq!(numbers.len(), 4, "each node has a number of its own");
        let (a, b) = (bench(&stores[0]), bench(&stores[3]));
        let (ann, bob) = (a.user("ann").await, b.user("bob").await);
        assert_eq!(a.send(&ann, &bob, "hello").await.seq, Some(1));
        assert_eq!(b.send(&bob, &ann, "hello").await.seq, Some(2));
    }
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let (store, _mongo, uri) = open_own().await;
    let newer = doc! {"$set": {"version": 99_i64}};
    store.db.meta.update_one(doc! {"_id": "schema"}, newer).await.unwrap();
    let again = MongoStore::open(&uri, crate::metrics::StoreMetrics::default()).await;
    let Err(StoreError::Broken(text)) = again else {
        panic!("opened")
    };
    assert!(text.contains("run the newer program"), "{text}");
}

#[tokio::test]
async fn documents_that_do_not_fit_are_refused_by_the_database() {
    let (store, _mongo, _) = open_own().await;
    let b = bench(&store);
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let sent = b.send(&ann, &bob, "good").await;
    let id = super::super::row::object_id(&sent.id).unwrap();
    for bad in [
        doc! {"seq": "one"},
        doc! {"seq": -1_i64},
        doc! {"content": 5},
        doc! {"sender": "ann"},
    ] {
        let update = store
            .db
            .messages
            .update_one(doc! {"_id": id}, doc! {"$set": bad.clone()});
        assert!(update.await.is_err(), "{bad}");
    }
    let user = super::super::row::object_id(&ann).unwrap();
    for bad in [doc! {"isActive": "yes"}, doc! {"password": null}] {
        let update = store
            .db
            .users
            .update_one(doc! {"_id": user}, doc! {"$set": bad.clone()});
        assert!(update.await.is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_closed_store_refuses() {
    let (store, _mongo, uri) = open_own().await;
    let b = bench(&store);
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let sent = b.send(&ann, &bob, "kept").await;
    store.close().await;
    assert!(matches!(
        store.chat_of(&ann, &bob).await,
        Err(StoreError::Unavailable(_))
    ));
    let refused = store.send(b.message(&ann, &bob, "late")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    let again = node(&uri).await;
    let (items, _) = again.history(&sent.chat_id, HistoryRange::Newest, 5).await.unwrap();
    assert_eq!(items, [sent]);
}

/// Whoever has an answer may rely on it: the next call, a transaction of its own, sees what it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_there_for_the_next_call_however_busy_it_is() {
    const BUSY: usize = 48;
    const ROUNDS: usize = 6;
    let (store, _mongo, _) = open_own().await;
    let bench = Arc::new(bench(&store));
    let calls = (0..BUSY).map(|n| {
        let (store, bench) = (store.clone(), bench.clone());
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let (ann, bob) = (format!("a{n}_{round}"), format!("b{n}_{round}"));
                let (ann, bob) = (bench.user(&ann).await, bench.user(&bob).await);
                let id = format!("session-{n}-{round}");
                login(&bench, &ann, &id).await;
                assert!(store.session(&id).await.unwrap().is_some(), "the session of a new user");
                let sent = bench.send(&ann, &bob, "read at once").await;
                let one = store.mark_read(&bob, ReadScope::Messages(std::slice::from_ref(&sent.id)));
                assert!(matches!(one.await.unwrap(), ReadOutcome::Done(marks) if marks.len() == 1));
                let sent = bench.send(&ann, &bob, "read with its chat").await;
                let all = store.mark_read(&bob, ReadScope::Chat(&sent.chat_id));
                assert!(matches!(all.await.unwrap(), ReadOutcome::Done(marks) if marks.len() == 1));
                let deleted = store.delete_message(&sent.id, &ann).await.unwrap();
                assert!(matches!(deleted, EditOutcome::Done(_)));
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
}
