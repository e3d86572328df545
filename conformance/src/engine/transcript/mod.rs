//! What went over the wire, kept as data: reports, coverage and checks read it when the case is over.

mod entry;
mod line;
mod secrets;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use self::entry::{Entry, Party, Received, Sent, Side, What};
pub use self::secrets::{AllSecrets, MASK, Secrets};

/// More entries of a case are counted only.
const MOST: usize = 60_000;
/// More bytes of a case are counted only.
const MOST_BYTES: usize = 96 << 20;

/// What happens while a case runs.
#[derive(Debug)]
pub struct Transcript {
    started: Instant,
    /// The same moment by the clock on the wall.
    began: Timestamp,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<Entry>,
    bytes: usize,
    dropped: usize,
    /// When something happened last, or is to happen at the earliest.
    last: Option<Instant>,
}

/// What happened while a case ran.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// When the case began, by the clock on the wall.
    pub began: Timestamp,
    pub entries: Vec<Entry>,
    /// So many more happened when there was no room left.
    pub dropped: usize,
    /// Masks what of it must not be shown.
    pub secrets: Secrets,
}

impl Default for Transcript {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            began: Timestamp::now(),
            kept: Mutex::default(),
        }
    }
}

impl Transcript {
    /// Something happened now.
    pub fn add(&self, party: &Party, server: &Arc<str>, what: What) {
        let mut kept = self.kept();
        let entry = Entry {
            at: self.started.elapsed(),
            party: party.clone(),
            server: server.clone(),
            what,
        };
        kept.last = kept.last.max(Some(Instant::now()));
        let weight = entry.weight();
        if kept.entries.len() < MOST && kept.bytes + weight < MOST_BYTES {
            kept.bytes += weight;
            kept.entries.push(entry);
        } else {
            kept.dropped += 1;
        }
    }

    /// A remark for whoever reads the report.
    pub fn note(&self, text: &str) {
        self.add(&Party::guest(), &Arc::default(), What::Note(text.to_owned()));
    }

    /// Says that nothing can happen before this moment.
    pub(super) fn nothing_before(&self, due: Instant) {
        let mut kept = self.kept();
        kept.last = kept.last.max(Some(due));
    }

    /// For how long nothing has happened although it could.
    pub(super) fn quiet_for(&self) -> Duration {
        let last = self.kept().last.unwrap_or(self.started);
        Instant::now().saturating_duration_since(last)
    }

    pub fn len(&self) -> usize {
        self.kept().entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all that was kept.
    pub fn take(&self) -> Record {
        let kept = std::mem::take(&mut *self.kept());
        Record {
            began: self.began,
            secrets: Secrets::of(&kept.entries),
            entries: kept.entries,
            dropped: kept.dropped,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// The entries before `end` as lines of text without secrets, at most the last `most`.
    pub fn lines(&self, end: usize, most: usize) -> Vec<String> {
        let end = end.min(self.entries.len());
        let lines = self.entries[end.saturating_sub(most)..end].iter();
        lines.map(|entry| line::line(entry, &self.secrets)).collect()
    }
}
