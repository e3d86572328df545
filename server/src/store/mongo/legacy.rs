//! Adopts a database of the original Express and Mongoose server: gives its users the keys they are found by, its messages chat,
//! seq and position in the order of their timestamps, and counts its chats.
//!
//! Nothing is removed, and fields that are not ours stay. It may be cut short and started again: what has been done carries its
//! new fields, and the rest is taken up where it ended. The servers must be stopped meanwhile.

use std::collections::HashMap;

use chat_protocol::Timestamp;
use futures_util::TryStreamExt as _;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::call::{duplicate, failure};
use super::{Db, chats, connect, rebuild, row, schema, users};
use crate::store::{StoreError, StoreResult};

/// Messages per update.
const BATCH: usize = 500;
/// Users that cannot be adopted are named up to this many.
const NAMED: usize = 20;

/// What was done by this run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Adopted {
    pub users: u64,
    pub messages: u64,
    /// Not between two users, or not as the models say; left as they are, and not seen by the server.
    pub left_out: u64,
}

/// Adopts the database. Can be repeated.
pub async fn adopt(uri: &str) -> StoreResult<Adopted> {
    let db = connect::connect(uri).await?;
    schema::migrate(&db, schema::Legacy::Adopt).await?;
    let mut adopted = Adopted::default();
    adopt_users(&db, &mut adopted).await?;
    adopt_messages(&db, &mut adopted).await?;
    rebuild::rebuild(&db).await?;
    schema::done(&db).await?;
    Ok(adopted)
}

async fn adopt_users(db: &Db, adopted: &mut Adopted) -> StoreResult<()> {
    let mut found = db
        .users
        .find(doc! {"usernameKey": {"$exists": false}})
        .await
        .map_err(failure)?;
    let mut taken = Vec::new();
    while let Some(user) = found.try_next().await.map_err(failure)? {
        let id = row::oid(&user, "_id")?;
        let (Ok(name), Ok(email)) = (user.get_str("username"), user.get_str("email")) else {
            adopted.left_out += 1;
            continue;
        };
        let key = users::key(name);
        let mut set = doc! {"usernameGrams": users::grams(&key), "usernameKey": key, "email": users::key(email)};
        if user.get_bool("isActive").is_err() {
            set.insert("isActive", true);
        }
        if user.get_datetime("createdAt").is_err() {
            set.insert("createdAt", id.timestamp());
        }
        let update = db.users.update_one(doc! {"_id": id}, doc! {"$set": set}).await;
        match update {
            Ok(_) => adopted.users += 1,
            Err(error) if duplicate(&error).is_some() => taken.push(id.to_hex()),
            Err(error) => return Err(failure(error)),
        }
    }
    if taken.is_empty() {
        return Ok(());
    }
    let (count, named) = (taken.len(), taken[..taken.len().min(NAMED)].join(", "));
    Err(StoreError::Broken(format!(
        "{count} users have a username or an email address that, but for upper and lower case, another user has: {named}. \
         Rename or remove one of each two, then run this again"
    )))
}

/// What is known of a chat while its messages are numbered.
struct Tip {
    id: ObjectId,
    seq: i64,
}

async fn adopt_messages(db: &Db, adopted: &mut Adopted) -> StoreResult<()> {
    let mut tips: HashMap<String, Tip> = HashMap::new();
    let mut found = db
        .messages
        .find(doc! {"seq": {"$exists": false}})
        .sort(doc! {"timestamp": 1, "_id": 1})
        .allow_disk_use(true)
        .await
        .map_err(failure)?;
    let mut updates = Vec::with_capacity(BATCH);
    while let Some(message) = found.try_next().await.map_err(failure)? {
        match numbered(db, &mut tips, &message).await? {
            Some(update) => updates.push(update),
            None => adopted.left_out += 1,
        }
        if updates.len() == BATCH {
            adopted.messages += write(db, &mut updates).await?;
        }
    }
    adopted.messages += write(db, &mut updates).await?;
    Ok(())
}

