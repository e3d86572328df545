//! The transcripts as the page's script reads them: without secrets, and cut to what somebody would read.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::engine::transcript::{Entry, Record, Side, What};
use crate::engine::{CaseResult, Verdict};

/// Entries of a case that somebody will look at, and of any other.
const MOST: (usize, usize) = (500, 120);
/// Characters of a text in them.
const LONGEST: (usize, usize) = (3000, 500);

/// A JSON array with the exchanges of each case, safe inside of a page.
pub(super) fn embedded(cases: &[(&CaseResult, Verdict)]) -> String {
    let all: Vec<Value> = cases.iter().map(|(result, verdict)| case(result, *verdict)).collect();
    // Nothing in it can end the element that it is in.
    Value::from(all)
        .to_string()
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn case(result: &CaseResult, verdict: Verdict) -> Value {
    // The exchange of what failed, even when it passed afterwards.
    let source = match &result.first {
        Some(first) if verdict == Verdict::Flaky => first,
        _ => result,
    };
    let record = &source.transcript;
    let (most, longest) = if verdict.is_notable() {
        (MOST.0, LONGEST.0)
    } else {
        (MOST.1, LONGEST.1)
    };
    let last_failure = source
        .tally
        .failures
        .iter()
        .map(|failure| failure.seen + 1)
        .max()
        .unwrap_or(0);
    // What led to the last failure counts more than how the case began.
    let from = last_failure.saturating_sub(most);
    let mut servers = BTreeMap::new();
    let entries: Vec<Value> = (record.entries.iter().skip(from).take(most))
        .map(|entry| Shown { record, longest }.entry(entry, &mut servers))
        .collect();
    let mut names: Vec<(&str, usize)> = servers.into_iter().collect();
    names.sort_by_key(|(_, number)| *number);
    let names: Vec<&str> = names.into_iter().map(|(name, _)| name).collect();
    json!({
        "entries": entries, "servers": names, "before": from,
        "after": record.entries.len().saturating_sub(from + most) + record.dropped,
    })
}

struct Shown<'a> {
    record: &'a Record,
    longest: usize,
}

impl Shown<'_> {
    fn entry<'e>(&self, entry: &'e Entry, servers: &mut BTreeMap<&'e str, usize>) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| {
            shown.insert(name.to_owned(), value);
        };
        put("t", json!(u64::try_from(entry.at.as_millis()).unwrap_or(u64::MAX)));
        put("p", json!(&*entry.party.label));
        if !entry.server.is_empty() {
            let next = servers.len();
            put("s", json!(*servers.entry(&*entry.server).or_insert(next)));
        }
        let kind = match &entry.what {
            What::Request(sent) => {
                put("x", json!(sent.exchange));
                put("method", json!(sent.method));
                put("path", json!(self.text(&sent.path)));
                put("template", json!(sent.operation.map(chat_spec::Operation::path)));
                put("headers", self.headers(&sent.headers));
                put("body", sent.body.as_deref().map_or(Value::Null, |body| self.body(body)));
                "request"
            }
            What::Response(received) => {
                put("x", json!(received.exchange));
                put("status", json!(received.status));
                put(
                    "took",
                    json!(u64::try_from(received.took.as_millis()).unwrap_or(u64::MAX)),
                );
                put("headers", self.headers(&received.headers));
                put("body", self.body(received.text.as_bytes()));
                "response"
            }
            What::Lost { exchange, why } => {
                put("x", json!(exchange));
                put("why", json!(self.text(why)));
                "lost"
            }
            What::Opened { transport } => {
                put("transport", json!(transport.to_string()));
                "opened"
            }
            What::Closed { by, why } => {
                put("by", json!(side(*by)));
                put("why", json!(why));
                "closed"
            }
            What::Connect { auth } => {
                put("body", auth.as_ref().map_or(Value::Null, |auth| self.value(auth)));
                "connect"
            }
            What::Connected(body) => {
                put("body", self.value(body));
                "connected"
            }
            What::Refused(body) => {
                put("body", self.value(body));
                "refused"
            }
            What::Emitted {
                event,
                arguments,
                ack,
                binary,
            } => {
                put("event", json!(event));
                put("args", self.values(arguments));
                put("ack", json!(ack));
                put("binary", json!(binary));
                "emit"
            }
            What::Event { event, arguments, ack } => {
                put("event", json!(event));
                put("args", self.values(arguments));
                put("ack", json!(ack));
                "event"
            }
            What::Ack { id, event, arguments } => {
                put("event", json!(event));
                put("args", self.values(arguments));
                put("ack", json!(id));
                "ack"
            }
            What::Packet { from, text } => {
                put("by", json!(side(*from)));
                put("text", json!(self.text(text)));
                "packet"
            }
            What::Failed {
                requirement,
                expected,
                got,
            } => {
                put("id", json!(requirement.id));
                put("expected", json!(self.text(expected)));
                put("got", json!(self.text(got)));
                "failed"
            }
            What::Note(text) => {
                put("text", json!(self.text(text)));
                "note"
            }
        };
        put("k", json!(kind));
        Value::Object(shown)
    }

    fn headers(&self, headers: &reqwest::header::HeaderMap) -> Value {
        json!(self.record.secrets.headers(headers))
    }

    /// JSON where it is JSON, else text.
    fn body(&self, body: &[u8]) -> Value {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => self.value(&value),
            Err(_) if body.is_empty() => Value::Null,
            Err(_) => json!({"$text": self.text(&String::from_utf8_lossy(body))}),
        }
    }

    fn values(&self, values: &[Value]) -> Value {
        values.iter().map(|value| self.value(value)).collect()
    }

    fn value(&self, value: &Value) -> Value {
        let masked = self.record.secrets.value(value);
        let text = masked.to_string();
        if text.len() <= self.longest * 4 {
            shortened(masked, self.longest)
        } else {
            json!({"$text": cut(&text, self.longest)})
        }
    }

    fn text(&self, text: &str) -> String {
        cut(&self.record.secrets.text(text), self.longest)
    }
}

/// The same with long texts inside cut.
fn shortened(value: Value, longest: usize) -> Value {
    match value {
        Value::String(text) => cut(&text, longest / 2).into(),
        Value::Array(items) => items.into_iter().map(|item| shortened(item, longest)).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(
                members
                    .map(|(name, member)| (name, shortened(member, longest)))
                    .collect(),
            )
        }
        other => other,
    }
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text.to_owned(),
    }
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}
