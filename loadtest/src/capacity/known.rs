//! What is known of all rates together.

use super::decide::Decision;
use super::{End, Limit, Step};

/// What was decided and not contradicted by anything since: below all that is unsure it holds, above it fails.
#[derive(Default)]
pub(super) struct Known {
    decided: Vec<(f64, Decision)>,
    /// The highest rate of which more than one trial ever said that it holds.
    held: f64,
}

impl Known {
    /// Takes in what was decided, and drops what it contradicts: what was said last is true. Only a message that was lost stays lost.
    pub(super) fn keep(&mut self, rate: f64, step: Step, decision: Decision) {
        if decision == Decision::Holds && step != Step::Bracket {
            self.held = self.held.max(rate);
        }
        self.decided.retain(|(before, said)| match (said, decision) {
            (Decision::Fails(Limit::Ledger), _) => true,
            // Of the same rate only the last is kept.
            _ if *before == rate => false,
            (Decision::Holds, Decision::Fails(_) | Decision::Unsure) => *before < rate,
            (Decision::Fails(_), Decision::Holds | Decision::Unsure) => *before > rate,
            (Decision::Unsure, Decision::Holds) => *before > rate,
            (Decision::Unsure, Decision::Fails(_)) => *before < rate,
            _ => true,
        });
        self.decided.push((rate, decision));
    }

    /// The highest rate that holds: of those that are lower than any at which a message was lost.
    pub(super) fn lower(&self) -> Option<f64> {
        let lost = self.lost().map_or(f64::INFINITY, |(rate, _)| rate);
        let holds = self.decided.iter().filter(|(_, decision)| *decision == Decision::Holds);
        holds
            .map(|(rate, _)| *rate)
            .filter(|rate| *rate < lost)
            .reduce(f64::max)
    }

    /// The lowest rate that fails, and by what.
    pub(super) fn upper(&self) -> Option<(f64, Limit)> {
        self.failed(|_| true)
    }

    /// The lowest rate at which a message was lost.
    pub(super) fn lost(&self) -> Option<(f64, Limit)> {
        self.failed(|limit| limit == Limit::Ledger)
    }

    /// From the lowest to the highest rate that is neither.
    pub(super) fn unsure(&self) -> Option<(f64, f64)> {
        let unsure = self
            .decided
            .iter()
            .filter(|(_, decision)| *decision == Decision::Unsure);
        let rates = unsure.map(|(rate, _)| (*rate, *rate));
        rates.reduce(|(low, high), (rate, _)| (low.min(rate), high.max(rate)))
    }

    /// A rate that held although it is none below `upper`: what is there may bear less than it did. Messages are lost at any time.
    pub(super) fn held_beyond(&self, upper: f64) -> Option<f64> {
        let lost = self.lost().map_or(f64::INFINITY, |(rate, _)| rate);
        Some(self.held).filter(|held| (upper..lost).contains(held))
    }

    /// What is left of an interval that was confirmed, when nothing found since contradicts it: that it is narrower by a message that was
    /// lost does not.
    pub(super) fn left_of(&self, (lower, upper): (f64, f64)) -> Option<(f64, f64)> {
        let upper = self.lost().map_or(upper, |(rate, _)| rate.min(upper));
        let holds = self.lower().is_some_and(|holds| (lower..upper).contains(&holds));
        let fails = self.upper().is_some_and(|(fails, _)| fails >= upper);
        (holds && fails).then_some((lower, upper))
    }

    /// Why nothing holds.
    pub(super) fn nothing(&self) -> End {
        match (self.upper(), self.unsure()) {
            (Some((_, limit)), None) => End::Nothing(limit),
            _ => End::Noise,
        }
    }

    fn failed(&self, by: impl Fn(Limit) -> bool) -> Option<(f64, Limit)> {
        let failed = self.decided.iter().filter_map(|(rate, decision)| match decision {
            Decision::Fails(limit) if by(*limit) => Some((*rate, *limit)),
            _ => None,
        });
        failed.min_by(|(one, _), (other, _)| one.total_cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILS: Decision = Decision::Fails(Limit::Latency);

    fn known(decided: &[(f64, Decision)]) -> Known {
        let mut known = Known::default();
        for (rate, decision) in decided {
            known.keep(*rate, Step::Confirm, *decision);
        }
        known
    }

    #[test]
    fn what_was_said_last_is_true_and_what_it_contradicts_is_not() {
        let mut known = known(&[(100.0, Decision::Holds), (200.0, Decision::Holds), (400.0, FAILS)]);
        assert_eq!(
            (known.lower(), known.upper()),
            (Some(200.0), Some((400.0, Limit::Latency)))
        );
        known.keep(150.0, Step::Confirm, FAILS);
        assert_eq!(
            (known.lower(), known.upper()),
            (Some(100.0), Some((150.0, Limit::Latency)))
        );
        assert_eq!(known.held_beyond(150.0), Some(200.0));
        known.keep(90.0, Step::Confirm, Decision::Unsure);
        assert_eq!((known.lower(), known.unsure()), (None, Some((90.0, 90.0))));
        known.keep(170.0, Step::Confirm, Decision::Holds);
        assert_eq!((known.lower(), known.unsure()), (Some(170.0), None));
        assert_eq!(known.upper(), Some((400.0, Limit::Latency)));
        known.keep(170.0, Step::Confirm, FAILS);
        assert_eq!((known.lower(), known.upper()), (None, Some((170.0, Limit::Latency))));
        assert_eq!(known.nothing(), End::Nothing(Limit::Latency));
    }

    #[test]
    fn what_was_confirmed_is_left_until_it_is_contradicted() {
        let mut known = known(&[(100.0, Decision::Holds), (200.0, FAILS)]);
        let before = (100.0, 200.0);
        assert_eq!(known.left_of(before), Some(before));
        known.keep(150.0, Step::Narrow, Decision::Holds);
        assert_eq!(known.left_of(before), Some(before));
        known.keep(180.0, Step::Narrow, Decision::Fails(Limit::Ledger));
        assert_eq!(known.left_of(before), Some((100.0, 180.0)));
        known.keep(90.0, Step::Confirm, FAILS);
        assert_eq!(known.left_of(before), None);
    }

    #[test]
    fn a_message_that_was_lost_stays_lost() {
        let lost = Decision::Fails(Limit::Ledger);
        let known = known(&[(200.0, lost), (100.0, Decision::Holds), (300.0, Decision::Holds)]);
        assert_eq!(
            (known.lower(), known.upper()),
            (Some(100.0), Some((200.0, Limit::Ledger)))
        );
    }
}
