//! Documents as types.

use std::str::FromStr;

use chat_protocol::{Message, MessageType, Timestamp};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};

use crate::store::{StoreError, StoreResult, UserRecord};

/// An id of ours; other texts are ids that nobody has.
pub(super) fn object_id(id: impl AsRef<str>) -> Option<ObjectId> {
    let id = id.as_ref();
    is_ours(id).then(|| ObjectId::parse_str(id).ok()).flatten()
}

/// Whether it has the form of our ids. Upper case would be another text and still the same ObjectId.
pub(super) fn is_ours(id: &str) -> bool {
    id.len() == 24 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// [`object_id`] of an id that the server made.
pub(super) fn own_id(id: impl AsRef<str>) -> StoreResult<ObjectId> {
    object_id(id).ok_or_else(|| StoreError::Broken("an id of ours is no ObjectId".into()))
}

/// Matches every id: a sparse index then has all documents with the field and nothing else.
pub(super) fn any_id() -> Document {
    doc! {"$gte": ObjectId::from_bytes([0; 12])}
}

pub(super) fn id<T: FromStr>(document: &Document, key: &str) -> StoreResult<T> {
    let id = oid(document, key)?.to_hex();
    id.parse().map_err(|_| lacks(key))
}

pub(super) fn oid(document: &Document, key: &str) -> StoreResult<ObjectId> {
    document.get_object_id(key).map_err(|_| lacks(key))
}

/// A whole number, however it was written.
pub(super) fn int(document: &Document, key: &str) -> StoreResult<i64> {
    match document.get(key) {
        Some(Bson::Int64(number)) => Ok(*number),
        Some(Bson::Int32(number)) => Ok(i64::from(*number)),
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers of a shell")]
        Some(Bson::Double(number)) => Ok(*number as i64),
        _ => Err(lacks(key)),
    }
}

pub(super) fn time(document: &Document, key: &str) -> Option<Timestamp> {
    let time = document.get_datetime(key).ok()?;
    Some(Timestamp::from_millis(time.timestamp_millis()))
}

pub(super) fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millis())
}

fn text(document: &Document, key: &str) -> StoreResult<String> {
    document.get_str(key).map(ToOwned::to_owned).map_err(|_| lacks(key))
}

fn optional(document: &Document, key: &str) -> Option<String> {
    document.get_str(key).ok().map(ToOwned::to_owned)
}

fn lacks(key: &str) -> StoreError {
    StoreError::Broken(format!("a document has no good {key}"))
}

pub(super) fn message(document: &Document) -> StoreResult<Message> {
    let kind = document.get_str("messageType").unwrap_or_default();
    let read_at = time(document, "readAt");
    Ok(Message {
        id: id(document, "_id")?,
        chat_id: id(document, "chatId")?,
        seq: u64::try_from(int(document, "seq")?).ok(),
        sender: id(document, "sender")?,
        receiver: id(document, "receiver")?,
        content: text(document, "content")?,
        message_type: message_type(kind),
        is_read: read_at.is_some(),
        read_at,
        timestamp: time(document, "timestamp").ok_or_else(|| lacks("timestamp"))?,
        edited_at: time(document, "editedAt"),
        deleted_at: time(document, "deletedAt"),
        client_message_id: optional(document, "clientMessageId").and_then(|id| id.parse().ok()),
    })
}

fn message_type(name: &str) -> MessageType {
    let known = MessageType::ALL.into_iter().find(|kind| kind.as_str() == name);
    known.unwrap_or_default()
}

pub(super) fn user(document: &Document) -> StoreResult<UserRecord> {
    Ok(UserRecord {
        id: id(document, "_id")?,
        username: text(document, "username")?,
        email: text(document, "email")?,
        profile_picture: optional(document, "profilePicture").filter(|text| !text.is_empty()),
        bio: optional(document, "bio").filter(|text| !text.is_empty()),
        created_at: time(document, "createdAt").unwrap_or_else(|| Timestamp::from_millis(0)),
        last_seen: time(document, "lastSeen"),
        active: document.get_bool("isActive").unwrap_or(true),
    })
}

#[cfg(test)]
mod tests {
    use super::object_id;

    #[test]
    fn only_ids_that_we_make_are_ids() {
        assert!(object_id("65a1b2c3d4e5f60718293a4b").is_some());
        for other in [
            "-",
            "65A1B2C3D4E5F60718293A4B",
            "65a1b2c3d4e5f60718293a4",
            "zzz1b2c3d4e5f60718293a4b",
        ] {
            assert!(object_id(other).is_none(), "{other}");
        }
    }
}
