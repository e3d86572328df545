//! Last-seen times.

use async_trait::async_trait;
use chat_protocol::{Timestamp, UserId};

use super::{SqliteStore, failure};
use crate::store::{PresenceStore, StoreResult};

#[async_trait]
impl PresenceStore for SqliteStore {
    async fn save_last_seen(&self, user: &UserId, at: Timestamp) -> StoreResult<()> {
        let user = user.clone();
        self.presence
            .run(move |db| {
                db.prepare_cached(
                    "INSERT INTO last_seen VALUES (?1, ?2) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
                )
                .and_then(|mut insert| insert.execute((user.as_str(), at.as_millis())))
                .map_err(failure)?;
                Ok(())
            })
            .await
    }
}
