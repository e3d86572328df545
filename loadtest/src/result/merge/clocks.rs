//! The start that was agreed on is read from each generator's own clock: whether these agree, only a third one tells.

use super::{APART, MergeError, RunResult};
use crate::target::Ahead;

/// From the least to the most that the server's clock is ahead of theirs; none when one of them does not know.
///
/// # Errors
///
/// When two are further apart than they may, whatever within their intervals is true.
pub(super) fn of(parts: &[&RunResult]) -> Result<Option<Ahead>, MergeError> {
    let known: Vec<Ahead> = parts.iter().filter_map(|part| part.clock).collect();
    let slowest = known.iter().map(|clock| clock.low).fold(f64::NEG_INFINITY, f64::max);
    let fastest = known.iter().map(|clock| clock.high).fold(f64::INFINITY, f64::min);
    let apart = slowest - fastest;
    if apart > APART {
        return Err(MergeError::Clocks(apart));
    }
    Ok(match known.len() == parts.len() {
        true => known.into_iter().reduce(Ahead::or),
        false => None,
    })
}
