//! What it takes to come back after the server was killed: from the moment at which it is there again.

use std::time::Instant;

use chat_client::protocol::event::MessageSent;
use chat_client::realtime::Incoming;
use chat_client::{Backoff, Client, ConnectionState, Event, Result};
use chat_testcontainers::{Node, Proxy};

use crate::people::{Person, Place};
use crate::server::requests;
use crate::streams::message;

/// What is stored while the client is away.
const MISSED: usize = 1_000;
const UNDER_WAY: usize = 64;

pub(crate) async fn after_a_restart(place: &Place, server: &Node, people: &[Person]) -> Result<()> {
    let [writer, reader, ..] = people else { return Ok(()) };
    let network = Proxy::start(server.address()).await.expect("a network of one's own");
    let away = Place {
        address: format!("http://{}", network.address()),
        ..place.clone()
    };
    let soon = Backoff {
        first: std::time::Duration::from_millis(5),
        most: std::time::Duration::from_millis(20),
        budget: None,
    };
    let client = away.client(reader).await?.reconnect(soon).resume().await?;
    let (mut messages, mut events) = (client.messages(), client.events());
    client.online().await?;
    wait_for(&mut events, &Event::CaughtUp).await;
    network.cut();
    wait_for(&mut events, &Event::Connection(ConnectionState::Waiting)).await;
    write(place, writer, &client).await?;
    // Killed with SIGKILL, and started on the same port and data.
    server.restart().await.expect("the server again");
    assert_eq!(requests(&place.http, server).await, 0, "it has just been started");
    // Anew, for the queue of the other may be full of tries to connect.
    let mut events = client.events();
    let began = Instant::now();
    network.heal();
    for _ in 0..MISSED {
        messages.next().await.expect("a stream that goes on");
    }
    let took = began.elapsed().as_millis();
    wait_for(&mut events, &Event::CaughtUp).await;
    let asked = requests(&place.http, server).await;
    println!(
        "catch-up: {took} ms from the server's return to the last of {MISSED} missed messages, by {asked} requests: the \
         list of chats, and a page for every 100"
    );
    client.shutdown().await;
    Ok(())
}

async fn write(place: &Place, writer: &Person, to: &Client) -> Result<()> {
    let (connection, mut answers) = place.connection(writer).await?;
    let message = message(to.user_id().clone());
    let (mut sent, mut stored) = (0, 0);
    while stored < MISSED {
        while sent < MISSED && sent - stored < UNDER_WAY {
            connection.ask_in_stream(&message)?;
            sent += 1;
        }
        if let Some(Incoming::Answer(answer)) = answers.recv().await {
            answer.value::<MessageSent>()?;
            stored += 1;
        }
    }
    Ok(())
}

async fn wait_for(events: &mut chat_client::Events, wanted: &Event) {
    while events.next().await.expect("a client that goes on") != *wanted {}
}
