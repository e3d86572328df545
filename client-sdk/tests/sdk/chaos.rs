//! Two clients write to each other while everything around them fails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chat_client::testing::{PASSWORD, Server};
use chat_client::{Builder, Client, ErrorKind, Messages};
use chat_testcontainers::Proxy;
use rand::RngExt as _;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::PATIENCE;

/// Messages of each side in a round: 100 rounds are 10,000 messages.
const MESSAGES: usize = 50;

/// Sends numbers, some of them at a time, and waits until all are stored.
async fn send(from: &Client, to: &Client, numbers: std::ops::Range<usize>) {
    let mut under_way = VecDeque::new();
    for number in numbers {
        loop {
            match from.send(to.user_id(), number.to_string()).queue() {
                Ok(sent) => break under_way.push_back(sent),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Full),
            }
            under_way.pop_front().unwrap().await.unwrap();
        }
    }
    for sent in under_way {
        sent.await.unwrap();
    }
}

/// Every number from 0 on, each once and in order; with a permit for each, which makes it as slow as these come.
async fn receive(mut messages: Messages, number: usize, pace: Arc<Semaphore>) -> Messages {
    for expected in 0..number {
        pace.acquire().await.unwrap().forget();
        let message = messages.next().await.expect("the stream ended");
        assert_eq!(message.content, expected.to_string(), "after {expected} messages");
    }
    messages
}

async fn harm(server: &Server, network: &Proxy) {
    let (wait, hold, kind) = {
        let mut dice = rand::rng();
        let wait = Duration::from_millis(dice.random_range(0..20));
        let hold = Duration::from_millis(dice.random_range(1..80));
        (wait, hold, dice.random_range(0..6))
    };
    sleep(wait).await;
    match kind {
        0 => network.cut(),
        1 => network.reset(),
        2 => network.delay(hold / 4),
        3 => network.half_open(),
        4 => server.kill().await,
        _ => server.stop().await,
    }
    sleep(hold).await;
    if kind >= 4 {
        server.restart().await.unwrap();
    }
    network.heal();
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// `CHAOS_ROUNDS=100` is what the SDK promises; fewer are a usual run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_arrives_once_and_in_order_whatever_fails() {
    let rounds = std::env::var("CHAOS_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(8);
    let server = Server::builder()
        .access_tokens_live(Duration::from_secs(2))
        .await
        .unwrap();
    let address = server.url().trim_start_matches("http://").parse().unwrap();
    let network = Proxy::start(address).await.unwrap();
    let client = async |name: &'static str| {
        // Made without haste, for a registration is not repeated.
        let account = server.client_with(name, Builder::without_realtime);
        account.await.unwrap();
        // A small buffer, so that readers fall behind too.
        let builder = Client::builder(format!("http://{}", network.address()))
            .reconnect(chat_client::Backoff {
                first: Duration::from_millis(5),
                most: Duration::from_millis(100),
                budget: None,
            })
            .answer_within(Duration::from_secs(1))
            .request_within(Duration::from_secs(1))
            .connect_within(Duration::from_secs(1))
            .outbox(20)
            .message_buffer(30);
        builder.login(name, PASSWORD).await
    };
    let (ann, bob) = (client("ann").await.unwrap(), client("bob").await.unwrap());
    let all = rounds * MESSAGES;
    // One reads when a round is over, and falls behind in each.
    let (quick, slow) = (Arc::new(Semaphore::new(2 * all)), Arc::new(Semaphore::new(0)));
    let readers = [
        tokio::spawn(receive(ann.messages(), all, quick.clone())),
        tokio::spawn(receive(bob.messages(), all, quick)),
        tokio::spawn(receive(bob.messages(), all, slow.clone())),
    ];
    let mut settled = resident_kib();
    for round in 0..rounds {
        let numbers = round * MESSAGES..(round + 1) * MESSAGES;
        let exchange = async {
            tokio::join!(
                send(&ann, &bob, numbers.clone()),
                send(&bob, &ann, numbers.clone()),
                harm(&server, &network)
            )
        };
        let ended = timeout(PATIENCE, exchange).await;
        ended.unwrap_or_else(|_| panic!("round {round} never ended"));
        slow.add_permits(MESSAGES);
        if round == rounds / 4 {
            settled = resident_kib();
        }
    }
    let mut lagged = 0;
    let mut readers_at_the_end = Vec::new();
    for reader in readers {
        let messages = timeout(PATIENCE, reader)
            .await
            .expect("a reader waits for ever")
            .unwrap();
        lagged += messages.lagged();
        readers_at_the_end.push(messages);
    }
    assert_eq!((ann.unsent(), bob.unsent()), (0, 0));
    // A fence: after all, nothing that came twice.
    send(&ann, &bob, all..all + 1).await;
    send(&bob, &ann, all..all + 1).await;
    for mut messages in readers_at_the_end {
        let last = timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
        assert_eq!(last.content, all.to_string());
    }
    let grown = resident_kib().saturating_sub(settled);
    println!(
        "{rounds} rounds, {} messages, {lagged} fetched by the slow reader, memory + {grown} KiB since the first quarter",
        2 * all
    );
    assert!(lagged > 0, "nobody fell behind");
    // In a usual run other tests are in this process too. The server always is, with its caches.
    assert!(rounds < 50 || grown < 64 * 1024, "{grown} KiB");
}
