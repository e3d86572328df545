//! Every call to the database: bounded in time, and its failure in our terms.

use std::future::IntoFuture;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use mongodb::action::Find;
use mongodb::bson::Document;
use mongodb::error::{Error, ErrorKind, WriteFailure};
use tokio::time::timeout;

use super::Db;
use crate::store::{StoreError, StoreResult};

/// How long a call may take. A caller hears of a dead database within 5 s.
pub(super) const LIMIT: Duration = Duration::from_millis(4500);
/// How long the check of readiness may take.
pub(super) const CHECK: Duration = Duration::from_millis(2500);

/// The server says that a unique index has the key already.
const DUPLICATE: i32 = 11_000;
/// What a server says that is stepping down, shutting down, or too slow: another try may do.
const TRANSIENT: &[i32] = &[
    6, 7, 50, 64, 79, 89, 91, 112, 134, 189, 202, 251, 262, 9001, 10_058, 10_107, 11_600, 11_602, 13_435, 13_436,
];

/// Runs a call for at most so long.
pub(super) async fn call<T>(
    limit: Duration,
    what: impl IntoFuture<Output = mongodb::error::Result<T>>,
) -> StoreResult<T> {
    match timeout(limit, what.into_future()).await {
        Ok(result) => result.map_err(failure),
        Err(_) => Err(StoreError::Unavailable("MongoDB did not answer in time".into())),
    }
}

impl Db {
    /// Runs a call that nobody may wait for longer than [`LIMIT`].
    pub(super) async fn call<T>(&self, what: impl IntoFuture<Output = mongodb::error::Result<T>>) -> StoreResult<T> {
        self.open()?;
        call(LIMIT, what).await
    }

    /// All that a query finds.
    pub(super) async fn all(&self, find: Find<'_, Document>) -> StoreResult<Vec<Document>> {
        let found = async { find.await?.try_collect().await };
        self.call(Box::pin(found)).await
    }

    /// Runs what takes several calls, for at most [`LIMIT`].
    pub(super) async fn calls<T>(&self, what: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        self.open()?;
        let late = |_| Err(StoreError::Unavailable("MongoDB did not answer in time".into()));
        timeout(LIMIT, what).await.unwrap_or_else(late)
    }

    pub(super) fn open(&self) -> StoreResult<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        Ok(())
    }
}

/// The code that the server gave, if it was the server that refused.
pub(super) fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::InsertMany(many) => many.write_errors.as_ref()?.first().map(|write| write.code),
        _ => None,
    }
}

/// The name of the unique index that refused a write.
pub(super) fn duplicate(error: &Error) -> Option<&str> {
    let message = match &*error.kind {
        ErrorKind::Command(command) if command.code == DUPLICATE => &command.message,
        ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE => &write.message,
        _ => return None,
    };
    Some(index_of(message))
}

/// The index that a message of a duplicate key names.
pub(super) fn index_of(message: &str) -> &str {
    let rest = message.split_once("index: ").map_or("", |(_, rest)| rest);
    rest.split_once(' ').map_or(rest, |(name, _)| name)
}

pub(super) fn is_duplicate(code: i32) -> bool {
    code == DUPLICATE
}

/// What the driver said, in our terms. Says no values: they may be addresses of people and contents of messages.
#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
pub(super) fn failure(error: Error) -> StoreError {
    if let Some(code) = code(&error) {
        let name = match &*error.kind {
            ErrorKind::Command(command) => command.code_name.as_str(),
            _ => "",
        };
        let text = format!("MongoDB refused with code {code} {name}");
        return if TRANSIENT.contains(&code) || error.contains_label("RetryableWriteError") {
            StoreError::Unavailable(text)
        } else {
            StoreError::Broken(text)
        };
    }
    match &*error.kind {
        ErrorKind::InvalidArgument { .. }
        | ErrorKind::Bson(_)
        | ErrorKind::InvalidResponse { .. }
        | ErrorKind::IncompatibleServer { .. }
        | ErrorKind::SessionsNotSupported => StoreError::Broken(format!("MongoDB driver: {}", error.kind)),
        kind => StoreError::Unavailable(format!("MongoDB: {kind}")),
    }
}

#[cfg(test)]
mod tests {
    use super::index_of;

    #[test]
    fn the_index_of_a_duplicate_is_named() {
        let said =
            "E11000 duplicate key error collection: chat.users index: username_key dup key: { usernameKey: \"ann\" }";
        assert_eq!(index_of(said), "username_key");
        assert_eq!(index_of("something else"), "");
    }
}
