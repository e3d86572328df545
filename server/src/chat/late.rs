//! Of whose coming or going nobody could be told yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chat_protocol::UserId;

/// One change of each user at most: the last.
#[derive(Default)]
pub(super) struct Late(Mutex<Numbers>);

#[derive(Default)]
struct Numbers {
    last: u64,
    of: HashMap<UserId, u64>,
}

impl Late {
    /// A change that is to be told; what was to be told before is not any more. Its number.
    pub(super) fn add(&self, user: &UserId) -> u64 {
        let mut numbers = self.lock();
        numbers.last += 1;
        let number = numbers.last;
        numbers.of.insert(user.clone(), number);
        number
    }

    /// Whether this is still to be told.
    pub(super) fn is(&self, user: &UserId, number: u64) -> bool {
        self.lock().of.get(user) == Some(&number)
    }

    /// There is news of this user.
    pub(super) fn told(&self, user: &UserId) {
        self.lock().of.remove(user);
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
