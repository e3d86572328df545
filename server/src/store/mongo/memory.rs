//! What the writer remembers between groups, so that a message costs no look at its users and its chat.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_protocol::{ChatId, UserId};
use lru::LruCache;
use mongodb::bson::oid::ObjectId;
use tokio::time::Instant;

use super::unanswered::Unanswered;

/// How long an active user is taken to be active still: another node may have deactivated it.
const TRUST_USER: Duration = Duration::from_secs(2);
const USERS: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();
/// How long a chat is taken to be written to by another node still.
const SHARED: Duration = Duration::from_secs(2);
const CHATS: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
/// Shared by the groups that are under way. Locked for moments only.
pub(super) struct Memory {
    remembered: Mutex<Remembered>,
    /// Messages that were refused and might come to be stored all the same, when a hung server wakes up.
    pub(super) unsettled: Unanswered<ObjectId>,
}

pub(super) struct Remembered {
    active: LruCache<UserId, Instant>,
    users_seen: u64,
    /// By the pair of users.
    pub(super) tips: LruCache<String, Tip>,
    /// Chats that another node writes to as well, until when we take it to.
    shared: LruCache<String, Instant>,
}

/// What we remember of a chat.
#[derive(Debug, Clone)]
pub(super) struct Tip {
    pub(super) id: ChatId,
    pub(super) oid: ObjectId,
    /// Of its newest message; `None`: it has to be looked for.
    pub(super) seq: Option<i64>,
    /// What that was when we last knew.
    pub(super) last: Option<i64>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            remembered: Mutex::new(Remembered {
                active: LruCache::new(USERS),
                users_seen: 0,
                tips: LruCache::new(CHATS),
                shared: LruCache::new(CHATS),
            }),
            unsettled: Unanswered::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tip(&self, pair: &str) -> Option<Tip> {
        self.lock().tips.get(pair).cloned()
    }
}

impl Remembered {
    /// Forgets users when something about any of them has changed since.
    pub(super) fn forget_users_since(&mut self, changes: u64) {
        if changes != self.users_seen {
            self.active.clear();
            self.users_seen = changes;
        }
    }

    /// Another node may have written to this chat.
    pub(super) fn doubt(&mut self, pair: &str) {
        if let Some(tip) = self.tips.get_mut(pair) {
            tip.seq = None;
        }
    }

    /// The seq of the newest message of a chat. One that we have not stored is another node's.
    pub(super) fn found(&mut self, pair: &str, seq: i64) {
        let Some(tip) = self.tips.get_mut(pair) else { return };
        let moved = tip.last.is_some_and(|last| seq > last);
        (tip.seq, tip.last) = (Some(seq), Some(seq));
        if moved {
            self.share(pair);
        }
    }

    /// Another node was faster in this chat.
    pub(super) fn share(&mut self, pair: &str) {
        self.shared.put(pair.to_owned(), Instant::now() + SHARED);
    }

    pub(super) fn is_shared(&mut self, pair: &str, now: Instant) -> bool {
        self.shared.get(pair).is_some_and(|until| *until >= now)
    }

    pub(super) fn is_active(&mut self, user: &UserId, now: Instant) -> bool {
        self.active.get(user).is_some_and(|until| *until >= now)
    }

    /// The user was active when we asked.
    pub(super) fn trust(&mut self, user: &UserId, asked: Instant) {
        self.active.put(user.clone(), asked + TRUST_USER);
    }
}
