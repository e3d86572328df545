use std::time::Duration;

use super::*;
use crate::cast::Shard;
use crate::latency::{Recorder, Sample};
use crate::ledger::Finding;
use crate::result::fixture::result;
use crate::tally::Tally;

/// A run of 4,000 messages, quick and complete, and of logins of which some failed.
fn ran(logins: u64, failed: u64) -> RunResult {
    let (mut recorder, mut tally, mut ledger) = (Recorder::default(), Tally::default(), Balance::default());
    let mut record = |kind, number: u64, fails: bool| {
        recorder.record(&Sample {
            kind,
            due: Duration::from_millis(number * 5),
            took: Duration::from_millis(2),
            error: fails.then(|| "SERVICE_UNAVAILABLE".into()),
            measured: true,
        });
    };
    for number in 0..4000 {
        record(Kind::Ack, number, false);
        record(Kind::Deliver, number, false);
        let second = tally.at(number / 200);
        (second.offered, second.done) = (second.offered + 1, second.done + 1);
        (ledger.sent, ledger.acked) = (ledger.sent + 1, ledger.acked + 1);
        (ledger.owed, ledger.told) = (ledger.owed + 1, ledger.told + 1);
    }
    (0..logins).for_each(|number| record(Kind::Login, number, number < failed));
    result(&recorder, tally, ledger, Shard::WHOLE)
}

/// The same, with the outcome after something happened to the books.
fn after(change: impl FnOnce(&mut RunResult)) -> Verdict {
    let mut result = ran(0, 0);
    change(&mut result);
    judge(&result)
}

/// An event and an ack that did not come.
fn miss(result: &mut RunResult) {
    let ledger = &mut result.ledger;
    (ledger.told, ledger.acked) = (ledger.told - 1, ledger.acked - 1);
    ledger.find(Finding::Missed, 0, Some(7));
    ledger.find(Finding::Unanswered, 0, Some(8));
}

fn overrun(result: &mut RunResult) {
    result.generator.overrun = 2;
    result.generator.faults = vec!["it was too slow to take 2 arrivals".into()];
}

fn behind(result: &mut RunResult) {
    result.generator.unplayed = 3;
    result.generator.faults = vec!["3 devices were so far behind that they never took their last turns".into()];
}

#[test]
fn what_is_missing_is_the_servers_fault_only_where_the_generator_was_there_to_take_it() {
    assert_eq!(after(|_| {}).outcome, Outcome::Passed);
    let verdict = after(miss);
    assert_eq!(verdict.outcome, Outcome::Failed);
    assert_eq!(verdict.objective, Held::Fails(Limit::Ledger));
    // One of the two was dropped here; the other one was not.
    let verdict = after(|result| {
        miss(result);
        overrun(result);
        result.generator.overrun = 1;
    });
    assert_eq!(verdict.outcome, Outcome::Failed);
    for away in [overrun as fn(&mut RunResult), |result| result.cut_short = true, behind] {
        let verdict = after(|result| {
            miss(result);
            away(result);
        });
        assert_eq!(verdict.outcome, Outcome::Invalid, "{:?}", verdict.reasons);
        assert_ne!(verdict.objective, Held::Fails(Limit::Ledger));
        assert!(
            verdict
                .reasons
                .iter()
                .any(|reason| reason.contains("1 missed, 1 unanswered")),
            "{:?}",
            verdict.reasons
        );
    }
}

#[test]
fn what_is_lost_doubled_or_foreign_fails_whatever_the_generator_did() {
    for finding in [Finding::Lost, Finding::Doubled, Finding::Foreign, Finding::OutOfOrder] {
        let verdict = after(|result| {
            miss(result);
            overrun(result);
            result.ledger.find(finding, 0, Some(9));
        });
        assert_eq!(verdict.outcome, Outcome::Failed, "{finding:?}");
        assert_eq!(verdict.objective, Held::Fails(Limit::Ledger), "{finding:?}");
    }
    // More is missing than was found to be.
    let verdict = after(|result| {
        overrun(result);
        result.ledger.told -= 1;
    });
    assert_eq!(verdict.outcome, Outcome::Failed);
}

#[test]
fn a_kind_that_fails_is_not_excused_by_all_that_succeeds() {
    // Of 8,003 things 3 failed, which is less than may.
    let verdict = judge(&ran(3, 3));
    assert!(verdict.errors < 0.001, "{}", verdict.errors);
    assert_eq!(verdict.outcome, Outcome::Failed);
    assert_eq!(verdict.objective, Held::Fails(Limit::Errors));
    assert!(verdict.reasons[0].contains("3 of 3 of login"), "{:?}", verdict.reasons);
    let verdict = judge(&ran(3, 1));
    assert_eq!((verdict.outcome, verdict.objective), (Outcome::Passed, Held::Holds));
}

/// A run in which nothing but this was done: so many, each of which took so long, from this millisecond on.
fn only(kind: Kind, count: u64, millis: u64, from: u64) -> RunResult {
    let (mut recorder, mut tally) = (Recorder::default(), Tally::default());
    for number in 0..count {
        let due = Duration::from_millis(from + number * 15_000 / count.max(1));
        recorder.record(&Sample {
            kind,
            due,
            took: Duration::from_millis(millis),
            error: None,
            measured: true,
        });
        let second = tally.at(due.as_secs());
        (second.offered, second.done) = (second.offered + 1, second.done + 1);
    }
    result(&recorder, tally, Balance::default(), Shard::WHOLE)
}

