use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::cast::Shard;
use crate::latency::Sample;
use crate::ledger::{Balance, Finding};
use crate::result::fixture::{SECONDS, result};
use crate::result::{Outcome, SCHEMA};
use crate::schedule::Pattern;
use crate::tally::Tally;
use crate::target::Ahead;

/// What a message does to the books of whoever sends it.
fn book(number: u64, recorder: &mut Recorder, tally: &mut Tally, ledger: &mut Balance) {
    let due = Duration::from_millis(number * 7 % (SECONDS * 1000));
    for (kind, took) in [
        (Kind::Ack, number % 17),
        (Kind::Deliver, number * number % 89),
        (Kind::Turn, number % 3),
    ] {
        recorder.record(&Sample {
            kind,
            due,
            took: Duration::from_millis(took),
            error: (number % 501 == 7 && kind == Kind::Ack).then(|| "SERVICE_UNAVAILABLE".into()),
            measured: true,
        });
    }
    let second = tally.at(due.as_secs());
    second.offered += 1;
    second.done += 1;
    ledger.sent += 1;
    ledger.acked += 1;
    ledger.owed += 1;
    ledger.told += 1;
    if number % 997 == 3 {
        ledger.find(Finding::Doubled, (number % 8) as u32, Some(number as u32));
    }
}

/// As a file has it.
fn written(part: &RunResult) -> RunResult {
    serde_json::from_str(&serde_json::to_string(part).unwrap()).unwrap()
}

fn shards(count: usize) -> (Vec<RunResult>, RunResult) {
    let empty = || (Recorder::default(), Tally::default(), Balance::default());
    let (mut parts, mut whole): (Vec<_>, _) = ((0..count).map(|_| empty()).collect(), empty());
    for number in 0..5000u64 {
        let part = &mut parts[number as usize % count];
        book(number, &mut part.0, &mut part.1, &mut part.2);
        book(number, &mut whole.0, &mut whole.1, &mut whole.2);
    }
    let parts = parts
        .into_iter()
        .enumerate()
        .map(|(index, (recorder, tally, ledger))| written(&result(&recorder, tally, ledger, Shard { index, count })));
    (parts.collect(), result(&whole.0, whole.1, whole.2, Shard::WHOLE))
}

#[test]
fn the_parts_make_the_whole() {
    let (mut parts, whole) = shards(3);
    parts.reverse();
    let merged = merge(&parts).unwrap();
    assert_eq!(merged.latencies, whole.latencies);
    assert_eq!(merged.tally, whole.tally);
    assert_eq!(
        Balance {
            examples: Vec::new(),
            ..merged.ledger.clone()
        },
        Balance {
            examples: Vec::new(),
            ..whole.ledger.clone()
        }
    );
    assert_eq!(merged.ledger.examples.len(), whole.ledger.examples.len());
    assert_eq!(merged.generator.lateness, whole.generator.lateness);
    assert_eq!(
        (merged.generator.offered, merged.generator.done),
        (whole.generator.offered, whole.generator.done)
    );
    assert_eq!(merged.verdict, whole.verdict);
    assert_eq!(merged.size.users, 12);
    assert_eq!(merged.recorder().rows().count(), 3);
}

/// All orders of what are few.
fn orders<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    let [_, _, ..] = all else { return vec![all.to_vec()] };
    let first = (0..all.len()).flat_map(|place| {
        let mut others = all.to_vec();
        let one = others.remove(place);
        let rest = orders(&others).into_iter();
        rest.map(move |rest| std::iter::once(one.clone()).chain(rest).collect())
    });
    first.collect()
}

#[test]
fn the_slowest_part_counts_wherever_it_is_named() {
    // Each ten times as slow as the one before: beyond the range of the histograms of the quicker ones.
    let mut whole = (Recorder::default(), Tally::default(), Balance::default());
    let parts: Vec<RunResult> = (0..4)
        .map(|index| {
            let mut part = (Recorder::default(), Tally::default(), Balance::default());
            for (recorder, tally, ledger) in [&mut part, &mut whole] {
                for number in 0..1000 {
                    let due = Duration::from_millis(number * 20);
                    recorder.record(&Sample {
                        kind: Kind::Deliver,
                        due,
                        took: Duration::from_micros((900 + number) * 10u64.pow(index)),
                        error: None,
                        measured: true,
                    });
                    let second = tally.at(due.as_secs());
                    (second.offered, second.done) = (second.offered + 1, second.done + 1);
                    (ledger.sent, ledger.acked) = (ledger.sent + 1, ledger.acked + 1);
                    (ledger.owed, ledger.told) = (ledger.owed + 1, ledger.told + 1);
                }
            }
            let shard = Shard {
                index: index as usize,
                count: 4,
            };
            written(&result(&part.0, part.1, part.2, shard))
        })
        .collect();
    let whole = result(&whole.0, whole.1, whole.2, Shard::WHOLE);
    assert_eq!(whole.verdict.outcome, Outcome::Failed);
    let orders = orders(&parts);
    assert_eq!(orders.len(), 24);
    let first = merge(&parts).unwrap();
    assert_eq!(first.latencies, whole.latencies);
    assert_eq!(first.verdict, whole.verdict);
    for parts in orders {
        assert_eq!(merge(&parts).unwrap(), first);
    }
}

