//! What the server keeps, as small traits. Nothing above this module knows which backend runs.
//!
//! Backends promise: what a call reported as done survives `kill -9` and power loss; an [`StoreError::Unavailable`]
//! means that nothing was done.

mod fold;
mod message;
pub mod mongo;
mod presence;
mod session;
pub mod sqlite;
#[cfg(test)]
pub(crate) mod suite;
mod user;

use async_trait::async_trait;

pub use message::{
    ChatRecord, Deleted, EditOutcome, HistoryRange, MessageStore, NewMessage, ReadMark, ReadOutcome, ReadScope,
    SendDone, SendOutcome,
};
pub use presence::PresenceStore;
pub use session::{NewSession, PasswordChanged, RotateOutcome, SessionId, SessionRecord, SessionStore};
pub use user::{CreateOutcome, NewUser, PasswordHash, ProfileOutcome, UserRecord, UserStore};

/// Why a store could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Nothing was done; a retry is safe. The text is for the log.
    #[error("the store cannot answer now: {0}")]
    Unavailable(String),
    /// The store or its data are damaged. The text is for the log.
    #[error("the store failed: {0}")]
    Broken(String),
    /// The position was not made by this list.
    #[error("the position is not one of this list")]
    BadPosition,
}

pub type StoreResult<T> = Result<T, StoreError>;

/// Where a page ended. Opaque above the store: each backend writes what its keyset needs, in ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub String);

/// One page of a keyset walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice<T> {
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next: Option<Position>,
}

/// Everything together, and what only the operator asks for.
#[async_trait]
pub trait Store: UserStore + SessionStore + MessageStore + PresenceStore {
    /// `Ok` if reads and durable writes work now.
    async fn check(&self) -> StoreResult<()>;

    /// Stores the messages that are queued and tells what became of them, where other nodes can still hear of it. No more are sent.
    async fn finish_sending(&self) {}

    /// Finishes what is queued, then closes. Later calls are `Unavailable`.
    async fn close(&self);

    /// Writes waiting to be committed.
    fn queue_depth(&self) -> usize;

    /// Waits until the search index has caught up with every message committed before the call.
    async fn search_caught_up(&self) -> StoreResult<()>;
}
