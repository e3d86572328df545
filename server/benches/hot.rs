//! The hot pieces: the store, token verification, event encoding and decoding.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chat_protocol::event::NewMessage as Event;
use chat_protocol::{MessageType, SendMessage, Timestamp, UserId};
use chat_server::auth::token::Tokens;
use chat_server::id::IdSource;
use chat_server::metrics::StoreMetrics;
use chat_server::store::sqlite::SqliteStore;
use chat_server::store::{
    CreateOutcome, HistoryRange, MessageStore as _, NewMessage, NewUser, PasswordHash, Store as _, UserStore as _,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const STORED: usize = 50_000;

struct Filled {
    store: Arc<SqliteStore>,
    ids: Arc<IdSource>,
    me: UserId,
    peer: UserId,
    _dir: tempfile::TempDir,
}

fn message(ids: &IdSource, from: &UserId, to: &UserId, number: usize) -> NewMessage {
    NewMessage {
        id: ids.message(),
        new_chat: ids.chat(),
        sender: from.clone(),
        receiver: to.clone(),
        content: format!("message number {number} about something"),
        message_type: MessageType::Text,
        client_message_id: None,
        chat: None,
    }
}

async fn filled() -> Filled {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), StoreMetrics::default()).unwrap();
    let ids = Arc::new(IdSource::new());
    let mut users = Vec::new();
    for name in ["me", "peer"] {
        let user = NewUser {
            id: ids.user(),
            username: name.into(),
            email: format!("{name}@example.org"),
            password: PasswordHash(String::new()),
            created_at: Timestamp::now(),
        };
        let CreateOutcome::Created(user) = store.create_user(user).await.unwrap() else {
            panic!("no user")
        };
        users.push(user.id);
    }
    let filled = Filled {
        store,
        ids,
        me: users[0].clone(),
        peer: users[1].clone(),
        _dir: dir,
    };
    for start in (0..STORED).step_by(512) {
        send(&filled, start, 512).await;
    }
    filled.store.search_caught_up().await.unwrap();
    filled
}

/// So many at once.
async fn send(filled: &Filled, start: usize, count: usize) {
    let sends = (start..start + count).map(|number| {
        filled
            .store
            .send(message(&filled.ids, &filled.me, &filled.peer, number))
    });
    for outcome in futures_util::future::join_all(sends).await {
        outcome.unwrap();
    }
}

fn store(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let filled = runtime.block_on(filled());
    let chat = runtime
        .block_on(filled.store.chat_of(&filled.me, &filled.peer))
        .unwrap()
        .unwrap();
    let mut group = criterion.benchmark_group("store send");
    for at_once in [1, 64, 512] {
        group.throughput(Throughput::Elements(at_once as u64));
        group.bench_function(BenchmarkId::from_parameter(at_once), |bench| {
            bench.iter(|| runtime.block_on(send(&filled, 0, at_once)));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("store read");
    group.bench_function("page of 50", |bench| {
        bench.iter(|| {
            runtime
                .block_on(filled.store.history(&chat, HistoryRange::Below(20_000), 50))
                .unwrap()
        });
    });
    group.bench_function("list of chats", |bench| {
        bench.iter(|| runtime.block_on(filled.store.chats(&filled.me, None, 50)).unwrap());
    });
    for (name, text) in [
        ("search, rare", "number 49999 about"),
        ("search, common", "something"),
        ("search, two letters", "zq"),
    ] {
        group.bench_function(name, |bench| {
            bench.iter(|| {
                runtime
                    .block_on(filled.store.search_messages(&filled.me, text, None, None, 50))
                    .unwrap()
            });
        });
    }
    group.finish();
    runtime.block_on(filled.store.close());
}

fn tokens(criterion: &mut Criterion) {
    let config = |secret: &str| chat_server::config::TokenConfig {
        secret: chat_server::config::Secret(secret.into()),
        lifetime: Duration::from_secs(900),
    };
    let tokens = Tokens::with(
        &config("one secret that is longer than 32 bytes"),
        &config("another secret that is over 32 bytes"),
    );
    let ids = IdSource::new();
    let pair = tokens.issue(&ids.user(), "session", 1, 1).unwrap();
    criterion.bench_function("token verify", |bench| {
        bench.iter(|| tokens.verify_access(black_box(&pair.access_token)).unwrap())
    });
}

fn events(criterion: &mut Criterion) {
    let ids = IdSource::new();
    let event = Event {
        message_id: ids.message(),
        chat_id: ids.chat(),
        seq: Some(7),
        sender: ids.user(),
        receiver: ids.user(),
        content: "Hello, how are you today?".into(),
        message_type: MessageType::Text,
        timestamp: Timestamp::now(),
    };
    criterion.bench_function("event encode", |bench| {
        bench.iter(|| serde_json::to_string(black_box(&event)).unwrap())
    });
    let text = format!(
        r#"{{"to":"{}","content":"Hello, how are you today?","clientMessageId":"c-1"}}"#,
        ids.user()
    );
    criterion.bench_function("event decode", |bench| {
        bench.iter(|| serde_json::from_str::<SendMessage>(black_box(&text)).unwrap())
    });
}

criterion_group!(benches, store, tokens, events);
criterion_main!(benches);
