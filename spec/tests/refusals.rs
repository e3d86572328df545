//! What the build refuses, so that a contradiction in the documents is found where it is made.

#![allow(dead_code, reason = "the build's own modules, of which the tests use a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../build/asyncapi.rs"]
mod asyncapi;
#[path = "../build/bundle.rs"]
mod bundle;
#[path = "../build/openapi.rs"]
mod openapi;
#[path = "../build/requirements.rs"]
mod requirements;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

type Result<T> = std::result::Result<T, String>;

fn calls() -> Value {
    json!({"paths": {
        "/a": {"get": {"operationId": "getA", "responses": {"200": {}, "404": {"x-error-codes": ["A_NOT_FOUND"]}}}},
        "/b": {"post": {"operationId": "makeB", "responses": {"201": {}}}},
    }})
}

fn events() -> Value {
    let reference = |name: &str| json!([{"$ref": format!("#/components/messages/{name}")}]);
    let message = |name: &str| json!({"name": name, "payload": {"$ref": "#/components/schemas/Any"}});
    let channel = json!({"$ref": "#/channels/events"});
    json!({
        "operations": {
            "ask": {"action": "receive", "channel": channel, "messages": reference("ask"), "reply": {"messages": reference("answer")}},
            "onTell": {"action": "send", "channel": channel, "messages": reference("tell")},
        },
        "components": {"messages": {"ask": message("ask"), "answer": message("ask"), "tell": message("tell")}},
    })
}

/// A requirement that is right but for the lines given.
fn judged(changed: &str) -> Result<usize> {
    let key = changed.split(' ').next().unwrap();
    let lines = [
        r#"id = "send.answer.twice""#,
        r#"level = "MUST""#,
        r#"profile = "core""#,
        r#"text = "It is so.""#,
    ];
    let kept: Vec<&str> = lines.into_iter().filter(|line| !line.starts_with(key)).collect();
    let text = format!("[[requirement]]\n{}\n{changed}\n", kept.join("\n"));
    let (operations, events) = (openapi::operations(&calls())?, asyncapi::events(&events())?);
    requirements::parse(&text, &operations, &events).map(|requirements| requirements.len())
}

#[track_caller]
fn assert_refused<T>(result: Result<T>, why: &str) {
    let problem = result.err().unwrap();
    assert!(problem.contains(why), "{problem:?} does not say {why:?}");
}

