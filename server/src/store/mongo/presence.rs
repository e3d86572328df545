//! Last-seen times.

use async_trait::async_trait;
use chat_protocol::{Timestamp, UserId};
use mongodb::bson::doc;

use super::{MongoStore, row};
use crate::store::{PresenceStore, StoreResult};

#[async_trait]
impl PresenceStore for MongoStore {
    async fn save_last_seen(&self, user: &UserId, at: Timestamp) -> StoreResult<()> {
        let Some(user) = row::object_id(user) else {
            return Ok(());
        };
        let newer = doc! {"$max": {"lastSeen": row::date(at)}};
        self.db
            .call(self.db.users.update_one(doc! {"_id": user}, newer))
            .await
            .map(drop)
    }
}
