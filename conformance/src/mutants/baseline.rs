//! The run without a mutant: what every case judges, and all that the server says to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chat_spec::Level;
use futures_util::{StreamExt as _, stream};

use super::bench::behind;
use super::mutant::Mutant;
use super::mutation::could_break;
use super::proxy::Tamper;
use super::recorder::Recorder;
use super::unit::{Class, Unit};
use crate::engine::{Case, CaseResult, Finding, TRIES, Target, try_one};

/// A case that passes when nothing is broken, so that its failure means something.
pub(super) struct Observed {
    pub(super) case: Case,
    pub(super) took: Duration,
    /// Ids of requirements.
    pub(super) judged: BTreeSet<&'static str>,
    pub(super) units: Vec<Unit>,
}

/// All cases that can be used.
pub(super) struct Baseline {
    pub(super) cases: Vec<Observed>,
    /// Those that cannot, and why.
    pub(super) unusable: Vec<(Case, String)>,
}

/// Runs one case through a hand in the wire; servers that the case starts are behind it too. When the machine was too slow, it is
/// run again through another: the first has done what it had to do.
pub(super) async fn run_through<T: Tamper + 'static>(
    target: &Target,
    case: &Case,
    hand: impl Fn() -> T,
) -> io::Result<(CaseResult, Arc<T>)> {
    let mut tries = 0;
    loop {
        let hand = Arc::new(hand());
        let (target, _proxies) = behind(target, hand.clone()).await?;
        let result = try_one(&target, case.clone(), super::SEED).await;
        tries += 1;
        if !result.too_slow || tries == TRIES {
            return Ok((result, hand));
        }
    }
}

/// What a run of a case reports, MUSTs and SHOULDs alike, beyond what the unbroken server does not keep either.
pub(super) fn reported(result: &CaseResult) -> impl Iterator<Item = &'static str> + '_ {
    let failures = result.tally.failures.iter();
    failures
        .map(|failure| failure.requirement)
        .filter(|requirement| requirement.level != Level::May && !super::KNOWN.contains(&requirement.id))
        .map(|requirement| requirement.id)
}

impl Baseline {
    /// `done` hears of each case.
    pub(super) async fn record(target: &Target, cases: &[Case], jobs: usize, done: impl Fn()) -> io::Result<Self> {
        let runs = cases.iter().cloned().enumerate().map(|(number, case)| async move {
            let (result, recorder) = run_through(target, &case, Recorder::default).await?;
            io::Result::Ok((number, result, recorder.units()))
        });
        let (mut usable, mut unusable) = (Vec::new(), Vec::new());
        let mut runs = stream::iter(runs).buffer_unordered(jobs);
        while let Some(ran) = runs.next().await {
            let (number, result, units) = ran?;
            done();
            match why_unusable(&result) {
                Some(why) => unusable.push((result.case, why)),
                None => usable.push((
                    number,
                    Observed {
                        case: result.case,
                        took: result.took,
                        judged: result.tally.passed.keys().copied().collect(),
                        units,
                    },
                )),
            }
        }
        usable.sort_by_key(|(number, _)| *number);
        Ok(Self {
            cases: usable.into_iter().map(|(_, observed)| observed).collect(),
            unusable,
        })
    }

    /// The cases in which a mutant has something to break, and how often. First those that are about the requirement and about
    /// the call or event, then about the requirement alone; those that judge it by the way; those about the call or event
    /// alone; and among equals the quickest.
    pub(super) fn chances(&self, mutant: &Mutant) -> Vec<(&Observed, usize)> {
        let mut chances: Vec<_> = (self.cases.iter())
            .map(|observed| {
                let fitting = observed.units.iter().filter(|unit| could_break(mutant, unit));
                (observed, fitting.count())
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        chances.sort_by_key(|(observed, _)| {
            let declares = mutant.breaks.iter().any(|id| observed.declares(id));
            let judges = mutant.breaks.iter().any(|id| observed.judged.contains(id));
            let mut requirements = observed.case.requirements.iter();
            let concerned = requirements.any(|requirement| mutant.at.concerns(requirement));
            (!(declares && concerned), !declares, !judges, !concerned, observed.took)
        });
        chances
    }

    /// The cases that judge a requirement: those that are about it first, then the quickest.
    pub(super) fn judging(&self, id: &str) -> Vec<&Observed> {
        let mut judging: Vec<_> = self
            .cases
            .iter()
            .filter(|observed| observed.judged.contains(id))
            .collect();
        judging.sort_by_key(|observed| (!observed.declares(id), observed.took));
        judging
    }
}

impl Observed {
    /// The case is about this requirement, and does not judge it merely by the way.
    fn declares(&self, id: &str) -> bool {
        self.case.requirements.iter().any(|requirement| requirement.id == id)
    }

    /// How often the server said something of each kind.
    pub(super) fn classes(&self) -> BTreeMap<&Class, usize> {
        let mut classes = BTreeMap::new();
        for unit in &self.units {
            *classes.entry(&unit.class).or_insert(0) += 1;
        }
        classes
    }
}

fn why_unusable(result: &CaseResult) -> Option<String> {
    let failed: Vec<&str> = reported(result).collect();
    match &result.finding {
        Finding::Judged if failed.is_empty() => None,
        Finding::NotApplicable(_) => None,
        Finding::Judged => Some(format!("fails without a mutant: {}", failed.join(", "))),
        other => Some(format!("{other:?}")),
    }
}
