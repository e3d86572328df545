//! The stream of messages: each once, each chat in order, whatever the network does.

use chat_client::testing::{PASSWORD, Server};
use chat_client::{Client, ConnectionState, Event, Position};
use tokio::time::timeout;

use crate::front::Front;
use crate::{PATIENCE, contents, next, numbers, until};

async fn send(from: &Client, to: &Client, range: std::ops::Range<usize>) {
    for content in numbers(range) {
        from.send(to.user_id(), content).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_missed_comes_before_what_is_live() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let (mut messages, mut events) = (bob.messages(), bob.events());
    send(&ann, &bob, 0..10).await;
    server.cut();
    until(&mut events, &Event::Connection(ConnectionState::Waiting)).await;
    // Past the network that is down.
    let direct = server.direct_url().await.unwrap();
    let desk = Client::builder(direct).login("ann", PASSWORD).await.unwrap();
    // More than a page.
    send(&desk, &bob, 10..260).await;
    server.heal();
    send(&desk, &bob, 260..270).await;
    assert_eq!(contents(&mut messages, 270).await, numbers(0..270));
    until(&mut events, &Event::CaughtUp).await;
    assert_eq!(messages.lagged(), 0);
}

#[tokio::test]
async fn a_chat_that_cannot_be_read_holds_up_no_other() {
    let server = Server::start().await.unwrap();
    let direct = server.direct_url().await.unwrap();
    let front = Front::plain(direct.trim_start_matches("http://").parse().unwrap()).await;
    let bob = Client::builder(format!("http://{}", front.address));
    let bob = bob.register("bob", "bob@example.org", PASSWORD).await.unwrap();
    let (mut messages, mut events) = (bob.messages(), bob.events());
    bob.online().await.unwrap();
    let mut friends = Vec::new();
    for name in ["ann", "eve", "joe", "kim", "lea", "max"] {
        friends.push(server.client(name).await.unwrap());
    }
    front.close();
    until(&mut events, &Event::Connection(ConnectionState::Waiting)).await;
    for friend in &friends {
        send(friend, &bob, 0..2).await;
    }
    front.refuse(Some(&format!("/conversation/{}?", friends[0].user_id())));
    front.open();
    let mut seen = Vec::new();
    for _ in 0..10 {
        let message = next(&mut messages).await;
        assert_ne!(&message.sender, friends[0].user_id());
        seen.push(message.content);
    }
    // What is live of the others is not held up either.
    send(&friends[1], &bob, 2..3).await;
    assert_eq!(next(&mut messages).await.content, "2");
    front.refuse(None);
    assert_eq!(contents(&mut messages, 2).await, ["0", "1"]);
}

#[tokio::test]
async fn chats_that_began_meanwhile_are_found() {
    let server = Server::start().await.unwrap();
    let bob = server.client("bob").await.unwrap();
    let mut messages = bob.messages();
    let direct = server.direct_url().await.unwrap();
    bob.online().await.unwrap();
    server.cut();
    for name in ["ann", "eve", "joe"] {
        let email = format!("{name}@example.org");
        let friend = Client::builder(&direct)
            .register(name, email, "correct horse")
            .await
            .unwrap();
        send(&friend, &bob, 0..3).await;
    }
    server.heal();
    let mut all = contents(&mut messages, 9).await;
    all.sort();
    assert_eq!(all, ["0", "0", "0", "1", "1", "1", "2", "2", "2"]);
}

#[tokio::test]
async fn a_slow_reader_gets_everything_and_is_told_how_much_was_fetched() {
    let server = Server::start().await.unwrap();
    let ann = server.client("ann").await.unwrap();
    let bob = server
        .client_with("bob", |builder| builder.message_buffer(10))
        .await
        .unwrap();
    let (mut slow, mut quick) = (bob.messages(), bob.messages());
    for number in 0..300 {
        ann.send(bob.user_id(), number.to_string()).await.unwrap();
        assert_eq!(next(&mut quick).await.content, number.to_string());
    }
    assert_eq!(contents(&mut slow, 300).await, numbers(0..300));
    assert_eq!((quick.lagged(), slow.lagged()), (0, 290));
    send(&ann, &bob, 300..305).await;
    assert_eq!(contents(&mut slow, 5).await, numbers(300..305));
}

#[tokio::test]
async fn the_first_stream_begins_with_the_client_and_a_position_goes_on() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    send(&ann, &bob, 0..5).await;
    let again = server.client("bob").await.unwrap();
    send(&ann, &bob, 5..10).await;
    let mut first = again.messages();
    assert_eq!(contents(&mut first, 3).await, numbers(5..8));
    let kept = serde_json::to_string(&first.position()).unwrap();
    timeout(PATIENCE, again.shutdown()).await.unwrap();

    send(&ann, &bob, 10..12).await;
    let position: Position = serde_json::from_str(&kept).unwrap();
    let resumed = server
        .client_with("bob", |builder| builder.position(position.clone()))
        .await
        .unwrap();
    assert_eq!(contents(&mut resumed.messages(), 4).await, numbers(8..12));
}

#[tokio::test]
async fn all_messages_are_a_log_without_holes() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let desk = server.client("ann").await.unwrap();
    let mut log = ann.all_messages();
    let mut incoming = ann.messages();
    send(&ann, &bob, 0..2).await;
    send(&bob, &ann, 2..4).await;
    send(&desk, &bob, 4..6).await;
    let seqs: Vec<_> = {
        let mut seqs = Vec::new();
        for _ in 0..6 {
            seqs.push(next(&mut log).await.seq.unwrap());
        }
        seqs
    };
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    send(&bob, &ann, 6..7).await;
    assert_eq!(contents(&mut incoming, 3).await, ["2", "3", "6"]);
}

#[tokio::test]
async fn other_events_are_typed() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let mut events = ann.events();
    let message = ann.send(bob.user_id(), "hello").await.unwrap();
    bob.mark_read([message.id.clone()]).await.unwrap();
    ann.edit(&message.id, "hello again").await.unwrap();
    ann.delete(&message.id).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match timeout(PATIENCE, events.next()).await.unwrap().unwrap() {
            Event::Read(read) => seen.push(("read", read.message_id)),
            Event::Edited(edited) => seen.push(("edited", edited.id)),
            Event::Deleted(deleted) => seen.push(("deleted", deleted.message_id)),
            _ => {}
        }
    }
    assert_eq!(
        seen,
        [
            ("read", message.id.clone()),
            ("edited", message.id.clone()),
            ("deleted", message.id)
        ]
    );
}
