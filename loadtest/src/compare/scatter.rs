//! How much runs differ from one another.

use crate::bootstrap::Interval;

/// Student's t for a confidence of 95 %, by the degrees of freedom from 1 on. Beyond, the last is hardly too much.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// What a histogram of microseconds calls nothing has no logarithm and may be so much.
const LEAST: f64 = 1.0;

/// Of several runs with these figures of their own. They differ by a factor rather than by an amount, hence logarithms. Few may agree
/// by chance: it is never narrower than `within`, which what they are made of says. Of one figure alone nobody knows how much others
/// differ.
pub(super) fn between(own: &[f64], within: Interval) -> Interval {
    let logarithms: Vec<f64> = own.iter().map(|figure| figure.max(LEAST).ln()).collect();
    let count = logarithms.len() as f64;
    let mean = logarithms.iter().sum::<f64>() / count;
    let squares: f64 = logarithms.iter().map(|value| (value - mean).powi(2)).sum();
    let beside = match own.len().checked_sub(2) {
        Some(place) => {
            let [.., last] = STUDENT;
            STUDENT.get(place).unwrap_or(&last) * (squares / (count - 1.0) / count).sqrt()
        }
        None => f64::INFINITY,
    };
    Interval {
        low: (mean - beside).exp().min(within.low),
        estimate: mean.exp(),
        high: (mean + beside).exp().max(within.high),
    }
}
