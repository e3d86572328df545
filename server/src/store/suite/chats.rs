//! Chats, read marks, counters.

use std::collections::HashMap;

use futures_util::future::join_all;

use super::Bench;
use crate::store::{HistoryRange, ReadOutcome, ReadScope};

pub(crate) async fn unread_counts_match_a_recount(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let mut sent = Vec::new();
    for n in 0..12 {
        let (from, to) = if n % 3 == 0 { (&bob, &ann) } else { (&ann, &bob) };
        sent.push(b.send(from, to, "x").await);
    }
    let chat = sent[0].chat_id.clone();
    b.store.delete_message(&sent[1].id, &ann).await.unwrap();
    b.store
        .mark_read(&bob, ReadScope::Messages(&[sent[2].id.clone(), sent[4].id.clone()]))
        .await
        .unwrap();
    b.store.delete_message(&sent[4].id, &ann).await.unwrap();
    for user in [&ann, &bob] {
        let (items, _) = b.store.history(&chat, HistoryRange::Newest, 100).await.unwrap();
        let recount = items
            .iter()
            .filter(|m| m.receiver == *user && !m.is_read && m.deleted_at.is_none())
            .count();
        let chats = b.store.chats(user, None, 5).await.unwrap();
        assert_eq!(chats.items[0].unread, recount as u64);
    }
}

pub(crate) async fn marking_is_all_or_nothing(b: Bench) {
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    let good = b.send(&ann, &bob, "x").await;
    let own = b.send(&bob, &ann, "x").await;
    let foreign = b.send(&ann, &eve, "x").await;
    let mark = async |ids: &[_]| b.store.mark_read(&bob, ReadScope::Messages(ids)).await.unwrap();
    let unknown = b.ids.message();
    assert_eq!(mark(&[good.id.clone(), unknown]).await, ReadOutcome::MessageNotFound);
    assert_eq!(
        mark(&[good.id.clone(), foreign.id.clone()]).await,
        ReadOutcome::MessageNotFound
    );
    assert_eq!(mark(&[good.id.clone(), own.id.clone()]).await, ReadOutcome::NotReceiver);
    assert_eq!(mark(&[own.id, foreign.id.clone()]).await, ReadOutcome::MessageNotFound);
    assert_eq!(
        b.store.chats(&bob, None, 5).await.unwrap().items[0].unread,
        1,
        "nothing was changed"
    );
    let in_other_chat = b
        .store
        .mark_read(&bob, ReadScope::MessageIn(&good.id, &foreign.chat_id))
        .await
        .unwrap();
    assert_eq!(in_other_chat, ReadOutcome::MessageNotFound);
    let ReadOutcome::Done(marks) = mark(&[good.id.clone(), good.id.clone()]).await else {
        panic!()
    };
    assert_eq!(marks.len(), 1, "named twice, read once");
    assert_eq!((&marks[0].message, &marks[0].sender), (&good.id, &ann));
}

pub(crate) async fn marks_of_the_same_moment_count_once(b: Bench) {
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    let mut sent = Vec::new();
    for n in 0..24 {
        let (from, to) = if n % 2 == 0 { (&ann, &bob) } else { (&bob, &ann) };
        sent.push(b.send(from, to, "x").await);
    }
    let chat = &sent[0].chat_id;
    // Everybody marks what is theirs twice over, the whole chat beside it, and a stranger what is not.
    let (store, sent_ref) = (&b.store, &sent);
    let marks = (0..2 * sent.len()).map(|n| async move {
        let message = &sent_ref[n % sent_ref.len()];
        store
            .mark_read(
                &message.receiver,
                ReadScope::Messages(std::slice::from_ref(&message.id)),
            )
            .await
    });
    let all = [&ann, &bob].map(|user| store.mark_read(user, ReadScope::Chat(chat)));
    let foreign = store.mark_read(&eve, ReadScope::Messages(std::slice::from_ref(&sent[0].id)));
    let (marks, all, foreign) = tokio::join!(join_all(marks), join_all(all), foreign);
    assert_eq!(foreign.unwrap(), ReadOutcome::MessageNotFound);
    let mut told = HashMap::new();
    for outcome in marks.into_iter().chain(all) {
        let ReadOutcome::Done(marks) = outcome.unwrap() else {
            panic!()
        };
        for mark in marks {
            *told.entry(mark.message).or_insert(0) += 1;
        }
    }
    assert!(
        told.len() == sent.len() && told.values().all(|times| *times == 1),
        "each is newly read once: {told:?}"
    );
    for user in [&ann, &bob] {
        assert_eq!(b.store.chats(user, None, 5).await.unwrap().items[0].unread, 0);
    }
    let (items, _) = b.store.history(chat, HistoryRange::Newest, 100).await.unwrap();
    assert!(items.iter().all(|message| message.is_read));
}

