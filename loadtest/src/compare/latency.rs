//! A quantile of a side: of one run as sure as its seconds make it, of several no surer than they agree.

use hdrhistogram::Histogram;

use super::scatter::between;
use super::{Judgement, Line, Possible, Run, judged};
use crate::bootstrap::{self, Interval};
use crate::latency::Kind;

/// Two intervals of 95 % that do not meet are apart with more than 99 %.
const CONFIDENCE: f64 = 0.95;

/// None when one side has nothing of this kind.
pub(super) fn line(base: &[Run], new: &[Run], kind: Kind, quantile: f64, tolerance: f64) -> Option<Line> {
    let (of_base, of_new) = (of_side(base, kind, quantile)?, of_side(new, kind, quantile)?);
    let what = format!("{} p{:.0} in ms", kind.name(), quantile * 100.0);
    let line = judged(what, of_base, of_new, tolerance, false);
    if tells(base, kind, quantile) && tells(new, kind, quantile) {
        return Some(line);
    }
    Some(Line {
        judgement: Judgement::TooFew,
        at_most: Possible::default(),
        ..line
    })
}

/// Of one run its seconds must tell; several tell more of themselves than seconds do.
fn tells(runs: &[Run], kind: Kind, quantile: f64) -> bool {
    let all = runs.iter().flat_map(|run| seconds(run, kind));
    let least = if runs.len() == 1 { bootstrap::BLOCKS } else { 1 };
    bootstrap::tells(all, quantile, least)
}

fn of_side(runs: &[Run], kind: Kind, quantile: f64) -> Option<Interval> {
    let all = runs.iter().flat_map(|run| seconds(run, kind));
    let within = bootstrap::quantile(all, quantile, CONFIDENCE, 1)?;
    let micros = match runs {
        [_] => within,
        _ => {
            let own = runs.iter().map(|run| bootstrap::estimate(seconds(run, kind), quantile));
            between(&own.flatten().collect::<Vec<_>>(), within)
        }
    };
    Some(Interval {
        low: micros.low / 1000.0,
        estimate: micros.estimate / 1000.0,
        high: micros.high / 1000.0,
    })
}

/// Those that count.
fn seconds(run: &Run, kind: Kind) -> impl Iterator<Item = &Histogram<u32>> {
    let result = &run.result;
    let all = result.latencies.get(&kind).into_iter().flat_map(|row| &row.seconds);
    let counted = all.filter(|(second, _)| result.measures(**second));
    counted.map(|(_, second)| &second.histogram.0)
}
