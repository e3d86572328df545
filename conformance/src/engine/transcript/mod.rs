//! What went over the wire, kept as data: reports, coverage and checks read it when the case is over.

mod entry;
mod line;
mod secrets;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<Entry>,
    bytes: usize,
    dropped: usize,
}

/// What happened while a case ran.
#[derive(Debug, Clone, Default)]
pub struct Record {
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
