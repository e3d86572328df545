//! What fails no run and is no latency of its own: events that came late or were only found in the history, connections that broke.
//! A server that tells of what it should, but only whoever asks, has become worse.

use super::Run;
use crate::result::RunResult;

/// So many of how many.
#[derive(Debug, Clone, Copy)]
struct Count {
    times: f64,
    of: f64,
}

/// Of the normal distribution, for the 99 % that other verdicts are given with.
const Z: f64 = 2.576;
/// What comes in groups, as all that one device missed, scatters more than by chance: it must also be so many times as often.
const TIMES: f64 = 1.5;

/// What clearly happened more often, of all runs of a side together.
pub(super) fn increases(base: &[Run], new: &[Run]) -> Vec<String> {
    type Of = fn(&RunResult) -> u64;
    let owed: Of = |result| result.ledger.owed;
    let signs: [(Of, Of, &str); 3] = [
        (
            |result| result.ledger.caught_up,
            owed,
            "deliveries were only found in the history",
        ),
        (|result| result.ledger.late, owed, "deliveries came late"),
        (
            |result| result.generator.disconnects,
            |result| result.generator.connected,
            "devices lost their connection, each time counted",
        ),
    ];
    let allowed = new.first().map_or(0.0, |run| run.result.objective.errors);
    let said = signs.into_iter().filter_map(|(times, of, what)| {
        let sum = |runs: &[Run], of: Of| runs.iter().map(|run| of(&run.result)).sum::<u64>() as f64;
        let [before, now] = [base, new].map(|runs| Count {
            times: sum(runs, times),
            of: sum(runs, of),
        });
        now.is_clearly_more_than(before, allowed).then(|| {
            format!(
                "{} of {} {what}, {} of {} before",
                now.times, now.of, before.times, before.of
            )
        })
    });
    said.collect()
}

impl Count {
    /// By more than chance, and by more than the share that may fail.
    fn is_clearly_more_than(self, before: Self, allowed: f64) -> bool {
        let longer = self.of / before.of.max(1.0);
        let expected = before.times * longer;
        let more = self.times - expected;
        let chance = (self.times + expected * longer).sqrt();
        more > Z * chance && more > allowed * self.of && self.times > TIMES * expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_by_chance_is_not_clearly_more() {
        let more = |now: (f64, f64), before: (f64, f64)| {
            let count = |(times, of)| Count { times, of };
            count(now).is_clearly_more_than(count(before), 0.001)
        };
        assert!(more((2000.0, 4000.0), (0.0, 4000.0)) && more((500.0, 40.0), (0.0, 40.0)));
        assert!(more((300.0, 4000.0), (100.0, 4000.0)));
        // As often in twice as many.
        assert!(!more((200.0, 8000.0), (100.0, 4000.0)));
        assert!(!more((1.0, 40.0), (0.0, 40.0)) && !more((0.0, 0.0), (0.0, 0.0)));
        assert!(!more((4.0, 4000.0), (0.0, 4000.0)), "as much as may");
        assert!(!more((30.0, 4000.0), (18.0, 4000.0)), "chance");
        assert!(!more((1400.0, 4000.0), (1000.0, 4000.0)), "groups");
        assert!(!more((0.0, 4000.0), (1000.0, 4000.0)), "less");
    }
}
