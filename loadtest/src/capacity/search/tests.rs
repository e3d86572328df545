mod rough;

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

use super::*;
use crate::capacity::{Objective, Outcome};
use crate::latency::{Kind, Recorder, Sample};
use crate::schedule::chance;

/// A server with one worker, whose work takes times by chance (M/M/1). How long what is sent to it takes in all is known
/// exactly: exponential with rate `serves - rate`. So is its capacity.
struct Server {
    serves: f64,
    /// Seconds of a trial, and of its begin that do not count.
    lasts: f64,
    warm_up: f64,
    chance: Xoshiro256PlusPlus,
}

const OBJECTIVE: Objective = Objective {
    quantile: 0.99,
    below_ms: 100.0,
    errors: 0.001,
};

impl Server {
    fn capacity(&self) -> f64 {
        self.serves - 100f64.ln() / (OBJECTIVE.below_ms / 1000.0)
    }

    fn trial(&mut self, rate: f64, step: Step) -> Trial {
        let mut recorder = Recorder::default();
        let (mut now, mut free) = (0.0f64, 0.0f64);
        loop {
            now += self.exponential() / rate;
            if now > self.lasts {
                break;
            }
            free = free.max(now) + self.exponential() / self.serves;
            recorder.record(&Sample {
                kind: Kind::Deliver,
                due: Duration::from_secs_f64(now),
                took: Duration::from_secs_f64(free - now),
                error: None,
                measured: true,
            });
        }
        let counted = |second| f64::from(second) >= self.warm_up;
        let (outcome, latency) = OBJECTIVE.judge(recorder.row(Kind::Deliver), counted, 0.0, true);
        Trial {
            rate,
            outcome,
            latency,
            errors: 0.0,
            achieved: rate,
            step,
        }
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.chance.random::<f64>()).ln()
    }
}

// Twenty of twenty searches, in four tests that run side by side.

#[tokio::test]
async fn the_interval_holds_the_known_capacity_of_slow_servers() {
    known_capacities_are_held(0..5).await;
}

#[tokio::test]
async fn the_interval_holds_the_known_capacity_of_medium_servers() {
    known_capacities_are_held(5..10).await;
}

#[tokio::test]
async fn the_interval_holds_the_known_capacity_of_quick_servers() {
    known_capacities_are_held(10..15).await;
}

#[tokio::test]
async fn the_interval_holds_the_known_capacity_of_the_quickest_servers() {
    known_capacities_are_held(15..20).await;
}

async fn known_capacities_are_held(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let serves = 200.0 + 30.0 * seed as f64;
        let mut server = Server {
            serves,
            lasts: 30.0,
            warm_up: 5.0,
            chance: chance(seed, 0),
        };
        let plan = Plan {
            trials: 200,
            start: 50.0 + 20.0 * seed as f64,
            ..Plan::default()
        };
        let found = search(&plan, async |rate, step| Ok(server.trial(rate, step))).await;
        let truth = server.capacity();
        let upper = found.upper.unwrap();
        assert!(
            found.lower <= truth && truth <= upper,
            "{seed}: {truth:.0} is not in {:.0} to {upper:.0}",
            found.lower
        );
        // Of some hundred messages per second, the 99th percentile of half a minute is a rough figure: that is said, not hidden.
        let allowed = if found.end == End::Noise {
            0.3
        } else {
            plan.width + 1e-9
        };
        assert!(
            upper - found.lower <= allowed * upper,
            "{seed}: {:.0} to {upper:.0} is wide, after {} trials",
            found.lower,
            found.trials.len()
        );
        assert!(
            matches!(found.end, End::Found(Limit::Latency) | End::Noise),
            "{seed}: {:?}",
            found.end
        );
    }
}

fn trial(rate: f64, step: Step, outcome: Outcome) -> Result<Trial, End> {
    Ok(Trial {
        rate,
        outcome,
        latency: None,
        errors: 0.0,
        achieved: rate,
        step,
    })
}

