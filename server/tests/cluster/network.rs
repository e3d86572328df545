//! The network between one node and Redis fails, while the other node's is well.

use std::time::Duration;

use chat_server::config::Secret;
use chat_testcontainers::Proxy;
use reqwest::Method;
use serde_json::{Value, json};

use crate::deployment::{Deployment, Node};
use crate::device::Device;
use crate::faults::{HEALED_WITHIN, crosses_after, rest};
use crate::person::Person;

const ROUNDS: usize = 5;
/// A beat, which is lost once in a while, and a second more than the time without one that counts as broken.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

/// Ann at a node whose network is well, Bob at one behind a bad network.
struct Line {
    _deployment: Deployment,
    _one: Node,
    two: Node,
    network: Proxy,
    ann: Person,
    bob: Person,
    anns: Device,
    bobs: Device,
}

impl Line {
    async fn start() -> Self {
        let deployment = Deployment::start().await;
        let network = Proxy::start(deployment.redis.address()).await.unwrap();
        let through = deployment.redis.url_through(network.address());
        let one = deployment.node().await;
        let behind = |config: &mut chat_server::config::Config| {
            config.redis.as_mut().unwrap().url = Secret(through);
        };
        let two = deployment.node_with(behind).await;
        let (ann, bob) = (one.person("ann").await, two.person("bob").await);
        let (anns, bobs) = (ann.device().await, bob.device().await);
        // What is told before the network fails has arrived.
        ann.sees_online(&["ann", "bob"]).await;
        bob.sees_online(&["ann", "bob"]).await;
        Self {
            anns,
            bobs,
            _deployment: deployment,
            _one: one,
            two,
            network,
            ann,
            bob,
        }
    }

    /// What Ann says reaches Bob again in time, and then everything does, in order and once.
    async fn heals(&mut self, mark: &str) -> Duration {
        let took = crosses_after(&mut self.anns, &self.bob, &mut self.bobs, mark).await;
        assert!(took < HEALED_WITHIN, "{mark}: {took:?}");
        self.ann.say(&self.bob, &format!("{mark} fence")).await;
        self.anns.hears(&format!("{mark} fence")).await;
        rest(&mut self.bobs, mark, &format!("{mark} fence")).await;
        took
    }

    /// Bob's node serves itself all the while.
    async fn serves_itself(&mut self, round: usize) {
        let mut second = self.bob.device().await;
        let carol = self.two.person(&format!("carol{round}")).await;
        carol.say(&self.bob, "near").await;
        second.hears("near").await;
        while self.bobs.event("new_message").await["content"] != "near" {}
    }
}

#[tokio::test]
async fn connections_that_are_reset_are_made_again() {
    let mut line = Line::start().await;
    for round in 0..ROUNDS {
        line.network.reset();
        let took = line.heals(&format!("reset {round}")).await;
        println!("back {took:?} after a reset");
    }
}

#[tokio::test]
async fn a_network_that_is_cut_and_healed() {
    let mut line = Line::start().await;
    for round in 0..ROUNDS {
        line.network.cut();
        assert!(line.two.degraded(json!(["redis"])).await < NOTICED_WITHIN);
        line.serves_itself(round).await;
        let missed = line.anns.sends(&line.bob, &format!("cut {round}, missed")).await;
        line.network.heal();
        let took = line.heals(&format!("cut {round}")).await;
        println!("back {took:?} after a cut");
        let path = format!("/api/messages/conversation/{}?limit=100", line.ann.id);
        let history = line.bob.good(Method::GET, &path, Value::Null).await;
        let found = history["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["id"] == missed);
        assert_eq!(found.count(), 1);
    }
}

#[tokio::test]
async fn a_network_that_swallows_everything_and_is_healed() {
    let mut line = Line::start().await;
    for round in 0..2 {
        line.network.half_open();
        assert!(line.two.degraded(json!(["redis"])).await < NOTICED_WITHIN);
        line.serves_itself(round).await;
        line.network.heal();
        let took = line.heals(&format!("silence {round}")).await;
        println!("back {took:?} after a silence");
    }
}

#[tokio::test]
async fn a_slow_network_delays_what_crosses_and_nothing_else() {
    let mut line = Line::start().await;
    line.network.delay(Duration::from_millis(100));
    for number in 0..100 {
        line.anns.sends(&line.bob, &format!("slow {number}")).await;
    }
    for number in 0..100 {
        line.bobs.hears(&format!("slow {number}")).await;
    }
    line.bobs.sends(&line.ann, "and back").await;
    line.anns.hears("and back").await;
    assert_eq!(line.two.ready().await, (200, json!([])));
}
