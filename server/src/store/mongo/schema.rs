//! Collections, their validators and indexes, and their versions.

use std::collections::HashMap;
use std::future::IntoFuture as _;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use mongodb::IndexModel;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{IndexOptions, ReturnDocument};

use super::call::{call, code, failure};
use super::indexer::{self, Whose};
use super::{Db, behind, row, uncounted};
use crate::store::{StoreError, StoreResult};

/// The version that this program makes and knows. Every step can be taken twice, by two nodes at the same time too: it makes
/// what is missing. So a step that was cut short is made whole by the next start.
pub(super) const VERSION: i64 = 3;

/// Building an index over what is there already may take long.
const PATIENCE: Duration = Duration::from_secs(600);
/// A page that has grown to its largest size, by default 10 MiB, is written out by whoever inserts next, and all inserts wait for it.
const SMALL_PAGES: &str = "memory_page_max=1m";
/// Said when a collection exists that was to be made.
const EXISTS: i32 = 48;

/// What to do about a database of the Express server that has not been adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Legacy {
    Refuse,
    Adopt,
}

/// Brings the database to [`VERSION`]. A database of a newer program is left alone.
pub(super) async fn migrate(db: &Db, legacy: Legacy) -> StoreResult<()> {
    let version = version(db).await?;
    if version > VERSION {
        return Err(StoreError::Broken(format!(
            "the database has version {version}, this program knows versions up to {VERSION}: run the newer program"
        )));
    }
    if version == 0 && legacy == Legacy::Refuse && has_foreign_data(db).await? {
        return Err(StoreError::Broken(
            "the database has users or messages of another program: stop that, back the database up, and run \
             `chat-server migrate --from-legacy`; or name another database in MONGODB_URI"
                .into(),
        ));
    }
    if version < VERSION {
        if version == 2 {
            index_anew(db).await?;
        }
        for (name, validator) in validators() {
            make_collection(db, name, validator).await?;
        }
        for (collection, indexes) in indexes(db) {
            make_indexes(collection, indexes).await?;
        }
        follow_chats(db).await?;
        if legacy == Legacy::Refuse {
            done(db).await?;
        }
    }
    Ok(())
}

/// Version 2: chats say up to where they are counted and indexed. Before, each message said it, and the index had other entries.
async fn follow_chats(db: &Db) -> StoreResult<()> {
    let silent = doc! {"pair": {"$exists": true}, "indexed": {"$exists": false}};
    let any = doc! {"$gt": ["$lastSeq", 0_i64]};
    let nothing = doc! {"indexed": 0_i64, "waiting": {"$cond": [any, "$participants", "$$REMOVE"]}};
    call(PATIENCE, db.chats.update_many(silent, vec![doc! {"$set": nothing}])).await?;
    call(PATIENCE, db.database.collection::<Document>("searchIndex").drop()).await?;
    // Whether what is marked was counted, nothing says any more.
    let marked = indexer::changed(Whose::All);
    let find = async {
        let mut found = db
            .messages
            .find(marked)
            .projection(doc! {"chatId": 1, "seq": 1})
            .await?;
        let mut newest = HashMap::new();
        while let Some(message) = found.try_next().await? {
            if let (Ok(chat), Ok(seq)) = (message.get_object_id("chatId"), row::int(&message, "seq")) {
                uncounted::reaches(&mut newest, chat, seq);
            }
        }
        Ok(newest)
    };
    let newest = call(PATIENCE, Box::pin(find)).await?;
    behind::reach(db, newest, Document::new()).await
}

/// Version 3: tokens name stretches of chats. Before, they named chats, and were in another collection: what a node of now indexes
/// meanwhile stays.
async fn index_anew(db: &Db) -> StoreResult<()> {
    let indexed = doc! {"indexed": {"$gt": 0_i64}};
    let not = vec![doc! {"$set": {"indexed": 0_i64, "waiting": "$participants"}}];
    call(PATIENCE, db.chats.update_many(indexed, not)).await?;
    call(PATIENCE, db.database.collection::<Document>("searchEntries").drop()).await
}

