//! Latencies of one kind, as the result has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::latency::{Encoded, Row, Seconds, Summary};

/// Of one kind: the figures, and the histograms that they are from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measured {
    pub summary: Summary,
    /// Of what is measured, in microseconds: an HdrHistogram.
    pub histogram: Encoded<u64>,
    /// What failed of what is measured, by code.
    pub errors: BTreeMap<Box<str>, u64>,
    /// By the second in which it was due; seconds that do not count are in there too.
    pub seconds: BTreeMap<u32, MeasuredSecond>,
}

/// One second of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeasuredSecond {
    pub histogram: Encoded<u32>,
    pub errors: u64,
}

impl From<Row> for Measured {
    fn from(row: Row) -> Self {
        let seconds = row.seconds.into_iter().map(|(second, (histogram, errors))| {
            let measured = MeasuredSecond {
                histogram: Encoded(histogram),
                errors,
            };
            (second, measured)
        });
        Self {
            summary: Summary::of(&row.total),
            errors: row.errors,
            seconds: seconds.collect(),
            histogram: Encoded(row.total),
        }
    }
}

impl From<&Row> for Measured {
    fn from(row: &Row) -> Self {
        row.clone().into()
    }
}

impl Measured {
    pub(super) fn row(&self) -> Row {
        let seconds: Seconds = self
            .seconds
            .iter()
            .map(|(second, measured)| (*second, (measured.histogram.0.clone(), measured.errors)))
            .collect();
        Row {
            total: self.histogram.0.clone(),
            errors: self.errors.clone(),
            seconds,
        }
    }

    /// Measured ones that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}
