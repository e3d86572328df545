//! The program on a MongoDB.

use std::time::{Duration, Instant};

use chat_testcontainers::{Mongo, unique_name};
use mongodb::Client;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use serde_json::json;

use crate::program::Place;

/// bcrypt's, of "correct horse", as Node writes it.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

#[tokio::test]
async fn everything_is_kept_there_and_the_operator_reaches_it() {
    let mongo = Mongo::shared().await.unwrap();
    let place = Place::new().and("MONGODB_URI", &mongo.database_uri(&unique_name("program")));
    let server = place.serve().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let body = json!({"to": bob.id, "content": "kept", "clientMessageId": "c-1"});
    let sent = ann.post("/api/messages/send", body).await.ok(201);
    place.said(&["user", "deactivate", "bob"]).await;
    let said = place.said(&["user", "list"]).await;
    let states: Vec<_> = said.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(states, ["active", "inactive"]);
    bob.profile().await.refused(401, "TOKEN_INVALID");
    // Reading counts what is not counted yet; then there is nothing to correct.
    ann.get("/api/messages/chats").await.ok(200);
    let said = place.said(&["migrate", "--rebuild-counters"]).await;
    assert!(said.contains("corrected 0 chats"), "{said}");
    server.stops().await;
    assert!(!place.path("data/chat.db").exists());

    let server = place.serve().await;
    let ann = crate::client::Client::new(&server.url).with_token(ann.token());
    let chats = ann.get("/api/messages/chats").await.ok(200);
    assert_eq!(chats["items"][0]["lastMessage"]["id"], sent["message"]["id"]);
    server.stops().await;
}

#[tokio::test]
async fn a_paused_database_is_told_and_healed_from() {
    let mongo = Mongo::start().await.unwrap();
    let place = Place::new().and("MONGODB_URI", &mongo.database_uri("chat"));
    let server = place.serve().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    assert_eq!(ready(&server.url).await, 200);
    mongo.pause().await.unwrap();
    let began = Instant::now();
    let refused = ann
        .post("/api/messages/send", json!({"to": bob.id, "content": "x"}))
        .await;
    refused.refused(503, "SERVICE_UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(!refused.text.to_lowercase().contains("mongo"), "{}", refused.text);
    assert_eq!(ready(&server.url).await, 503);
    assert_eq!(server.visitor().get("/health").await.status, 200);
    mongo.unpause().await.unwrap();
    let began = Instant::now();
    while ready(&server.url).await != 200 {
        assert!(began.elapsed() < Duration::from_secs(30), "never ready again");
    }
    ann.post("/api/messages/send", json!({"to": bob.id, "content": "y"}))
        .await
        .ok(201);
    server.stops().await;
}

/// Outside the contract, so without what every answer of the contract has.
async fn ready(base: &str) -> u16 {
    reqwest::get(format!("{base}/ready")).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_told_at_the_start() {
    let place = Place::new().and("MONGODB_URI", "mongodb://ann:s3cret@127.0.0.1:9/chat");
    let began = Instant::now();
    let said = place.fails(&["serve", "--port", "0"], 1).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(said.contains("127.0.0.1:9") && said.contains("MONGODB_URI"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let place = Place::new().and("MONGODB_URI", "postgres://ann:s3cret@db/chat");
    let said = place.fails(&["serve", "--port", "0"], 2).await;
    assert!(said.contains("mongodb://") && !said.contains("s3cret"), "{said}");
    let said = Place::new().fails(&["migrate", "--from-legacy"], 2).await;
    assert!(said.contains("MONGODB_URI"), "{said}");
}

#[tokio::test]
async fn users_of_an_adopted_database_log_in_and_get_a_new_hash() {
    let mongo = Mongo::shared().await.unwrap();
    let name = unique_name("adopted");
    let uri = mongo.database_uri(&name);
    let users = Client::with_uri_str(&uri)
        .await
        .unwrap()
        .database(&name)
        .collection::<Document>("users");
    let id = ObjectId::new();
    let old = doc! {"_id": id, "username": "Ann", "email": "ann@example.com", "password": HASH, "isActive": true};
    users.insert_one(old).await.unwrap();
    let place = Place::new().and("MONGODB_URI", &uri);
    let said = place.fails(&["serve", "--port", "0"], 1).await;
    assert!(said.contains("migrate --from-legacy"), "{said}");
    let said = place.said(&["migrate", "--from-legacy"]).await;
    assert!(said.contains("adopted 1 users"), "{said}");
    let server = place.serve().await;
    let visitor = server.visitor();
    let login = async |password: &str| {
        let body = json!({"identifier": "ann", "password": password});
        visitor.post("/api/auth/login", body).await
    };
    let hash = async || {
        let found = users.find_one(doc! {"_id": id}).await.unwrap().unwrap();
        found.get_str("password").unwrap().to_owned()
    };
    login("wrong horse").await.refused(401, "INVALID_CREDENTIALS");
    assert_eq!(hash().await, HASH, "a wrong password changes nothing");
    login("correct horse").await.ok(200);
    assert!(hash().await.starts_with("$argon2id$"));
    login("correct horse").await.ok(200);
    login("wrong horse").await.refused(401, "INVALID_CREDENTIALS");
    server.stops().await;
}
