//! How much a deployment bears: the highest rate that keeps what is asked of it, as an interval.
//!
//! [`search`] knows no server. It asks for trials at rates of its choice and is told how each went, so that it is tested with a
//! server whose capacity is known.

mod decide;
mod known;
mod search;

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
    /// One of goose's, given on the command line.
    Threshold,
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
    /// The quantile of the objective in milliseconds, when enough was delivered to tell.
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// The interval is as narrow as was asked, and its upper end fails by this.
    Found(Limit),
    /// Trials at the same rate disagree: it cannot be told more narrowly.
    Noise,
    /// What held this rate did not hold less than that afterwards.
    Drift(f64),
    /// The generator could not go higher, or not do what lies between the ends.
    Generator,
    /// Not even the lowest rate holds.
    Nothing(Limit),
    /// The time was used up.
    Time,
    /// The number of trials was used up.
    Trials,
    /// Somebody ended it.
    Interrupted,
    /// A trial could not be made.
    Broken,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// The highest rate that held when it was tried last; 0 when none did.
    pub lower: f64,
    /// The lowest rate above it that failed when it was tried last; none when none did.
    pub upper: Option<f64>,
    /// Whether trials afterwards, at both ends in turn, said the same.
    pub confirmed: bool,
    pub end: End,
    pub trials: Vec<Trial>,
}

impl Capacity {
    /// What it comes to: passed when it was found as narrowly as was asked, and confirmed. Reports and exit codes go by this alone.
    #[must_use]
    pub fn outcome(&self) -> crate::result::Outcome {
        use crate::result::Outcome;
        match self.end {
            End::Found(_) if self.confirmed => Outcome::Passed,
            End::Nothing(_) => Outcome::Failed,
            End::Generator | End::Interrupted => Outcome::Invalid,
            _ => Outcome::Unsure,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_and_every_trial_is_in_the_published_form() {
        let schema: serde_json::Value = serde_json::from_str(crate::result::SCHEMA).unwrap();
        let of_a_search = serde_json::json!({"$ref": "#/$defs/capacity", "$defs": schema["$defs"]});
        let validator = jsonschema::validator_for(&of_a_search).unwrap();
        let limits = [Limit::Latency, Limit::Errors, Limit::Ledger, Limit::Threshold];
        let mut ends = vec![
            End::Noise,
            End::Drift(5900.5),
            End::Generator,
            End::Time,
            End::Trials,
            End::Interrupted,
            End::Broken,
        ];
        ends.extend(limits.map(End::Found));
        ends.extend(limits.map(End::Nothing));
        for end in ends {
            let trial = |outcome| Trial {
                rate: 100.0,
                outcome,
                latency: None,
                errors: 0.0,
                achieved: 99.0,
                step: Step::Confirm,
            };
            let found = Capacity {
                lower: 100.0,
                upper: None,
                confirmed: false,
                end,
                trials: limits.map(Outcome::Fails).map(trial).into(),
            };
            let json = serde_json::to_value(&found).unwrap();
            let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{end:?}: {errors:?}");
            assert_eq!(serde_json::from_value::<Capacity>(json).unwrap(), found);
        }
    }
}
