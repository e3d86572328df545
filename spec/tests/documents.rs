//! The documents agree with themselves and with each other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use chat_spec::{ASYNCAPI_JSON, ClientEvent, OPENAPI_JSON, Operation, REQUIREMENTS, ServerEvent, schema, schema_names};
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// What means the same in draft-07 and in 2020-12.
const KEYWORDS: &[&str] = &[
    "$ref",
    "anyOf",
    "const",
    "description",
    "enum",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "not",
    "pattern",
    "properties",
    "required",
    "type",
];

fn validators(name: &str) -> [Validator; 2] {
    let schema: Value = serde_json::from_str(schema(name).unwrap_or_else(|| panic!("no schema {name}"))).unwrap();
    [Draft::Draft7, Draft::Draft202012].map(|draft| jsonschema::options().with_draft(draft).build(&schema).unwrap())
}

#[track_caller]
fn assert_valid(name: &str, example: &Value, place: &str) {
    for validator in validators(name) {
        let wrong: Vec<String> = validator
            .iter_errors(example)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{place} is no {name}: {wrong:?}");
    }
}

fn name_of(reference: &Value) -> &str {
    reference["$ref"]
        .as_str()
        .and_then(|target| target.rsplit('/').next())
        .unwrap()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[test]
fn every_example_of_openapi_is_valid_in_both_drafts() {
    let openapi: Value = serde_json::from_str(OPENAPI_JSON).unwrap();
    let mut count = 0;
    let mut check = |content: &Value, place: &str| {
        let content = &content["application/json"];
        for (name, example) in members(&content["examples"]) {
            assert_valid(
                name_of(&content["schema"]),
                &example["value"],
                &format!("{place}, example {name}"),
            );
            count += 1;
        }
    };
    for (path, item) in members(&openapi["paths"]) {
        for (method, operation) in members(item) {
            let place = format!("{method} {path}");
            check(&operation["requestBody"]["content"], &place);
            for (status, response) in members(&operation["responses"]) {
                check(&response["content"], &format!("{place} {status}"));
            }
        }
    }
    for (name, response) in members(&openapi["components"]["responses"]) {
        check(&response["content"], name);
    }
    assert!(count > 60, "{count} examples");
}

#[test]
fn every_message_of_asyncapi_has_a_valid_example() {
    let asyncapi: Value = serde_json::from_str(ASYNCAPI_JSON).unwrap();
    for (name, message) in members(&asyncapi["components"]["messages"]) {
        let examples = message["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            assert_valid(name_of(&message["payload"]), &example["payload"], name);
        }
    }
}

#[test]
fn every_call_answers_every_success_with_an_example() {
    let openapi: Value = serde_json::from_str(OPENAPI_JSON).unwrap();
    for operation in Operation::ALL {
        let responses = &openapi["paths"][operation.path()][operation.method().to_lowercase()]["responses"];
        for answer in operation.responses() {
            let response = &responses[answer.status.to_string()];
            let with_body = answer.status != 204;
            assert_eq!(answer.schema.is_some(), with_body, "{operation:?} {}", answer.status);
            assert_eq!(
                answer.codes.is_empty(),
                answer.status < 400,
                "{operation:?} {}",
                answer.status
            );
            assert!(response.is_object());
        }
    }
}

#[test]
fn schemas_use_only_what_both_drafts_mean_alike() {
    fn look(schema: &Value, place: &str) {
        let Some(members) = schema.as_object() else { return };
        if members.contains_key("$ref") {
            assert_eq!(members.len(), 1, "{place}: draft-07 ignores what stands beside $ref");
        }
        for (keyword, value) in members {
            assert!(KEYWORDS.contains(&keyword.as_str()), "{place}: {keyword}");
            match keyword.as_str() {
                "properties" => value
                    .as_object()
                    .unwrap()
                    .iter()
                    .for_each(|(name, s)| look(s, &format!("{place}.{name}"))),
                "items" | "not" => look(value, &format!("{place}.{keyword}")),
                "anyOf" => value.as_array().unwrap().iter().for_each(|s| look(s, place)),
                _ => {}
            }
        }
    }
    for name in schema_names() {
        let whole: Value = serde_json::from_str(schema(name).unwrap()).unwrap();
        members(&whole["$defs"]).for_each(|(name, schema)| look(schema, name));
    }
}

#[test]
fn schemas_refuse_what_the_contract_forbids() {
    let user = json!({"id": "a", "username": "ann", "status": "online", "lastSeen": null, "profilePicture": null, "bio": null});
    let with = |name: &str, value: Value| {
        let mut user = user.clone();
        user[name] = value;
        user
    };
    assert_valid("User", &user, "the user");
    for bad in [
        with("email", json!("ann@x.org")),
        with("passwordHash", json!("x")),
        with("status", json!("invisible")),
        with("lastSeen", json!("2026-01-15T09:30:00Z")),
        with("lastSeen", json!("2026-01-15T09:30:00.000+00:00")),
        with("id", json!("")),
        with("bio", json!(7)),
        json!({"id": "a", "username": "ann", "status": "online", "profilePicture": null, "bio": null}),
    ] {
        for validator in validators("User") {
            assert!(!validator.is_valid(&bad), "{bad}");
        }
    }
    for validator in validators("SendMessageAck") {
        assert!(!validator.is_valid(&json!({"ok": true})));
        assert!(!validator.is_valid(&json!({"ok": false})));
    }
}

#[test]
fn every_call_and_event_has_requirements() {
    let operations: BTreeSet<_> = REQUIREMENTS.iter().flat_map(|r| r.operations).collect();
    let events: BTreeSet<_> = REQUIREMENTS.iter().flat_map(|r| r.events).copied().collect();
    for operation in Operation::ALL {
        assert!(operations.contains(operation), "{operation:?}");
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
fn the_contract_has_its_size() {
    assert_eq!(Operation::ALL.len(), 18);
    assert_eq!(ClientEvent::ALL.len(), 6);
    assert_eq!(ServerEvent::ALL.len(), 11);
    assert!(REQUIREMENTS.len() >= 200, "{}", REQUIREMENTS.len());
}
