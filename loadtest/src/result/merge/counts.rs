//! How many latencies there are, told without the histograms' own addition: what was added is held against it.

use std::collections::BTreeMap;

use super::MergeError;
use crate::latency::{Kind, Recorder};

/// Of each kind: of all that is measured, and of each second, with what failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<(Kind, Option<u32>), u64>);

impl Counts {
    pub(super) fn of(recorder: &Recorder) -> Self {
        let mut counts = BTreeMap::new();
        for (kind, row) in recorder.rows() {
            counts.insert((kind, None), row.total.len() + row.failed());
            for (second, (histogram, failed)) in &row.seconds {
                counts.insert((kind, Some(*second)), histogram.len() + failed);
            }
        }
        Self(counts)
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (of, more) in &other.0 {
            *self.0.entry(*of).or_default() += more;
        }
    }

    /// # Errors
    ///
    /// When there is more or less of something than was counted.
    pub(super) fn are_of(&self, whole: &Recorder) -> Result<(), MergeError> {
        let made = Self::of(whole);
        let of = |counts: &Self, which: &(Kind, Option<u32>)| counts.0.get(which).copied().unwrap_or(0);
        let mut all = self.0.keys().chain(made.0.keys());
        match all.find(|which| of(self, which) != of(&made, which)) {
            None => Ok(()),
            Some(which) => Err(MergeError::Uncounted {
                kind: which.0.name(),
                parts: of(self, which),
                whole: of(&made, which),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::latency::Sample;

    #[test]
    fn what_a_whole_leaves_out_is_noticed() {
        let recorded = |count: u64, failed: u64| {
            let mut recorder = Recorder::default();
            for number in 0..count + failed {
                recorder.record(&Sample {
                    kind: Kind::Ack,
                    due: Duration::from_secs(number % 3),
                    took: Duration::from_millis(1),
                    error: (number >= count).then(|| "NETWORK".into()),
                    measured: true,
                });
            }
            recorder
        };
        let mut counted = Counts::of(&recorded(6, 0));
        counted.add(&Counts::of(&recorded(3, 3)));
        let uncounted = |whole| MergeError::Uncounted {
            kind: "ack",
            parts: 12,
            whole,
        };
        assert_eq!(counted.are_of(&recorded(9, 3)), Ok(()));
        assert_eq!(counted.are_of(&recorded(6, 0)), Err(uncounted(6)));
        assert_eq!(counted.are_of(&recorded(15, 0)), Err(uncounted(15)));
        assert_eq!(Counts::default().are_of(&Recorder::default()), Ok(()));
    }
}
