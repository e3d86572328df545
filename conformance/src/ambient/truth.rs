//! What a server shows of people and messages is what they said of themselves, and the same wherever and whenever it is shown.
//!
//! Shapes say that a field is a text. That it is the right one is known from what the case itself sent, and from what was shown
//! before. Only users that the case registered are judged, and of messages only what follows from their kind.

use std::collections::{BTreeMap, BTreeSet};

use chat_spec::{Operation, Requirement, req};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Judge;
use super::claims::Claims;
use crate::engine::Record;
use crate::engine::transcript::What;

/// Clocks of nodes, and of servers and suites, differ by less.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// What a message has for ever.
const FIXED: [(&str, &Requirement); 8] = [
    ("chatId", &req::MESSAGE_NEW_AGREES),
    ("seq", &req::MESSAGE_NEW_AGREES),
    ("sender", &req::MESSAGE_NEW_AGREES),
    ("receiver", &req::MESSAGE_NEW_AGREES),
    ("messageType", &req::MESSAGE_NEW_AGREES),
    ("timestamp", &req::MESSAGE_NEW_AGREES),
    ("readAt", &req::READ_REPEAT_FIRST_STAYS),
    ("deletedAt", &req::DELETE_SUCCESS_TOMBSTONE),
];

/// What happens to a message after it was sent.
const LATER: [(&str, &Requirement); 3] = [
    ("readAt", &req::READ_STATE_STORED),
    ("editedAt", &req::EDIT_SUCCESS_MESSAGE),
    ("deletedAt", &req::SHAPES_MESSAGE_TOMBSTONE),
];

/// What was shown until now.
struct Truth<'r> {
    claims: Claims,
    /// Of messages, by id and field.
    fixed: BTreeMap<(&'r str, &'static str), &'r Value>,
    /// Ids of messages, by chat and seq. No case has users of several servers, so a chat's id is that of one chat.
    numbered: BTreeMap<(&'r str, i64), &'r str>,
    /// When accounts were made, by the id of the user.
    created: BTreeMap<&'r str, &'r Value>,
    /// When the case began, and when what is being looked at came.
    began: Timestamp,
    now: Timestamp,
}

pub(super) fn judge(record: &Record, judge: &mut Judge<'_>) {
    // What was not kept cannot be held against anything.
    let Some(claims) = (record.dropped == 0).then(|| Claims::of(record)).flatten() else {
        return;
    };
    let mut truth = Truth {
        claims,
        fixed: BTreeMap::new(),
        numbered: BTreeMap::new(),
        created: BTreeMap::new(),
        began: record.began,
        now: record.began,
    };
    for entry in &record.entries {
        truth.now = (record.began.checked_add(entry.at)).unwrap_or(record.began);
        match &entry.what {
            What::Response(received) if received.operation.is_some() && received.status < 400 => {
                if received.operation == Some(Operation::GetConversation) {
                    one_chat(judge, &received.body);
                }
                truth.look(judge, &received.body);
            }
            What::Event { event, arguments, .. } => {
                let payload = arguments.first().unwrap_or(&Value::Null);
                if event == "typing_status" {
                    truth.is_recent(judge, &req::TYPING_EVENT_PEER_DEVICES, &payload["timestamp"]);
                }
                truth.look(judge, payload);
            }
            What::Ack { arguments, .. } => truth.look(judge, arguments.first().unwrap_or(&Value::Null)),
            _ => {}
        }
    }
}

