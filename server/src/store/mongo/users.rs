//! Accounts.

use std::collections::HashMap;
use std::future::IntoFuture as _;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use chat_protocol::{ProfileUpdate, UserId};
use futures_util::FutureExt as _;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::ReturnDocument;

use super::call::{LIMIT, duplicate, failure};
use super::connect::latest;
use super::transaction::Step;
use super::{Db, MongoStore, row};
use crate::store::{
    CreateOutcome, NewUser, PasswordHash, Position, ProfileOutcome, Slice, StoreError, StoreResult, UserRecord,
    UserStore,
};

/// The index of parts of names knows nothing shorter.
const GRAM: usize = 3;
/// More matches than this are not counted to find the rarest part of a query.
const MANY: u64 = 1000;

/// A name without case. Names are unique by it and listed in its order.
pub(super) fn key(name: &str) -> String {
    name.to_lowercase()
}

/// The parts by which a name is found.
pub(super) fn grams(key: &str) -> Vec<String> {
    let scalars: Vec<char> = key.chars().collect();
    let mut grams: Vec<String> = scalars.windows(GRAM).map(|gram| gram.iter().collect()).collect();
    grams.sort_unstable();
    grams.dedup();
    grams
}

#[async_trait]
impl UserStore for MongoStore {
    async fn create_user(&self, user: NewUser) -> StoreResult<CreateOutcome> {
        let name_key = if fault!(NamesInCase) {
            user.username.clone()
        } else {
            key(&user.username)
        };
        let id = row::own_id(&user.id)?;
        let document = doc! {
            "_id": id, "username": &user.username, "usernameGrams": grams(&name_key), "usernameKey": name_key,
            "email": &user.email, "password": &user.password.0, "status": "offline", "lastSeen": Bson::Null,
            "profilePicture": Bson::Null, "bio": Bson::Null, "isActive": true,
            "createdAt": row::date(user.created_at), "updatedAt": row::date(user.created_at),
        };
        self.db.open()?;
        let insert = tokio::time::timeout(LIMIT / 2, self.db.users.insert_one(&document).into_future());
        let error = match insert.await {
            Ok(Ok(_)) => return Ok(CreateOutcome::Created(row::user(&document)?)),
            Ok(Err(error)) => match duplicate(&error) {
                Some("username_key") => return Ok(CreateOutcome::UsernameTaken),
                Some("email_key") => return Ok(CreateOutcome::EmailTaken),
                _ => failure(error),
            },
            Err(_) => StoreError::Unavailable("MongoDB did not answer in time".into()),
        };
        // Whether it was stored is unknown. An account that nobody was told of would keep its name for ever. It may not be durable yet,
        // but then neither is the session that is opened next.
        let look = self.db.users.find_one(doc! {"_id": id}).read_concern(latest());
        match super::call::call(LIMIT / 2, look).await {
            Ok(Some(found)) => Ok(CreateOutcome::Created(row::user(&found)?)),
            _ => Err(error),
        }
    }

    async fn user(&self, id: &UserId) -> StoreResult<Option<UserRecord>> {
        let Some(id) = row::object_id(id) else { return Ok(None) };
        let found = self.db.call(self.db.users.find_one(doc! {"_id": id})).await?;
        found.map(|found| row::user(&found)).transpose()
    }

