//! Several runs a side.

use std::f64::consts::TAU;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::super::compare;
use super::*;
use crate::latency::Kind;
use crate::result::Measured;

/// Each with a file of its own, and begun after the one before.
fn side(name: &str, results: impl IntoIterator<Item = RunResult>) -> Vec<Run> {
    let day = if name == "base" { 1 } else { 2 };
    let runs = (1..).zip(results).map(|(number, result)| Run {
        file: format!("{name}/{number}/result.json").into(),
        result: RunResult {
            began: format!("2026-02-0{day}T12:0{number}:00.000Z"),
            ..result
        },
    });
    runs.collect()
}

/// Whose deliveries took so long in each.
fn took(name: &str, millis: &[u64]) -> Vec<Run> {
    side(name, millis.iter().map(|millis| ran(*millis, 0, 1)))
}

fn deliver_p50(comparison: &Comparison) -> &Line {
    let mut lines = comparison.lines.iter();
    lines.find(|line| line.what == "deliver p50 in ms").unwrap()
}

#[test]
fn runs_that_differ_by_more_than_among_themselves_are_told_apart() {
    let (quick, slow) = (took("base", &[100, 102, 101]), took("new", &[150, 153, 149]));
    let worse = compare(&quick, &slow, 0.05).unwrap();
    assert_eq!(worse.outcome, Judgement::Worse);
    assert_eq!(worse.runs, Runs { base: 3, new: 3 });
    assert!(!worse.sentence().contains("second pair"), "{}", worse.sentence());
    assert!(worse.sentence().contains("3 runs"), "{}", worse.sentence());
    assert_eq!(compare(&slow, &quick, 0.05).unwrap().outcome, Judgement::Better);
    assert_eq!(
        compare(&slow, &took("new", &[151, 152, 150]), 0.05).unwrap().outcome,
        Judgement::Same
    );
    let line = deliver_p50(&worse);
    // The geometric mean, of values to two digits of their microseconds.
    assert!((line.base.estimate / 102.0 - 1.0).abs() < 0.02, "{line:?}");
}

#[test]
fn runs_that_scatter_more_than_they_differ_are_not_told_apart() {
    let (base, new) = (took("base", &[100, 140, 90]), took("new", &[130, 150, 120]));
    // A single pair is sure of it: each run is as narrow as its seconds.
    let pair = compare(&base[..1], &new[..1], 0.05).unwrap();
    assert_eq!(pair.outcome, Judgement::Worse);
    let Interval { low, high, .. } = deliver_p50(&pair).base;
    assert!(high / low < 1.02, "{low} to {high}");
    assert!(pair.sentence().contains("second pair"), "{}", pair.sentence());
    assert_eq!(compare(&base, &new, 0.05).unwrap().outcome, Judgement::Unsure);
}

#[test]
fn two_runs_a_side_ask_for_a_third() {
    let compared = |count: usize| {
        let (base, new) = (took("base", &[100, 108, 104]), took("new", &[150, 160, 155]));
        compare(&base[..count], &new[..count], 0.05).unwrap()
    };
    let two = compared(2);
    assert_eq!(two.outcome, Judgement::Unsure);
    assert!(two.sentence().contains("three or more"), "{}", two.sentence());
    assert_eq!(compared(3).outcome, Judgement::Worse);
}

#[test]
fn one_run_on_either_side_leaves_the_caution() {
    let (one, three) = (took("base", &[100]), took("new", &[150, 153, 149]));
    let worse = compare(&one, &three, 0.05).unwrap();
    assert_eq!(worse.outcome, Judgement::Worse);
    assert!(worse.sentence().contains("the base's interval"), "{}", worse.sentence());
    let better = compare(&three, &one, 0.05).unwrap();
    assert_eq!(better.outcome, Judgement::Better);
    assert!(
        better.sentence().contains("the new one's interval"),
        "{}",
        better.sentence()
    );
}

