use rand::RngExt as _;

use super::*;
use crate::bootstrap::Interval;
use crate::schedule::chance;

/// A trial with such a latency, known to 10 % or so.
fn took(millis: f64) -> Trial {
    let limit = Plan::default().below_ms;
    let latency = Interval {
        low: millis * 0.9,
        estimate: millis,
        high: millis * 1.1,
    };
    let outcome = match () {
        () if latency.high < limit => Outcome::Holds,
        () if latency.low >= limit => Outcome::Fails(Limit::Latency),
        () => Outcome::Unsure,
    };
    Trial {
        latency: Some(latency),
        ..came_to(outcome)
    }
}

fn came_to(outcome: Outcome) -> Trial {
    Trial {
        rate: 1.0,
        outcome,
        latency: None,
        errors: 0.0,
        achieved: 1.0,
        step: Step::Confirm,
    }
}

/// What was said after each.
fn said(step: Step, trials: &[Trial]) -> Vec<Result<Option<Decision>, End>> {
    let plan = Plan::default();
    let mut weighing = Weighing::new(&plan, step, Scatter::default());
    trials.iter().map(|trial| weighing.add(trial)).collect()
}

#[test]
fn a_message_that_was_lost_is_not_outweighed() {
    for step in [Step::Bracket, Step::Narrow, Step::Confirm] {
        let lost = came_to(Outcome::Fails(Limit::Ledger));
        let trials = [took(60.0), took(61.0), lost.clone(), took(60.0)];
        assert_eq!(said(step, &trials)[2], Ok(Some(Decision::Fails(Limit::Ledger))));
        assert_eq!(said(step, &[lost]), [Ok(Some(Decision::Fails(Limit::Ledger)))]);
    }
}

#[test]
fn six_that_are_all_too_slow_are_no_accident_however_slow_one_of_them_was() {
    let mut trials: Vec<Trial> = [158.0, 136.0, 893.0, 134.0, 348.0, 125.0].map(took).into();
    let said_of = said(Step::Confirm, &trials);
    assert_eq!(said_of[..5], [Ok(None), Ok(None), Ok(None), Ok(None), Ok(None)]);
    assert_eq!(said_of[5], Ok(Some(Decision::Fails(Limit::Latency))));
    trials[0] = took(90.0);
    assert!(!said(Step::Confirm, &trials).contains(&Ok(Some(Decision::Fails(Limit::Latency)))));
}

#[test]
fn an_invalid_trial_decides_nothing() {
    let invalid = || Trial {
        latency: took(900.0).latency,
        ..came_to(Outcome::Invalid)
    };
    let trials = [took(85.0), took(89.0), invalid(), took(86.0), invalid(), took(88.0)];
    let said_of = said(Step::Narrow, &trials);
    assert_eq!(said_of[..3], [Ok(None), Ok(None), Ok(None)]);
    assert_eq!(said_of[3], Ok(Some(Decision::Holds)), "by the three that are valid");
    let said_of = said(Step::Confirm, &trials);
    assert!(said_of.iter().all(|said| *said == Ok(None)), "{said_of:?}");
    assert_eq!(said(Step::Narrow, &[invalid(), invalid()])[1], Err(End::Generator));
}

#[test]
fn what_holds_is_confirmed_by_all_trials_and_what_fails_as_soon_as_that_is_sure() {
    let quick: Vec<Trial> = (0..6).map(|_| took(30.0)).collect();
    assert_eq!(said(Step::Narrow, &quick)[1], Ok(Some(Decision::Holds)));
    let said_of = said(Step::Confirm, &quick);
    assert!(said_of[..5].iter().all(|said| *said == Ok(None)));
    assert_eq!(said_of[5], Ok(Some(Decision::Holds)));
    let slow: Vec<Trial> = (0..6).map(|_| took(300.0)).collect();
    assert_eq!(said(Step::Confirm, &slow)[1], Ok(Some(Decision::Fails(Limit::Latency))));
    let refused = [
        Outcome::Holds,
        Outcome::Fails(Limit::Errors),
        Outcome::Fails(Limit::Errors),
    ];
    let mut trials: Vec<Trial> = refused.into_iter().map(came_to).collect();
    trials.extend([Outcome::Holds; 3].map(came_to));
    assert_eq!(
        said(Step::Confirm, &trials)[5],
        Ok(Some(Decision::Unsure)),
        "two of six failed"
    );
}

#[test]
fn trials_end_where_the_rest_would_be_spent_for_nothing() {
    let around = [70.0, 130.0, 98.0, 102.0].map(took);
    assert_eq!(said(Step::Narrow, &around)[2], Ok(Some(Decision::Unsure)));
}

/// Four trials of five take 62 ms, the fifth 300, which makes 110 on average.
#[test]
fn a_stall_now_and_then_is_not_confirmed_by_trials_that_missed_it() {
    let of = |stalls: bool| took(if stalls { 300.0 } else { 62.0 });
    for phase in 0..5 {
        let trials: Vec<Trial> = (phase..phase + 6).map(|number| of(number % 5 == 4)).collect();
        assert_ne!(said(Step::Confirm, &trials).last(), Some(&Ok(Some(Decision::Holds))));
    }
    let mut chance = chance(1, 0);
    let tries = 2000;
    let confirmed = (0..tries).filter(|_| {
        let trials: Vec<Trial> = (0..6).map(|_| of(chance.random_bool(0.2))).collect();
        said(Step::Confirm, &trials).contains(&Ok(Some(Decision::Holds)))
    });
    let share = confirmed.count() as f64 / f64::from(tries);
    // When it comes by chance, six trials miss it so often.
    let missed = 0.8f64.powi(6);
    assert!((share - missed).abs() < 0.03, "{share:.2} and not {missed:.2}");
}
