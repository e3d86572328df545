//! Turns the documents of this folder into Rust items, and refuses documents that contradict each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// As written in requirements.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    id: String,
    level: String,
    profile: String,
    text: String,
    #[serde(default)]
    owasp: Vec<String>,
    #[serde(default)]
    asvs: Vec<String>,
    #[serde(default)]
    operations: Vec<String>,
    #[serde(default)]
    events: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirements {
    requirement: Vec<Requirement>,
}

fn main() {
    for input in ["requirements.toml", "openapi.yaml", "asyncapi.yaml", "schemas"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let schemas = schemas(Path::new("schemas"));
    let openapi = bundle(yaml("openapi.yaml"), &schemas);
    let asyncapi = bundle(yaml("asyncapi.yaml"), &schemas);
    let mut code = String::new();
    let mut codes = BTreeSet::new();
    let operations = operations(&openapi, &mut code, &mut codes);
    let events = events(&asyncapi, &mut code, &mut codes);
    let _ = writeln!(
        code,
        "/// Every error code that a server may send.\npub const ERROR_CODES: &[&str] = &{:?};",
        codes.iter().collect::<Vec<_>>()
    );
    let _ = writeln!(code, "const SCHEMAS: &[(&str, &str)] = &[");
    for name in schemas.keys() {
        let whole = self_contained(name, &schemas);
        let _ = writeln!(code, "    ({name:?}, {:?}),", whole.to_string());
    }
    let _ = writeln!(code, "];");
    requirements(&operations, &events, &mut code);
    write(&out.join("generated.rs"), &code);
    for (name, document) in [("openapi", &openapi), ("asyncapi", &asyncapi)] {
        write(&out.join(format!("{name}.json")), &format!("{document:#}\n"));
        let text = serde_saphyr::to_string(document).unwrap_or_else(|error| fail(&format!("{name}: {error}")));
        write(&out.join(format!("{name}.yaml")), &text);
    }
}

fn schemas(dir: &Path) -> BTreeMap<String, Value> {
    let listing = fs::read_dir(dir).unwrap_or_else(|error| fail(&format!("schemas: {error}")));
    let files = listing.flatten().map(|entry| entry.path());
    let read = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        let schema = serde_json::from_str(&read(&path)).unwrap_or_else(|e| fail(&format!("{}: {e}", path.display())));
        Some((name, schema))
    };
    files.filter_map(read).collect()
}

/// The document with every schema inside: references to files become references within.
fn bundle(mut document: Value, schemas: &BTreeMap<String, Value>) -> Value {
    redirect(&mut document, "schemas/", "#/components/schemas/", schemas);
    let mut inside = Map::new();
    for (name, schema) in schemas {
        let mut schema = schema.clone();
        redirect(&mut schema, "", "#/components/schemas/", schemas);
        inside.insert(name.clone(), schema);
    }
    let used = |inside: &Map<String, Value>, document: &Value| -> BTreeSet<String> {
        let mut text = document.to_string();
        loop {
            let names: BTreeSet<String> = (inside.keys())
                .filter(|name| text.contains(&format!("\"#/components/schemas/{name}\"")))
                .cloned()
                .collect();
            let more: String = names.iter().map(|name| inside[name].to_string()).collect();
            let longer = document.to_string() + &more;
            if longer.len() == text.len() {
                return names;
            }
            text = longer;
        }
    };
    if let Some(components) = document["components"].as_object_mut() {
        components.remove("schemas");
    }
    let used = used(&inside, &document);
    inside.retain(|name, _| used.contains(name));
    document["components"]["schemas"] = Value::Object(inside);
    document
}

/// A schema with all it refers to, for validators that know no other document.
fn self_contained(name: &str, schemas: &BTreeMap<String, Value>) -> Value {
    let mut defs = Map::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        if defs.contains_key(&name) {
            continue;
        }
        let mut schema = schemas[&name].clone();
        redirect(&mut schema, "", "#/$defs/", schemas);
        let text = schema.to_string();
        open.extend(
            schemas
                .keys()
                .filter(|other| text.contains(&format!("\"#/$defs/{other}\"")))
                .cloned(),
        );
        defs.insert(name, schema);
    }
    json!({"$ref": format!("#/$defs/{name}"), "$defs": defs})
}

/// Rewrites `$ref: <from>Name.json` to `<to>Name`.
fn redirect(value: &mut Value, from: &str, to: &str, schemas: &BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref")
                && let Some(name) = target.strip_prefix(from).and_then(|rest| rest.strip_suffix(".json"))
            {
                if !schemas.contains_key(name) {
                    fail(&format!("there is no schema {name:?} for {target:?}"));
                }
                *target = format!("{to}{name}");
            }
            members
                .values_mut()
                .for_each(|member| redirect(member, from, to, schemas));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, from, to, schemas)),
        _ => {}
    }
}

/// One call, as read from openapi.yaml.
struct Call {
    id: String,
    method: String,
    path: String,
    summary: String,
    /// Status, codes, schema of the body.
    responses: Vec<(u16, Vec<String>, Option<String>)>,
}

