//! Runs cases at the same time, each in its own world, until all are done, the target is dead or time is up.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{timeout, timeout_at};

use crate::ambient;

use super::{Case, Interruption, Record, Stop, Tally, Target, World};

/// Of the runtime of a run. Cases end servers, which keeps a thread waiting for seconds on a busy machine: the other cases must
/// not stand still meanwhile, or their requests would seem to get no answer.
pub const THREADS: usize = 16;
/// How often a case is begun at most for which the machine is too slow.
pub const TRIES: usize = 3;
/// A case in which nothing happens for so long is inconclusive. How long it takes in all is not judged: the way to the target may
/// be long, and some cases ask hundreds of times.
const QUIET: Duration = Duration::from_secs(60);
/// The same for one that kills the target by commands of its operator, twice.
const QUIET_WITH_COMMANDS: Duration = Duration::from_secs(600);
/// A case that takes longer finds no end, though something happens all the time.
const LONGEST: Duration = Duration::from_secs(600);
/// Where more cases failed than this, a second try would tell nothing.
const MOST_CONFIRMED: usize = 40;
/// Second tries run with less company, so that the machine is no reason.
const CONFIRMING_JOBS: usize = 2;

/// How a case ended, beside its judgements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// To its end, or to a failure that made the rest pointless.
    Judged,
    /// Nothing can be said.
    Inconclusive(String),
    /// The target does not claim or offer what it needs.
    NotApplicable(String),
    /// The run ended before it could.
    NotRun(String),
    /// The case itself is broken.
    Broken(String),
}

pub struct CaseResult {
    pub case: Case,
    pub finding: Finding,
    pub tally: Tally,
    pub transcript: Record,
    /// From the start of the run.
    pub began: Duration,
    pub took: Duration,
    /// What came of it the first time, when this is the second.
    pub first: Option<Box<CaseResult>>,
    /// The machine was too slow for it, and nothing failed until then.
    pub too_slow: bool,
}

impl CaseResult {
    pub fn title(&self) -> String {
        self.case.title()
    }

    /// Nothing failed and nothing stood in the way.
    pub fn is_clean(&self) -> bool {
        self.finding == Finding::Judged && self.tally.failures.is_empty()
    }

    pub(crate) fn without_running(case: Case, finding: Finding) -> Self {
        Self {
            case,
            finding,
            tally: Tally::default(),
            transcript: Record::default(),
            began: Duration::ZERO,
            took: Duration::ZERO,
            first: None,
            too_slow: false,
        }
    }
}

/// What to run, and how.
pub struct Plan<'a> {
    pub target: &'a Target,
    pub cases: &'a [Case],
    /// Cases at the same time.
    pub jobs: usize,
    pub seed: u64,
    /// The run ends within it, whatever happens.
    pub deadline: Duration,
    /// Ends the run as the deadline does, when somebody asks for that.
    pub interruption: &'a Interruption,
    /// Looks whether the target still lives when something went wrong.
    pub watch: bool,
    /// Ends the run at the first result for which `fails` is true.
    pub fail_fast: bool,
    /// Runs what failed a second time.
    pub confirm: bool,
    /// Why a case is not run at all.
    pub skip: &'a (dyn Fn(&Case) -> Option<String> + Sync),
    /// Whether a result is a failure that counts.
    pub fails: &'a (dyn Fn(&CaseResult) -> bool + Sync),
}

/// All results, in the order of the cases.
pub struct Run {
    pub results: Vec<CaseResult>,
    pub took: Duration,
    pub seed: u64,
    /// Why the run ended before all cases had run.
    pub cut: Option<Cut>,
}

/// The early end of a run.
#[derive(Debug, Clone)]
pub struct Cut {
    pub why: String,
    /// Since the start of the run.
    pub at: Duration,
    /// What ran when it was noticed; one of them may be the reason.
    pub running: Vec<String>,
    /// The target is dead, hangs, or answers hardly anything else than failures.
    pub by_target: bool,
}

