//! One connection to the real server.

use std::time::Duration;

use chat_client::ErrorKind;
use chat_client::protocol::event::{Authenticate, JoinChat, MessageSent};
use chat_client::protocol::{ErrorCode, SendMessage, UserId};
use chat_client::realtime::{Connection, End, Event, Events, Incoming};
use chat_client::testing::Server;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::PATIENCE;

struct Person {
    id: UserId,
    token: String,
}

async fn person(server: &Server, name: &str) -> Person {
    let body = json!({
        "username": name, "email": format!("{name}@example.org"),
        "password": "correct horse", "confirmPassword": "correct horse",
    });
    let url = format!("{}/api/auth/register", server.url());
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    let session: Value = answer.error_for_status().unwrap().json().await.unwrap();
    Person {
        id: session["user"]["id"].as_str().unwrap().parse().unwrap(),
        token: session["tokens"]["accessToken"].as_str().unwrap().to_owned(),
    }
}

fn message(to: &Person, content: impl Into<String>) -> SendMessage {
    SendMessage {
        to: to.id.clone(),
        content: content.into(),
        message_type: None,
        chat_id: None,
        client_message_id: None,
    }
}

async fn next(events: &mut Events) -> Incoming {
    let next = timeout(PATIENCE, events.recv()).await;
    next.expect("nothing came").expect("the connection ended")
}

/// The next new message; what else comes before is passed over.
async fn hears(events: &mut Events) -> String {
    loop {
        if let Incoming::Event(event) = next(events).await
            && let Ok(Event::NewMessage(message)) = event.event()
        {
            return message.content;
        }
    }
}

#[tokio::test]
async fn five_hundred_answers_reach_those_who_asked() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (person(&server, "ann").await, person(&server, "bob").await);
    let (connection, _events) = Connection::to(server.url())
        .token(ann.token.as_str())
        .packet_capacity(600)
        .await
        .unwrap();
    // The id of the client is told in `message_sent` alone, so the answers are told apart by their place in the chat.
    let answers: Vec<_> = (0..500)
        .map(|number| connection.ask(&message(&bob, number.to_string())).unwrap())
        .collect();
    // Awaited the other way round, so that none can be right by waiting for its turn.
    for (number, answer) in answers.into_iter().enumerate().rev() {
        let acked = timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert_eq!(acked.value.seq, Some(number as u64 + 1));
    }
    assert_eq!(connection.pending(), 0);
}

#[tokio::test]
async fn answers_may_come_among_the_events() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (person(&server, "ann").await, person(&server, "bob").await);
    let (connection, mut events) = Connection::to(server.url()).token(ann.token.as_str()).await.unwrap();
    let good = connection.ask_in_stream(&message(&bob, "hello")).unwrap();
    let bad = connection.ask_in_stream(&message(&ann, "hello")).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let Incoming::Answer(answer) = next(&mut events).await {
            seen.push(answer.id);
            let value = answer.value::<MessageSent>();
            if answer.id == good {
                assert_eq!(value.unwrap().seq, Some(1));
            } else {
                assert_eq!(value.unwrap_err().code(), Some(&ErrorCode::CannotMessageSelf));
            }
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [good, bad]);
}

#[tokio::test]
async fn messages_arrive_in_order_and_what_was_missed_is_counted() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (person(&server, "ann").await, person(&server, "bob").await);
    let (sender, _) = Connection::to(server.url()).token(ann.token.as_str()).await.unwrap();
    let (_quick, mut quick) = Connection::to(server.url()).token(bob.token.as_str()).await.unwrap();
    let (slow_connection, mut slow) = Connection::to(server.url())
        .token(bob.token.as_str())
        .event_capacity(5)
        .await
        .unwrap();
    for number in 0..50 {
        sender.ask(&message(&bob, number.to_string())).unwrap().await.unwrap();
    }
    for number in 0..50 {
        assert_eq!(hears(&mut quick).await, number.to_string());
    }
    let last = sender.ask(&message(&bob, "last")).unwrap().await.unwrap().value;
    assert_eq!(hears(&mut quick).await, "last");
    // The answers above came after the events were sent to both, and that to the fence comes behind these.
    let fence = JoinChat { chat_id: last.chat_id };
    slow_connection.ask(&fence).unwrap().await.unwrap();
    let mut heard = 0;
    while let Some(incoming) = slow.try_recv() {
        assert!(matches!(incoming, Incoming::Event(_)), "{incoming:?}");
        heard += 1;
    }
    assert_eq!(heard, 5);
    // Room again: the next message is told with what was missed before it.
    sender.ask(&message(&bob, "after the gap")).unwrap().await.unwrap();
    slow_connection.ask(&fence).unwrap().await.unwrap();
    let Some(Incoming::Missed(missed)) = slow.try_recv() else {
        panic!("nothing was missed")
    };
    // Among the events are also those of presence.
    assert!(missed >= 46, "{missed}");
}