fn operations(openapi: &Value, code: &mut String, codes: &mut BTreeSet<String>) -> Vec<String> {
    let mut calls = Vec::new();
    for (path, item) in members(&openapi["paths"]) {
        for (method, operation) in members(item) {
            let id = text(&operation["operationId"], &format!("operationId of {method} {path}"));
            let responses = members(&operation["responses"]).map(|(status, response)| {
                let response = match response["$ref"].as_str() {
                    Some(target) => openapi.pointer(target.trim_start_matches('#')).unwrap_or(&Value::Null),
                    None => response,
                };
                let status = status
                    .parse()
                    .unwrap_or_else(|_| fail(&format!("{id}: status {status}")));
                (
                    status,
                    list(&response["x-error-codes"]),
                    schema_name(&response["content"]["application/json"]["schema"]),
                )
            });
            let responses: Vec<_> = responses.collect();
            codes.extend(responses.iter().flat_map(|(_, codes, _)| codes.clone()));
            calls.push(Call {
                responses,
                method: method.to_uppercase(),
                path: path.clone(),
                summary: text(&operation["summary"], &id),
                id,
            });
        }
    }
    for (_, response) in members(&openapi["components"]["responses"]) {
        codes.extend(list(&response["x-error-codes"]));
    }
    let ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    enumeration(code, "Operation", "A REST call of openapi.yaml.", &ids);
    let _ = writeln!(code, "impl Operation {{");
    method(code, "id", "Its operationId.", "&'static str", &calls, |c| {
        (&c.id, format!("{:?}", c.id))
    });
    method(
        code,
        "method",
        "`GET`, `POST`, `PUT` or `DELETE`.",
        "&'static str",
        &calls,
        |c| (&c.id, format!("{:?}", c.method)),
    );
    method(
        code,
        "path",
        "With parameters in braces.",
        "&'static str",
        &calls,
        |c| (&c.id, format!("{:?}", c.path)),
    );
    method(code, "summary", "What it does.", "&'static str", &calls, |c| {
        (&c.id, format!("{:?}", c.summary))
    });
    method(
        code,
        "responses",
        "Every status that it may answer with.",
        "&'static [Answer]",
        &calls,
        |call| {
            let answers: String = (call.responses.iter())
                .map(|(status, codes, schema)| {
                    format!("Answer {{ status: {status}, codes: &{codes:?}, schema: {schema:?} }}, ")
                })
                .collect();
            (&call.id, format!("&[{answers}]"))
        },
    );
    let _ = writeln!(code, "}}");
    calls.into_iter().map(|call| call.id).collect()
}

/// One event or ack, as read from asyncapi.yaml.
struct Event {
    name: String,
    schema: String,
    ack: Option<String>,
    codes: Vec<String>,
}

fn events(asyncapi: &Value, code: &mut String, codes: &mut BTreeSet<String>) -> Vec<String> {
    let message = |reference: &Value| -> (String, String) {
        let target = text(&reference["$ref"], "a message");
        let name = target.rsplit('/').next().unwrap_or_default().to_owned();
        let payload = &asyncapi["components"]["messages"][&name]["payload"];
        let schema = schema_name(payload).unwrap_or_else(|| fail(&format!("message {name} has no schema")));
        (name, schema)
    };
    let (mut client, mut server) = (Vec::new(), Vec::new());
    for (name, operation) in members(&asyncapi["operations"]) {
        let found = list(&operation["x-error-codes"]);
        codes.extend(found.clone());
        if name == "connect" {
            continue;
        }
        let (name, schema) = message(&operation["messages"][0]);
        let reply = &operation["reply"]["messages"][0];
        let ack = reply.is_object().then(|| message(reply).1);
        let side = if operation["action"] == "receive" {
            &mut client
        } else {
            &mut server
        };
        side.push(Event {
            name,
            schema,
            ack,
            codes: found,
        });
    }
    for (kind, doc, events) in [
        ("ClientEvent", "An event that a client sends.", &client),
        ("ServerEvent", "An event that the server sends.", &server),
    ] {
        let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        enumeration(code, kind, doc, &names);
        let _ = writeln!(code, "impl {kind} {{");
        method(code, "name", "As on the wire.", "&'static str", events, |e| {
            (&e.name, format!("{:?}", e.name))
        });
        method(
            code,
            "schema",
            "The schema of its payload.",
            "&'static str",
            events,
            |e| (&e.name, format!("{:?}", e.schema)),
        );
        if kind == "ClientEvent" {
            let ack = |e: &Event| {
                e.ack
                    .clone()
                    .unwrap_or_else(|| fail(&format!("{} has no reply", e.name)))
            };
            method(
                code,
                "ack_schema",
                "The schema of its ack.",
                "&'static str",
                events,
                |e| (&e.name, format!("{:?}", ack(e))),
            );
            let doc = "Every error code that its ack may carry.";
            method(code, "error_codes", doc, "&'static [&'static str]", events, |e| {
                (&e.name, format!("&{:?}", e.codes))
            });
        }
        let _ = writeln!(code, "}}");
    }
    let connection = ["connect", "connect_error"].map(str::to_owned);
    client
        .into_iter()
        .chain(server)
        .map(|event| event.name)
        .chain(connection)
        .collect()
}

