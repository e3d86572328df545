//! Who gets an event and who does not.
//!
//! That somebody does not get something counts only where it could be seen: the device was connected when another one got it,
//! and heard something else later.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::{Named, Seen};
use crate::engine::Record;
use crate::engine::transcript::{Side, What};

const MATRIX: &[(&str, &[&str])] = &[
    (
        "authenticated",
        &["to that socket", "not to the user's other devices", "not to others"],
    ),
    (
        "new_message",
        &[
            "to the receiver",
            "to the sender's other devices",
            "to the sender's devices after REST",
            "not to the sending device",
            "not to strangers",
        ],
    ),
    (
        "message_sent",
        &[
            "to the sending device",
            "not to the sender's other devices",
            "not to the receiver",
            "not to strangers",
        ],
    ),
    ("user_online", &["to partners"]),
    ("user_offline", &["to partners"]),
    ("user_status_changed", &["to partners", "to the user's own devices"]),
    (
        "typing_status",
        &["to the peer", "not to the user's own devices", "not to strangers"],
    ),
    (
        "message_read",
        &[
            "to the sender",
            "to the reader's other devices",
            "to the reader's devices after REST",
            "not to the reading device",
            "not to strangers",
        ],
    ),
    (
        "message_edited",
        &["to the sender", "to the receiver", "not to strangers"],
    ),
    (
        "message_deleted",
        &["to the sender", "to the receiver", "not to strangers"],
    ),
    (
        "error",
        &["to that socket", "not to the user's other devices", "not to others"],
    ),
];

pub(super) fn named() -> Vec<Named> {
    let rows = MATRIX
        .iter()
        .flat_map(|(event, columns)| columns.iter().map(move |column| (*event, *column)));
    rows.map(|(event, column)| (event.to_owned(), column.to_owned()))
        .collect()
}

/// A device as long as the case ran.
#[derive(Default)]
struct Device {
    user: String,
    /// By the place of the entry.
    opened: usize,
    closed: Option<usize>,
    /// When it last heard anything.
    last: usize,
}

/// One event, however many devices got it.
struct Told<'a> {
    event: &'a str,
    payload: &'a Value,
    first: usize,
    devices: BTreeSet<u64>,
}

/// What is known of the messages of a case.
#[derive(Default)]
struct Messages {
    /// Sender and receiver.
    between: HashMap<String, (String, String)>,
    /// The device that sent it, if one did.
    sent_by: HashMap<String, u64>,
    /// The devices that sent a receipt for it.
    read_by: HashMap<String, BTreeSet<u64>>,
}

impl Messages {
    fn learn(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Object(members) => {
                let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
                let id = text("messageId").or_else(|| text("id"));
                if let (Some(id), Some(sender), Some(receiver)) = (id, text("sender"), text("receiver")) {
                    self.between.insert(id, (sender, receiver));
                }
                for inner in ["message", "items", "lastMessage"] {
                    if let Some(inner) = members.get(inner) {
                        self.learn(inner);
                    }
                }
            }
            _ => {}
        }
    }
}

fn id_of(payload: &Value) -> &str {
    let id = payload["messageId"]
        .as_str()
        .or_else(|| payload["message"]["id"].as_str());
    id.unwrap_or_default()
}

/// What makes two events of a kind the same one.
fn key(event: &str, payload: &Value, place: usize) -> String {
    match event {
        "new_message" | "message_sent" | "message_read" | "message_deleted" => id_of(payload).to_owned(),
        "message_edited" => format!("{} {}", id_of(payload), payload["message"]["editedAt"]),
        "typing_status" => format!("{} {} {}", payload["from"], payload["isTyping"], payload["timestamp"]),
        "user_status_changed" => format!("{} {} {}", payload["userId"], payload["status"], payload["lastSeen"]),
        _ => place.to_string(),
    }
}

pub(super) fn observe(record: &Record, seen: &mut Seen) {
    let mut devices: BTreeMap<u64, Device> = BTreeMap::new();
    let mut told: BTreeMap<(&str, String), Told<'_>> = BTreeMap::new();
    let mut messages = Messages::default();
    for (place, entry) in record.entries.iter().enumerate() {
        if let What::Response(received) = &entry.what {
            messages.learn(&received.body);
        }
        let Some(number) = entry.party.device else { continue };
        let device = devices.entry(number).or_insert_with(|| Device {
            user: entry.party.user.as_deref().unwrap_or_default().to_owned(),
            opened: place,
            ..Device::default()
        });
        match &entry.what {
            What::Closed { .. } => {
                device.closed.get_or_insert(place);
            }
            What::Emitted { event, arguments, .. } if event == "read_receipt" => {
                let message = arguments.first().map(id_of).unwrap_or_default();
                messages.read_by.entry(message.to_owned()).or_default().insert(number);
            }
            What::Ack { event, arguments, .. } => {
                device.last = place;
                let sent = event.as_deref() == Some("send_message");
                if let Some(id) = arguments
                    .first()
                    .and_then(|ack| ack["messageId"].as_str())
                    .filter(|_| sent)
                {
                    messages.sent_by.insert(id.to_owned(), number);
                }
            }
            What::Event { event, arguments, .. } => {
                device.last = place;
                let payload = arguments.first().unwrap_or(&Value::Null);
                messages.learn(payload);
                if event == "message_sent" {
                    messages.sent_by.insert(id_of(payload).to_owned(), number);
                }
                let told = told
                    .entry((event.as_str(), key(event, payload, place)))
                    .or_insert_with(|| Told {
                        event,
                        payload,
                        first: place,
                        devices: BTreeSet::new(),
                    });
                told.devices.insert(number);
            }
            What::Packet { from: Side::Server, .. } => device.last = place,
            _ => {}
        }
    }
    for told in told.values() {
        judge(told, &devices, &messages, seen);
    }
}

