//! Every statement that the store runs, as SQLite itself tells of it, and how SQLite means to run it.
//!
//! A query without its index is right and passes every other test; it only costs more with every message that is stored. So
//! the suite is run once more under SQLite's trace, and each statement that was seen is explained.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;
use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use tempfile::TempDir;

use super::SqliteStore;
use super::reader::open;
use super::schema::Database;
use crate::metrics::StoreMetrics;
use crate::store::suite::Bench;
use crate::store::{CreateOutcome, Store as _, UserStore as _};

/// Tables that grow with use. `reindex` holds what the indexer has yet to do, and is meant to be read as a whole.
const GROWING: [&str; 5] = ["messages", "members", "users", "chats", "sessions"];

/// What was seen on any connection of this process: a store opens its connections by itself, whenever it needs one more.
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Listens to a connection.
pub(super) fn watch(db: &mut Connection) {
    let listened = db.trace_v2(
        TraceEventCodes::SQLITE_TRACE_STMT,
        Some(|event: TraceEvent<'_>| {
            // The text of the statement, not what is passed with it: FTS5 reports its inner statements as comments there.
            if let TraceEvent::Stmt(statement, _) = event {
                let sql = statement.sql().into_owned();
                SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(sql);
            }
        }),
    );
    listened.unwrap();
}

/// Each line of a plan that reads a whole table, or sorts.
fn faults(db: &Connection, sql: &str) -> Vec<String> {
    let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = explain.raw_query();
    let mut faults = Vec::new();
    // Names that stand for a growing table in this statement.
    let names: Vec<String> = GROWING.iter().flat_map(|table| aliases(sql, table)).collect();
    while let Some(row) = rows.next().unwrap() {
        let step: String = row.get(3).unwrap();
        let scanned = step
            .strip_prefix("SCAN ")
            .map(|rest| rest.split(' ').next().unwrap_or(rest));
        let sorts = step.contains("TEMP B-TREE");
        if sorts || scanned.is_some_and(|name| names.iter().any(|known| known == name)) {
            faults.push(step);
        }
    }
    faults
}

/// The table's own name and every name that this statement gives it.
fn aliases(sql: &str, table: &str) -> Vec<String> {
    let words: Vec<&str> = sql.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let mut names = vec![table.to_owned()];
    for (at, word) in words.iter().enumerate() {
        if *word == table {
            let next = words.get(at + 1).copied().unwrap_or_default();
            let alias = if next.eq_ignore_ascii_case("as") {
                words.get(at + 2).copied().unwrap_or_default()
            } else {
                next
            };
            names.push(alias.to_owned());
        }
    }
    names
}

/// Statements of ours: neither pragmas and transactions nor what makes the tables.
fn is_query(sql: &str) -> bool {
    ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"]
        .iter()
        .any(|verb| sql.trim_start().starts_with(verb))
}

fn on_writer(dir: &Path, database: Database) -> Connection {
    Connection::open(dir.join(database.file())).unwrap()
}

#[tokio::test]
async fn no_query_reads_a_whole_table_or_sorts() {
    super::tests::whole_suite().await;
    // What the suite has no need of, but the server has.
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(dir.path(), StoreMetrics::default()).unwrap();
    store.check().await.unwrap();
    let bench = Bench::new(store.clone());
    // So many matches that they are walked instead of sorted.
    let users = (0..1100).map(|number| bench.new_user(&format!("match{number}")));
    for created in join_all(users.map(|user| store.create_user(user))).await {
        assert!(matches!(created.unwrap(), CreateOutcome::Created(_)));
    }
    assert_eq!(store.search_users("match", None, 5).await.unwrap().items.len(), 5);
    store.close().await;
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let dir = dir.path();
    let databases = [
        open(dir).unwrap(),
        on_writer(dir, Database::Chat),
        on_writer(dir, Database::Presence),
        on_writer(dir, Database::Search),
    ];
    let (mut explained, mut wrong) = (0, Vec::new());
    for sql in seen.iter().filter(|sql| is_query(sql)) {
        // Each statement belongs to one of the connections; to the others its tables are unknown.
        let Some(db) = databases.iter().find(|db| db.prepare(sql).is_ok()) else {
            panic!("no connection knows {sql}");
        };
        explained += 1;
        wrong.extend(
            faults(db, sql)
                .into_iter()
                .map(|fault| format!("{fault}\n    in {sql}")),
        );
    }
    assert!(explained > 40, "only {explained} statements were seen");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_query_without_an_index_is_found() {
    let dir = TempDir::new().unwrap();
    drop(super::open(dir.path(), Database::Chat).unwrap());
    let db = on_writer(dir.path(), Database::Chat);
    for (sql, fault) in [
        ("SELECT m.id FROM messages m WHERE content = ?1", "SCAN m"),
        (
            "SELECT x.id FROM members p JOIN messages AS x WHERE p.user = 1 AND x.read_at = 2",
            "SCAN x",
        ),
        ("DELETE FROM sessions WHERE created_at < ?1", "SCAN sessions"),
        (
            "SELECT id FROM messages WHERE chat = ?1 ORDER BY sent_at LIMIT ?2",
            "USE TEMP B-TREE FOR ORDER BY",
        ),
    ] {
        assert_eq!(faults(&db, sql), [fault], "{sql}");
    }
    assert!(faults(&db, "SELECT id FROM messages m WHERE chat = ?1 ORDER BY seq").is_empty());
}