#[test]
fn runs_that_agree_are_as_unsure_as_their_seconds() {
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(3);
    let seconds: Vec<f64> = (0..8).map(|_| 100.0 + 200.0 * chance.random::<f64>()).collect();
    let template = ran(20, 0, 1);
    let alike = |name| side(name, (0..3).map(|_| of_seconds(&template, &seconds)));
    let (base, new) = (alike("base"), side("new", [of_seconds(&template, &[150.0; 8])]));
    let several = deliver_p50(&compare(&base, &new, 0.05).unwrap()).base;
    let one = deliver_p50(&compare(&base[..1], &new, 0.05).unwrap()).base;
    assert!(several.high / several.low > 1.1, "{several:?}");
    assert!(
        one.low <= several.low && several.high <= one.high,
        "{one:?} {several:?}"
    );
}

#[test]
fn what_took_no_time_has_an_interval_and_decides_nothing() {
    let template = ran(20, 0, 1);
    let of = |name, millis: [f64; 3]| side(name, millis.map(|millis| of_seconds(&template, &[millis; 4])));
    let (none, some) = (of("base", [0.0; 3]), of("new", [0.0, 0.0, 10.0]));
    let none_again = of("new", [0.0; 3]);
    for (base, new) in [(&none[..], &some[..]), (&none, &none_again), (&none[..1], &none_again)] {
        let compared = compare(base, new, 0.05).unwrap();
        assert!(
            matches!(compared.outcome, Judgement::Unsure | Judgement::NotWorse),
            "{compared:?}"
        );
        for Interval { low, estimate, high } in compared.lines.iter().flat_map(|line| [line.base, line.new]) {
            assert!(low <= estimate && estimate <= high, "{low} {estimate} {high}");
        }
    }
}

#[test]
fn what_only_one_of_several_runs_did_decides_nothing() {
    let reads = side("base", [0, 1, 2].map(|_| ran(20, 40, u64::MAX)));
    let hardly = side("new", [40, 0, 0].map(|reads| ran(20, reads, u64::MAX)));
    let compared = compare(&reads, &hardly, 0.05).unwrap();
    let line = compared.lines.iter().find(|line| line.what == "history p50 in ms");
    assert_eq!(line.unwrap().judgement, Judgement::Unsure);
    assert_eq!(compared.outcome, Judgement::Unsure);
}

#[test]
fn of_what_happens_in_one_second_several_runs_tell_and_one_does_not() {
    let ran = ran(20, 0, 1);
    let of = |name, millis: [u64; 3]| side(name, millis.map(|millis| connected(&ran, millis, 40, 1)));
    let judged = |base: &[Run], new: &[Run]| {
        let compared = compare(base, new, 0.05).unwrap();
        let mut lines = compared.lines.into_iter();
        lines.find(|line| line.what == "connect p50 in ms").unwrap().judgement
    };
    let (base, new) = (of("base", [100, 101, 100]), of("new", [200, 202, 200]));
    assert_eq!(judged(&base, &new), Judgement::Worse);
    assert_eq!(judged(&base, &of("new", [100, 100, 101])), Judgement::Same);
    assert_eq!(judged(&base[..1], &new[..1]), Judgement::TooFew);
    assert_eq!(judged(&base, &new[..1]), Judgement::TooFew);
}

#[test]
fn a_run_counts_once() {
    let (base, new) = (took("base", &[100, 102, 101]), took("new", &[100, 102, 101]));
    let mut twice = new.clone();
    twice[2].result = twice[0].result.clone();
    let refused = |base: &[Run], new: &[Run]| compare(base, new, 0.05).err();
    assert_eq!(
        refused(&base, &twice),
        Some(CompareError::Twice {
            one: "new/1/result.json".into(),
            other: "new/3/result.json".into()
        })
    );
    // However alike they went, what has another seed is another run.
    twice[2].result.seed += 1;
    assert_eq!(refused(&base, &twice), None);
    // On both sides it would make them look the same.
    assert!(matches!(refused(&base, &base), Some(CompareError::Twice { .. })));
    assert_eq!(refused(&base[..1], &base[..1]), None);
    assert_eq!(refused(&[], &base), Some(CompareError::Nothing));
}

#[test]
fn parts_of_one_run_are_no_several_runs() {
    let part = |index| RunResult {
        shards: vec![Shard { index, count: 2 }],
        ..ran(100, 0, 1)
    };
    let parts = side("new", [part(0), part(1)]);
    assert_eq!(
        compare(&took("base", &[100, 102]), &parts, 0.05),
        Err(CompareError::Part {
            file: "new/1/result.json".into()
        })
    );
    let whole = RunResult {
        shards: [0, 1].map(|index| Shard { index, count: 2 }).into(),
        ..ran(100, 0, 1)
    };
    assert!(compare(&took("base", &[101, 102]), &side("new", [whole]), 0.05).is_ok());
}

