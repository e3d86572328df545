//! A database that the Express server of the original wrote.

use chat_protocol::MessageType;
use chat_testcontainers::{Mongo, unique_name};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::{Client, Database};

use super::super::{MongoStore, legacy};
use super::node;
use crate::metrics::StoreMetrics;
use crate::store::suite::Bench;
use crate::store::{HistoryRange, MessageStore as _, StoreError, UserStore as _};

/// bcrypt's, of "correct horse", as Node writes it.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

fn at(second: i64) -> DateTime {
    DateTime::from_millis(1_700_000_000_000 + second * 1000)
}

fn user(id: ObjectId, name: &str, email: &str) -> Document {
    doc! {
        "_id": id, "username": name, "email": email, "password": HASH, "status": "offline", "lastSeen": at(5),
        "profilePicture": "", "bio": "", "isActive": true, "createdAt": at(0), "updatedAt": at(0), "__v": 0,
    }
}

fn message(from: ObjectId, to: ObjectId, chat: ObjectId, second: i64, content: &str, read: bool) -> Document {
    doc! {
        "_id": ObjectId::new(), "sender": from, "receiver": to, "chatId": chat, "content": content, "messageType": "image",
        "isRead": read, "readAt": read.then(|| at(second + 1)), "timestamp": at(second), "__v": 0,
    }
}

struct Legacy {
    mongo: Mongo,
    uri: String,
    database: Database,
    ann: ObjectId,
    bob: ObjectId,
    eve: ObjectId,
    chat: ObjectId,
}

/// Two chats, one of which has a document of its own, a group, and indexes as Mongoose makes them.
async fn legacy_database() -> Legacy {
    let mongo = Mongo::shared().await.unwrap();
    let name = unique_name("legacy");
    let uri = mongo.database_uri(&name);
    let database = Client::with_uri_str(&uri).await.unwrap().database(&name);
    let [ann, bob, eve, chat] = [(); 4].map(|()| ObjectId::new());
    let users = database.collection::<Document>("users");
    let mongoose = |key: &str| {
        let unique = mongodb::options::IndexOptions::builder().unique(true).build();
        mongodb::IndexModel::builder()
            .keys(doc! {key: 1})
            .options(unique)
            .build()
    };
    users
        .create_indexes([mongoose("username"), mongoose("email")])
        .await
        .unwrap();
    let people = [
        user(ann, "Ann", "Ann@Example.com"),
        user(bob, "bob", "bob@example.com"),
        user(eve, "eve", "e@x.org"),
    ];
    users.insert_many(people).await.unwrap();
    let chats = [
        doc! {"_id": chat, "participants": [bob, ann], "lastActivity": at(9), "isGroup": false, "groupName": null, "__v": 0},
        doc! {"participants": [ann, bob, eve], "lastActivity": at(1), "isGroup": true, "groupName": "all", "__v": 0},
    ];
    database
        .collection::<Document>("chats")
        .insert_many(chats)
        .await
        .unwrap();
    let mut messages = vec![
        // Not in the order of their times.
        message(ann, bob, chat, 30, "third", false),
        message(ann, bob, chat, 10, "first", true),
        message(bob, ann, chat, 20, "second", false),
        message(eve, ann, ObjectId::new(), 15, "from eve", false),
    ];
    messages.push(doc! {"sender": ann, "chatId": chat, "content": "to a group", "timestamp": at(40)});
    database
        .collection::<Document>("messages")
        .insert_many(messages)
        .await
        .unwrap();
    Legacy {
        mongo,
        uri,
        database,
        ann,
        bob,
        eve,
        chat,
    }
}

