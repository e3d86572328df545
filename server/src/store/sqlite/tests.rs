//! What this backend promises beyond the suite.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, LazyLock};

use chat_protocol::{Message, MessageType};
use tempfile::TempDir;

use super::ledger::Ledger;
use super::messages::send;
use super::read_state::{self, Scope};
use super::schema::Database;
use super::{Clock, SqliteStore};
use crate::id::IdSource;
use crate::metrics::StoreMetrics;
use crate::store::suite::{Bench, store_suite};
use crate::store::{
    HistoryRange, MessageStore as _, NewMessage, ReadOutcome, SendOutcome, Store, StoreError, UserStore as _,
};

async fn open() -> (Arc<dyn Store>, TempDir) {
    let dir = TempDir::new().unwrap();
    (SqliteStore::open(dir.path(), StoreMetrics::default()).unwrap(), dir)
}

store_suite!(open());

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let (store, dir) = open().await;
    let b = Bench::new(store);
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let sent = b.send(&ann, &bob, "kept").await;
    b.store.close().await;
    assert!(matches!(
        b.store.chat_of(&ann, &bob).await,
        Err(StoreError::Unavailable(_))
    ));
    drop(b);
    let b = Bench::new(SqliteStore::open(dir.path(), StoreMetrics::default()).unwrap());
    let (items, _) = b.store.history(&sent.chat_id, HistoryRange::Newest, 5).await.unwrap();
    assert_eq!(items, std::slice::from_ref(&sent));
    let next = b.send(&bob, &ann, "next").await;
    assert_eq!(next.seq, Some(2));
    assert!(next.timestamp >= sent.timestamp);
}

#[tokio::test]
async fn two_servers_cannot_share_a_directory() {
    let (_store, dir) = open().await;
    let second = SqliteStore::open(dir.path(), StoreMetrics::default());
    let Err(StoreError::Unavailable(text)) = second else {
        panic!("opened twice")
    };
    assert!(text.contains("another server uses"), "{text}");
    assert!(SqliteStore::open_beside(dir.path()).is_ok());
    assert!(SqliteStore::open_beside(&dir.path().join("none")).is_err());
}

