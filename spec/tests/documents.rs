//! The documents agree with themselves and with each other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use chat_spec::{
    ASYNCAPI_JSON, ASYNCAPI_YAML, Answer, ClientEvent, ERROR_CODES, Level, OPENAPI_JSON, OPENAPI_YAML, Operation,
    Profile, REQUIREMENTS, REQUIREMENTS_TOML, SCHEMAS, ServerEvent, req, requirement, schema,
};
use serde_json::Value;

fn openapi() -> Value {
    serde_json::from_str(OPENAPI_JSON).unwrap()
}

fn asyncapi() -> Value {
    serde_json::from_str(ASYNCAPI_JSON).unwrap()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn described(document: &Value, operation: Operation) -> &Value {
    &document["paths"][operation.path()][operation.method().to_lowercase()]
}

/// The value itself, or what its reference leads to.
fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).unwrap(),
        None => value,
    }
}

/// Every answer of every call, as the document describes it.
fn answers(document: &Value) -> Vec<(Operation, &'static Answer, &Value)> {
    let of = |operation: Operation| {
        let responses = &described(document, operation)["responses"];
        let answer = move |answer: &'static Answer| {
            let response = followed(document, &responses[answer.status.to_string()]);
            (operation, answer, response)
        };
        operation.responses().iter().map(answer)
    };
    Operation::ALL.iter().copied().flat_map(of).collect()
}

#[test]
fn the_contract_has_its_size() {
    assert_eq!(Operation::ALL.len(), 18);
    assert_eq!(ClientEvent::ALL.len(), 6);
    assert_eq!(ServerEvent::ALL.len(), 11);
    assert!(REQUIREMENTS.len() >= 300, "{}", REQUIREMENTS.len());
}

#[test]
fn items_are_what_the_documents_say() {
    assert_eq!(Operation::SendMessage.id(), "sendMessage");
    assert_eq!(Operation::from_id("sendMessage"), Some(Operation::SendMessage));
    assert_eq!(Operation::from_id("sendmessage"), None);
    let conversation = Operation::GetConversation;
    assert_eq!(
        (conversation.method(), conversation.path()),
        ("GET", "/api/messages/conversation/{userId}")
    );
    assert_eq!(conversation.request_schema(), None);
    assert_eq!(Operation::EditMessage.request_schema(), Some("EditMessageRequest"));
    assert_eq!(
        Operation::EditMessage.response(403).unwrap().codes,
        ["NOT_MESSAGE_SENDER"]
    );
    assert!(Operation::EditMessage.error_codes().contains(&"MESSAGE_NOT_FOUND"));
    assert_eq!(ClientEvent::SendMessage.ack_schema(), "SendMessageAck");
    assert_eq!(ServerEvent::NewMessage.schema(), "NewMessageEvent");
    let repeat = &req::SEND_IDEMPOTENT_REPEAT_SAME_ANSWER;
    assert_eq!((repeat.level, repeat.profile), (Level::Must, Profile::Recovery));
    assert_eq!(requirement("send.idempotent.repeat-same-answer"), Some(repeat));
}

#[test]
fn both_notations_say_the_same() {
    assert_eq!(serde_saphyr::from_str::<Value>(OPENAPI_YAML).unwrap(), openapi());
    assert_eq!(serde_saphyr::from_str::<Value>(ASYNCAPI_YAML).unwrap(), asyncapi());
}

#[test]
fn each_document_is_complete_in_itself() {
    fn look(value: &Value, document: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| look(item, document)),
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference
                        .strip_prefix('#')
                        .unwrap_or_else(|| panic!("{reference} is elsewhere"));
                    assert!(document.pointer(pointer).is_some(), "{reference} leads to nothing");
                }
                members.values().for_each(|member| look(member, document));
            }
            _ => {}
        }
    }
    for document in [openapi(), asyncapi()] {
        look(&document, &document);
    }
}

#[test]
fn every_schema_is_used() {
    let documents = [openapi(), asyncapi()];
    for (name, _) in SCHEMAS {
        assert!(
            documents.iter().any(|d| d["components"]["schemas"][name].is_object()),
            "{name}"
        );
    }
}

#[test]
fn every_answer_with_a_body_names_its_schema() {
    for (operation, answer, response) in answers(&openapi()) {
        let with_body = answer.status != 204;
        assert_eq!(answer.schema.is_some(), with_body, "{operation} {}", answer.status);
        assert_eq!(
            response["content"].is_object(),
            with_body,
            "{operation} {}",
            answer.status
        );
        assert!(
            answer.schema.is_none_or(|name| schema(name).is_some()),
            "{operation} {}",
            answer.status
        );
    }
}

#[test]
fn every_code_of_every_answer_has_an_example() {
    let document = openapi();
    let lists = answers(&document)
        .into_iter()
        .map(|(operation, _, response)| (operation.id(), response));
    let apart = members(&document["components"]["responses"]).map(|(name, response)| (name.as_str(), response));
    for (place, response) in lists.chain(apart) {
        let listed = response["x-error-codes"].as_array().into_iter().flatten();
        let listed: BTreeSet<_> = listed.filter_map(Value::as_str).collect();
        let shown = members(&response["content"]["application/json"]["examples"]);
        let shown: BTreeSet<_> = shown
            .filter_map(|(_, example)| example["value"]["code"].as_str())
            .collect();
        assert_eq!(listed, shown, "{place}");
    }
}

