//! How many messages per second all users together are due, over time.

use std::time::Duration;

/// A stretch of time in which the rate stays or changes evenly.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    pub name: String,
    #[serde(with = "seconds")]
    pub lasts: Duration,
    /// Messages per second at its begin and at its end.
    pub from: f64,
    pub to: f64,
    /// Whether what is due in it counts for the verdict: not while things warm up.
    pub measured: bool,
}

impl Phase {
    /// The same rate all the time, and measured.
    #[must_use]
    pub fn steady(name: &str, lasts: Duration, rate: f64) -> Self {
        Self {
            name: name.into(),
            lasts,
            from: rate,
            to: rate,
            measured: true,
        }
    }

    /// Messages that are due in all of it.
    fn load(&self) -> f64 {
        (self.from + self.to) / 2.0 * self.lasts.as_secs_f64()
    }
}

/// Phases, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    phases: Vec<Phase>,
}

impl Curve {
    #[must_use]
    pub fn new(phases: Vec<Phase>) -> Self {
        Self { phases }
    }

    #[must_use]
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.phases.iter().map(|phase| phase.lasts).sum()
    }

    /// Messages that are due from begin to end.
    #[must_use]
    pub fn load(&self) -> f64 {
        self.phases.iter().map(Phase::load).sum()
    }

    /// Whether what is due at this time counts.
    #[must_use]
    pub fn measures(&self, at: Duration) -> bool {
        let mut began = Duration::ZERO;
        for phase in &self.phases {
            began += phase.lasts;
            if at < began {
                return phase.measured;
            }
        }
        false
    }

    /// Messages per second at this time.
    #[must_use]
    pub fn rate(&self, at: Duration) -> f64 {
        let mut began = Duration::ZERO;
        for phase in &self.phases {
            if at < began + phase.lasts {
                let part = (at - began).as_secs_f64() / phase.lasts.as_secs_f64();
                return phase.from + (phase.to - phase.from) * part;
            }
            began += phase.lasts;
        }
        0.0
    }

    /// When so many messages have become due; never when there are not so many in all.
    #[must_use]
    pub fn reaches(&self, messages: f64) -> Option<Duration> {
        let mut left = messages;
        let mut began = Duration::ZERO;
        for phase in &self.phases {
            let load = phase.load();
            if left < load {
                let slope = (phase.to - phase.from) / phase.lasts.as_secs_f64();
                // The root of from·x + slope/2·x² = left, in the form that does not divide by a slope of 0.
                let root = (phase.from * phase.from + 2.0 * slope * left).max(0.0).sqrt();
                let seconds = 2.0 * left / (phase.from + root);
                // 0/0 when nothing is asked for at a rate that begins at 0: that is its begin.
                let seconds = if seconds.is_finite() { seconds } else { 0.0 };
                return Some(began + Duration::from_secs_f64(seconds.min(phase.lasts.as_secs_f64())));
            }
            left -= load;
            began += phase.lasts;
        }
        None
    }
}

/// Durations as seconds in JSON.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_is_what_is_due_by_then() {
        let seconds = Duration::from_secs;
        let curve = Curve::new(vec![
            Phase {
                to: 10.0,
                measured: false,
                ..Phase::steady("up", seconds(2), 0.0)
            },
            Phase::steady("top", seconds(3), 10.0),
            Phase::steady("pause", seconds(1), 0.0),
            Phase {
                to: 0.0,
                ..Phase::steady("down", seconds(2), 10.0)
            },
        ]);
        assert!((curve.load() - 50.0).abs() < 1e-9);
        assert_eq!(curve.lasts(), seconds(8));
        assert_eq!(curve.reaches(0.0), Some(Duration::ZERO));
        let at = |messages: f64| curve.reaches(messages).unwrap().as_secs_f64();
        assert!((at(10.0) - 2.0).abs() < 1e-9);
        assert!((at(25.0) - 3.5).abs() < 1e-9);
        // Nothing is due in the pause: message 40 comes at its end.
        assert!((at(40.0) - 6.0).abs() < 1e-9, "{}", at(40.0));
        assert!((at(47.5) - 7.0).abs() < 1e-9, "{}", at(47.5));
        assert_eq!(curve.reaches(50.1), None);
        assert!((curve.rate(seconds(1)) - 5.0).abs() < 1e-9);
        assert!(!curve.measures(seconds(1)) && curve.measures(seconds(4)) && !curve.measures(seconds(9)));
    }
}
