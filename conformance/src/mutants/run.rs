//! The whole run: unbroken first, then every mutant, many at once.

use std::time::Instant;

use chat_spec::{Level, Profile, REQUIREMENTS};

use super::alive::excuses;
use super::baseline::Baseline;
use super::bench::Workshop;
use super::error::ProofError;
use super::faults;
use super::hunt::hunt;
use super::own;
use super::proof::Proof;
use super::selection::Selection;
use crate::launch::Stack;

/// What may be missing on a machine.
const SEVERAL_NODES: &str = "deployments of several nodes";
const NONE_FITS: &str = "--mutant takes a part of a name, of a mutant that this stack has (fault/ is in a build with the feature \
     `faults` alone) and that these judges come by, and --within has to leave time for one";

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
            .extend(selection.all(hunts, mutants.len(), jobs, said).await?);
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
    let own = selection.all(hunts, left.len(), jobs, said).await?;
    proof.hunted.extend(own);
    Ok(())
}
