//! What failed that did not before: it is in no histogram, and failing is quick.

use std::collections::BTreeMap;

use super::Run;
use crate::latency::Kind;
use crate::result::Failures;

/// In words, of all runs of a side together.
pub(super) fn new_ones(base: &[Run], new: &[Run]) -> Vec<String> {
    let allowed = new.first().map_or(0.0, |run| run.result.objective.errors);
    let mut said: Vec<String> = Kind::ALL
        .into_iter()
        .filter(|kind| succeeds(base, *kind) && !succeeds(new, *kind))
        .map(|kind| format!("of {} the new one has none", kind.name()))
        .collect();
    let before = by_kind(base);
    for (kind, now) in by_kind(new).into_iter().filter(|(_, now)| now.exceed(allowed)) {
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

fn succeeds(runs: &[Run], kind: Kind) -> bool {
    let mut measured = runs.iter().filter_map(|run| run.result.latencies.get(&kind));
    measured.any(|measured| measured.summary.count > 0)
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
