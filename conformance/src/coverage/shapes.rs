//! Properties × present, null and absent.

use std::collections::BTreeMap;

use chat_spec::{ClientEvent, Operation, ServerEvent};
use serde_json::Value;

use super::{Named, Seen};
use crate::engine::Record;
use crate::engine::transcript::What;

/// The schemas of everything that goes over the wire.
pub(super) struct Shapes {
    schemas: BTreeMap<&'static str, Value>,
}

/// A place in a schema, with the name that its properties go by.
#[derive(Clone, Copy)]
struct Place<'a> {
    root: &'a Value,
    schema: &'a Value,
}

impl Shapes {
    pub(super) fn new() -> Self {
        let read = |name: &'static str| {
            let text = chat_spec::schema(name).unwrap_or("{}");
            (name, serde_json::from_str(text).unwrap_or_default())
        };
        Self {
            schemas: roots().into_iter().map(read).collect(),
        }
    }

    pub(super) fn named(&self) -> Vec<Named> {
        let mut named = Vec::new();
        for (name, root) in &self.schemas {
            collect(Place { root, schema: root }, name, &mut named);
        }
        named
    }

    /// What was sent counts where it was accepted: a refused body may look like anything.
    pub(super) fn observe(&self, record: &Record, seen: &mut Seen) {
        let mut bodies = BTreeMap::new();
        let mut payloads = BTreeMap::new();
        for entry in &record.entries {
            let device = entry.party.device;
            match &entry.what {
                What::Request(sent) => {
                    let body = sent
                        .body
                        .as_ref()
                        .and_then(|body| serde_json::from_slice::<Value>(body).ok());
                    bodies.insert(sent.exchange, body);
                }
                What::Response(received) => {
                    let body = bodies.remove(&received.exchange).flatten();
                    let Some(operation) = received.operation.filter(|_| received.method != "HEAD") else {
                        continue;
                    };
                    if let (Some(schema), Some(body), true) = (operation.request_schema(), body, received.status < 400)
                    {
                        self.see(schema, &body, seen);
                    }
                    if let Some(schema) = operation.response(received.status).and_then(|answer| answer.schema) {
                        self.see(schema, &received.body, seen);
                    }
                }
                What::Connect { auth } => self.see("HandshakeAuth", auth.as_ref().unwrap_or(&Value::Null), seen),
                What::Refused(why) => self.see("ConnectError", why, seen),
                What::Emitted {
                    event, arguments, ack, ..
                } => {
                    if let (Some(known), Some(id)) = (client_event(event), ack) {
                        payloads.insert((device, *id), (known, arguments.first().cloned()));
                    }
                }
                What::Ack { id, arguments, .. } => {
                    let ack = arguments.first().unwrap_or(&Value::Null);
                    if let Some((event, payload)) = payloads.remove(&(device, *id)) {
                        self.see(event.ack_schema(), ack, seen);
                        if let (Some(payload), true) = (payload, ack["ok"] == true) {
                            self.see(event.schema(), &payload, seen);
                        }
                    }
                }
                What::Event { event, arguments, .. } => {
                    let known = ServerEvent::ALL.iter().find(|known| known.name() == event);
                    if let (Some(known), Some(payload)) = (known, arguments.first()) {
                        self.see(known.schema(), payload, seen);
                    }
                }
                _ => {}
            }
        }
    }

    fn see(&self, name: &'static str, value: &Value, seen: &mut Seen) {
        if let Some(root) = self.schemas.get(name) {
            look(Place { root, schema: root }, name, value, seen);
        }
    }
}

fn client_event(name: &str) -> Option<ClientEvent> {
    ClientEvent::ALL.iter().copied().find(|known| known.name() == name)
}

fn roots() -> Vec<&'static str> {
    let mut roots = vec!["HandshakeAuth", "ConnectError"];
    for operation in Operation::ALL {
        roots.extend(operation.request_schema());
        roots.extend(operation.responses().iter().filter_map(|answer| answer.schema));
    }
    for event in ClientEvent::ALL {
        roots.extend([event.schema(), event.ack_schema()]);
    }
    roots.extend(ServerEvent::ALL.iter().map(|event| event.schema()));
    roots
}

impl<'a> Place<'a> {
    /// What stands behind references, and the name that it has there.
    fn follow(self, name: &str) -> (Self, String) {
        let (mut place, mut name) = (self, name.to_owned());
        while let Some(reference) = place.schema["$ref"].as_str() {
            let Some(schema) = place.root.pointer(reference.trim_start_matches('#')) else {
                break;
            };
            name = reference.rsplit('/').next().unwrap_or_default().to_owned();
            place.schema = schema;
        }
        (place, name)
    }

    fn at(self, schema: &'a Value) -> Self {
        Self { schema, ..self }
    }

    fn choices(self) -> Vec<Self> {
        let choices = self.schema["anyOf"].as_array().into_iter().flatten();
        // A choice of `required` alone is a condition and no shape.
        let shapes = choices.filter(|choice| {
            choice
                .as_object()
                .is_some_and(|members| members.keys().any(|key| key != "required"))
        });
        shapes.map(|choice| self.at(choice)).collect()
    }

