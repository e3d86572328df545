mod beside;
mod several;

use std::time::Duration;

use super::*;
use crate::capacity::{Capacity, End, Limit, Objective, Outcome as Held, Step, Trial};
use crate::cast::Shard;
use crate::latency::{Recorder, Sample};
use crate::ledger::Balance;
use crate::result::fixture::result;
use crate::tally::Tally;

/// Of one run a side.
fn compare(base: &RunResult, new: &RunResult, tolerance: f64) -> Result<Comparison, CompareError> {
    let run = |result: &RunResult| Run {
        file: "result.json".into(),
        result: result.clone(),
    };
    super::compare(&[run(base)], &[run(new)], tolerance)
}

fn interval([low, estimate, high]: [f64; 3]) -> Interval {
    Interval { low, estimate, high }
}

fn judged_as(base: [f64; 3], new: [f64; 3], more_is_better: bool) -> Judgement {
    judged(String::new(), interval(base), interval(new), 0.05, more_is_better).judgement
}

#[test]
fn only_intervals_that_are_apart_decide() {
    assert_eq!(
        judged_as([9.0, 10.0, 11.0], [12.0, 13.0, 14.0], false),
        Judgement::Worse
    );
    assert_eq!(judged_as([9.0, 10.0, 11.0], [7.0, 8.0, 8.5], false), Judgement::Better);
    assert_eq!(
        judged_as([9.9, 10.0, 10.1], [10.2, 10.3, 10.4], false),
        Judgement::Same,
        "3 %"
    );
    assert_eq!(judged_as([9.8, 10.0, 10.2], [9.9, 10.1, 10.3], false), Judgement::Same);
    assert_eq!(
        judged_as([9.8, 10.0, 10.1], [10.2, 10.3, 20.0], false),
        Judgement::Unsure,
        "the estimates are close, but it may be twice as slow"
    );
    assert_eq!(
        judged_as([5.0, 10.0, 15.0], [6.0, 14.0, 20.0], false),
        Judgement::Unsure
    );
    assert_eq!(
        judged_as([900.0, 950.0, 1000.0], [500.0, 550.0, 600.0], true),
        Judgement::Worse
    );
    assert_eq!(
        judged_as([500.0, 550.0, 600.0], [900.0, 950.0, 1000.0], true),
        Judgement::Better
    );
}

/// A run in which deliveries took so long, and of so many requests for the history every `failing`-th failed at once.
fn ran(millis: u64, reads: u64, failing: u64) -> RunResult {
    let (mut recorder, mut tally, mut ledger) = (Recorder::default(), Tally::default(), Balance::default());
    for number in 0..4000 {
        let due = Duration::from_millis(number * 5);
        let mut record = |kind, took, fails: bool| {
            let error = fails.then(|| "SERVICE_UNAVAILABLE".into());
            recorder.record(&Sample {
                kind,
                due,
                took: Duration::from_millis(took),
                error,
                measured: true,
            });
        };
        record(Kind::Ack, 1, false);
        record(Kind::Deliver, millis + number % 3, false);
        if number < reads {
            record(Kind::History, 2, number % failing == failing - 1);
        }
        let second = tally.at(due.as_secs());
        (second.offered, second.done) = (second.offered + 1, second.done + 1);
        (ledger.sent, ledger.acked) = (ledger.sent + 1, ledger.acked + 1);
        (ledger.owed, ledger.told) = (ledger.owed + 1, ledger.told + 1);
    }
    result(&recorder, tally, ledger, Shard { index: 0, count: 1 })
}

/// The same, with so many connections, all of which began in one second of it or in as many as asked for.
fn connected(result: &RunResult, millis: u64, count: u64, seconds: u64) -> RunResult {
    let mut recorder = result.recorder();
    for number in 0..count {
        recorder.record(&Sample {
            kind: Kind::Connect,
            due: Duration::from_secs(number % seconds),
            took: Duration::from_millis(millis + number % 3),
            error: None,
            measured: true,
        });
    }
    let rows = recorder.rows();
    RunResult {
        latencies: rows.map(|(kind, row)| (kind, row.into())).collect(),
        ..result.clone()
    }
}

