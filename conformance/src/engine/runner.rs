//! Runs cases at the same time, each in its own world.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ambient;

use super::{Case, Record, Stop, Tally, Target, World};

/// A case that takes longer is inconclusive.
const LONGEST: Duration = Duration::from_secs(60);

/// How a case ended, beside its judgements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// To its end, or to a failure that made the rest pointless.
    Judged,
    /// Nothing can be said.
    Inconclusive(String),
    /// The target does not offer what it needs.
    NotApplicable(String),
    /// The case itself is broken.
    Broken(String),
}

pub struct CaseResult {
    pub case: Case,
    pub finding: Finding,
    pub tally: Tally,
    pub transcript: Record,
    pub took: Duration,
}

impl CaseResult {
    pub fn title(&self) -> String {
        self.case.title()
    }
}

/// All results, in the order of the cases.
pub struct Run {
    pub results: Vec<CaseResult>,
    pub took: Duration,
    pub seed: u64,
}

/// Runs the cases, at most `jobs` at once; `done` hears of each as it ends.
pub async fn run(target: &Target, cases: &[Case], jobs: usize, seed: u64, mut done: impl FnMut(&CaseResult)) -> Run {
    let started = Instant::now();
    let places = Arc::new(Semaphore::new(jobs.max(1)));
    let mut tasks = JoinSet::new();
    for (index, case) in cases.iter().cloned().enumerate() {
        let (target, places) = (target.clone(), places.clone());
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            (index, run_one(target, case, seed).await)
        });
    }
    let mut results: Vec<Option<CaseResult>> = cases.iter().map(|_| None).collect();
    while let Some(joined) = tasks.join_next().await {
        // A task here never panics: the case runs in one of its own.
        if let Ok((index, result)) = joined {
            done(&result);
            results[index] = Some(result);
        }
    }
    Run {
        results: results.into_iter().flatten().collect(),
        took: started.elapsed(),
        seed,
    }
}

/// Every case has chance of its own, whichever others run.
fn seed_of(case: &Case, seed: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (case.id(), seed).hash(&mut hasher);
    hasher.finish()
}

async fn run_one(target: Target, case: Case, seed: u64) -> CaseResult {
    let world = World::new(target, seed_of(&case, seed));
    let started = Instant::now();
    let task = tokio::spawn(case.start(world.clone()));
    let abort = task.abort_handle();
    let finding = match timeout(LONGEST, task).await {
        Ok(Ok(Ok(()) | Err(Stop::Judged))) => Finding::Judged,
        Ok(Ok(Err(Stop::Inconclusive(why)))) => Finding::Inconclusive(why),
        Ok(Ok(Err(Stop::NotApplicable(why)))) => Finding::NotApplicable(why),
        Ok(Err(panic)) => Finding::Broken(panic.to_string()),
        Err(_) => {
            abort.abort();
            Finding::Inconclusive(format!("took longer than {} s", LONGEST.as_secs()))
        }
    };
    let mut tally = world.take_tally();
    let finding = match finding {
        // Nothing passes by not running.
        Finding::Judged if tally.count() == 0 => Finding::Broken("the case judged nothing".into()),
        other => other,
    };
    let transcript = world.transcript.take();
    for judgement in ambient::judge(&transcript, &|schema, value| world.wrong_shape(schema, value)) {
        tally.add(judgement, transcript.entries.len());
    }
    for failure in &mut tally.failures {
        failure.expected = transcript.secrets.text(&failure.expected);
        failure.got = transcript.secrets.text(&failure.got);
    }
    CaseResult {
        case,
        finding,
        tally,
        transcript,
        took: started.elapsed(),
    }
}