#[tokio::test]
async fn a_sharp_limit_is_found_to_the_width_and_confirmed() {
    for capacity in [3.0, 77.0, 100.0, 12_345.0] {
        let plan = Plan {
            width: 0.02,
            ..Plan::default()
        };
        let outcome = |rate| {
            if rate <= capacity {
                Outcome::Holds
            } else {
                Outcome::Fails(Limit::Errors)
            }
        };
        let found = search(&plan, async |rate, step| trial(rate, step, outcome(rate))).await;
        let upper = found.upper.unwrap();
        assert!(found.lower <= capacity && capacity < upper && upper - found.lower <= 0.02 * upper);
        assert!(found.confirmed);
        assert_eq!(found.end, End::Found(Limit::Errors));
        let confirmed: Vec<f64> = found
            .trials
            .iter()
            .filter(|trial| trial.step == Step::Confirm)
            .map(|trial| trial.rate)
            .collect();
        let at = |end: f64| confirmed.iter().filter(|rate| **rate == end).count();
        assert_eq!(
            (at(found.lower), at(upper)),
            (6, 2),
            "all of them hold; two that fail are enough"
        );
        assert_eq!(confirmed.len(), 8);
    }
}

#[tokio::test]
async fn rates_that_cannot_be_told_apart_are_said() {
    let outcome = |rate: f64| match rate {
        _ if rate < 800.0 => Outcome::Holds,
        _ if rate < 1200.0 => Outcome::Unsure,
        _ => Outcome::Fails(Limit::Latency),
    };
    let plan = Plan {
        trials: 200,
        ..Plan::default()
    };
    let found = search(&plan, async |rate, step| trial(rate, step, outcome(rate))).await;
    assert_eq!(found.end, End::Noise);
    assert!(found.confirmed);
    let upper = found.upper.unwrap();
    assert!(
        (700.0..=800.0).contains(&found.lower) && (1200.0..=1350.0).contains(&upper),
        "{} {upper}",
        found.lower
    );
}

#[tokio::test]
async fn a_generator_at_its_end_says_nothing_of_the_server() {
    let outcome = |rate: f64| {
        if rate < 1000.0 {
            Outcome::Holds
        } else {
            Outcome::Invalid
        }
    };
    let found = search(&Plan::default(), async |rate, step| trial(rate, step, outcome(rate))).await;
    assert_eq!((found.upper, found.end, found.confirmed), (None, End::Generator, false));
    // 800 holds, 1,600 cannot be done: what lies between is looked for.
    assert!((900.0..1000.0).contains(&found.lower), "{}", found.lower);
    assert!(found.trials.len() < 20, "but not for long");
}

#[tokio::test]
async fn a_server_that_bears_nothing_and_a_search_without_time_end() {
    let found = search(&Plan::default(), async |rate, step| {
        trial(rate, step, Outcome::Fails(Limit::Ledger))
    })
    .await;
    assert_eq!((found.lower, found.end), (0.0, End::Nothing(Limit::Ledger)));
    let (mut left, plan) = (5, Plan::default());
    let found = search(&plan, async |rate, step| {
        left -= 1;
        if left < 0 {
            Err(End::Time)
        } else {
            trial(rate, step, Outcome::Holds)
        }
    });
    let found = found.await;
    assert_eq!((found.lower, found.end, found.confirmed), (1600.0, End::Time, false));
}

#[tokio::test]
async fn what_held_by_luck_is_taken_back() {
    // Holds at 1,000 for as long as it is narrowed down, and never again.
    let (mut narrowed, plan) = (false, Plan::default());
    let found = search(&plan, async |rate, step| {
        narrowed |= step == Step::Confirm;
        let capacity = if narrowed { 900.0 } else { 1000.0 };
        trial(
            rate,
            step,
            if rate <= capacity {
                Outcome::Holds
            } else {
                Outcome::Fails(Limit::Latency)
            },
        )
    });
    let found = found.await;
    assert!(found.lower <= 900.0 && found.upper.unwrap() >= 900.0, "{found:?}");
    assert!(found.confirmed);
    assert!(
        matches!(found.end, End::Drift(held) if (900.0..=1000.0).contains(&held)),
        "{:?}",
        found.end
    );
}

/// Holds up to so much, and fails beyond.
fn sharp(capacity: f64, rate: f64) -> Outcome {
    if rate <= capacity {
        Outcome::Holds
    } else {
        Outcome::Fails(Limit::Errors)
    }
}