#[test]
fn what_is_waited_for_most_is_judged_where_there_are_no_messages() {
    let slow = judge(&only(Kind::Login, 1000, 1700, 0));
    assert_eq!(slow.outcome, Outcome::Failed);
    assert_eq!(slow.objective, Held::Fails(Limit::Latency));
    assert!(slow.reasons[0].contains("p99 of login is 170"), "{:?}", slow.reasons);
    let quick = judge(&only(Kind::Login, 1000, 17, 0));
    assert_eq!((quick.outcome, quick.objective), (Outcome::Passed, Held::Holds));
    // Nobody waits for a connection that is made anew.
    let came_back = only(Kind::CatchUp, 1000, 1700, 0);
    assert_eq!(judge(&came_back).outcome, Outcome::Passed);
    assert_eq!(came_back.main_kind(), None);
}

#[test]
fn a_run_in_which_nothing_was_done_is_invalid() {
    for kind in [Kind::Connect, Kind::Turn] {
        let verdict = judge(&only(kind, 40, 1, 0));
        assert_eq!(verdict.outcome, Outcome::Invalid, "{:?}", verdict.reasons);
    }
}

#[test]
fn what_was_too_short_to_be_told_is_told_from_what_never_arrived() {
    let mut short = only(Kind::Deliver, 46, 2, 200);
    short.phases = vec![
        crate::schedule::Phase {
            measured: false,
            ..crate::schedule::Phase::steady("warm-up", Duration::from_millis(200), 50.0)
        },
        crate::schedule::Phase::steady("smoke", Duration::from_millis(800), 50.0),
    ];
    let verdict = judge(&short);
    assert_eq!((verdict.outcome, verdict.objective), (Outcome::Unsure, Held::Unsure));
    assert!(verdict.reasons[0].contains("--for"), "{:?}", verdict.reasons);
    let mut mute = ran(0, 0);
    mute.latencies.remove(&Kind::Deliver);
    let verdict = judge(&mute);
    assert_eq!(verdict.outcome, Outcome::Failed);
    assert!(
        verdict.reasons[0].contains("nothing was delivered"),
        "{:?}",
        verdict.reasons
    );
}

#[test]
fn what_is_too_little_to_tell_passes_for_nothing() {
    // A thousand are enough for one in a hundred.
    let outcome = |count, millis| {
        let verdict = judge(&only(Kind::Deliver, count, millis, 0));
        (verdict.outcome, verdict.objective)
    };
    assert_eq!(outcome(1000, 2), (Outcome::Passed, Held::Holds));
    for few in [1, 46, 999] {
        assert_eq!(outcome(few, 2), (Outcome::Unsure, Held::Unsure), "{few}");
    }
    let verdict = judge(&only(Kind::Deliver, 46, 2, 0));
    assert!(
        verdict.reasons[0].contains("46 of delivery in 15 seconds") && verdict.reasons[0].contains("1000 in 5"),
        "{:?}",
        verdict.reasons
    );
    // That one is slow may be chance, but not that all are.
    assert_eq!(outcome(1, 1700), (Outcome::Failed, Held::Fails(Limit::Latency)));
    assert_eq!(outcome(46, 1700), (Outcome::Failed, Held::Fails(Limit::Latency)));
    // Many of one second resemble each other; but of a search there are more trials.
    let mut second = only(Kind::Deliver, 20_000, 2, 0);
    second.phases = vec![crate::schedule::Phase::steady("steady", Duration::from_secs(1), 1300.0)];
    assert_eq!(judge(&second).outcome, Outcome::Unsure);
    second.profile = TRIAL.into();
    assert_eq!(judge(&second).outcome, Outcome::Passed);
}

#[test]
fn a_server_that_cannot_be_read_back_fails_whatever_the_books_say() {
    let verdict = after(|result| result.ledger.unreadable = 3);
    assert_eq!(
        (verdict.outcome, verdict.objective),
        (Outcome::Failed, Held::Fails(Limit::Ledger))
    );
    let verdict = after(|result| {
        result.ledger.unreadable = 3;
        result.cut_short = true;
    });
    assert_eq!(verdict.outcome, Outcome::Failed);
}

#[test]
fn connections_that_break_by_themselves_fail_a_run() {
    let verdict = |broke: u64| {
        after(|result| {
            let mut recorder = Recorder::default();
            for number in 0..40 + broke {
                recorder.record(&Sample {
                    kind: Kind::Connect,
                    due: Duration::ZERO,
                    took: Duration::from_millis(1),
                    error: (number < broke).then(|| crate::result::CONNECTION_LOST.into()),
                    measured: true,
                });
            }
            let row = recorder.row(Kind::Connect).unwrap();
            result.latencies.insert(Kind::Connect, row.into());
            assert_eq!(result.lost_connections(), broke);
        })
    };
    assert_eq!(verdict(0).outcome, Outcome::Passed);
    let verdict = verdict(7);
    assert_eq!(
        (verdict.outcome, verdict.objective),
        (Outcome::Failed, Held::Fails(Limit::Errors))
    );
    assert!(
        verdict.reasons[1].contains("7 CONNECTION_LOST"),
        "{:?}",
        verdict.reasons
    );
}
