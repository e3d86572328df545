//! Lets cases loose on a mutant until one reports it.

use std::collections::BTreeSet;
use std::io;

use super::baseline::{Baseline, Observed, reported, run_through};
use super::mutant::Mutant;
use super::mutation::Mutation;
use crate::engine::Target;

/// So many cases get to see everything of the kind broken …
const CASES: usize = 5;
/// … and so many single things each are broken in turn; then the other cases get to see everything …
const SINGLES: usize = 6;
/// … but no more than this is tried at all.
const MOST: usize = 24;
/// When something else than what was named has been reported, so much more is tried.
const MORE: usize = 4;

/// How it went with a mutant.
#[derive(Debug, Clone)]
pub(super) struct Hunted {
    pub(super) mutant: String,
    pub(super) breaks: Vec<&'static str>,
    /// Every requirement that was reported.
    pub(super) reported: BTreeSet<&'static str>,
    /// The case that reported it first.
    pub(super) by: Option<String>,
    /// Cases that had something to break.
    pub(super) chances: usize,
    pub(super) tries: usize,
}

impl Hunted {
    /// The suite noticed.
    pub(super) fn killed(&self) -> bool {
        !self.reported.is_empty()
    }

    /// The suite noticed, and gave one of the reasons that were expected.
    pub(super) fn by_name(&self) -> bool {
        self.killed() && (self.breaks.is_empty() || self.breaks.iter().any(|id| self.reported.contains(id)))
    }
}

pub(super) async fn hunt(target: &Target, baseline: &Baseline, mutant: &Mutant) -> io::Result<Hunted> {
    let chances = baseline.chances(mutant);
    let mut hunted = Hunted {
        mutant: mutant.name.clone(),
        breaks: mutant.breaks.clone(),
        reported: BTreeSet::new(),
        by: None,
        chances: chances.len(),
        tries: 0,
    };
    let most = |hunted: &Hunted| hunted.tries >= MOST || (hunted.killed() && hunted.tries >= MORE);
    for (observed, only) in attempts(&chances) {
        if hunted.by_name() || most(&hunted) {
            break;
        }
        hunted.tries += 1;
        let (result, _) = run_through(target, &observed.case, || Mutation::new(mutant, only)).await?;
        hunted.reported.extend(reported(&result));
        if hunted.killed() && hunted.by.is_none() {
            hunted.by = Some(result.title());
        }
    }
    Ok(hunted)
}

fn attempts<'a>(chances: &[(&'a Observed, usize)]) -> Vec<(&'a Observed, Option<usize>)> {
    let first = || chances.iter().take(CASES);
    let all = first().map(|(observed, _)| (*observed, None));
    let one_by_one = first().flat_map(|(observed, count)| {
        let numbers = (0..*count).rev().take(SINGLES);
        // A single one of one is all.
        numbers.filter(|_| *count > 1).map(|number| (*observed, Some(number)))
    });
    let others = chances.iter().skip(CASES).map(|(observed, _)| (*observed, None));
    all.chain(one_by_one).chain(others).collect()
}
