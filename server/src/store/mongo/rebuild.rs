//! The counters from nothing: for databases that were adopted or played back.

use futures_util::{FutureExt as _, TryStreamExt as _};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::behind::above;
use super::transaction::Step;
use super::{Db, chats, row};
use crate::store::StoreResult;

/// Chats that are looked at in one go.
const BATCH: i64 = 1000;

/// Counts every chat from nothing; how many were wrong. Safe beside running servers.
pub(super) async fn rebuild(db: &Db) -> StoreResult<u64> {
    let mut wrong = 0;
    let mut after = ObjectId::from_bytes([0; 12]);
    loop {
        let find = db.chats.find(doc! {"_id": {"$gt": after}, "pair": {"$exists": true}});
        let find = find.sort(chats::by_id()).limit(BATCH).projection(doc! {"_id": 1});
        let chats = db.all(find).await?;
        for chat in &chats {
            after = row::oid(chat, "_id")?;
            wrong += u64::from(recount(db, after).await?);
        }
        if chats.is_empty() {
            return Ok(wrong);
        }
    }
}

/// Counts one chat from nothing; whether it was wrong.
async fn recount(db: &Db, chat: ObjectId) -> StoreResult<bool> {
    let db = db.clone();
    let inner = db.clone();
    db.transact(move |tx| {
        let db = inner.clone();
        async move {
            let unread = doc! {"$and": [{"$lte": ["$readAt", Bson::Null]}, {"$lte": ["$deletedAt", Bson::Null]}]};
            let pipeline = [
                doc! {"$match": above(chat, 0)},
                doc! {"$sort": {"seq": 1}},
                doc! {"$group": {
                    "_id": "$receiver", "unread": {"$sum": {"$cond": [unread, 1_i64, 0_i64]}},
                    "seq": {"$last": "$seq"}, "order": {"$last": "$order"}, "id": {"$last": "$_id"},
                    "at": {"$last": "$timestamp"},
                }},
            ];
            let mut cursor = db.messages.aggregate(pipeline).session(&mut *tx).await?;
            let groups: Vec<Document> = cursor.stream(&mut *tx).try_collect().await?;
            let mut unread = Document::new();
            for group in &groups {
                unread.insert(row::oid(group, "_id")?.to_hex(), row::int(group, "unread")?);
            }
            let newest = groups.iter().max_by_key(|group| row::int(group, "seq").unwrap_or(0));
            let mut truth = doc! {"lastSeq": 0_i64, "order": 0_i64};
            if let Some(newest) = newest {
                truth = doc! {
                    "lastSeq": row::int(newest, "seq")?, "order": row::int(newest, "order")?,
                    "lastMessage": row::oid(newest, "id")?, "lastActivity": newest.get_datetime("at").ok(),
                };
            }
            let Some(said) = db.chats.find_one(doc! {"_id": chat}).session(&mut *tx).await? else {
                return Ok(Step::Abort(false));
            };
            if row::int(&truth, "lastSeq")? > row::int(&said, "indexed").unwrap_or(0) {
                truth.insert("waiting", chats::members(&said));
            }
            let counts = said.get_document("unread").cloned().unwrap_or_default();
            let same = truth.iter().all(|(key, value)| said.get(key) == Some(value))
                && chats::members(&said).iter().all(|user| {
                    let user = user.to_hex();
                    row::int(&counts, &user).unwrap_or(0) == row::int(&unread, &user).unwrap_or(0)
                });
            if same {
                return Ok(Step::Abort(false));
            }
            truth.insert("unread", unread);
            db.chats
                .update_one(doc! {"_id": chat}, doc! {"$set": truth})
                .session(&mut *tx)
                .await?;
            Ok(Step::Commit(true))
        }
        .boxed()
    })
    .await
}
