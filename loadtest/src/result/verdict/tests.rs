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
    for away in [overrun as fn(&mut RunResult), |result| result.cut_short = true] {
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
