//! Another server that keeps the contract, made of the reference server: whatever the contract leaves open is different.
//!
//! Ids and cursors of another form, members and events that nobody specified, other texts, other headers, JSON with white space,
//! presence told to more people than must hear of it, events of different people in another order. Nothing of it may make a case
//! fail.

mod ids;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_spec::Profile;
use hyper::header::{HeaderName, HeaderValue, SERVER, VARY};
use serde_json::{Value, json};

pub use self::ids::Form;
use self::ids::{Ids, their_cursor};
use super::proxy::{Call, Kind, Packet, Place, Reply, Tamper, Told, Whom};

/// How much later the events of every second person come.
const LATER: Duration = Duration::from_millis(40);
/// What a server may say besides: further parameters, further policies, further directives.
const MORE: [(&str, &str); 3] = [
    ("ratelimit", ";pk=:MTI3LjAuMC4x:, \"burst\";r=1000000;t=1"),
    (
        "ratelimit-policy",
        ";qu=\"requests\";pk=:MTI3LjAuMC4x:, \"burst\";q=1000000;w=1",
    ),
    ("cache-control", ", no-cache, max-age=0"),
];
/// Of the reference server, and of nobody else's business.
const OPTIONAL: [&str; 10] = [
    "content-security-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "origin-agent-cluster",
    "referrer-policy",
    "strict-transport-security",
    "x-dns-prefetch-control",
    "x-download-options",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
];
/// A field of the extension `recovery`, and one that is as long and means nothing.
const CLIENT_ID: [&str; 2] = ["clientMessageId", "clientMessageIx"];
/// The same for the parameter of its list.
const AFTER: [&str; 2] = ["after", "aftex"];

/// In what the other server differs beyond that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    pub ids: Form,
    /// Extensions that it does not have, and does not claim.
    pub without: Vec<Profile>,
}

/// The other server.
pub(super) struct Lawful {
    known: Mutex<Known>,
    ids: Ids,
    edits: bool,
    recovery: bool,
}

#[derive(Default)]
struct Known {
    /// Who wrote a message.
    senders: HashMap<String, String>,
    /// Who has a chat with whom.
    partners: HashSet<(String, String)>,
}

impl Tamper for Lawful {
    fn call(&self, call: &mut Call) {
        if !call.is_api() {
            return;
        }
        call.path = self.ids.hear_path(&call.path);
        if let Some(body) = self.ids.hear_body(&call.body) {
            call.body = body.into();
        }
        if !self.recovery {
            call.path = call.path.replace(&format!("{}=", AFTER[0]), &format!("{}=", AFTER[1]));
            if let Ok(text) = std::str::from_utf8(&call.body) {
                call.body = text.replace(CLIENT_ID[0], CLIENT_ID[1]).into();
            }
        }
    }

    fn reply(&self, call: &Call, reply: &mut Reply) -> Duration {
        for name in OPTIONAL {
            reply.headers.remove(name);
        }
        reply.headers.insert(SERVER, HeaderValue::from_static("hypercorn-h11"));
        reply.headers.append(VARY, HeaderValue::from_static("Accept"));
        for (name, more) in MORE {
            let given = reply.headers.get(name).and_then(|value| value.to_str().ok());
            let extended = given.map(|value| format!("{}{more}", value.replace("\"default\"", "\"per-caller\"")));
            if let Some(value) = extended.and_then(|value| HeaderValue::from_str(&value).ok()) {
                reply.headers.insert(HeaderName::from_static(name), value);
            }
        }
        let Some(mut body) = reply.json() else {
            return Duration::ZERO;
        };
        self.learn(&body);
        if reply.status.as_u16() >= 400 {
            let unclear = String::from_utf8_lossy(&call.body).contains("\\ud8");
            if unclear && body["code"] == "MALFORMED_JSON" {
                body["code"] = json!("VALIDATION_ERROR");
                body["details"] = json!([{"field": "content", "message": "is no text"}]);
            }
            reword(&mut body);
            // May be left out, but for what the log is asked about.
            if let (Some(members), ..500) = (body.as_object_mut(), reply.status.as_u16()) {
                members.remove("requestId");
            }
        } else {
            embellish(&mut body);
        }
        self.ids.say(&mut body);
        if !self.recovery {
            uncount(&mut body);
        }
        if let Some(cursor) = body["nextCursor"].as_str() {
            body["nextCursor"] = their_cursor(cursor).into();
        }
        reply.put_body(format!("{body:#}\n"));
        Duration::ZERO
    }

    fn asked(&self, _: &Place, packet: &mut Packet) {
        if packet.kind == Kind::Event {
            self.ids.hear(&mut packet.data);
            let members = packet.payload_mut().and_then(Value::as_object_mut);
            if let Some(members) = members.filter(|_| !self.recovery)
                && let Some(id) = members.remove(CLIENT_ID[0])
            {
                members.insert(CLIENT_ID[1].into(), id);
            }
        }
    }

