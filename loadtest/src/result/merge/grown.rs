//! What grew, of all parts together.

use super::RunResult;
use crate::drift::{self, Drift};
use crate::latency::Recorder;
use crate::profile::Profile;

/// Latency is judged anew, of all that was waited for. Of the server each part saw what it could: what one of them saw grow, grew.
pub(super) fn drift(parts: &[&RunResult], whole: &RunResult, recorder: &Recorder) -> Vec<Drift> {
    let is_asked = Profile::named(&whole.profile).is_some_and(Profile::judges_drift);
    if !is_asked && parts.iter().all(|part| part.drift.is_empty()) {
        return Vec::new();
    }
    let seconds = whole.lasts() as u32;
    let mut drifts = drift::judge(seconds, &whole.usage, whole.judged(recorder));
    let seen = parts.iter().flat_map(|part| drift::judge(seconds, &part.usage, None));
    for seen in seen.filter(|seen| seen.grew) {
        match drifts.iter_mut().find(|known| known.what == seen.what) {
            Some(known) if known.grew => {}
            Some(known) => *known = seen,
            None => drifts.push(seen),
        }
    }
    drifts
}
