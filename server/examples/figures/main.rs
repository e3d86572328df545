//! Measures what the server costs and prints it beside what to reach: `cargo xtask bench`.
//!
//! `--mongo URI` measures the store on that MongoDB instead: a native `mongod`, in a database that is made for it.
//!
//! Ratios are taken within the run. Absolute figures are those of this machine, on which the clients run too.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement fails by panicking"
)]

mod client;
mod growth;
mod mongo;
mod process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_server::metrics::StoreMetrics;
use chat_server::store::sqlite::SqliteStore;
use chat_server::store::{MessageStore as _, Store as _};

use self::client::{Client, User};
use self::process::Server;

/// Users who send at the same time, each with one message under way.
const SENDERS: usize = 64;
/// Messages of the run whose cost is counted.
const MESSAGES: usize = 100_000;
/// Sockets that do nothing.
const IDLE: usize = 2_000;

fn row(what: &str, got: String, reach: &str, good: bool) {
    println!("{} {what:58} {got:>26}   {reach}", if good { "✓" } else { "✗" });
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--mongo").skip(1);
    if let Some(uri) = arguments.next() {
        return mongo::measure(&uri).await;
    }
    let starts: Vec<Duration> = futures_util::future::join_all([()].map(|()| start_times()))
        .await
        .remove(0);
    let median = starts[starts.len() / 2];
    row(
        "server start to ready, median of 9",
        format!("{} ms", median.as_millis()),
        "under 150 ms",
        median < Duration::from_millis(150),
    );

    let server = Server::start().await;
    let users = User::register_all(&server.base, 2 * SENDERS).await;
    messages(&server, &users).await;
    drop(server);

    let server = Server::start().await;
    let users = User::register_all(&server.base, 50).await;
    idle(&server, &users).await;
    drop(server);

    growth::measure().await;
}

async fn start_times() -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..9 {
        times.push(Server::start().await.ready_after);
    }
    times.sort_unstable();
    times
}

/// What a message costs from send to delivery, and how many there are in a second beside the bare store.
async fn messages(server: &Server, users: &[User]) {
    let (cpu, _) = exchange(server, users, 16).await;
    row(
        "server CPU per 100,000 messages, send to delivery",
        format!("{cpu:.2} CPU-s"),
        "at most 2.5 CPU-s",
        cpu <= 2.5,
    );
    let before = bare_store().await;
    let (_, rate) = exchange(server, users, 1).await;
    let bare = (before + bare_store().await) / 2.0;
    let share = rate / bare;
    let got = format!("{rate:.0}/s of {bare:.0}/s = {:.0} %", share * 100.0);
    row(
        "durable sends, 64 senders, beside the bare store",
        got,
        "at least 60 %",
        share >= 0.6,
    );
}

/// Every sender sends to a receiver of its own. CPU seconds of the server per 100,000 messages, and messages per second.
async fn exchange(server: &Server, users: &[User], window: usize) -> (f64, f64) {
    let (senders, receivers) = users.split_at(SENDERS);
    let mut tasks = Vec::new();
    for receiver in receivers {
        let mut client = Client::connect(&server.base, receiver).await;
        tasks.push(tokio::spawn(async move {
            client.receive("42[\"new_message\"", MESSAGES / SENDERS).await;
        }));
    }
    let mut clients = Vec::new();
    for sender in senders {
        clients.push(Client::connect(&server.base, sender).await);
    }
    let cpu = server.cpu();
    let began = Instant::now();
    for (mut client, receiver) in clients.into_iter().zip(receivers) {
        let to = receiver.id.clone();
        tasks.push(tokio::spawn(async move {
            client.send_all(&to, MESSAGES / SENDERS, window).await
        }));
    }
    for task in tasks {
        task.await.expect("a client");
    }
    let sent = (MESSAGES / SENDERS * SENDERS) as f64;
    let rate = sent / began.elapsed().as_secs_f64();
    ((server.cpu() - cpu).as_secs_f64() * 100_000.0 / sent, rate)
}

/// Sends per second of the store alone, with as many producers.
async fn bare_store() -> f64 {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path(), StoreMetrics::default()).expect("a store");
    let users = growth::users(&*store, 2 * SENDERS).await;
    let ids = Arc::new(chat_server::id::IdSource::new());
    let began = Instant::now();
    let producers = (0..SENDERS).map(|index| {
        let (store, ids, from, to) = (
            store.clone(),
            ids.clone(),
            users[index].clone(),
            users[SENDERS + index].clone(),
        );
        tokio::spawn(async move {
            for number in 0..MESSAGES / SENDERS / 4 {
                store
                    .send(growth::message(&ids, &from, &to, number))
                    .await
                    .expect("a send");
            }
        })
    });
    for producer in producers.collect::<Vec<_>>() {
        producer.await.expect("a producer");
    }
    let rate = (MESSAGES / SENDERS / 4 * SENDERS) as f64 / began.elapsed().as_secs_f64();
    store.close().await;
    rate
}

/// Memory of the server for each socket that is authenticated and silent.
async fn idle(server: &Server, users: &[User]) {
    let mut clients = Vec::new();
    // The first hundred pay for what is shared.
    for user in users.iter().cycle().take(100) {
        clients.push(Client::connect(&server.base, user).await);
    }
    let before = server.memory();
    for user in users.iter().cycle().take(IDLE) {
        clients.push(Client::connect(&server.base, user).await);
    }
    let each = server.memory().saturating_sub(before) as f64 / IDLE as f64 / 1024.0;
    row(
        "memory per idle authenticated socket",
        format!("{each:.1} KiB"),
        "at most 40 KiB",
        each <= 40.0,
    );
}