#[test]
fn all_runs_of_a_side_did_the_same_and_each_is_valid() {
    let base = took("base", &[100, 102, 101]);
    let with = |change: fn(&mut RunResult)| {
        let mut new = took("new", &[103, 104, 105]);
        change(&mut new[1].result);
        compare(&base, &new, 0.05).unwrap_err()
    };
    let different = |what| CompareError::Different {
        what,
        one: "base/1/result.json".into(),
        other: "new/2/result.json".into(),
    };
    assert_eq!(with(|run| run.phases[0].name = "other".into()), different("load"));
    assert_eq!(with(|run| run.size.users += 1), different("size"));
    assert_eq!(with(|run| run.scenario = "fanout".into()), different("scenario"));
    assert_eq!(
        with(|run| {
            run.verdict.outcome = crate::result::Outcome::Invalid;
            run.verdict.reasons = vec!["late".into()];
        }),
        CompareError::Invalid {
            file: "new/2/result.json".into(),
            why: "late".into()
        }
    );
}

#[test]
fn a_message_lost_in_one_of_several_runs_decides() {
    let base = took("base", &[100, 102, 101]);
    let mut new = took("new", &[50, 51, 50]);
    assert_eq!(compare(&base, &new, 0.05).unwrap().outcome, Judgement::Better);
    new[1].result.ledger.lost = 1;
    let worse = compare(&base, &new, 0.05).unwrap();
    assert_eq!(worse.outcome, Judgement::Worse);
    assert_eq!(worse.remarks, ["the ledger of new/2/result.json does not balance"]);
}

#[test]
fn failures_count_in_all_runs_of_a_side_together() {
    let side = |name, failing: [u64; 3]| side(name, failing.map(|failing| ran(20, 40, failing)));
    let base = side("base", [u64::MAX; 3]);
    let worse = compare(&base, &side("new", [2, u64::MAX, u64::MAX]), 0.05).unwrap();
    assert_eq!(worse.outcome, Judgement::Worse);
    assert!(
        worse
            .remarks
            .iter()
            .any(|remark| remark == "20 of 120 of history failed, 0 of 120 before"),
        "{:?}",
        worse.remarks
    );
    // One run of three without any is not none.
    let failed = compare(&base, &side("new", [1; 3]), 0.05).unwrap();
    let none = "of history the new one has none";
    assert!(failed.remarks.iter().any(|remark| remark == none));
    assert!(!worse.remarks.iter().any(|remark| remark == none));
}

#[test]
fn searches_reach_beyond_their_ends_when_they_do_not_agree() {
    let of = |name, ends: &[(f64, bool)]| {
        let searches = ends
            .iter()
            .map(|(lower, confirmed)| searched(*lower, Some(lower * 1.1), *confirmed));
        side(name, searches)
    };
    let base = of("base", &[(1000.0, true), (1100.0, true), (950.0, true)]);
    let compared = |ends: &[(f64, bool)]| compare(&base, &of("new", ends), 0.05).unwrap();
    let worse = compared(&[(500.0, true), (540.0, true), (520.0, true)]);
    assert_eq!(worse.outcome, Judgement::Worse);
    let line = &worse.lines[0];
    assert!(line.base.low < 950.0 && line.base.high > 1210.0, "{line:?}");
    assert!(line.new.low < 500.0 && line.new.high > 540.0 * 1.1, "{line:?}");
    assert!(worse.sentence().contains("3 searches"), "{}", worse.sentence());
    // One that comes close is enough, and two that do not say how far others lie.
    for ends in [[500.0, 520.0, 900.0].as_slice(), &[500.0, 540.0]] {
        let ends: Vec<(f64, bool)> = ends.iter().map(|lower| (*lower, true)).collect();
        assert_eq!(compared(&ends).outcome, Judgement::Unsure);
    }
    // Where they agree, they are as wide as each of them.
    let alike = compare(
        &of("base", &[(1000.0, true); 3]),
        &of("new", &[(1000.0, true); 3]),
        0.05,
    );
    let line = &alike.unwrap().lines[0];
    assert!(
        (line.base.low - 1000.0).abs() < 1e-6 && (line.base.high - 1100.0).abs() < 1e-6,
        "{line:?}"
    );
    // What was not confirmed does not count beside what was, and then there is but one.
    let one = compared(&[(500.0, true), (900.0, false)]);
    assert_eq!((one.outcome, one.runs), (Judgement::Worse, Runs { base: 3, new: 1 }));
    assert_eq!(one.remarks.len(), 1, "{:?}", one.remarks);
    assert!(one.sentence().contains("the new one's interval"), "{}", one.sentence());
    let none = compared(&[(500.0, false), (600.0, false)]);
    assert_eq!((none.outcome, none.remarks.len()), (Judgement::Unsure, 1));
    assert!(none.remarks[0].contains("confirmed"), "{:?}", none.remarks);
}

