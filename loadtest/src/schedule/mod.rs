//! When each message is due: decided before the run, whatever the server does.
//!
//! The schedule is open. A server that answers slowly is sent no less, and the time that a message had to wait for its turn is
//! part of its latency, which is counted from the moment it was due.

mod curve;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

pub use self::curve::{Curve, Phase};
pub use self::trace::{Dealt, Trace, TraceError};

/// How the moments lie within the rate that the curve asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// Each user by chance and for themselves, as people do.
    Poisson,
    /// Evenly: all users together keep the same distance from one message to the next.
    Constant,
}

/// One user's share of the load: `user` of `users`, both over all shards, so that a sharded run is due what a whole one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub user: usize,
    pub users: usize,
}

/// The moments at which something of one user is due, as time since the start, ascending.
#[derive(Debug)]
pub struct Arrivals {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Curve {
        curve: Arc<Curve>,
        pattern: Pattern,
        share: Share,
        chance: Xoshiro256PlusPlus,
        /// What this user has had of the load, in messages.
        had: f64,
    },
    Trace {
        dealt: Arc<Dealt>,
        user: usize,
        next: usize,
    },
}

impl Arrivals {
    /// By a curve. The same seed and share give the same moments.
    #[must_use]
    pub fn along(curve: Arc<Curve>, pattern: Pattern, share: Share, seed: u64) -> Self {
        let mut chance = chance(seed, share.user);
        let had = match pattern {
            Pattern::Poisson => exponential(&mut chance),
            // The users' turns lie evenly between two of one user.
            Pattern::Constant => (share.user as f64 + 0.5) / share.users.max(1) as f64,
        };
        Self {
            source: Source::Curve {
                curve,
                pattern,
                share,
                chance,
                had,
            },
        }
    }

    /// As they were recorded.
    #[must_use]
    pub fn traced(dealt: Arc<Dealt>, user: usize) -> Self {
        Self {
            source: Source::Trace { dealt, user, next: 0 },
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        match &mut self.source {
            Source::Curve {
                curve,
                pattern,
                share,
                chance,
                had,
            } => {
                let due = curve.reaches(*had * share.users as f64)?;
                *had += match pattern {
                    Pattern::Poisson => exponential(chance),
                    Pattern::Constant => 1.0,
                };
                Some(due)
            }
            Source::Trace { dealt, user, next } => {
                let due = dealt.moment(*user, *next)?;
                *next += 1;
                Some(due)
            }
        }
    }
}

/// A source of chance for one user, the same for the same seed on every machine.
#[must_use]
pub fn chance(seed: u64, user: usize) -> Xoshiro256PlusPlus {
    // `seed_from_u64` spreads neighbouring numbers over all of the state.
    Xoshiro256PlusPlus::seed_from_u64(seed ^ (user as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// With mean 1: the distance between two events that happen by chance, in units of the mean distance.
fn exponential(chance: &mut Xoshiro256PlusPlus) -> f64 {
    // `random` is below 1, so the logarithm is of something above 0.
    -(1.0 - chance.random::<f64>()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(rate: f64, seconds: u64) -> Arc<Curve> {
        Arc::new(Curve::new(vec![Phase::steady(
            "steady",
            Duration::from_secs(seconds),
            rate,
        )]))
    }

    fn all(curve: &Arc<Curve>, pattern: Pattern, users: usize, seed: u64) -> Vec<Duration> {
        let mut all: Vec<Duration> = (0..users)
            .flat_map(|user| Arrivals::along(curve.clone(), pattern, Share { user, users }, seed))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn constant_keeps_the_same_distance_over_all_users() {
        let all = all(&steady(100.0, 10), Pattern::Constant, 7, 1);
        assert_eq!(all.len(), 1000);
        for pair in all.windows(2) {
            let distance = (pair[1] - pair[0]).as_secs_f64();
            assert!((distance - 0.01).abs() < 1e-6, "{distance}");
        }
    }

    #[test]
    fn poisson_has_the_rate_and_the_spread_of_chance() {
        let all = all(&steady(1000.0, 60), Pattern::Poisson, 50, 42);
        let count = all.len() as f64;
        // Six standard deviations of a Poisson count.
        assert!((count - 60_000.0).abs() < 6.0 * 60_000f64.sqrt(), "{count}");
        let distances: Vec<f64> = all.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        let variance = distances.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / distances.len() as f64;
        let spread = variance.sqrt() / mean;
        assert!((spread - 1.0).abs() < 0.05, "an exponential has 1: {spread}");
        // The share beyond twice the mean is e^-2.
        let beyond = distances.iter().filter(|&&d| d > 2.0 * mean).count() as f64 / distances.len() as f64;
        assert!((beyond - 0.1353).abs() < 0.01, "{beyond}");
    }

    #[test]
    fn the_same_seed_is_the_same_run_and_another_is_not() {
        let curve = steady(50.0, 20);
        let of = |seed| all(&curve, Pattern::Poisson, 5, seed);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        let user = |user| {
            let share = Share { user, users: 5 };
            Arrivals::along(curve.clone(), Pattern::Poisson, share, 7).collect::<Vec<_>>()
        };
        assert_ne!(user(0), user(1), "users do not move in step");
    }

    #[test]
    fn a_ramp_is_followed() {
        let seconds = Duration::from_secs(10);
        let ramp = Phase {
            to: 200.0,
            ..Phase::steady("ramp", seconds, 0.0)
        };
        let curve = Arc::new(Curve::new(vec![ramp, Phase::steady("top", seconds, 200.0)]));
        let all = all(&curve, Pattern::Constant, 3, 1);
        let before = |second: f64| all.iter().filter(|due| due.as_secs_f64() < second).count();
        // The area below the line: 200/10 · t²/2.
        for (second, wanted) in [(5.0, 250), (10.0, 1000), (15.0, 2000), (20.0, 3000)] {
            assert!(before(second).abs_diff(wanted) <= 1, "{second}: {}", before(second));
        }
    }

    #[test]
    fn a_trace_is_dealt_to_its_users_and_in_order() {
        let trace = "0.5,0\n0.1,1\n0.2\n0.9,3\n# a remark\n".parse::<Trace>().unwrap();
        let dealt = Arc::new(trace.deal(2));
        let of = |user| Arrivals::traced(dealt.clone(), user).collect::<Vec<_>>();
        let millis = |all: &[u64]| all.iter().copied().map(Duration::from_millis).collect::<Vec<_>>();
        // The line without a user is the third, so it is the third user's turn, who is the first of two.
        assert_eq!(of(0), millis(&[200, 500]));
        assert_eq!(of(1), millis(&[100, 900]));
        assert_eq!((of(2), dealt.lasts()), (Vec::new(), trace.lasts()));
    }
}
