//! What is passed on to goose, looked at before anything is started.

use goose::GooseError;
use goose::config::GooseConfiguration;
use goose::threshold::Threshold;
use serde_json::{Map, Value};

/// What goose cannot be given: why not, and what does it instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error("goose does not take {0}")]
    Refused(String),
    #[error("--{option} is not goose's to be told here: {instead}")]
    Ours { option: String, instead: &'static str },
}

/// Options that would undo what a run is, as goose names them, and what to do instead.
const OURS: [(&str, &str); 28] = [
    ("host", "--url before the -- names what is loaded"),
    ("users", "--users before the -- says how many act"),
    ("increase-rate", CONNECTS),
    ("increase-time", CONNECTS),
    ("decrease-rate", CONNECTS),
    ("decrease-time", CONNECTS),
    ("run-time", "--for before the -- says how long it lasts"),
    ("iterations", "--rate and --for before the -- say how much is done"),
    ("test-plan", "--profile, --rate and --for before the -- are the plan"),
    ("scenarios", "--scenario before the -- chooses"),
    ("throttle-requests", "--rate before the -- says how much is done"),
    ("quiet", "--quiet before the -- shows less"),
    ("version", NO_RUN),
    ("list", NO_RUN),
    ("scenarios-list", NO_RUN),
    ("render-report", NO_RUN),
    ("pdf-print-html", NO_RUN),
    (
        "no-autostart",
        "a run starts when everybody is connected, or at --start-at",
    ),
    ("no-metrics", "thresholds and its page are made of them"),
    ("no-reset-metrics", SET),
    ("no-scenario-metrics", SET),
    ("no-transaction-metrics", SET),
    ("no-print-metrics", SET),
    ("no-telnet", SET),
    ("websocket", "nobody but its dashboard looks on"),
    (
        "no-threshold-abort",
        "thresholds are judged at the end, so that a run is whole",
    ),
    (
        "threshold-abort-delay",
        "thresholds are judged at the end, so that a run is whole",
    ),
    (
        "co-mitigation",
        "latency counts from when something was due, so there is nothing to mitigate",
    ),
];
const CONNECTS: &str = "--connects-per-second before the -- says how quickly devices come";
const NO_RUN: &str = "it makes no run";
const SET: &str = "it is set";

/// Whether goose takes these, and may be given them.
pub(crate) fn check_options(options: &[String]) -> Result<(), OptionsError> {
    let given = GooseConfiguration::parse_args_default(options).map_err(|error| refused(&error))?;
    for rule in &given.threshold {
        rule.parse::<Threshold>().map_err(|error| refused(&error))?;
    }
    let usual = fields(&GooseConfiguration::default());
    let given = fields(&given);
    for (option, instead) in OURS {
        let field = option.replace('-', "_");
        if given.get(&field) != usual.get(&field) {
            let option = option.to_owned();
            return Err(OptionsError::Ours { option, instead });
        }
    }
    Ok(())
}

/// The thresholds that are asked for.
pub(crate) fn thresholds(options: &[String]) -> Vec<String> {
    GooseConfiguration::parse_args_default(options).map_or_else(|_| Vec::new(), |given| given.threshold)
}

/// As goose says it; its own words leave out the details.
pub(super) fn said(error: &GooseError) -> String {
    match error {
        GooseError::InvalidOption { option, value, detail } => {
            let named = [option, value]
                .into_iter()
                .filter(|text| !text.is_empty() && !detail.contains(text.as_str()));
            let named: Vec<&str> = named.map(String::as_str).collect();
            match named.is_empty() {
                true => detail.clone(),
                false => format!("{}: {detail}", named.join(" ")),
            }
        }
        other => other.to_string(),
    }
}

fn refused(error: &GooseError) -> OptionsError {
    OptionsError::Refused(said(error))
}

fn fields(configuration: &GooseConfiguration) -> Map<String, Value> {
    match serde_json::to_value(configuration) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(options: &[&str]) -> Result<(), OptionsError> {
        let options: Vec<String> = options.iter().map(|&option| option.into()).collect();
        check_options(&options)
    }

    #[test]
    fn what_is_ours_is_named_with_what_does_it_here() {
        let values = [
            ("host", "http://127.0.0.1:1"),
            ("increase-rate", "5"),
            ("increase-time", "5s"),
            ("decrease-rate", "5"),
            ("decrease-time", "5s"),
            ("run-time", "5s"),
            ("test-plan", "1,5s"),
            ("scenarios", "dm"),
            ("render-report", "here"),
            ("pdf-print-html", "here"),
            ("threshold-abort-delay", "5s"),
            ("co-mitigation", "average"),
            ("users", "5"),
            ("iterations", "5"),
            ("throttle-requests", "5"),
        ];
        for (option, _) in OURS {
            let word = format!("--{option}");
            let value = values.iter().find(|(of, _)| *of == option).map(|(_, value)| *value);
            let words: Vec<&str> = std::iter::once(word.as_str()).chain(value).collect();
            let found = checked(&words);
            // A feature that goose was built without is refused by goose.
            assert!(
                matches!(&found, Err(OptionsError::Ours { option: named, .. }) if named == option)
                    || matches!(&found, Err(OptionsError::Refused(_))) && option.starts_with("pdf"),
                "{option}: {found:?}"
            );
        }
        assert!(matches!(checked(&["-u5"]), Err(OptionsError::Ours { .. })));
    }

    #[test]
    fn what_goose_does_not_take_is_refused_in_its_words() {
        for bad in [&["--bogus"][..], &["--threshold", "garbage"], &["--threshold"]] {
            assert!(matches!(checked(bad), Err(OptionsError::Refused(_))), "{bad:?}");
        }
        assert!(checked(&["--bogus"]).unwrap_err().to_string().contains("--bogus"));
        assert!(
            checked(&["--threshold", "garbage"])
                .unwrap_err()
                .to_string()
                .contains("garbage")
        );
        for good in [
            &[][..],
            &[
                "--threshold",
                "p99<50ms for SIO deliver",
                "--threshold",
                "error-rate<1%",
            ],
            &["--dashboard", "--dashboard-port", "5200"],
            &["--report-file", "other.html", "-v"],
        ] {
            assert_eq!(checked(good), Ok(()), "{good:?}");
        }
    }
}
