//! How a socket gets in, how long it stays, and what puts it out.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::device::Device;
use crate::person::{PASSWORD, Person};
use crate::server::Server;
use crate::wire::PATIENCE;

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

/// The last thing said is why; then the socket ends.
async fn ends_with(device: Device, code: &str) {
    let events = device.last_events().await;
    assert_eq!(names(&events), ["error"], "{events:?}");
    assert_eq!(events[0].1["code"], code);
}

async fn change_password(person: &Person, new: &str) -> Value {
    let body = json!({"currentPassword": PASSWORD, "newPassword": new, "confirmPassword": new});
    person.good(Method::PUT, "/api/auth/change-password", body).await["tokens"].take()
}

#[tokio::test]
async fn the_greeting_shows_the_user_as_its_owner_sees_it() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut device = server.knock(json!({"token": ann.access})).await.ok().unwrap();
    let greeting = device.event("authenticated").await;
    let profile = ann.good(Method::GET, "/api/auth/profile", Value::Null).await;
    assert_eq!(greeting, profile);
    assert_eq!(greeting["user"]["email"], "ann@example.org");
    assert!(!greeting.to_string().to_lowercase().contains("argon2"), "{greeting}");
}

#[tokio::test]
async fn a_bad_token_in_the_handshake_is_refused_with_its_code() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut tampered = ann.access.clone();
    tampered.replace_range(tampered.len() - 10.., "AAAAAAAAAA");
    for token in [
        json!(""),
        json!("rubbish"),
        json!("a.b.c"),
        json!(tampered),
        json!(ann.refresh),
        json!(format!("Bearer {}", ann.access)),
        json!(1),
        json!(false),
        json!({"$ne": ""}),
        json!([ann.access]),
    ] {
        let refusal = server.knock(json!({"token": token})).await.err().unwrap();
        assert_eq!(refusal["message"], "TOKEN_INVALID", "{token}: {refusal}");
        assert!(!refusal.to_string().contains("rubbish"));
    }
}

#[tokio::test]
async fn an_old_token_in_the_handshake_is_told_from_a_bad_one() {
    let server = Server::with(|config| config.access.lifetime = Duration::from_secs(1)).await;
    let ann = server.person("ann").await;
    let refused = async {
        loop {
            if let Err(refusal) = server.knock(json!({"token": ann.access})).await {
                break refusal;
            }
        }
    };
    let refusal = tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(refusal["message"], "TOKEN_EXPIRED");
    let mut guest = server.guest().await;
    assert_eq!(
        guest.refused("authenticate", json!({"token": ann.access})).await,
        "TOKEN_EXPIRED"
    );
}

#[tokio::test]
async fn a_handshake_without_a_token_leaves_it_to_the_event() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    for auth in [
        json!({}),
        json!({"token": null}),
        json!([]),
        json!("text"),
        json!({"other": 1}),
    ] {
        let mut device = server.knock(auth).await.ok().unwrap();
        let ack = device.done("authenticate", json!({"token": ann.access})).await;
        assert_eq!(ack["user"]["email"], "ann@example.org");
        assert_eq!(device.event("authenticated").await["user"], ack["user"]);
        device.quiet().await;
    }
}

#[tokio::test]
async fn authenticate_without_an_ack_is_answered_by_the_greeting() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut device = server.guest().await;
    device.emit("authenticate", json!({"token": ann.access})).await;
    assert_eq!(device.event("authenticated").await["user"]["id"], ann.id);
    device.quiet().await;
}

#[tokio::test]
async fn before_authentication_every_other_event_is_refused() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut guest = server.guest().await;
    for event in [
        "send_message",
        "typing",
        "join_chat",
        "read_receipt",
        "update_status",
        "no_such_event",
    ] {
        for payload in [
            json!({}),
            json!(null),
            json!({"to": ann.id, "content": "x", "isTyping": true}),
        ] {
            assert_eq!(
                guest.refused(event, payload.clone()).await,
                "UNAUTHENTICATED",
                "{event}"
            );
            guest.emit(event, payload).await;
            assert_eq!(guest.event("error").await["code"], "UNAUTHENTICATED", "{event}");
        }
    }
    for token in ["", "rubbish", &ann.refresh] {
        assert_eq!(
            guest.refused("authenticate", json!({"token": token})).await,
            "TOKEN_INVALID"
        );
        guest.emit("authenticate", json!({"token": token})).await;
        assert_eq!(guest.event("error").await["code"], "TOKEN_INVALID");
    }
    for payload in [json!({}), json!({"token": null}), json!({"token": 1}), json!("x")] {
        assert_eq!(guest.refused("authenticate", payload).await, "VALIDATION_ERROR");
    }
    // None of it shut the door.
    guest.done("authenticate", json!({"token": ann.access})).await;
}

#[tokio::test]
async fn who_does_not_authenticate_within_ten_seconds_is_put_out() {
    let server = Server::with_clock(|_| {}).await;
    let ann = server.person("ann").await;
    let (mut guest, mut known) = (server.guest().await, ann.device().await);
    let mut late = server.guest().await;
    server.pass(Duration::from_millis(9_900)).await;
    assert_eq!(guest.refused("typing", json!({})).await, "UNAUTHENTICATED");
    late.done("authenticate", json!({"token": ann.access})).await;
    late.event("authenticated").await;
    server.pass(Duration::from_millis(200)).await;
    ends_with(guest, "UNAUTHENTICATED").await;
    late.quiet().await;
    known.quiet().await;
}

