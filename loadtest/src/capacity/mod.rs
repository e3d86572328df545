//! How much a deployment bears: the highest rate that keeps what is asked of it, as an interval.
//!
//! [`search`] knows no server. It asks for trials at rates of its choice and is told how each went, so that it is tested with a
//! server whose capacity is known.

mod search;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{self, Interval};
use crate::latency::Row;

pub use self::search::{Plan, search};

/// What is asked of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Objective {
    /// Of the time from due to delivered: 0.99.
    pub quantile: f64,
    /// Below which this quantile must stay, in milliseconds.
    pub below_ms: f64,
    /// The share of messages that may fail.
    pub errors: f64,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            quantile: 0.99,
            below_ms: 100.0,
            errors: 0.001,
        }
    }
}

/// How sure an outcome is to be before it is one. Bursts last longer than the seconds that are drawn, which makes intervals a little
/// too narrow: so it is more than the 95 % that one would settle for.
const CONFIDENCE: f64 = 0.99;

/// What a trial failed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Limit {
    Latency,
    Errors,
    Ledger,
}

/// How a trial at some rate went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Holds,
    Fails(Limit),
    /// The interval of the figure has the limit within.
    Unsure,
    /// The generator was the bottleneck: it says nothing about the deployment.
    Invalid,
}

/// A trial, as the search sees it and as it is reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    pub rate: f64,
    pub outcome: Outcome,
    /// The quantile of the objective in milliseconds, when anything was delivered.
    pub latency: Option<Interval>,
    /// The share of messages that failed.
    pub errors: f64,
    /// Messages per second that were acknowledged.
    pub achieved: f64,
    /// What it was for.
    pub step: Step,
}

/// What a trial is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    Bracket,
    Narrow,
    Confirm,
}

/// Why the search came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// The interval is as narrow as was asked, and what is above it fails by this.
    Found(Limit),
    /// Trials at the same rate disagree: it cannot be told more narrowly.
    Noise,
    /// The generator could not go higher.
    Generator,
    /// Not even the lowest rate holds.
    Nothing(Limit),
    /// The time or the number of trials was used up.
    Time,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// The highest rate that held; 0 when none did.
    pub lower: f64,
    /// The lowest rate that failed; none when none did.
    pub upper: Option<f64>,
    /// Whether trials afterwards, at the lower end and above the upper one, said the same.
    pub confirmed: bool,
    pub end: End,
    pub trials: Vec<Trial>,
}

impl Objective {
    /// Judges what was delivered. `blocks` are the seconds of it that count.
    #[must_use]
    pub fn judge(
        &self,
        row: Option<&Row>,
        counted: impl Fn(u32) -> bool,
        errors: f64,
        clean: bool,
    ) -> (Outcome, Option<Interval>) {
        let latency = row.and_then(|row| {
            let seconds = row.seconds.iter().filter(|(second, _)| counted(**second));
            let micros = bootstrap::quantile(
                seconds.map(|(_, (histogram, _))| histogram),
                self.quantile,
                CONFIDENCE,
                1,
            )?;
            let millis = |micros: f64| micros / 1000.0;
            Some(Interval {
                low: millis(micros.low),
                estimate: millis(micros.estimate),
                high: millis(micros.high),
            })
        });
        let outcome = if !clean {
            Outcome::Fails(Limit::Ledger)
        } else if errors > self.errors {
            Outcome::Fails(Limit::Errors)
        } else {
            match latency {
                // Nothing arrived at all.
                None => Outcome::Fails(Limit::Latency),
                Some(interval) if interval.high < self.below_ms => Outcome::Holds,
                Some(interval) if interval.low >= self.below_ms => Outcome::Fails(Limit::Latency),
                Some(_) => Outcome::Unsure,
            }
        };
        (outcome, latency)
    }
}

impl Plan {
    /// How long the search may take at most, when each trial takes so long.
    #[must_use]
    pub fn takes_at_most(&self, trial: Duration) -> Duration {
        trial * u32::try_from(self.trials).unwrap_or(u32::MAX)
    }
}
