//! How the rate goes over time.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::schedule::{Curve, Phase};

/// The shapes of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Ten seconds: does it work at all?
    Smoke,
    /// From nothing up to the rate.
    Ramp,
    /// The rate for a minute.
    Steady,
    /// Five times the rate for ten seconds, and what comes after.
    Spike,
    /// The rate for half an hour; memory and latency must not drift.
    Soak,
    /// Double and double again, up to sixteen times the rate: where and how does it break?
    Stress,
}

impl Profile {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Ramp => "ramp",
            Self::Steady => "steady",
            Self::Spike => "spike",
            Self::Soak => "soak",
            Self::Stress => "stress",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|one| one.name() == name)
    }

    /// How long it lasts when nothing is said.
    #[must_use]
    pub fn lasts(self) -> Duration {
        Duration::from_secs(match self {
            Self::Smoke => 10,
            Self::Ramp | Self::Steady => 60,
            Self::Spike => 60,
            Self::Soak => 1800,
            Self::Stress => 100,
        })
    }

    /// Whether latency decides, or the ledger alone: what is overloaded on purpose is slow.
    #[must_use]
    pub fn judges_latency(self) -> bool {
        !matches!(self, Self::Spike | Self::Stress)
    }

    /// Whether memory and latency must stay.
    #[must_use]
    pub fn judges_drift(self) -> bool {
        self == Self::Soak
    }

    /// The curve of it, for so many messages per second, over this time.
    #[must_use]
    pub fn curve(self, rate: f64, lasts: Duration) -> Curve {
        let part = |part: f64| lasts.mul_f64(part);
        let warm_up = |of: f64| Phase {
            from: rate / 4.0,
            measured: false,
            ..Phase::steady("warm-up", part(of), rate)
        };
        let steady = |name: &str, of: f64, times: f64| Phase::steady(name, part(of), rate * times);
        Curve::new(match self {
            Self::Smoke => vec![warm_up(0.2), steady("smoke", 0.8, 1.0)],
            Self::Ramp => vec![Phase {
                from: rate / 100.0,
                ..Phase::steady("ramp", lasts, rate)
            }],
            Self::Steady => vec![warm_up(0.1), steady("steady", 0.9, 1.0)],
            Self::Spike => vec![
                warm_up(0.1),
                steady("before", 0.25, 1.0),
                steady("spike", 10.0 / 60.0, 5.0),
                steady("after", 1.0 - 0.35 - 10.0 / 60.0, 1.0),
            ],
            Self::Soak => vec![warm_up(0.02), steady("soak", 0.98, 1.0)],
            Self::Stress => (0..5)
                .map(|step| steady(&format!("{}×", 1 << step), 0.2, f64::from(1 << step)))
                .collect(),
        })
    }
}

/// What results of a search have for a profile.
pub const TRIAL: &str = "capacity";

/// A trial of the search for the capacity: the first fifth warms up.
#[must_use]
pub fn trial(rate: f64, lasts: Duration) -> Curve {
    Curve::new(vec![
        Phase {
            from: rate / 4.0,
            measured: false,
            ..Phase::steady("warm-up", lasts.mul_f64(0.2), rate)
        },
        Phase::steady("trial", lasts.mul_f64(0.8), rate),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_lasts_as_long_as_it_says() {
        for profile in Profile::value_variants() {
            let lasts = profile.lasts();
            let curve = profile.curve(100.0, lasts);
            let off = curve.lasts().as_secs_f64() - lasts.as_secs_f64();
            assert!(off.abs() < 1e-6, "{profile:?}");
            let last = lasts - Duration::from_millis(1);
            assert!(curve.measures(last) && curve.rate(last) > 0.0, "{profile:?}");
        }
    }
}
