//! A result for tests.

use std::time::Duration;

use super::{Environment, FORMAT, Measured, RunResult, SizeInfo, TargetInfo, Verdict, judge};
use crate::action::Weights;
use crate::capacity::Objective;
use crate::cast::Shard;
use crate::generator::{Generator, Seen};
use crate::latency::Recorder;
use crate::ledger::Balance;
use crate::schedule::{Pattern, Phase};
use crate::tally::Tally;
use crate::target::Usage;

/// How long it lasted.
pub(crate) const SECONDS: u64 = 20;

/// Of these books.
pub(crate) fn result(recorder: &Recorder, tally: Tally, ledger: Balance, shard: Shard) -> RunResult {
    let seen = Seen {
        lasted: Duration::from_secs(SECONDS),
        cpu: Duration::from_secs(1),
        busy_cores: 0.1,
        memory: Some(10.0),
        connected: 4,
        disconnects: 0,
        overrun: 0,
        unplayed: 0,
        cores: 2,
    };
    let objective = Objective::default();
    let generator = Generator::judge(recorder, &tally, seen, |_| true, &objective);
    let mut result = RunResult {
        format: FORMAT,
        version: "1".into(),
        command: vec!["chat-loadtest".into()],
        part_commands: Vec::new(),
        began: "2026-01-31T12:00:00.000Z".into(),
        clock: None,
        environment: Environment {
            load_before: 0.0,
            ..Environment::here()
        },
        target: TargetInfo {
            kind: "a server".into(),
            nodes: vec!["http://127.0.0.1:1/".into()],
        },
        scenario: "dm".into(),
        profile: "steady".into(),
        weights: Weights {
            send: 1.0,
            ..Weights::default()
        },
        size: SizeInfo {
            users: 4,
            devices: 4,
            silent: 0,
            message_length: 100,
            read_every: 10,
        },
        phases: vec![Phase::steady("steady", Duration::from_secs(SECONDS), 50.0)],
        pattern: Some(Pattern::Poisson),
        trace: None,
        seed: 1,
        shards: vec![shard],
        objective,
        judges_latency: true,
        cut_short: false,
        part_owes: false,
        verdict: Verdict::none(),
        latencies: recorder.rows().map(|(kind, row)| (kind, Measured::from(row))).collect(),
        tally,
        ledger,
        generator,
        usage: vec![Usage {
            second: 1,
            cores: Some(0.5),
            ..Usage::default()
        }],
        drift: Vec::new(),
        thresholds: Vec::new(),
        capacity: None,
    };
    result.verdict = judge(&result);
    result
}
