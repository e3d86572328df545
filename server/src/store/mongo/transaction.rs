//! Several documents that change together or not at all.

use std::future::IntoFuture as _;
use std::time::Duration;

use futures_util::future::BoxFuture;
use mongodb::ClientSession;
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::TransactionOptions;
use tokio::time::{Instant, sleep, timeout_at};

use super::Db;
use super::call::{LIMIT, failure};
use super::connect::{durable, latest};
use crate::store::{StoreError, StoreResult};

/// How one run of the work ended.
pub(super) enum Step<T> {
    /// Make it so.
    Commit(T),
    /// Undo everything; this is the answer.
    Abort(T),
}

/// Why a run failed.
pub(super) enum Trouble {
    Driver(Error),
    Store(StoreError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) type Worked<T> = Result<Step<T>, Trouble>;

/// Between tries of something that others are in the way of: short ones first, and for as long as anybody may wait. A count of tries
/// would be over within milliseconds.
pub(super) struct Pauses {
    next: Duration,
    longest: Duration,
    until: Instant,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(1);

    pub(super) fn new() -> Self {
        Self::up_to(Duration::from_millis(100))
    }

    /// None of them much longer than this.
    pub(super) fn up_to(longest: Duration) -> Self {
        Self {
            next: Self::FIRST,
            longest,
            until: Instant::now() + LIMIT,
        }
    }

    /// Whether there is time for another try, which is then due.
    pub(super) async fn wait(&mut self) -> bool {
        // Whoever is in each other's way must not come back at the same time.
        let next = self.next.mul_f64(rand::random_range(0.5..1.5));
        if Instant::now() + next >= self.until {
            return false;
        }
        sleep(next).await;
        self.next = (self.next * 2).min(self.longest);
        true
    }
}

impl Db {
    /// Runs the work in a transaction, again when another transaction was in its way.
    pub(super) async fn transact<T, W>(&self, work: W) -> StoreResult<T>
    where
        T: Send,
        W: for<'s> FnMut(&'s mut ClientSession) -> BoxFuture<'s, Worked<T>> + Send,
    {
        self.transact_between(&mut Pauses::new(), work).await
    }

    /// The same, with these pauses between the tries.
    pub(super) async fn transact_between<T, W>(&self, pauses: &mut Pauses, mut work: W) -> StoreResult<T>
    where
        T: Send,
        W: for<'s> FnMut(&'s mut ClientSession) -> BoxFuture<'s, Worked<T>> + Send,
    {
        self.open()?;
        let late = || StoreError::Unavailable("MongoDB did not finish a transaction in time".into());
        loop {
            let attempt = timeout_at(pauses.until, self.attempt(&mut work)).await;
            match attempt.map_err(|_| late())? {
                Ok(done) => return Ok(done),
                Err(Trouble::Store(error)) => return Err(error),
                Err(Trouble::Driver(error)) if error.contains_label(TRANSIENT_TRANSACTION_ERROR) => {
                    if !pauses.wait().await {
                        return Err(failure(error));
                    }
                }
                Err(Trouble::Driver(error)) => return Err(failure(error)),
            }
        }
    }

    async fn attempt<T, W>(&self, work: &mut W) -> Result<T, Trouble>
    where
        W: for<'s> FnMut(&'s mut ClientSession) -> BoxFuture<'s, Worked<T>> + Send,
    {
        let mut session = self.client.start_session().await?;
        // It sees what is there when it begins, durable or not: the commit waits until that is durable, too. A snapshot of what surely
        // stays would be older, and every chat that was written to since would be in the way.
        let options = TransactionOptions::builder()
            .read_concern(latest())
            .write_concern(durable())
            .build();
        session.start_transaction().with_options(options).await?;
        match work(&mut session).await {
            Ok(Step::Commit(done)) => loop {
                match session.commit_transaction().into_future().await {
                    Ok(()) => return Ok(done),
                    // A commit may be repeated: the server knows whether it was done.
                    Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {
                        sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => return Err(error.into()),
                }
            },
            Ok(Step::Abort(answer)) => {
                // The server forgets an unfinished transaction by itself.
                let _ = session.abort_transaction().await;
                Ok(answer)
            }
            Err(trouble) => {
                let _ = session.abort_transaction().await;
                Err(trouble)
            }
        }
    }
}
