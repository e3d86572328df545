//! Every field of every schema: left out, null or of a wrong type, and another lawful value that is not true.

use chat_spec::{ClientEvent, Operation, ServerEvent};
use serde_json::Value;

use super::super::edit::{Edit, Step, shown};
use super::super::mutant::{At, How, Mutant};

/// A field that a schema names.
struct Field {
    path: Vec<Step>,
    nullable: bool,
    required: bool,
    /// It is no object, which its own fields stand for, and no constant.
    has_another_value: bool,
    /// Its schema is the one of ids, or of times.
    formed: Option<&'static str>,
    /// The schema that it stands in.
    owner: String,
}

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all = Vec::new();
    for operation in Operation::ALL.iter().copied() {
        for answer in operation.responses().iter().filter(|answer| answer.status < 400) {
            let at = At::Answers {
                operation: Some(operation),
                status: Some(answer.status),
                code: None,
            };
            let title = format!("{operation} {}", answer.status);
            of_schema(&mut all, answer.schema.unwrap_or_default(), &title, &at);
        }
    }
    for event in ServerEvent::ALL.iter().copied() {
        let at = At::Events {
            name: event.name(),
            code: None,
        };
        of_schema(&mut all, event.schema(), event.name(), &at);
    }
    for event in ClientEvent::ALL.iter().copied() {
        let at = At::Acks { event: event.name() };
        of_schema(&mut all, event.ack_schema(), &format!("ack of {event}"), &at);
    }
    let at = At::Statuses(400, 600);
    of_schema(&mut all, "Error", "any refusal", &at);
    all
}

fn of_schema(all: &mut Vec<Mutant>, schema: &str, title: &str, at: &At) {
    let Some(text) = chat_spec::schema(schema) else { return };
    let Ok(root) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let mut fields = Vec::new();
    walk(&root, &root, schema, &mut Vec::new(), &mut fields);
    for field in fields {
        let mut shapes = vec![Edit::WrongType];
        if field.required {
            shapes.push(Edit::Remove);
        }
        if !field.nullable {
            shapes.push(Edit::Null);
        }
        if field.formed.is_some() && !field.nullable {
            shapes.push(Edit::BadForm);
        }
        // One look at the schema notices all of them: in turn they all come up often enough.
        let shape = shapes[all.len() / 2 % shapes.len()];
        let lie = field.has_another_value.then_some(Edit::Lie);
        for edit in [shape].into_iter().chain(lie) {
            all.push(Mutant {
                name: format!("field/{title}/{}/{edit:?}", shown(&field.path)),
                breaks: breaks(&field, edit),
                at: at.clone(),
                how: How::Json(field.path.clone(), edit),
            });
        }
    }
}

/// The fields of a schema and of what it refers to.
fn walk(root: &Value, schema: &Value, owner: &str, path: &mut Vec<Step>, found: &mut Vec<Field>) {
    if let Some((schema, owner)) = referred(root, schema) {
        return walk(root, schema, &owner, path, found);
    }
    // Of an ack, the answer to a success.
    if let Some(first) = schema["anyOf"].get(0).filter(|first| first.get("properties").is_some()) {
        return walk(root, first, owner, path, found);
    }
    if schema.get("items").is_some() {
        path.push(Step::Each);
        walk(root, &schema["items"], owner, path, found);
        path.pop();
    }
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in properties {
        path.push(Step::Member(name.clone()));
        found.push(Field {
            path: path.clone(),
            nullable: allows_null(root, property),
            has_another_value: has_another_value(root, property),
            formed: form(root, property),
            required: required.iter().any(|required| required == name.as_str()),
            owner: owner.to_owned(),
        });
        walk(root, property, owner, path, found);
        path.pop();
    }
}

fn referred<'a>(root: &'a Value, schema: &'a Value) -> Option<(&'a Value, String)> {
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    let name = name.trim_end_matches(".json");
    Some((root["$defs"].get(name)?, name.to_owned()))
}

fn has_another_value(root: &Value, schema: &Value) -> bool {
    match referred(root, schema) {
        Some((schema, _)) => has_another_value(root, schema),
        None => schema.get("const").is_none() && schema.get("properties").is_none() && schema["type"] != "null",
    }
}

fn allows_null(root: &Value, schema: &Value) -> bool {
    if let Some((schema, _)) = referred(root, schema) {
        return allows_null(root, schema);
    }
    let is_null = |kind: &Value| kind == "null";
    is_null(&schema["type"])
        || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_null))
        || (schema["anyOf"].as_array()).is_some_and(|any| any.iter().any(|one| allows_null(root, one)))
}

/// The requirement about the form of an id or a time.
fn form(root: &Value, schema: &Value) -> Option<&'static str> {
    let one = schema["anyOf"].get(0).unwrap_or(schema);
    match referred(root, one)?.1.as_str() {
        "Id" => Some("ids.format.opaque"),
        "Timestamp" => Some("timestamps.format.rfc3339-millis"),
        _ => None,
    }
}

fn breaks(field: &Field, edit: Edit) -> Vec<&'static str> {
    if edit == Edit::Lie {
        // What it breaks depends on the field; whoever knows the truth may tell. Of tokens, who uses them.
        return match field.path.last() {
            Some(Step::Member(name)) if name == "accessToken" || name == "refreshToken" => vec![
                "login.success.session",
                "password.change.tokens",
                "refresh.success.rotated",
                "register.success.logged-in",
            ],
            Some(Step::Member(name)) if name == "nextCursor" => {
                vec!["lists.cursor.last-page-null", "lists.cursor.walk-complete"]
            }
            _ => Vec::new(),
        };
    }
    let breaks = match field.owner.as_str() {
        "User" => vec!["shapes.user.public-fields"],
        "OwnUser" => vec!["shapes.user.own-fields"],
        "Message" => vec!["shapes.message.fields"],
        "Chat" => vec!["shapes.chat.fields"],
        "Tokens" => vec!["shapes.tokens.fields"],
        "Error" => vec!["errors.shape.rest"],
        "NewMessageEvent" => vec!["message.new.fields"],
        "MessageSentEvent" => vec!["message.sent.fields"],
        "SendMessageAck" => vec!["message.ack.fields"],
        "MessageReadEvent" => vec!["read.event.fields"],
        "UserOnlineEvent" | "UserOfflineEvent" => vec!["presence.online.fields"],
        "UserStatusChangedEvent" => vec!["presence.status.fields"],
        "UserStatus" => vec!["users.status.shape"],
        "TypingStatusEvent" => vec!["typing.event.peer-devices"],
        "UsersResponse" | "ChatsResponse" | "MessagesResponse" | "ConversationResponse" => vec!["lists.shape.page"],
        _ => Vec::new(),
    };
    if edit == Edit::Remove && field.nullable && !breaks.is_empty() {
        return vec!["json.response.nulls-present"];
    }
    if edit == Edit::BadForm {
        return field.formed.into_iter().collect();
    }
    breaks
}