#[test]
fn what_is_no_whole_is_refused() {
    let (parts, _) = shards(3);
    assert_eq!(merge(&[]), Err(MergeError::Nothing));
    assert_eq!(
        merge(&parts[..2]),
        Err(MergeError::Missing {
            count: 3,
            missing: vec![2]
        })
    );
    let twice = [parts[0].clone(), parts[1].clone(), parts[1].clone(), parts[2].clone()];
    assert_eq!(merge(&twice), Err(MergeError::Twice(2)));
    let mut other = parts.clone();
    other[1].seed = 2;
    assert_eq!(merge(&other), Err(MergeError::Different("seed")));
    let with = |change: fn(&mut RunResult)| {
        let mut other = parts.clone();
        change(&mut other[1]);
        merge(&other)
    };
    let different = |what| Err(MergeError::Different(what));
    assert_eq!(
        with(|part| part.pattern = Some(Pattern::Constant)),
        different("pattern")
    );
    assert_eq!(with(|part| part.trace = Some("another".into())), different("trace"));
}

#[test]
fn parts_that_did_not_start_together_are_refused() {
    let (mut parts, _) = shards(3);
    parts[1].began = "2026-01-31T12:00:00.900Z".into();
    assert_eq!(merge(&parts).unwrap().began, "2026-01-31T12:00:00.000Z");
    parts[2].began = "2026-01-31T11:59:00.000Z".into();
    assert_eq!(merge(&parts), Err(MergeError::Apart(60.9)));
    parts[2].began = "at noon".into();
    assert_eq!(merge(&parts), Err(MergeError::Different("start")));
}

#[test]
fn parts_whose_clocks_differ_are_refused() {
    let (mut parts, _) = shards(3);
    assert_eq!(merge(&parts).unwrap().clock, None);
    let clock = |low: f64| Some(Ahead { low, high: low + 0.15 });
    for (part, low) in parts.iter_mut().zip([-0.1, 0.75, 0.5]) {
        part.clock = clock(low);
    }
    assert_eq!(merge(&parts).unwrap().clock, Some(Ahead { low: -0.1, high: 0.9 }));
    parts[1].clock = clock(1.25);
    assert!(matches!(merge(&parts), Err(MergeError::Clocks(apart)) if (apart - 1.2).abs() < 1e-9));
    // What was hardly measured may be the same.
    parts[1].clock = Some(Ahead { low: 0.9, high: 1.9 });
    assert!(merge(&parts).is_ok());
    // Who does not know excuses nobody else.
    (parts[1].clock, parts[2].clock) = (None, clock(0.2));
    assert_eq!(merge(&parts).unwrap().clock, None);
    parts[2].clock = clock(7.0);
    assert!(matches!(merge(&parts), Err(MergeError::Clocks(_))));
}

/// Parts of a soak test, of which each saw the server's memory so; it began at 100 MiB.
fn soaked(grows: [Option<f64>; 3]) -> Vec<RunResult> {
    let (mut parts, _) = shards(3);
    for (part, grows) in parts.iter_mut().zip(grows) {
        part.profile = "soak".into();
        let look = |second| Usage {
            second,
            memory: grows.map(|each| 100.0 + each * f64::from(second)),
            // By which the one that saw nothing grow saw most.
            cores: grows.filter(|each| *each < 1.0),
            ..Usage::default()
        };
        part.usage = (0..SECONDS as u32).map(look).collect();
        part.ledger = Balance::default();
        part.drift = crate::drift::judge(SECONDS as u32, &part.usage, None);
    }
    parts
}

#[test]
fn what_one_part_saw_grow_grew_in_whatever_order() {
    for (grows, expected) in [
        ([None, Some(0.1), Some(5.0)], true),
        ([None, None, Some(5.0)], true),
        ([Some(0.1), None, Some(0.2)], false),
    ] {
        for parts in orders(&soaked(grows)) {
            let merged = merge(&parts).unwrap();
            let memory = merged.drift.iter().find(|drift| drift.unit == "MiB").unwrap();
            assert_eq!(memory.grew, expected, "{grows:?}: {memory:?}");
            let mut reasons = merged.verdict.reasons.iter();
            assert_eq!(reasons.any(|reason| reason.contains("memory")), expected);
        }
    }
}

