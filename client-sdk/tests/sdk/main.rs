//! The SDK against the real server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells its numbers"
)]

mod arrival;
mod certified;
mod chaos;
mod connection;
mod encrypted;
mod examples;
mod front;
mod nodes;
mod receiving;
mod requests;
mod restart;
mod rubbish;
mod sending;
mod spans;
mod states;
mod tokens;

use std::time::Duration;

use chat_client::protocol::Message;
use chat_client::{Event, Events, Messages};
use tokio::time::timeout;

/// How long anything may take that must happen. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The next message of a stream.
async fn next(messages: &mut Messages) -> Message {
    let next = timeout(PATIENCE, messages.next()).await;
    next.expect("no message came").expect("the stream ended")
}

/// The contents of so many messages that come next.
async fn contents(messages: &mut Messages, number: usize) -> Vec<String> {
    let mut contents = Vec::new();
    while contents.len() < number {
        contents.push(next(messages).await.content);
    }
    contents
}

/// Passes over events until this one.
async fn until(events: &mut Events, wanted: &Event) {
    loop {
        let event = timeout(PATIENCE, events.next()).await.expect("it never came");
        if event.as_ref() == Some(wanted) {
            return;
        }
        assert!(event.is_some(), "the client ended before {wanted:?}");
    }
}

/// The numbers from one up to and without another, as messages have them.
fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
