//! When the store cannot do what it is asked.

use std::fs;

use serde_json::{Value, json};

use crate::client::Client;
use crate::program::Place;

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing_that_was_acknowledged() {
    let place = Place::new();
    let server = place.serve_in_files_of_at_most(512).await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let mut sent: Vec<Value> = Vec::new();
    let refused = loop {
        let body = json!({"to": bob.id, "content": format!("{} {}", sent.len(), "x".repeat(4000))});
        let mut answer = ann.post("/api/messages/send", body).await;
        if answer.status != 201 {
            break answer;
        }
        sent.push(answer.body["message"].take());
        assert!(sent.len() < 1000, "the disk is never full");
    };
    refused.refused(503, "SERVICE_UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
    assert!(!refused.text.to_lowercase().contains("disk") && !refused.text.contains("sqlite"));
    assert_eq!(server.visitor().get("/health").await.status, 200);
    let page = bob.conversation(&ann, "?limit=1").await;
    assert_eq!(
        page["items"][0],
        *sent.last().unwrap(),
        "reading goes on, and nothing half-written is seen"
    );
    server.signal("KILL").await;
    server.ended().await;

    let server = place.serve().await;
    let bob = Client::new(&server.url).with_token(bob.token());
    let mut after = 0;
    for chunk in sent.chunks(100) {
        let path = format!("/api/messages/conversation/{}?after={after}&limit=100", ann.id);
        let page = bob.get(&path).await.ok(200);
        assert_eq!(page["items"].as_array().unwrap()[..chunk.len()], *chunk);
        after += chunk.len();
    }
    let ann = Client::new(&server.url).with_token(ann.token());
    let body = json!({"to": sent[0]["receiver"], "content": "there is room again"});
    let next = ann.post("/api/messages/send", body).await.ok(201);
    assert_eq!(
        next["message"]["seq"].as_u64().unwrap() as usize,
        sent.len() + 1,
        "no hole"
    );
    server.stops().await;
}

/// The client is told an id and no cause; the log has the cause under that id.
#[tokio::test]
async fn a_failure_of_ours_has_the_same_id_on_the_wire_and_in_the_log() {
    let place = Place::new().and("LOG_LEVEL", "warn");
    let server = place.serve_in_files_of_at_most(512).await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let mut device = ann.device().await;
    let long = json!({"to": bob.id, "content": "x".repeat(4000)});
    let mut sent = 0;
    let ack = loop {
        let ack = device.ask("send_message", long.clone()).await;
        if ack["ok"] == false {
            break ack;
        }
        sent += 1;
        assert!(sent < 1000, "the disk is never full");
    };
    device.emit("send_message", long.clone()).await;
    let event = device.event("error").await;
    let refused = ann.post("/api/messages/send", long).await;
    refused.refused(503, "SERVICE_UNAVAILABLE");
    // Whoever sent something wrong needs no log to see why.
    let own = device.ask("send_message", json!({"to": ann.id, "content": "x"})).await;
    assert_eq!(own["error"]["code"], "CANNOT_MESSAGE_SELF");
    assert!(own["error"].get("requestId").is_none(), "{own}");
    // In order, for the last lines of the log are written behind.
    server.signal("TERM").await;
    let log = server.ended().await.stderr;
    for error in [&ack["error"], &event, &refused.body] {
        assert_eq!(error["code"], "SERVICE_UNAVAILABLE", "{error}");
        assert!(error["retryAfter"].is_u64(), "{error}");
        let id = error["requestId"].as_str().unwrap();
        let line = log.lines().find(|line| line.contains(id));
        assert!(line.is_some_and(|line| line.contains("disk")), "{id}: {line:?}");
        assert!(!error.to_string().contains("disk"), "{error}");
    }
    assert_ne!(ack["error"]["requestId"], event["requestId"]);
}

#[tokio::test]
async fn a_damaged_file_is_named_and_not_touched() {
    let place = Place::new();
    let server = place.serve().await;
    server.person("ann").await;
    server.stops().await;
    let file = place.path("data/chat.db");
    let damaged = vec![b'?'; 8192];
    fs::write(&file, &damaged).unwrap();
    let said = place.fails(&["serve", "--port", "0"], 1).await;
    assert!(said.contains("chat.db") && said.contains("not a database"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), damaged);
}

#[tokio::test]
async fn two_servers_never_share_a_directory() {
    let place = Place::new();
    let server = place.serve().await;
    let said = place.fails(&["serve", "--port", "0"], 1).await;
    assert!(said.contains("another server uses data"), "{said}");
    server.person("ann").await;
    server.stops().await;
    place.serve().await.stops().await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let place = Place::new()
        .and("JWT_SECRET", "a secret that needs no file, for access")
        .and("JWT_REFRESH_SECRET", "a secret that needs no file, for refresh");
    fs::write(place.path("file"), "in the way").unwrap();
    let said = place
        .fails(&["serve", "--port", "0", "--data-dir", "file/data"], 1)
        .await;
    assert!(said.contains("file/data"), "{said}");
}