#[test]
fn failing_quickly_is_not_better() {
    let base = ran(20, 4000, u64::MAX);
    let compared = |new: &RunResult| compare(&base, new, 0.05).unwrap();
    assert_eq!(compared(&ran(20, 4000, u64::MAX)).outcome, Judgement::Same);
    assert_eq!(compared(&ran(10, 4000, u64::MAX)).outcome, Judgement::Better);
    let fails = compared(&ran(10, 4000, 2));
    assert_eq!(fails.outcome, Judgement::Worse);
    assert!(fails.remarks[0].contains("failed"), "{:?}", fails.remarks);
    let has_none = compared(&ran(10, 0, u64::MAX));
    assert_eq!(has_none.outcome, Judgement::Worse);
    assert_eq!(has_none.remarks, ["of history the new one has none"]);
}

#[test]
fn what_is_rare_or_not_the_schedules_doing_is_not_missed() {
    let base = ran(20, 9, u64::MAX);
    let none = ran(20, 0, u64::MAX);
    // A few that were drawn by chance.
    assert_eq!(compare(&base, &none, 0.05).unwrap().outcome, Judgement::Same);
    assert_eq!(
        compare(&ran(20, 10, u64::MAX), &none, 0.05).unwrap().outcome,
        Judgement::Worse
    );
    // One that fails alone is an accident; of two nothing is left.
    assert_eq!(compare(&base, &ran(20, 1, 1), 0.05).unwrap().outcome, Judgement::Same);
    assert_eq!(compare(&base, &ran(20, 2, 1), 0.05).unwrap().outcome, Judgement::Worse);
    // Half as much was due.
    let mut short = none.clone();
    short.generator.offered /= 2;
    assert_eq!(
        compare(&ran(20, 19, u64::MAX), &short, 0.05).unwrap().outcome,
        Judgement::Same
    );
    // No connection broke, so that nothing had to be caught up.
    for kind in [Kind::Connect, Kind::CatchUp] {
        let mut broke = none.clone();
        broke.latencies.insert(kind, base.latencies[&Kind::Ack].clone());
        assert_eq!(
            compare(&broke, &none, 0.05).unwrap().outcome,
            Judgement::Same,
            "{kind:?}"
        );
    }
}

/// A search that ended between these.
fn searched(lower: f64, upper: Option<f64>, confirmed: bool) -> RunResult {
    let capacity = Capacity {
        lower,
        upper,
        confirmed,
        end: End::Generator,
        trials: vec![held(lower); 2],
    };
    RunResult {
        capacity: Some(capacity),
        ..ran(20, 0, 1)
    }
}

fn held(rate: f64) -> Trial {
    Trial {
        rate,
        outcome: Held::Holds,
        latency: None,
        errors: 0.0,
        achieved: rate,
        step: Step::Narrow,
    }
}

/// The same after something happened to the search.
fn changed(mut result: RunResult, change: impl FnOnce(&mut Capacity)) -> RunResult {
    if let Some(found) = &mut result.capacity {
        change(found);
    }
    result
}

#[test]
fn where_nothing_holds_any_more_it_is_worse() {
    let nothing = changed(searched(0.0, Some(2.0), false), |found| {
        found.end = End::Nothing(Limit::Latency);
    });
    let base = searched(1000.0, Some(1100.0), true);
    assert_eq!(compare(&base, &nothing, 0.05).unwrap().outcome, Judgement::Worse);
    assert_eq!(compare(&nothing, &base, 0.05).unwrap().outcome, Judgement::Better);
}

#[test]
fn what_held_once_or_hardly_more_decides_nothing() {
    let outcome = |base: RunResult| {
        let new = searched(900.0, Some(1000.0), true);
        compare(&base, &new, 0.05).unwrap().outcome
    };
    assert_eq!(outcome(searched(1100.0, None, false)), Judgement::Worse);
    assert_eq!(outcome(searched(1040.0, None, false)), Judgement::Unsure);
    let once = changed(searched(1100.0, None, false), |found| found.trials.truncate(1));
    assert_eq!(outcome(once), Judgement::Unsure);
}

#[test]
fn searches_without_an_upper_end_are_not_compared_by_their_latencies() {
    let outcome = |base: RunResult, new: RunResult| compare(&base, &new, 0.05).unwrap().outcome;
    let open = |lower| searched(lower, None, false);
    let quick = RunResult {
        latencies: ran(10, 0, 1).latencies,
        ..open(2000.0)
    };
    assert_eq!(outcome(open(1000.0), quick), Judgement::Unsure);
    assert_eq!(
        outcome(searched(1000.0, Some(1100.0), true), open(2000.0)),
        Judgement::Better
    );
    assert_eq!(
        outcome(open(2000.0), searched(1000.0, Some(1100.0), true)),
        Judgement::Worse
    );
    assert_eq!(
        outcome(open(2000.0), searched(1000.0, Some(1100.0), false)),
        Judgement::Unsure
    );
    assert_eq!(
        outcome(searched(1000.0, Some(1500.0), true), open(1200.0)),
        Judgement::Unsure
    );
}