#[tokio::test]
async fn a_database_of_the_express_server_is_adopted() {
    let old = legacy_database().await;
    let Err(StoreError::Broken(text)) = MongoStore::open(&old.uri, StoreMetrics::default()).await else {
        panic!("taken without a word")
    };
    assert!(text.contains("migrate --from-legacy"), "{text}");
    let done = legacy::adopt(&old.uri).await.unwrap();
    assert_eq!((done.users, done.messages, done.left_out), (3, 4, 1));
    let again = legacy::adopt(&old.uri).await.unwrap();
    assert_eq!((again.users, again.messages), (0, 0), "all of it was done");

    let store = node(&old.uri).await;
    let b = Bench::new(store.clone());
    let user_id = |id: ObjectId| id.to_hex().parse::<chat_protocol::UserId>().unwrap();
    let (ann, bob, eve) = (user_id(old.ann), user_id(old.bob), user_id(old.eve));
    let (record, hash) = store.credentials("ann@example.COM").await.unwrap().unwrap();
    assert_eq!(
        (record.username.as_str(), record.email.as_str()),
        ("Ann", "ann@example.com")
    );
    assert_eq!((record.bio, hash.0.as_str()), (None, HASH));
    assert_eq!(store.search_users("an", None, 5).await.unwrap().items.len(), 1);

    let chat = store.chat_of(&ann, &bob).await.unwrap().unwrap();
    assert_eq!(chat.as_str(), old.chat.to_hex(), "the chat keeps its id");
    let (items, _) = store.history(&chat, HistoryRange::Above(0), 10).await.unwrap();
    let told: Vec<_> = items
        .iter()
        .map(|m| (m.seq.unwrap(), m.content.as_str(), m.is_read))
        .collect();
    assert_eq!(told, [(1, "first", true), (2, "second", false), (3, "third", false)]);
    assert_eq!(items[0].timestamp.as_millis(), at(10).timestamp_millis());
    assert_eq!(items[0].message_type, MessageType::Image);
    let list = store.chats(&ann, None, 5).await.unwrap();
    let order: Vec<_> = list.items.iter().map(|c| (&c.peer, c.unread)).collect();
    assert_eq!(order, [(&bob, 1), (&eve, 1)]);
    let found = store.search_messages(&ann, "FROM eve", None, None, 5).await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(b.send(&bob, &ann, "new").await.seq, Some(4));
    drop(old.mongo);
}

#[tokio::test]
async fn an_adoption_that_was_cut_short_is_taken_up() {
    let old = legacy_database().await;
    legacy::adopt(&old.uri).await.unwrap();
    // As it is when it was cut short behind the first message of the chat.
    let messages = old.database.collection::<Document>("messages");
    let undone = doc! {"$unset": {"seq": 1, "order": 1, "fresh": 1}};
    let late = doc! {"content": {"$in": ["second", "third"]}};
    let undo = messages.update_many(late, undone).bypass_document_validation(true);
    undo.await.unwrap();
    old.database
        .collection::<Document>("chatServer")
        .delete_many(doc! {})
        .await
        .unwrap();
    let done = legacy::adopt(&old.uri).await.unwrap();
    assert_eq!(done.messages, 2);
    let store = node(&old.uri).await;
    let chat = old.chat.to_hex().parse().unwrap();
    let (items, _) = store.history(&chat, HistoryRange::Above(0), 10).await.unwrap();
    let told: Vec<_> = items.iter().map(|m| (m.seq.unwrap(), m.content.as_str())).collect();
    assert_eq!(told, [(1, "first"), (2, "second"), (3, "third")]);
    drop(old.mongo);
}

#[tokio::test]
async fn names_that_differ_only_in_case_are_told() {
    let old = legacy_database().await;
    let twin = ObjectId::new();
    let users = old.database.collection::<Document>("users");
    users.insert_one(user(twin, "ANN", "other@example.com")).await.unwrap();
    let Err(StoreError::Broken(text)) = legacy::adopt(&old.uri).await else {
        panic!()
    };
    assert!(text.contains(&twin.to_hex()) && !text.contains("other@"), "{text}");
    users
        .update_one(doc! {"_id": twin}, doc! {"$set": {"username": "ann2"}})
        .await
        .unwrap();
    assert_eq!(legacy::adopt(&old.uri).await.unwrap().users, 1);
    drop(old.mongo);
}