pub(crate) async fn marking_a_chat_marks_all(b: Bench) {
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(b.send(&ann, &bob, "x").await);
    }
    b.send(&bob, &ann, "own").await;
    let chat = &sent[0].chat_id;
    b.store
        .mark_read(&bob, ReadScope::Messages(&[sent[4].id.clone()]))
        .await
        .unwrap();
    let ReadOutcome::Done(marks) = b.store.mark_read(&bob, ReadScope::Chat(chat)).await.unwrap() else {
        panic!()
    };
    let expected: Vec<_> = sent[..4].iter().map(|m| &m.id).collect();
    assert_eq!(marks.iter().map(|m| &m.message).collect::<Vec<_>>(), expected);
    let again = b.store.mark_read(&bob, ReadScope::Chat(chat)).await.unwrap();
    assert_eq!(again, ReadOutcome::Done(vec![]));
    let stranger = b.store.mark_read(&eve, ReadScope::Chat(chat)).await.unwrap();
    assert_eq!(stranger, ReadOutcome::ChatNotFound);
    assert_eq!(
        b.store.chats(&ann, None, 5).await.unwrap().items[0].unread,
        1,
        "the other side is not touched"
    );
}

pub(crate) async fn the_first_read_time_stays(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let sent = b.send(&ann, &bob, "x").await;
    b.store.mark_read(&bob, ReadScope::Chat(&sent.chat_id)).await.unwrap();
    let read_at = async || b.store.history(&sent.chat_id, HistoryRange::Newest, 1).await.unwrap().0[0].read_at;
    let first = read_at().await;
    assert!(first.is_some());
    let again = b
        .store
        .mark_read(&bob, ReadScope::MessageIn(&sent.id, &sent.chat_id))
        .await
        .unwrap();
    assert_eq!(again, ReadOutcome::Done(vec![]));
    assert_eq!(read_at().await, first);
}

pub(crate) async fn partners_and_participants(b: Bench) {
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    let chat = b.send(&ann, &bob, "x").await.chat_id;
    b.send(&eve, &ann, "x").await;
    let mut partners = b.store.partners(&ann).await.unwrap();
    partners.sort();
    let mut expected = vec![bob.clone(), eve.clone()];
    expected.sort();
    assert_eq!(partners, expected);
    assert_eq!(b.store.partners(&bob).await.unwrap(), std::slice::from_ref(&ann));
    let mut both = b.store.participants(&chat).await.unwrap().unwrap();
    both.sort();
    let mut expected = [ann.clone(), bob.clone()];
    expected.sort();
    assert_eq!(both, expected);
    assert_eq!(b.store.participants(&b.ids.chat()).await.unwrap(), None);
    assert_eq!(b.store.chat_of(&bob, &ann).await.unwrap(), Some(chat));
    assert_eq!(b.store.chat_of(&ann, &ann).await.unwrap(), None);
}

pub(crate) async fn the_list_is_newest_first(b: Bench) {
    let ann = b.user("ann").await;
    let mut peers = Vec::new();
    for n in 0..5 {
        let peer = b.user(&format!("peer{n}")).await;
        b.send(&peer, &ann, "x").await;
        peers.push(peer);
    }
    let bumped = b.send(&ann, &peers[1], "bump").await;
    let list = b.store.chats(&ann, None, 10).await.unwrap();
    let order: Vec<_> = list.items.iter().map(|c| &c.peer).collect();
    assert_eq!(order, [&peers[1], &peers[4], &peers[3], &peers[2], &peers[0]]);
    assert_eq!(list.items[0].last_message, bumped);
    assert_eq!(list.next, None);
    assert!(b.store.chats(&b.ids.user(), None, 5).await.unwrap().items.is_empty());
}

pub(crate) async fn a_walk_survives_new_messages(b: Bench) {
    let ann = b.user("ann").await;
    let mut peers = Vec::new();
    for n in 0..20 {
        let peer = b.user(&format!("peer{n:02}")).await;
        b.send(&peer, &ann, "x").await;
        b.send(&peer, &ann, "y").await;
        peers.push(peer);
    }
    let mut seen: HashMap<_, u32> = HashMap::new();
    let mut from = None;
    let mut round = 0;
    loop {
        let page = b.store.chats(&ann, from.as_ref(), 3).await.unwrap();
        for chat in &page.items {
            *seen.entry(chat.peer.clone()).or_default() += 1;
        }
        // Between the pages: old chats move up, some of them twice, and a new one begins.
        b.send(&ann, &peers[round % 20], "moved").await;
        b.send(&ann, &peers[(round * 7) % 20], "moved").await;
        let newcomer = b.user(&format!("new{round}")).await;
        b.send(&newcomer, &ann, "x").await;
        round += 1;
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let expected: HashMap<_, u32> = peers.into_iter().map(|peer| (peer, 1)).collect();
    assert_eq!(seen, expected);
}
