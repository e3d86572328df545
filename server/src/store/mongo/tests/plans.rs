//! Every query is answered from an index, in the order of the index.

use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::super::{behind, chats, group, indexer, messages, read_state, search, sessions, uncounted, users};
use super::open_own;
use crate::store::suite::Bench;
use crate::store::{HistoryRange, Store as _};

/// Stages anywhere in the plan.
fn stages(plan: &Bson, found: &mut Vec<String>) {
    match plan {
        Bson::Document(document) => {
            for (key, value) in document {
                // Plans that were thought of and not taken, and what was asked for.
                if ["rejectedPlans", "command", "pipeline"].contains(&key.as_str()) {
                    continue;
                }
                if let (true, Bson::String(stage)) = (key == "stage" || key == "strategy", value) {
                    found.push(stage.clone());
                }
                if let ("$sort", Bson::Document(sort)) = (key.as_str(), value)
                    && !sort.contains_key("limit")
                {
                    found.push("SORT".into());
                }
                stages(value, found);
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| stages(item, found)),
        _ => {}
    }
}

async fn explain(database: &Database, name: &str, command: Document) -> Document {
    let explained = doc! {"explain": command, "verbosity": "executionStats"};
    let plan = database.run_command(explained).await.unwrap();
    let mut found = Vec::new();
    stages(&Bson::Document(plan.clone()), &mut found);
    let bad = found
        .iter()
        .any(|stage| stage == "COLLSCAN" || stage == "SORT" || stage == "NestedLoopJoin");
    assert!(!bad, "{name}: {found:?}\n{plan}");
    let indexed = [
        "IXSCAN",
        "DISTINCT_SCAN",
        "IDHACK",
        "COUNT_SCAN",
        "EXPRESS_IXSCAN",
        "EXPRESS",
    ];
    assert!(
        found.iter().any(|stage| indexed.contains(&stage.as_str())),
        "{name}: {found:?}\n{plan}"
    );
    plan
}

fn find(collection: &str, filter: Document, sort: Document) -> Document {
    doc! {"find": collection, "filter": filter, "sort": sort, "limit": 50}
}

#[tokio::test]
async fn no_query_scans_or_sorts() {
    let (store, _mongo, _) = open_own().await;
    let b = Bench::new(store.clone());
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    for n in 0..30 {
        let other = b.user(&format!("other{n}")).await;
        b.send(&ann, &other, "a word among others").await;
        b.send(&ann, &bob, "some text").await;
    }
    store.search_caught_up().await.unwrap();
    b.send(&ann, &bob, "fresh").await;
    let db = &store.db.database;
    let id = |id: &str| ObjectId::parse_str(id).unwrap();
    let (me, peer) = (id(ann.as_str()), id(bob.as_str()));
    let chat = chats::of(&store.db, &ann, &bob).await.unwrap().unwrap();
    let chat = id(chat.as_str());
    let none = Document::new;

    for (name, range) in [
        ("newest page", HistoryRange::Newest),
        ("page below", HistoryRange::Below(20)),
        ("page above", HistoryRange::Above(5)),
    ] {
        let (filter, sort) = messages::page(chat, range);
        explain(db, name, find("messages", filter, sort)).await;
    }
    let newest = doc! {"seq": -1};
    explain(db, "message by id", find("messages", doc! {"_id": me}, none())).await;
    explain(
        db,
        "messages by id",
        find("messages", doc! {"_id": {"$in": [me, peer]}}, none()),
    )
    .await;
    explain(
        db,
        "uncounted of a chat",
        find("messages", behind::above(chat, 3), doc! {"seq": 1}),
    )
    .await;
    explain(
        db,
        "newest until",
        find("messages", chats::newest_until(chat, i64::MAX), newest.clone()),
    )
    .await;
    explain(
        db,
        "first of chats",
        find("messages", doc! {"chatId": {"$in": [chat]}, "seq": 1}, none()),
    )
    .await;
    explain(
        db,
        "unread of a chat",
        find("messages", read_state::unread_in(chat, 9, peer), newest),
    )
    .await;
    explain(
        db,
        "repeats",
        find("messages", doc! {"$or": [group::repeats(me, &["a", "b"])]}, none()),
    )
    .await;
    explain(db, "uncounted of a user", find("messages", uncounted::of(me), none())).await;
    explain(
        db,
        "uncounted of before",
        find("messages", uncounted::before(i64::MAX), none()),
    )
    .await;
    let by_order = doc! {"order": -1};
    for only in [None, Some(chat)] {
        let filter = search::saying(search::changed(me, only, i64::MAX), "a word");
        explain(db, "search, changed", find("messages", filter, by_order.clone())).await;
    }
    let mut one = chats::with(me);
    one.insert("_id", chat);
    explain(db, "place to search", find("chats", one, chats::by_id())).await;
    let filter = search::saying(behind::above(chat, 3), "a word");
    explain(db, "search, not indexed", find("messages", filter, doc! {"seq": -1})).await;
    let many: Vec<i64> = (0..i64::try_from(search::TOGETHER).unwrap()).collect();
    for tokens in [&many[..], &many[..1]] {
        let mut filter = search::with_tokens(tokens, 3..i64::MAX);
        filter.insert("oldest", doc! {"$lt": 9_i64});
        explain(db, "search", find("searchRuns", filter, by_order.clone())).await;
    }
    explain(
        db,
        "entries about a message",
        find("searchRuns", search::about(chat, 7), none()),
    )
    .await;
    let entry = doc! {"chatId": chat, "from": 3_i64, "to": 9_i64};
    let filter = search::saying(search::messages_of(&entry).unwrap(), "a word");
    explain(db, "messages of an entry", find("messages", filter, doc! {"seq": -1})).await;
    let filter = indexer::between(chat, 3, 9);
    explain(db, "to be indexed", find("messages", filter, doc! {"seq": 1})).await;
    let count = doc! {"aggregate": "searchRuns", "cursor": {}, "pipeline": [
        {"$match": search::with_tokens(&many, 3..i64::MAX)}, {"$limit": 1000}, {"$group": {"_id": 1, "n": {"$sum": 1}}},
    ]};
    explain(db, "rarest token", count).await;
    for whose in [
        indexer::Whose::Own(3),
        indexer::Whose::Left(i64::MAX),
        indexer::Whose::All,
    ] {
        explain(
            db,
            "chats to be indexed",
            find("chats", indexer::waiting(whose), none()),
        )
        .await;
        explain(
            db,
            "to be indexed anew",
            find("messages", indexer::changed(whose), none()),
        )
        .await;
    }

    explain(
        db,
        "chat of two",
        find("chats", doc! {"pair": chats::pair(&me, &peer)}, none()),
    )
    .await;
    explain(
        db,
        "partners and places to search",
        find("chats", chats::with(me), chats::by_id()),
    )
    .await;
    let by_activity = chats::by_activity(me, doc! {"$gt": 0_i64, "$lt": i64::MAX});
    explain(db, "list of chats", find("chats", by_activity, by_order)).await;
    let next = doc! {"_id": {"$gt": chat}, "pair": {"$exists": true}};
    explain(db, "all chats", find("chats", next, doc! {"_id": 1})).await;
    let pairs = find("chats", doc! {"pair": {"$in": [chats::pair(&me, &peer)]}}, none());
    explain(db, "chats of pairs", pairs).await;
    let other = b.user("another").await;
    b.send(&ann, &other, "one").await;
    let second = chats::of(&store.db, &ann, &other).await.unwrap().unwrap();
    for n in 0..20 {
        b.send(&ann, &other, &n.to_string()).await;
    }
    let newest = group::newest(&[chat, id(second.as_str())]).to_vec();
    let newest = doc! {"aggregate": "messages", "pipeline": newest, "cursor": {}};
    let plan = explain(db, "newest seqs", newest).await;
    let looked = plan.get_array("stages").unwrap()[0].as_document().unwrap();
    let looked = looked.get_document("$cursor").unwrap();
    let looked = looked.get_document("executionStats").unwrap();
    let examined = ["totalDocsExamined", "totalKeysExamined"].map(|key| super::super::row::int(looked, key).unwrap());
    assert_eq!(
        examined,
        [2, 4],
        "of each chat the newest and one step beyond, however long it is: {looked}"
    );

    let by_name = doc! {"usernameKey": 1};
    explain(db, "user by name", find("users", doc! {"usernameKey": "ann"}, none())).await;
    explain(
        db,
        "user by address",
        find("users", doc! {"email": "ann@example.com"}, none()),
    )
    .await;
    explain(
        db,
        "active users",
        find("users", doc! {"_id": {"$in": [me]}, "isActive": true}, none()),
    )
    .await;
    explain(
        db,
        "users by prefix",
        find("users", users::beginning("ot", "other1"), by_name.clone()),
    )
    .await;
    let containing = users::containing("ther", "the", "other1");
    explain(db, "users by part", find("users", containing, by_name.clone())).await;
    explain(
        db,
        "all users",
        find("users", doc! {"usernameKey": {"$gt": "b"}}, by_name),
    )
    .await;

    explain(
        db,
        "session",
        doc! {"aggregate": "sessions", "pipeline": sessions::with_user("s"), "cursor": {}},
    )
    .await;
    explain(
        db,
        "sessions of a user",
        find("sessions", doc! {"user": me, "_id": {"$ne": "s"}}, none()),
    )
    .await;
    let expired = doc! {"expiresAt": {"$lt": mongodb::bson::DateTime::now()}};
    explain(db, "expired sessions", find("sessions", expired, none())).await;
}
