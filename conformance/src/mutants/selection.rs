//! What of the proof is run: which mutants, by which cases, how many at once.

use std::io;
use std::time::Instant;

use futures_util::{StreamExt as _, stream};

use super::catalogue;
use super::mutant::Mutant;
use crate::cases;
use crate::engine::Case;
use crate::launch::Stack;

/// What of it is run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only mutants whose name contains one of these; all when there is none.
    pub only: Vec<String>,
    /// Only cases whose area or name contains one of these; all when there is none.
    pub cases: Vec<String>,
    /// Only so many mutants, spread evenly.
    pub sample: Option<usize>,
    /// On this stack alone; otherwise on one node, and on several for what only they can get wrong.
    pub stack: Option<Stack>,
    /// What has not begun by then is left out.
    pub until: Option<Instant>,
    /// At the same time.
    pub jobs: usize,
}

impl Selection {
    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() > until)
    }

    pub(super) fn is_partial(&self) -> bool {
        !self.only.is_empty() || !self.cases.is_empty() || self.sample.is_some()
    }

    pub(super) fn takes(&self, mutant: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| mutant.contains(text.as_str()))
    }

    pub(super) fn cases(&self) -> Vec<Case> {
        let fits = |case: &Case| {
            let name = format!("{}: {}", case.area, case.name);
            self.cases.is_empty() || self.cases.iter().any(|text| name.contains(text.as_str()))
        };
        cases::all().filter(fits).collect()
    }

    pub(super) fn mutants(&self) -> Vec<Mutant> {
        let all = catalogue::all().into_iter();
        self.sampled(all.filter(|mutant| self.takes(&mutant.name)).collect())
    }

    /// So many as were asked for, spread evenly; all when nobody has asked.
    pub(super) fn sampled<T>(&self, all: Vec<T>) -> Vec<T> {
        let step = self.sample.map_or(1, |sample| all.len().div_ceil(sample.max(1)).max(1));
        all.into_iter().step_by(step).collect()
    }

    /// Waits for all, so many at a time, in their order; those that would begin too late are left out.
    pub(super) async fn all<F, T>(
        &self,
        hunts: impl Iterator<Item = F>,
        count: usize,
        jobs: usize,
        said: &(dyn Fn(&str) + Sync),
    ) -> io::Result<Vec<T>>
    where
        F: Future<Output = io::Result<T>>,
    {
        let numbered = hunts.enumerate().map(|(number, hunt)| async move {
            match self.is_over() {
                true => None,
                false => Some((number, hunt.await)),
            }
        });
        let mut hunts = stream::iter(numbered).buffer_unordered(jobs);
        let mut done = Vec::new();
        while let Some(hunted) = hunts.next().await {
            let Some((number, hunted)) = hunted else { continue };
            done.push((number, hunted?));
            if done.len() % 50 == 0 {
                said(&format!("  {} of {count}", done.len()));
            }
        }
        done.sort_by_key(|(number, _)| *number);
        Ok(done.into_iter().map(|(_, hunted)| hunted).collect())
    }
}
