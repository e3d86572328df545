//! Whether something grows over a long run: a leak, or a table that gets slower.

use serde::{Deserialize, Serialize};

use crate::bootstrap::{self, Interval};
use crate::latency::Seconds;
use crate::target::Usage;

/// How something was at the begin of the run and at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drift {
    pub what: String,
    pub unit: String,
    /// In the second fifth: in the first, caches fill.
    pub before: Interval,
    /// In the last fifth.
    pub after: Interval,
    /// Whether it grew by more than chance and by more than is let pass.
    pub grew: bool,
}

/// What may grow by so much lets nobody wait or run out.
const MEMORY_PART: f64 = 0.10;
const MEMORY_MIB: f64 = 16.0;
const LATENCY_PART: f64 = 0.5;
const LATENCY_MS: f64 = 2.0;

/// Memory of the server, and latency of what is named, in a run that lasted so many seconds.
#[must_use]
pub fn judge(seconds: u32, usage: &[Usage], latency: Option<(&str, &Seconds)>) -> Vec<Drift> {
    let fifth = (seconds / 5).max(1);
    let (before, after) = (fifth..2 * fifth, seconds.saturating_sub(fifth)..seconds);
    let memory = |within: &std::ops::Range<u32>| {
        let values: Vec<f64> = usage
            .iter()
            .filter(|usage| within.contains(&usage.second))
            .filter_map(|usage| usage.memory)
            .collect();
        bootstrap::mean(&values, 0.95, 1)
    };
    let latency_of = |taken: &Seconds, within: &std::ops::Range<u32>| {
        let blocks = taken.iter().filter(|(second, _)| within.contains(second));
        let micros = bootstrap::quantile(blocks.map(|(_, (histogram, _))| histogram), 0.99, 0.95, 1)?;
        Some(Interval {
            low: micros.low / 1000.0,
            estimate: micros.estimate / 1000.0,
            high: micros.high / 1000.0,
        })
    };
    let mut drifts = Vec::new();
    if let (Some(one), Some(two)) = (memory(&before), memory(&after)) {
        drifts.push(drift("memory of the server", "MiB", one, two, MEMORY_PART, MEMORY_MIB));
    }
    if let Some((what, taken)) = latency
        && let (Some(one), Some(two)) = (latency_of(taken, &before), latency_of(taken, &after))
    {
        drifts.push(drift(
            &format!("{what}, 99th percentile"),
            "ms",
            one,
            two,
            LATENCY_PART,
            LATENCY_MS,
        ));
    }
    drifts
}

fn drift(what: &str, unit: &str, before: Interval, after: Interval, part: f64, least: f64) -> Drift {
    let grown = after.estimate - before.estimate;
    Drift {
        what: what.into(),
        unit: unit.into(),
        before,
        after,
        grew: after.low > before.high && grown > part * before.estimate && grown > least,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(memory: impl Fn(u32) -> f64) -> Vec<Usage> {
        let at = |second| Usage {
            second,
            memory: Some(memory(second)),
            ..Usage::default()
        };
        (0..1000).map(at).collect()
    }

    #[test]
    fn a_leak_is_told_from_caches_that_fill() {
        let of = |memory: &dyn Fn(u32) -> f64| judge(1000, &usage(memory), None)[0].grew;
        assert!(of(&|second| 100.0 + f64::from(second) * 0.1), "100 MiB in all of it");
        assert!(
            !of(&|second| 100.0 + f64::from(second.min(100))),
            "up to the end of the first tenth"
        );
        assert!(!of(&|second| 100.0 + f64::from(second % 7)), "noise");
        assert!(!of(&|second| 1000.0 + f64::from(second) * 0.05), "4 % of it");
        assert!(judge(1000, &[], None).is_empty(), "what was not seen is not judged");
    }
}
