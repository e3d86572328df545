//! Who is here, as others see it. The clock of these servers stands still, so the grace period ends when the test says so.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::device::Device;
use crate::person::Person;
use crate::server::Server;

/// Longer than the grace period may be by the contract.
const GRACE_OVER: Duration = Duration::from_millis(5_001);
/// Within the grace period of this server.
const WITHIN_GRACE: Duration = Duration::from_millis(1_900);
const TYPING_FOR: Duration = Duration::from_secs(6);

/// Bob watches Ann with one device; they have a chat. Eve has no part in it.
struct Watch {
    server: Server,
    ann: Person,
    bob: Person,
    bobs: Device,
}

impl Watch {
    async fn start() -> Self {
        let server = Server::with_clock(|_| {}).await;
        let (ann, bob) = (server.person("ann").await, server.person("bob").await);
        ann.say(&bob, "hello").await;
        Self {
            bobs: bob.device().await,
            server,
            ann,
            bob,
        }
    }

    /// Ann comes, and Bob hears of it.
    async fn ann_comes(&mut self) -> Device {
        let device = self.ann.device().await;
        self.bob_sees("user_online", "online").await;
        device
    }

    async fn bob_sees(&mut self, event: &str, status: &str) {
        let seen = self.bobs.event(event).await;
        let expected = json!({"userId": self.ann.id, "username": "ann", "status": status});
        assert_eq!(seen, expected);
    }

    /// The device leaves, and the server has noticed; so many sockets are left.
    async fn leaves(&self, device: Device, left: i64) {
        device.leave().await;
        self.server.has_sockets(left).await;
    }

