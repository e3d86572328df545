//! What failed that did not before: it is in no histogram, and failing is quick.

use std::collections::BTreeMap;

use super::Run;
use crate::latency::Kind;
use crate::result::Failures;

/// In words, of all runs of a side together.
pub(super) fn new_ones(base: &[Run], new: &[Run]) -> Vec<String> {
    let allowed = new.first().map_or(0.0, |run| run.result.objective.errors);
    let (before, now) = (by_kind(base), by_kind(new));
    let longer = offered(new) / offered(base).max(1.0);
    let is_gone = |kind: &Kind| {
        let failed = now.get(kind).is_some_and(|now| now.exceed(allowed));
        let expected = successes(base, *kind) as f64 * longer;
        successes(base, *kind) > 0 && successes(new, *kind) == 0 && (failed || expected >= ENOUGH)
    };
    let mut said: Vec<String> = Kind::ALL
        .into_iter()
        // How often a device connects and catches up is not the schedule's doing: none of it is well.
        .filter(|kind| !matches!(kind, Kind::Connect | Kind::CatchUp | Kind::Turn))
        .filter(is_gone)
        .map(|kind| format!("of {} the new one has none", kind.name()))
        .collect();
    for (kind, now) in now.into_iter().filter(|(_, now)| now.exceed(allowed)) {
        let before = before.get(&kind).copied().unwrap_or_default();
        // What failed as often before did not become worse.
        if now.interval().low > before.interval().high {
            said.push(format!(
                "{} of {} of {} failed, {} of {} before",
                now.failed,
                now.all,
                kind.name(),
                before.failed,
                before.all
            ));
        }
    }
    let (before, now) = (share(base), share(new));
    if now > before && now > allowed {
        said.push(format!(
            "{:.2} % failed, {:.2} % before: {:.2} % may",
            now * 100.0,
            before * 100.0,
            allowed * 100.0
        ));
    }
    said
}

/// Of so many that are to be expected, none is not by chance.
const ENOUGH: f64 = 10.0;

fn successes(runs: &[Run], kind: Kind) -> u64 {
    let measured = runs.iter().filter_map(|run| run.result.latencies.get(&kind));
    measured.map(|measured| measured.summary.count).sum()
}

/// What was due in all runs of a side.
fn offered(runs: &[Run]) -> f64 {
    runs.iter().map(|run| run.result.generator.offered).sum::<u64>() as f64
}

fn by_kind(runs: &[Run]) -> BTreeMap<Kind, Failures> {
    let mut sums: BTreeMap<Kind, Failures> = BTreeMap::new();
    for (kind, more) in runs.iter().flat_map(|run| run.result.failures_by_kind()) {
        let sum = sums.entry(kind).or_default();
        sum.failed += more.failed;
        sum.all += more.all;
    }
    sums
}

/// Of everything that was due.
fn share(runs: &[Run]) -> f64 {
    match runs {
        [run] => run.result.verdict.errors,
        _ => by_kind(runs)
            .into_values()
            .fold(Failures::default(), |all, more| Failures {
                failed: all.failed + more.failed,
                all: all.all + more.all,
            })
            .share(),
    }
}
