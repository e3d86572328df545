//! Read marks that many wait for.

use std::sync::Arc;

use chat_protocol::{Message, UserId};
use chat_testcontainers::{Mongo, unique_name};
use futures_util::future::join_all;
use mongodb::bson::doc;

use super::super::read_state::AT_ONCE;
use super::super::{MongoStore, rebuild, row};
use super::searching::chats_of;
use super::{node, open_own};
use crate::store::suite::Bench;
use crate::store::{MessageStore as _, ReadOutcome, ReadScope, SendOutcome, StoreError};

/// So many messages to Bob, in the order of seq.
async fn sent(bench: &Bench, from: &UserId, bob: &UserId, count: usize) -> Vec<Message> {
    let sends = (0..count).map(|n| bench.store.send(bench.message(from, bob, &n.to_string())));
    let mut sent: Vec<Message> = join_all(sends)
        .await
        .into_iter()
        .map(|sent| match sent.unwrap() {
            SendOutcome::Stored(message) => message,
            other => panic!("{other:?}"),
        })
        .collect();
    sent.sort_by_key(|message| message.seq);
    sent
}

#[tokio::test]
async fn a_chat_with_more_unread_than_a_transaction_takes_is_marked_as_a_whole() {
    let (store, _mongo, _) = open_own().await;
    let bench = Bench::new(store.clone());
    let (ann, bob) = (bench.user("ann").await, bench.user("bob").await);
    let sent = sent(&bench, &ann, &bob, AT_ONCE + 300).await;
    let chat = ReadScope::Chat(&sent[0].chat_id);
    let ReadOutcome::Done(marks) = store.mark_read(&bob, chat).await.unwrap() else {
        panic!()
    };
    let marked: Vec<_> = marks.into_iter().map(|mark| mark.message).collect();
    let all: Vec<_> = sent.iter().map(|message| message.id.clone()).collect();
    assert!(
        marked == all,
        "each once, the oldest first: {} of {}",
        marked.len(),
        all.len()
    );
    assert_eq!(store.chats(&bob, None, 5).await.unwrap().items[0].unread, 0);
    let again = store.mark_read(&bob, chat).await.unwrap();
    assert_eq!(again, ReadOutcome::Done(Vec::new()));
    assert_eq!(rebuild::rebuild(&store.db).await.unwrap(), 0);
}

/// Transactions that MongoDB has undone.
async fn undone(store: &MongoStore) -> i64 {
    let status = doc! {"serverStatus": 1};
    let status = store.db.client.database("admin").run_command(status).await.unwrap();
    row::int(status.get_document("transactions").unwrap(), "totalAborted").unwrap()
}

/// To count it before, by itself, would take the time of another transaction for each chat.
#[tokio::test]
async fn what_another_node_stored_is_counted_by_the_mark() {
    let mongo = Mongo::start().await.unwrap();
    let uri = mongo.database_uri(&unique_name("turns"));
    let (first, second) = (node(&uri).await, node(&uri).await);
    let bench = Bench::new(first.clone());
    let (ann, bob) = (bench.user("ann").await, bench.user("bob").await);
    first.counters.settle_all().await.unwrap();
    // Its node counts nothing meanwhile.
    let held = first.counters.hold().await;
    let before = undone(&second).await;
    for round in 0..10 {
        let sent = sent(&bench, &ann, &bob, 20).await;
        let some = [sent[3].id.clone(), sent[7].id.clone()];
        let marked = second.mark_read(&bob, ReadScope::Messages(&some)).await.unwrap();
        assert!(
            matches!(marked, ReadOutcome::Done(marks) if marks.len() == 2),
            "{round}"
        );
    }
    // The first one shows that there is another node; from then on it is known.
    assert!(undone(&second).await <= before + 1);
    drop(held);
    assert_eq!(second.chats(&bob, None, 5).await.unwrap().items[0].unread, 180);
    assert_eq!(rebuild::rebuild(&second.db).await.unwrap(), 0);
}

