//! What a run comes to.

use serde::{Deserialize, Serialize};

use super::{Failures, RunResult, measures};
use crate::bootstrap::{self, Interval};
use crate::capacity::{Limit, Outcome as Held};
use crate::latency::{Kind, Row};
use crate::ledger::Balance;
use crate::profile::TRIAL;

/// Passed, failed, or nothing that can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Passed,
    Failed,
    /// The generator was the bottleneck, or the run was ended early or had nothing to do.
    Invalid,
    /// The limit lies within what the figure can be told to.
    Unsure,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::Unsure => "unsure",
        })
    }
}

/// With the reasons, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verdict {
    pub outcome: Outcome,
    pub reasons: Vec<String>,
    /// The quantile that is asked for of [`RunResult::main_kind`], in milliseconds, with its 99 % interval.
    pub latency: Option<Interval>,
    /// The share of what was due that failed.
    pub errors: f64,
    /// How the objective came out, whatever the generator did.
    pub objective: Held,
}

/// Judges a result by its own figures. The ledger decides first, whatever the generator did: what is lost is lost.
#[must_use]
pub fn judge(result: &RunResult) -> Verdict {
    let counted = |second| measures(&result.phases, second);
    let errors = result.failures().share();
    let balances = result.balances();
    let main = result.main_kind();
    let row = result.main_row();
    let row = row.as_ref().map(|(_, row)| row);
    let (objective, latency) = result.objective.judge(row, counted, errors, balances);
    // Without a figure nothing is said of the latency: but that what was sent did not arrive.
    let arrived = row.is_some_and(|row| row.seconds.values().any(|(histogram, _)| !histogram.is_empty()));
    let (without, too_short) = (latency.is_none(), latency.is_none() && arrived);
    let objective = match objective {
        Held::Fails(Limit::Latency) if too_short || without && !result.did_something() => Held::Unsure,
        Held::Fails(Limit::Latency) if without && main != Some(Kind::Deliver) => Held::Holds,
        _ => objective,
    };
    let what = main.map_or("nothing", noun);
    let too_little = latency.and(row).and_then(|row| too_little(result, row));
    let objective = match objective {
        Held::Holds if too_little.is_some() => Held::Unsure,
        Held::Fails(Limit::Latency) if too_little.as_ref().is_some_and(|little| !little.surely_fails) => Held::Unsure,
        _ => objective,
    };
    let mut failed = Vec::new();
    if !balances {
        let found = found(result);
        failed.push(match found.is_empty() {
            true => "the ledger's sums do not fit".into(),
            false => format!("the ledger does not balance: {found}"),
        });
    }
    let unreadable = result.ledger.unreadable;
    if unreadable > 0 {
        failed.push(format!(
            "the server cannot be read back: of {unreadable} chats the history could not be read, and the ledger is that of both \
             sides' books"
        ));
    }
    let allowed = result.objective.errors;
    if errors > allowed {
        failed.push(format!(
            "{:.3} % of what was due failed, and {:.3} % may",
            errors * 100.0,
            allowed * 100.0
        ));
    }
    let kinds: Vec<_> = result
        .failures_by_kind()
        .filter(|(_, failures)| failures.exceed(allowed))
        .collect();
    let objective = match objective {
        Held::Fails(Limit::Ledger) => objective,
        _ if unreadable > 0 => Held::Fails(Limit::Ledger),
        _ if !kinds.is_empty() => Held::Fails(Limit::Errors),
        _ => objective,
    };
    failed.extend(kinds.iter().map(|(kind, failures)| {
        format!(
            "{} of {} of {} failed, and {:.3} % may: {}",
            failures.failed,
            failures.all,
            kind.name(),
            allowed * 100.0,
            codes(result, *kind)
        )
    }));
    if result.judges_latency && objective == Held::Fails(Limit::Latency) {
        failed.push(match latency {
            Some(latency) => format!(
                "{} of {what} is {:.1} ms ({:.1} to {:.1}), and {:.0} ms are allowed",
                percentile(result.objective.quantile),
                latency.estimate,
                latency.low,
                latency.high,
                result.objective.below_ms
            ),
            None => "nothing was delivered".into(),
        });
    }
    let grown = result.drift.iter().filter(|drift| drift.grew);
    failed.extend(grown.map(|drift| {
        format!(
            "{} grew from {:.1} to {:.1} {}",
            drift.what, drift.before.estimate, drift.after.estimate, drift.unit
        )
    }));
    failed.extend(result.thresholds.iter().map(|rule| format!("threshold {rule}")));
    let mut invalid: Vec<String> = result
        .generator
        .faults
        .iter()
        .map(|fault| format!("the generator was the bottleneck: {fault}"))
        .collect();
    if result.cut_short {
        invalid.push("it was ended before its end".into());
    }
    if !result.did_something() {
        invalid.push("nothing was done that counts: the rate is too low for the time, or nobody came to it".into());
    }
    if balances && !result.ledger.is_clean() {
        invalid.push(format!("what is missing may have been its own: {}", found(result)));
    }
    let unsure = result.judges_latency && objective == Held::Unsure;
    // A slow generator makes latency and errors, but loses no message.
    let outcome = match (balances && unreadable == 0, invalid.is_empty(), failed.is_empty()) {
        (false, ..) => Outcome::Failed,
        (_, false, _) => Outcome::Invalid,
        (_, _, false) => Outcome::Failed,
        _ if unsure => Outcome::Unsure,
        _ => Outcome::Passed,
    };
    let mut reasons = invalid;
    reasons.extend(failed);
    if unsure && too_short {
        reasons.push(format!(
            "no second with any {what} in it was wholly measured, so that its latency cannot be told: --for a longer time"
        ));
    }
    if unsure && let Some(little) = &too_little {
        reasons.push(format!(
            "{} of {what} in {} seconds are too little to tell {} by: --for a longer time, or at a higher --rate; {} in {} \
             would do",
            little.values,
            little.seconds,
            percentile(result.objective.quantile),
            bootstrap::values(result.objective.quantile),
            little.least
        ));
    } else if unsure && let Some(latency) = latency {
        reasons.push(format!(
            "{} of {what} lies between {:.1} and {:.1} ms: whether it is below {:.0} ms cannot be told",
            percentile(result.objective.quantile),
            latency.low,
            latency.high,
            result.objective.below_ms
        ));
    }
    Verdict {
        outcome,
        reasons,
        latency,
        errors,
        objective,
    }
}