#[test]
fn a_search_that_was_not_confirmed_decides_nothing() {
    let compared = |confirmed_before, confirmed_now| {
        let base = searched(1000.0, Some(1100.0), confirmed_before);
        compare(&base, &searched(500.0, Some(550.0), confirmed_now), 0.05).unwrap()
    };
    let worse = compared(true, true);
    assert_eq!((worse.outcome, worse.remarks.len()), (Judgement::Worse, 0));
    for (confirmed_before, confirmed_now) in [(false, true), (true, false), (false, false)] {
        let unsure = compared(confirmed_before, confirmed_now);
        assert_eq!(unsure.outcome, Judgement::Unsure);
        assert!(unsure.remarks[0].contains("not confirmed"), "{:?}", unsure.remarks);
    }
}

#[test]
fn runs_that_were_asked_for_something_else_are_not_compared() {
    let base = searched(1000.0, Some(1100.0), true);
    let strict = RunResult {
        objective: Objective {
            below_ms: 50.0,
            ..base.objective
        },
        ..searched(500.0, Some(550.0), true)
    };
    assert!(matches!(
        compare(&base, &strict, 0.05),
        Err(CompareError::Different { what: "objective", .. })
    ));
}

#[test]
fn a_kind_that_fails_now_is_worse_although_it_has_no_latency() {
    // Of 4,004 things 4 fail, which is what may.
    let outcome = |before, now| compare(&ran(20, 4, before), &ran(20, 4, now), 0.05).unwrap();
    assert_eq!(outcome(u64::MAX, u64::MAX).outcome, Judgement::Same);
    let fails = outcome(u64::MAX, 1);
    assert_eq!(fails.outcome, Judgement::Worse);
    assert_eq!(fails.remarks, ["of history the new one has none"]);
    // What fails as before did not become worse.
    assert_eq!(outcome(1, 1).outcome, Judgement::Same);
    let often = compare(&ran(20, 40, u64::MAX), &ran(20, 40, 2), 1.0).unwrap();
    assert_eq!(often.outcome, Judgement::Worse);
    assert!(
        often
            .remarks
            .iter()
            .any(|remark| remark == "20 of 40 of history failed, 0 of 40 before"),
        "{:?}",
        often.remarks
    );
}

#[test]
fn the_sentence_says_what_was_ruled_out_and_not_what_was_tolerated() {
    let compared = |base, new| {
        let lines = vec![judged(String::new(), interval(base), interval(new), 0.05, false)];
        Comparison {
            runs: Runs { base: 1, new: 1 },
            searches: false,
            outcome: lines[0].judgement,
            lines,
            remarks: Vec::new(),
        }
    };
    let same = compared([9.4, 10.0, 10.4], [9.6, 10.1, 10.5]);
    assert_eq!(same.outcome, Judgement::Same);
    // 10.5 is 11.7 % above 9.4.
    assert!(same.sentence().contains("more than 12 %"), "{}", same.sentence());
    let not_worse = compared([150.0, 246.0, 300.0], [90.0, 122.0, 160.0]);
    assert_eq!(not_worse.outcome, Judgement::NotWorse);
    assert!(
        not_worse.sentence().contains("no more than 7 %"),
        "{}",
        not_worse.sentence()
    );
    let worse = compared([9.0, 10.0, 11.0], [12.0, 13.0, 14.0]);
    assert!(worse.sentence().contains("second pair"), "{}", worse.sentence());
}

#[test]
fn what_may_be_better_is_not_the_same() {
    // Half as slow, by estimates whose intervals just touch.
    let (slow, quick) = ([150.0, 246.0, 300.0], [90.0, 122.0, 160.0]);
    assert_eq!(judged_as(slow, quick, false), Judgement::NotWorse);
    assert_eq!(judged_as(quick, slow, false), Judgement::Unsure);
    assert_eq!(judged_as(quick, slow, true), Judgement::NotWorse);
    assert_eq!(judged_as(slow, quick, true), Judgement::Unsure);
}