/// What the tasks of a run share.
struct Course {
    began: Instant,
    seed: u64,
    patience: Patience,
    cut: OnceLock<Cut>,
    running: Mutex<BTreeSet<String>>,
}

/// How long cases may take.
struct Patience {
    quiet: Duration,
    longest: Duration,
}

/// Runs the cases, each again when the machine was too slow for it, at most `jobs` at once, and looks at nothing else; `done` hears
/// of each as it ends.
pub async fn run(target: &Target, cases: &[Case], jobs: usize, seed: u64, done: impl FnMut(&CaseResult)) -> Run {
    let plan = Plan {
        target,
        cases,
        jobs,
        seed,
        deadline: Duration::from_secs(24 * 3600),
        interruption: &Interruption::never(),
        watch: false,
        fail_fast: false,
        confirm: false,
        skip: &|_| None,
        fails: &|_| false,
    };
    plan.run(done).await
}

impl Plan<'_> {
    /// Runs it; `done` hears of each case as it ends.
    pub async fn run(&self, mut done: impl FnMut(&CaseResult)) -> Run {
        let plan = self;
        let course = Arc::new(Course::new(plan.seed));
        let mut results: Vec<Option<CaseResult>> = plan.cases.iter().map(|_| None).collect();
        let mut chosen = Vec::new();
        for (index, case) in plan.cases.iter().enumerate() {
            match (plan.skip)(case) {
                Some(why) => {
                    let result = CaseResult::without_running(case.clone(), Finding::NotApplicable(why));
                    done(&result);
                    results[index] = Some(result);
                }
                None => chosen.push(index),
            }
        }
        passes(plan, &course, &chosen, plan.jobs, &mut |index, result| {
            done(&result);
            results[index] = Some(result);
        })
        .await;
        let failed = |result: &Option<CaseResult>| result.as_ref().is_some_and(|result| needs_confirming(plan, result));
        let again: Vec<usize> = (0..results.len()).filter(|index| failed(&results[*index])).collect();
        if plan.confirm && course.cut.get().is_none() && again.len() <= MOST_CONFIRMED {
            passes(
                plan,
                &course,
                &again,
                plan.jobs.min(CONFIRMING_JOBS),
                &mut |index, mut result| {
                    // A second try that was cut off says nothing.
                    if !matches!(result.finding, Finding::NotRun(_)) {
                        result.first = results[index].take().map(Box::new);
                        results[index] = Some(result);
                    }
                },
            )
            .await;
        }
        let cut = course.cut.get().cloned();
        let why = cut.as_ref().map_or("the run ended", |cut| cut.why.as_str());
        let results = results.into_iter().zip(plan.cases).map(|(result, case)| {
            result.unwrap_or_else(|| CaseResult::without_running(case.clone(), Finding::NotRun(why.to_owned())))
        });
        Run {
            results: results.collect(),
            took: course.began.elapsed(),
            seed: plan.seed,
            cut,
        }
    }
}

/// Runs one case by itself, and again when the machine was too slow for it.
pub async fn run_one(target: &Target, case: Case, seed: u64) -> CaseResult {
    Course::new(seed).run_one(target.clone(), case).await
}

/// Runs one case by itself, once.
pub async fn try_one(target: &Target, case: Case, seed: u64) -> CaseResult {
    Course::new(seed).try_one(target.clone(), case).await
}

/// Whether a second try may tell a chance event from a fault.
fn needs_confirming(plan: &Plan<'_>, result: &CaseResult) -> bool {
    (plan.fails)(result) || matches!(result.finding, Finding::Inconclusive(_))
}

/// Runs these cases; those that kill the target come last, one after the other.
async fn passes(
    plan: &Plan<'_>,
    course: &Arc<Course>,
    chosen: &[usize],
    jobs: usize,
    done: &mut dyn FnMut(usize, CaseResult),
) {
    let kills = |index: &usize| plan.target.commands.is_some() && plan.cases.get(*index).is_some_and(Case::kills);
    let (alone, together): (Vec<usize>, Vec<usize>) = chosen.iter().partition(|index| kills(index));
    pass(plan, course, &together, jobs, done).await;
    pass(plan, course, &alone, 1, done).await;
}

