//! How MongoDB keeps what we write.

use chat_testcontainers::{Mongo, unique_name};
use mongodb::bson::{Bson, Document, doc};

use super::{node, open_own};

/// A collection's own pages and each index's, by name; the index of `_id` comes with the collection and is as MongoDB makes it.
fn made(stats: &Document) -> Vec<(String, String)> {
    let creation = |of: &Document| of.get_str("creationString").unwrap().to_owned();
    let own = ("itself".to_owned(), creation(stats.get_document("wiredTiger").unwrap()));
    let indexes = stats.get_document("indexDetails").unwrap().iter();
    let indexes = indexes.filter(|(name, _)| *name != "_id_").map(|(name, details)| {
        let Bson::Document(details) = details else {
            panic!("{name}")
        };
        (name.clone(), creation(details))
    });
    indexes.chain([own]).collect()
}

#[tokio::test]
async fn pages_are_small_enough_that_no_insert_waits_long_for_one() {
    let (store, _mongo, _) = open_own().await;
    for name in ["users", "sessions", "chats", "messages", "searchRuns"] {
        let stats = store.db.database.run_command(doc! {"collStats": name}).await.unwrap();
        for (part, creation) in made(&stats) {
            // What comes last counts.
            let (_, page) = creation.rsplit_once("memory_page_max=").unwrap();
            assert!(page.starts_with("1m"), "{name}, {part}: {creation}");
        }
    }
}

#[tokio::test]
async fn where_nobody_may_choose_pages_the_database_is_made_without() {
    let mongo = Mongo::start_with_fail_points().await.unwrap();
    let client = mongodb::Client::with_uri_str(mongo.uri()).await.unwrap();
    for command in ["create", "createIndexes"] {
        let refuse = doc! {
            "configureFailPoint": "failCommand", "mode": {"times": 1},
            "data": {"failCommands": [command], "errorCode": 72},
        };
        client.database("admin").run_command(refuse).await.unwrap();
        let store = node(&mongo.database_uri(&unique_name("plain"))).await;
        let stats = store
            .db
            .database
            .run_command(doc! {"collStats": "users"})
            .await
            .unwrap();
        let plain = made(&stats)
            .into_iter()
            .filter(|(_, creation)| !creation.contains("memory_page_max=1m"));
        let plain: Vec<String> = plain.map(|(part, _)| part).collect();
        let expected: &[&str] = match command {
            "create" => &["itself"],
            _ => &["username_key", "email_key", "username_grams"],
        };
        assert_eq!(plain, expected, "{command}");
    }
}