#[tokio::test]
async fn a_refused_handshake_says_why() {
    let server = Server::start().await.unwrap();
    let refused = Connection::to(server.url()).token("no token").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert_eq!(refused.code(), Some(&ErrorCode::TokenInvalid));
}

#[tokio::test]
async fn authentication_may_follow() {
    let server = Server::start().await.unwrap();
    let ann = person(&server, "ann").await;
    let (connection, _events) = Connection::to(server.url()).await.unwrap();
    let token = ann.token.clone();
    let acked = connection.ask(&Authenticate { token }).unwrap().await.unwrap();
    assert_eq!(acked.value.user.user.id, ann.id);
}

#[tokio::test]
async fn what_is_pending_fails_when_the_connection_ends() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (person(&server, "ann").await, person(&server, "bob").await);
    let (connection, mut events) = Connection::to(server.url()).token(ann.token.as_str()).await.unwrap();
    server.delay(Duration::from_secs(600));
    let answer = connection.ask(&message(&bob, "hello")).unwrap();
    server.kill().await;
    let lost = timeout(PATIENCE, answer).await.unwrap().unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Disconnected);
    while timeout(PATIENCE, events.recv()).await.unwrap().is_some() {}
    assert_ne!(connection.ended().await, End::Left);
    assert_eq!(connection.pending(), 0);
    let late = connection.emit(&message(&bob, "hello")).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Disconnected);
}

#[tokio::test]
async fn an_answer_that_is_late_is_given_up() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (person(&server, "ann").await, person(&server, "bob").await);
    let connecting = Connection::to(server.url()).token(ann.token.as_str());
    let (connection, _events) = connecting.answer_within(Duration::from_millis(10)).await.unwrap();
    server.delay(Duration::from_secs(600));
    let answer = connection.ask(&message(&bob, "hello")).unwrap();
    let late = timeout(PATIENCE, answer).await.unwrap().unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
    assert_eq!(connection.end(), None);
    assert_eq!(connection.pending(), 0);
}

#[tokio::test]
async fn queues_are_bounded_and_say_so() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (person(&server, "ann").await, person(&server, "bob").await);
    let connecting = Connection::to(server.url()).token(ann.token.as_str());
    let (connection, _events) = connecting.packet_capacity(8).most_pending(4).await.unwrap();
    // The task of the connection has no turn between these: this runtime has one thread.
    let answers: Vec<_> = (0..4)
        .map(|_| connection.ask(&message(&bob, "hello")).unwrap())
        .collect();
    assert_eq!(
        connection.ask(&message(&bob, "hello")).unwrap_err().kind(),
        ErrorKind::Full
    );
    for _ in 0..4 {
        connection.emit(&message(&bob, "hello")).unwrap();
    }
    assert_eq!(
        connection.emit(&message(&bob, "hello")).unwrap_err().kind(),
        ErrorKind::Full
    );
    timeout(PATIENCE, connection.room()).await.unwrap().unwrap();
    connection.emit(&message(&bob, "hello")).unwrap();
    for answer in answers {
        timeout(PATIENCE, answer).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn whoever_drops_the_connection_leaves_at_once() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (person(&server, "ann").await, person(&server, "bob").await);
    let (connection, mut events) = Connection::to(server.url()).token(ann.token.as_str()).await.unwrap();
    let (_bobs, mut seen) = Connection::to(server.url()).token(bob.token.as_str()).await.unwrap();
    connection.ask(&message(&bob, "hello")).unwrap().await.unwrap();
    drop(connection);
    while timeout(PATIENCE, events.recv()).await.unwrap().is_some() {}
    // Sooner than the heartbeat would tell.
    loop {
        if let Incoming::Event(event) = next(&mut seen).await
            && let Ok(Event::UserOffline(gone)) = event.event()
        {
            assert_eq!(gone.user_id, ann.id);
            break;
        }
    }
}

#[tokio::test]
async fn closing_says_that_this_side_left() {
    let server = Server::start().await.unwrap();
    let ann = person(&server, "ann").await;
    let (connection, mut events) = Connection::to(server.url()).token(ann.token.as_str()).await.unwrap();
    timeout(PATIENCE, connection.close()).await.unwrap();
    assert_eq!(connection.end(), Some(&End::Left));
    while timeout(PATIENCE, events.recv()).await.unwrap().is_some() {}
}
