//! Whether calls cost the same when a thousand times more is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_protocol::{MessageType, Timestamp, UserId};
use chat_server::id::IdSource;
use chat_server::metrics::StoreMetrics;
use chat_server::store::sqlite::SqliteStore;
use chat_server::store::{CreateOutcome, HistoryRange, NewMessage, NewUser, PasswordHash, Store};

use super::row;

/// Messages under way while the store is filled.
const PRODUCERS: usize = 512;
const USERS: usize = 60;
const ROUNDS: usize = 400;

pub(crate) async fn measure() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path(), StoreMetrics::default()).expect("a store");
    compare(store).await;
}

/// With 1,000 messages, then with 1,000,000.
pub(crate) async fn compare(store: Arc<dyn Store>) {
    let users = users(&*store, USERS).await;
    let ids = Arc::new(IdSource::new());
    fill(&store, &ids, &users, 1_000).await;
    let small = costs(&*store, &ids, &users).await;
    fill(&store, &ids, &users, 999_000).await;
    store.search_caught_up().await.expect("an index");
    let large = costs(&*store, &ids, &users).await;
    for (index, what) in ["page of 50", "list of chats", "send"].into_iter().enumerate() {
        let ratio = large[index].as_secs_f64() / small[index].as_secs_f64();
        let got = format!(
            "{:.0} → {:.0} µs = {ratio:.2}×",
            small[index].as_secs_f64() * 1e6,
            large[index].as_secs_f64() * 1e6
        );
        row(
            &format!("{what}, 1,000 → 1,000,000 messages, median"),
            got,
            "less than 1.3×",
            ratio < 1.3,
        );
    }
    search(&*store, &ids, &users).await;
    store.close().await;
}

/// A word that one of a million own messages has.
async fn search(store: &dyn Store, ids: &IdSource, users: &[UserId]) {
    let mut rare = message(ids, &users[1], &users[0], 0);
    rare.content = "the number of this message is a xylophone".into();
    store.send(rare).await.expect("a send");
    store.search_caught_up().await.expect("an index");
    let mut times = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        let found = store.search_messages(&users[0], "xylophone", None, None, 20).await;
        assert_eq!(found.expect("a page").items.len(), 1);
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    row(
        "search of a rare word in 1,000,000 own messages, median",
        format!(
            "{:.1} ms, at most {:.1}",
            median.as_secs_f64() * 1e3,
            worst.as_secs_f64() * 1e3
        ),
        "less than 100 ms",
        median < Duration::from_millis(100),
    );
}

pub(crate) async fn users(store: &dyn Store, count: usize) -> Vec<UserId> {
    let ids = IdSource::new();
    let mut users = Vec::new();
    for number in 0..count {
        let user = NewUser {
            id: ids.user(),
            username: format!("user{number}"),
            email: format!("user{number}@example.org"),
            password: PasswordHash(String::new()),
            created_at: Timestamp::now(),
        };
        match store.create_user(user).await.expect("a user") {
            CreateOutcome::Created(user) => users.push(user.id),
            other => panic!("{other:?}"),
        }
    }
    users
}

pub(crate) fn message(ids: &IdSource, from: &UserId, to: &UserId, number: usize) -> NewMessage {
    NewMessage {
        id: ids.message(),
        new_chat: ids.chat(),
        sender: from.clone(),
        receiver: to.clone(),
        content: format!("message number {number} of this sender"),
        message_type: MessageType::Text,
        client_message_id: None,
        chat: None,
    }
}

/// Everybody writes to the first user, who has a chat with each of the others.
async fn fill(store: &Arc<dyn Store>, ids: &Arc<IdSource>, users: &[UserId], count: usize) {
    let tasks = (0..PRODUCERS).map(|producer| {
        let (store, ids, to) = (store.clone(), ids.clone(), users[0].clone());
        let others = users[1..].to_vec();
        tokio::spawn(async move {
            for number in (producer..count).step_by(PRODUCERS) {
                let from = &others[number % others.len()];
                store.send(message(&ids, from, &to, number)).await.expect("a send");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a producer");
    }
}

async fn costs(store: &dyn Store, ids: &IdSource, users: &[UserId]) -> [Duration; 3] {
    let (me, peer) = (&users[0], &users[1]);
    let chat = store.chat_of(me, peer).await.expect("a look").expect("a chat");
    let (mut page, mut chats, mut send) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let began = Instant::now();
        // A page from the middle: the oldest parts must be as near as the newest.
        let range = if round % 2 == 0 {
            HistoryRange::Newest
        } else {
            HistoryRange::Above(8)
        };
        store.history(&chat, range, 50).await.expect("a page");
        page.push(began.elapsed());
        let began = Instant::now();
        store.chats(me, None, 50).await.expect("a list");
        chats.push(began.elapsed());
        let began = Instant::now();
        store.send(message(ids, peer, me, round)).await.expect("a send");
        send.push(began.elapsed());
    }
    [page, chats, send].map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}
