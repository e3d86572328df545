//! Parts of a run, made one: nothing is lost by it, and nothing averaged.

mod clocks;
mod counts;
mod grown;

use std::collections::BTreeMap;

use chat_protocol::Timestamp;

use self::counts::Counts;
use super::verdict::judge;
use super::{Measured, RunResult};
use crate::generator::Generator;
use crate::latency::{Kind, NotAdded, Recorder, Summary};
use crate::target::Usage;

/// The parts are not parts of one run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MergeError {
    #[error("there is nothing to merge")]
    Nothing,
    #[error("the parts are of different runs: their {0} differs")]
    Different(&'static str),
    #[error("the parts did not start together, but up to {0:.1} s apart: give all of them the same --start-at")]
    Apart(f64),
    #[error(
        "by the server's clock the parts did not start together, but at least {0:.1} s apart: their own clocks differ, so run NTP on all of \
         the generators"
    )]
    Clocks(f64),
    #[error("shard {0} is there twice")]
    Twice(usize),
    #[error("of {count} shards, {} missing", .missing.iter().map(|index| format!("{}/{}", index + 1, .count)).collect::<Vec<_>>().join(", "))]
    Missing { count: usize, missing: Vec<usize> },
    #[error(transparent)]
    NotAdded(#[from] NotAdded),
    #[error("of {kind}, the parts counted {parts} and the whole {whole}: this is an error of merge")]
    Uncounted { kind: &'static str, parts: u64, whole: u64 },
}

/// So many seconds at most between the starts of two parts, by their own clocks and by the server's.
const APART: f64 = 1.0;

/// Makes one result of all shards of a run.
///
/// # Errors
///
/// When they are not all the shards of one run, or do not add up.
pub fn merge(parts: &[RunResult]) -> Result<RunResult, MergeError> {
    // The same in whatever order they are given.
    let mut parts: Vec<&RunResult> = parts.iter().collect();
    parts.sort_by_key(|part| part.shards.first().map(|shard| shard.index));
    let (first, others) = parts.split_first().ok_or(MergeError::Nothing)?;
    let mut whole = RunResult::clone(first);
    let mut recorder = first.recorder();
    let mut counted = Counts::of(&recorder);
    // What the generator of one part dropped does not excuse what is missing in another.
    whole.part_owes = parts.iter().any(|part| part.owes());
    for part in others {
        same(first, part)?;
        let theirs = part.recorder();
        counted.add(&Counts::of(&theirs));
        recorder.add(&theirs)?;
        whole.tally.add(&part.tally);
        whole.ledger.add(&part.ledger);
        whole.shards.extend(part.shards.iter().copied());
        whole.judges_latency &= part.judges_latency;
        whole.cut_short |= part.cut_short;
        whole.size.users += part.size.users;
        whole.size.devices += part.size.devices;
        whole.size.silent += part.size.silent;
        whole.thresholds.extend(part.thresholds.iter().cloned());
        // All look at the same server: who saw more saw better.
        if seen(&part.usage) > seen(&whole.usage) {
            whole.usage = part.usage.clone();
        }
        if part.began < whole.began {
            whole.began.clone_from(&part.began);
        }
        whole.generator.add(&part.generator, Summary::default());
    }
    whole.shards.sort_unstable_by_key(|shard| shard.index);
    complete(&whole)?;
    together(&parts)?;
    counted.are_of(&recorder)?;
    whole.clock = clocks::of(&parts)?;
    whole.drift = grown::drift(&parts, &whole, &recorder);
    whole.generator.lateness = lateness(&recorder);
    machines(&mut whole, &parts);
    let rows = recorder.into_rows();
    whole.latencies = rows.map(|(kind, row)| (kind, Measured::from(row))).collect();
    whole.part_commands = parts.iter().map(|part| part.command.clone()).collect();
    whole.capacity = None;
    whole.verdict = judge(&whole);
    Ok(whole)
}

/// Counts the cores of each machine once, and judges what generators took together that share them.
fn machines(whole: &mut RunResult, parts: &[&RunResult]) {
    let mut shared: BTreeMap<&str, Vec<&Generator>> = BTreeMap::new();
    let mut alone = Vec::new();
    for part in parts {
        match &part.environment.shares {
            Some(which) => shared.entry(which).or_default().push(&part.generator),
            None => alone.push(vec![&part.generator]),
        }
    }
    if shared.len() + alone.len() > 1 {
        whole.environment.shares = None;
    }
    whole.generator.cores = 0;
    for beside in shared.into_values().chain(alone) {
        let (cores, fault) = Generator::beside(&beside);
        whole.generator.cores += cores;
        whole.generator.faults.extend(fault);
    }
}

fn lateness(recorder: &Recorder) -> Summary {
    recorder
        .row(Kind::Turn)
        .map(|row| Summary::of(&row.total))
        .unwrap_or_default()
}

fn same(one: &RunResult, other: &RunResult) -> Result<(), MergeError> {
    for (equal, what) in [
        (one.format == other.format, "format"),
        (one.scenario == other.scenario, "scenario"),
        (one.profile == other.profile, "profile"),
        (one.weights == other.weights, "weights"),
        (one.phases == other.phases, "load"),
        (one.pattern == other.pattern, "pattern"),
        (one.trace == other.trace, "trace"),
        (one.seed == other.seed, "seed"),
        (one.objective == other.objective, "objective"),
        (one.target.nodes == other.target.nodes, "target"),
        (
            one.size.message_length == other.size.message_length,
            "length of messages",
        ),
        (
            one.size.read_every == other.size.read_every,
            "share of messages that are read",
        ),
    ] {
        if !equal {
            return Err(MergeError::Different(what));
        }
    }
    Ok(())
}

/// They are added second by second, so they must have begun in the same one.
fn together(parts: &[&RunResult]) -> Result<(), MergeError> {
    let began = parts.iter().map(|part| part.began.parse::<Timestamp>());
    let began: Vec<i64> = began
        .map(|began| began.map(Timestamp::as_millis))
        .collect::<Result<_, _>>()
        .map_err(|_| MergeError::Different("start"))?;
    let first = began.iter().min().copied().unwrap_or_default();
    let last = began.iter().max().copied().unwrap_or_default();
    let apart = last.abs_diff(first) as f64 / 1000.0;
    if apart > APART {
        return Err(MergeError::Apart(apart));
    }
    Ok(())
}

fn complete(whole: &RunResult) -> Result<(), MergeError> {
    let count = whole.shards.first().map_or(0, |shard| shard.count);
    if whole.shards.iter().any(|shard| shard.count != count) {
        return Err(MergeError::Different("number of shards"));
    }
    let twice = whole
        .shards
        .iter()
        .zip(whole.shards.iter().skip(1))
        .find(|(one, next)| one.index == next.index);
    if let Some((shard, _)) = twice {
        return Err(MergeError::Twice(shard.index + 1));
    }
    let has = |index: &usize| whole.shards.iter().any(|shard| shard.index == *index);
    let missing: Vec<usize> = (0..count).filter(|index| !has(index)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(MergeError::Missing { count, missing })
    }
}

fn seen(usage: &[Usage]) -> usize {
    let of = |usage: &Usage| usize::from(usage.cores.is_some()) + usize::from(usage.sockets.is_some());
    usage.iter().map(of).sum()
}

#[cfg(test)]
mod tests;