#[tokio::test]
async fn an_index_of_before_merges_as_a_new_one_does_and_still_finds_what_it_has() {
    let (store, dir) = open().await;
    let b = Bench::new(store);
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let sent = b.send(&ann, &bob, "a needle in a haystack").await;
    b.store.search_caught_up().await.unwrap();
    b.store.close().await;
    drop(b);
    let file = dir.path().join(Database::Search.file());
    let index = rusqlite::Connection::open(file).unwrap();
    let merges = |index: &rusqlite::Connection| -> Vec<i64> {
        let mut settings = index
            .prepare("SELECT v FROM trigrams_config WHERE k IN ('automerge', 'crisismerge') ORDER BY v")
            .unwrap();
        let values = settings.query_map([], |row| row.get(0)).unwrap();
        values.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(merges(&index), [16, 32]);
    // As it was made before.
    index
        .execute_batch("DELETE FROM trigrams_config WHERE k LIKE '%merge'; PRAGMA user_version = 1;")
        .unwrap();
    let store = SqliteStore::open(dir.path(), StoreMetrics::default()).unwrap();
    assert_eq!(merges(&index), [16, 32]);
    let found = store.search_messages(&bob, "needle", None, None, 5).await.unwrap();
    assert_eq!(found.items, [sent]);
}

#[tokio::test]
async fn more_than_is_read_at_once_is_indexed_all_the_same() {
    let (store, dir) = open().await;
    let b = Bench::new(store);
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let filling = "hay ".repeat(300_000);
    for number in 0..8 {
        b.send(&ann, &bob, &format!("{filling}needle{number}")).await;
    }
    b.store.search_caught_up().await.unwrap();
    let index = rusqlite::Connection::open(dir.path().join(Database::Search.file())).unwrap();
    let of_needles = "SELECT count(*) FROM trigrams WHERE trigrams MATCH '\"edl\"'";
    let counts = ["SELECT indexed FROM progress", of_needles]
        .map(|query| index.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap());
    assert_eq!(counts, [8, 8]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let dir = TempDir::new().unwrap();
    std::fs::write(
        dir.path().join("chat.db"),
        "this is a text, and long enough to be read as a page".repeat(40),
    )
    .unwrap();
    let Err(StoreError::Broken(text)) = SqliteStore::open(dir.path(), StoreMetrics::default()) else {
        panic!()
    };
    assert!(text.contains("chat.db"), "{text}");
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_left_alone() {
    let (store, dir) = open().await;
    store.close().await;
    drop(store);
    let db = rusqlite::Connection::open(dir.path().join("chat.db")).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let Err(StoreError::Broken(text)) = SqliteStore::open(dir.path(), StoreMetrics::default()) else {
        panic!()
    };
    assert!(text.contains("run the newer program"), "{text}");
}

#[tokio::test]
async fn the_search_index_may_be_deleted() {
    let (store, dir) = open().await;
    let b = Bench::new(store);
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    b.send(&ann, &bob, "to be found").await;
    b.store.search_caught_up().await.unwrap();
    b.store.close().await;
    drop(b);
    for file in ["search.db", "search.db-wal", "search.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(file));
    }
    let store = SqliteStore::open(dir.path(), StoreMetrics::default()).unwrap();
    store.search_caught_up().await.unwrap();
    use crate::store::MessageStore as _;
    let page = store.search_messages(&bob, "found", None, None, 5).await.unwrap();
    assert_eq!(page.items.len(), 1);
}

/// A full disk refuses writes, undoes nothing that was acknowledged, and heals when there is room again.
#[tokio::test]
async fn a_full_disk_refuses_and_heals() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(dir.path(), StoreMetrics::default()).unwrap();
    let b = Bench::new(store.clone());
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let limit = |pages: i64| {
        store.writer.run(move |db| {
            let now: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
            let max = if pages == 0 {
                i64::from(u32::MAX) - 1
            } else {
                now + pages
            };
            db.query_row(&format!("PRAGMA max_page_count = {max}"), [], |_| Ok(()))
                .unwrap();
            Ok(())
        })
    };
    limit(8).await.unwrap();
    let mut acknowledged = Vec::new();
    let refusal = loop {
        match store_send(&b, &ann, &bob).await {
            Ok(SendOutcome::Stored(message)) => acknowledged.push(message),
            Err(error) => break error,
            Ok(other) => panic!("{other:?}"),
        }
        assert!(acknowledged.len() < 1000, "the disk never got full");
    };
    assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal}");
    limit(0).await.unwrap();
    let next = b.send(&ann, &bob, "room again").await;
    assert_eq!(next.seq, Some(acknowledged.len() as u64 + 1));
    let (items, _) = b
        .store
        .history(&next.chat_id, HistoryRange::Above(0), 2000)
        .await
        .unwrap();
    assert_eq!(items[..acknowledged.len()], acknowledged);
}

async fn store_send(
    b: &Bench,
    from: &chat_protocol::UserId,
    to: &chat_protocol::UserId,
) -> Result<SendOutcome, StoreError> {
    b.store.send(b.message(from, to, &"x".repeat(4000))).await
}

/// The writer remembers users and chats between messages; an operator's command works beside it.
#[tokio::test]
async fn what_an_operator_changes_beside_the_server_is_noticed() {
    let (store, dir) = open().await;
    let b = Bench::new(store);
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    b.send(&ann, &bob, "one").await;
    let operator = SqliteStore::open_beside(dir.path()).unwrap();
    assert!(operator.set_active(&bob, false).await.unwrap());
    let refused = b.store.send(b.message(&ann, &bob, "two")).await.unwrap();
    assert_eq!(refused, SendOutcome::UserNotFound);
    assert!(operator.set_active(&bob, true).await.unwrap());
    assert_eq!(b.send(&ann, &bob, "three").await.seq, Some(2));
}

/// The ledger of a store with two users, ann and bob, who are 1 and 2.
pub(super) fn ledger(dir: &TempDir) -> Ledger {
    let db = super::open(dir.path(), Database::Chat).unwrap();
    for name in ["ann", "bob"] {
        let sql = "INSERT INTO users (id, username, username_key, email, password, created_at) VALUES (?1, ?1, ?1, ?1, '', 0)";
        db.execute(sql, [name]).unwrap();
    }
    Ledger::new(db)
}

pub(super) fn clock() -> Clock {
    Clock(AtomicI64::new(0))
}

pub(super) fn message(from: &str, to: &str, content: &str) -> NewMessage {
    static IDS: LazyLock<IdSource> = LazyLock::new(IdSource::new);
    NewMessage {
        id: IDS.message(),
        new_chat: IDS.chat(),
        sender: from.parse().unwrap(),
        receiver: to.parse().unwrap(),
        content: content.to_owned(),
        message_type: MessageType::Text,
        client_message_id: None,
        chat: None,
    }
}

/// What is stored of the members of the only chat: unread messages, and the last one.
fn members(ledger: &Ledger) -> Vec<(i64, i64)> {
    let of = |user: i64| {
        (ledger.db())
            .query_row("SELECT unread, last_num FROM members WHERE user = ?1", [user], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap()
    };
    vec![of(1), of(2)]
}

/// What was remembered of a group that was undone would leave a hole in `seq`, or a chat that does not exist.
#[test]
fn an_undone_group_is_forgotten() {
    let dir = TempDir::new().unwrap();
    let mut ledger = ledger(&dir);
    ledger.begin().unwrap();
    let chat = ledger.create_chat("chat".parse().unwrap(), 1, 2).unwrap();
    ledger.count(&chat, 1, 1, 2);
    ledger.roll_back().unwrap();
    ledger.begin().unwrap();
    assert!(ledger.chat(1, 2).unwrap().is_none());
    let chat = ledger.create_chat("chat".parse().unwrap(), 2, 1).unwrap();
    assert_eq!(chat.last_seq, 0);
    ledger.commit().unwrap();
    assert_eq!(
        members(&ledger),
        [(0, 0), (0, 0)],
        "a counter of the undone group was written"
    );
}

/// All of it in one group, so that nothing is in the store's counters yet when it is read.
#[test]
fn what_a_group_sends_it_may_read_and_all_is_counted() {
    let dir = TempDir::new().unwrap();
    let (mut ledger, clock) = (ledger(&dir), clock());
    let bob = "bob".parse().unwrap();
    ledger.begin().unwrap();
    let sent: Vec<Message> = ["one", "two", "three"]
        .map(|content| send(&mut ledger, &clock, message("ann", "bob", content)).unwrap())
        .map(|outcome| match outcome {
            SendOutcome::Stored(message) => message,
            other => panic!("{other:?}"),
        })
        .into();
    send(&mut ledger, &clock, message("bob", "ann", "four")).unwrap();
    let mut mark = |scope| match read_state::mark(&mut ledger, &bob, &scope, clock.now()).unwrap() {
        ReadOutcome::Done(marks) => marks.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(mark(Scope::MessageIn(sent[1].id.clone(), sent[1].chat_id.clone())), 1);
    assert_eq!(mark(Scope::Messages(vec![sent[1].id.clone()])), 0, "it is read already");
    assert_eq!(mark(Scope::Chat(sent[0].chat_id.clone())), 2, "the other two");
    send(&mut ledger, &clock, message("ann", "bob", "five")).unwrap();
    ledger.commit().unwrap();
    assert_eq!(members(&ledger), [(1, 5), (1, 5)]);
}
