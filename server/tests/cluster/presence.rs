//! Who is here is the same at every node, and is told once.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::deployment::{Deployment, Node};
use crate::device::Device;
use crate::person::Person;

/// A node that dies takes its users with it in so much time.
const GONE_WITHIN: Duration = Duration::from_secs(15);

/// Ann, and Bob with a device at each node who has a chat with her.
struct Watch {
    deployment: Deployment,
    one: Node,
    two: Node,
    ann: Person,
    bob: Person,
    bobs: [Device; 2],
}

impl Watch {
    async fn start() -> Self {
        let (deployment, one, two) = Deployment::of_two().await;
        let (ann, bob) = (one.person("ann").await, one.person("bob").await);
        // First the devices: what is said before they come may still be on its way to the other node when they do.
        let mut bobs = [bob.device().await, bob.at(&two).device().await];
        ann.say(&bob, "hello").await;
        for device in &mut bobs {
            device.hears("hello").await;
        }
        Self {
            deployment,
            one,
            two,
            ann,
            bob,
            bobs,
        }
    }

    /// Both of Bob's devices see this of Ann, next.
    async fn bob_sees(&mut self, event: &str, status: &str) {
        for device in &mut self.bobs {
            assert_eq!(device.sees(event, &self.ann).await["status"], status);
        }
    }

    /// Ann says something from each node; Bob's devices hear nothing before it, so nothing else was told.
    async fn nothing_else(&mut self) {
        for from in [self.ann.at(&self.one), self.ann.at(&self.two)] {
            from.say(&self.bob, "fence").await;
            for device in &mut self.bobs {
                device.hears("fence").await;
            }
        }
    }
}

#[tokio::test]
async fn a_device_at_each_node_is_one_user_who_comes_once_and_goes_once() {
    let mut watch = Watch::start().await;
    let first = watch.ann.device().await;
    watch.bob_sees("user_online", "online").await;
    let mut second = watch.ann.at(&watch.two).device().await;
    watch.nothing_else().await;
    for node in [&watch.one, &watch.two] {
        assert_eq!(watch.bob.at(node).online().await, ["ann", "bob"]);
    }
    first.leave().await;
    // Her other device says something after the grace period of the first node is over: typing is over after 6 s.
    second
        .done("typing", json!({"to": watch.bob.id, "isTyping": true}))
        .await;
    for _ in 0..2 {
        for device in &mut watch.bobs {
            let (name, payload) = loop {
                let event = device.any_event().await;
                if event.0 != "new_message" {
                    break event;
                }
            };
            assert_eq!(name, "typing_status", "{payload}");
        }
    }
    for node in [&watch.one, &watch.two] {
        assert_eq!(watch.bob.at(node).online().await, ["ann", "bob"]);
    }
    second.leave().await;
    watch.bob_sees("user_offline", "offline").await;
    watch.nothing_else().await;
    let seen = [
        watch.bob.at(&watch.one).status_of(&watch.ann).await,
        watch.bob.at(&watch.two).status_of(&watch.ann).await,
    ];
    assert_eq!(seen[0], seen[1]);
    assert_eq!(
        (&seen[0]["status"], seen[0]["lastSeen"].is_string()),
        (&json!("offline"), true)
    );
    assert_eq!(watch.bob.at(&watch.two).online().await, ["bob"]);
}

#[tokio::test]
async fn who_moves_to_the_other_node_was_never_away() {
    let mut watch = Watch::start().await;
    let mut device = watch.ann.device().await;
    watch.bob_sees("user_online", "online").await;
    for turn in 0..4 {
        let node = if turn % 2 == 0 { &watch.two } else { &watch.one };
        device.leave().await;
        device = watch.ann.at(node).device().await;
    }
    watch.nothing_else().await;
    device.leave().await;
    watch.bob_sees("user_offline", "offline").await;
}

