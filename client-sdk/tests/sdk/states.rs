//! The helpers that keep what a program shows.

use chat_client::protocol::{Message, Status};
use chat_client::state::{Presence, Timeline, TypingSignal, Unread, WhoTypes};
use chat_client::testing::Server;
use chat_client::{Event, Events, SendState};
use tokio::time::timeout;

use crate::{PATIENCE, next};

/// Every event until one that is wanted.
async fn until(events: &mut Events, mut wanted: impl FnMut(&Event) -> bool) {
    let find = async {
        while let Some(event) = events.next().await {
            if wanted(&event) {
                return;
            }
        }
        panic!("the client ended");
    };
    timeout(PATIENCE, find).await.expect("it never happened");
}

#[tokio::test]
async fn a_timeline_is_what_the_history_is() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    for number in 0..60 {
        ann.send(bob.user_id(), number.to_string()).await.unwrap();
    }
    let (mut log, mut events) = (ann.all_messages(), ann.events());
    // Of the first stream of a client: these came before.
    for _ in 0..60 {
        next(&mut log).await;
    }
    let mut timeline = Timeline::open(&ann, bob.user_id()).await.unwrap();
    assert_eq!((timeline.messages().count(), timeline.has_older()), (50, true));
    assert!(timeline.load_older().await.unwrap());
    assert!(!timeline.load_older().await.unwrap());

    let own = timeline.send("on its way").unwrap();
    assert_eq!(
        timeline.unsent().collect::<Vec<_>>(),
        [("on its way", SendState::Pending)]
    );
    let own = own.await.unwrap();
    bob.send(ann.user_id(), "answer").await.unwrap();
    for _ in 0..2 {
        assert!(timeline.arrived(&next(&mut log).await));
    }
    assert_eq!(timeline.unsent().count(), 0);
    bob.mark_read([own.id.clone()]).await.unwrap();
    ann.edit(&own.id, "arrived").await.unwrap();
    let first = timeline.messages().next().unwrap().id.clone();
    ann.delete(&first).await.unwrap();
    until(&mut events, |event| {
        timeline.apply(event);
        matches!(event, Event::Deleted(_))
    })
    .await;

    let shown: Vec<Message> = timeline.messages().cloned().collect();
    let mut history = ann.history(bob.user_id()).limit(100).await.unwrap().items;
    history.reverse();
    assert_eq!(shown.len(), 62);
    for (shown, kept) in shown.iter().zip(&history) {
        // What is live does not carry everything.
        assert_eq!(
            (&shown.id, &shown.content, shown.deleted_at),
            (&kept.id, &kept.content, kept.deleted_at)
        );
        assert_eq!((shown.is_read, shown.read_at), (kept.is_read, kept.read_at));
    }
}

/// Both come by streams of their own, and nothing says which is asked first.
#[tokio::test]
async fn what_happens_to_a_message_may_be_told_before_it() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let (mut log, mut events) = (bob.all_messages(), bob.events());
    let mut timeline = Timeline::open(&bob, ann.user_id()).await.unwrap();
    let (gone, changed) = (
        ann.send(bob.user_id(), "taken back").await.unwrap(),
        ann.send(bob.user_id(), "wrong").await.unwrap(),
    );
    ann.edit(&changed.id, "right").await.unwrap();
    bob.mark_read([changed.id.clone()]).await.unwrap();
    ann.delete(&gone.id).await.unwrap();
    until(&mut events, |event| {
        assert!(!timeline.apply(event), "{event:?}");
        matches!(event, Event::Deleted(_))
    })
    .await;
    for _ in 0..2 {
        assert!(timeline.arrived(&next(&mut log).await));
    }
    let shown: Vec<_> = timeline.messages().collect();
    assert_eq!((shown[0].content.as_str(), shown[0].deleted_at.is_some()), ("", true));
    assert_eq!((shown[1].content.as_str(), shown[1].is_read), ("right", true));
}

#[tokio::test]
async fn unread_counts_follow() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let (mut messages, mut events) = (bob.messages(), bob.events());
    let first = ann.send(bob.user_id(), "one").await.unwrap();
    let mut unread = Unread::load(&bob).await.unwrap();
    ann.send(bob.user_id(), "two").await.unwrap();
    // Also the one that was counted already.
    for _ in 0..2 {
        unread.arrived(&next(&mut messages).await);
    }
    assert_eq!((unread.of(&first.chat_id), unread.total()), (2, 2));
    let desk = server.client("bob").await.unwrap();
    desk.mark_read([first.id.clone()]).await.unwrap();
    until(&mut events, |event| unread.apply(event)).await;
    assert_eq!(unread.total(), 1);
    ann.delete(&first.id).await.unwrap();
    until(&mut events, |event| {
        unread.apply(event);
        unread.is_stale()
    })
    .await;
    unread.reload(&bob).await.unwrap();
    assert_eq!((unread.total(), unread.is_stale()), (1, false));
}

#[tokio::test]
async fn presence_and_typing_follow() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    ann.send(bob.user_id(), "hello").await.unwrap();
    bob.online().await.unwrap();
    let mut events = ann.events();
    let mut presence = Presence::load(&ann).await.unwrap();
    assert_eq!(presence.user(bob.user_id()).unwrap().username, "bob");
    bob.set_status(Status::Busy);
    until(&mut events, |event| {
        presence.apply(event);
        presence.of(bob.user_id()) == Status::Busy
    })
    .await;

    let mut who = WhoTypes::default();
    let signal = TypingSignal::new(&bob, ann.user_id());
    signal.key();
    until(&mut events, |event| who.apply(event)).await;
    assert!(who.contains(bob.user_id()));
    drop(signal);
    until(&mut events, |event| who.apply(event)).await;
    assert!(!who.contains(bob.user_id()));

    timeout(PATIENCE, bob.shutdown()).await.unwrap();
    until(&mut events, |event| {
        presence.apply(event);
        presence.of(bob.user_id()) == Status::Offline
    })
    .await;
}
