//! Collects samples. Who measures keeps some back and hands them over many at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::errors::AdditionError;

use super::Kind;

/// One thing that was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub kind: Kind,
    /// When it was due, since the start of the run.
    pub due: Duration,
    pub took: Duration,
    /// The code of the error when it failed; its time is then none of an answer and counts among the errors alone.
    pub error: Option<Box<str>>,
    /// Whether it counts for the totals; all count for the series.
    pub measured: bool,
}

/// What is known of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Microseconds, to three digits.
    pub total: Histogram<u64>,
    /// Of what is measured, by code.
    pub errors: BTreeMap<Box<str>, u64>,
    /// By the second in which it was due.
    pub seconds: Seconds,
}

/// Seconds of the run, with their histograms to two digits and the number of errors.
pub type Seconds = BTreeMap<u32, (Histogram<u32>, u64)>;

/// Samples by kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorder {
    /// In the order of [`Kind::ALL`].
    rows: [Option<Row>; Kind::ALL.len()],
}

/// Latencies of two parts do not make one histogram.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the latencies of {kind} cannot be added: {why}")]
pub struct NotAdded {
    pub kind: &'static str,
    pub why: String,
}

/// More codes than a server has: a server that makes them up does not fill our memory.
const MOST_CODES: usize = 64;

impl Default for Row {
    fn default() -> Self {
        Self {
            total: digits(3),
            errors: BTreeMap::new(),
            seconds: Seconds::new(),
        }
    }
}

impl Recorder {
    pub fn record(&mut self, sample: &Sample) {
        let row = self.row_of(sample.kind);
        let second = u32::try_from(sample.due.as_secs()).unwrap_or(u32::MAX);
        let (histogram, failed) = row.seconds.entry(second).or_insert_with(|| (digits(2), 0));
        if let Some(code) = &sample.error {
            *failed += 1;
            if sample.measured {
                count(&mut row.errors, code, 1);
            }
            return;
        }
        let micros = u64::try_from(sample.took.as_micros()).unwrap_or(u64::MAX);
        // Both grow as they need to: nothing is cut off.
        let _ = histogram.record(micros);
        if sample.measured {
            let _ = row.total.record(micros);
        }
    }

    /// Adds what another part of the run recorded.
    ///
    /// # Errors
    ///
    /// When a histogram cannot take what is in another. What was added before is then in it.
    pub fn add(&mut self, other: &Self) -> Result<(), NotAdded> {
        for (kind, theirs) in other.rows() {
            self.row_of(kind).add(theirs).map_err(|why| NotAdded {
                kind: kind.name(),
                why: why.to_string(),
            })?;
        }
        Ok(())
    }

    #[must_use]
    pub fn row(&self, kind: Kind) -> Option<&Row> {
        self.rows.get(kind as usize)?.as_ref()
    }

    pub fn rows(&self) -> impl Iterator<Item = (Kind, &Row)> {
        let all = Kind::ALL.into_iter().zip(&self.rows);
        all.filter_map(|(kind, row)| Some((kind, row.as_ref()?)))
    }

    /// All of them, which are then there once.
    pub fn into_rows(self) -> impl Iterator<Item = (Kind, Row)> {
        let all = Kind::ALL.into_iter().zip(self.rows);
        all.filter_map(|(kind, row)| Some((kind, row?)))
    }

    #[expect(clippy::indexing_slicing, reason = "there is one for each kind")]
    fn row_of(&mut self, kind: Kind) -> &mut Row {
        self.rows[kind as usize].get_or_insert_default()
    }
}

impl FromIterator<(Kind, Row)> for Recorder {
    fn from_iter<I: IntoIterator<Item = (Kind, Row)>>(rows: I) -> Self {
        let mut recorder = Self::default();
        rows.into_iter().for_each(|(kind, row)| *recorder.row_of(kind) = row);
        recorder
    }
}

impl Row {
    fn add(&mut self, other: &Self) -> Result<(), AdditionError> {
        self.total.add(&other.total)?;
        for (code, times) in &other.errors {
            count(&mut self.errors, code, *times);
        }
        for (second, (histogram, failed)) in &other.seconds {
            let (sum, sum_failed) = self.seconds.entry(*second).or_insert_with(|| (digits(2), 0));
            sum.add(histogram)?;
            *sum_failed += failed;
        }
        Ok(())
    }

