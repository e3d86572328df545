//! Socket.IO, version 5: the cases of the protocol's document, with this server's events.

use std::time::Duration;

use serde_json::{Value, json};

use crate::server::Server;
use crate::wire::Wire;

/// A websocket whose session is open.
async fn open(server: &Server) -> Wire {
    let mut wire = Wire::open(server.address).await;
    assert!(wire.message().await.unwrap().starts_with("0{"));
    wire
}

#[tokio::test]
async fn the_main_namespace_answers_with_the_id_of_the_socket() {
    let server = Server::start().await;
    for connect in ["40", "40{}", "40/,", "40/,{}"] {
        let mut wire = open(&server).await;
        wire.send(connect).await;
        let answer = wire.message().await.unwrap();
        let answer: Value = serde_json::from_str(answer.strip_prefix("40").unwrap()).unwrap();
        assert!(
            answer["sid"].as_str().is_some_and(|sid| !sid.is_empty()),
            "{connect}: {answer}"
        );
    }
}

#[tokio::test]
async fn an_unknown_namespace_is_refused_and_the_connection_goes_on() {
    let server = Server::start().await;
    let mut wire = open(&server).await;
    for namespace in ["/random", "/admin", "/a/b", "/é"] {
        wire.send(format!("40{namespace},{{\"token\":\"x\"}}")).await;
        let answer = wire.message().await.unwrap();
        assert_eq!(answer, format!(r#"44{namespace},{{"message":"Invalid namespace"}}"#));
    }
    // Events to a namespace that was refused go nowhere.
    wire.send(r#"42/random,1["typing",{}]"#).await;
    wire.send("40").await;
    assert!(wire.message().await.unwrap().starts_with("40{"));
}

#[tokio::test]
async fn who_connects_to_no_namespace_is_closed_after_fifteen_seconds() {
    let server = Server::with_clock(|_| {}).await;
    let mut wire = Wire::open(server.address).await;
    assert!(wire.next().await.unwrap().starts_with('0'));
    assert_eq!(wire.next().await.as_deref(), Some("2"));
    wire.send("3").await;
    wire.send("40/fence,").await;
    assert!(wire.next().await.unwrap().starts_with("44/fence,"));
    server.pass(Duration::from_millis(14_900)).await;
    wire.send("40/fence,").await;
    assert!(wire.next().await.unwrap().starts_with("44/fence,"));
    server.pass(Duration::from_millis(200)).await;
    wire.closed().await;
}

#[tokio::test]
async fn a_packet_before_the_connect_packet_ends_the_connection() {
    let server = Server::start().await;
    let mut wire = open(&server).await;
    wire.send(r#"421["typing",{}]"#).await;
    wire.closed().await;
}

#[tokio::test]
async fn leaving_the_namespace_ends_the_socket_and_keeps_the_connection() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut device = ann.device().await;
    server.has_sockets(1).await;
    device.wire.send("41").await;
    server.has_sockets(0).await;
    device.wire.send(format!("40{}", json!({"token": ann.access}))).await;
    assert!(
        device.wire.message().await.unwrap().starts_with("40{"),
        "it may come back"
    );
    device.event("authenticated").await;
    device.quiet().await;
}

#[tokio::test]
async fn an_event_with_an_id_is_acknowledged_under_that_id() {
    let server = Server::start().await;
    let mut wire = server.person("ann").await.device().await.wire;
    for id in [0_u64, 1, 7, 1_000_000, 9_007_199_254_740_991] {
        wire.send(format!(r#"42{id}["no_such_event",{{}}]"#)).await;
        let ack = wire.message().await.unwrap();
        assert!(ack.starts_with(&format!(r#"43{id}[{{"ok":false"#)), "{ack}");
        // The namespace may be named.
        wire.send(format!(r#"42/,{id}["no_such_event",{{}}]"#)).await;
        let ack = wire.message().await.unwrap();
        assert!(ack.starts_with(&format!(r#"43{id}[{{"ok":false"#)), "{ack}");
    }
}

#[tokio::test]
async fn a_binary_event_waits_for_its_attachments_and_is_acknowledged() {
    let server = Server::start().await;
    let mut device = server.person("ann").await.device().await;
    let wire = &mut device.wire;
    wire.send(r#"452-5["typing",{"to":{"_placeholder":true,"num":0},"isTyping":{"_placeholder":true,"num":1}}]"#)
        .await;
    wire.send_binary([1, 2, 3]).await;
    wire.send_binary([]).await;
    let ack = wire.message().await.unwrap();
    assert!(ack.starts_with("435[") && ack.contains("VALIDATION_ERROR"), "{ack}");
    // Without an id the failure is an event.
    wire.send(r#"451-["send_message",{"_placeholder":true,"num":0}]"#).await;
    wire.send_binary([0xff; 1000]).await;
    assert_eq!(device.event("error").await["code"], "VALIDATION_ERROR");
    device.quiet().await;
}

#[tokio::test]
async fn attachments_count_towards_the_size_of_a_payload() {
    let server = Server::start().await;
    let mut device = server.person("ann").await.device().await;
    device
        .wire
        .send(r#"451-5["typing",{"_placeholder":true,"num":0}]"#)
        .await;
    device.wire.send_binary(vec![0; 65 * 1024]).await;
    let ack = device.wire.message().await.unwrap();
    assert!(ack.starts_with("435[") && ack.contains("PAYLOAD_TOO_LARGE"), "{ack}");
    device.quiet().await;
}

#[tokio::test]
async fn answers_to_questions_that_nobody_asked_are_passed_over() {
    let server = Server::start().await;
    let mut device = server.person("ann").await.device().await;
    device.wire.send("431[]").await;
    device.wire.send(r#"43999[{"ok":true}]"#).await;
    device.wire.send(r#"461-3[{"_placeholder":true,"num":0}]"#).await;
    device.wire.send_binary([1]).await;
    device.quiet().await;
}

#[tokio::test]
async fn a_malformed_packet_ends_that_socket() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut bystander = ann.device().await;
    for packet in [
        "4",
        "4abc",
        "47",
        "42",
        "42{}",
        "42[]x",
        r#"42abc["typing",{}]"#,
        r#"42["typing""#,
        r#"45["typing",{}]"#,
        r#"45x-["typing",{}]"#,
    ] {
        let mut device = ann.device().await;
        device.wire.send(packet).await;
        device.wire.closed().await;
        bystander.quiet().await;
    }
}

#[tokio::test]
async fn a_strange_packet_never_harms_another_socket() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut bystander = ann.device().await;
    for packet in [
        "42[1]",
        "42[null]",
        "42[{}]",
        "42[[]]",
        r#"42[""]"#,
        r#"42[" "]"#,
        r#"42["connect",{}]"#,
        r#"42["disconnect",{}]"#,
        r#"42["error",{}]"#,
        r#"42["\ud800",{}]"#,
        r#"4299999999999999999999["typing",{}]"#,
        r#"42-1["typing",{}]"#,
        r#"4599999-["typing",{}]"#,
        r#"450-["typing",{}]"#,
        r#"451-["typing",{"_placeholder":true,"num":99}]"#,
        r#"451-["typing",{"_placeholder":true,"num":-1}]"#,
        "40",
        "40{}",
        "40[",
        "44{}",
        "46",
        "461-",
    ] {
        let mut device = ann.device().await;
        device.wire.send(packet).await;
        device.wire.send_binary([1, 2, 3]).await;
        device.wire.send_binary([4]).await;
        device.wire.send("1").await;
        device.wire.until_closed().await;
        bystander.quiet().await;
    }
}

#[tokio::test]
async fn a_large_frame_up_to_a_megabyte_leaves_the_socket_alive() {
    let server = Server::start().await;
    let mut device = server.person("ann").await.device().await;
    for bytes in [64 * 1024, 200_000, 999_900] {
        let payload = json!({"to": "x", "content": "a".repeat(bytes)});
        assert_eq!(device.refused("send_message", payload).await, "PAYLOAD_TOO_LARGE");
    }
    device
        .wire
        .send("42[\"send_message\",\"".to_owned() + &"a".repeat(3_000_000) + "\"]")
        .await;
    device.ends().await;
    server.person("bob").await.device().await.quiet().await;
}