#[test]
fn a_requirement_refers_to_what_exists_and_is_called_by_words() {
    assert_eq!(judged(r#"operations = ["getA", "makeB"]"#), Ok(1));
    assert_eq!(judged(r#"events = ["ask", "tell", "connect"]"#), Ok(1));
    assert_eq!(judged(r#"owasp = ["API10:2023"]"#), Ok(1));
    assert_eq!(judged(r#"asvs = ["V8.2.3"]"#), Ok(1));
    assert_refused(
        judged(r#"operations = ["getC"]"#),
        "\"getC\" is no operation; there are getA, makeB",
    );
    assert_refused(judged(r#"events = ["answer"]"#), "\"answer\" is no event");
    assert_refused(judged(r#"events = ["ask", "ask"]"#), "names something twice");
    assert_refused(judged(r#"level = "must""#), "\"must\" is no level");
    assert_refused(judged(r#"profile = "media""#), "\"media\" is no profile");
    assert_refused(judged(r#"text = "It is so""#), "not a sentence");
    assert_refused(judged(r#"owasp = ["API11:2023"]"#), "API11:2023");
    assert_refused(judged(r#"asvs = ["8.2.3"]"#), "8.2.3");
    assert_refused(judged(r#"note = "x""#), "unknown field");
    for bad in [
        "send",
        "Send.answer",
        "send.answer-",
        "send..answer",
        "send.a.b.c.d",
        "1.two",
        "send.an_answer",
    ] {
        assert_refused(judged(&format!("id = {bad:?}")), "two to four dot-separated parts");
    }
}

#[test]
fn two_requirements_that_would_be_one_item_are_refused() {
    let entry = |id: &str| {
        format!("[[requirement]]\nid = {id:?}\nlevel = \"MUST\"\nprofile = \"core\"\ntext = \"It is so.\"\n")
    };
    let events = asyncapi::events(&events()).unwrap();
    let read = |ids: [&str; 2]| requirements::parse(&ids.map(entry).concat(), &[], &events);
    assert_eq!(read(["send.a-b", "send.b-a"]).map(|read| read.len()), Ok(2));
    assert_refused(read(["send.a-b", "send.a-b"]), "two requirements are called send.a-b");
    assert_refused(read(["send.a-b", "send.a.b"]), "two requirements are called send.a.b");
}

#[test]
fn a_call_has_an_id_of_its_own_and_codes_on_its_failures() {
    let changed = |pointer: &str, value: Value| {
        let mut document = calls();
        *document.pointer_mut(pointer).unwrap() = value;
        openapi::operations(&document).map(|operations| operations.len())
    };
    assert_eq!(changed("/paths", calls()["paths"].clone()), Ok(2));
    assert_refused(
        changed("/paths/~1b/post/operationId", json!("getA")),
        "two operations are called getA",
    );
    assert_refused(
        changed("/paths/~1b/post/operationId", json!(null)),
        "post /b has no operationId",
    );
    assert_refused(changed("/paths/~1a/get/responses/404", json!({})), "getA: status 404");
    let success = json!({"x-error-codes": ["A"]});
    assert_refused(changed("/paths/~1a/get/responses/200", success), "getA: status 200");
    let nowhere = json!({"$ref": "#/components/responses/No"});
    assert_refused(
        changed("/paths/~1a/get/responses/404", nowhere),
        "nothing is at #/components/responses/No",
    );
}

#[test]
fn a_received_event_has_an_ack_and_a_sent_one_has_none() {
    let mut without = events();
    without["operations"]["ask"].as_object_mut().unwrap().remove("reply");
    assert_refused(asyncapi::events(&without), "ask: received events have an ack");
    let mut with = events();
    with["operations"]["onTell"]["reply"] = with["operations"]["ask"]["reply"].clone();
    assert_refused(asyncapi::events(&with), "onTell: received events have an ack");
}

#[test]
fn a_bundle_takes_what_it_refers_to_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    fs::create_dir(dir.path().join("schemas")).unwrap();
    fs::create_dir(dir.path().join("parts")).unwrap();
    put("schemas/Leaf.json", r#"{"type": "string"}"#);
    put(
        "schemas/Tree.json",
        r#"{"type": "array", "items": {"anyOf": [{"$ref": "Leaf.json"}, {"$ref": "Tree.json"}]}}"#,
    );
    put("schemas/Stone.json", r#"{"type": "null"}"#);
    put(
        "parts/one.yaml",
        "first:\n  schema: {$ref: ../schemas/Tree.json}\n  answer: {$ref: ../root.yaml#/components/answers/yes}\n",
    );
    put(
        "root.yaml",
        "paths:\n  /first: {$ref: parts/one.yaml#/first}\ncomponents:\n  answers:\n    yes: {text: y}\n",
    );
    put("lost.yaml", "paths: {$ref: parts/two.yaml#/second}\n");
    put("parts/two.yaml", "first: 1\n");
    put("circle.yaml", "paths: {$ref: parts/three.yaml#/a}\n");
    put("parts/three.yaml", "a: {$ref: four.yaml#/a}\n");
    put("parts/four.yaml", "a: {$ref: three.yaml#/a}\n");
    put("unknown.yaml", "paths: {$ref: schemas/Bush.json}\n");
    put("mixed.yaml", "paths: {$ref: schemas/Leaf.json, description: more}\n");
    let schemas = bundle::schemas(&dir.path().join("schemas")).unwrap();
    let read = |name: &str| bundle::document(&dir.path().join(name), &schemas);

    let bundled = read("root.yaml").unwrap();
    assert_eq!(
        bundled["paths"]["/first"],
        json!({"schema": {"$ref": "#/components/schemas/Tree"}, "answer": {"$ref": "#/components/answers/yes"}})
    );
    let inside = json!({
        "Leaf": {"type": "string"},
        "Tree": {"type": "array", "items": {"anyOf": [{"$ref": "#/components/schemas/Leaf"}, {"$ref": "#/components/schemas/Tree"}]}},
    });
    assert_eq!(bundled["components"]["schemas"], inside);
    assert_refused(read("lost.yaml"), "parts/two.yaml#/second leads to nothing");
    assert_refused(read("circle.yaml"), "three.yaml refers to itself");
    assert_refused(read("unknown.yaml"), "schemas/Bush.json leads to nothing");
    assert_refused(read("mixed.yaml"), "has siblings");
    assert_refused(
        bundle::document(Path::new("nowhere.yaml"), &schemas),
        "cannot read nowhere.yaml",
    );
    assert_eq!(bundle::self_contained("Leaf", &schemas), Ok(json!({"type": "string"})));
}