#[tokio::test]
async fn more_than_a_mark_can_count_is_counted_before_it() {
    let (first, _mongo, uri) = open_own().await;
    let second = node(&uri).await;
    let bench = Bench::new(first.clone());
    let (ann, bob) = (bench.user("ann").await, bench.user("bob").await);
    let held = first.counters.hold().await;
    let sent = sent(&bench, &ann, &bob, 2500).await;
    let some = [sent[10].id.clone(), sent[2400].id.clone()];
    let marked = second.mark_read(&bob, ReadScope::Messages(&some)).await.unwrap();
    assert!(matches!(marked, ReadOutcome::Done(marks) if marks.len() == 2));
    drop(held);
    assert_eq!(first.chats(&bob, None, 5).await.unwrap().items[0].unread, 2498);
    assert_eq!(rebuild::rebuild(&first.db).await.unwrap(), 0);
}

/// Each marks what the other one stored, in the same chats, all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_mark_in_the_same_chats_all_come_to_it() {
    let (first, _mongo, uri) = open_own().await;
    let nodes = [first.clone(), node(&uri).await, node(&uri).await];
    let bench = Arc::new(Bench::new(first.clone()));
    let (ann, bob) = (bench.user("ann").await, bench.user("bob").await);
    let both = [(ann.clone(), bob.clone()), (bob, ann)];
    let readers = nodes.iter().flat_map(|node| both.iter().map(move |pair| (node, pair)));
    let reading = readers.map(|(node, (from, to))| {
        let (node, bench, from, to) = (node.clone(), bench.clone(), from.clone(), to.clone());
        tokio::spawn(async move {
            for n in 0..30 {
                let sent = bench.send(&from, &to, &n.to_string()).await;
                let marked = node.mark_read(&to, ReadScope::Messages(&[sent.id])).await.unwrap();
                assert!(matches!(marked, ReadOutcome::Done(marks) if marks.len() == 1));
            }
        })
    });
    for reader in reading.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    for (user, _) in &both {
        assert_eq!(nodes[1].chats(user, None, 5).await.unwrap().items[0].unread, 0);
    }
    assert_eq!(rebuild::rebuild(&first.db).await.unwrap(), 0);
}

/// As after a backup was played back that was made of chats and messages at different times.
#[tokio::test]
async fn a_chat_that_has_counted_too_few_refuses_no_marks_of_others() {
    let (store, _mongo, _) = open_own().await;
    let bench = Bench::new(store.clone());
    let (ann, bob) = (bench.user("ann").await, bench.user("bob").await);
    let bad = sent(&bench, &ann, &bob, 1).await;
    let mut good = Vec::new();
    for n in 0..20 {
        let other = bench.user(&format!("other{n}")).await;
        good.append(&mut sent(&bench, &other, &bob, 1).await);
    }
    store.counters.flush().await.unwrap();
    let chat = chats_of(&store, &ann, &bob).await;
    let none = doc! {"$set": {format!("unread.{bob}"): 0_i64}};
    store.db.chats.update_one(doc! {"_id": chat}, none).await.unwrap();

    let messages = bad.iter().chain(&good);
    let ids: Vec<_> = messages.map(|message| [message.id.clone()]).collect();
    let marks = ids.iter().map(|id| store.mark_read(&bob, ReadScope::Messages(id)));
    let mut marked = join_all(marks).await.into_iter();
    let refused = marked.next().unwrap();
    assert!(matches!(refused, Err(StoreError::Broken(_))), "{refused:?}");
    for marked in marked {
        let ReadOutcome::Done(marks) = marked.unwrap() else {
            panic!()
        };
        assert_eq!(marks.len(), 1);
    }
    // Counted anew, it can be marked.
    assert_eq!(store.rebuild_counters().await.unwrap(), 1);
    let marked = store.mark_read(&bob, ReadScope::Messages(&ids[0])).await.unwrap();
    assert!(matches!(marked, ReadOutcome::Done(marks) if marks.len() == 1));
}