    fn told(&self, to: &Place, mut packet: Packet) -> Vec<Told> {
        match packet.kind {
            Kind::Disconnect => return vec![Told::now(packet)],
            Kind::Connect => {
                let welcome = Packet {
                    kind: Kind::Event,
                    id: None,
                    data: json!(["welcome", {"motd": "an event that nobody specified"}]),
                };
                return vec![Told::now(packet), Told::now(welcome)];
            }
            Kind::Refused => {
                let code = packet.data["message"].clone();
                packet.data["data"] = json!({"code": code, "message": "The connection was refused."});
                return vec![Told::now(packet)];
            }
            Kind::Event | Kind::Ack => {}
        }
        if !self.edits && ["message_edited", "message_deleted"].contains(&packet.event()) {
            return Vec::new();
        }
        let actor = self.actor(&packet);
        let mut extra = Vec::new();
        if packet.event().starts_with("user_")
            && let Some(actor) = &actor
        {
            extra = self.strangers(actor, to);
        }
        let name = packet.event().to_owned();
        if let Some(payload) = packet.payload_mut() {
            self.learn(payload);
            match name.as_str() {
                "error" => reword(payload),
                _ if payload["ok"] == false => payload.get_mut("error").map(reword).unwrap_or_default(),
                _ => embellish(payload),
            }
        }
        self.ids.say(&mut packet.data);
        if !self.recovery {
            uncount(&mut packet.data);
        }
        // A poll that is answered already would not bring it.
        let late = !to.polls && actor.is_some_and(|actor| actor.bytes().map(usize::from).sum::<usize>() % 2 == 1);
        let told = |to: Whom| Told {
            packet: packet.clone(),
            to,
            after: if late { LATER } else { Duration::ZERO },
        };
        [Whom::Same]
            .into_iter()
            .chain(extra.into_iter().map(Whom::Socket))
            .map(told)
            .collect()
    }
}

impl Lawful {
    pub(super) fn new(unlike: &Unlike) -> Self {
        let has = |profile| !unlike.without.contains(&profile);
        Self {
            known: Mutex::default(),
            ids: Ids::of(unlike.ids),
            edits: has(Profile::Edits),
            recovery: has(Profile::Recovery),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the messages in a value.
    fn learn(&self, value: &Value) {
        match value {
            Value::Object(members) => {
                let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
                if let (Some(sender), Some(receiver)) = (text("sender"), text("receiver")) {
                    let mut known = self.known();
                    if let Some(id) = text("messageId").or(text("id")) {
                        known.senders.insert(id, sender.clone());
                    }
                    known.partners.insert((sender.clone(), receiver.clone()));
                    known.partners.insert((receiver, sender));
                }
                members.values().for_each(|member| self.learn(member));
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    /// Whose doing an event is: what one person does stays in order.
    fn actor(&self, packet: &Packet) -> Option<String> {
        let payload = packet.payload();
        let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        match packet.event() {
            "new_message" => text("/sender"),
            "typing_status" => text("/from"),
            "message_read" => text("/readerId"),
            "message_edited" => text("/message/sender"),
            "message_deleted" => self.known().senders.get(&text("/messageId")?).cloned(),
            name if name.starts_with("user_") => text("/userId"),
            _ => None,
        }
    }

    /// Sockets of those who need not hear of this person and may. Only the first who must is looked at, or they would hear of it
    /// once for each of those.
    fn strangers(&self, actor: &str, to: &Place) -> Vec<u64> {
        let known = self.known();
        let must = |user: &str| user == actor || known.partners.contains(&(actor.to_owned(), user.to_owned()));
        let must_hear = |user: &Option<String>| user.as_deref().is_some_and(must);
        let first = to
            .others
            .iter()
            .filter(|other| must_hear(&other.user))
            .all(|other| other.number > to.number);
        let others = to
            .others
            .iter()
            .filter(|other| other.user.is_some() && !must_hear(&other.user));
        match first {
            true => others.map(|other| other.number).collect(),
            false => Vec::new(),
        }
    }
}

/// Members that nobody specified, wherever they are allowed: not in users and errors.
fn embellish(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(embellish);
            if !members.contains_key("username") || members.contains_key("userId") {
                members.insert("_other".into(), json!({"nested": [1, null]}));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(embellish),
        _ => {}
    }
}

/// Without the numbers of messages.
fn uncount(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(uncount);
            if let Some(seq) = members.get_mut("seq") {
                *seq = Value::Null;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(uncount),
        _ => {}
    }
}

/// Other words for the same error.
fn reword(error: &mut Value) {
    if let Some(message) = error.get_mut("message") {
        *message = json!("Das geht nicht.");
    }
    if let Some(Value::Array(details)) = error.get_mut("details") {
        details.reverse();
        for detail in details {
            detail["message"] = json!("ist so nicht erlaubt");
        }
    }
}