#[test]
fn every_answer_has_its_headers() {
    let document = openapi();
    let apart = members(&document["components"]["responses"]);
    let apart = apart.map(|(name, response)| (name.clone(), response["x-error-codes"].clone(), None, response));
    let of_calls = answers(&document).into_iter().map(|(operation, answer, response)| {
        (
            operation.to_string(),
            response["x-error-codes"].clone(),
            Some(answer),
            response,
        )
    });
    for (place, codes, answer, response) in of_calls.chain(apart) {
        let has = |code: &str| codes.as_array().into_iter().flatten().any(|listed| listed == code);
        let status = answer.map_or(0, |answer| answer.status);
        let carries_tokens = answer.is_some_and(|a| matches!(a.schema, Some("SessionResponse" | "TokensResponse")));
        for (header, expected) in [
            ("X-Request-Id", true),
            ("RateLimit", true),
            ("RateLimit-Policy", true),
            ("Retry-After", has("RATE_LIMITED") || has("SERVICE_UNAVAILABLE")),
            ("WWW-Authenticate", status == 401 || has("TOKEN_MISSING")),
            ("Allow", has("METHOD_NOT_ALLOWED")),
            ("Cache-Control", carries_tokens),
        ] {
            assert_eq!(
                response["headers"][header].is_object(),
                expected,
                "{place} {status} {header}"
            );
        }
    }
}

#[test]
fn every_call_can_fail_in_the_ways_that_all_share() {
    let document = openapi();
    for &operation in Operation::ALL {
        let codes = |status| operation.response(status).map_or(&[][..], |answer| answer.codes);
        let open = described(&document, operation)["security"]
            .as_array()
            .is_some_and(Vec::is_empty);
        assert_eq!(codes(429), ["RATE_LIMITED"], "{operation}");
        assert_eq!(codes(500), ["INTERNAL_ERROR"], "{operation}");
        assert_eq!(codes(503), ["SERVICE_UNAVAILABLE"], "{operation}");
        if !open {
            assert_eq!(
                codes(401),
                ["TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED"],
                "{operation}"
            );
        }
        let takes_body = operation.request_schema().is_some();
        assert_eq!(codes(413) == ["PAYLOAD_TOO_LARGE"], takes_body, "{operation}");
        assert_eq!(codes(415) == ["UNSUPPORTED_MEDIA_TYPE"], takes_body, "{operation}");
        assert_eq!(codes(400).contains(&"MALFORMED_JSON"), takes_body, "{operation}");
    }
    let open: Vec<_> = Operation::ALL
        .iter()
        .filter(|o| described(&document, **o)["security"].is_array())
        .collect();
    assert_eq!(
        open,
        [&Operation::Register, &Operation::Login, &Operation::RefreshToken]
    );
}

#[test]
fn the_error_event_carries_whatever_an_ack_may_and_what_has_no_ack() {
    let of_acks: BTreeSet<_> = ClientEvent::ALL
        .iter()
        .flat_map(|event| event.error_codes())
        .copied()
        .collect();
    let of_error: BTreeSet<_> = ServerEvent::Error.error_codes().iter().copied().collect();
    let beyond: Vec<_> = of_error.difference(&of_acks).copied().collect();
    assert_eq!(beyond, ["UNKNOWN_EVENT"]);
    assert!(of_acks.is_subset(&of_error));
    for event in ServerEvent::ALL {
        assert_eq!(event.error_codes().is_empty(), *event != ServerEvent::Error, "{event}");
    }
    for event in ClientEvent::ALL {
        for shared in [
            "VALIDATION_ERROR",
            "PAYLOAD_TOO_LARGE",
            "RATE_LIMITED",
            "SERVICE_UNAVAILABLE",
            "INTERNAL_ERROR",
        ] {
            assert!(event.error_codes().contains(&shared), "{event} {shared}");
        }
    }
}

#[test]
fn every_code_is_listed_once_and_is_spoken_of() {
    assert!(ERROR_CODES.is_sorted_by(|a, b| a < b), "{ERROR_CODES:?}");
    for code in ERROR_CODES {
        let spoken_of = REQUIREMENTS.iter().any(|requirement| {
            requirement
                .text
                .split(|c: char| !c.is_ascii_uppercase() && c != '_')
                .any(|word| word == *code)
        });
        assert!(spoken_of, "{code}");
    }
}

#[test]
fn every_call_and_event_has_requirements() {
    let operations: BTreeSet<_> = REQUIREMENTS.iter().flat_map(|r| r.operations).collect();
    let events: BTreeSet<_> = REQUIREMENTS.iter().flat_map(|r| r.events).copied().collect();
    for operation in Operation::ALL {
        assert!(operations.contains(operation), "{operation}");
    }
    let names = ClientEvent::ALL
        .iter()
        .map(|e| e.name())
        .chain(ServerEvent::ALL.iter().map(|e| e.name()));
    for name in names.chain(["connect", "connect_error"]) {
        assert!(events.contains(name), "{name}");
    }
}

#[test]
fn every_requirement_has_an_id_and_a_text_of_its_own() {
    let ids: BTreeSet<_> = REQUIREMENTS.iter().map(|requirement| requirement.id).collect();
    let texts: BTreeSet<_> = REQUIREMENTS.iter().map(|requirement| requirement.text).collect();
    assert_eq!(ids.len(), REQUIREMENTS.len());
    assert_eq!(texts.len(), REQUIREMENTS.len());
    assert_eq!(REQUIREMENTS_TOML.matches("[[requirement]]").count(), REQUIREMENTS.len());
}

#[test]
fn every_requirement_of_security_names_the_weakness() {
    for requirement in REQUIREMENTS
        .iter()
        .filter(|requirement| requirement.profile == Profile::Security)
    {
        assert!(
            !requirement.owasp.is_empty() || !requirement.asvs.is_empty(),
            "{}",
            requirement.id
        );
    }
}
