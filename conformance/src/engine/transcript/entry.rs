//! What can happen between a case and the target.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat_spec::{Operation, Requirement};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::engine::Transport;

/// One thing that happened. It holds secrets as they went over the wire: [`super::Secrets`] masks them.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Since the case began.
    pub at: Duration,
    /// Whose side of the wire it happened on.
    pub party: Party,
    /// The server's side: its base URL.
    pub server: Arc<str>,
    pub what: What,
}

/// A user, one of its devices, or nobody in particular.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Party {
    /// For people: `ann`, `ann#2`, `guest`.
    pub label: Arc<str>,
    /// The id of the user; none when nobody has authenticated.
    pub user: Option<Arc<str>>,
    /// Counts the devices of a case from 1; none for what goes over HTTP.
    pub device: Option<u64>,
}

/// Who began something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// See [`Entry`].
#[derive(Debug, Clone)]
pub enum What {
    Request(Sent),
    Response(Received),
    /// A request that was never answered.
    Lost {
        exchange: u64,
        why: String,
    },
    /// An engine.io session has begun.
    Opened {
        transport: Transport,
    },
    Closed {
        by: Side,
        why: String,
    },
    /// CONNECT with its `auth`.
    Connect {
        auth: Option<Value>,
    },
    Connected(Value),
    /// CONNECT_ERROR.
    Refused(Value),
    /// An event of the client; `ack` is the id under which it wants an answer.
    Emitted {
        event: String,
        arguments: Vec<Value>,
        ack: Option<u64>,
        binary: bool,
    },
    /// An event of the server.
    Event {
        event: String,
        arguments: Vec<Value>,
        ack: Option<u64>,
    },
    /// The answer to an event of the client; no `event` when nothing of this id was sent.
    Ack {
        id: u64,
        event: Option<String>,
        arguments: Vec<Value>,
    },
    /// Any other packet, as it was written.
    Packet {
        from: Side,
        text: String,
    },
    /// A requirement was found not to hold.
    Failed {
        requirement: &'static Requirement,
        expected: String,
        got: String,
    },
    /// A remark of the case.
    Note(String),
}

/// An HTTP request.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The same in its response.
    pub exchange: u64,
    /// The call of the contract that it is, if any; `path()` has the template.
    pub operation: Option<Operation>,
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
}

/// An HTTP response.
#[derive(Debug, Clone)]
pub struct Received {
    pub exchange: u64,
    pub operation: Option<Operation>,
    /// Of the request.
    pub method: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: Arc<str>,
    /// Null when there is no body, or it is not JSON.
    pub body: Value,
    /// From the request to the whole of the response.
    pub took: Duration,
}

impl Party {
    /// Whoever asks without being anybody.
    pub fn guest() -> Self {
        Self {
            label: "guest".into(),
            user: None,
            device: None,
        }
    }
}

impl Entry {
    /// Roughly how much memory it holds.
    pub(super) fn weight(&self) -> usize {
        let values = |values: &[Value]| values.iter().map(size).sum::<usize>();
        let content = match &self.what {
            What::Request(sent) => sent.path.len() + sent.body.as_ref().map_or(0, Bytes::len),
            What::Response(received) => 2 * received.text.len(),
            What::Emitted { arguments, .. } | What::Event { arguments, .. } | What::Ack { arguments, .. } => {
                values(arguments)
            }
            What::Connect { auth } => auth.as_ref().map_or(0, size),
            What::Connected(value) | What::Refused(value) => size(value),
            What::Packet { text, .. } | What::Note(text) => text.len(),
            What::Failed { expected, got, .. } => expected.len() + got.len(),
            What::Lost { .. } | What::Opened { .. } | What::Closed { .. } => 0,
        };
        content + 200
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 24,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + 24,
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + size(value) + 24).sum(),
        _ => 24,
    }
}