/// In order, so that what is cut short is a beginning and the rest can be numbered on.
async fn write(db: &Db, updates: &mut Vec<Document>) -> StoreResult<u64> {
    if updates.is_empty() {
        return Ok(0);
    }
    let command = doc! {
        "update": "messages", "updates": std::mem::take(updates), "ordered": true,
        "writeConcern": {"w": "majority", "j": true},
    };
    let done = db.database.run_command(command).await.map_err(failure)?;
    if done.contains_key("writeErrors") || done.contains_key("writeConcernError") {
        return Err(StoreError::Broken(
            "some messages could not be adopted; run this again".into(),
        ));
    }
    Ok(u64::try_from(row::int(&done, "n")?).unwrap_or(0))
}

/// The update that makes the message one of ours; `None` when it is not between two users.
async fn numbered(db: &Db, tips: &mut HashMap<String, Tip>, message: &Document) -> StoreResult<Option<Document>> {
    let id = row::oid(message, "_id")?;
    let (Ok(sender), Ok(receiver)) = (message.get_object_id("sender"), message.get_object_id("receiver")) else {
        return Ok(None);
    };
    if sender == receiver || message.get_str("content").is_err() {
        return Ok(None);
    }
    let pair = chats::pair(&sender, &receiver);
    if !tips.contains_key(&pair) {
        let tip = tip(db, &pair, sender, receiver, message.get_object_id("chatId").ok()).await?;
        tips.insert(pair.clone(), tip);
    }
    let Some(tip) = tips.get_mut(&pair) else {
        return Ok(None);
    };
    tip.seq += 1;
    let sent = row::time(message, "timestamp").or_else(|| row::time(message, "createdAt"));
    let sent = sent.unwrap_or_else(|| Timestamp::from_millis(id.timestamp().timestamp_millis()));
    // The position rises with each message, so it may run ahead of the timestamp, which stays as it was.
    let mut set = doc! {
        "chatId": tip.id, "seq": tip.seq, "order": db.clock.at(sent), "timestamp": row::date(sent),
        "isRead": message.get_bool("isRead").unwrap_or(false),
    };
    if message.get_str("messageType").is_err() {
        set.insert("messageType", "text");
    }
    if message.get_bool("isRead").unwrap_or(false) && row::time(message, "readAt").is_none() {
        set.insert("readAt", row::date(sent));
    }
    Ok(Some(
        doc! {"q": {"_id": id, "seq": {"$exists": false}}, "u": {"$set": set}},
    ))
}

/// The chat of two users: one that we know, one that was there, or a new one.
async fn tip(db: &Db, pair: &str, one: ObjectId, other: ObjectId, named: Option<ObjectId>) -> StoreResult<Tip> {
    let ours = db.call(db.chats.find_one(doc! {"pair": pair})).await?;
    let id = match ours {
        Some(chat) => row::oid(&chat, "_id")?,
        None => adopt_chat(db, one, other, named).await?,
    };
    let newest = doc! {"chatId": id, "seq": {"$gt": 0}};
    let newest = db.call(db.messages.find_one(newest).sort(doc! {"seq": -1})).await?;
    let Some(newest) = newest else {
        return Ok(Tip { id, seq: 0 });
    };
    db.clock.observe(row::int(&newest, "order")?);
    Ok(Tip {
        id,
        seq: row::int(&newest, "seq")?,
    })
}

async fn adopt_chat(db: &Db, one: ObjectId, other: ObjectId, named: Option<ObjectId>) -> StoreResult<ObjectId> {
    let both = doc! {
        "participants": {"$all": [one, other], "$size": 2}, "isGroup": {"$ne": true}, "pair": {"$exists": false},
    };
    if let Some(chat) = db.call(db.chats.find_one(both).sort(doc! {"_id": 1})).await? {
        let id = row::oid(&chat, "_id")?;
        let mut set = chats::new_chat(id, one, other);
        set.remove("_id");
        if chat.get_str("groupName").is_ok() {
            set.remove("groupName");
        }
        db.call(db.chats.update_one(doc! {"_id": id}, doc! {"$set": set}))
            .await?;
        return Ok(id);
    }
    let free = match named {
        Some(id) => db.call(db.chats.find_one(doc! {"_id": id})).await?.is_none(),
        None => false,
    };
    let id = named.filter(|_| free).unwrap_or_default();
    db.call(db.chats.insert_one(chats::new_chat(id, one, other))).await?;
    Ok(id)
}
