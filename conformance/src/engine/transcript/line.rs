//! An entry as a line of text, for terminals and logs.

use serde_json::Value;

use super::{Entry, Secrets, Side, What};

/// Longer lines are cut.
const LONGEST: usize = 1500;

/// The entry without secrets.
pub(super) fn line(entry: &Entry, secrets: &Secrets) -> String {
    let who = &entry.party.label;
    let shown = |arguments: &[Value]| {
        let texts: Vec<String> = arguments.iter().map(|value| secrets.value(value).to_string()).collect();
        texts.join(", ")
    };
    let text = match &entry.what {
        What::Request(sent) => {
            let body = sent.body.as_deref().map(|body| secrets.body(body)).unwrap_or_default();
            format!("{who} → {} {} {body}", sent.method, secrets.text(&sent.path))
        }
        What::Response(received) => format!("{who} ← {} {}", received.status, secrets.body(received.text.as_bytes())),
        What::Lost { why, .. } => format!("{who} ← no answer: {}", secrets.text(why)),
        What::Opened { transport } => format!("{who} → opened {transport}"),
        What::Closed { by: Side::Client, why } => format!("{who} → closed: {why}"),
        What::Closed { by: Side::Server, why } => format!("{who} ← closed: {why}"),
        What::Connect { auth } => format!("{who} → CONNECT {}", shown(auth.as_slice())),
        What::Connected(value) => format!("{who} ← CONNECTED {}", secrets.value(value)),
        What::Refused(value) => format!("{who} ← CONNECT_ERROR {}", secrets.value(value)),
        What::Emitted {
            event, arguments, ack, ..
        } => format!("{who} → {event}{} {}", numbered(*ack), shown(arguments)),
        What::Event { event, arguments, ack } => format!("{who} ← {event}{} {}", numbered(*ack), shown(arguments)),
        What::Ack { id, event, arguments } => {
            let event = event.as_deref().unwrap_or("nothing that was sent");
            format!("{who} ← ack {id} of {event} {}", shown(arguments))
        }
        What::Packet { from, text } => {
            let arrow = if *from == Side::Client { '→' } else { '←' };
            format!("{who} {arrow} {}", secrets.text(text))
        }
        What::Failed {
            requirement,
            expected,
            got,
        } => format!(
            "✗ {}: expected {}, got {}",
            requirement.id,
            secrets.text(expected),
            secrets.text(got)
        ),
        What::Note(text) => secrets.text(text),
    };
    format!("{:>5} ms  {}", entry.at.as_millis(), cut(text.trim_end(), LONGEST))
}

fn numbered(ack: Option<u64>) -> String {
    ack.map(|id| format!(" (ack {id})")).unwrap_or_default()
}

/// At most so many characters, and a word when there were more.
pub(crate) fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{} … (cut)", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = cut(&"ä".repeat(5000), LONGEST);
        assert!(text.chars().count() < 1600 && text.ends_with("(cut)"));
        assert_eq!(cut("short", LONGEST), "short");
    }
}
