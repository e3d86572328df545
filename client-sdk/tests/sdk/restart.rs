//! A server that is killed and started again, as a process of its own on the same port and data.

use std::collections::BTreeMap;

use chat_client::{Backoff, Client, ConnectionState, Event};
use chat_testcontainers::{Node, Program};
use tokio::time::timeout;

use crate::front::Front;
use crate::{PATIENCE, contents, numbers, until};

const PASSWORD: &str = "correct horse";

/// The example that measures costs becomes the server when it is asked to.
async fn server() -> Node {
    let limits = [
        "--rate-limit-max-requests",
        "--auth-rate-limit-max-requests",
        "--socket-rate-limit-max-events",
    ];
    let program = Program::new(crate::examples::program("costs"))
        .bare()
        .arguments([
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            "{port}",
            "--data-dir",
            "{data}",
        ])
        .arguments(["--env-file", "/nonexistent"])
        .arguments(limits.iter().flat_map(|limit| [limit, "0"]))
        .variable("JWT_SECRET", "signs access tokens of a server that is started again")
        .variable(
            "JWT_REFRESH_SECRET",
            "signs refresh tokens of a server that is started again",
        );
    Node::start(program).await.unwrap()
}

fn soon() -> Backoff {
    Backoff {
        first: std::time::Duration::from_millis(5),
        most: std::time::Duration::from_millis(100),
        budget: None,
    }
}

/// How often each path was asked for, with what matters of its query.
fn counted(requests: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for request in requests {
        let path = request.split_once("/api/").map_or("the socket", |(_, path)| path);
        let path = path.split_once('/').map_or(path, |(_, path)| path);
        *counts.entry(path.split(['/', '?']).next().unwrap_or(path)).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_thousand_missed_messages_cost_a_request_for_each_hundred() {
    let server = server().await;
    let front = Front::plain(server.address()).await;
    let builder = |url: String| Client::builder(url).reconnect(soon());
    let ann = builder(server.url().to_owned()).in_flight_per_chat(50);
    let ann = ann.register("ann", "ann@example.org", PASSWORD).await.unwrap();
    let bob = builder(format!("http://{}", front.address)).register("bob", "bob@example.org", PASSWORD);
    let bob = bob.await.unwrap();
    let (mut messages, mut events) = (bob.messages(), bob.events());
    ann.send(bob.user_id(), "0").await.unwrap();
    assert_eq!(contents(&mut messages, 1).await, ["0"]);
    until(&mut events, &Event::CaughtUp).await;

    front.close();
    until(&mut events, &Event::Connection(ConnectionState::Waiting)).await;
    let missed: Vec<_> = (1..=1_000)
        .map(|number| ann.send(bob.user_id(), number.to_string()))
        .collect();
    for sent in missed.into_iter().map(|send| send.queue().unwrap()).collect::<Vec<_>>() {
        timeout(PATIENCE, sent).await.unwrap().unwrap();
    }
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    front.take_requests();
    // Anew, for the queue of the other may be full of tries to connect.
    let mut events = bob.events();
    front.open();
    assert_eq!(contents(&mut messages, 1_000).await, numbers(1..1_001));
    until(&mut events, &Event::CaughtUp).await;
    let requests = front.take_requests();
    let expected = [("chats", 1), ("conversation", 10), ("the socket", 1)];
    assert_eq!(counted(&requests), BTreeMap::from(expected), "{requests:#?}");

    // And it goes on live, without asking for anything.
    timeout(PATIENCE, ann.send(bob.user_id(), "1001"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(contents(&mut messages, 1).await, ["1001"]);
    assert_eq!(front.take_requests(), [""; 0]);
    assert_eq!(messages.lagged(), 0);
}
