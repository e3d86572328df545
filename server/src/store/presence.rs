use async_trait::async_trait;
use chat_protocol::{Timestamp, UserId};

use super::StoreResult;

/// Kept apart from messages: a presence change never waits for, or delays, the write path of messages.
#[async_trait]
pub trait PresenceStore: Send + Sync + 'static {
    /// Returns once later reads of the user show it. The newer of two wins.
    async fn save_last_seen(&self, user: &UserId, at: Timestamp) -> StoreResult<()>;
}
