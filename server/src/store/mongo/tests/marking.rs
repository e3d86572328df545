//! Read marks that many wait for.

use chat_protocol::{Message, UserId};
use futures_util::future::join_all;
use mongodb::bson::doc;

use super::super::counters;
use super::super::read_state::AT_ONCE;
use super::open_own;
use super::searching::chats_of;
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
    assert_eq!(counters::rebuild(&store.db).await.unwrap(), 0);
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
