//! The trials of a search as a table: for whoever has no mouse, and with those that have no place in the picture.

use maud::{Markup, html};

use crate::capacity::{Capacity, Outcome, Step};
use crate::report::figures::{limit, millis, percent, thousands, three};

/// In the order in which they were made.
pub(super) fn table(found: &Capacity) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "offered" } th.left { "for" } th { "delivery" } th { "failed" } th { "acknowledged" } th.left { "outcome" } } }
            tbody {
                @for trial in &found.trials {
                    @let (_, outcome) = outcome(trial.outcome);
                    tr {
                        th { (thousands(trial.rate)) "/s" }
                        td.left { (step(trial.step)) }
                        td { @match trial.latency {
                            Some(latency) => { (millis(latency.estimate)) " (" (three(latency.low)) " to " (three(latency.high)) ")" },
                            None => "nothing delivered",
                        } }
                        td { (percent(trial.errors)) }
                        td { (thousands(trial.achieved)) "/s" }
                        td.left { (outcome) }
                    }
                }
            }
        } }
    }
}

/// The class that colours it, and the words.
pub(super) fn outcome(outcome: Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Holds => ("holds", "holds".into()),
        Outcome::Fails(by) => ("fails", format!("fails by {}", limit(by))),
        Outcome::Unsure => ("unsure", "unsure".into()),
        Outcome::Invalid => ("invalid", "invalid: the generator was the bottleneck".into()),
    }
}

fn step(step: Step) -> &'static str {
    match step {
        Step::Bracket => "bracket",
        Step::Narrow => "narrow",
        Step::Confirm => "confirm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::Interval;
    use crate::capacity::{End, Limit, Trial};

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
            "nothing delivered",
            "fails by",
            "321/s",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }
}