#[test]
fn delivery_that_gets_slower_in_some_parts_gets_slower_in_the_whole() {
    let slower = |index: usize| {
        let mut recorder = Recorder::default();
        for number in 0..SECONDS * 50 {
            let second = number / 50;
            let took = if index == 0 { 5 } else { 5 + 2 * second };
            recorder.record(&Sample {
                kind: Kind::Deliver,
                due: Duration::from_millis(number * 20),
                took: Duration::from_millis(took),
                error: None,
                measured: true,
            });
        }
        let part = result(
            &recorder,
            Tally::default(),
            Balance::default(),
            Shard { index, count: 3 },
        );
        let delivered = recorder.row(Kind::Deliver).map(|row| ("delivery", &row.seconds));
        RunResult {
            profile: "soak".into(),
            drift: crate::drift::judge(SECONDS as u32, &[], delivered),
            usage: Vec::new(),
            ..written(&part)
        }
    };
    let parts: Vec<RunResult> = (0..3).map(slower).collect();
    assert_eq!(parts.iter().filter(|part| part.drift[0].grew).count(), 2);
    for parts in orders(&parts) {
        let merged = merge(&parts).unwrap();
        assert!(merged.drift.len() == 1 && merged.drift[0].grew, "{:?}", merged.drift);
    }
}

#[test]
fn what_one_part_dropped_does_not_excuse_what_another_misses() {
    let empty = |index| {
        let ledger = Balance {
            owed: 10,
            told: 10,
            ..Balance::default()
        };
        result(
            &Recorder::default(),
            Tally::default(),
            ledger,
            Shard { index, count: 2 },
        )
    };
    let (mut dropped, mut missed) = (empty(0), empty(1));
    dropped.generator.overrun = 5;
    missed.ledger.told -= 1;
    missed.ledger.find(Finding::Missed, 0, Some(1));
    let merged = merge(&[dropped.clone(), missed.clone()]).unwrap();
    assert!(!merged.balances(), "{:?}", merged.verdict);
    missed.generator.overrun = 1;
    assert!(merge(&[dropped, missed]).unwrap().balances());
}

/// Four parts, of which each took this share of the two cores that it says.
fn four_that_took(share: f64, cores: [Option<&str>; 4]) -> Vec<RunResult> {
    let (mut parts, _) = shards(4);
    for (part, shares) in parts.iter_mut().zip(cores) {
        part.environment.shares = shares.map(str::to_owned);
        // Nothing else is wrong.
        part.ledger = Balance::default();
        part.generator.busy_cores = share * part.generator.cores as f64;
    }
    parts
}

#[test]
fn generators_have_the_cores_of_all_their_machines_each_once() {
    for (cores, expected) in [
        ([None; 4], 8),
        ([Some("a"), Some("b"), Some("c"), Some("d")], 8),
        ([Some("a"), Some("b"), Some("a"), Some("b")], 4),
        ([Some("a"), None, Some("a"), None], 6),
        ([Some("a"); 4], 2),
    ] {
        let merged = merge(&four_that_took(0.2, cores)).unwrap();
        assert_eq!(merged.generator.cores, expected, "{cores:?}");
        assert!(merged.generator.faults.is_empty(), "{:?}", merged.generator.faults);
        let share = merged.generator.cpu_share();
        assert!((share - 0.2 * 8.0 / expected as f64).abs() < 1e-9, "{share}");
        assert_eq!(merged.environment.shares.is_some(), cores == [Some("a"); 4]);
    }
}

#[test]
fn generators_that_are_each_others_bottleneck_make_a_run_invalid() {
    let merged = merge(&four_that_took(0.5, [Some("a"), Some("b"), Some("a"), None])).unwrap();
    assert_eq!(merged.verdict.outcome, Outcome::Invalid);
    let faults = &merged.generator.faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].starts_with("2 generators on one machine took 100 %"),
        "{faults:?}"
    );
}

#[test]
fn a_result_keeps_to_the_published_schema() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let (parts, mut whole) = shards(2);
    whole.clock = Some(Ahead { low: -0.25, high: 0.5 });
    (whole.pattern, whole.trace) = (None, Some("a digest".into()));
    whole.capacity = Some(crate::capacity::Capacity {
        lower: 1.0,
        upper: Some(2.0),
        confirmed: true,
        end: crate::capacity::End::Found(crate::capacity::Limit::Latency),
        trials: vec![crate::capacity::Trial {
            rate: 1.0,
            outcome: crate::capacity::Outcome::Fails(crate::capacity::Limit::Errors),
            latency: None,
            errors: 0.5,
            achieved: 1.0,
            step: crate::capacity::Step::Confirm,
        }],
    });
    for result in parts.iter().chain([&whole]) {
        let json = serde_json::to_value(result).unwrap();
        let errors: BTreeMap<String, String> = validator
            .iter_errors(&json)
            .map(|error| (error.instance_path().to_string(), error.to_string()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let mut more = json.clone();
        more["surprise"] = true.into();
        assert!(!validator.is_valid(&more));
    }
}
