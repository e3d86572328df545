//! Sessions: logins and their refresh tokens.

use async_trait::async_trait;
use chat_protocol::{Timestamp, UserId};
use futures_util::{FutureExt as _, TryStreamExt as _};
use mongodb::bson::{DateTime, Document, doc};

use super::transaction::Step;
use super::{Db, MongoStore, row};
use crate::store::{
    NewSession, PasswordChanged, PasswordHash, RotateOutcome, SessionRecord, SessionStore, StoreError, StoreResult,
};

/// A session that changes under our hands this often in a row is being fought over.
const TRIES: usize = 20;

#[async_trait]
impl SessionStore for MongoStore {
    async fn create_session(&self, session: NewSession) -> StoreResult<()> {
        let user = row::own_id(&session.user)?;
        let document = doc! {
            "_id": &session.id, "user": user, "generation": 0, "refreshNumber": 0,
            "createdAt": row::date(session.created_at), "expiresAt": row::date(session.expires_at),
        };
        let db = self.db.clone();
        self.db
            .transact(move |tx| {
                let (db, document) = (db.clone(), document.clone());
                async move {
                    // Writing to the user keeps a deactivation from happening between the look and the insert.
                    let login = doc! {"$set": {"lastLogin": DateTime::now()}};
                    let active = doc! {"_id": user, "isActive": true};
                    let seen = db.users.update_one(active, login).session(&mut *tx).await?;
                    if seen.matched_count == 0 {
                        return Ok(Step::Abort(()));
                    }
                    db.sessions.insert_one(document).session(&mut *tx).await?;
                    Ok(Step::Commit(()))
                }
                .boxed()
            })
            .await
    }

    async fn session(&self, id: &str) -> StoreResult<Option<SessionRecord>> {
        find(&self.db, id).await
    }

    async fn rotate_session(
        &self,
        id: &str,
        generation: u32,
        number: u32,
        expires_at: Timestamp,
    ) -> StoreResult<RotateOutcome> {
        let this = (id.to_owned(), number);
        for _ in 0..TRIES {
            let Some(mut session) = find(&self.db, id)
                .await?
                .filter(|s| s.user_active && s.generation == generation)
            else {
                return Ok(RotateOutcome::Ended);
            };
            // Whoever comes second finds another number or no session: one document changes at once or not at all.
            let mut seen = doc! {"_id": id, "generation": i64::from(generation)};
            seen.insert("refreshNumber", i64::from(session.refresh_number));
            if session.refresh_number == number || fault!(RefreshReusable) {
                let spend = doc! {"$inc": {"refreshNumber": 1}, "$set": {"expiresAt": row::date(expires_at)}};
                let spent = self.db.call(self.db.sessions.update_one(seen, spend)).await;
                if spent.is_err() {
                    self.spends.put(this.clone());
                }
                if spent?.matched_count == 1 {
                    // This one has its answer.
                    self.spends.take(&this);
                    session.refresh_number += 1;
                    return Ok(RotateOutcome::Rotated(session));
                }
            } else if session.refresh_number == number + 1 && self.spends.take(&this) {
                // Nobody has got what it was spent for.
                return Ok(RotateOutcome::Rotated(session));
            } else if fault!(ReuseKeepsSession)
                || self.db.call(self.db.sessions.delete_one(seen)).await?.deleted_count == 1
            {
                return Ok(RotateOutcome::Reused { user: session.user });
            }
        }
        Err(StoreError::Unavailable("a session changed again and again".into()))
    }

    async fn end_session(&self, id: &str) -> StoreResult<bool> {
        let ended = self.db.call(self.db.sessions.delete_one(doc! {"_id": id})).await?;
        Ok(ended.deleted_count > 0)
    }

    async fn change_password(
        &self,
        user: &UserId,
        keep: &str,
        password: PasswordHash,
        expires_at: Timestamp,
    ) -> StoreResult<Option<PasswordChanged>> {
        let Some(user_id) = row::object_id(user) else {
            return Ok(None);
        };
        let (db, keep, user) = (self.db.clone(), keep.to_owned(), user.clone());
        self.db
            .transact(move |tx| {
                let (db, keep, user, password) = (db.clone(), keep.clone(), user.clone(), password.clone());
                async move {
                    let hash = doc! {"$set": {"password": password.0, "updatedAt": DateTime::now()}};
                    let active = doc! {"_id": user_id, "isActive": true};
                    let raise = doc! {
                        "$inc": {"generation": 1, "refreshNumber": 1}, "$set": {"expiresAt": row::date(expires_at)},
                    };
                    let kept = doc! {"_id": &keep, "user": user_id};
                    if db.users.update_one(active, hash).session(&mut *tx).await?.matched_count == 0 {
                        return Ok(Step::Abort(None));
                    }
                    let Some(before) = db.sessions.find_one_and_update(kept, raise).session(&mut *tx).await? else {
                        return Ok(Step::Abort(None));
                    };
                    let mut others = doc! {"user": user_id, "_id": {"$ne": &keep}};
                    if fault!(PasswordKeepsOthers) {
                        others = doc! {"_id": {"$in": []}};
                    }
                    let mut cursor = db.sessions.find(others.clone()).session(&mut *tx).await?;
                    let found: Vec<Document> = cursor.stream(&mut *tx).try_collect().await?;
                    db.sessions.delete_many(others).session(&mut *tx).await?;
                    let ended = found
                        .iter()
                        .filter_map(|s| s.get_str("_id").ok().map(ToOwned::to_owned));
                    let kept = record(&before, user, true)?;
                    Ok(Step::Commit(Some(PasswordChanged {
                        kept: SessionRecord {
                            generation: kept.generation + 1,
                            refresh_number: kept.refresh_number + 1,
                            ..kept
                        },
                        ended: ended.collect(),
                    })))
                }
                .boxed()
            })
            .await
    }

    async fn purge_sessions(&self, now: Timestamp) -> StoreResult<usize> {
        // The server does the same by itself, some time after.
        let expired = doc! {"expiresAt": {"$lt": row::date(now)}};
        let purged = self.db.call(self.db.sessions.delete_many(expired)).await?;
        Ok(usize::try_from(purged.deleted_count).unwrap_or(usize::MAX))
    }
}

/// The pipeline that finds a session together with its user.
pub(super) fn with_user(id: &str) -> Vec<Document> {
    vec![
        doc! {"$match": {"_id": id}},
        doc! {"$lookup": {
            "from": "users", "localField": "user", "foreignField": "_id", "as": "owner",
            "pipeline": [{"$project": {"isActive": 1}}],
        }},
    ]
}

async fn find(db: &Db, id: &str) -> StoreResult<Option<SessionRecord>> {
    let found = async { db.sessions.aggregate(with_user(id)).await?.try_next().await };
    let Some(session) = db.call(Box::pin(found)).await? else {
        return Ok(None);
    };
    let active = session
        .get_array("owner")
        .ok()
        .and_then(|owner| owner.first()?.as_document()?.get_bool("isActive").ok());
    let user = row::id(&session, "user")?;
    Ok(Some(record(&session, user, active.unwrap_or(false))?))
}

fn record(session: &Document, user: UserId, user_active: bool) -> StoreResult<SessionRecord> {
    let number = |key| Ok(u32::try_from(row::int(session, key)?).unwrap_or(u32::MAX));
    Ok(SessionRecord {
        user,
        generation: number("generation")?,
        refresh_number: number("refreshNumber")?,
        user_active,
    })
}
