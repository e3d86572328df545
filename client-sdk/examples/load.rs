//! Many clients in one process: each writes to its neighbour, and all that is written must arrive.
//! `cargo run --release --example load -- http://localhost:3000 1000 10`: 1,000 clients, 10 messages each. Switch the limits of
//! the server off first.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example")]

use std::time::{Duration, Instant};

use chat_client::{Backoff, Client, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

/// Hashing passwords is the server's hardest work.
const LOGINS_AT_ONCE: usize = 8;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, clients, messages] = arguments
        .try_into()
        .expect("an address, a number of clients, one of messages");
    let (clients, messages): (usize, usize) = (number(&clients), number(&messages));
    let run = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_micros();
    // One pool of connections for the requests of all.
    let http = reqwest::Client::new();
    let began = Instant::now();
    let all: Vec<Client> = stream::iter(0..clients)
        .map(|number| {
            let (name, http, address) = (format!("l{run}.{number}"), http.clone(), address.clone());
            let patient = Backoff {
                budget: Some(Duration::from_secs(300)),
                ..Backoff::REQUESTS
            };
            let builder = Client::builder(address).http(http).requests(patient);
            async move {
                builder
                    .register(&name, format!("{name}@example.org"), "correct horse")
                    .await
            }
        })
        .buffered(LOGINS_AT_ONCE)
        .try_collect()
        .await?;
    for client in &all {
        client.online().await?;
    }
    println!(
        "{clients} clients are online after {:.1} s",
        began.elapsed().as_secs_f64()
    );

    let began = Instant::now();
    let mut working = tokio::task::JoinSet::new();
    for (index, client) in all.iter().enumerate() {
        let (sender, to) = (client.clone(), all[(index + 1) % all.len()].user_id().clone());
        let mut received = client.messages();
        working.spawn(async move {
            let send = async {
                for number in 0..messages {
                    sender.send(&to, format!("number {number}")).await?;
                }
                Ok(())
            };
            let receive = async {
                for number in 0..messages {
                    let message = received.next().await.expect("a stream that goes on");
                    assert_eq!(
                        message.content,
                        format!("number {number}"),
                        "lost, doubled or out of order"
                    );
                }
            };
            tokio::join!(send, receive).0
        });
    }
    while let Some(done) = working.join_next().await {
        let sent: Result<()> = done.expect("a task that ends well");
        sent?;
    }
    let (all_messages, took) = (clients * messages, began.elapsed().as_secs_f64());
    let rate = all_messages as f64 / took;
    println!("{all_messages} messages stored and delivered in {took:.1} s, {rate:.0} in a second");
    Ok(())
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}
