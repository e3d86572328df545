//! What a run found, as `result.json`: everything that reports, comparisons and merges need. `result.schema.json` publishes its form.

mod environment;
mod failures;
mod merge;
mod rows;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::Weights;
use crate::capacity::{Capacity, Objective};
use crate::cast::Shard;
use crate::drift::Drift;
use crate::generator::Generator;
use crate::latency::{Kind, Recorder};
use crate::ledger::Balance;
use crate::replace;
use crate::schedule::{Pattern, Phase};
use crate::tally::Tally;
use crate::target::{Ahead, Usage};

pub use self::environment::{Environment, cores};
pub use self::failures::{CONNECTION_LOST, Failures};
pub use self::merge::{MergeError, merge};
pub use self::rows::Measured;
pub use self::verdict::{Outcome, Verdict, judge};
pub(crate) use self::verdict::{noun, percentile};

/// The version of this form. A change that a reader would stumble over gets a new one.
pub const FORMAT: u32 = 1;
/// The published form.
pub const SCHEMA: &str = include_str!("../../result.schema.json");

/// One run, one part of it, or a search for the capacity with the run that confirmed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunResult {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of this program.
    pub version: String,
    /// What repeats it.
    pub command: Vec<String>,
    /// Of several parts: what repeats each, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_commands: Vec<Vec<String>>,
    /// RFC 3339, of the start of the schedule.
    pub began: String,
    /// Where generators start together: how far the server's clock is ahead of this one's; of several, from the least to the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Ahead>,
    pub environment: Environment,
    pub target: TargetInfo,
    pub scenario: String,
    pub profile: String,
    pub weights: Weights,
    pub size: SizeInfo,
    pub phases: Vec<Phase>,
    /// How moments lie within the rate; none where a trace says them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// A digest of the trace that was played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    pub seed: u64,
    /// The parts that are in it: one for a whole run.
    pub shards: Vec<Shard>,
    pub objective: Objective,
    /// Whether latency decides: not where a server is overloaded on purpose.
    pub judges_latency: bool,
    /// Whether it was ended before its end.
    pub cut_short: bool,
    /// Of several parts: one is missing more than its own generator can have dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub part_owes: bool,
    pub verdict: Verdict,
    /// By kind.
    pub latencies: BTreeMap<Kind, Measured>,
    /// By second.
    pub tally: Tally,
    pub ledger: Balance,
    pub generator: Generator,
    /// By second, as far as it could be seen.
    pub usage: Vec<Usage>,
    pub drift: Vec<Drift>,
    /// What failed of goose's thresholds.
    pub thresholds: Vec<String>,
    pub capacity: Option<Capacity>,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetInfo {
    pub kind: String,
    pub nodes: Vec<String>,
}

/// How much took part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SizeInfo {
    pub users: usize,
    pub devices: usize,
    /// Of the devices: that did nothing.
    pub silent: usize,
    /// Characters of a message.
    pub message_length: usize,
    /// Every so many messages were read by their receiver at once; 0: none.
    pub read_every: u32,
}

/// A result cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: std::io::Error },
    #[error("{}: not a result of this program: {why}", .path.display())]
    Format { path: PathBuf, why: String },
    #[error("{}: of format {found}, and this program reads {FORMAT}", .path.display())]
    Version { path: PathBuf, found: u64 },
}

