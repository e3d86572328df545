//! `chat-server user` beside a running server.

use serde_json::json;

use crate::program::Place;

#[tokio::test]
async fn accounts_are_listed_with_their_state() {
    let place = Place::new();
    let said = place.fails(&["user", "list"], 1).await;
    assert!(said.contains("there is no store in data"), "{said}");
    let server = place.serve().await;
    let (ann, bob) = (server.person("Ann").await, server.person("bob").await);
    place.said(&["user", "deactivate", "bob"]).await;
    let said = place.said(&["user", "list"]).await;
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert_eq!(lines[0][..4], [ann.id.as_str(), "active", "Ann", "ann@example.com"]);
    assert_eq!(lines[1][..4], [bob.id.as_str(), "inactive", "bob", "bob@example.com"]);
    assert!(!said.contains("argon2"));
    server.stops().await;
}

#[tokio::test]
async fn a_deactivated_user_is_out_at_once_and_may_come_back() {
    let place = Place::new();
    let server = place.serve().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let device = bob.device().await;
    let said = place.said(&["user", "deactivate", "BOB"]).await;
    assert!(said.contains(&bob.id) && said.contains("inactive"), "{said}");

    bob.profile().await.refused(401, "TOKEN_INVALID");
    bob.refresh(&bob.refresh_token).await.refused(401, "TOKEN_INVALID");
    let login = json!({"identifier": "bob", "password": bob.password});
    let answer = bob.post("/api/auth/login", login.clone()).await;
    answer.refused(403, "ACCOUNT_INACTIVE");
    let answer = ann.get(&format!("/api/users/{}", bob.id)).await;
    answer.refused(404, "USER_NOT_FOUND");
    let answer = ann
        .post("/api/messages/send", json!({"to": bob.id, "content": "x"}))
        .await;
    answer.refused(404, "USER_NOT_FOUND");
    device.closed().await;

    for who in [bob.id.as_str(), "bob@example.com"] {
        let said = place.said(&["user", "activate", who]).await;
        assert!(said.contains("is active"), "{said}");
    }
    bob.post("/api/auth/login", login).await.ok(200);
    ann.sends(&bob, "welcome back").await;
    bob.profile().await.refused(401, "TOKEN_INVALID");
    server.stops().await;
}

#[tokio::test]
async fn nobody_else_is_touched() {
    let place = Place::new();
    let server = place.serve().await;
    let ann = server.person("ann").await;
    let said = place.fails(&["user", "deactivate", "nobody"], 1).await;
    assert!(said.contains("there is no user"), "{said}");
    ann.profile().await.ok(200);
    server.stops().await;
}