/// All messages of a conversation are of its chat.
fn one_chat(judge: &mut Judge<'_>, body: &Value) {
    let items = body["items"].as_array().into_iter().flatten();
    let strange = items.into_iter().find(|item| item["chatId"] != body["chatId"]);
    judge.check(
        &req::CONVERSATION_BOTH_SAME,
        strange.is_none(),
        || format!("messages of chat {}", body["chatId"]),
        || strange.map(Value::to_string).unwrap_or_default(),
    );
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// That one thing was not before another, where both are known.
fn follows(judge: &mut Judge<'_>, requirement: &'static Requirement, later: &Value, earlier: &Value) {
    if let (Some(after), Some(before)) = (time(later), time(earlier)) {
        judge.check(
            requirement,
            after.duration_since(before) >= -SKEW,
            || format!("not before {earlier}"),
            || later.to_string(),
        );
    }
}

impl<'r> Truth<'r> {
    /// Judges a value and everything inside it.
    fn look(&mut self, judge: &mut Judge<'_>, value: &'r Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.look(judge, item)),
            Value::Object(members) => {
                let id = |name: &str| members.get(name).and_then(Value::as_str);
                let user = id("userId").or_else(|| id("id").filter(|_| members.contains_key("username")));
                if let Some(user) = user {
                    self.user(judge, user, value);
                }
                let is_message = members.contains_key("sender") && members.contains_key("receiver");
                let message = id("messageId").or_else(|| id("id").filter(|_| is_message));
                if let Some(message) = message {
                    self.message(judge, message, value);
                }
                if members.contains_key("lastMessage") {
                    chat(judge, value);
                }
                if let Some(tokens) = members.get("tokens") {
                    life(judge, tokens);
                }
                members.values().for_each(|member| self.look(judge, member));
            }
            _ => {}
        }
    }

    fn user(&mut self, judge: &mut Judge<'_>, id: &'r str, user: &'r Value) {
        let Some(claimed) = self.claims.users.get(id) else {
            return;
        };
        let mut shown = |requirement, field: &str, allowed: &BTreeSet<String>, open: bool| {
            let Some(value) = user.get(field).and_then(Value::as_str) else {
                return;
            };
            judge.check(
                requirement,
                open || allowed.contains(value),
                || format!("{field}: one of {allowed:?}"),
                || value.to_owned(),
            );
        };
        let said = &self.claims.said;
        shown(&req::REGISTER_USERNAME_AS_WRITTEN, "username", &said.names, false);
        shown(&req::PROFILE_UPDATE_VISIBLE, "bio", &said.bios, said.odd_bio);
        shown(
            &req::PROFILE_UPDATE_VISIBLE,
            "profilePicture",
            &said.pictures,
            said.odd_picture,
        );
        shown(&req::PRESENCE_STATUS_VISIBLE, "status", &said.statuses, false);
        if let Some(email) = user.get("email") {
            judge.check(
                &req::REGISTER_EMAIL_LOWER_CASE,
                *email == claimed.email.as_str(),
                || claimed.email.clone(),
                || email.to_string(),
            );
        }
        if let Some(created) = user.get("createdAt") {
            let first = *self.created.entry(id).or_insert(created);
            judge.check(
                &req::SHAPES_USER_OWN_FIELDS,
                created == first,
                || format!("createdAt {first}, as before"),
                || created.to_string(),
            );
            self.is_recent(judge, &req::SHAPES_USER_OWN_FIELDS, created);
        }
        if let (Some(seen), Some(created)) = (user.get("lastSeen"), self.created.get(id)) {
            follows(judge, &req::PRESENCE_LAST_SEEN_SET, seen, created);
        }
    }

    fn message(&mut self, judge: &mut Judge<'_>, id: &'r str, message: &'r Value) {
        if let (Some(chat), Some(seq)) = (message["chatId"].as_str(), message["seq"].as_i64()) {
            let first = *self.numbered.entry((chat, seq)).or_insert(id);
            judge.check(
                &req::PROMISES_SEQ_GAPLESS,
                first == id,
                || format!("{first}, which has number {seq} in chat {chat}"),
                || id.to_owned(),
            );
        }
        for (field, requirement) in FIXED {
            let Some(value) = message.get(field).filter(|value| !value.is_null()) else {
                continue;
            };
            let first = *self.fixed.entry((id, field)).or_insert(value);
            judge.check(
                requirement,
                first == value,
                || format!("{field} of {id}: {first}, as before"),
                || value.to_string(),
            );
        }
        let sent = message
            .get("timestamp")
            .or_else(|| self.fixed.get(&(id, "timestamp")).copied());
        if let Some(sent) = sent {
            self.is_recent(judge, &req::MESSAGE_NEW_AGREES, sent);
            for (field, requirement) in LATER {
                follows(judge, requirement, &message[field], sent);
            }
        }
        if let (Some(reader), Some(receiver)) = (message.get("readerId"), self.fixed.get(&(id, "receiver"))) {
            judge.check(
                &req::READ_EVENT_FIELDS,
                reader == *receiver,
                || format!("the receiver {receiver}"),
                || reader.to_string(),
            );
        }
        let Some(claimed) = self.claims.messages.get(id) else {
            return;
        };
        if let Some(content) = message.get("content").and_then(Value::as_str) {
            judge.check(
                &req::SEND_CONTENT_EXACT,
                content.is_empty() || claimed.contents.contains(content),
                || format!("one of {:?}", claimed.contents),
                || content.to_owned(),
            );
        }
        for (field, said, requirement) in [
            ("messageType", &claimed.kind, &req::SEND_TYPE_KNOWN),
            ("receiver", &claimed.receiver, &req::SEND_SUCCESS_STORED),
            (
                "clientMessageId",
                &claimed.client_id,
                &req::SHAPES_MESSAGE_CLIENT_ID_SHOWN,
            ),
        ] {
            if let Some(shown) = message.get(field).and_then(Value::as_str) {
                judge.check(
                    requirement,
                    shown == said,
                    || format!("{field} {said}"),
                    || shown.to_owned(),
                );
            }
        }
    }

    /// That something happened while the case ran, and before it was told: however long the case had to wait meanwhile.
    fn is_recent(&self, judge: &mut Judge<'_>, requirement: &'static Requirement, at: &Value) {
        if let Some(at) = time(at) {
            judge.check(
                requirement,
                at.duration_since(self.began) >= -SKEW && at.duration_since(self.now) <= SKEW,
                || format!("from about {} to {}", self.began, self.now),
                || at.to_string(),
            );
        }
    }
}

