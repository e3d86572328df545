//! Chats and the list of chats.

use std::collections::{HashMap, HashSet};

use chat_protocol::{ChatId, Message, UserId};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::counters::Counters;
use super::{Db, row};
use crate::store::message::ChatsPlace;
use crate::store::{ChatRecord, NewMessage, Position, Slice, StoreError, StoreResult};

/// What names the chat of two users: both ids, the smaller first.
pub(super) fn pair(one: &ObjectId, other: &ObjectId) -> String {
    named(&one.to_hex(), &other.to_hex())
}

fn named(one: &str, other: &str) -> String {
    let (first, second) = if one < other { (one, other) } else { (other, one) };
    [first, ":", second].concat()
}

/// The same for a message; `None` when one of its users cannot exist.
pub(super) fn pair_of(new: &NewMessage) -> Option<String> {
    let can_exist = row::is_ours(new.sender.as_str()) && row::is_ours(new.receiver.as_str());
    can_exist.then(|| named(new.sender.as_str(), new.receiver.as_str()))
}

/// A chat without messages yet.
pub(super) fn new_chat(id: ObjectId, one: ObjectId, other: ObjectId) -> Document {
    let mut participants = [one, other];
    participants.sort_unstable();
    let unread: Document = participants
        .iter()
        .map(|user| (user.to_hex(), Bson::Int64(0)))
        .collect();
    doc! {
        "_id": id, "pair": pair(&one, &other), "participants": participants.to_vec(), "isGroup": false,
        "groupName": Bson::Null, "lastSeq": 0_i64, "indexed": 0_i64, "order": 0_i64, "lastMessage": Bson::Null, "lastActivity": Bson::Null,
        "unread": unread,
    }
}

/// Leaves out chats in which nothing has been stored. Those that have counted nothing yet are looked at themselves.
async fn begun(db: &Db, chats: Vec<Document>) -> StoreResult<Vec<Document>> {
    let counted = |chat: &Document| row::int(chat, "lastSeq").unwrap_or(0) > 0;
    let open: Vec<ObjectId> = chats
        .iter()
        .filter(|chat| !counted(chat))
        .filter_map(|chat| chat.get_object_id("_id").ok())
        .collect();
    let mut stored = HashSet::new();
    if !open.is_empty() {
        let firsts = doc! {"chatId": {"$in": open}, "seq": 1};
        for first in db.all(db.messages.find(firsts).projection(doc! {"chatId": 1})).await? {
            stored.insert(row::oid(&first, "chatId")?);
        }
    }
    let is_begun = |chat: &Document| counted(chat) || chat.get_object_id("_id").is_ok_and(|id| stored.contains(&id));
    Ok(chats.into_iter().filter(is_begun).collect())
}

pub(super) async fn of(db: &Db, one: &UserId, other: &UserId) -> StoreResult<Option<ChatId>> {
    let (Some(one), Some(other)) = (row::object_id(one), row::object_id(other)) else {
        return Ok(None);
    };
    let found = db.call(db.chats.find_one(doc! {"pair": pair(&one, &other)})).await?;
    let found = begun(db, found.into_iter().collect()).await?;
    found.first().map(|chat| row::id(chat, "_id")).transpose()
}

/// Who is in a chat.
pub(super) fn members(chat: &Document) -> Vec<ObjectId> {
    let users = chat.get_array("participants").into_iter().flatten();
    users.filter_map(Bson::as_object_id).collect()
}

/// The same of a message.
pub(super) fn sorted(users: [&UserId; 2]) -> Vec<ObjectId> {
    let mut users: Vec<ObjectId> = users.into_iter().filter_map(row::object_id).collect();
    users.sort_unstable();
    users
}

/// The users of a chat of two.
fn users(chat: &Document) -> StoreResult<[UserId; 2]> {
    let users: Vec<UserId> = members(chat)
        .iter()
        .filter_map(|user| user.to_hex().parse().ok())
        .collect();
    users
        .try_into()
        .map_err(|_| StoreError::Broken("a chat has not two participants".into()))
}

pub(super) async fn participants(db: &Db, chat: &ChatId) -> StoreResult<Option<[UserId; 2]>> {
    let Some(id) = row::object_id(chat) else {
        return Ok(None);
    };
    let found = db
        .call(db.chats.find_one(doc! {"_id": id, "pair": {"$exists": true}}))
        .await?;
    let found = begun(db, found.into_iter().collect()).await?;
    found.first().map(users).transpose()
}

/// All chats of two that the user is in.
pub(super) fn with(user: ObjectId) -> Document {
    doc! {"participants": user, "pair": {"$exists": true}}
}

/// In this order none is missed that is written to meanwhile. By activity one might: it moves to the front, where we have been.
pub(super) fn by_id() -> Document {
    doc! {"_id": 1}
}

