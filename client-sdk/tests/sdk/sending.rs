//! The outbox.

use std::time::Duration;

use chat_client::protocol::ErrorCode;
use chat_client::testing::Server;
use chat_client::{ConnectionState, ErrorKind, Event, Retryability, SendState};
use tokio::time::timeout;

use crate::{PATIENCE, contents, numbers};

#[tokio::test]
async fn what_is_sent_is_stored_and_arrives() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let mut messages = bob.messages();
    let stored = ann.send(bob.user_id(), "hello").await.unwrap();
    assert_eq!((stored.seq, stored.content.as_str()), (Some(1), "hello"));
    let arrived = crate::next(&mut messages).await;
    assert_eq!((arrived.id, arrived.sender), (stored.id, ann.user_id().clone()));
}

#[tokio::test]
async fn a_refusal_is_told_and_does_not_hold_up_the_rest() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let refused = ann.send(bob.user_id(), "  ").queue().unwrap();
    let good = ann.send(bob.user_id(), "hello").queue().unwrap();
    let nobody = ann.send(&"nobody".parse().unwrap(), "hello").await.unwrap_err();
    assert_eq!(nobody.code(), Some(&ErrorCode::UserNotFound));
    assert_eq!(good.await.unwrap().seq, Some(1));
    assert_eq!(refused.state(), SendState::Failed);
    let refused = refused.await.unwrap_err();
    assert_eq!(refused.code(), Some(&ErrorCode::ValidationError));
    assert_eq!(ann.unsent(), 0);
}

#[tokio::test]
async fn without_a_connection_messages_wait_in_order() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let mut messages = bob.messages();
    server.kill().await;
    let waiting: Vec<_> = (0..50)
        .map(|number| ann.send(bob.user_id(), number.to_string()).queue().unwrap())
        .collect();
    assert_eq!((ann.unsent(), waiting[0].state()), (50, SendState::Pending));
    server.restart().await.unwrap();
    for message in waiting {
        timeout(PATIENCE, message).await.unwrap().unwrap();
    }
    assert_eq!(contents(&mut messages, 50).await, numbers(0..50));
    assert_eq!(ann.unsent(), 0);
}

#[tokio::test]
async fn an_answer_that_is_lost_makes_no_second_message() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let mut messages = bob.messages();
    ann.online().await.unwrap();
    // On its way there when the connection goes; the answer has no way back.
    server.delay(Duration::from_millis(20));
    for number in 0..20 {
        let sent = ann.send(bob.user_id(), number.to_string()).queue().unwrap();
        tokio::time::timeout(Duration::from_millis(number * 5), std::future::pending::<()>())
            .await
            .unwrap_err();
        server.drop_connections();
        timeout(PATIENCE, sent).await.unwrap().unwrap();
    }
    server.heal();
    assert_eq!(contents(&mut messages, 20).await, numbers(0..20));
    let history = ann.history(bob.user_id()).await.unwrap();
    assert_eq!(history.items.len(), 20);
}

/// A signal and the end of `main`, say.
#[tokio::test]
async fn two_who_shut_down_both_wait_until_all_is_sent() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    ann.online().await.unwrap();
    let sent: Vec<_> = (0..100)
        .map(|number| ann.send(bob.user_id(), number.to_string()).queue().unwrap())
        .collect();
    let again = ann.clone();
    let both = async { tokio::join!(ann.shutdown(), again.shutdown()) };
    timeout(PATIENCE, both).await.unwrap();
    for message in sent {
        message.await.unwrap();
    }
}

#[tokio::test]
async fn the_outbox_is_bounded_and_says_so() {
    let server = Server::start().await.unwrap();
    let ann = server.client_with("ann", |builder| builder.outbox(3)).await.unwrap();
    let bob = server.client("bob").await.unwrap();
    server.kill().await;
    let kept: Vec<_> = (0..3)
        .map(|_| ann.send(bob.user_id(), "hello").queue().unwrap())
        .collect();
    let full = ann.send(bob.user_id(), "hello").queue().unwrap_err();
    assert_eq!(
        (full.kind(), full.retryability()),
        (ErrorKind::Full, Retryability::Transient)
    );
    // Whoever awaits it waits for room as well.
    let patient = tokio::spawn({
        let (ann, to) = (ann.clone(), bob.user_id().clone());
        async move { ann.send(&to, "last").await }
    });
    tokio::task::yield_now().await;
    server.restart().await.unwrap();
    assert_eq!(timeout(PATIENCE, patient).await.unwrap().unwrap().unwrap().seq, Some(4));
    for message in kept {
        message.await.unwrap();
    }
}

#[tokio::test]
async fn over_the_limit_of_events_messages_wait_in_order() {
    let server = Server::builder().event_limit(10).await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let mut messages = bob.messages();
    let sent: Vec<_> = (0..15)
        .map(|number| ann.send(bob.user_id(), number.to_string()).queue().unwrap())
        .collect();
    for message in sent {
        timeout(PATIENCE, message).await.unwrap().unwrap();
    }
    assert_eq!(contents(&mut messages, 15).await, numbers(0..15));
}

#[tokio::test]
async fn shutdown_sends_what_waits_and_ends_everything() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let (mut messages, mut own) = (bob.messages(), ann.all_messages());
    let mut events = ann.events();
    // Without a connection there is none to send over.
    timeout(PATIENCE, ann.online()).await.unwrap().unwrap();
    let sent: Vec<_> = (0..20)
        .map(|number| ann.send(bob.user_id(), number.to_string()).queue().unwrap())
        .collect();
    timeout(PATIENCE, ann.shutdown()).await.unwrap();
    for message in sent {
        message.await.unwrap();
    }
    assert_eq!(contents(&mut messages, 20).await, numbers(0..20));
    assert_eq!(contents(&mut own, 20).await, numbers(0..20));
    assert!(timeout(PATIENCE, own.next()).await.unwrap().is_none());
    let mut last = None;
    while let Some(event) = timeout(PATIENCE, events.next()).await.unwrap() {
        last = Some(event);
    }
    assert_eq!(last, Some(Event::Connection(ConnectionState::Closed)));
    let late = ann.send(bob.user_id(), "late").await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
    timeout(PATIENCE, ann.shutdown()).await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_clone_ends_streams_and_fails_what_waits() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let mut messages = ann.messages();
    server.kill().await;
    let waiting = ann.send(bob.user_id(), "hello").queue().unwrap();
    let other = ann.clone();
    drop(ann);
    assert_eq!(other.unsent(), 1);
    drop(other);
    let failed = timeout(PATIENCE, waiting).await.unwrap().unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Closed);
    assert!(timeout(PATIENCE, messages.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_waits_too_long_is_given_up() {
    let server = Server::start().await.unwrap();
    let soon = Duration::from_millis(50);
    let ann = server
        .client_with("ann", |builder| builder.give_up_sending_after(soon))
        .await
        .unwrap();
    let bob = server.client("bob").await.unwrap();
    server.kill().await;
    let given_up = timeout(PATIENCE, ann.send(bob.user_id(), "hello")).await;
    assert_eq!(given_up.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(ann.unsent(), 0);
}
