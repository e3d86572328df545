//! The schemas mean the same in both drafts, take every example, and refuse what the contract forbids.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use chat_spec::{ASYNCAPI_JSON, OPENAPI_JSON, SCHEMAS, schema};
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

struct Validators(BTreeMap<&'static str, [Validator; 2]>);

impl Validators {
    fn new() -> Self {
        let both = |text: &str| {
            let schema: Value = serde_json::from_str(text).unwrap();
            [Draft::Draft7, Draft::Draft202012]
                .map(|draft| jsonschema::options().with_draft(draft).build(&schema).unwrap())
        };
        Self(SCHEMAS.iter().map(|(name, text)| (*name, both(text))).collect())
    }

    #[track_caller]
    fn assert_valid(&self, name: &str, example: &Value, place: &str) {
        for validator in &self.0[name] {
            let faults = validator.iter_errors(example);
            let faults: Vec<_> = faults
                .map(|fault| format!("{}: {fault}", fault.instance_path()))
                .collect();
            assert!(faults.is_empty(), "{place} is no {name}: {faults:?}");
        }
    }

    #[track_caller]
    fn assert_refused(&self, name: &str, value: &Value) {
        for validator in &self.0[name] {
            assert!(!validator.is_valid(value), "{name} takes {value}");
        }
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
    let validators = Validators::new();
    let mut count = 0;
    let mut check = |content: &Value, place: &str| {
        let content = &content["application/json"];
        if content.is_object() {
            assert!(members(&content["examples"]).next().is_some(), "{place} has no example");
        }
        for (name, example) in members(&content["examples"]) {
            let place = format!("{place}, example {name}");
            validators.assert_valid(name_of(&content["schema"]), &example["value"], &place);
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
fn every_message_of_asyncapi_has_valid_examples_and_every_ack_a_refusal() {
    let asyncapi: Value = serde_json::from_str(ASYNCAPI_JSON).unwrap();
    let validators = Validators::new();
    for (name, message) in members(&asyncapi["components"]["messages"]) {
        let examples = message["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            validators.assert_valid(name_of(&message["payload"]), &example["payload"], name);
        }
        if name.ends_with("_ack") {
            let outcomes: Vec<_> = examples.iter().map(|example| &example["payload"]["ok"]).collect();
            assert_eq!(outcomes, [true, false], "{name}");
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
                    .for_each(|(name, schema)| look(schema, &format!("{place}.{name}"))),
                "items" | "not" => look(value, &format!("{place}.{keyword}")),
                "anyOf" => value.as_array().unwrap().iter().for_each(|schema| look(schema, place)),
                _ => {}
            }
        }
    }
    for (name, text) in SCHEMAS {
        let mut whole: Value = serde_json::from_str(text).unwrap();
        // What the build adds so that a schema needs no other file; the files have none.
        let beside = whole.as_object_mut().unwrap().remove("$defs");
        look(&whole, name);
        members(&beside.unwrap_or_default()).for_each(|(name, schema)| look(schema, name));
    }
}

#[test]
fn schemas_are_found_by_name() {
    for (name, text) in SCHEMAS {
        assert_eq!(schema(name), Some(*text));
    }
    assert_eq!(schema("Users"), None);
}

#[test]
fn users_are_refused_that_show_too_much_or_too_little() {
    let user = json!({"id": "a", "username": "ann", "status": "online", "lastSeen": null, "profilePicture": null, "bio": null});
    let with = |name: &str, value: Value| {
        let mut user = user.clone();
        user[name] = value;
        user
    };
    let without = |name: &str| {
        let mut user = user.clone();
        user.as_object_mut().unwrap().remove(name);
        user
    };
    let validators = Validators::new();
    validators.assert_valid("User", &user, "the user");
    validators.assert_valid(
        "User",
        &with("lastSeen", json!("2026-01-15T09:30:00.000Z")),
        "the user seen",
    );
    for name in ["email", "createdAt", "password", "passwordHash"] {
        validators.assert_refused("User", &with(name, json!("x")));
    }
    for name in ["id", "username", "status", "lastSeen", "profilePicture", "bio"] {
        validators.assert_refused("User", &without(name));
    }
    for bad in [
        with("status", json!("invisible")),
        with("lastSeen", json!("2026-01-15T09:30:00Z")),
        with("lastSeen", json!("2026-01-15T09:30:00.000+00:00")),
        with("lastSeen", json!("2026-01-15T09:30:00.000000Z")),
        with("id", json!("")),
        with("id", json!("a b")),
        with("bio", json!(7)),
    ] {
        validators.assert_refused("User", &bad);
    }
    validators.assert_refused("OwnUser", &user);
}

#[test]
fn acks_are_one_of_two_shapes() {
    let validators = Validators::new();
    let error = json!({"message": "No.", "code": "NO"});
    for name in [
        "AuthenticateAck",
        "JoinChatAck",
        "SendMessageAck",
        "TypingAck",
        "ReadReceiptAck",
        "UpdateStatusAck",
    ] {
        validators.assert_valid(name, &json!({"ok": false, "error": error}), "the refusal");
        validators.assert_refused(name, &json!({"ok": false}));
        validators.assert_refused(name, &json!({"ok": "true"}));
        validators.assert_refused(name, &json!({"error": error}));
        validators.assert_refused(name, &json!(null));
    }
    for name in ["AuthenticateAck", "JoinChatAck", "SendMessageAck"] {
        validators.assert_refused(name, &json!({"ok": true}));
    }
}

#[test]
fn errors_are_told_in_one_shape() {
    let validators = Validators::new();
    let detail = json!({"field": "content", "message": "is required"});
    for good in [
        json!({"message": "No.", "code": "NO"}),
        json!({"message": "No.", "code": "NO", "requestId": "a.b-c", "retryAfter": 1}),
        json!({"message": "No.", "code": "NO", "details": [detail]}),
    ] {
        validators.assert_valid("Error", &good, "the error");
    }
    for bad in [
        json!({"error": "No."}),
        json!({"message": "No."}),
        json!({"message": "", "code": "NO"}),
        json!({"message": "No.", "code": "no"}),
        json!({"message": "No.", "code": "NO", "details": "content"}),
        json!({"message": "No.", "code": "NO", "details": [{"field": "content"}]}),
        json!({"message": "No.", "code": "NO", "retryAfter": "1"}),
        json!({"message": "No.", "code": "NO", "retryAfter": 0}),
    ] {
        validators.assert_refused("Error", &bad);
    }
}
