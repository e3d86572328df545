//! Redis is killed, paused, absent: what a node can do by itself goes on, and what it cannot heals.

use std::time::{Duration, Instant};

use chat_server::app::{App, StartError};
use chat_server::config::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::deployment::Deployment;
use crate::device::Device;
use crate::person::Person;

const ROUNDS: usize = 10;
pub(crate) const HEALED_WITHIN: Duration = Duration::from_secs(3);

/// Sends from one device until something arrives at the other. How long that took.
async fn crosses(from: &mut Device, to: &Person, at: &mut Device, mark: &str) -> Duration {
    let began = Instant::now();
    for number in 0.. {
        from.sends(to, &format!("{mark} {number}")).await;
        if let Ok((name, payload)) = timeout(Duration::from_millis(20), at.any_event()).await {
            assert_eq!(name, "new_message", "{payload}");
            assert!(payload["content"].as_str().unwrap().starts_with(mark), "{payload}");
            break;
        }
        assert!(began.elapsed() < crate::wire::PATIENCE, "nothing crosses");
    }
    began.elapsed()
}

/// Takes messages with this mark until the last of them has come, in order and without a repeat.
pub(crate) async fn rest(device: &mut Device, mark: &str, last: &str) {
    let mut before = None;
    loop {
        let content = device.event("new_message").await["content"]
            .as_str()
            .unwrap()
            .to_owned();
        if content == last {
            return;
        }
        assert!(content.starts_with(mark), "{content}");
        let number: usize = content.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(before < Some(number), "{content} after {before:?}");
        before = Some(number);
    }
}

#[tokio::test]
async fn redis_is_killed_and_comes_back_ten_times() {
    let (deployment, one, two) = Deployment::of_two_apart().await;
    let (ann, bob) = (one.person("ann").await, two.person("bob").await);
    let (mut anns, mut bobs) = (ann.device().await, bob.device().await);
    let mut near = bob.at(&one).device().await;
    crosses(&mut anns, &bob, &mut bobs, "before").await;
    ann.say(&bob, "fence").await;
    anns.hears("fence").await;
    rest(&mut bobs, "before", "fence").await;
    rest(&mut near, "before", "fence").await;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        deployment.redis.kill().await.unwrap();
        // What is at this node arrives, and all of it.
        for number in 0..20 {
            anns.sends(&bob, &format!("down {number}")).await;
            near.hears(&format!("down {number}")).await;
        }
        // So short an outage may lose nothing of what is for the other node; the first one lasts until something was lost.
        let (mut pace, began) = (interval(Duration::from_millis(5)), Instant::now());
        while one.app.metrics.cluster.lost_in_all() == 0 {
            pace.tick().await;
            anns.sends(&bob, "down for long").await;
            near.hears("down for long").await;
            assert!(began.elapsed() < crate::wire::PATIENCE, "nothing is lost without Redis");
        }
        deployment.redis.restart().await.unwrap();
        let mark = format!("round {round}");
        let took = crosses_after(&mut anns, &bob, &mut bobs, &mark).await;
        assert!(took < HEALED_WITHIN, "round {round}: {took:?}");
        times.push(took);
        ann.say(&bob, "fence").await;
        anns.hears("fence").await;
        rest(&mut bobs, &mark, "fence").await;
        rest(&mut near, &mark, "fence").await;
    }
    println!("delivery across nodes was back after {times:?}");
    assert!(one.app.metrics.cluster.lost_in_all() > 0, "what was lost is counted");
    // What was missed is in the history.
    let path = format!("/api/messages/conversation/{}?limit=100", ann.id);
    let history = bob.at(&two).good(Method::GET, &path, Value::Null).await;
    let missed = |message: &Value| message["content"] == "down 19";
    assert!(history["items"].as_array().unwrap().iter().any(missed));
}

/// As [`crosses`]; passes over what was sent while Redis was down and comes late.
pub(crate) async fn crosses_after(from: &mut Device, to: &Person, at: &mut Device, mark: &str) -> Duration {
    let began = Instant::now();
    for number in 0.. {
        from.sends(to, &format!("{mark} {number}")).await;
        while let Ok((name, payload)) = timeout(Duration::from_millis(20), at.any_event()).await {
            assert_eq!(name, "new_message", "{payload}");
            if payload["content"].as_str().unwrap().starts_with(mark) {
                return began.elapsed();
            }
        }
        assert!(began.elapsed() < crate::wire::PATIENCE, "nothing crosses");
    }
    began.elapsed()
}

