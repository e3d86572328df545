//! How sure a percentile is: by drawing the seconds of a run again and again.
//!
//! Latencies of the same moment resemble each other, so what is drawn are whole seconds and not single latencies: those would
//! make every figure look surer than it is.

use hdrhistogram::Histogram;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

/// A figure and between what it lies with the confidence asked for.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    pub low: f64,
    pub estimate: f64,
    pub high: f64,
}

impl Interval {
    /// Whether the two have no value in common.
    #[must_use]
    pub fn is_apart_from(&self, other: &Self) -> bool {
        self.high < other.low || other.high < self.low
    }
}

/// Blocks of which an interval can be drawn.
pub const BLOCKS: usize = 5;
/// Values that must lie beyond a quantile.
const BEYOND: f64 = 10.0;
/// Draws; enough for two digits of an interval.
const DRAWS: usize = 300;

/// The quantile of all blocks together, in the blocks' unit. None without any value.
#[must_use]
pub fn quantile<'a>(
    blocks: impl IntoIterator<Item = &'a Histogram<u32>>,
    quantile: f64,
    confidence: f64,
    seed: u64,
) -> Option<Interval> {
    let blocks: Vec<Recorded> = blocks
        .into_iter()
        .map(Recorded::of)
        .filter(|block| block.count > 0)
        .collect();
    let all: Vec<&Recorded> = blocks.iter().collect();
    let estimate = quantile_of(&all, quantile)?;
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut drawn: Vec<f64> = (0..DRAWS)
        .filter_map(|_| {
            let draw: Vec<&Recorded> = (0..blocks.len())
                .filter_map(|_| blocks.get(chance.random_range(0..blocks.len())))
                .collect();
            quantile_of(&draw, quantile)
        })
        .collect();
    drawn.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| {
        let index = (part * (drawn.len() - 1) as f64).round() as usize;
        drawn.get(index).copied().unwrap_or(estimate)
    };
    let beyond = (1.0 - confidence) / 2.0;
    Some(Interval {
        low: at(beyond).min(estimate),
        estimate,
        high: at(1.0 - beyond).max(estimate),
    })
}

/// Whether there is enough for an interval: few blocks that are drawn resemble each other more than others would, and one alone is
/// sure of everything. And of how many values a quantile is one of the slowest few is chance.
#[must_use]
pub fn tells<'a>(blocks: impl IntoIterator<Item = &'a Histogram<u32>>, quantile: f64, least_blocks: usize) -> bool {
    let counts = blocks.into_iter().map(Histogram::len).filter(|count| *count > 0);
    let (blocks, values) = counts.fold((0, 0), |(blocks, values), count| (blocks + 1, values + count));
    // Of a thousand values ten are beyond the 99th percentile, but for the last digit.
    blocks >= least_blocks && values as f64 * (1.0 - quantile) + 1e-6 >= BEYOND
}

/// How many values an interval of this quantile takes.
#[must_use]
pub fn values(quantile: f64) -> u64 {
    (BEYOND / (1.0 - quantile) - 1e-6).ceil() as u64
}

/// What [`quantile`] estimates, without the interval, which is what takes time.
#[must_use]
pub fn estimate<'a>(blocks: impl IntoIterator<Item = &'a Histogram<u32>>, quantile: f64) -> Option<f64> {
    let blocks: Vec<Recorded> = blocks.into_iter().map(Recorded::of).collect();
    quantile_of(&blocks.iter().collect::<Vec<_>>(), quantile)
}

/// The mean of a value for each block, weighed equally.
#[must_use]
pub fn mean(values: &[f64], confidence: f64, seed: u64) -> Option<Interval> {
    if values.is_empty() {
        return None;
    }
    let of = |sum: f64| sum / values.len() as f64;
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut drawn: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let draw = (0..values.len()).filter_map(|_| values.get(chance.random_range(0..values.len())));
            of(draw.sum())
        })
        .collect();
    drawn.sort_unstable_by(f64::total_cmp);
    let beyond = (1.0 - confidence) / 2.0;
    let at = |part: f64| drawn.get((part * (drawn.len() - 1) as f64).round() as usize).copied();
    let estimate = of(values.iter().sum());
    Some(Interval {
        low: at(beyond).unwrap_or(estimate).min(estimate),
        estimate,
        high: at(1.0 - beyond).unwrap_or(estimate).max(estimate),
    })
}

/// What a block holds, ascending: much shorter than its histogram.
struct Recorded {
    values: Vec<(u64, u64)>,
    count: u64,
}

impl Recorded {
    fn of(histogram: &Histogram<u32>) -> Self {
        let values = histogram
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), u64::from(step.count_at_value())))
            .collect();
        Self {
            values,
            count: histogram.len(),
        }
    }
}

