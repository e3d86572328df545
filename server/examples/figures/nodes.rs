//! Two nodes of one deployment, joined by a real Redis: what it costs when sender and receiver are at different ones.
//!
//! Both nodes run in one process of their own, so that they can share an embedded store; its processor time is that of both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_server::app::App;
use chat_server::config::{Config, LogLevel, RedisConfig, Secret, TokenConfig};
use chat_server::metrics::StoreMetrics;
use chat_server::serve::{Listeners, serve};
use chat_server::store::Store;
use chat_server::store::sqlite::SqliteStore;
use chat_testcontainers::{Backend, Redis};

use super::client::{Client, User};
use super::process::Server;
use super::{SENDERS, exchange, row};

/// The argument that makes this program the two nodes.
pub(crate) const PAIR: &str = "be-two-nodes";
/// Senders of the run whose latency is measured, the pause between two messages of each, and how many each sends: 1,000 a
/// second for ten seconds.
const PACED: usize = 20;
const PAUSE: Duration = Duration::from_millis(20);
const EACH: usize = 500;

/// Serves as two nodes, for ever.
pub(crate) async fn be_two(redis: &str) {
    let data = tempfile::tempdir().expect("a directory");
    let store: Arc<dyn Store> = SqliteStore::open(data.path(), StoreMetrics::default()).expect("a store");
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let config = config(redis, data.path());
        let app = App::with_store(config, store.clone()).await.expect("a node");
        let listeners = Listeners::bind(&app.config).await.expect("a port");
        addresses.push(format!("http://{}", listeners.address().expect("an address")));
        tokio::spawn(serve(app, listeners, std::future::pending()));
    }
    println!("listening on {}", addresses.join(" "));
    std::future::pending::<()>().await;
}

pub(crate) async fn measure() {
    let redis = Redis::start_on(Backend::Native).await.expect("a Redis");
    let alone = Server::start().await;
    let users = User::register_all(&alone.base, 2 * SENDERS).await;
    let one = exchange(&alone, [&alone.base, &alone.base], &users, 16).await;
    drop(alone);

    let pair = Server::pair(&redis.url());
    let (here, there) = pair.base.split_once(' ').expect("two nodes");
    let users = User::register_all(here, 2 * SENDERS).await;
    let crossing = exchange(&pair, [here, there], &users, 16).await;
    let staying = exchange(&pair, [here, here], &users, 16).await;
    let ratio = crossing.cpu.as_secs_f64() / one.cpu.as_secs_f64();
    row(
        "CPU per 100,000 messages across two nodes, of one node's",
        format!(
            "{:.2} of {:.2} CPU-s = {ratio:.2}×",
            crossing.cpu.as_secs_f64(),
            one.cpu.as_secs_f64()
        ),
        "at most 2×",
        ratio <= 2.0,
    );
    println!(
        "  both at one of the two nodes: {:.2} CPU-s; across {:.0}/s, alone {:.0}/s",
        staying.cpu.as_secs_f64(),
        crossing.per_second,
        one.per_second
    );

    let mut added = paced(here, there, &users).await;
    added.sort_unstable();
    let at = |share: f64| added[(added.len() as f64 * share) as usize].as_secs_f64() * 1000.0;
    row(
        "latency that another node adds, 1,000 messages/s, p99",
        format!("{:.2} ms (p50 {:.2} ms)", at(0.99), at(0.5)),
        "at most 3 ms",
        at(0.99) <= 3.0,
    );
}

/// Every receiver has a device at each node; how much later each message came to the one at the other node.
async fn paced(here: &str, there: &str, users: &[User]) -> Vec<Duration> {
    let (mut near, mut far, mut senders) = (Vec::new(), Vec::new(), Vec::new());
    for (sender, receiver) in users.iter().zip(&users[SENDERS..]).take(PACED) {
        for (base, arrivals) in [(here, &mut near), (there, &mut far)] {
            let mut client = Client::connect(base, receiver).await;
            arrivals.push(tokio::spawn(async move {
                client.arrivals("42[\"new_message\"", EACH).await
            }));
        }
        senders.push((Client::connect(here, sender).await, receiver.id.clone()));
    }
    // One after the other, or all would send in the same moment.
    let sending = senders.into_iter().zip(0u32..).map(|((mut client, to), turn)| {
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE * turn / PACED as u32).await;
            client.send_paced(&to, EACH, PAUSE).await;
        })
    });
    for sender in sending.collect::<Vec<_>>() {
        sender.await.expect("a sender");
    }
    let mut added = Vec::new();
    for (near, far) in near.into_iter().zip(far) {
        let (near, far): (Vec<Instant>, Vec<Instant>) = (near.await.expect("arrivals"), far.await.expect("arrivals"));
        added.extend(
            near.into_iter()
                .zip(far)
                .map(|(near, far)| far.saturating_duration_since(near)),
        );
    }
    added
}

fn config(redis: &str, data: &std::path::Path) -> Config {
    let token = |secret: &str| TokenConfig {
        secret: Secret(secret.into()),
        lifetime: Duration::from_secs(7200),
    };
    let access = token("signs the access tokens of these figures");
    let refresh = token("signs the refresh tokens of these figures");
    Config {
        redis: Some(RedisConfig {
            url: Secret(redis.into()),
            prefix: "figures".into(),
        }),
        log_level: LogLevel::Warn,
        ..Config::embedded(data, access, refresh)
    }
}