/// Less than an interval can be drawn of.
struct TooLittle {
    values: u64,
    seconds: usize,
    /// So many seconds at least there have to be.
    least: usize,
    /// Whether so many of the few were too slow that it is not by chance.
    surely_fails: bool,
}

/// None when there is enough. That few values happen to be quick does not say that others are.
fn too_little(result: &RunResult, row: &Row) -> Option<TooLittle> {
    let objective = &result.objective;
    let counted = row.seconds.iter().filter(|(second, _)| result.measures(**second));
    let blocks: Vec<_> = counted.map(|(_, (histogram, _))| histogram).collect();
    // Of a search other trials say how far seconds lie apart.
    let least = if result.profile == TRIAL { 1 } else { bootstrap::BLOCKS };
    if bootstrap::tells(blocks.iter().copied(), objective.quantile, least) {
        return None;
    }
    let limit = (objective.below_ms * 1000.0) as u64;
    let slow = blocks.iter().map(|block| block.count_between(limit, u64::MAX)).sum();
    let values = blocks.iter().map(|block| block.len()).sum();
    let slow = Failures {
        failed: slow,
        all: values,
    };
    Some(TooLittle {
        values,
        seconds: blocks.iter().filter(|block| !block.is_empty()).count(),
        least,
        surely_fails: slow.interval().low > 1.0 - objective.quantile,
    })
}

/// What is judged, as people call it.
pub(crate) fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Deliver => "delivery",
        other => other.name(),
    }
}

/// What most of a kind failed with.
fn codes(result: &RunResult, kind: Kind) -> String {
    let codes = result.errors().into_iter().filter(|(of, ..)| *of == kind);
    let codes: Vec<String> = codes
        .take(3)
        .map(|(_, code, count)| format!("{count} {code}"))
        .collect();
    codes.join(", ")
}

/// The findings of the ledger with their counts, in words.
fn found(result: &RunResult) -> String {
    let found = result.ledger.findings().into_iter().filter(|(_, count)| *count > 0);
    let found: Vec<String> = found.map(|(name, count)| format!("{count} {name}")).collect();
    found.join(", ")
}

impl RunResult {
    /// Whether there is enough to tell by how long it took what is judged.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.main_row().is_none_or(|(_, row)| too_little(self, &row).is_none())
    }

    /// Whether the ledger balances, but for what the generator was too slow to take or did not stay for: of as many events and
    /// acks as it dropped, or of all once it had left or was too far behind to wait, nobody knows whether the server owes them.
    /// Such a run is invalid.
    #[must_use]
    pub fn balances(&self) -> bool {
        let ledger = &self.ledger;
        let with_the_missing = || Balance {
            told: ledger.told + ledger.missed,
            missed: 0,
            acked: ledger.acked + ledger.unanswered,
            unanswered: 0,
            ..ledger.clone()
        };
        ledger.is_clean() || !self.owes() && with_the_missing().is_clean()
    }

    /// Whether something is missing that its own generator, or that of a part, was there to take and did not drop.
    pub(super) fn owes(&self) -> bool {
        let dropped = self.ledger.missed + self.ledger.unanswered <= self.generator.overrun;
        self.part_owes || !(dropped || self.cut_short || self.generator.unplayed > 0)
    }
}

/// 0.999 as p99.9.
pub(crate) fn percentile(quantile: f64) -> String {
    let text = format!("p{:.3}", quantile * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Verdict {
    /// Of a result that has not been judged yet.
    pub(crate) fn none() -> Self {
        Self {
            outcome: Outcome::Invalid,
            reasons: Vec::new(),
            latency: None,
            errors: 0.0,
            objective: Held::Unsure,
        }
    }
}

#[cfg(test)]
mod tests;