#[tokio::test]
async fn when_the_time_runs_out_what_is_known_is_confirmed() {
    let plan = Plan::default();
    // Four doublings and a half; then nothing but what was kept back.
    for (left, end) in [(6, End::Time), (6, End::Broken)] {
        let mut made = 0;
        let found = search(&plan, async |rate, step| {
            made += 1;
            match step {
                Step::Bracket | Step::Narrow if made > left => Err(end),
                _ => trial(rate, step, sharp(1234.0, rate)),
            }
        });
        let found = found.await;
        assert_eq!((found.confirmed, found.end), (end == End::Time, end));
        let upper = found.upper.unwrap();
        assert!(found.lower <= 1234.0 && upper > 1234.0 && upper - found.lower > plan.width * upper);
        let confirms = found.trials.iter().filter(|trial| trial.step == Step::Confirm);
        assert_eq!(confirms.count(), if end == End::Time { 8 } else { 0 });
    }
}

#[tokio::test]
async fn when_the_trials_are_used_up_those_to_confirm_are_left() {
    let plan = Plan {
        trials: 24,
        width: 0.001,
        ..Plan::default()
    };
    let found = search(&plan, async |rate, step| trial(rate, step, sharp(1234.0, rate))).await;
    assert!(found.confirmed && found.trials.len() <= 24);
    assert_eq!(found.end, End::Trials);
    assert!(found.lower <= 1234.0 && found.upper.unwrap() > 1234.0);
}

#[tokio::test]
async fn below_the_end_of_the_generator_is_looked_for_the_end_of_the_server() {
    let outcome = |rate: f64| {
        if rate >= 1500.0 {
            Outcome::Invalid
        } else {
            sharp(1100.0, rate)
        }
    };
    let found = search(&Plan::default(), async |rate, step| trial(rate, step, outcome(rate))).await;
    assert!(found.confirmed && found.lower <= 1100.0 && found.upper.unwrap() > 1100.0);
    assert_eq!(found.end, End::Found(Limit::Errors));
    // Where the generator falls behind only in between, it is not the server's trials that disagree.
    let outcome = |rate: f64| match rate {
        _ if (1000.0..1100.0).contains(&rate) => Outcome::Invalid,
        _ => sharp(1050.0, rate),
    };
    let found = search(&Plan::default(), async |rate, step| trial(rate, step, outcome(rate))).await;
    assert_eq!((found.confirmed, found.end), (true, End::Generator));
    assert!(found.lower <= 1000.0 && found.upper.unwrap() >= 1100.0);
}

#[tokio::test]
async fn the_upper_end_is_confirmed_where_the_generator_comes() {
    let plan = Plan {
        start: 1084.0 / 8.0,
        ..Plan::default()
    };
    // It fails at 1,084, and to be sure is asked at 1,117 first.
    let outcome = |rate: f64| match rate {
        _ if rate > 1100.0 => Outcome::Invalid,
        _ => sharp(1050.0, rate),
    };
    let mut tried = 0.0f64;
    let found = search(&plan, async |rate, step| {
        tried = tried.max(rate);
        trial(rate, step, outcome(rate))
    });
    let found = found.await;
    assert!(tried > 1100.0, "{tried}");
    assert_eq!((found.confirmed, found.end), (true, End::Found(Limit::Errors)));
    assert!(found.lower <= 1050.0 && (1084.0..1085.0).contains(&found.upper.unwrap()));
    let confirming = found.trials.iter().filter(|trial| trial.step == Step::Confirm);
    assert!(confirming.filter(|trial| trial.rate == found.upper.unwrap()).count() > 0);
}

#[tokio::test]
async fn what_gets_faster_is_searched_for_higher_up() {
    // 1,000 at first, as of a server that is not warm yet.
    let plan = Plan {
        trials: 120,
        ..Plan::default()
    };
    let mut confirmed = false;
    let found = search(&plan, async |rate, step| {
        confirmed |= step == Step::Confirm;
        trial(rate, step, sharp(if confirmed { 1500.0 } else { 1000.0 }, rate))
    });
    let found = found.await;
    let upper = found.upper.unwrap();
    assert!(found.lower <= 1500.0 && upper > 1500.0 && upper - found.lower <= 0.1 * upper + 1e-6);
    assert_eq!((found.confirmed, found.end), (true, End::Found(Limit::Errors)));
}