fn judge(told: &Told<'_>, devices: &BTreeMap<u64, Device>, messages: &Messages, seen: &mut Seen) {
    for (number, device) in devices {
        let got = told.devices.contains(number);
        let could =
            device.opened < told.first && device.closed.is_none_or(|end| end > told.first) && device.last > told.first;
        if !got && !could {
            continue;
        }
        if let Some(column) = column(told, *number, device, got, devices, messages) {
            seen.add("recipients", told.event, column);
        }
    }
}

/// What a device is to an event that it got, or did not get.
fn column(
    told: &Told<'_>,
    number: u64,
    device: &Device,
    got: bool,
    devices: &BTreeMap<u64, Device>,
    messages: &Messages,
) -> Option<&'static str> {
    let user = device.user.as_str();
    let is = |name: &str| told.payload[name].as_str() == Some(user);
    let id = id_of(told.payload);
    let (sender, receiver) = messages
        .between
        .get(id)
        .map(|(one, other)| (one.as_str(), other.as_str()))
        .unwrap_or_default();
    let by_socket = messages.sent_by.get(id);
    let readers = messages.read_by.get(id);
    let same_user = told
        .devices
        .iter()
        .any(|other| devices.get(other).is_some_and(|other| other.user == user));
    Some(match (told.event, got) {
        ("authenticated" | "error", true) => "to that socket",
        ("authenticated" | "error", false) if same_user => "not to the user's other devices",
        ("authenticated" | "error", false) => "not to others",
        ("new_message", true) if is("receiver") => "to the receiver",
        ("new_message", true) if is("sender") && by_socket.is_none() => "to the sender's devices after REST",
        ("new_message", true) if is("sender") && by_socket != Some(&number) => "to the sender's other devices",
        ("new_message", false) if by_socket == Some(&number) => "not to the sending device",
        ("message_sent", true) => "to the sending device",
        ("message_sent", false) if user == sender => "not to the sender's other devices",
        ("message_sent", false) if user == receiver => "not to the receiver",
        ("user_online" | "user_offline", true) if !is("userId") => "to partners",
        ("user_status_changed", true) if is("userId") => "to the user's own devices",
        ("user_status_changed", true) => "to partners",
        ("typing_status", true) => "to the peer",
        ("typing_status", false) if is("from") => "not to the user's own devices",
        ("typing_status", false) if !same_user => "not to strangers",
        ("message_read", true) if is("readerId") && readers.is_none() => "to the reader's devices after REST",
        ("message_read", true) if is("readerId") => "to the reader's other devices",
        ("message_read", true) => "to the sender",
        ("message_read", false) if readers.is_some_and(|readers| readers.contains(&number)) => {
            "not to the reading device"
        }
        ("message_edited" | "message_deleted", true) if user == sender => "to the sender",
        ("message_edited" | "message_deleted", true) if user == receiver => "to the receiver",
        ("new_message" | "message_sent" | "message_read" | "message_edited" | "message_deleted", false)
            if !sender.is_empty() && user != sender && user != receiver =>
        {
            "not to strangers"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::engine::transcript::{Entry, Party};

    fn entry(user: &str, device: u64, what: What) -> Entry {
        Entry {
            at: Duration::ZERO,
            party: Party {
                label: user.into(),
                user: Some(user.into()),
                device: Some(device),
            },
            server: Arc::default(),
            what,
        }
    }

    fn event(name: &str, payload: Value) -> What {
        What::Event {
            event: name.to_owned(),
            arguments: vec![payload],
            ack: None,
        }
    }

    fn connected() -> What {
        What::Connected(Value::Null)
    }

    fn columns(entries: Vec<Entry>) -> Vec<String> {
        let record = Record {
            entries,
            ..Record::default()
        };
        let mut seen = Seen::default();
        observe(&record, &mut seen);
        seen.0
            .into_keys()
            .map(|(_, row, column)| format!("{row} {column}"))
            .collect()
    }

    #[test]
    fn a_message_reaches_some_and_is_seen_not_to_reach_others() {
        let message = json!({"messageId": "m", "sender": "ann", "receiver": "bob"});
        let ack = What::Ack {
            id: 0,
            event: Some("send_message".to_owned()),
            arguments: vec![json!({"ok": true, "messageId": "m"})],
        };
        let later = |device, user| entry(user, device, event("user_online", json!({"userId": "kay"})));
        let got = columns(vec![
            entry("ann", 1, connected()),
            entry("ann", 2, connected()),
            entry("bob", 3, connected()),
            entry("eve", 4, connected()),
            entry("kim", 5, connected()),
            entry("bob", 3, event("new_message", message.clone())),
            entry("ann", 1, ack),
            entry("ann", 2, event("new_message", message)),
            later(4, "eve"),
        ]);
        for expected in [
            "to the receiver",
            "to the sender's other devices",
            "not to the sending device",
            "not to strangers",
        ] {
            assert!(got.contains(&format!("new_message {expected}")), "{expected}: {got:?}");
        }
        assert!(!got.contains(&"new_message to the sender's devices after REST".to_owned()));
    }

    #[test]
    fn silence_of_a_device_that_never_hears_anything_again_proves_nothing() {
        let message = json!({"messageId": "m", "sender": "ann", "receiver": "bob"});
        let got = columns(vec![
            entry("bob", 3, connected()),
            entry("eve", 4, connected()),
            entry("bob", 3, event("new_message", message)),
        ]);
        assert!(!got.contains(&"new_message not to strangers".to_owned()), "{got:?}");
    }
}
