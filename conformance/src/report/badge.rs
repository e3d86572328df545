//! For shields.io: what its endpoint badges read.

use serde_json::json;

use super::{Conclusion, Judged, State};

pub fn render(judged: &Judged) -> String {
    let failed = judged.count(State::Failed);
    let (message, color) = match judged.conclusion {
        Conclusion::Conformant => conformant(judged),
        Conclusion::NotConformant if failed > 0 => (format!("{failed} requirements failed"), "red"),
        Conclusion::NotConformant => ("not conformant".to_owned(), "red"),
        Conclusion::Undecided => ("undecided".to_owned(), "yellow"),
        Conclusion::NothingRun => ("not judged".to_owned(), "lightgrey"),
    };
    let badge = json!({"schemaVersion": 1, "label": "chat API", "message": message, "color": color});
    format!("{badge:#}\n")
}

/// What holds is not all that there is to say: what a claimed MUST does instead is accepted, and no reason for green.
fn conformant(judged: &Judged) -> (String, &'static str) {
    let mut message = format!("{} requirements hold", judged.count(State::Holds));
    let accepted = [
        (judged.count(State::Known), "known to fail"),
        (judged.count(State::Flaky), "flaky"),
    ];
    let open = (judged.claims_not_judged(), "not judged");
    for (count, what) in accepted.into_iter().chain([open]).filter(|(count, _)| *count > 0) {
        message += &format!(", {count} {what}");
    }
    let green = accepted.iter().all(|(count, _)| *count == 0);
    (message, if green { "brightgreen" } else { "yellow" })
}
