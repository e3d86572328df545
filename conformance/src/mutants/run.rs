//! The whole run: unbroken first, then every mutant, many at once.

use std::io;
use std::time::Instant;

use chat_spec::{Level, Profile, REQUIREMENTS};
use futures_util::{StreamExt as _, stream};

use super::alive::{ExcuseError, excuses};
use super::baseline::Baseline;
use super::bench::Workshop;
use super::catalogue;
use super::faults;
use super::hunt::{Hunted, hunt};
use super::mutant::Mutant;
use super::own;
use super::proof::Proof;
use crate::cases;
use crate::engine::Case;
use crate::launch::{LaunchError, Stack};

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

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Excuse(#[from] ExcuseError),
    #[error("the target: {0}")]
    Target(String),
    #[error("a run with an alarm cannot be kept: {0}")]
    Kept(String),
    #[error("no case is left to judge a mutant")]
    NoCase,
    #[error("no mutant was tried: {0}")]
    NoMutant(String),
}

/// What may be missing on a machine.
const SEVERAL_NODES: &str = "deployments of several nodes";
const NONE_FITS: &str = "--mutant takes a part of a name, of a mutant that this stack has (fault/ is in a build with the feature \
     `faults` alone) and that these judges come by, and --within has to leave time for one";

impl Selection {
    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() > until)
    }

    fn is_partial(&self) -> bool {
        !self.only.is_empty() || !self.cases.is_empty() || self.sample.is_some()
    }

    pub(super) fn takes(&self, mutant: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| mutant.contains(text.as_str()))
    }

    fn cases(&self) -> Vec<Case> {
        let fits = |case: &Case| {
            let name = format!("{}: {}", case.area, case.name);
            self.cases.is_empty() || self.cases.iter().any(|text| name.contains(text.as_str()))
        };
        cases::all().filter(fits).collect()
    }

    fn mutants(&self) -> Vec<Mutant> {
        let all: Vec<Mutant> = catalogue::all()
            .into_iter()
            .filter(|mutant| self.takes(&mutant.name))
            .collect();
        let step = self.sample.map_or(1, |sample| all.len().div_ceil(sample.max(1)).max(1));
        all.into_iter().step_by(step).collect()
    }
}

/// Runs it; `said` hears how far it is.
pub async fn run(selection: &Selection, said: &(dyn Fn(&str) + Sync)) -> Result<Proof, ProofError> {
    let began = Instant::now();
    let mut proof = Proof {
        hunted: Vec::new(),
        unusable: Vec::new(),
        excuses: excuses()?,
        partial: selection.is_partial(),
        took: began.elapsed(),
    };
    let stacks: &[Stack] = match selection.stack {
        Some(Stack::Sqlite) => &[Stack::Sqlite],
        Some(Stack::Mongo) => &[Stack::Mongo],
        Some(Stack::Cluster) => &[Stack::Cluster],
        None => &[Stack::Sqlite, Stack::Cluster],
    };
    for stack in stacks {
        let staged = async {
            let workshop = Workshop::open(*stack).await?;
            stage(selection, &workshop, &mut proof, said).await
        };
        match staged.await {
            // What was found out until then is worth being told; what is missing shows as never reported.
            Err(error) if *stack == Stack::Cluster && selection.stack.is_none() => {
                proof.unusable.push((SEVERAL_NODES.into(), error.to_string()));
            }
            other => other?,
        }
    }
    if proof.hunted.is_empty() {
        let missing = proof.unusable.iter().find(|(what, _)| what == SEVERAL_NODES);
        let why = missing.map_or(NONE_FITS.into(), |(what, why)| format!("{what}: {why}"));
        return Err(ProofError::NoMutant(why));
    }
    proof.partial |= selection.is_over();
    proof.took = began.elapsed();
    Ok(proof)
}

/// One kind of deployment: one node for what one node can get wrong, several for what only several can.
async fn stage(
    selection: &Selection,
    workshop: &Workshop,
    proof: &mut Proof,
    said: &(dyn Fn(&str) + Sync),
) -> Result<(), ProofError> {
    let jobs = selection.jobs.max(1);
    let bench = workshop.start(None).await?;
    let target = &bench.target;
    let is_here = |profile: Profile| (profile == Profile::Cluster) == workshop.is_cluster();
    let mut cases = selection.cases();
    cases.retain(|case| case.profiles().iter().any(|profile| is_here(*profile)));
    said(&format!("recording {} cases without a mutant", cases.len()));
    let baseline = Baseline::record(target, &cases, jobs, || {}).await?;
    if baseline.cases.is_empty() {
        return Err(ProofError::NoCase);
    }
    let unusable = baseline.unusable.iter();
    proof
        .unusable
        .extend(unusable.map(|(case, why)| (case.title(), why.clone())));
    proof
        .hunted
        .extend(faults::hunt_all(selection, workshop, &baseline, said).await?);
    if !workshop.is_cluster() {
        let mut mutants = selection.mutants();
        if selection.sample.is_some() {
            // A sample of the cases says nothing about what no case comes by.
            mutants.retain(|mutant| !baseline.chances(mutant).is_empty());
        }
        said(&format!("{} mutants of the wire", mutants.len()));
        let hunts = mutants.iter().map(|mutant| hunt(target, &baseline, mutant));
        proof
            .hunted
            .extend(all(hunts, mutants.len(), selection, jobs, said).await?);
    }
    if selection.is_partial() && !selection.only.iter().any(|text| text.starts_with("own")) {
        return Ok(());
    }
    let reported = |id: &str| proof.hunted.iter().any(|hunted| hunted.reported.contains(id));
    let left: Vec<_> = (REQUIREMENTS.iter().copied())
        .filter(|requirement| requirement.level != Level::May && !reported(requirement.id))
        .filter(|requirement| is_here(requirement.profile))
        .filter(|requirement| selection.takes(&format!("own/{}", requirement.id)))
        .collect();
    said(&format!(
        "{} requirements that none of them made the suite report",
        left.len()
    ));
    let hunts = left.iter().map(|requirement| own::hunt(target, &baseline, requirement));
    let own = all(hunts, left.len(), selection, jobs, said).await?;
    proof.hunted.extend(own);
    Ok(())
}

/// Waits for all, in their order.
pub(super) async fn all<F>(
    hunts: impl Iterator<Item = F>,
    count: usize,
    selection: &Selection,
    jobs: usize,
    said: &(dyn Fn(&str) + Sync),
) -> io::Result<Vec<Hunted>>
where
    F: Future<Output = io::Result<Hunted>>,
{
    let numbered = hunts.enumerate().map(|(number, hunt)| async move {
        match selection.is_over() {
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
