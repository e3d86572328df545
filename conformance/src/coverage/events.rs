//! Client events × with and without ack × outcome; server events × transport and code; the handshake.

use std::collections::{HashMap, VecDeque};

use chat_spec::{ASYNCAPI_JSON, ClientEvent, ServerEvent};
use serde_json::Value;

use super::{Named, Seen};
use crate::engine::transcript::What;
use crate::engine::{Record, Transport};

/// The row of events that do not exist.
const UNKNOWN: &str = "an unknown event";
const CONNECT: &str = "connect";
const OVER: [&str; 2] = ["over websocket", "over polling"];

pub(super) fn named() -> Vec<Named> {
    let mut named = Vec::new();
    let mut add = |row: &str, column: String| named.push((row.to_owned(), column));
    for event in ClientEvent::ALL {
        add(event.name(), "with ack: ok".into());
        add(event.name(), "without ack: done".into());
        for code in event.error_codes() {
            add(event.name(), format!("with ack: {code}"));
            add(event.name(), format!("without ack: {code}"));
        }
    }
    add(UNKNOWN, "with ack: UNKNOWN_EVENT".into());
    add(UNKNOWN, "without ack: UNKNOWN_EVENT".into());
    for over in OVER {
        add(CONNECT, format!("ok {over}"));
    }
    let document: Value = serde_json::from_str(ASYNCAPI_JSON).unwrap_or_default();
    let codes = document["operations"]["connect"]["x-error-codes"]
        .as_array()
        .into_iter()
        .flatten();
    for code in codes.filter_map(Value::as_str) {
        add(CONNECT, code.to_owned());
    }
    named
}

/// What the server sends on its own.
pub(super) fn deliveries() -> Vec<Named> {
    let mut named = Vec::new();
    for event in ServerEvent::ALL {
        for over in OVER {
            named.push((event.name().to_owned(), over.to_owned()));
        }
        for code in event.error_codes() {
            named.push((event.name().to_owned(), (*code).to_owned()));
        }
    }
    named
}

/// What a device has sent and not heard of.
#[derive(Default)]
struct Waiting {
    over: Option<Transport>,
    /// In order; those with an ack by its id.
    sent: VecDeque<(String, Option<u64>)>,
}

impl Waiting {
    /// A socket is answered in order: whatever was sent before this and had no ack is done.
    fn acknowledged(&mut self, id: u64, seen: &mut Seen) {
        if !self.sent.iter().any(|(_, known)| *known == Some(id)) {
            return;
        }
        while let Some((event, known)) = self.sent.pop_front() {
            match known {
                Some(known) if known == id => break,
                None if is_known(&event) => seen.add("events", event, "without ack: done"),
                _ => {}
            }
        }
    }

    /// An `error` is about the first event that may fail so.
    fn failed(&mut self, code: &str) -> Option<String> {
        let place = self
            .sent
            .iter()
            .position(|(event, id)| id.is_none() && may_fail(event, code))?;
        let failed = self.sent.remove(place);
        self.sent.drain(..place);
        failed.map(|(event, _)| event)
    }
}

fn is_known(event: &str) -> bool {
    ClientEvent::ALL.iter().any(|known| known.name() == event)
}

fn may_fail(event: &str, code: &str) -> bool {
    match ClientEvent::ALL.iter().find(|known| known.name() == event) {
        Some(known) => known.error_codes().contains(&code),
        None => code == "UNKNOWN_EVENT",
    }
}

fn row(event: &str) -> &str {
    if is_known(event) { event } else { UNKNOWN }
}

fn over(transport: Option<Transport>) -> &'static str {
    match transport {
        Some(Transport::Polling) => OVER[1],
        _ => OVER[0],
    }
}

pub(super) fn observe(record: &Record, seen: &mut Seen) {
    let mut devices: HashMap<u64, Waiting> = HashMap::new();
    for entry in &record.entries {
        let Some(number) = entry.party.device else { continue };
        let device = devices.entry(number).or_default();
        match &entry.what {
            What::Opened { transport } => device.over = Some(*transport),
            What::Connected(_) => seen.add("events", CONNECT, format!("ok {}", over(device.over))),
            What::Refused(why) => seen.add("events", CONNECT, why["message"].as_str().unwrap_or_default()),
            What::Emitted { event, ack, .. } => device.sent.push_back((event.clone(), *ack)),
            What::Ack {
                id,
                event: Some(event),
                arguments,
            } => {
                let ack = arguments.first().unwrap_or(&Value::Null);
                let outcome = match ack["ok"].as_bool() {
                    Some(true) => "ok",
                    _ => ack["error"]["code"].as_str().unwrap_or_default(),
                };
                seen.add("events", row(event), format!("with ack: {outcome}"));
                device.acknowledged(*id, seen);
            }
            What::Event { event, arguments, .. } => {
                seen.add("deliveries", event.as_str(), over(device.over));
                let code = arguments.first().and_then(|payload| payload["code"].as_str());
                if let (Some(code), "error") = (code, event.as_str()) {
                    seen.add("deliveries", "error", code);
                    if let Some(failed) = device.failed(code) {
                        seen.add("events", row(&failed), format!("without ack: {code}"));
                    }
                }
            }
            _ => {}
        }
    }
}