/// A chat is that of its last message.
fn chat(judge: &mut Judge<'_>, chat: &Value) {
    let last = &chat["lastMessage"];
    judge.check(
        &req::SHAPES_CHAT_LAST_MESSAGE,
        chat["id"] == last["chatId"],
        || format!("a message of {}", chat["id"]),
        || last.to_string(),
    );
    judge.check(
        &req::SHAPES_CHAT_LAST_ACTIVITY,
        chat["lastActivity"] == last["timestamp"],
        || last["timestamp"].to_string(),
        || chat["lastActivity"].to_string(),
    );
    let people = chat["participants"].as_array().into_iter().flatten();
    let people: BTreeSet<&str> = people.filter_map(|user| user["id"].as_str()).collect();
    let both = ["sender", "receiver"].map(|side| last[side].as_str().unwrap_or_default());
    judge.check(
        &req::SHAPES_CHAT_PARTICIPANTS,
        people == BTreeSet::from(both),
        || format!("{both:?}"),
        || format!("{people:?}"),
    );
}

/// An access token that says itself how long it lives lives that long.
fn life(judge: &mut Judge<'_>, tokens: &Value) {
    let says = tokens["accessToken"].as_str().and_then(super::claims::life_of_token);
    if let (Some(says), Some(shown)) = (says, tokens["expiresIn"].as_f64()) {
        judge.check(
            &req::SHAPES_TOKENS_FIELDS,
            (says - shown).abs() <= 1.0,
            || format!("expiresIn {says}, as the token says"),
            || shown.to_string(),
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::engine::transcript::{Entry, Party};

    /// The failures of a case that took this long, at whose end a message of this time was told.
    fn failures(took: Duration, timestamp: &str) -> usize {
        let message = json!({"messageId": "m", "timestamp": timestamp, "editedAt": "2026-01-01T00:00:00.000Z"});
        let event = What::Event {
            event: "new_message".into(),
            arguments: vec![message],
            ack: None,
        };
        let record = Record {
            began: "2026-01-01T00:00:00Z".parse().unwrap(),
            entries: vec![Entry {
                at: took,
                party: Party::guest(),
                server: "".into(),
                what: event,
            }],
            ..Record::default()
        };
        let mut judged = Judge {
            shape: &|_, _| None,
            judgements: Vec::new(),
            failures: BTreeMap::new(),
        };
        judge(&record, &mut judged);
        judged.judgements.iter().filter(|judgement| !judgement.pass).count()
    }

    #[test]
    fn what_happened_while_a_case_waited_is_recent() {
        let hour = Duration::from_secs(3600);
        assert_eq!(failures(hour, "2026-01-01T00:00:00.000Z"), 0);
        assert_eq!(failures(hour, "2025-12-31T23:49:00.000Z"), 1, "long before the case");
        assert!(
            failures(Duration::ZERO, "2026-01-01T01:00:00.000Z") > 0,
            "not told before it happened"
        );
        assert!(failures(hour, "9999-12-30T22:00:00.000Z") > 0, "the end of all times");
    }
}
