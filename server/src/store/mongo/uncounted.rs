//! What is stored and not counted yet.
//!
//! The first message of each insert says it of all of them: it is stored before they are, so whatever is stored of an insert, whoever
//! looks finds in which chats that is. When all of it is counted the mark goes, by one write for the insert.

use std::collections::{BTreeSet, HashMap};

use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::cstr;
use mongodb::bson::{Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc};

use super::{Db, row};
use crate::store::StoreResult;

/// A message that is about to be stored: whose, in which chat, and there at which seq.
pub(super) type Coming = ([ObjectId; 2], ObjectId, i64);

/// The mark of a group.
pub(super) fn mark(messages: impl Iterator<Item = Coming>) -> RawDocumentBuf {
    let (mut users, mut chats) = (BTreeSet::new(), HashMap::new());
    for (both, chat, seq) in messages {
        users.extend(both);
        reaches(&mut chats, chat, seq);
    }
    let mut listed = (RawArrayBuf::new(), RawArrayBuf::new());
    users.into_iter().for_each(|user| listed.0.push(user));
    for (chat, seq) in chats {
        listed.1.push(rawdoc! {"chat": chat, "seq": seq});
    }
    let mut mark = RawDocumentBuf::new();
    mark.append(cstr!("users"), listed.0);
    mark.append(cstr!("chats"), listed.1);
    mark
}

/// Takes notice that a chat goes at least up to this seq.
pub(super) fn reaches(newest: &mut HashMap<ObjectId, i64>, chat: ObjectId, seq: i64) {
    let known = newest.entry(chat).or_insert(seq);
    *known = seq.max(*known);
}

/// The query for groups with messages of this user.
pub(super) fn of(user: ObjectId) -> Document {
    doc! {"uncounted.users": user}
}

/// The query for groups of before this position.
pub(super) fn before(position: i64) -> Document {
    doc! {"uncounted.users": row::any_id(), "order": {"$lt": position}}
}

/// What some groups say.
#[derive(Default)]
pub(super) struct Said {
    /// The messages that carry the marks.
    pub(super) firsts: Vec<ObjectId>,
    /// Each chat, and the newest seq there.
    pub(super) chats: HashMap<ObjectId, i64>,
}

pub(super) async fn find(db: &Db, groups: Document) -> StoreResult<Said> {
    let find = db.messages.find(groups).projection(doc! {"uncounted.chats": 1});
    let mut said = Said::default();
    for first in db.all(find).await? {
        said.firsts.push(row::oid(&first, "_id")?);
        let chats = first.get_document("uncounted").and_then(|mark| mark.get_array("chats"));
        for listed in chats.into_iter().flatten().filter_map(|chat| chat.as_document()) {
            reaches(&mut said.chats, row::oid(listed, "chat")?, row::int(listed, "seq")?);
        }
    }
    Ok(said)
}

/// Takes the marks away: all that these groups stored is counted.
pub(super) async fn unmark(db: &Db, firsts: &[ObjectId]) -> StoreResult<()> {
    if firsts.is_empty() {
        return Ok(());
    }
    let marked = doc! {"_id": {"$in": firsts}};
    let unmarked = db.messages.update_many(marked, doc! {"$unset": {"uncounted": 1}});
    db.call(unmarked).await.map(drop)
}