/// Runs these cases, as long as nothing cuts the run off.
async fn pass(
    plan: &Plan<'_>,
    course: &Arc<Course>,
    chosen: &[usize],
    jobs: usize,
    done: &mut dyn FnMut(usize, CaseResult),
) {
    if chosen.is_empty() {
        return;
    }
    let deadline = tokio::time::Instant::from_std(course.began) + plan.deadline;
    let mut waiting = chosen
        .iter()
        .filter_map(|&index| Some((index, plan.cases.get(index)?.clone())));
    let mut tasks = JoinSet::new();
    // In their order: what takes long is among the first.
    let mut fill = |tasks: &mut JoinSet<(usize, CaseResult)>| {
        for (index, case) in waiting.by_ref().take(jobs.max(1).saturating_sub(tasks.len())) {
            let (target, course) = (plan.target.clone(), course.clone());
            tasks.spawn(async move { (index, course.run_one(target, case).await) });
        }
    };
    loop {
        fill(&mut tasks);
        let ended = tokio::select! {
            biased;
            why = plan.interruption.came() => Err(why),
            ended = timeout_at(deadline, tasks.join_next()) => ended.map_err(|_| "the deadline is over"),
        };
        let (index, result) = match ended {
            Ok(Some(Ok(joined))) => joined,
            // A task here never panics: the case runs in one of its own.
            Ok(Some(Err(_))) => continue,
            Ok(None) => break,
            Err(why) => {
                course.end(why.into(), false);
                break;
            }
        };
        let fails = (plan.fails)(&result);
        let troubled = !result.is_clean() && !matches!(result.finding, Finding::NotRun(_) | Finding::NotApplicable(_));
        done(index, result);
        if fails && plan.fail_fast {
            course.end("--fail-fast: a case failed".into(), false);
            break;
        }
        if plan.watch && troubled && course.cut.get().is_none() {
            // Looking may take long.
            fill(&mut tasks);
            if let Some(storm) = plan.target.pulse.storm() {
                course.end(storm, true);
            } else if let Err(why) = plan.target.restarted().await {
                course.end(why, false);
            } else {
                let death = tokio::select! {
                    biased;
                    // Whatever ends the run may have ended the target as well.
                    _ = plan.interruption.came() => None,
                    examined = timeout_at(deadline, plan.target.examine()) => examined.ok().and_then(Result::err),
                };
                if let Some(death) = death {
                    course.end(death, true);
                }
            }
        }
    }
    // Whatever still runs is of no use any more.
    tasks.shutdown().await;
}

impl Course {
    fn new(seed: u64) -> Self {
        Self {
            began: Instant::now(),
            seed,
            patience: Patience {
                quiet: QUIET,
                longest: LONGEST,
            },
            cut: OnceLock::new(),
            running: Mutex::default(),
        }
    }

