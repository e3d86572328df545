//! How much of one kind failed, and how surely: few logins among many messages would vanish in the share of all.

use super::{Measured, RunResult, noun};
use crate::bootstrap::Interval;
use crate::latency::{Kind, Recorder, Row, Seconds};

/// The code, among those of connections, of one that broke and that the run did not break itself.
pub const CONNECTION_LOST: &str = "CONNECTION_LOST";

/// Of things that either succeed or fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Failures {
    pub failed: u64,
    pub all: u64,
}

/// Of the normal distribution, for the 99 % that other verdicts are given with.
const Z: f64 = 2.576;
/// So many failures alone, however few things there were, are an accident.
const ACCIDENT: u64 = 1;

impl Failures {
    #[must_use]
    pub fn share(&self) -> f64 {
        self.failed as f64 / self.all.max(1) as f64
    }

    /// Where the share of many more would lie: Wilson's interval, which holds for few of them too.
    #[must_use]
    pub fn interval(&self) -> Interval {
        let (count, share) = (self.all.max(1) as f64, self.share());
        let squared = Z * Z / count;
        let middle = share + squared / 2.0;
        let beside = Z * (share * (1.0 - share) / count + squared / count / 4.0).sqrt();
        let within = |value: f64| (value / (1.0 + squared)).clamp(0.0, 1.0);
        Interval {
            low: within(middle - beside),
            estimate: share,
            high: within(middle + beside),
        }
    }

    /// Whether surely more failed than may.
    #[must_use]
    pub fn exceed(&self, allowed: f64) -> bool {
        self.failed > ACCIDENT && self.interval().low > allowed
    }
}

impl From<&Measured> for Failures {
    fn from(measured: &Measured) -> Self {
        let failed = measured.failed();
        Self {
            failed,
            all: failed + measured.summary.count,
        }
    }
}

impl RunResult {
    /// Of everything that was measured. What one is told does not fail, it is missed; nor does the generator's own turn.
    #[must_use]
    pub fn failures(&self) -> Failures {
        self.failures_by_kind()
            .fold(Failures::default(), |all, (_, more)| Failures {
                failed: all.failed + more.failed,
                all: all.all + more.all,
            })
    }

    /// Connections that broke and that the run did not break itself, unless it let them.
    #[must_use]
    pub fn lost_connections(&self) -> u64 {
        let errors = self.latencies.get(&Kind::Connect).map(|measured| &measured.errors);
        errors
            .and_then(|errors| errors.get(CONNECTION_LOST))
            .copied()
            .unwrap_or(0)
    }

    /// What is waited for most, and whose latency is judged: deliveries, and where there are no messages what there is most of. None
    /// where nothing is waited for.
    #[must_use]
    pub fn main_kind(&self) -> Option<Kind> {
        if self.ledger.sent > 0 || self.latencies.contains_key(&Kind::Deliver) {
            return Some(Kind::Deliver);
        }
        let others = self
            .latencies
            .iter()
            .filter(|(kind, _)| !matches!(kind, Kind::Turn | Kind::Connect | Kind::CatchUp));
        let most = others.max_by_key(|(_, measured)| Failures::from(*measured).all);
        most.map(|(kind, _)| *kind)
    }

    /// What was measured of its [`Self::main_kind`], as it was recorded.
    #[must_use]
    pub(crate) fn main_row(&self) -> Option<(Kind, Row)> {
        let kind = self.main_kind()?;
        Some((kind, self.latencies.get(&kind)?.row()))
    }

    /// What its [`Self::main_kind`] is called, and how long that took, second by second.
    #[must_use]
    pub(crate) fn judged<'r>(&self, recorder: &'r Recorder) -> Option<(&'static str, &'r Seconds)> {
        let kind = self.main_kind()?;
        Some((noun(kind), &recorder.row(kind)?.seconds))
    }

    /// Whether anything was done that counts, or at least failed: to be connected is nothing yet.
    #[must_use]
    pub fn did_something(&self) -> bool {
        let mut done = self
            .latencies
            .iter()
            .filter(|(kind, _)| !matches!(kind, Kind::Turn | Kind::Connect));
        self.ledger.sent > 0 || done.any(|(_, measured)| Failures::from(measured).all > 0)
    }

    /// What failed most: kind, code and how often.
    #[must_use]
    pub fn errors(&self) -> Vec<(Kind, &str, u64)> {
        let errors = self
            .latencies
            .iter()
            .flat_map(|(kind, measured)| measured.errors.iter().map(|(code, count)| (*kind, &**code, *count)));
        let mut errors: Vec<_> = errors.collect();
        errors.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        errors
    }

    /// The same of each kind.
    pub fn failures_by_kind(&self) -> impl Iterator<Item = (Kind, Failures)> + '_ {
        self.latencies
            .iter()
            .filter(|(kind, _)| !matches!(kind, Kind::Turn | Kind::Deliver))
            .map(|(kind, measured)| (*kind, measured.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exceed(failed: u64, all: u64) -> bool {
        Failures { failed, all }.exceed(0.001)
    }

    #[test]
    fn a_kind_that_fails_wholly_exceeds_and_an_accident_does_not() {
        assert!(exceed(2, 2) && exceed(39, 40) && exceed(40, 40));
        assert!(!exceed(0, 0) && !exceed(0, 3) && !exceed(1, 1) && !exceed(1, 3));
        // 0.1 % may, and a little more may be chance.
        assert!(!exceed(12, 10_000) && exceed(20, 10_000));
    }

    #[test]
    fn an_interval_lies_around_its_share_and_within_all() {
        for (failed, all) in [(0, 0), (0, 5), (5, 5), (3, 1000)] {
            let interval = Failures { failed, all }.interval();
            assert!(0.0 <= interval.low && interval.high <= 1.0, "{interval:?}");
            assert!(
                interval.low <= interval.estimate + 1e-12 && interval.estimate <= interval.high + 1e-12,
                "{interval:?}"
            );
        }
        // As the formula gives it.
        let half = Failures { failed: 50, all: 100 }.interval();
        assert!(
            (half.low - 0.3755).abs() < 1e-3 && (half.high - 0.6245).abs() < 1e-3,
            "{half:?}"
        );
    }
}