fn quantile_of(blocks: &[&Recorded], quantile: f64) -> Option<f64> {
    let count: u64 = blocks.iter().map(|block| block.count).sum();
    let mut beyond = count - (quantile * count as f64).ceil().min(count as f64) as u64;
    // From the top: high quantiles are near it.
    let mut places: Vec<usize> = blocks.iter().map(|block| block.values.len()).collect();
    loop {
        let next = blocks
            .iter()
            .zip(&places)
            .filter_map(|(block, place)| block.values.get(place.checked_sub(1)?));
        let (value, _) = *next.max_by_key(|(value, _)| *value)?;
        for (block, place) in blocks.iter().zip(&mut places) {
            while let Some((at, times)) = place.checked_sub(1).and_then(|last| block.values.get(last)) {
                if *at != value {
                    break;
                }
                if *times > beyond {
                    return Some(value as f64);
                }
                beyond -= times;
                *place -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(values: impl IntoIterator<Item = u64>) -> Histogram<u32> {
        let mut histogram = Histogram::new(3).unwrap();
        values.into_iter().for_each(|value| histogram.record(value).unwrap());
        histogram
    }

    #[test]
    fn the_estimate_is_the_quantile_of_all_blocks() {
        let blocks = [block(1..=500), block([]), block(501..=1000)];
        for (wanted, value) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0), (0.001, 1.0)] {
            let found = quantile(&blocks, wanted, 0.9, 1).unwrap();
            assert!((found.estimate - value).abs() <= 1.0, "{wanted}: {found:?}");
            assert!(found.low <= found.estimate && found.estimate <= found.high);
            assert_eq!(estimate(&blocks, wanted), Some(found.estimate));
        }
        assert_eq!(quantile(&[block([])], 0.5, 0.9, 1), None);
    }

    #[test]
    fn seconds_alike_are_sure_and_one_bad_second_is_not() {
        let alike: Vec<_> = (0..20).map(|_| block(1..=1000)).collect();
        let sure = quantile(&alike, 0.99, 0.95, 1).unwrap();
        assert!(sure.high - sure.low < 1.0, "{sure:?}");
        let mut bad = alike;
        bad[7] = block((1..=1000).map(|value| value * 50));
        let unsure = quantile(&bad, 0.99, 0.95, 1).unwrap();
        assert!(unsure.low < 1000.0 && unsure.high > 30_000.0, "{unsure:?}");
        assert!(!sure.is_apart_from(&unsure));
    }

    #[test]
    fn the_interval_holds_the_truth_about_as_often_as_it_says() {
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(5);
        let truth = 100.0f64.ln() * 10_000.0;
        let held = (0..200).filter(|seed| {
            let blocks: Vec<_> = (0..20)
                .map(|_| block((0..200).map(|_| (-(1.0 - chance.random::<f64>()).ln() * 10_000.0) as u64)))
                .collect();
            let found = quantile(&blocks, 0.99, 0.9, *seed).unwrap();
            found.low <= truth && truth <= found.high
        });
        let held = held.count();
        assert!((165..=198).contains(&held), "{held} of 200 for 90 %");
    }

    #[test]
    fn few_blocks_and_few_values_tell_nothing() {
        let blocks = |blocks: usize, each: u64| -> Vec<_> { (0..blocks).map(|_| block(1..=each)).collect() };
        assert!(tells(&blocks(5, 200), 0.99, BLOCKS) && !tells(&blocks(5, 199), 0.99, BLOCKS));
        assert!(tells(&blocks(5, 4), 0.5, BLOCKS) && !tells(&blocks(5, 3), 0.5, BLOCKS));
        assert!(!tells(&blocks(4, 10_000), 0.5, BLOCKS) && tells(&blocks(1, 10_000), 0.5, 1));
        for quantile in [0.5, 0.9, 0.99, 0.999] {
            assert!(
                tells(&blocks(5, values(quantile).div_ceil(5)), quantile, BLOCKS),
                "{quantile}"
            );
            assert!(!tells(&blocks(1, values(quantile) - 1), quantile, 1), "{quantile}");
        }
        // Seconds in which nothing was due are none.
        let mut empty = blocks(4, 10_000);
        empty.extend(blocks(3, 0));
        assert!(!tells(&empty, 0.5, BLOCKS));
    }

    #[test]
    fn a_mean_lies_between_what_was_drawn() {
        let found = mean(&[1.0, 2.0, 3.0, 4.0], 0.95, 1).unwrap();
        assert!((found.estimate - 2.5).abs() < 1e-9 && found.low >= 1.0 && found.high <= 4.0);
        assert_eq!(mean(&[], 0.95, 1), None);
    }
}