    async fn online(&self) -> Vec<String> {
        let list = self.bob.good(Method::GET, "/api/users/online", Value::Null).await;
        let items = list["items"].as_array().unwrap();
        items
            .iter()
            .map(|user| user["username"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn the_first_device_in_is_told_and_the_second_is_not() {
    let mut watch = Watch::start().await;
    let _first = watch.ann_comes().await;
    let _second = watch.ann.device().await;
    watch.bobs.quiet().await;
    let mut online = watch.online().await;
    online.sort_unstable();
    assert_eq!(online, ["ann", "bob"]);
}

#[tokio::test]
async fn the_last_device_out_is_told_after_the_grace() {
    let mut watch = Watch::start().await;
    let first = watch.ann_comes().await;
    let second = watch.ann.device().await;
    watch.leaves(first, 2).await;
    watch.server.pass(GRACE_OVER).await;
    watch.bobs.quiet().await;
    watch.leaves(second, 1).await;
    watch.server.pass(WITHIN_GRACE).await;
    watch.bobs.quiet().await;
    assert_eq!(watch.ann.seen_by(&watch.bob).await["status"], "online");
    watch.server.pass(GRACE_OVER).await;
    watch.bob_sees("user_offline", "offline").await;
    assert_eq!(watch.ann.seen_by(&watch.bob).await["status"], "offline");
    assert_eq!(watch.online().await, ["bob"]);
    let _again = watch.ann_comes().await;
}

#[tokio::test]
async fn who_is_back_within_the_grace_was_never_away() {
    let mut watch = Watch::start().await;
    let mut device = watch.ann_comes().await;
    for _ in 0..3 {
        watch.leaves(device, 1).await;
        watch.server.pass(WITHIN_GRACE).await;
        device = watch.ann.device().await;
        watch.bobs.quiet().await;
    }
    watch.server.pass(GRACE_OVER).await;
    watch.bobs.quiet().await;
    assert_eq!(watch.ann.seen_by(&watch.bob).await["status"], "online");
    // The grace begins anew with every departure.
    watch.leaves(device, 1).await;
    watch.server.pass(WITHIN_GRACE).await;
    watch.bobs.quiet().await;
    watch.server.pass(GRACE_OVER).await;
    watch.bob_sees("user_offline", "offline").await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_departure_too() {
    let mut watch = Watch::start().await;
    let device = watch.ann_comes().await;
    drop(device);
    watch.server.has_sockets(1).await;
    watch.server.pass(GRACE_OVER).await;
    watch.bob_sees("user_offline", "offline").await;
}

#[tokio::test]
async fn last_seen_begins_with_the_first_connection_and_moves_with_the_departure() {
    let mut watch = Watch::start().await;
    assert_eq!(watch.ann.seen_by(&watch.bob).await["lastSeen"], Value::Null);
    let device = watch.ann_comes().await;
    let came = watch.ann.seen_by(&watch.bob).await["lastSeen"].clone();
    assert!(came.is_string());
    watch.leaves(device, 1).await;
    watch.server.pass(GRACE_OVER).await;
    watch.bob_sees("user_offline", "offline").await;
    let left = watch.ann.seen_by(&watch.bob).await;
    assert!(left["lastSeen"].as_str() >= came.as_str(), "{left}");
    let path = format!("/api/users/{}/status", watch.ann.id);
    let status = watch.bob.good(Method::GET, &path, Value::Null).await;
    assert_eq!(
        status,
        json!({"userId": watch.ann.id, "status": "offline", "lastSeen": left["lastSeen"]})
    );
}

#[tokio::test]
async fn an_invisible_user_looks_like_one_who_is_away_and_leaves_in_silence() {
    let mut watch = Watch::start().await;
    let mut device = watch.ann_comes().await;
    device.done("update_status", json!({"status": "offline"})).await;
    let vanished = watch.bobs.event("user_status_changed").await;
    assert_eq!(
        (&vanished["userId"], &vanished["status"]),
        (&json!(watch.ann.id), &json!("offline"))
    );
    let seen = watch.ann.seen_by(&watch.bob).await;
    assert_eq!(
        (&seen["status"], &seen["lastSeen"]),
        (&json!("offline"), &vanished["lastSeen"])
    );
    assert_eq!(watch.online().await, ["bob"]);
    // She herself still gets everything; her typing is not seen, nor are more devices.
    watch.bob.say(&watch.ann, "are you there?").await;
    device.event("user_status_changed").await;
    device.event("new_message").await;
    watch.bobs.event("new_message").await;
    device
        .done("typing", json!({"to": watch.bob.id, "isTyping": true}))
        .await;
    let second = watch.ann.device().await;
    watch.bobs.quiet().await;
    watch.leaves(device, 2).await;
    watch.leaves(second, 1).await;
    watch.server.pass(GRACE_OVER).await;
    watch.bobs.quiet().await;
    assert_eq!(watch.ann.seen_by(&watch.bob).await, seen, "last seen stands still");
    // The choice ends with the departure.
    let _back = watch.ann_comes().await;
    assert_eq!(watch.ann.seen_by(&watch.bob).await["status"], "online");
}

#[tokio::test]
async fn an_invisible_user_who_is_back_within_the_grace_stays_invisible() {
    let mut watch = Watch::start().await;
    let mut device = watch.ann_comes().await;
    device.done("update_status", json!({"status": "offline"})).await;
    watch.bobs.event("user_status_changed").await;
    watch.leaves(device, 1).await;
    watch.server.pass(WITHIN_GRACE).await;
    let _back = watch.ann.device().await;
    watch.bobs.quiet().await;
    assert_eq!(watch.ann.seen_by(&watch.bob).await["status"], "offline");
}

#[tokio::test]
async fn a_chosen_status_lasts_until_the_user_leaves() {
    let mut watch = Watch::start().await;
    let mut device = watch.ann_comes().await;
    device.done("update_status", json!({"status": "busy"})).await;
    watch.bobs.event("user_status_changed").await;
    assert_eq!(watch.ann.seen_by(&watch.bob).await["status"], "busy");
    watch.leaves(device, 1).await;
    watch.server.pass(WITHIN_GRACE).await;
    let back = watch.ann.device().await;
    assert_eq!(watch.ann.seen_by(&watch.bob).await["status"], "busy");
    watch.leaves(back, 1).await;
    watch.server.pass(GRACE_OVER).await;
    watch.bob_sees("user_offline", "offline").await;
    let _again = watch.ann_comes().await;
}

#[tokio::test]
async fn typing_ends_by_itself_after_six_seconds() {
    let mut watch = Watch::start().await;
    let mut device = watch.ann_comes().await;
    let typing = json!({"to": watch.bob.id, "isTyping": true});
    device.done("typing", typing.clone()).await;
    assert_eq!(watch.bobs.event("typing_status").await["isTyping"], true);
    watch.server.pass(TYPING_FOR - Duration::from_millis(100)).await;
    watch.bobs.quiet().await;
    // Said again, it lasts again.
    device.done("typing", typing).await;
    assert_eq!(watch.bobs.event("typing_status").await["isTyping"], true);
    watch.server.pass(TYPING_FOR - Duration::from_millis(100)).await;
    watch.bobs.quiet().await;
    watch.server.pass(Duration::from_millis(200)).await;
    assert_eq!(watch.bobs.event("typing_status").await["isTyping"], false);
    watch.server.pass(TYPING_FOR).await;
    watch.bobs.quiet().await;
}

#[tokio::test]
async fn typing_that_was_taken_back_is_not_taken_back_twice() {
    let mut watch = Watch::start().await;
    let mut device = watch.ann_comes().await;
    for is_typing in [true, false] {
        device
            .done("typing", json!({"to": watch.bob.id, "isTyping": is_typing}))
            .await;
        assert_eq!(watch.bobs.event("typing_status").await["isTyping"], is_typing);
    }
    watch.server.pass(TYPING_FOR + Duration::from_millis(1)).await;
    watch.bobs.quiet().await;
    watch.leaves(device, 1).await;
    watch.bobs.quiet().await;
}

#[tokio::test]
async fn typing_ends_with_the_connection() {
    let mut watch = Watch::start().await;
    let mut device = watch.ann_comes().await;
    device
        .done("typing", json!({"to": watch.bob.id, "isTyping": true}))
        .await;
    assert_eq!(watch.bobs.event("typing_status").await["isTyping"], true);
    drop(device);
    let end = watch.bobs.event("typing_status").await;
    assert_eq!((&end["from"], &end["isTyping"]), (&json!(watch.ann.id), &json!(false)));
    watch.bobs.quiet().await;
}
