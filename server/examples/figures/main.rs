//! Measures what the server costs and prints it beside what to reach: `cargo xtask bench`.
//!
//! Ratios are taken within the run. Absolute figures are those of this machine, on which the clients run too. Arguments choose
//! among the measurements: `start`, `messages`, `idle`, `growth`, `nodes`; none means all. `mongo URI` measures the
//! store on that MongoDB instead, a native `mongod`, in databases that are made for it.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement fails by panicking"
)]

mod client;
mod growth;
mod mongo;
mod nodes;
mod process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_server::metrics::StoreMetrics;
use chat_server::store::sqlite::SqliteStore;
use chat_server::store::{MessageStore as _, Store as _};
use futures_util::StreamExt as _;

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
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    if let [first, redis] = chosen.as_slice()
        && first == nodes::PAIR
    {
        return nodes::be_two(redis).await;
    }
    if let [first, uri] = chosen.as_slice()
        && first == "mongo"
    {
        return mongo::measure(uri).await;
    }
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|choice| choice == name);
    if wanted("start") {
        start().await;
    }
    if wanted("messages") {
        let server = Server::start().await;
        let users = User::register_all(&server.base, 2 * SENDERS).await;
        messages(&server, &users).await;
    }
    if wanted("idle") {
        let server = Server::start().await;
        let users = User::register_all(&server.base, 50).await;
        idle(&server, &users).await;
    }
    if wanted("growth") {
        growth::measure().await;
    }
    if wanted("nodes") {
        nodes::measure().await;
    }
}

async fn start() {
    let mut times = Vec::new();
    for _ in 0..9 {
        times.push(Server::start().await.ready_after);
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    row(
        "server start to ready, median of 9",
        format!("{} ms", median.as_millis()),
        "under 150 ms",
        median < Duration::from_millis(150),
    );
}

/// What a message costs from send to delivery, and how many there are in a second beside the bare store.
async fn messages(server: &Server, users: &[User]) {
    for under_way in [16, 1] {
        let before = bare_store(under_way).await;
        let sent = exchange(server, [&server.base, &server.base], users, under_way).await;
        let bare = (before + bare_store(under_way).await) / 2.0;
        let share = sent.per_second / bare;
        row(
            &format!("server CPU per 100,000 messages, {under_way} under way per sender"),
            format!(
                "{:.2} CPU-s, clients {:.2}",
                sent.cpu.as_secs_f64(),
                sent.clients.as_secs_f64()
            ),
            "at most 2.5 CPU-s",
            sent.cpu <= Duration::from_millis(2500),
        );
        row(
            &format!("durable sends, {SENDERS} senders, {under_way} under way each, of bare store"),
            format!("{:.0}/s of {bare:.0}/s = {:.0} %", sent.per_second, share * 100.0),
            "at least 60 %",
            share >= 0.6,
        );
    }
}

/// What sending cost.
struct Exchanged {
    /// Of the server and of the clients, per 100,000 messages.
    cpu: Duration,
    clients: Duration,
    per_second: f64,
}

/// Every sender sends to a receiver of its own: senders at the first address, receivers at the second.
async fn exchange(server: &Server, at: [&str; 2], users: &[User], under_way: usize) -> Exchanged {
    let (senders, receivers) = users.split_at(SENDERS);
    let mut tasks = Vec::new();
    for receiver in receivers {
        let mut client = Client::connect(at[1], receiver).await;
        tasks.push(tokio::spawn(async move {
            client.receive("42[\"new_message\"", MESSAGES / SENDERS).await;
        }));
    }
    let mut clients = Vec::new();
    for sender in senders {
        clients.push(Client::connect(at[0], sender).await);
    }
    let (cpu, own) = (server.cpu(), process::own_cpu());
    let began = Instant::now();
    for (mut client, receiver) in clients.into_iter().zip(receivers) {
        let to = receiver.id.clone();
        tasks.push(tokio::spawn(async move {
            client.send_all(&to, MESSAGES / SENDERS, under_way).await;
        }));
    }
    for task in tasks {
        task.await.expect("a client");
    }
    let sent = (MESSAGES / SENDERS * SENDERS) as f64;
    let share = 100_000.0 / sent;
    Exchanged {
        per_second: sent / began.elapsed().as_secs_f64(),
        cpu: (server.cpu() - cpu).mul_f64(share),
        clients: (process::own_cpu() - own).mul_f64(share),
    }
}

/// Sends per second of the store alone, with as many producers, each with as many messages under way.
async fn bare_store(under_way: usize) -> f64 {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path(), StoreMetrics::default()).expect("a store");
    let users = growth::users(&*store, 2 * SENDERS).await;
    let ids = Arc::new(chat_server::id::IdSource::new());
    let began = Instant::now();
    let each = MESSAGES / SENDERS / 4;
    let producers = (0..SENDERS).map(|index| {
        let (store, ids, from, to) = (
            store.clone(),
            ids.clone(),
            users[index].clone(),
            users[SENDERS + index].clone(),
        );
        tokio::spawn(async move {
            let numbers = futures_util::stream::iter(0..each);
            let sends = numbers.map(|number| store.send(growth::message(&ids, &from, &to, number)));
            let stored = sends
                .buffered(under_way)
                .filter(|sent| std::future::ready(sent.is_ok()));
            assert_eq!(stored.count().await, each, "all are stored");
        })
    });
    for producer in producers.collect::<Vec<_>>() {
        producer.await.expect("a producer");
    }
    let rate = (each * SENDERS) as f64 / began.elapsed().as_secs_f64();
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
