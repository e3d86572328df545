//! Engine.IO, version 4: the cases of the protocol's document.
//!
//! One deviation is known and kept: the library sends the first PING at once instead of after `pingInterval`. Clients answer
//! a PING whenever it comes, so none is troubled by it; [`the_first_ping_comes_at_once`] holds it as it is, and must be turned
//! around when the library changes.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::polling::{Polling, SEPARATOR, request};
use crate::server::Server;
use crate::wire::Wire;

const PING_INTERVAL: Duration = Duration::from_millis(25_000);
const PING_TIMEOUT: Duration = Duration::from_millis(20_000);

fn check_open(open: &Value, upgrades: Value) {
    assert!(open["sid"].as_str().is_some_and(|sid| !sid.is_empty()), "{open}");
    assert_eq!(open["upgrades"], upgrades);
    assert_eq!(open["pingInterval"], 25_000);
    assert_eq!(open["pingTimeout"], 20_000);
    assert!(
        open["maxPayload"].as_u64().is_some_and(|bytes| bytes >= 1_000_000),
        "{open}"
    );
}

#[tokio::test]
async fn polling_opens_a_session_and_offers_the_upgrade() {
    let server = Server::start().await;
    check_open(&Polling::open(server.address).await.open, json!(["websocket"]));
}

#[tokio::test]
async fn a_websocket_opens_a_session() {
    let server = Server::start().await;
    let mut wire = Wire::open(server.address).await;
    let open = wire.next().await.unwrap();
    check_open(&serde_json::from_str(&open[1..]).unwrap(), json!([]));
}

#[tokio::test]
async fn a_handshake_with_a_bad_query_is_refused_on_both_transports() {
    let server = Server::start().await;
    for query in [
        "transport=polling",
        "EIO=abc&transport=polling",
        "EIO=3&transport=polling",
        "EIO=5&transport=polling",
        "EIO=&transport=polling",
        "EIO=4",
        "EIO=4&transport=",
        "EIO=4&transport=abc",
        "EIO=4&transport=polling&sid=",
        "EIO=4&transport=polling&sid=abc",
        "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA",
        "",
    ] {
        let (status, body) = request(server.address, Method::GET, query, "").await;
        assert_eq!(status, 400, "{query}: {body}");
        let over_websocket = Wire::ask(server.address, &query.replace("polling", "abc")).await;
        assert!(over_websocket.is_err(), "{query}");
    }
    for query in [
        "transport=websocket",
        "EIO=abc&transport=websocket",
        "EIO=4&transport=websocket&sid=abc",
    ] {
        assert!(Wire::ask(server.address, query).await.is_err(), "{query}");
    }
    // A session id of the right form that nobody has: refused at the handshake, or closed without a packet.
    if let Ok(mut wire) = Wire::ask(server.address, "EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA").await {
        assert_eq!(wire.next().await, None);
    }
}

#[tokio::test]
async fn a_session_is_opened_by_get_alone() {
    let server = Server::start().await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let (status, _) = request(server.address, method.clone(), "EIO=4&transport=polling", "").await;
        assert_eq!(status, 400, "{method}");
    }
}

