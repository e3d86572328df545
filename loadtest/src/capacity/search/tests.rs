use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

use super::*;
use crate::capacity::Objective;
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
        let found = search(&plan, async |rate, step| Some(server.trial(rate, step))).await;
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

fn trial(rate: f64, step: Step, outcome: Outcome) -> Option<Trial> {
    Some(Trial {
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
        assert_eq!(confirmed.len(), 4, "two at the lower end, two above the upper one");
        assert!(
            confirmed
                .iter()
                .all(|rate| (*rate - found.lower).abs() < 1e-9 || *rate > upper)
        );
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
    assert_eq!((found.lower, found.upper, found.end), (800.0, None, End::Generator));
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
            None
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
}
