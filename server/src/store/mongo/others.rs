//! Other nodes that mark in the same chats: they take turns.
//!
//! Of two transactions that change the same chat one fails, and is to be tried again. A node that always has something to mark would be
//! back before the other one tries, which then waits for seconds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::transaction::Pauses;

/// Whoever has marked leaves the others this long to come in between.
const REST: Duration = Duration::from_millis(10);
/// How often they try: each of them at least once in a [`REST`].
const PAUSE: Duration = Duration::from_millis(6);
/// They are expected for so long after they were met last.
const NEAR: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Others(Mutex<Option<Instant>>);

impl Others {
    /// One of them has written to a chat in which this node marks.
    pub(super) fn meet(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn are_near(&self) -> bool {
        let met = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        met.is_some_and(|met| met.elapsed() < NEAR)
    }

    /// Between the tries of a transaction that one of them may be in the way of.
    pub(super) fn pauses(&self) -> Pauses {
        Pauses::up_to(PAUSE)
    }

    /// Waits, if there are others, so that they can mark.
    pub(super) async fn let_through(&self) {
        if self.are_near() {
            tokio::time::sleep(REST).await;
        }
    }
}
