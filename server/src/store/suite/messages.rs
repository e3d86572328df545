//! Sending, history, edits.

use std::sync::{Arc, Mutex};

use chat_protocol::{MessageType, Timestamp};

use super::Bench;
use crate::store::{EditOutcome, HistoryRange, SendOutcome};

pub(crate) async fn seq_is_gapless_under_concurrency(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let sends = (0..200).map(|n| {
        let (from, to) = if n % 2 == 0 { (&ann, &bob) } else { (&bob, &ann) };
        let (store, message) = (b.store.clone(), b.message(from, to, "x"));
        tokio::spawn(async move { store.send(message).await.unwrap() })
    });
    let mut seqs = Vec::new();
    for send in sends.collect::<Vec<_>>() {
        let SendOutcome::Stored(message) = send.await.unwrap() else {
            panic!()
        };
        seqs.push(message.seq.unwrap());
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
}

pub(crate) async fn one_sender_keeps_order(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    for n in 0..300 {
        let message = b.message(&ann, &bob, &n.to_string());
        b.store.submit(message, Box::new(|_| {})).await.unwrap();
    }
    let last = b.send(&ann, &bob, "last").await;
    let (items, more) = b
        .store
        .history(&last.chat_id, HistoryRange::Above(0), 400)
        .await
        .unwrap();
    let contents: Vec<_> = items.iter().map(|m| m.content.clone()).collect();
    let sent: Vec<_> = (0..300).map(|n| n.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(contents, sent);
    assert!(!more);
    assert!(items.is_sorted_by_key(|m| m.timestamp));
}

pub(crate) async fn answers_come_in_commit_order(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let seen = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..300 {
        let seen = seen.clone();
        let done = Box::new(move |outcome| {
            let Ok(SendOutcome::Stored(message)) = outcome else {
                panic!()
            };
            seen.lock().unwrap().push(message.seq.unwrap());
        });
        b.store.submit(b.message(&ann, &bob, "x"), done).await.unwrap();
    }
    b.send(&ann, &bob, "fence").await;
    assert_eq!(*seen.lock().unwrap(), (1..=300).collect::<Vec<_>>());
}

pub(crate) async fn repeats_get_the_first_answer(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let mut message = b.message(&ann, &bob, "once");
    message.client_message_id = Some("c-1".parse().unwrap());
    let SendOutcome::Stored(first) = b.store.send(message.clone()).await.unwrap() else {
        panic!()
    };
    b.store.edit_message(&first.id, &ann, "changed".into()).await.unwrap();
    message.id = b.ids.message();
    message.new_chat = b.ids.chat();
    assert_eq!(
        b.store.send(message.clone()).await.unwrap(),
        SendOutcome::Repeated(first.clone())
    );
    b.store.delete_message(&first.id, &ann).await.unwrap();
    assert_eq!(
        b.store.send(message).await.unwrap(),
        SendOutcome::Repeated(first.clone())
    );
    let mut by_bob = b.message(&bob, &ann, "mine");
    by_bob.client_message_id = Some("c-1".parse().unwrap());
    let SendOutcome::Stored(other) = b.store.send(by_bob).await.unwrap() else {
        panic!("ids are per sender")
    };
    assert_eq!(other.seq, Some(2));
}

pub(crate) async fn concurrent_repeats_store_once(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let mut message = b.message(&ann, &bob, "once");
            message.client_message_id = Some("c-1".parse().unwrap());
            let store = b.store.clone();
            tokio::spawn(async move { store.send(message).await.unwrap() })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        stored += usize::from(matches!(task.await.unwrap(), SendOutcome::Stored(_)));
    }
    assert_eq!(stored, 1);
    assert_eq!(b.send(&ann, &bob, "next").await.seq, Some(2));
}

pub(crate) async fn reused_client_ids_are_refused(b: Bench) {
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    let mut first = b.message(&ann, &bob, "once");
    first.client_message_id = Some("c-1".parse().unwrap());
    b.store.send(first.clone()).await.unwrap();
    let mut others = vec![first.clone(), first.clone(), first.clone()];
    others[0].content = "other".into();
    others[1].receiver = eve;
    others[2].message_type = MessageType::Image;
    for mut other in others {
        other.id = b.ids.message();
        assert_eq!(b.store.send(other).await.unwrap(), SendOutcome::ClientMessageIdReused);
    }
    assert_eq!(b.send(&ann, &bob, "next").await.seq, Some(2));
}

pub(crate) async fn refusals_store_nothing(b: Bench) {
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    let unknown = b.message(&ann, &b.ids.user(), "x");
    assert_eq!(b.store.send(unknown).await.unwrap(), SendOutcome::UserNotFound);
    let mut early = b.message(&ann, &bob, "x");
    early.chat = Some(b.ids.chat());
    assert_eq!(b.store.send(early).await.unwrap(), SendOutcome::ChatMismatch);
    assert_eq!(b.store.chat_of(&ann, &bob).await.unwrap(), None);
    let foreign = b.send(&ann, &eve, "x").await.chat_id;
    let first = b.send(&ann, &bob, "x").await;
    let mut wrong = b.message(&ann, &bob, "x");
    wrong.chat = Some(foreign);
    assert_eq!(b.store.send(wrong).await.unwrap(), SendOutcome::ChatMismatch);
    let mut right = b.message(&ann, &bob, "x");
    right.chat = Some(first.chat_id);
    assert!(matches!(b.store.send(right).await.unwrap(), SendOutcome::Stored(m) if m.seq == Some(2)));
    b.store.set_active(&bob, false).await.unwrap();
    let inactive = b.message(&ann, &bob, "x");
    assert_eq!(b.store.send(inactive).await.unwrap(), SendOutcome::UserNotFound);
}

pub(crate) async fn history_pages_both_ways(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let mut chat = None;
    for n in 1..=7 {
        chat = Some(b.send(&ann, &bob, &n.to_string()).await.chat_id);
    }
    let chat = chat.unwrap();
    let page = async |range, limit| {
        let (items, more) = b.store.history(&chat, range, limit).await.unwrap();
        (items.iter().map(|m| m.seq.unwrap()).collect::<Vec<_>>(), more)
    };
    assert_eq!(page(HistoryRange::Newest, 3).await, (vec![7, 6, 5], true));
    assert_eq!(page(HistoryRange::Below(5), 4).await, (vec![4, 3, 2, 1], false));
    assert_eq!(page(HistoryRange::Above(2), 3).await, (vec![3, 4, 5], true));
    assert_eq!(page(HistoryRange::Above(5), 3).await, (vec![6, 7], false));
    assert_eq!(page(HistoryRange::Above(u64::MAX), 3).await, (vec![], false));
}

pub(crate) async fn edits_keep_place_and_time(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let sent = b.send(&ann, &bob, "first").await;
    let edited = b.store.edit_message(&sent.id, &ann, "second".into()).await.unwrap();
    let EditOutcome::Done(edited) = edited else {
        panic!("{edited:?}")
    };
    assert_eq!(edited.content, "second");
    assert!(edited.edited_at >= Some(sent.timestamp));
    assert_eq!(
        (edited.seq, edited.timestamp, edited.is_read),
        (sent.seq, sent.timestamp, false)
    );
    let (items, _) = b.store.history(&sent.chat_id, HistoryRange::Newest, 5).await.unwrap();
    assert_eq!(items, [edited]);
}

pub(crate) async fn deleted_messages_are_tombstones(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let sent = b.send(&ann, &bob, "secret").await;
    let deleted = b.store.delete_message(&sent.id, &ann).await.unwrap();
    let EditOutcome::Done(deleted) = deleted else {
        panic!("{deleted:?}")
    };
    let (items, _) = b.store.history(&sent.chat_id, HistoryRange::Newest, 5).await.unwrap();
    assert_eq!((items[0].content.as_str(), items[0].deleted_at), ("", Some(deleted.at)));
    assert_eq!(
        b.store.delete_message(&sent.id, &ann).await.unwrap(),
        EditOutcome::NotFound
    );
    let edit = b.store.edit_message(&sent.id, &ann, "back".into()).await.unwrap();
    assert_eq!(edit, EditOutcome::NotFound);
    let chats = b.store.chats(&bob, None, 5).await.unwrap();
    assert_eq!(
        (chats.items[0].unread, chats.items[0].last_message.deleted_at),
        (0, Some(deleted.at))
    );
    assert!(deleted.at <= Timestamp::now());
}

pub(crate) async fn only_the_sender_edits(b: Bench) {
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    let sent = b.send(&ann, &bob, "x").await;
    for (user, is_receiver) in [(&bob, true), (&eve, false)] {
        let edit = b.store.edit_message(&sent.id, user, "y".into()).await.unwrap();
        let delete = b.store.delete_message(&sent.id, user).await.unwrap();
        if is_receiver {
            assert_eq!((edit, delete), (EditOutcome::NotSender, EditOutcome::NotSender));
        } else {
            assert_eq!((edit, delete), (EditOutcome::NotFound, EditOutcome::NotFound));
        }
    }
}

pub(crate) async fn a_deactivated_user_gets_nothing_more(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    b.send(&ann, &bob, "one").await;
    b.store.set_active(&bob, false).await.unwrap();
    let refused = b.store.send(b.message(&ann, &bob, "two")).await.unwrap();
    assert_eq!(refused, SendOutcome::UserNotFound);
    b.store.set_active(&bob, true).await.unwrap();
    assert_eq!(b.send(&ann, &bob, "three").await.seq, Some(2));
}
