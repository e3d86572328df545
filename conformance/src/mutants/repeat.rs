//! The other half of the proof: no alarm where nothing is wrong. The whole suite, again and again, and against a lawful server
//! that is unlike the reference server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chat_spec::Profile;

use super::baseline::reported;
use super::bench::{Bench, Workshop, behind};
use super::error::ProofError;
use super::lawful::{Lawful, Unlike};
use crate::cases;
use crate::engine::{Case, CaseResult, Finding, Interruption, Plan, Run, Target, Terms};
use crate::launch::{Launched, Stack};
use crate::report::{Judged, files};

/// A run that takes longer is a false alarm too.
const LONGEST: Duration = Duration::from_secs(900);

/// How often something went wrong that should not.
#[derive(Debug, Default)]
pub struct Alarms {
    pub runs: usize,
    /// Runs in which everything was as it should be.
    pub clean: usize,
    /// By case and what it said.
    pub by_case: BTreeMap<String, usize>,
    pub longest: Duration,
}

/// What is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    Reference,
    /// The reference server behind `Lawful`.
    Lawful(Unlike),
}

impl Against {
    /// What it has.
    fn claims(&self, several_nodes: bool) -> BTreeSet<Profile> {
        let lacks = |profile: &Profile| matches!(self, Self::Lawful(unlike) if unlike.without.contains(profile));
        (Profile::ALL.iter().copied())
            .filter(|profile| several_nodes || *profile != Profile::Cluster)
            .filter(|profile| !lacks(profile))
            .collect()
    }
}

/// The whole suite on a stack, or a part of it.
#[derive(Debug, Clone)]
pub struct Repetition {
    pub against: Against,
    pub stack: Stack,
    /// Only cases whose area or name contains one of these; all when there is none.
    pub only: Vec<String>,
    pub runs: usize,
    /// Cases at the same time.
    pub jobs: usize,
    /// Where runs with an alarm are kept.
    pub into: Option<PathBuf>,
}

/// Runs the suite so often, each time against servers of its own; `said` hears of each run.
pub async fn repeat(repetition: &Repetition, said: &(dyn Fn(&str) + Sync)) -> Result<Alarms, ProofError> {
    let Repetition { only, runs, .. } = repetition;
    let cases: Vec<Case> = cases::all()
        .filter(|case| only.is_empty() || only.iter().any(|text| case.title().contains(text.as_str())))
        .collect();
    let workshop = Workshop::open(repetition.stack).await?;
    let mut alarms = Alarms::default();
    for number in 1..=*runs {
        let bench = workshop.start(None).await?;
        let mut target = bench.target.clone();
        let mut proxies = Vec::new();
        if let Against::Lawful(unlike) = &repetition.against {
            (target, proxies) = behind(&target, Arc::new(Lawful::new(unlike))).await?;
        }
        let claims = repetition.against.claims(workshop.is_cluster());
        target.claim(&claims);
        let plan = Plan {
            target: &target,
            cases: &cases,
            jobs: repetition.jobs,
            seed: rand::random::<u64>() >> 16,
            deadline: LONGEST,
            interruption: &Interruption::never(),
            watch: true,
            fail_fast: false,
            confirm: false,
            skip: &|case| {
                let unclaimed = claims.is_disjoint(&case.profiles());
                unclaimed.then(|| "not claimed".to_owned())
            },
            fails: &|_| false,
        };
        let ran = plan.run(|_| {}).await;
        drop(proxies);
        alarms.runs += 1;
        alarms.longest = alarms.longest.max(ran.took);
        let known = if workshop.is_cluster() {
            super::KNOWN_OF_SEVERAL
        } else {
            &[]
        };
        let mut wrong: Vec<String> = (ran.results.iter())
            .filter_map(|result| alarm(result, &claims, known))
            .collect();
        wrong.extend(ran.cut.as_ref().map(|cut| format!("the run ended early: {}", cut.why)));
        alarms.clean += usize::from(wrong.is_empty());
        if let Some(into) = repetition.into.as_ref().filter(|_| !wrong.is_empty()) {
            let directory = into.join(ran.seed.to_string());
            let kept = keep(&directory, &ran, claims, &bench, &target).await;
            kept.map_err(ProofError::Kept)?;
        }
        said(&format!(
            "run {number}, seed {}: {:.1} s, {} alarms",
            ran.seed,
            ran.took.as_secs_f64(),
            wrong.len()
        ));
        for one in wrong {
            said(&format!("  {one}"));
            *alarms.by_case.entry(one).or_default() += 1;
        }
    }
    Ok(alarms)
}

/// Writes what is needed to see what happened.
async fn keep(
    directory: &Path,
    ran: &Run,
    claims: BTreeSet<Profile>,
    bench: &Bench,
    target: &Target,
) -> Result<(), String> {
    let terms = Terms {
        claims,
        ..Terms::default()
    };
    let judged = Judged::new(ran, &terms, "the reference server", true, false);
    let secrets = target.all_secrets()?;
    let logs = futures_util::future::join_all(bench.nodes.iter().map(Launched::log)).await;
    let logs: Vec<String> = logs.iter().map(|log| secrets.text(log)).collect();
    files::write(directory, &judged, ran, &logs)
}

/// What a case said that it should not have; what the reference server is known not to keep is none.
fn alarm(result: &CaseResult, claims: &BTreeSet<Profile>, known: &[&str]) -> Option<String> {
    let failed: Vec<String> = (result.tally.failures.iter())
        .filter(|failure| claims.contains(&failure.requirement.profile))
        .filter(|failure| reported(result).any(|id| id == failure.requirement.id && !known.contains(&id)))
        .map(|failure| {
            format!(
                "{}: expected {}, got {}",
                failure.requirement.id, failure.expected, failure.got
            )
        })
        .collect();
    let title = result.title();
    match &result.finding {
        Finding::Judged | Finding::NotApplicable(_) if failed.is_empty() => None,
        Finding::Judged => Some(format!("{title}: {}", failed.join("; "))),
        other => Some(format!("{title}: {other:?} {}", failed.join("; "))),
    }
}

impl Alarms {
    /// For people.
    pub fn summary(&self) -> String {
        let flaky = self.runs - self.clean;
        let mut text = format!(
            "{} runs, {flaky} with a false alarm ({:.1} %); the longest took {:.1} s\n",
            self.runs,
            100.0 * flaky as f64 / self.runs.max(1) as f64,
            self.longest.as_secs_f64()
        );
        for (case, times) in &self.by_case {
            let _ = writeln!(text, "{times} × {case}");
        }
        text
    }

    /// Writes the summary; whether there was no alarm.
    pub fn tell(&self, mut out: impl io::Write) -> io::Result<bool> {
        out.write_all(self.summary().as_bytes())?;
        Ok(self.runs > 0 && self.clean == self.runs)
    }
}
