//! For shields.io: what its endpoint badges read.

use serde_json::json;

use super::{Conclusion, Judged, State};

pub fn render(judged: &Judged) -> String {
    let (holds, failed) = (judged.count(State::Holds), judged.count(State::Failed));
    let (message, color) = match judged.conclusion {
        Conclusion::Conformant => (format!("{holds} requirements hold"), "brightgreen"),
        Conclusion::NotConformant if failed > 0 => (format!("{failed} requirements failed"), "red"),
        Conclusion::NotConformant => ("not conformant".to_owned(), "red"),
        Conclusion::Undecided => ("undecided".to_owned(), "yellow"),
        Conclusion::NothingRun => ("not judged".to_owned(), "lightgrey"),
    };
    let badge = json!({"schemaVersion": 1, "label": "chat API", "message": message, "color": color});
    format!("{badge:#}\n")
}