#[tokio::test]
async fn a_socket_belongs_to_its_first_user() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let mut device = ann.device().await;
    let code = device.refused("authenticate", json!({"token": bob.access})).await;
    assert_eq!(code, "ALREADY_AUTHENTICATED");
    // A second user who has no good token is not even looked at.
    assert_eq!(
        device.refused("authenticate", json!({"token": "rubbish"})).await,
        "TOKEN_INVALID"
    );
    bob.say(&ann, "to ann").await;
    assert_eq!(device.event("new_message").await["receiver"], ann.id);
    device
        .done("send_message", json!({"to": bob.id, "content": "from ann"}))
        .await;
    let path = format!("/api/messages/conversation/{}", ann.id);
    let history = bob.good(Method::GET, &path, Value::Null).await;
    assert_eq!(history["items"][0]["sender"], ann.id);
}

#[tokio::test]
async fn every_success_is_greeted_and_makes_no_second_device() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let mut device = ann.device().await;
    for _ in 0..3 {
        device.done("authenticate", json!({"token": ann.access})).await;
        device.event("authenticated").await;
    }
    bob.say(&ann, "once").await;
    assert_eq!(device.event("new_message").await["content"], "once");
    device.quiet().await;
}

#[tokio::test]
async fn a_fresh_token_extends_the_life_of_the_socket() {
    let half = Duration::from_secs(10);
    let server = Server::with_clock(|config| config.access.lifetime = 2 * half).await;
    let mut ann = server.person("ann").await;
    let (mut kept, first) = (ann.device().await, ann.device().await);
    let body = json!({"refreshToken": ann.refresh});
    server.pass(half).await;
    let tokens = ann.good(Method::POST, "/api/auth/refresh-token", body).await["tokens"].take();
    ann.take(&tokens);
    kept.done("authenticate", json!({"token": ann.access})).await;
    kept.event("authenticated").await;
    server.pass(half + Duration::from_secs(1)).await;
    ends_with(first, "TOKEN_EXPIRED").await;
    kept.quiet().await;
    server.pass(half).await;
    ends_with(kept, "TOKEN_EXPIRED").await;
}

#[tokio::test]
async fn logging_out_ends_the_sockets_of_that_session_alone() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let elsewhere = ann.login().await;
    let (mut one, mut two, mut other) = (ann.device().await, ann.device().await, elsewhere.device().await);
    ann.good(Method::POST, "/api/auth/logout", Value::Null).await;
    one.ends().await;
    two.ends().await;
    other.quiet().await;
    let refusal = server.knock(json!({"token": ann.access})).await.err().unwrap();
    assert_eq!(refusal["message"], "TOKEN_INVALID");
    assert_eq!(
        other.refused("authenticate", json!({"token": ann.access})).await,
        "TOKEN_INVALID"
    );
    // Having failed at that, it is who it was.
    other.done("authenticate", json!({"token": elsewhere.access})).await;
}

#[tokio::test]
async fn a_socket_that_moved_to_another_session_ends_with_that_one() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let elsewhere = ann.login().await;
    let mut device = ann.device().await;
    device.done("authenticate", json!({"token": elsewhere.access})).await;
    device.event("authenticated").await;
    ann.good(Method::POST, "/api/auth/logout", Value::Null).await;
    device.quiet().await;
    elsewhere.good(Method::POST, "/api/auth/logout", Value::Null).await;
    device.ends().await;
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions_and_keeps_the_own_sockets() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let elsewhere = ann.login().await;
    let (mut own, mut other) = (ann.device().await, elsewhere.device().await);
    let tokens = change_password(&ann, "another horse battery").await;
    other.ends().await;
    own.quiet().await;
    for old in [&ann.access, &elsewhere.access] {
        let refusal = server.knock(json!({"token": old})).await.err().unwrap();
        assert_eq!(refusal["message"], "TOKEN_INVALID");
        assert_eq!(
            own.refused("authenticate", json!({"token": old})).await,
            "TOKEN_INVALID"
        );
    }
    own.done("authenticate", json!({"token": tokens["accessToken"]})).await;
    own.event("authenticated").await;
    own.quiet().await;
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_the_session_and_its_sockets() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let elsewhere = ann.login().await;
    let (mut stolen, mut other) = (ann.device().await, elsewhere.device().await);
    let body = json!({"refreshToken": ann.refresh});
    let tokens = ann.good(Method::POST, "/api/auth/refresh-token", body.clone()).await["tokens"].take();
    // An older access token lives until it expires.
    stolen.done("authenticate", json!({"token": ann.access})).await;
    stolen.event("authenticated").await;
    let (status, reused) = ann.call(Method::POST, "/api/auth/refresh-token", body).await;
    assert_eq!((status, &reused["code"]), (401, &json!("REFRESH_REUSED")));
    stolen.ends().await;
    other.quiet().await;
    let refusal = server
        .knock(json!({"token": tokens["accessToken"]}))
        .await
        .err()
        .unwrap();
    assert_eq!(refusal["message"], "TOKEN_INVALID");
}

#[tokio::test]
async fn guests_share_a_limit_by_address_and_users_do_not_pay_for_it() {
    let server = Server::with(|config| config.socket_limit.max = 3).await;
    let ann = server.person("ann").await;
    let (mut one, mut two) = (server.guest().await, server.guest().await);
    for _ in 0..3 {
        assert_eq!(one.refused("typing", json!({})).await, "UNAUTHENTICATED");
    }
    assert_eq!(two.refused("typing", json!({})).await, "RATE_LIMITED");
    assert_eq!(
        two.refused("authenticate", json!({"token": ann.access})).await,
        "RATE_LIMITED"
    );
    ann.device().await.quiet().await;
}