impl RunResult {
    /// # Errors
    ///
    /// When there is none, or none that this version reads.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let path = path.to_owned();
        let text = std::fs::read(&path).map_err(|error| FileError::Io {
            path: path.clone(),
            error,
        })?;
        let format = |why: serde_json::Error| FileError::Format {
            path: path.clone(),
            why: why.to_string(),
        };
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(format)?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(found) if found != u64::from(FORMAT) => Err(FileError::Version { path, found }),
            _ => serde_json::from_value(value).map_err(format),
        }
    }

    /// # Errors
    ///
    /// When it cannot be written there: what was there before is then still there.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let failed = |error| FileError::Io {
            path: path.to_owned(),
            error,
        };
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        replace::readable(path, &text).map_err(failed)
    }

    /// With the verdict that its figures come to, when it bears another one: somebody wrote something into it since, or another version
    /// of this program judged it.
    #[must_use]
    pub fn judged_anew(&self) -> Option<Self> {
        let mut verdict = judge(self);
        let (said, comes_to) = (self.verdict.outcome, verdict.outcome);
        if said == comes_to {
            return None;
        }
        let reason = format!("its verdict was \"{said}\", and its figures come to \"{comes_to}\"");
        verdict.reasons.insert(0, reason);
        Some(Self {
            verdict,
            ..self.clone()
        })
    }

    /// The samples as they were recorded.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        self.latencies
            .iter()
            .map(|(kind, measured)| (*kind, measured.row()))
            .collect()
    }

    /// How long the schedule was, in seconds.
    #[must_use]
    pub fn lasts(&self) -> f64 {
        self.phases.iter().map(|phase| phase.lasts.as_secs_f64()).sum()
    }

    /// Whether what was due in this second counts: all of it must.
    #[must_use]
    pub fn measures(&self, second: u32) -> bool {
        measures(&self.phases, second)
    }
}

/// Whether all of a second lies in phases that are measured.
#[must_use]
pub fn measures(phases: &[Phase], second: u32) -> bool {
    let (from, to) = (f64::from(second), f64::from(second) + 1.0);
    let mut began = 0.0;
    let mut covered = 0.0;
    for phase in phases {
        let ends = began + phase.lasts.as_secs_f64();
        if phase.measured {
            covered += (ends.min(to) - began.max(from)).max(0.0);
        }
        began = ends;
    }
    // The last second may be no whole one.
    covered > 0.0 && covered + 1e-9 >= (began.min(to) - from).max(0.0)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_whole_seconds_of_measured_phases_count() {
        let phase = |lasts: f64, measured| Phase {
            measured,
            ..Phase::steady("p", Duration::from_secs_f64(lasts), 1.0)
        };
        let phases = [phase(1.5, false), phase(2.0, true), phase(1.2, true)];
        let counted: Vec<u32> = (0..7).filter(|second| measures(&phases, *second)).collect();
        assert_eq!(counted, [2, 3, 4], "4.0 to 4.7 is all there is of second 4");
    }

    #[test]
    fn a_result_takes_the_place_of_the_old_one_as_a_whole() {
        use crate::latency::Recorder;
        let result = fixture::result(&Recorder::default(), Tally::default(), Balance::default(), Shard::WHOLE);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("result.json");
        result.write(&path).unwrap();
        // Whoever reads it meanwhile reads all of the old one.
        let reads = std::fs::File::open(&path).unwrap();
        let newer = RunResult {
            seed: 2,
            ..result.clone()
        };
        newer.write(&path).unwrap();
        assert_eq!(RunResult::read(&path).unwrap().seed, 2);
        let old: RunResult = serde_json::from_reader(reads).unwrap();
        assert_eq!(old.seed, result.seed);
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(matches!(
            result.write(&directory.path().join("none/result.json")),
            Err(FileError::Io { .. })
        ));
    }

    #[test]
    fn a_verdict_that_its_figures_do_not_come_to_is_judged_anew() {
        let ledger = Balance {
            sent: 10,
            acked: 10,
            owed: 10,
            told: 10,
            ..Balance::default()
        };
        let mut result = fixture::result(&Recorder::default(), Tally::default(), ledger, Shard::WHOLE);
        assert_eq!(result.judged_anew(), None);
        (result.verdict.outcome, result.verdict.reasons) = (Outcome::Passed, Vec::new());
        result.ledger.told -= 1;
        let anew = result.judged_anew().unwrap();
        assert_eq!(anew.verdict.outcome, Outcome::Failed);
        let reasons = &anew.verdict.reasons;
        assert!(
            reasons[0].contains("\"passed\"") && reasons[0].contains("\"failed\""),
            "{reasons:?}"
        );
        let says_why = reasons.iter().any(|reason| reason == "the ledger's sums do not fit");
        assert!(says_why, "{reasons:?}");
        assert_eq!(anew.judged_anew(), None);
    }

    #[test]
    fn the_schema_is_one() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        jsonschema::validator_for(&schema).unwrap();
    }
}