fn requirements(operations: &[String], events: &[String], code: &mut String) {
    let parsed: Requirements = toml::from_str(&read(Path::new("requirements.toml")))
        .unwrap_or_else(|e| fail(&format!("requirements.toml: {e}")));
    let (mut statics, mut all, mut seen) = (String::new(), String::new(), BTreeSet::new());
    for requirement in &parsed.requirement {
        let Requirement {
            id,
            level,
            profile,
            text,
            owasp,
            asvs,
            ..
        } = requirement;
        let wrong = |what: &str| -> ! { fail(&format!("requirements.toml: {id}: {what}")) };
        let words = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !(2..=4).contains(&id.split('.').count()) || !id.split('.').all(words) {
            wrong("an id is two to four parts of lower-case words: send.idempotent.repeat-same-answer");
        }
        let constant = id.to_uppercase().replace(['.', '-'], "_");
        if !seen.insert(constant.clone()) {
            wrong("this id is used twice");
        }
        if !matches!(level.as_str(), "MUST" | "SHOULD" | "MAY") {
            wrong("level is MUST, SHOULD or MAY");
        }
        if !matches!(profile.as_str(), "core" | "edits" | "recovery" | "security" | "cluster") {
            wrong("profile is core, edits, recovery, security or cluster");
        }
        if !text.ends_with('.') {
            wrong("the text is whole sentences");
        }
        let known = |names: &[String], known: &[String]| names.iter().find(|name| !known.contains(name)).cloned();
        if let Some(name) = known(&requirement.operations, operations).or_else(|| known(&requirement.events, events)) {
            wrong(&format!("there is no {name:?} in openapi.yaml or asyncapi.yaml"));
        }
        let about: String = requirement
            .operations
            .iter()
            .map(|id| format!("Operation::{}, ", camel(id)))
            .collect();
        let _ = writeln!(
            statics,
            "    #[doc = {text:?}]\n    pub static {constant}: Requirement = Requirement {{ id: {id:?}, level: Level::{}, profile: Profile::{}, \
             text: {text:?}, owasp: &{owasp:?}, asvs: &{asvs:?}, operations: &[{about}], events: &{:?} }};",
            camel(&level.to_lowercase()),
            camel(profile),
            requirement.events,
        );
        let _ = write!(all, "&req::{constant}, ");
    }
    let _ = writeln!(
        code,
        "/// Every requirement by its id, so that the compiler knows a misspelt one.\n#[allow(missing_docs)]\npub mod req {{\n    \
         use super::{{Level, Operation, Profile, Requirement}};\n{statics}}}\n\
         /// Every requirement in the order of requirements.toml.\npub static REQUIREMENTS: &[&Requirement] = &[{all}];"
    );
}

fn enumeration(code: &mut String, name: &str, doc: &str, ids: &[&str]) {
    let variants: String = ids
        .iter()
        .map(|id| format!("    /// `{id}`\n    {},\n", camel(id)))
        .collect();
    let all: String = ids.iter().map(|id| format!("{name}::{}, ", camel(id))).collect();
    let _ = writeln!(
        code,
        "/// {doc}\n#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]\npub enum {name} {{\n{variants}}}\n\
         impl {name} {{\n    /// All of them, in the order of the document.\n    pub const ALL: &'static [{name}] = &[{all}];\n}}"
    );
}

/// A method that answers differently for every variant.
fn method<T>(code: &mut String, name: &str, doc: &str, kind: &str, items: &[T], arm: impl Fn(&T) -> (&String, String)) {
    let _ = writeln!(
        code,
        "    /// {doc}\n    pub fn {name}(self) -> {kind} {{\n        match self {{"
    );
    for item in items {
        let (id, value) = arm(item);
        let _ = writeln!(code, "            Self::{} => {value},", camel(id));
    }
    let _ = writeln!(code, "        }}\n    }}");
}

/// `new_message` and `sendMessage` as names of variants.
fn camel(name: &str) -> String {
    let capital = |word: &str| {
        word.chars()
            .take(1)
            .flat_map(char::to_uppercase)
            .chain(word.chars().skip(1))
            .collect::<String>()
    };
    name.split('_').map(capital).collect()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn text(value: &Value, what: &str) -> String {
    value
        .as_str()
        .map_or_else(|| fail(&format!("{what} is missing")), str::to_owned)
}

fn schema_name(schema: &Value) -> Option<String> {
    Some(schema["$ref"].as_str()?.rsplit('/').next()?.to_owned())
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&read(Path::new(file))).unwrap_or_else(|error| fail(&format!("{file}: {error}")))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())))
}

fn write(path: &Path, text: &str) {
    if let Err(error) = fs::write(path, text) {
        fail(&format!("{}: {error}", path.display()));
    }
}

fn fail(what: &str) -> ! {
    println!("cargo::error={what}");
    process::exit(1)
}
