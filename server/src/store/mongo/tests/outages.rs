//! A database that is killed, paused, or not there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_testcontainers::{Mongo, unique_name};
use tokio::sync::{oneshot, watch};

use super::super::MongoStore;
use super::node;
use crate::metrics::StoreMetrics;
use crate::store::suite::Bench;
use crate::store::{HistoryRange, MessageStore as _, SendOutcome, Store as _, StoreError, StoreResult};

/// The contract's bound for saying that a send cannot be answered.
const BOUND: Duration = Duration::from_secs(5);

/// Tries again until it works: the driver needs a moment to see that the server is back.
async fn healed(store: &MongoStore) {
    let began = Instant::now();
    while store.check().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "never healed");
    }
}

/// Waits for one acknowledgement more.
async fn acknowledged(acks: &mut watch::Receiver<usize>) {
    let before = *acks.borrow();
    let more = acks.wait_for(|acks| *acks > before);
    let timely = tokio::time::timeout(Duration::from_secs(30), more).await;
    timely.expect("nothing is acknowledged").unwrap();
}

struct Sent {
    content: String,
    outcome: StoreResult<SendOutcome>,
}

/// Sends one after another until told to stop. What became of each, and that none waited longer than allowed.
async fn chatter(
    b: &Bench,
    from: &chat_protocol::UserId,
    to: &chat_protocol::UserId,
    stop: &mut oneshot::Receiver<()>,
    acks: &watch::Sender<usize>,
) -> Vec<Sent> {
    let mut sent = Vec::new();
    while stop.try_recv().is_err() {
        let content = sent.len().to_string();
        let mut message = b.message(from, to, &content);
        message.client_message_id = Some(format!("c-{content}").parse().unwrap());
        let began = Instant::now();
        let outcome = b.store.send(message).await;
        assert!(began.elapsed() < BOUND, "waited {:?}", began.elapsed());
        if outcome.is_ok() {
            acks.send_modify(|acks| *acks += 1);
        }
        sent.push(Sent { content, outcome });
    }
    sent
}

/// Every stored message is there once, seq has no gaps, and what was refused is absent or there once.
async fn judge(store: &Arc<MongoStore>, sent: &[Sent]) {
    let mut chat = None;
    for one in sent {
        match &one.outcome {
            Ok(SendOutcome::Stored(message)) => chat = Some(message.chat_id.clone()),
            Ok(other) => panic!("{other:?}"),
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let (items, _) = store
        .history(&chat.unwrap(), HistoryRange::Above(0), 1_000_000)
        .await
        .unwrap();
    let seqs: Vec<u64> = items.iter().map(|m| m.seq.unwrap()).collect();
    assert_eq!(seqs, (1..=items.len() as u64).collect::<Vec<_>>());
    let mut count: HashMap<&str, usize> = HashMap::new();
    for item in &items {
        *count.entry(&item.content).or_default() += 1;
    }
    for one in sent {
        let times = count.get(one.content.as_str()).copied().unwrap_or(0);
        match one.outcome {
            Ok(_) => assert_eq!(times, 1, "acknowledged {}", one.content),
            Err(_) => assert!(times <= 1, "refused {}", one.content),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_survive_a_killed_database_once_or_are_refused() {
    let mongo = Mongo::start().await.unwrap();
    let store = node(&mongo.database_uri("chat")).await;
    let b = Arc::new(Bench::new(store.clone()));
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let (stop, mut stopped) = oneshot::channel();
    let (told, mut acks) = watch::channel(0);
    let sender = tokio::spawn({
        let b = b.clone();
        async move { chatter(&b, &ann, &bob, &mut stopped, &told).await }
    });
    for _ in 0..2 {
        // Without one before each kill, nothing would have to survive it.
        acknowledged(&mut acks).await;
        mongo.kill().await.unwrap();
        let began = Instant::now();
        assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
        assert!(began.elapsed() < BOUND);
        mongo.restart().await.unwrap();
        healed(&store).await;
    }
    acknowledged(&mut acks).await;
    stop.send(()).unwrap();
    let sent = sender.await.unwrap();
    judge(&store, &sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_database_refuses_in_time_and_heals() {
    let mongo = Mongo::start().await.unwrap();
    let store = node(&mongo.database_uri("chat")).await;
    let b = Arc::new(Bench::new(store.clone()));
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let first = b.send(&ann, &bob, "before").await;
    mongo.pause().await.unwrap();
    let sends = (0..20).map(|n| {
        let (b, mut message) = (b.clone(), b.message(&ann, &bob, &format!("n{n}")));
        message.client_message_id = Some(format!("c-{n}").parse().unwrap());
        tokio::spawn(async move {
            let began = Instant::now();
            let outcome = b.store.send(message.clone()).await;
            (message, outcome, began.elapsed())
        })
    });
    let mut refused = Vec::new();
    for send in sends.collect::<Vec<_>>() {
        let (message, outcome, took) = send.await.unwrap();
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
        assert!(took < BOUND, "{took:?}");
        refused.push(message);
    }
    let began = Instant::now();
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    let read = store.history(&first.chat_id, HistoryRange::Newest, 5).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))));
    assert!(began.elapsed() < 2 * BOUND);
    mongo.unpause().await.unwrap();
    healed(&store).await;
    // Whether or not the database did after all what we had given up on: a retry makes it one message, told of once.
    for mut message in refused {
        message.id = b.ids.message();
        let outcome = store.send(message).await.unwrap();
        assert!(matches!(outcome, SendOutcome::Stored(_)), "{outcome:?}");
    }
    let (items, _) = store
        .history(&first.chat_id, HistoryRange::Above(0), 100)
        .await
        .unwrap();
    assert_eq!(items.len(), 21);
    let list = store.chats(&bob, None, 5).await.unwrap();
    assert_eq!(list.items[0].unread, 21);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_an_error_within_seconds() {
    let began = Instant::now();
    let uri = format!("mongodb://ann:s3cret@127.0.0.1:9/{}", unique_name("none"));
    let Err(error) = MongoStore::open(&uri, StoreMetrics::default()).await else {
        panic!("opened")
    };
    assert!(began.elapsed() < Duration::from_secs(10));
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:9") && text.contains("MONGODB_URI"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    let Err(error) = MongoStore::open("mongodb://ann:s3c/ret@host/x", StoreMetrics::default()).await else {
        panic!("opened")
    };
    assert!(!error.to_string().contains("s3c"), "{error}");
}