    fn end(&self, why: String, by_target: bool) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = Cut {
            why,
            at: self.began.elapsed(),
            running: running.iter().cloned().collect(),
            by_target,
        };
        let _ = self.cut.set(cut); // The first reason is the one.
    }

    async fn run_one(&self, target: Target, case: Case) -> CaseResult {
        for _ in 1..TRIES {
            let result = self.try_one(target.clone(), case.clone()).await;
            if !result.too_slow {
                return result;
            }
        }
        self.try_one(target, case).await
    }

    async fn try_one(&self, target: Target, case: Case) -> CaseResult {
        if let Some(cut) = self.cut.get() {
            return CaseResult::without_running(case, Finding::NotRun(cut.why.clone()));
        }
        let world = World::new(target, seed_of(&case, self.seed));
        let id = case.id();
        let started = Instant::now();
        self.running().insert(id.clone());
        let mut task = tokio::spawn(case.start(world.clone()));
        let _end = EndOnDrop(task.abort_handle());
        let quiet = match case.kills() && world.target.commands.is_some() {
            true => QUIET_WITH_COMMANDS,
            false => self.patience.quiet,
        };
        let left = || {
            let of_all = (self.patience.longest + world.waited()).saturating_sub(started.elapsed());
            of_all.min(quiet.saturating_sub(world.transcript.quiet_for()))
        };
        let ended = loop {
            match timeout(left(), &mut task).await {
                // Something has happened meanwhile.
                Err(_) if !left().is_zero() => {}
                ended => break ended,
            }
        };
        let too_slow = matches!(ended, Ok(Ok(Err(Stop::TooSlow(_)))));
        let finding = match ended {
            Ok(Ok(Ok(()) | Err(Stop::Judged))) => Finding::Judged,
            Ok(Ok(Err(Stop::Inconclusive(why) | Stop::TooSlow(why)))) => Finding::Inconclusive(why),
            Ok(Ok(Err(Stop::NotApplicable(why)))) => Finding::NotApplicable(why),
            Ok(Err(panic)) => Finding::Broken(panic.to_string()),
            Err(_) if world.transcript.quiet_for() >= quiet => {
                Finding::Inconclusive(format!("nothing happened for {} s", quiet.as_secs()))
            }
            Err(_) => Finding::Inconclusive(format!("took longer than {} s", self.patience.longest.as_secs())),
        };
        self.running().remove(&id);
        let mut tally = world.take_tally();
        let nothing = tally.count() == 0;
        if !tally.failures.is_empty() || matches!(finding, Finding::Inconclusive(_)) {
            world.note_logs().await;
        }
        let transcript = world.take_transcript();
        for judgement in ambient::judge(&transcript, &|schema, value| world.wrong_shape(schema, value)) {
            tally.add(judgement, transcript.entries.len());
        }
        for failure in &mut tally.failures {
            failure.expected = transcript.secrets.text(&failure.expected);
            failure.got = transcript.secrets.text(&failure.got);
        }
        let finding = match finding {
            // Nothing passes by not running.
            Finding::Judged if nothing => Finding::Broken("the case judged nothing".into()),
            Finding::Inconclusive(why) => Finding::Inconclusive(transcript.secrets.text(&why)),
            other => other,
        };
        CaseResult {
            case,
            finding,
            too_slow: too_slow && tally.failures.is_empty(),
            tally,
            transcript,
            began: started.duration_since(self.began),
            took: started.elapsed(),
            first: None,
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every case has chance of its own, whichever others run.
fn seed_of(case: &Case, seed: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (case.id(), seed).hash(&mut hasher);
    hasher.finish()
}

/// Ends a task when whoever waits for it is gone.
struct EndOnDrop(AbortHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use chat_spec::req;

    use super::*;

    /// A case in which something happens now and then, which ends by itself.
    fn busy() -> Case {
        Case::made("area", "busy", Vec::new(), |world| async move {
            for _ in 0..15 {
                world.transcript.note("still here");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            world.check(&req::JSON_RESPONSE_CONTENT_TYPE, true, "", "");
            Ok(())
        })
    }

    async fn finding(case: Case, quiet: Duration, longest: Duration) -> Finding {
        let course = Course {
            patience: Patience { quiet, longest },
            ..Course::new(1)
        };
        let target = Target::new("http://127.0.0.1:1", None).unwrap();
        course.try_one(target, case).await.finding
    }

    #[tokio::test]
    async fn a_case_is_ended_when_nothing_happens_and_not_for_taking_long() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        assert_eq!(finding(busy(), second, hour).await, Finding::Judged);
        let silent = Case::made("area", "silent", Vec::new(), |_| std::future::pending());
        let ended = finding(silent, second, hour).await;
        assert_eq!(ended, Finding::Inconclusive("nothing happened for 1 s".into()));
        // Though something happens all the time, there is an end.
        let ended = finding(busy(), hour, second).await;
        assert_eq!(ended, Finding::Inconclusive("took longer than 1 s".into()));
    }
}
