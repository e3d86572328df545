//! The three buckets, and whose address counts.

use serde_json::json;

use crate::client::Client;
use crate::server::{Server, limit};

async fn uses(client: &Client, path: &str, code: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(client.get(path).await.code(), code);
    }
}

#[tokio::test]
async fn users_have_a_bucket_each_and_strangers_one_by_address() {
    let server = Server::with(|config| config.request_limit = limit(3)).await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let elsewhere = server.session_of(&ann).await;
    uses(&ann, "/api/auth/profile", "", 2).await;
    uses(&elsewhere, "/api/users/online", "", 1).await;
    uses(&ann, "/api/auth/profile", "RATE_LIMITED", 2).await;
    uses(&elsewhere, "/api/messages/chats", "RATE_LIMITED", 1).await;
    uses(&bob, "/api/auth/profile", "", 3).await;
    let stranger = server.visitor();
    uses(&stranger, "/api/auth/profile", "TOKEN_MISSING", 2).await;
    uses(&stranger.with_token("bad"), "/api/users/online", "TOKEN_INVALID", 1).await;
    uses(&stranger, "/api/auth/profile", "RATE_LIMITED", 1).await;
    uses(&stranger.with_token("bad"), "/api/auth/profile", "RATE_LIMITED", 1).await;
    bob.profile().await.refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn login_register_and_refresh_share_a_stricter_bucket_of_the_address() {
    let server = Server::with(|config| {
        config.request_limit = limit(100);
        config.auth_limit = limit(4);
    })
    .await;
    let ann = server.person("ann").await;
    let wrong = json!({"identifier": "ann", "password": "not the password"});
    let answer = ann.post("/api/auth/login", wrong.clone()).await;
    answer.refused(401, "INVALID_CREDENTIALS");
    ann.refresh(&ann.refresh_token).await.ok(200);
    ann.post("/api/auth/register", json!({}))
        .await
        .refused(400, "VALIDATION_ERROR");
    for path in ["login", "register", "refresh-token"] {
        let answer = ann.post(&format!("/api/auth/{path}"), wrong.clone()).await;
        answer.refused(429, "RATE_LIMITED");
    }
    ann.profile().await.ok(200);
    ann.post("/api/auth/logout", json!({})).await.ok(204);
}

#[tokio::test]
async fn socket_events_have_a_bucket_by_user_over_all_devices() {
    let server = Server::with(|config| config.socket_limit = limit(5)).await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let (mut one, mut two) = (ann.device().await, ann.device().await);
    let mut last = json!(null);
    let mut accepted = 0;
    for _ in 0..5 {
        for device in [&mut one, &mut two] {
            last = device.ask("typing", json!({"to": bob.id, "isTyping": false})).await;
            accepted += u32::from(last["ok"] == true);
        }
    }
    assert!((3..=5).contains(&accepted), "{accepted}");
    assert_eq!(
        (&last["ok"], &last["error"]["code"]),
        (&json!(false), &json!("RATE_LIMITED"))
    );
    assert!(last["error"]["retryAfter"].as_u64().unwrap() >= 1);
    let mut other = bob.device().await;
    let ack = other.ask("typing", json!({"to": ann.id, "isTyping": false})).await;
    assert_eq!(ack["ok"], true);
    ann.profile().await.ok(200);
}

#[tokio::test]
async fn forwarded_addresses_count_only_from_trusted_proxies() {
    let forwarded = |client: &Client, value: &str| client.with_header("x-forwarded-for", value);

    let direct = Server::with(|config| config.auth_limit = limit(1)).await;
    for (address, code) in [("192.0.2.1", "VALIDATION_ERROR"), ("192.0.2.2", "RATE_LIMITED")] {
        let answer = forwarded(&direct.visitor(), address)
            .post("/api/auth/login", json!({}))
            .await;
        assert_eq!(answer.code(), code, "nobody is trusted");
    }

    let behind = Server::with(|config| {
        config.auth_limit = limit(1);
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    })
    .await;
    let cases = [
        ("192.0.2.1", "VALIDATION_ERROR"),
        ("192.0.2.1", "RATE_LIMITED"),
        ("192.0.2.2", "VALIDATION_ERROR"),
        // What the client itself claims to have forwarded is not believed.
        ("203.0.113.9, 192.0.2.2", "RATE_LIMITED"),
        ("203.0.113.9, 192.0.2.2, 10.1.1.1", "RATE_LIMITED"),
        ("192.0.2.3, 10.1.1.1", "VALIDATION_ERROR"),
        ("2001:db8::1", "VALIDATION_ERROR"),
        ("2001:db8::2", "RATE_LIMITED"),
    ];
    for (address, code) in cases {
        let answer = forwarded(&behind.visitor(), address)
            .post("/api/auth/login", json!({}))
            .await;
        assert_eq!(answer.code(), code, "{address}");
    }
}

#[tokio::test]
async fn zero_switches_a_limit_off() {
    let server = Server::with(|config| config.auth_limit = limit(1)).await;
    let ann = server.person("ann").await;
    uses(&ann, "/api/auth/profile", "", 150).await;
    uses(&server.visitor(), "/api/auth/profile", "TOKEN_MISSING", 150).await;
}

#[tokio::test]
async fn a_storm_of_logins_is_told_to_retry_and_does_not_hold_up_messages() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let wrong = json!({"identifier": "ann", "password": "not the password"});
    // More callers than there are threads and places for them, who never give up.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut storm = tokio::task::JoinSet::new();
    for _ in 0..threads * 129 + 20 {
        let (chat, body) = (server.app.chat.clone(), wrong.clone());
        storm.spawn(async move {
            loop {
                let _ = chat.login(&body).await;
                tokio::task::yield_now().await;
            }
        });
    }
    let refused = loop {
        let answer = server.visitor().post("/api/auth/login", wrong.clone()).await;
        match answer.status {
            401 => answer.refused(401, "INVALID_CREDENTIALS"),
            _ => break answer,
        };
    };
    refused.refused(503, "SERVICE_UNAVAILABLE");
    let wait = refused.body["retryAfter"].as_u64().unwrap();
    assert_eq!(refused.header("retry-after"), Some(wait.to_string().as_str()));
    for _ in 0..20 {
        ann.sends(&bob, "in the middle of the storm").await;
    }
    storm.shutdown().await;
    // Who does as told gets in: the places of those who gave up become free.
    let right = json!({"identifier": ann.name, "password": ann.password});
    loop {
        let answer = server.visitor().post("/api/auth/login", right.clone()).await;
        if answer.status != 503 {
            answer.ok(200);
            break;
        }
        answer.refused(503, "SERVICE_UNAVAILABLE");
    }
}