pub(super) async fn partners(db: &Db, user: &UserId) -> StoreResult<Vec<UserId>> {
    let Some(id) = row::object_id(user) else {
        return Ok(Vec::new());
    };
    let find = db
        .chats
        .find(with(id))
        .sort(by_id())
        .projection(doc! {"participants": 1, "lastSeq": 1});
    let mut partners = Vec::new();
    for chat in begun(db, db.all(find).await?).await? {
        partners.extend(users(&chat)?.into_iter().find(|partner| partner != user));
    }
    Ok(partners)
}

/// Chats of a user by activity: `range` bounds the position of the newest message.
pub(super) fn by_activity(user: ObjectId, range: Document) -> Document {
    doc! {"participants": user, "order": range, "pair": {"$exists": true}}
}

/// The newest message of a chat at or before a position.
pub(super) fn newest_until(chat: ObjectId, position: i64) -> Document {
    doc! {"chatId": chat, "seq": {"$gt": 0}, "order": {"$lte": position}}
}

/// The list as of its first page. A chat that got messages since is looked up by the newest message it had then, so it
/// appears exactly once, in its old place, with its newest content.
pub(super) async fn list(
    db: &Db,
    counters: &Counters,
    user: &UserId,
    from: Option<&Position>,
    limit: usize,
) -> StoreResult<Slice<ChatRecord>> {
    let place = from.map(ChatsPlace::read).transpose()?;
    let nothing = Slice {
        items: Vec::new(),
        next: None,
    };
    let Some(me) = row::object_id(user) else {
        return Ok(nothing);
    };
    counters.settle(me).await?;
    let range = match place {
        None => doc! {"$gt": 0_i64},
        Some(place) => doc! {"$gt": 0_i64, "$lt": place.below.min(place.start.saturating_add(1))},
    };
    let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let find = db
        .chats
        .find(by_activity(me, range))
        .sort(doc! {"order": -1})
        .limit(one_more);
    // With the position that each is listed by.
    let mut listed = Vec::new();
    for chat in db.all(find).await? {
        listed.push((row::int(&chat, "order")?, chat));
    }
    let start = match place {
        Some(place) => place.start,
        None => listed.first().map_or(0, |(order, _)| *order),
    };
    if let Some(place) = place
        && !fault!(MovedChatsLost)
    {
        let moved = moved(db, me, place).await?;
        // One that was found in its old place may have moved since.
        let id = |chat: &Document| chat.get_object_id("_id").ok();
        listed.retain(|(_, chat)| moved.iter().all(|(_, newer)| id(newer) != id(chat)));
        listed.extend(moved);
    }
    listed.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
    if fault!(ChatsUnordered) {
        listed.sort_by_key(|(_, chat)| chat.get_object_id("_id").ok());
    }
    let more = listed.len() > limit;
    listed.truncate(limit);
    let last = listed.last().filter(|_| more);
    let next = last.map(|(order, _)| ChatsPlace { start, below: *order }.position());
    let items = records(db, user, listed.into_iter().map(|(_, chat)| chat).collect()).await?;
    Ok(Slice { items, next })
}

/// Chats that got messages since the walk began and were not shown before.
async fn moved(db: &Db, user: ObjectId, place: ChatsPlace) -> StoreResult<Vec<(i64, Document)>> {
    let mut found = Vec::new();
    for chat in db
        .all(db.chats.find(by_activity(user, doc! {"$gt": place.start})))
        .await?
    {
        let then = newest_until(row::oid(&chat, "_id")?, place.start);
        let then = db.messages.find_one(then).sort(doc! {"seq": -1});
        if let Some(message) = db.call(then).await? {
            let order = row::int(&message, "order")?;
            if order < place.below {
                found.push((order, chat));
            }
        }
    }
    Ok(found)
}

async fn records(db: &Db, user: &UserId, chats: Vec<Document>) -> StoreResult<Vec<ChatRecord>> {
    let ids: Vec<ObjectId> = chats
        .iter()
        .filter_map(|chat| chat.get_object_id("lastMessage").ok())
        .collect();
    let mut messages: HashMap<ObjectId, Message> = HashMap::new();
    for found in db.all(db.messages.find(doc! {"_id": {"$in": ids}})).await? {
        messages.insert(row::oid(&found, "_id")?, row::message(&found)?);
    }
    let mut records = Vec::new();
    for chat in &chats {
        let last = messages.remove(&row::oid(chat, "lastMessage")?);
        let last_message = last.ok_or_else(|| StoreError::Broken("the last message of a chat is not there".into()))?;
        let peer = users(chat)?.into_iter().find(|peer| peer != user);
        let unread = chat
            .get_document("unread")
            .map(|unread| row::int(unread, user.as_str()));
        records.push(ChatRecord {
            id: row::id(chat, "_id")?,
            peer: peer.ok_or_else(|| StoreError::Broken("a chat of one".into()))?,
            last_message,
            unread: unread
                .ok()
                .and_then(Result::ok)
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or(0)
                + u64::from(fault!(UnreadOffByOne)),
        });
    }
    Ok(records)
}
