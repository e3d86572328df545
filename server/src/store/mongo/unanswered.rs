//! Writes that were sent and had no answer: they may have been done all the same, and nobody was told. Whoever asks for the same again,
//! as the refusal says one may, gets the answer that is still owed. At this node only.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// Those that were sent longest ago are forgotten first.
const MOST: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

pub(super) struct Unanswered<K: Hash + Eq>(Mutex<LruCache<K, ()>>);

impl<K: Hash + Eq> Unanswered<K> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }

    pub(super) fn put(&self, write: K) {
        self.lock().put(write, ());
    }

    /// All that had none, the latest first.
    pub(super) fn all(&self) -> Vec<K>
    where
        K: Clone,
    {
        self.lock().iter().map(|(write, ())| write.clone()).collect()
    }

    /// Whether this write had none; it has one now.
    pub(super) fn take(&self, write: &K) -> bool {
        self.lock().pop(write).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<K, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