#[tokio::test]
async fn one_post_carries_several_packets_which_are_done_in_order() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut polling = Polling::open(server.address).await;
    let packets = [
        format!("40{}", json!({"token": ann.access})),
        r#"420["no_such_event",{}]"#.into(),
        r#"421["typing",{"to":"x"}]"#.into(),
    ];
    assert_eq!(polling.post(packets[0].clone()).await, (200, "ok".into()));
    assert!(polling.message().await.starts_with("40{"));
    assert!(polling.message().await.starts_with(r#"42["authenticated","#));
    assert_eq!(polling.post(packets[1..].join(SEPARATOR)).await, (200, "ok".into()));
    assert!(polling.message().await.starts_with(r#"430[{"ok":false"#));
    assert!(polling.message().await.starts_with(r#"431[{"ok":false"#));
}

#[tokio::test]
async fn binary_travels_as_base64_in_a_post() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut polling = Polling::open(server.address).await;
    polling.post(format!("40{}", json!({"token": ann.access}))).await;
    assert!(polling.message().await.starts_with("40{"));
    assert!(polling.message().await.starts_with(r#"42["authenticated","#));
    let event = r#"451-7["typing",{"to":{"_placeholder":true,"num":0}}]"#;
    assert_eq!(polling.post([event, "bAQIDBA=="].join(SEPARATOR)).await.0, 200);
    let ack = polling.message().await;
    assert!(ack.starts_with("437[") && ack.contains("VALIDATION_ERROR"), "{ack}");
}

#[tokio::test]
async fn a_post_that_is_no_packet_ends_the_session() {
    let server = Server::start().await;
    for body in ["abc", "9", "2\u{1e}x", "b!!!", "\u{1e}"] {
        let polling = Polling::open(server.address).await;
        assert_eq!(polling.post(body).await.0, 400, "{body:?}");
        assert_eq!(polling.get().await.0, 400, "{body:?}");
        assert_eq!(polling.post("3").await.0, 400, "{body:?}");
    }
}

#[tokio::test]
async fn a_frame_that_is_no_packet_ends_the_session() {
    let server = Server::start().await;
    for frame in ["abc", "", "9", "0", "é"] {
        let mut wire = Wire::open(server.address).await;
        wire.next().await.unwrap();
        wire.send(frame).await;
        wire.closed().await;
    }
}

#[tokio::test]
async fn a_second_poll_at_the_same_time_ends_the_session() {
    let server = Server::start().await;
    let mut polling = Polling::open(server.address).await;
    assert_eq!(polling.next().await, "2");
    let (first, second) = tokio::join!(polling.get(), polling.get());
    assert_eq!([first.0, second.0].iter().filter(|status| **status == 400).count(), 1);
    assert_eq!(polling.get().await.0, 400);
}

#[tokio::test]
async fn posts_at_the_same_time_as_a_poll_lose_nothing() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut polling = Polling::open(server.address).await;
    polling.post(format!("40{}", json!({"token": ann.access}))).await;
    assert!(polling.message().await.starts_with("40{"));
    assert!(polling.message().await.starts_with(r#"42["authenticated","#));
    let poster = polling.clone();
    let posts = async {
        let posts = (0..40).map(|n| {
            let poster = poster.clone();
            tokio::spawn(async move { poster.post(format!(r#"42{n}["no_such_event",{{}}]"#)).await })
        });
        for post in posts.collect::<Vec<_>>() {
            assert_eq!(post.await.unwrap(), (200, "ok".into()));
        }
    };
    let acks = async {
        let mut ids = Vec::new();
        while ids.len() < 40 {
            let ack = polling.message().await;
            let id = ack.strip_prefix("43").unwrap().split('[').next().unwrap();
            ids.push(id.parse::<u32>().unwrap());
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..40).collect::<Vec<_>>());
    };
    tokio::join!(posts, acks);
}

#[tokio::test]
async fn a_post_beyond_the_announced_size_is_refused() {
    let server = Server::start().await;
    let polling = Polling::open(server.address).await;
    let most = polling.open["maxPayload"].as_u64().unwrap() as usize;
    assert_eq!(polling.post(format!("4{}", "x".repeat(most + 1))).await.0, 413);
}

#[tokio::test]
async fn the_first_ping_comes_at_once() {
    let server = Server::with_clock(|_| {}).await;
    let mut wire = Wire::open(server.address).await;
    assert!(wire.next().await.unwrap().starts_with('0'));
    assert_eq!(wire.next().await.as_deref(), Some("2"));
    let mut polling = Polling::open(server.address).await;
    assert_eq!(polling.next().await, "2");
}

#[tokio::test]
async fn pings_come_by_the_interval_as_long_as_they_are_answered() {
    let server = Server::with_clock(|_| {}).await;
    let ann = server.person("ann").await;
    let mut device = ann.device().await;
    let mut polling = Polling::open(server.address).await;
    polling.post(format!("40{}", json!({"token": ann.access}))).await;
    assert!(polling.message().await.starts_with("40{"));
    assert!(polling.message().await.starts_with(r#"42["authenticated","#));
    for _ in 0..4 {
        // An answer to an event is behind every pong that was sent before.
        device.quiet().await;
        server.pass(PING_INTERVAL).await;
        assert_eq!(device.wire.next().await.as_deref(), Some("2"));
        device.wire.send("3").await;
        assert_eq!(polling.next().await, "2");
        assert_eq!(polling.post("3").await.0, 200);
    }
}

#[tokio::test]
async fn who_does_not_answer_the_ping_is_closed() {
    let server = Server::with_clock(|_| {}).await;
    // Whoever does not connect and say who they are is closed sooner.
    let connect = format!("40{}", json!({"token": server.person("ann").await.access}));
    let mut wire = Wire::open(server.address).await;
    wire.send(&connect).await;
    let mut polling = Polling::open(server.address).await;
    polling.post(connect).await;
    let (mut of_wire, mut of_polling) = (Vec::new(), Vec::new());
    // The opening, a PING that is not answered, the answer to CONNECT, and `authenticated`.
    while of_wire.len() < 4 {
        of_wire.push(wire.next().await.unwrap());
    }
    while of_polling.len() < 3 {
        of_polling.push(polling.next().await);
    }
    for packets in [&of_wire, &of_polling] {
        assert!(packets.iter().any(|packet| packet == "2"), "{packets:?}");
        let admitted = |packet: &String| packet.starts_with(r#"42["authenticated","#);
        assert!(packets.iter().any(admitted), "{packets:?}");
    }
    server.pass(PING_TIMEOUT + Duration::from_millis(1)).await;
    wire.closed().await;
    assert_eq!(polling.get().await.0, 400);
}

#[tokio::test]
async fn a_close_packet_ends_a_polling_session_and_its_waiting_poll() {
    let server = Server::start().await;
    let mut polling = Polling::open(server.address).await;
    assert_eq!(polling.next().await, "2");
    let (poll, post) = tokio::join!(polling.get(), polling.post("1"));
    assert_eq!(poll, (200, "6".into()));
    assert_eq!(post, (200, "ok".into()));
    assert_eq!(polling.get().await.0, 400);
}

#[tokio::test]
async fn a_close_packet_ends_a_websocket_session() {
    let server = Server::start().await;
    let mut wire = Wire::open(server.address).await;
    wire.next().await.unwrap();
    wire.send("1").await;
    wire.closed().await;
}

#[tokio::test]
async fn a_polling_session_moves_to_a_websocket_with_all_that_it_has() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut polling = Polling::open(server.address).await;
    polling.post(format!("40{}", json!({"token": ann.access}))).await;
    assert!(polling.message().await.starts_with("40{"));
    assert!(polling.message().await.starts_with(r#"42["authenticated","#));

    let query = format!("EIO=4&transport=websocket&sid={}", polling.sid);
    let mut wire = Wire::ask(server.address, &query).await.unwrap();
    let probe = async {
        wire.send("2probe").await;
        assert_eq!(wire.next().await.as_deref(), Some("3probe"));
    };
    let (poll, ()) = tokio::join!(polling.get(), probe);
    assert_eq!(poll, (200, "6".into()));
    wire.send("5").await;
    // Still the socket that authenticated over polling.
    wire.send(r#"423["no_such_event",{}]"#).await;
    let ack = wire.message().await.unwrap();
    assert!(ack.starts_with("433[") && ack.contains("UNKNOWN_EVENT"), "{ack}");

    assert_eq!(polling.get().await.0, 400, "polling is over");
    assert_eq!(polling.post("3").await.0, 400, "polling is over");
    if let Ok(mut second) = Wire::ask(server.address, &query).await {
        assert_eq!(second.next().await, None, "there is one websocket to a session");
    }
    wire.send(r#"424["no_such_event",{}]"#).await;
    assert!(
        wire.message().await.unwrap().starts_with("434["),
        "and the first one lives on"
    );
}
