//! The events that the AsyncAPI document describes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Result;
use crate::openapi::{collect_codes, listed_codes};

/// The events of both directions.
pub(crate) struct Events {
    pub(crate) client: Vec<Event>,
    pub(crate) server: Vec<Event>,
}

pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) summary: String,
    /// The schema of the payload.
    pub(crate) payload: String,
    /// The schema of the ack; only a client's event has one.
    pub(crate) ack: Option<String>,
    pub(crate) codes: Vec<String>,
}

impl Events {
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.client.iter().chain(&self.server).map(|event| event.name.as_str())
    }
}

/// Every event, in the order of the document. The document is written from the server's side: `receive` is a client's.
pub(crate) fn events(document: &Value) -> Result<Events> {
    let mut events = Events {
        client: Vec::new(),
        server: Vec::new(),
    };
    let operations = document["operations"]
        .as_object()
        .ok_or("asyncapi.yaml has no operations")?;
    for (id, operation) in operations {
        // The handshake is a packet of the transport and not an event.
        if operation["channel"]["$ref"] != "#/channels/events" {
            continue;
        }
        let event = event(document, operation).map_err(|problem| format!("{id}: {problem}"))?;
        if events.names().any(|name| name == event.name) {
            return Err(format!("two events are called {}", event.name));
        }
        match operation["action"].as_str() {
            Some("receive") if event.ack.is_some() => events.client.push(event),
            Some("send") if event.ack.is_none() => events.server.push(event),
            _ => return Err(format!("{id}: received events have an ack, sent ones have none")),
        }
    }
    Ok(events)
}

/// Every error code of the document.
pub(crate) fn codes(document: &Value) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    collect_codes(document, &mut codes);
    codes
}

fn event(document: &Value, operation: &Value) -> Result<Event> {
    let message = message(document, &operation["messages"])?;
    let name = message["name"].as_str().ok_or("the message has no name")?;
    let ack = match operation.get("reply") {
        Some(reply) => Some(payload(self::message(document, &reply["messages"])?)?),
        None => None,
    };
    Ok(Event {
        name: name.to_owned(),
        summary: message["summary"].as_str().unwrap_or_default().to_owned(),
        payload: payload(message)?,
        ack,
        codes: listed_codes(operation),
    })
}

/// The one message of an operation or reply, behind its references.
fn message<'a>(document: &'a Value, messages: &'a Value) -> Result<&'a Value> {
    let mut message = &messages[0];
    while let Some(reference) = message["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').unwrap_or(reference);
        message = document
            .pointer(pointer)
            .ok_or_else(|| format!("{reference} leads to nothing"))?;
    }
    Ok(message)
}

fn payload(message: &Value) -> Result<String> {
    let reference = message["payload"]["$ref"].as_str().unwrap_or_default();
    let name = reference
        .strip_prefix("#/components/schemas/")
        .ok_or("the payload is no file of schemas/")?;
    Ok(name.to_owned())
}