/// Says that the database has this version now.
pub(super) async fn done(db: &Db) -> StoreResult<()> {
    for _ in 0..5 {
        let set = doc! {"$max": {"version": VERSION}};
        let update = db
            .meta
            .find_one_and_update(doc! {"_id": "schema"}, set)
            .upsert(true)
            .return_document(ReturnDocument::After);
        match update.await {
            Ok(_) => {
                tracing::info!(version = VERSION, "database migrated");
                return Ok(());
            }
            // Another node has just said so.
            Err(error) if super::call::duplicate(&error).is_some() => {}
            Err(error) => return Err(failure(error)),
        }
    }
    Err(StoreError::Unavailable("the version could not be written".into()))
}

async fn version(db: &Db) -> StoreResult<i64> {
    let found = db.call(db.meta.find_one(doc! {"_id": "schema"})).await?;
    Ok(found
        .and_then(|found| super::row::int(&found, "version").ok())
        .unwrap_or(0))
}

/// Whether somebody wrote here before the first version of ours.
async fn has_foreign_data(db: &Db) -> StoreResult<bool> {
    let ours = doc! {"usernameKey": {"$exists": true}};
    for collection in [&db.users, &db.messages, &db.chats] {
        if db.call(collection.find_one(doc! {})).await?.is_some() {
            // Another node of ours may have made its first user before the version was written.
            return Ok(db.call(db.users.find_one(ours)).await?.is_none());
        }
    }
    Ok(false)
}

async fn make_collection(db: &Db, name: &str, validator: Document) -> StoreResult<()> {
    // What was there before and does not fit may stay as it is; what is written anew must fit.
    let rules = doc! {"validator": validator, "validationLevel": "moderate", "validationAction": "error"};
    let mut plain = doc! {"create": name};
    plain.extend(rules.clone());
    let mut small = plain.clone();
    small.insert("storageEngine", small_pages());
    let make =
        async |command| match tokio::time::timeout(PATIENCE, db.database.run_command(command).into_future()).await {
            Ok(Err(error)) if code(&error) == Some(EXISTS) => {
                let mut change = doc! {"collMod": name};
                change.extend(rules.clone());
                call(PATIENCE, db.database.run_command(change)).await.map(drop)
            }
            Ok(made) => made.map(drop).map_err(failure),
            Err(_) => Err(StoreError::Unavailable("MongoDB did not answer in time".into())),
        };
    match make(small).await {
        // Another engine, or a service that lets nobody choose.
        Err(StoreError::Broken(reason)) => {
            tracing::debug!(reason, collection = name, "no small pages");
            make(plain).await
        }
        made => made,
    }
}

async fn make_indexes(collection: &mongodb::Collection<Document>, mut indexes: Vec<IndexModel>) -> StoreResult<()> {
    let plain = indexes.clone();
    for options in indexes.iter_mut().filter_map(|index| index.options.as_mut()) {
        options.storage_engine = Some(small_pages());
    }
    match call(PATIENCE, collection.create_indexes(indexes)).await {
        Err(StoreError::Broken(reason)) => {
            tracing::debug!(reason, collection = collection.name(), "no small pages");
            call(PATIENCE, collection.create_indexes(plain)).await.map(drop)
        }
        made => made.map(drop),
    }
}

fn small_pages() -> Document {
    doc! {"wiredTiger": {"configString": SMALL_PAGES}}
}

