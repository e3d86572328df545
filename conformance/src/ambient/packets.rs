//! Every event and every ack.

use std::collections::{BTreeMap, BTreeSet};

use chat_spec::{ClientEvent, Requirement, ServerEvent, req};
use serde_json::Value;

use super::Judge;
use super::values::{Seen, error, judge as judge_value};
use crate::engine::Record;
use crate::engine::transcript::What;

fn about(event: ServerEvent) -> &'static Requirement {
    match event {
        ServerEvent::Authenticated => &req::SHAPES_USER_OWN_FIELDS,
        ServerEvent::NewMessage => &req::MESSAGE_NEW_FIELDS,
        ServerEvent::MessageSent => &req::MESSAGE_SENT_FIELDS,
        ServerEvent::UserOnline | ServerEvent::UserOffline => &req::PRESENCE_ONLINE_FIELDS,
        ServerEvent::UserStatusChanged => &req::PRESENCE_STATUS_FIELDS,
        ServerEvent::TypingStatus => &req::TYPING_EVENT_PEER_DEVICES,
        ServerEvent::MessageRead => &req::READ_EVENT_FIELDS,
        ServerEvent::MessageEdited => &req::EDIT_EVENT_BOTH_SIDES,
        ServerEvent::MessageDeleted => &req::DELETE_EVENT_BOTH_SIDES,
        ServerEvent::Error => &req::ERRORS_SHAPE_EVENT,
    }
}

pub(super) fn judge(record: &Record, judge: &mut Judge<'_>) {
    // A message comes to a device once, and so does that it was deleted.
    let mut once: BTreeSet<(u64, &str, &str)> = BTreeSet::new();
    let mut answered: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for entry in &record.entries {
        let Some(device) = entry.party.device else { continue };
        let owner = entry.party.user.as_deref();
        match &entry.what {
            What::Event { event, arguments, .. } => {
                let payload = arguments.first().unwrap_or(&Value::Null);
                self::event(judge, event, payload, owner);
                if let (Some(id), "new_message" | "message_deleted") = (payload["messageId"].as_str(), event.as_str()) {
                    let first = once.insert((device, event, id));
                    judge.check(
                        &req::PROMISES_AT_MOST_ONCE_CONNECTION,
                        first,
                        || format!("{event} of {id} once at {}", entry.party.label),
                        || "twice".into(),
                    );
                }
            }
            What::Ack { id, event, arguments } => {
                let first = answered.entry(device).or_default().insert(*id);
                judge.check(
                    &req::TRANSPORT_ACK_ID,
                    first,
                    || format!("one answer to {id}"),
                    || "two".into(),
                );
                let known = event
                    .as_deref()
                    .and_then(|event| ClientEvent::ALL.iter().find(|known| known.name() == event));
                let ack = arguments.first().unwrap_or(&Value::Null);
                if let Some(known) = known {
                    let requirement = if ack["ok"] == true {
                        &req::EVENTS_ACK_SUCCESS
                    } else {
                        &req::ERRORS_SHAPE_ACK
                    };
                    judge.shaped(requirement, known.ack_schema(), ack);
                    error(judge, &req::ERRORS_SHAPE_ACK, known.name(), &ack["error"]);
                }
                let seen = Seen {
                    by: owner,
                    what: event.as_deref().unwrap_or("an ack"),
                    own: event.as_deref() == Some("authenticate"),
                };
                judge_value(judge, &seen, ack);
            }
            _ => {}
        }
    }
}

fn event(judge: &mut Judge<'_>, event: &str, payload: &Value, owner: Option<&str>) {
    let Some(known) = ServerEvent::ALL.iter().copied().find(|known| known.name() == event) else {
        return;
    };
    judge.shaped(about(known), known.schema(), payload);
    let seen = Seen {
        by: owner,
        what: event,
        own: known == ServerEvent::Authenticated,
    };
    judge_value(judge, &seen, payload);
    let is = |field: &str| owner.is_none_or(|owner| payload[field] == owner);
    match known {
        ServerEvent::NewMessage => judge.check(
            &req::MESSAGE_NEW_NOBODY_ELSE,
            is("sender") || is("receiver"),
            || "messages of the device's own user".into(),
            || payload.to_string(),
        ),
        ServerEvent::TypingStatus => judge.check(
            &req::TYPING_EVENT_NOBODY_ELSE,
            owner.is_none() || !is("from"),
            || "no typing of the device's own user".into(),
            || payload.to_string(),
        ),
        ServerEvent::UserOffline => judge.check(
            &req::PRESENCE_ONLINE_FIELDS,
            payload["status"] == "offline",
            || "offline".into(),
            || payload["status"].to_string(),
        ),
        ServerEvent::Error => {
            error(judge, &req::ERRORS_SHAPE_EVENT, "error", payload);
            let code = payload["code"].as_str().unwrap_or_default();
            let codes = known.error_codes();
            judge.check(
                &req::ERRORS_CODE_KNOWN,
                codes.contains(&code),
                || format!("error: one of {codes:?}"),
                || code.to_owned(),
            );
        }
        _ => {}
    }
}
