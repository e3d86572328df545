//! What goes over the wire, one piece at a time: answers, events, acks, frames, the ends of connections.

use chat_spec::Operation;
use hyper::Method;
use serde_json::Value;

use super::proxy::{Call, Kind, Packet, Place, Reply};

/// What kind of thing was said, nearly always by a server. Two with the same class are the same to a mutant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    /// An answer to a call; `code` is empty on success. `operation` is none for paths that the contract does not have.
    Answer {
        operation: Option<Operation>,
        status: u16,
        code: String,
    },
    /// The answer to a CORS preflight.
    Preflight,
    /// `code` is that of an `error` event, and empty otherwise.
    Event { name: String, code: String },
    /// `code` is empty on success.
    Ack { event: String, code: String },
    /// CONNECT_ERROR.
    Refused { code: String },
    /// The answer to CONNECT.
    Connected,
    /// Another packet of Engine.IO.
    Frame(Frame),
    /// What polling answers: to a handshake, or to a request of a session that has begun.
    Transport { method: String, begun: bool, refused: bool },
    /// A WebSocket that is not opened: for a handshake or, when the query names a session, for one that has `begun`.
    NoWebSocket { begun: bool },
    /// The end of a WebSocket.
    End,
    /// A client that leaves the namespace, and is heard.
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Frame {
    Open,
    Ping,
    /// The answer to a probe.
    Pong,
    Noop,
    /// A message in another namespace, or one with attachments.
    Message,
}

/// One thing that was said.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) class: Class,
    pub(super) said: Said,
}

#[derive(Debug, Clone)]
pub(super) enum Said {
    Reply(Reply),
    Packet(Packet, Place),
    Frame(String),
    Nothing,
}

fn code(body: &Value) -> String {
    body["code"].as_str().unwrap_or_default().to_owned()
}

impl Class {
    pub(super) fn of_reply(call: &Call, reply: &Reply) -> Self {
        if call.method == Method::OPTIONS {
            return Self::Preflight;
        }
        let status = reply.status.as_u16();
        Self::Answer {
            operation: call.operation,
            status,
            code: match status {
                400.. => reply.json().map(|body| code(&body)).unwrap_or_default(),
                _ => String::new(),
            },
        }
    }

    /// None for what carries nothing of ours.
    pub(super) fn of_packet(place: &Place, packet: &Packet) -> Option<Self> {
        let payload = packet.payload();
        match packet.kind {
            Kind::Event => Some(Self::Event {
                name: packet.event().to_owned(),
                code: match packet.event() {
                    "error" => code(payload),
                    _ => String::new(),
                },
            }),
            Kind::Ack => Some(Self::Ack {
                event: place.answers.clone(),
                code: match payload["ok"] == false {
                    true => code(&payload["error"]),
                    false => String::new(),
                },
            }),
            Kind::Refused => Some(Self::Refused {
                code: payload["message"].as_str().unwrap_or_default().to_owned(),
            }),
            Kind::Connect => Some(Self::Connected),
            Kind::Disconnect => None,
        }
    }

    /// None for what a server does not say.
    pub(super) fn of_frame(text: &str) -> Option<Self> {
        Some(Self::Frame(match text.as_bytes().first()? {
            b'0' => Frame::Open,
            b'2' => Frame::Ping,
            b'3' => Frame::Pong,
            b'4' => Frame::Message,
            b'6' => Frame::Noop,
            _ => return None,
        }))
    }

    pub(super) fn of_transport(call: &Call, begun: bool, reply: &Reply) -> Self {
        Self::Transport {
            method: call.method.to_string(),
            begun,
            refused: reply.status.as_u16() >= 400,
        }
    }

    pub(super) fn is_success(&self) -> bool {
        match self {
            Self::Answer { status, .. } => *status < 400,
            Self::Ack { code, .. } => code.is_empty(),
            Self::Event { name, .. } => name != "error",
            Self::Transport { refused, .. } => !refused,
            Self::Refused { .. } | Self::NoWebSocket { .. } | Self::End => false,
            Self::Preflight | Self::Connected | Self::Frame(_) | Self::Leave => true,
        }
    }

    /// For names of mutants: `login 401 INVALID_CREDENTIALS`.
    pub(super) fn title(&self) -> String {
        let with = |name: String, code: &str| match code {
            "" => name,
            code => format!("{name} {code}"),
        };
        let of = |begun| if begun { "session" } else { "handshake" };
        match self {
            Self::Answer {
                operation,
                status,
                code,
            } => with(
                format!("{} {status}", operation.map_or("(no call)", Operation::id)),
                code,
            ),
            Self::Preflight => "preflight".into(),
            Self::Event { name, code } => with(name.clone(), code),
            Self::Ack { event, code } => with(format!("ack of {event}"), code),
            Self::Refused { code } => with("connect_error".into(), code),
            Self::Connected => "connected".into(),
            Self::Frame(frame) => format!("frame {frame:?}"),
            Self::Transport { method, begun, refused } => {
                let refused = if *refused { "refused" } else { "" };
                with(format!("{method} of {}", of(*begun)), refused)
            }
            Self::NoWebSocket { begun } => format!("no WebSocket of {}", of(*begun)),
            Self::End => "end".into(),
            Self::Leave => "leave".into(),
        }
    }
}
