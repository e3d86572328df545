//! Whether results can be compared: all did the same, each says something about its server, and each is there once.

use std::collections::BTreeSet;

use super::{CompareError, Run};
use crate::result::{Outcome, RunResult};

/// Of the load for each core: what a run of before leaves of itself is less.
const BUSIER: f64 = 0.5;

/// Of both sides together.
pub(super) fn check(base: &[Run], new: &[Run]) -> Result<(), CompareError> {
    let (Some(first), false) = (base.first(), new.is_empty()) else {
        return Err(CompareError::Nothing);
    };
    // One part may be held against another; several are one run and not several.
    if base.len() > 1 || new.len() > 1 {
        let mut all = base.iter().chain(new);
        if let Some(part) = all.find(|run| is_part(&run.result)) {
            return Err(CompareError::Part {
                file: part.file.clone(),
            });
        }
        once(base)?;
        once(new)?;
        // Two servers may be loaded at the same time in the same way; but nothing is found twice to the last digit.
        apart(base, new, |one, other| one == other)?;
    }
    let searches = base.iter().chain(new).all(|run| run.result.capacity.is_some());
    for run in base.iter().skip(1).chain(new) {
        same(first, run, searches)?;
    }
    if searches {
        return Ok(());
    }
    for Run { file, result } in base.iter().chain(new) {
        if result.verdict.outcome == Outcome::Invalid {
            return Err(CompareError::Invalid {
                file: file.clone(),
                why: result.verdict.reasons.join("; "),
            });
        }
    }
    Ok(())
}

/// What makes them hard to compare all the same.
pub(super) fn circumstances(base: &[Run], new: &[Run]) -> Vec<String> {
    let all = || base.iter().chain(new).map(|run| &run.result.environment);
    let mut said = Vec::new();
    let first = all().next();
    if all().any(|other| first.is_some_and(|one| one.processor != other.processor || one.cores != other.cores)) {
        said.push("they were made on different machines".into());
    }
    let (of_base, of_new) = (targets(base), targets(new));
    if of_base != of_new {
        said.push(format!("the base is of {of_base}, and the new one of {of_new}"));
    }
    said.extend(busier(base, new));
    let slow = all().filter(|environment| environment.debug_build).count();
    if slow > 0 && slow < all().count() {
        let were = if slow == 1 { "one was" } else { "some were" };
        said.push(format!("{were} made by a build without optimization"));
    }
    said
}

/// What was loaded, in words.
fn targets(runs: &[Run]) -> String {
    let targets = runs.iter().map(|run| {
        let target = &run.result.target;
        match target.nodes.len() {
            0 | 1 => target.kind.clone(),
            nodes => format!("{} at {nodes} addresses", target.kind),
        }
    });
    let all: BTreeSet<String> = targets.collect();
    all.into_iter().collect::<Vec<_>>().join(" or ")
}

/// Whether the machine had much more to do before the runs of one side.
fn busier(base: &[Run], new: &[Run]) -> Option<String> {
    let load = |runs: &[Run]| {
        let loads = runs.iter().map(|run| {
            let environment = &run.result.environment;
            environment.load_before / environment.cores.max(1) as f64
        });
        loads.sum::<f64>() / runs.len().max(1) as f64
    };
    let (before, now) = (load(base), load(new));
    let (who, more, less) = if now > before {
        ("new one", now, before)
    } else {
        ("base", before, now)
    };
    (more - less > BUSIER).then(|| {
        format!("before the {who} the machine was busier, with a load of {more:.1} for each core, and {less:.1} before the other")
    })
}

/// Of what is not known of both, as of results of before it was written down, nothing is said.
fn agree<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

fn same(one: &Run, other: &Run, searches: bool) -> Result<(), CompareError> {
    let (first, second) = (&one.result, &other.result);
    for (equal, what) in [
        (first.scenario == second.scenario, "scenario"),
        (first.profile == second.profile, "profile"),
        (first.weights == second.weights, "weights"),
        (first.size == second.size, "size"),
        (agree(first.pattern.as_ref(), second.pattern.as_ref()), "pattern"),
        (agree(first.trace.as_ref(), second.trace.as_ref()), "trace"),
        (first.objective == second.objective, "objective"),
        // What a search shows is one of its trials.
        (searches || first.phases == second.phases, "load"),
    ] {
        if !equal {
            return Err(CompareError::Different {
                what,
                one: one.file.clone(),
                other: other.file.clone(),
            });
        }
    }
    Ok(())
}

fn is_part(result: &RunResult) -> bool {
    let count = result.shards.first().map_or(0, |shard| shard.count);
    result.shards.len() < count
}

/// A run that is given twice would make the others look surer than they are.
fn once(runs: &[Run]) -> Result<(), CompareError> {
    let mut left = runs;
    while let [run, others @ ..] = left {
        apart(std::slice::from_ref(run), others, |one, other| {
            one.seed == other.seed && one.began == other.began
        })?;
        left = others;
    }
    Ok(())
}

fn apart(some: &[Run], others: &[Run], is_same: impl Fn(&RunResult, &RunResult) -> bool) -> Result<(), CompareError> {
    for one in some {
        if let Some(other) = others.iter().find(|other| is_same(&one.result, &other.result)) {
            return Err(CompareError::Twice {
                one: one.file.clone(),
                other: other.file.clone(),
            });
        }
    }
    Ok(())
}