fn validators() -> [(&'static str, Document); 5] {
    let object = |required: &[&str], properties: Document| {
        let required: Vec<Bson> = required.iter().map(|name| Bson::from(*name)).collect();
        doc! {"$jsonSchema": {"bsonType": "object", "required": required, "properties": properties}}
    };
    let id = || doc! {"bsonType": "objectId"};
    let text = || doc! {"bsonType": "string"};
    let date = || doc! {"bsonType": "date"};
    let maybe = |kind: &str| doc! {"bsonType": [kind, "null"]};
    let count = || doc! {"bsonType": ["int", "long"], "minimum": 0};
    [
        (
            "users",
            object(
                &["username", "usernameKey", "email", "password", "isActive"],
                doc! {
                    "username": text(), "usernameKey": text(), "email": text(), "password": text(),
                    "isActive": {"bsonType": "bool"}, "lastSeen": maybe("date"), "createdAt": date(), "updatedAt": date(),
                    "profilePicture": maybe("string"), "bio": maybe("string"),
                },
            ),
        ),
        (
            "sessions",
            object(
                &["user", "generation", "refreshNumber", "createdAt", "expiresAt"],
                doc! {
                    "user": id(), "generation": count(), "refreshNumber": count(), "createdAt": date(), "expiresAt": date(),
                },
            ),
        ),
        (
            "chats",
            object(
                &["participants", "isGroup"],
                doc! {
                    "participants": {"bsonType": "array", "items": id()}, "isGroup": {"bsonType": "bool"},
                    "pair": text(), "lastSeq": count(), "indexed": count(), "order": count(), "lastMessage": maybe("objectId"),
                    "lastActivity": maybe("date"), "unread": {"bsonType": "object", "additionalProperties": count()},
                },
            ),
        ),
        (
            "messages",
            object(
                &[
                    "chatId",
                    "seq",
                    "order",
                    "sender",
                    "receiver",
                    "content",
                    "messageType",
                    "isRead",
                    "timestamp",
                ],
                doc! {
                    "chatId": id(), "seq": {"bsonType": ["int", "long"], "minimum": 1}, "order": count(), "sender": id(),
                    "receiver": id(), "content": text(), "messageType": text(), "isRead": {"bsonType": "bool"},
                    "timestamp": date(), "readAt": maybe("date"), "editedAt": maybe("date"), "deletedAt": maybe("date"),
                    "clientMessageId": text(),
                },
            ),
        ),
        (
            "searchRuns",
            object(
                &["chatId", "from", "to", "oldest", "order", "tokens"],
                doc! {
                    "chatId": id(), "from": count(), "to": count(), "oldest": count(), "order": count(), "tokens": {"bsonType": "array", "items": {"bsonType": "long"}},
                },
            ),
        ),
    ]
}

/// Every query has its index here; `tests/plans.rs` holds them against each other.
fn indexes(db: &Db) -> [(&mongodb::Collection<Document>, Vec<IndexModel>); 5] {
    [
        (
            &db.users,
            vec![
                // In this order, so that a user whose name and address are both taken is told of the name.
                unique("username_key", doc! {"usernameKey": 1}, "usernameKey"),
                unique("email_key", doc! {"email": 1}, "email"),
                plain("username_grams", doc! {"usernameGrams": 1, "usernameKey": 1}),
            ],
        ),
        (
            &db.sessions,
            vec![
                plain("session_user", doc! {"user": 1}),
                index(
                    doc! {"expiresAt": 1},
                    IndexOptions::builder()
                        .name("session_expiry".to_owned())
                        .expire_after(Duration::ZERO)
                        .build(),
                ),
            ],
        ),
        (
            &db.chats,
            vec![
                unique("chat_pair", doc! {"pair": 1}, "pair"),
                plain("chat_activity", doc! {"participants": 1, "order": -1}),
                plain("chat_member", doc! {"participants": 1, "_id": 1}),
                sparse("waiting", doc! {"waiting": 1}),
            ],
        ),
        (
            &db.messages,
            vec![
                unique("chat_seq", doc! {"chatId": 1, "seq": 1}, "seq"),
                unique(
                    "sender_client_message",
                    doc! {"sender": 1, "clientMessageId": 1},
                    "clientMessageId",
                ),
                sparse("fresh", doc! {"fresh": 1, "order": -1, "chatId": 1, "seq": 1}),
                sparse("uncounted", doc! {"uncounted.users": 1}),
            ],
        ),
        (
            &db.search,
            vec![
                plain("search_tokens", doc! {"tokens": 1, "order": -1}),
                plain("search_seq", doc! {"chatId": 1, "to": 1, "from": 1}),
            ],
        ),
    ]
}

fn plain(name: &str, keys: Document) -> IndexModel {
    index(keys, IndexOptions::builder().name(name.to_owned()).build())
}

/// Of the documents that have the field.
fn sparse(name: &str, keys: Document) -> IndexModel {
    let options = IndexOptions::builder().name(name.to_owned()).sparse(true).build();
    index(keys, options)
}

/// Unique among the documents that have the field.
fn unique(name: &str, keys: Document, field: &str) -> IndexModel {
    let options = IndexOptions::builder()
        .name(name.to_owned())
        .unique(true)
        .partial_filter_expression(doc! {field: {"$exists": true}})
        .build();
    index(keys, options)
}

fn index(keys: Document, options: IndexOptions) -> IndexModel {
    IndexModel::builder().keys(keys).options(options).build()
}