#[test]
fn of_searches_without_an_upper_end_all_must_have_borne_more() {
    let open = |lowers: &[f64]| side("new", lowers.iter().map(|lower| searched(*lower, None, false)));
    let base = side(
        "base",
        [1000.0, 1050.0, 1100.0].map(|lower| searched(lower, Some(lower * 1.1), true)),
    );
    let outcome = |lowers: &[f64]| compare(&base, &open(lowers), 0.05).unwrap().outcome;
    assert_eq!(outcome(&[2000.0, 1500.0]), Judgement::Better);
    assert_eq!(outcome(&[2000.0, 1250.0]), Judgement::Unsure);
}

/// Deliveries of a second: five such tell of one in a hundred.
const EACH: u32 = 200;

/// The same, but for its latencies: of deliveries alone, which all took so many milliseconds in each second.
fn of_seconds(template: &RunResult, seconds: &[f64]) -> RunResult {
    let mut recorder = Recorder::default();
    for (second, millis) in (0..).zip(seconds) {
        let sample = Sample {
            kind: Kind::Deliver,
            due: Duration::from_secs(second),
            took: Duration::from_secs_f64(millis / 1000.0),
            error: None,
            measured: true,
        };
        (0..EACH).for_each(|_| recorder.record(&sample));
    }
    RunResult {
        latencies: recorder.rows().map(|(kind, row)| (kind, Measured::from(row))).collect(),
        ..template.clone()
    }
}

/// Runs that are as slow as each other but for chance, and which a second alone would never show.
fn by_chance(template: &RunResult, chance: &mut Xoshiro256PlusPlus, millis: f64) -> RunResult {
    let mut normal = || (-2.0 * (1.0 - chance.random::<f64>()).ln()).sqrt() * (TAU * chance.random::<f64>()).cos();
    let of_run = millis * (0.15 * normal()).exp();
    let seconds: Vec<f64> = (0..5).map(|_| of_run * (0.02 * normal()).exp()).collect();
    of_seconds(template, &seconds)
}

#[test]
fn runs_that_differ_by_chance_are_rarely_called_better_or_worse() {
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(11);
    // Parts of the template that are not compared would only be copied again and again.
    let template = RunResult {
        usage: Vec::new(),
        tally: Tally::default(),
        ..of_seconds(&ran(20, 0, 1), &[])
    };
    let mut decided = |count: usize, slower: f64, times: usize| {
        let made = (0..times).filter(|_| {
            let mut side = |name, millis| {
                let results: Vec<_> = (0..count).map(|_| by_chance(&template, &mut chance, millis)).collect();
                side(name, results)
            };
            // Fractions of a millisecond have the shortest histograms, and this makes many.
            let (base, new) = (side("base", 0.2), side("new", 0.2 * slower));
            let outcome = compare(&base, &new, 0.05).unwrap().outcome;
            matches!(outcome, Judgement::Worse | Judgement::Better)
        });
        made.count()
    };
    let falsely = decided(3, 1.0, 300);
    assert!(falsely <= 15, "{falsely} of 300");
    // As single runs are: they know nothing of each other.
    let pairs = decided(1, 1.0, 60);
    assert!(pairs > 30, "{pairs} of 60");
    let truly = decided(3, 3.0, 20);
    assert!(truly > 10, "{truly} of 20");
}
