use async_trait::async_trait;
use chat_protocol::{Timestamp, UserId};

use super::{PasswordHash, StoreResult};

/// Names a session: one login, with all its tokens.
pub type SessionId = String;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    pub id: SessionId,
    pub user: UserId,
    pub created_at: Timestamp,
    /// When its newest refresh token expires; afterwards it may be forgotten.
    pub expires_at: Timestamp,
}

/// A living session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    pub user: UserId,
    /// Raised by a password change: tokens of an older generation are invalid. Starts at 0.
    pub generation: u32,
    /// The number of the only refresh token that works. Starts at 0.
    pub refresh_number: u32,
    /// Whether the user is active.
    pub user_active: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotateOutcome {
    /// The new state; the old refresh token is spent.
    Rotated(SessionRecord),
    /// A spent refresh token: the session was ended in the same transaction.
    Reused { user: UserId },
    /// No such session, an ended one, another generation, or an inactive user.
    Ended,
}

/// After a password change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordChanged {
    /// The session that lives on, with its generation and refresh number raised.
    pub kept: SessionRecord,
    /// All other sessions of the user, now ended.
    pub ended: Vec<SessionId>,
}

#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    async fn create_session(&self, session: NewSession) -> StoreResult<()>;

    /// `None` when unknown or ended.
    async fn session(&self, id: &str) -> StoreResult<Option<SessionRecord>>;

    /// Spends refresh token `number` of `generation`.
    async fn rotate_session(
        &self,
        id: &str,
        generation: u32,
        number: u32,
        expires_at: Timestamp,
    ) -> StoreResult<RotateOutcome>;

    /// Ends one session. `false`: it had ended before.
    async fn end_session(&self, id: &str) -> StoreResult<bool>;

    /// Stores the hash, raises the generation and the refresh number of `keep` and ends all other sessions of the user, in one
    /// transaction. `None`: `keep` is no living session of the user.
    async fn change_password(
        &self,
        user: &UserId,
        keep: &str,
        password: PasswordHash,
        expires_at: Timestamp,
    ) -> StoreResult<Option<PasswordChanged>>;

    /// Forgets sessions that expired before `now`; how many.
    async fn purge_sessions(&self, now: Timestamp) -> StoreResult<usize>;
}
