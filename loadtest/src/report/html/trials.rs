//! The trials of a search as a table: for whoever has no mouse, and with those that have no place in the picture.

use maud::{Markup, html};

use crate::capacity::Capacity;
use crate::report::figures::{delivery, percent, step, thousands, trial_outcome};

/// In the order in which they were made.
pub(super) fn table(found: &Capacity) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "offered" } th.left { "for" } th { "delivery" } th { "failed" } th { "acknowledged" } th.left { "outcome" } } }
            tbody {
                @for trial in &found.trials {
                    tr {
                        th { (thousands(trial.rate)) "/s" }
                        td.left { (step(trial.step)) }
                        td { (delivery(trial)) }
                        td { (percent(trial.errors)) }
                        td { (thousands(trial.achieved)) "/s" }
                        td.left { (trial_outcome(trial.outcome)) }
                    }
                }
            }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::Interval;
    use crate::capacity::{End, Limit, Outcome, Step, Trial};

    #[test]
    fn every_trial_is_a_row_even_one_that_delivered_nothing() {
        let trial = |rate, outcome, latency| Trial {
            rate,
            outcome,
            latency,
            errors: 0.25,
            achieved: 321.0,
            step: Step::Bracket,
        };
        let interval = Interval {
            low: 10.0,
            estimate: 11.0,
            high: 12.0,
        };
        let found = Capacity {
            lower: 1000.0,
            upper: Some(2000.0),
            confirmed: false,
            end: End::Noise,
            trials: vec![
                trial(1000.0, Outcome::Holds, Some(interval)),
                trial(2000.0, Outcome::Fails(Limit::Errors), None),
            ],
        };
        let text = table(&found).into_string();
        assert_eq!(text.matches("<tr>").count(), 3, "{text}");
        for told in [
            "1,000/s",
            "11.0 ms (10.0 to 12.0)",
            "2,000/s",
            "too few delivered to tell",
            "fails by",
            "321/s",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }
}