    fn properties(self) -> impl Iterator<Item = (&'a String, Self)> {
        let members = self.schema["properties"].as_object().into_iter().flatten();
        members.map(move |(name, schema)| (name, self.at(schema)))
    }

    fn requires(self, property: &str) -> bool {
        let required = self.schema["required"].as_array().into_iter().flatten();
        required.into_iter().any(|name| name == property)
    }

    /// Whether it may be null, and whether it may be anything else.
    fn null_and_else(self) -> (bool, bool) {
        let (place, _) = self.follow("");
        let choices = place.choices();
        if !choices.is_empty() {
            let each: Vec<(bool, bool)> = choices.into_iter().map(Self::null_and_else).collect();
            return (each.iter().any(|(null, _)| *null), each.iter().any(|(_, other)| *other));
        }
        match &place.schema["type"] {
            Value::String(kind) => (kind == "null", kind != "null"),
            Value::Array(kinds) => (
                kinds.iter().any(|kind| kind == "null"),
                kinds.iter().any(|kind| kind != "null"),
            ),
            _ => (false, true),
        }
    }
}

/// The cells of a schema and of whatever is inside.
fn collect(place: Place<'_>, name: &str, named: &mut Vec<Named>) {
    let (place, name) = place.follow(name);
    for choice in place.choices() {
        collect(choice, &name, named);
    }
    if place.schema["items"].is_object() {
        collect(place.at(&place.schema["items"]), &name, named);
    }
    for (property, inner) in place.properties() {
        let row = format!("{name}.{property}");
        let (null, other) = inner.null_and_else();
        let states = [
            ("present", other),
            ("null", null),
            ("absent", !place.requires(property)),
        ];
        for (state, _) in states.into_iter().filter(|(_, allowed)| *allowed) {
            named.push((row.clone(), state.to_owned()));
        }
        collect(inner, &row, named);
    }
}

/// Notes the state of every property of a value.
fn look(place: Place<'_>, name: &str, value: &Value, seen: &mut Seen) {
    let (place, name) = place.follow(name);
    if value.is_null() {
        return;
    }
    if let Some(choice) = place.choices().into_iter().find(|choice| is_meant(*choice, value)) {
        look(choice, &name, value, seen);
    }
    for item in value.as_array().into_iter().flatten() {
        look(place.at(&place.schema["items"]), &name, item, seen);
    }
    if !value.is_object() {
        return;
    }
    for (property, inner) in place.properties() {
        let row = format!("{name}.{property}");
        match value.get(property) {
            None => seen.add("shapes", row, "absent"),
            Some(Value::Null) => seen.add("shapes", row, "null"),
            Some(inside) => {
                seen.add("shapes", row.as_str(), "present");
                look(inner, &row, inside, seen);
            }
        }
    }
}

/// Whether a value is of this choice of several: it has what the choice requires, and the constants.
fn is_meant(choice: Place<'_>, value: &Value) -> bool {
    let (choice, _) = choice.follow("");
    if choice.schema["type"] == "null" {
        return value.is_null();
    }
    let required = choice.schema["required"].as_array().into_iter().flatten();
    let has_all = required
        .into_iter()
        .filter_map(Value::as_str)
        .all(|name| value.get(name).is_some());
    has_all
        && choice.properties().all(|(name, inner)| {
            inner
                .schema
                .get("const")
                .is_none_or(|constant| value.get(name).is_none_or(|got| got == constant))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn states(name: &'static str, value: &Value) -> Vec<String> {
        let mut seen = Seen::default();
        Shapes::new().see(name, value, &mut seen);
        seen.0
            .into_keys()
            .map(|(_, row, column)| format!("{row} {column}"))
            .collect()
    }

    #[test]
    fn a_schema_names_the_states_that_it_allows() {
        let named: Vec<String> = Shapes::new()
            .named()
            .iter()
            .map(|(row, column)| format!("{row} {column}"))
            .collect();
        let has = |cell: &str| named.iter().any(|known| known == cell);
        assert!(has("Message.readAt null") && has("Message.readAt present") && !has("Message.readAt absent"));
        assert!(has("Message.clientMessageId absent") && !has("Message.clientMessageId null"));
        assert!(has("Chat.groupName null") && !has("Chat.groupName present"));
        assert!(has("Error.details.field present") && has("UpdateProfileRequest.bio null"));
        assert!(has("MarkReadRequest.chatId absent"));
    }

    #[test]
    fn a_value_shows_the_states_of_its_properties_wherever_they_are() {
        let got = states(
            "AuthenticateAck",
            &json!({"ok": false, "error": {"message": "m", "code": "X"}}),
        );
        assert!(got.contains(&"FailedAck.error present".to_owned()), "{got:?}");
        assert!(got.contains(&"Error.details absent".to_owned()) && !got.iter().any(|cell| cell.contains("user")));
        let got = states(
            "UsersResponse",
            &json!({"items": [{"id": "x", "bio": null}], "nextCursor": null}),
        );
        assert!(
            got.contains(&"User.bio null".to_owned()) && got.contains(&"User.id present".to_owned()),
            "{got:?}"
        );
    }
}
