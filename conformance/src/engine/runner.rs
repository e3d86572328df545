//! Runs cases at the same time, each in its own world.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Outcome, Stop, Tally, Target, World};

/// A case that takes longer is inconclusive.
const LONGEST: Duration = Duration::from_secs(60);

/// A plain async function that judges.
#[derive(Clone, Copy)]
pub struct Case {
    pub area: &'static str,
    pub name: &'static str,
    pub run: fn(World) -> Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

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
    pub transcript: Vec<String>,
    pub took: Duration,
}

impl CaseResult {
    pub fn title(&self) -> String {
        format!("{}: {}", self.case.area, self.case.name.replace('_', " "))
    }
}

/// All results, in the order of the cases.
pub struct Run {
    pub results: Vec<CaseResult>,
    pub took: Duration,
}

/// Runs the cases, at most `jobs` at once; `done` hears of each as it ends.
pub async fn run(target: &Target, cases: &[Case], jobs: usize, mut done: impl FnMut(&CaseResult)) -> Run {
    let started = Instant::now();
    let places = Arc::new(Semaphore::new(jobs.max(1)));
    let mut tasks = JoinSet::new();
    for (index, case) in cases.iter().copied().enumerate() {
        let (target, places) = (target.clone(), places.clone());
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            (index, run_one(target, case).await)
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
    }
}

async fn run_one(target: Target, case: Case) -> CaseResult {
    let world = World::new(target);
    let started = Instant::now();
    let task = tokio::spawn((case.run)(world.clone()));
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
    let tally = world.take_tally();
    let finding = match finding {
        // Nothing passes by not running.
        Finding::Judged if tally.count() == 0 => Finding::Broken("the case judged nothing".into()),
        other => other,
    };
    CaseResult {
        case,
        finding,
        tally,
        transcript: world.transcript.lines(),
        took: started.elapsed(),
    }
}