    async fn users(&self, ids: &[UserId]) -> StoreResult<Vec<UserRecord>> {
        let wanted: Vec<_> = ids.iter().filter_map(row::object_id).collect();
        let found = find(&self.db, doc! {"_id": {"$in": wanted}}, None).await?;
        let mut found: HashMap<UserId, UserRecord> = found.into_iter().map(|user| (user.id.clone(), user)).collect();
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    async fn credentials(&self, identifier: &str) -> StoreResult<Option<(UserRecord, PasswordHash)>> {
        // A username never holds an @ and an email always does, so at most one of the two can match.
        let folded = if fault!(NamesInCase) && !identifier.contains('@') {
            identifier.to_owned()
        } else {
            key(identifier)
        };
        let field = if folded.contains('@') { "email" } else { "usernameKey" };
        credentials(&self.db, doc! {field: folded}).await
    }

    async fn credentials_of(&self, id: &UserId) -> StoreResult<Option<(UserRecord, PasswordHash)>> {
        let Some(id) = row::object_id(id) else { return Ok(None) };
        credentials(&self.db, doc! {"_id": id}).await
    }

    async fn update_profile(&self, id: &UserId, update: ProfileUpdate) -> StoreResult<ProfileOutcome> {
        let Some(id) = row::object_id(id) else {
            return Ok(ProfileOutcome::NotFound);
        };
        let mut set = doc! {"updatedAt": DateTime::now()};
        if let Some(name) = update.username {
            let name_key = key(&name);
            set.insert("usernameGrams", grams(&name_key));
            set.insert("usernameKey", name_key);
            set.insert("username", name);
        }
        for (field, value) in [("bio", update.bio), ("profilePicture", update.profile_picture)] {
            if let Some(value) = value {
                set.insert(field, value);
            }
        }
        self.db.open()?;
        let change = self
            .db
            .users
            .find_one_and_update(doc! {"_id": id}, doc! {"$set": set})
            .return_document(ReturnDocument::After);
        match tokio::time::timeout(LIMIT, change.into_future()).await {
            Ok(Ok(Some(user))) => Ok(ProfileOutcome::Updated(row::user(&user)?)),
            Ok(Ok(None)) => Ok(ProfileOutcome::NotFound),
            Ok(Err(error)) if duplicate(&error).is_some() => Ok(ProfileOutcome::UsernameTaken),
            Ok(Err(error)) => Err(failure(error)),
            Err(_) => Err(StoreError::Unavailable("MongoDB did not answer in time".into())),
        }
    }

    async fn set_active(&self, id: &UserId, active: bool) -> StoreResult<bool> {
        let Some(id) = row::object_id(id) else { return Ok(false) };
        let db = self.db.clone();
        let known = self
            .db
            .transact(move |tx| {
                let db = db.clone();
                async move {
                    let set = doc! {"$set": {"isActive": active, "updatedAt": DateTime::now()}};
                    let known = db.users.update_one(doc! {"_id": id}, set).session(&mut *tx).await?;
                    if !active {
                        db.sessions.delete_many(doc! {"user": id}).session(&mut *tx).await?;
                    }
                    Ok(Step::Commit(known.matched_count > 0))
                }
                .boxed()
            })
            .await?;
        self.db.users_changed.fetch_add(1, Ordering::Release);
        Ok(known)
    }

    async fn search_users(&self, query: &str, from: Option<&Position>, limit: usize) -> StoreResult<Slice<UserRecord>> {
        let query = key(query);
        let after = from.map_or("", |position| position.0.as_str());
        let filter = match rarest(&self.db, &query).await? {
            // Prefixes only: nothing sorts behind the last scalar of all.
            None => beginning(&query, after),
            Some(gram) => containing(&query, &gram, after),
        };
        slice(find(&self.db, filter, Some(limit + 1)).await?, limit)
    }

    async fn list_users(&self, from: Option<&Position>, limit: usize) -> StoreResult<Slice<UserRecord>> {
        let after = from.map_or("", |position| position.0.as_str());
        let filter = doc! {"usernameKey": {"$gt": after}};
        slice(find(&self.db, filter, Some(limit + 1)).await?, limit)
    }

    async fn replace_password(&self, id: &UserId, old: &PasswordHash, new: PasswordHash) -> StoreResult<bool> {
        let Some(id) = row::object_id(id) else { return Ok(false) };
        let same = doc! {"_id": id, "password": &old.0};
        let set = doc! {"$set": {"password": new.0, "updatedAt": DateTime::now()}};
        Ok(self.db.call(self.db.users.update_one(same, set)).await?.matched_count > 0)
    }
}

/// Active users whose name begins so.
pub(super) fn beginning(query: &str, after: &str) -> Document {
    let end = format!("{query}{}", char::MAX);
    let mut range = doc! {"$lt": end};
    // Both bounds of one side in one condition would be an error.
    if after >= query {
        range.insert("$gt", after);
    } else {
        range.insert("$gte", query);
    }
    doc! {"usernameKey": range, "isActive": true}
}

/// Active users whose name contains it; `gram` is the part of it that the index is asked for.
pub(super) fn containing(query: &str, gram: &str, after: &str) -> Document {
    let contains = doc! {"$gte": [{"$indexOfCP": ["$usernameKey", {"$literal": query}]}, 0]};
    let mut filter = doc! {"usernameGrams": gram, "usernameKey": {"$gt": after}, "isActive": true, "$expr": contains};
    if fault!(InactiveFound) {
        filter.remove("isActive");
    }
    filter
}

/// The part of the query that the fewest names have; `None` when it is too short to have parts.
async fn rarest(db: &Db, query: &str) -> StoreResult<Option<String>> {
    let mut best: Option<(u64, String)> = None;
    for gram in grams(query) {
        let count = db.users.count_documents(doc! {"usernameGrams": &gram}).limit(MANY);
        let count = db.call(count).await?;
        if best.as_ref().is_none_or(|(least, _)| count < *least) {
            best = Some((count, gram));
        }
    }
    Ok(best.map(|(_, gram)| gram))
}

async fn credentials(db: &Db, filter: Document) -> StoreResult<Option<(UserRecord, PasswordHash)>> {
    let Some(found) = db.call(db.users.find_one(filter)).await? else {
        return Ok(None);
    };
    let hash = found.get_str("password").unwrap_or_default().to_owned();
    Ok(Some((row::user(&found)?, PasswordHash(hash))))
}

/// In alphabetical order when there is a limit.
async fn find(db: &Db, filter: Document, limit: Option<usize>) -> StoreResult<Vec<UserRecord>> {
    let mut find = db.users.find(filter);
    if let Some(limit) = limit {
        find = find
            .sort(doc! {"usernameKey": 1})
            .limit(i64::try_from(limit).unwrap_or(i64::MAX));
    }
    db.all(find).await?.iter().map(row::user).collect()
}

/// A page of a list in alphabetical order, from one item more than it shows.
fn slice(mut items: Vec<UserRecord>, limit: usize) -> StoreResult<Slice<UserRecord>> {
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let next = last.map(|user| Position(key(&user.username)));
    Ok(Slice { items, next })
}
