//! The whole run: unbroken first, then every mutant, many at once.

use std::time::Instant;

use chat_spec::{Level, REQUIREMENTS};

use super::alive::excuses;
use super::baseline::Baseline;
use super::bench::Workshop;
use super::error::ProofError;
use super::faults;
use super::hunt::hunt;
use super::own;
use super::part::Part;
use super::proof::Proof;
use super::selection::Selection;
use crate::launch::Stack;

const NONE_FITS: &str = "--mutant takes a part of a name, of a mutant that this stack has (fault/ is in a build with the feature \
     `faults` alone) and that these judges come by, and --within has to leave time for one";

/// Runs it; `said` hears how far it is.
pub async fn run(selection: &Selection, said: &(dyn Fn(&str) + Sync)) -> Result<Proof, ProofError> {
    let began = Instant::now();
    let mut proof = Proof {
        hunted: Vec::new(),
        unusable: Vec::new(),
        missing: Vec::new(),
        excuses: excuses()?,
        partial: selection.is_partial(),
        took: began.elapsed(),
    };
    for (part, stack) in Part::of(selection.stack) {
        let staged = async {
            if part == Part::OtherStore && !faults::are_here().await? {
                return Ok(());
            }
            stage(selection, part, stack, &mut proof, said).await
        };
        match staged.await {
            // What was found out until then is worth being told.
            Err(error) if part != Part::OneNode && selection.stack.is_none() => {
                proof.missing.push((part, format!("{}: {error}", part.title())));
            }
            other => other?,
        }
    }
    if proof.hunted.is_empty() {
        let why = proof.missing.pop().map(|(_, why)| why);
        return Err(ProofError::NoMutant(why.unwrap_or(NONE_FITS.into())));
    }
    proof.partial |= selection.is_over();
    proof.took = began.elapsed();
    Ok(proof)
}

/// One part, on deployments of its own.
async fn stage(
    selection: &Selection,
    part: Part,
    stack: Stack,
    proof: &mut Proof,
    said: &(dyn Fn(&str) + Sync),
) -> Result<(), ProofError> {
    let jobs = selection.jobs.max(1);
    let mut cases = selection.cases();
    cases.retain(|case| part.is_judged_by(case, selection));
    if cases.is_empty() && part == Part::OtherStore {
        return Ok(());
    }
    let workshop = &Workshop::open(stack).await?;
    let bench = workshop.start(None).await?;
    let target = &bench.target;
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
        .extend(faults::hunt_all(selection, part, workshop, &baseline, said).await?);
    if part == Part::OneNode {
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
        .filter(|requirement| part.proves(requirement.profile))
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