#[tokio::test]
async fn a_status_is_the_same_at_both_nodes_and_the_last_one_holds() {
    let mut watch = Watch::start().await;
    let mut here = watch.ann.device().await;
    watch.bob_sees("user_online", "online").await;
    let mut there = watch.ann.at(&watch.two).device().await;
    for (device, status) in [(0, "away"), (1, "busy"), (0, "online"), (1, "away")] {
        let changing = if device == 0 { &mut here } else { &mut there };
        changing.done("update_status", json!({"status": status})).await;
        watch.bob_sees("user_status_changed", status).await;
        for own in [&mut here, &mut there] {
            assert_eq!(own.event("user_status_changed").await["status"], status);
        }
        for node in [&watch.one, &watch.two] {
            assert_eq!(watch.bob.at(node).status_of(&watch.ann).await["status"], status);
        }
    }
    // Invisible at one node is invisible at both, and leaves in silence.
    here.done("update_status", json!({"status": "offline"})).await;
    watch.bob_sees("user_status_changed", "offline").await;
    for node in [&watch.one, &watch.two] {
        assert_eq!(watch.bob.at(node).online().await, ["bob"]);
    }
    there.event("user_status_changed").await;
    let typing = json!({"to": watch.bob.id, "isTyping": true});
    there.done("typing", typing).await;
    watch.nothing_else().await;
}

#[tokio::test]
async fn users_of_a_node_that_dies_are_offline_in_time_and_it_is_told_once() {
    let mut watch = Watch::start().await;
    let carol = watch.one.person("carol").await;
    carol.say(&watch.bob, "hello").await;
    for device in &mut watch.bobs {
        device.hears("hello").await;
    }
    let third = watch.deployment.node().await;
    let mut anns = watch.ann.at(&third).device().await;
    watch.bob_sees("user_online", "online").await;
    // Carol has a device at another node too.
    let (_dying, _living) = (carol.at(&third).device().await, carol.at(&watch.two).device().await);
    for device in &mut watch.bobs {
        device.sees("user_online", &carol).await;
    }
    let typing = json!({"to": watch.bob.id, "isTyping": true});
    anns.done("typing", typing).await;
    for device in &mut watch.bobs {
        assert_eq!(device.event("typing_status").await["isTyping"], true);
    }
    let died = Instant::now();
    third.vanish();
    // Nobody takes her typing back, so the nodes of those who saw it do.
    for device in &mut watch.bobs {
        assert_eq!(device.event("typing_status").await["isTyping"], false);
    }
    watch.bob_sees("user_offline", "offline").await;
    let took = died.elapsed();
    println!("offline {took:?} after the node died");
    assert!(took < GONE_WITHIN, "{took:?}");
    watch.nothing_else().await;
    for node in [&watch.one, &watch.two] {
        assert_eq!(watch.bob.at(node).online().await, ["bob", "carol"]);
        let seen = watch.bob.at(node).status_of(&watch.ann).await;
        assert!(seen["lastSeen"].is_string(), "{seen}");
    }
    // And comes back as anybody does.
    let _back = watch.ann.device().await;
    watch.bob_sees("user_online", "online").await;
}

#[tokio::test]
async fn a_node_that_starts_knows_at_once_who_is_here() {
    let mut watch = Watch::start().await;
    let mut device = watch.ann.device().await;
    watch.bob_sees("user_online", "online").await;
    device.done("update_status", json!({"status": "busy"})).await;
    let third = watch.deployment.node().await;
    assert_eq!(watch.bob.at(&third).online().await, ["ann", "bob"]);
    assert_eq!(watch.bob.at(&third).status_of(&watch.ann).await["status"], "busy");
}

#[tokio::test]
async fn who_comes_back_elsewhere_when_a_node_ends_was_never_away() {
    let mut watch = Watch::start().await;
    let carol = watch.one.person("carol").await;
    carol.say(&watch.bob, "hello").await;
    for device in &mut watch.bobs {
        device.hears("hello").await;
    }
    let third = watch.deployment.node().await;
    let (mut anns, mut carols) = (watch.ann.at(&third).device().await, carol.at(&third).device().await);
    watch.bob_sees("user_online", "online").await;
    for device in &mut watch.bobs {
        device.sees("user_online", &carol).await;
    }
    third.stop().await;
    anns.ends().await;
    carols.ends().await;
    let _back = watch.ann.device().await;
    // Carol stays away, and of the two only she is told of.
    for device in &mut watch.bobs {
        device.sees("user_offline", &carol).await;
    }
    watch.nothing_else().await;
    assert_eq!(watch.bob.at(&watch.two).online().await, ["ann", "bob"]);
}
