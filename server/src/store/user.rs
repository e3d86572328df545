use async_trait::async_trait;
use chat_protocol::{ProfileUpdate, Timestamp, UserId};

use super::{Position, Slice, StoreResult};

/// An argon2 hash in PHC form, or a bcrypt hash of an adopted database. Does not print.
#[derive(Clone)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[derive(Debug, Clone)]
pub struct NewUser {
    pub id: UserId,
    pub username: String,
    /// In lower case.
    pub email: String,
    pub password: PasswordHash,
    pub created_at: Timestamp,
}

/// A user without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    pub id: UserId,
    pub username: String,
    pub email: String,
    pub profile_picture: Option<String>,
    pub bio: Option<String>,
    pub created_at: Timestamp,
    /// As last saved by [`super::PresenceStore::save_last_seen`].
    pub last_seen: Option<Timestamp>,
    pub active: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateOutcome {
    Created(UserRecord),
    /// Also when both are taken.
    UsernameTaken,
    EmailTaken,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileOutcome {
    Updated(UserRecord),
    UsernameTaken,
    NotFound,
}

#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Usernames and emails are unique ignoring case.
    async fn create_user(&self, user: NewUser) -> StoreResult<CreateOutcome>;

    /// Active or not.
    async fn user(&self, id: &UserId) -> StoreResult<Option<UserRecord>>;

    /// Active or not, in the order asked for; unknown ids are left out.
    async fn users(&self, ids: &[UserId]) -> StoreResult<Vec<UserRecord>>;

    /// By username or email, ignoring case; active or not.
    async fn credentials(&self, identifier: &str) -> StoreResult<Option<(UserRecord, PasswordHash)>>;

    /// By id; active or not.
    async fn credentials_of(&self, id: &UserId) -> StoreResult<Option<(UserRecord, PasswordHash)>>;

    async fn update_profile(&self, id: &UserId, update: ProfileUpdate) -> StoreResult<ProfileOutcome>;

    /// Another hash of the same password, in place of `old`. `false`: it is not `old` any more.
    async fn replace_password(&self, id: &UserId, old: &PasswordHash, new: PasswordHash) -> StoreResult<bool>;

    /// Deactivating ends all sessions of the user in the same transaction. `false`: no such user.
    async fn set_active(&self, id: &UserId, active: bool) -> StoreResult<bool>;

    /// Active users in alphabetical order (folded username): those that begin with `query`, ignoring case, and with
    /// 3 characters or more also those that contain it.
    async fn search_users(&self, query: &str, from: Option<&Position>, limit: usize) -> StoreResult<Slice<UserRecord>>;

    /// Everybody in alphabetical order, active or not, for the operator.
    async fn list_users(&self, from: Option<&Position>, limit: usize) -> StoreResult<Slice<UserRecord>>;
}
