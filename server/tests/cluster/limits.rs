//! The three limits hold over both nodes together.

use std::time::Duration;

use chat_server::config::{Config, LimitConfig};
use reqwest::Method;
use serde_json::json;

use crate::deployment::{Deployment, Node};
use crate::person::Person;

const WINDOW: Duration = Duration::from_secs(900);

async fn limited(change: impl Fn(&mut Config)) -> (Deployment, Node, Node) {
    let deployment = Deployment::apart().await;
    let (one, two) = (deployment.node_with(&change).await, deployment.node_with(&change).await);
    (deployment, one, two)
}

/// One call; how many are left, or `None` when it was refused.
async fn call(http: &reqwest::Client, person: &Person) -> Option<u64> {
    let url = format!("http://{}/api/auth/profile", person.address);
    let answer = http.get(url).bearer_auth(&person.access);
    let answer = answer.send().await.unwrap();
    let header = answer.headers()["ratelimit"].to_str().unwrap();
    let left = header
        .split("r=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    match answer.status().as_u16() {
        200 => Some(left),
        429 => None,
        other => panic!("{other}"),
    }
}

/// Waits until a node knows that so many are left, by asking for what is not counted.
async fn left_at(person: &Person, node: &Node, expected: u32) {
    let key = chat_server::cluster::limits::Key::User(person.id.parse().unwrap());
    let patience = async {
        while node.app.limits.requests.peek(&key).remaining != expected {
            tokio::task::yield_now().await;
        }
    };
    let timely = tokio::time::timeout(crate::wire::PATIENCE, patience).await;
    let found = node.app.limits.requests.peek(&key).remaining;
    timely.unwrap_or_else(|_| panic!("never {expected} left, but {found}"));
}

#[tokio::test]
async fn requests_at_both_nodes_are_one_count() {
    let max = 16;
    let (_deployment, one, two) = limited(|config| config.request_limit = LimitConfig { max, window: WINDOW }).await;
    let (http, ann) = (reqwest::Client::new(), one.person("ann").await);
    for turn in 0..max {
        let (here, there) = if turn % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let left = call(&http, &ann.at(here)).await;
        assert_eq!(left, Some(u64::from(max - turn - 1)), "request {turn}");
        left_at(&ann, there, max - turn - 1).await;
    }
    for node in [&one, &two] {
        assert_eq!(call(&http, &ann.at(node)).await, None);
    }
}

#[tokio::test]
async fn a_burst_at_both_nodes_passes_the_limit_by_no_more_than_is_said() {
    let max = 80;
    let (_deployment, one, two) = limited(|config| config.request_limit = LimitConfig { max, window: WINDOW }).await;
    let (http, ann) = (reqwest::Client::new(), one.person("ann").await);
    let people = [ann.at(&one), ann.at(&two)];
    let calls = (0..4 * max as usize).map(|turn| call(&http, &people[turn % 2]));
    let answers = futures_util::future::join_all(calls).await;
    let allowed = u32::try_from(answers.iter().flatten().count()).unwrap();
    println!("{allowed} of {max} allowed");
    // An eighth that may be unreported, and what is let in while a report travels: generous, for the machine is busy.
    assert!((max..=max + max / 8 + max / 2).contains(&allowed), "{allowed}");
}

#[tokio::test]
async fn events_at_both_nodes_are_one_count() {
    let max = 16;
    let (_deployment, one, two) = limited(|config| {
        config.socket_limit = LimitConfig { max, window: WINDOW };
    })
    .await;
    let (ann, bob) = (one.person("ann").await, two.person("bob").await);
    let mut bobs = bob.device().await;
    let (mut here, mut there) = (ann.greeted().await, ann.at(&two).greeted().await);
    for _ in 0..max {
        assert_eq!(here.refused("no_such_event", json!({})).await, "UNKNOWN_EVENT");
    }
    assert_eq!(here.refused("no_such_event", json!({})).await, "RATE_LIMITED");
    // What a node tells has one order: with this message, the other one has heard of all that was reported.
    ann.say(&bob, "fence").await;
    bobs.event("new_message").await;
    // It may not have been told of the last ones yet.
    let mut more = 0;
    while there.refused("no_such_event", json!({})).await == "UNKNOWN_EVENT" {
        more += 1;
    }
    assert!(more <= max / 8, "{more}");
}

#[tokio::test]
async fn logins_are_counted_exactly_over_both_nodes_and_by_each_alone_without_redis() {
    let max = 6;
    let (deployment, one, two) = limited(|config| config.auth_limit = LimitConfig { max, window: WINDOW }).await;
    let http = reqwest::Client::new();
    // Counted as a login is, and no password is hashed, which would keep the machine from counting in time.
    let knock = async |node: &Node| {
        let body = json!({"refreshToken": "rubbish"});
        let url = format!("http://{}/api/auth/refresh-token", node.address);
        let answer = http.post(url).json(&body).send().await.unwrap();
        answer.status().as_u16()
    };
    let knocks = (0..20).map(|turn| knock(if turn % 2 == 0 { &one } else { &two }));
    let answers = futures_util::future::join_all(knocks).await;
    assert_eq!(
        answers.iter().filter(|status| **status == 401).count(),
        6,
        "{answers:?}"
    );
    assert_eq!(
        answers.iter().filter(|status| **status == 429).count(),
        14,
        "{answers:?}"
    );
    // What a node knows it keeps when Redis is gone, and when it comes back empty.
    deployment.redis.kill().await.unwrap();
    one.degraded(json!(["redis"])).await;
    assert_eq!(knock(&one).await, 429);
    deployment.redis.restart().await.unwrap();
    one.degraded(json!([])).await;
    assert_eq!(knock(&one).await, 429);
}

#[tokio::test]
async fn without_redis_each_node_counts_for_itself() {
    let max = 3;
    let limit = LimitConfig { max, window: WINDOW };
    let (deployment, one, two) = limited(|config| {
        config.auth_limit = limit;
        config.request_limit = limit;
    })
    .await;
    let (http, ann) = (reqwest::Client::new(), one.person("ann").await);
    deployment.redis.kill().await.unwrap();
    one.degraded(json!(["redis"])).await;
    two.degraded(json!(["redis"])).await;
    for node in [&one, &two] {
        let here = ann.at(node);
        for _ in 0..max {
            assert!(call(&http, &here).await.is_some());
        }
        assert_eq!(call(&http, &here).await, None);
        let body = json!({"refreshToken": "rubbish"});
        // The registration was counted before, at both.
        let mut statuses = Vec::new();
        for _ in 0..=max {
            statuses.push(here.call(Method::POST, "/api/auth/refresh-token", body.clone()).await.0);
        }
        assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
        assert_eq!(statuses.first(), Some(&401), "{statuses:?}");
    }
}