    /// Measured ones that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

fn count(errors: &mut BTreeMap<Box<str>, u64>, code: &str, times: u64) {
    let known = errors.len() < MOST_CODES || errors.contains_key(code);
    let code = if known { code } else { "OTHER" };
    *errors.entry(code.into()).or_default() += times;
}

/// An empty histogram of so many digits that grows as it needs to.
fn digits<C: hdrhistogram::Counter>(digits: u8) -> Histogram<C> {
    #[expect(clippy::expect_used, reason = "up to five digits can be had")]
    Histogram::new(digits).expect("a histogram")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Summary;

    fn sample(due: u64, took: u64) -> Sample {
        Sample {
            kind: Kind::Deliver,
            due: Duration::from_millis(due),
            took: Duration::from_millis(took),
            error: None,
            measured: true,
        }
    }

    #[test]
    fn what_is_due_in_a_freeze_counts_with_all_it_waited() {
        let mut recorder = Recorder::default();
        // One message a millisecond for ten seconds; the server stands still from 4.0 s to 4.8 s.
        for due in 0..10_000u64 {
            let took = if (4000..4800).contains(&due) { 4800 - due } else { 1 };
            recorder.record(&sample(due, took));
        }
        let row = recorder.row(Kind::Deliver).unwrap();
        let all = Summary::of(&row.total);
        assert_eq!(all.count, 10_000);
        assert!((all.p50 - 1.0).abs() < 0.01 && (all.max - 800.0).abs() < 1.0, "{all:?}");
        // 800 of 10,000 waited; the 99th percentile is 100 from the longest.
        assert!((all.p99 - 700.0).abs() < 700.0 * 0.01, "{all:?}");
        let in_second = |second: u32| Summary::of(&row.seconds[&second].0);
        assert!((in_second(4).p50 - 300.0).abs() < 10.0, "{:?}", in_second(4));
        assert!(in_second(5).max < 1.1);
    }

    #[test]
    fn errors_count_beside_and_only_measured_ones_in_all() {
        let mut recorder = Recorder::default();
        let failed = |code: &str, measured| Sample {
            error: Some(code.into()),
            measured,
            ..sample(0, 5)
        };
        recorder.record(&failed("SERVICE_UNAVAILABLE", true));
        recorder.record(&failed("SERVICE_UNAVAILABLE", false));
        recorder.record(&Sample {
            measured: false,
            ..sample(0, 5)
        });
        (0..500).for_each(|number| recorder.record(&failed(&format!("MADE_UP_{number}"), true)));
        let row = recorder.row(Kind::Deliver).unwrap();
        assert_eq!((row.total.len(), row.failed()), (0, 501));
        assert_eq!(row.errors["SERVICE_UNAVAILABLE"], 1);
        assert_eq!(row.errors.len(), MOST_CODES + 1);
        assert_eq!((row.seconds[&0].0.len(), row.seconds[&0].1), (1, 502));
    }

    #[test]
    fn every_kind_has_its_own_place() {
        let mut recorder = Recorder::default();
        for (kind, took) in Kind::ALL.into_iter().zip(1..) {
            recorder.record(&Sample {
                kind,
                ..sample(0, took)
            });
        }
        let rows: Vec<(Kind, u64)> = recorder
            .rows()
            .map(|(kind, row)| (kind, row.total.max() / 1000))
            .collect();
        assert_eq!(rows, Kind::ALL.into_iter().zip(1..).collect::<Vec<_>>());
        assert!(Kind::ALL.iter().all(|kind| recorder.row(*kind).is_some()));
        assert_eq!(recorder.clone().into_rows().collect::<Recorder>(), recorder);
        assert_eq!(Recorder::default().rows().count(), 0);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let samples: Vec<Sample> = (0..3000)
            .map(|number| sample(number * 7 % 5000, number * number % 977))
            .collect();
        let mut whole = Recorder::default();
        samples.iter().for_each(|sample| whole.record(sample));
        let mut sum = Recorder::default();
        for part in samples.chunks(700) {
            let mut recorder = Recorder::default();
            part.iter().for_each(|sample| recorder.record(sample));
            sum.add(&recorder).unwrap();
        }
        assert_eq!(sum, whole);
    }
}