#[tokio::test]
async fn a_redis_that_hangs_delays_nothing_at_a_node_and_nothing_is_told_twice_when_it_goes_on() {
    let (deployment, one, two) = Deployment::of_two_apart().await;
    let (ann, bob) = (one.person("ann").await, two.person("bob").await);
    let (mut anns, mut far, mut near) = (ann.device().await, bob.device().await, bob.at(&one).device().await);
    deployment.redis.pause().await.unwrap();
    let mut slowest = Duration::ZERO;
    // For longer than it takes to call the connection lost; and what comes to the other node at once, when Redis goes on, is no more
    // than it keeps for somebody who does not read.
    const MESSAGES: u32 = 1_000;
    let mut pace = interval(Duration::from_secs(4) / MESSAGES);
    for number in 0..MESSAGES {
        pace.tick().await;
        let sent = Instant::now();
        anns.sends(&bob, &format!("hung {number}")).await;
        near.hears(&format!("hung {number}")).await;
        slowest = slowest.max(sent.elapsed());
    }
    println!("{MESSAGES} messages at one node while Redis hung, the slowest in {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(one.ready().await, (200, json!(["redis"])));
    // Everything else works too.
    let carol = one.person("carol").await;
    carol.login().await;
    carol.say(&bob, "new here").await;
    near.hears("new here").await;
    deployment.redis.unpause().await.unwrap();
    let healed = one.degraded(json!([])).await + two.degraded(json!([])).await;
    assert!(healed < HEALED_WITHIN, "{healed:?}");
    anns.sends(&bob, "the end").await;
    near.hears("the end").await;
    // What was not lost comes once and in order.
    let mut before = None;
    loop {
        let content = far.event("new_message").await["content"].as_str().unwrap().to_owned();
        match content.strip_prefix("hung ") {
            Some(number) => {
                let number: u32 = number.parse().unwrap();
                assert!(before < Some(number), "{number} after {before:?}");
                before = Some(number);
            }
            None if content == "the end" => break,
            None => assert_eq!(content, "new here"),
        }
    }
    far.quiet().await;
}

#[tokio::test]
async fn presence_heals_after_an_outage_and_devices_are_told_what_they_missed() {
    let (deployment, one, two) = Deployment::of_two_apart().await;
    let (ann, bob, carol) = (
        one.person("ann").await,
        one.person("bob").await,
        one.person("carol").await,
    );
    // First the device: what is said before it comes may still be on its way to its node when it does.
    let mut bobs = bob.at(&two).device().await;
    for peer in [&ann, &carol] {
        peer.say(&bob, "hello").await;
        bobs.hears("hello").await;
    }
    let leaving = ann.device().await;
    bobs.sees("user_online", &ann).await;
    deployment.redis.kill().await.unwrap();
    assert!(one.degraded(json!(["redis"])).await < Duration::from_secs(5));
    two.degraded(json!(["redis"])).await;
    leaving.leave().await;
    let _coming = carol.device().await;
    // Bob's node cannot know, and says what it knew; the other one does know.
    bob.at(&one).sees_online(&["bob", "carol"]).await;
    assert_eq!(bob.at(&two).online().await, ["ann", "bob"]);
    deployment.redis.restart().await.unwrap();
    let healed = bob.at(&two).sees_online(&["bob", "carol"]).await;
    assert!(healed < HEALED_WITHIN, "{healed:?}");
    let mut told = [bobs.any_event().await, bobs.any_event().await].map(|(name, seen)| (name, seen["userId"].clone()));
    told.sort_by(|one, two| one.0.cmp(&two.0));
    assert_eq!(
        told,
        [
            ("user_offline".to_owned(), json!(ann.id)),
            ("user_online".to_owned(), json!(carol.id))
        ]
    );
    two.degraded(json!([])).await;
    bobs.quiet().await;
    assert_eq!(two.app.metrics.cluster.up.get(), 1);
}

#[tokio::test]
async fn a_wrong_address_is_told_at_once_and_its_password_is_not() {
    let deployment = Deployment::start().await;
    for url in ["redis://:hunter2@127.0.0.1:1", "redis://:hunter2@127.0.0.1:1/3"] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = deployment.config();
        config.data_dir = dir.path().to_owned();
        config.redis.as_mut().unwrap().url = Secret(url.into());
        let began = Instant::now();
        let error = App::build(config).await.err().unwrap();
        assert!(matches!(error, StartError::Redis(_)), "{error}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        let told = error.to_string();
        assert!(told.contains("127.0.0.1:1") && told.contains("REDIS_URL"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[tokio::test]
async fn a_redis_that_hangs_at_the_start_does_not_hang_the_start() {
    let deployment = Deployment::apart().await;
    deployment.redis.pause().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = deployment.config();
    config.data_dir = dir.path().to_owned();
    let began = Instant::now();
    let error = App::build(config).await.err().unwrap();
    assert!(matches!(error, StartError::Redis(_)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    deployment.redis.unpause().await.unwrap();
}
