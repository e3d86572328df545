//! A session that ends, ends at every node at once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::person::{PASSWORD, Person};

async fn is_dead(person: &Person) {
    let (status, body) = person.call(Method::GET, "/api/auth/profile", Value::Null).await;
    assert_eq!((status, &body["code"]), (401, &json!("TOKEN_INVALID")));
}

#[tokio::test]
async fn a_logout_ends_tokens_and_sockets_at_the_other_node_and_no_other_session() {
    let (_deployment, one, two) = Deployment::of_two().await;
    let ann = one.person("ann").await;
    let other = ann.login().await;
    let mut ending = [ann.at(&one).device().await, ann.at(&two).device().await];
    let mut living = [other.at(&one).device().await, other.at(&two).device().await];
    ann.good(Method::POST, "/api/auth/logout", Value::Null).await;
    is_dead(&ann.at(&two)).await;
    for device in &mut ending {
        device.ends().await;
    }
    for device in &mut living {
        device.quiet().await;
    }
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_the_session_at_the_other_node() {
    let (_deployment, one, two) = Deployment::of_two().await;
    let ann = one.person("ann").await;
    let mut device = ann.at(&two).device().await;
    let body = json!({"refreshToken": ann.refresh});
    let mut newer = ann.clone();
    newer.take(&ann.good(Method::POST, "/api/auth/refresh-token", body.clone()).await["tokens"]);
    let (status, refusal) = ann.call(Method::POST, "/api/auth/refresh-token", body).await;
    assert_eq!((status, &refusal["code"]), (401, &json!("REFRESH_REUSED")));
    is_dead(&newer.at(&two)).await;
    device.ends().await;
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_at_the_other_node_and_spares_its_own() {
    let (_deployment, one, two) = Deployment::of_two().await;
    let ann = one.person("ann").await;
    let other = ann.login().await;
    let (mut kept, mut ended) = (ann.at(&two).device().await, other.at(&two).device().await);
    let body =
        json!({"currentPassword": PASSWORD, "newPassword": "staple battery", "confirmPassword": "staple battery"});
    let mut newer = ann.clone();
    newer.take(&ann.good(Method::PUT, "/api/auth/change-password", body).await["tokens"]);
    ended.ends().await;
    kept.quiet().await;
    is_dead(&ann.at(&two)).await;
    is_dead(&other.at(&two)).await;
    newer.at(&two).good(Method::GET, "/api/auth/profile", Value::Null).await;
}

#[tokio::test]
async fn a_logout_that_nobody_could_be_told_of_ends_the_sockets_all_the_same() {
    let (deployment, one, two) = Deployment::of_two_apart().await;
    let ann = one.person("ann").await;
    let other = ann.login().await;
    let (mut ending, mut living) = (ann.at(&two).device().await, other.at(&two).device().await);
    deployment.redis.kill().await.unwrap();
    two.degraded(json!(["redis"])).await;
    ann.good(Method::POST, "/api/auth/logout", Value::Null).await;
    is_dead(&ann.at(&two)).await;
    ending.ends().await;
    living.quiet().await;
}
