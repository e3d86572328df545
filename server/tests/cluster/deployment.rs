//! Nodes in this process that share a store, each on a port and in a runtime of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_server::app::App;
use chat_server::config::{Config, RedisConfig, Secret};
use chat_server::metrics::StoreMetrics;
use chat_server::serve::{Listeners, serve};
use chat_server::store::Store;
use chat_server::store::sqlite::SqliteStore;
use chat_testcontainers::{Redis, unique_name};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::config;
use crate::device::Device;
use crate::person::Person;
use crate::wire::PATIENCE;

/// One deployment: its Redis, its store.
pub(crate) struct Deployment {
    pub(crate) redis: Redis,
    prefix: String,
    store: Arc<dyn Store>,
    dir: TempDir,
}

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    runtime: Option<Runtime>,
}

impl Deployment {
    /// On the Redis that all tests share.
    pub(crate) async fn start() -> Self {
        Self::on(Redis::shared().await.unwrap())
    }

    /// On a Redis of its own, which may be killed and paused.
    pub(crate) async fn apart() -> Self {
        Self::on(Redis::start().await.unwrap())
    }

    fn on(redis: Redis) -> Self {
        let dir = TempDir::new().unwrap();
        Self {
            redis,
            prefix: unique_name("nodes"),
            store: SqliteStore::open(dir.path(), StoreMetrics::default()).unwrap(),
            dir,
        }
    }

    /// With two nodes and without limits.
    pub(crate) async fn of_two() -> (Self, Node, Node) {
        Self::start().await.with_two().await
    }

    /// As [`Self::of_two`], on a Redis of its own.
    pub(crate) async fn of_two_apart() -> (Self, Node, Node) {
        Self::apart().await.with_two().await
    }

    async fn with_two(self) -> (Self, Node, Node) {
        let deployment = self;
        let (one, two) = (deployment.node().await, deployment.node().await);
        (deployment, one, two)
    }

    pub(crate) async fn node(&self) -> Node {
        self.node_with(|_| {}).await
    }

    pub(crate) async fn node_with(&self, change: impl FnOnce(&mut Config)) -> Node {
        let mut config = self.config();
        change(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let store = self.store.clone();
        let (app, listeners) = runtime
            .spawn(async move {
                let app = App::with_store(config, store).await.unwrap();
                let listeners = Listeners::bind(&app.config).await.unwrap();
                (app, listeners)
            })
            .await
            .unwrap();
        let address = listeners.address().unwrap();
        runtime.spawn(serve(app.clone(), listeners, std::future::pending()));
        Node {
            address,
            app,
            runtime: Some(runtime),
        }
    }

    /// The deployment's, without limits.
    pub(crate) fn config(&self) -> Config {
        Config {
            redis: Some(RedisConfig {
                url: Secret(self.redis.url()),
                prefix: self.prefix.clone(),
            }),
            ..config::of_tests(self.dir.path())
        }
    }
}

impl Node {
    pub(crate) async fn person(&self, name: &str) -> Person {
        Person::register(self.address, name).await
    }

    /// Ends at once and says nothing to anybody.
    pub(crate) fn vanish(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    /// Ends in order, but for the store, which the other nodes of these tests still use.
    pub(crate) async fn stop(mut self) {
        let app = self.app.clone();
        app.drain();
        let runtime = self.runtime.take().unwrap();
        runtime.spawn(async move { app.depart().await }).await.unwrap();
        runtime.shutdown_background();
    }

    /// `/ready`: its status, and what is degraded.
    pub(crate) async fn ready(&self) -> (u16, Value) {
        let answer = reqwest::get(format!("http://{}/ready", self.address)).await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        (status, body["degraded"].clone())
    }

    /// Waits until `/ready` says that this is degraded; it is 200 all the while. How long that took.
    pub(crate) async fn degraded(&self, expected: Value) -> Duration {
        let began = Instant::now();
        loop {
            let (status, degraded) = self.ready().await;
            assert_eq!(status, 200);
            if degraded == expected {
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "never {expected}, but {degraded}");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Person {
    /// The same person in the same session, who talks to this node from now on.
    pub(crate) fn at(&self, node: &Node) -> Self {
        let mut there = self.clone();
        there.address = node.address;
        there
    }

    /// What this person sees of the other's presence.
    pub(crate) async fn status_of(&self, other: &Person) -> Value {
        let path = format!("/api/users/{}/status", other.id);
        self.good(Method::GET, &path, Value::Null).await
    }

    /// Names of the users who are online, in alphabetical order.
    pub(crate) async fn online(&self) -> Vec<String> {
        let list = self.good(Method::GET, "/api/users/online", Value::Null).await;
        let names = list["items"].as_array().unwrap().iter();
        let mut names: Vec<_> = names
            .map(|user| user["username"].as_str().unwrap().to_owned())
            .collect();
        names.sort_unstable();
        names
    }

    /// Waits until these are online, as this person's node sees it. How long that took.
    pub(crate) async fn sees_online(&self, names: &[&str]) -> Duration {
        let began = Instant::now();
        loop {
            let online = self.online().await;
            if online == names {
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "never {names:?}, but {online:?}");
        }
    }
}

impl Device {
    /// Sends over this socket; the message's id.
    pub(crate) async fn sends(&mut self, to: &Person, content: &str) -> String {
        let ack = self
            .done("send_message", json!({"to": to.id, "content": content}))
            .await;
        self.event("message_sent").await;
        ack["messageId"].as_str().unwrap().to_owned()
    }

    /// The next event is a message with this content.
    pub(crate) async fn hears(&mut self, content: &str) {
        let message = self.event("new_message").await;
        assert_eq!(message["content"], content);
    }

    /// The next event is about this person's presence.
    pub(crate) async fn sees(&mut self, event: &str, of: &Person) -> Value {
        let seen = self.event(event).await;
        assert_eq!(seen["userId"], of.id, "{seen}");
        seen
    }
}
