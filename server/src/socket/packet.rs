//! One event as it came, before anybody has judged it.

use std::convert::Infallible;
use std::sync::Arc;

use chat_protocol::ErrorCode;
use chat_protocol::event::client;
use serde_json::value::RawValue;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::handler::{FromMessage, FromMessageParts, Value as Wire};
use socketioxide::socket::Socket;

use super::answer::{Answer, told};
use super::events::known;
use crate::app::App;
use crate::{Error, Result};

/// Bytes of a payload, its binary attachments included.
const MAX_PAYLOAD: usize = 64 * 1024;

/// An event and where its answer goes.
pub(super) struct Packet {
    pub(super) event: String,
    body: Wire,
    pub(super) answer: Answer,
}

impl FromMessage<LocalAdapter> for Packet {
    type Error = Infallible;

    fn from_message(
        socket: Arc<Socket<LocalAdapter>>,
        mut body: Wire,
        ack_id: Option<i64>,
    ) -> Result<Self, Infallible> {
        let ack = AckSender::from_message_parts(&socket, &mut body, &ack_id)?;
        let Ok(event) = socketioxide::extract::Event::from_message_parts(&socket, &mut body, &ack_id)
            .map(|event| event.0)
            .or_else(|_| Ok::<_, Infallible>(String::new()));
        let socket = SocketRef::from_message_parts(&socket, &mut body, &ack_id)?;
        Ok(Self {
            event,
            body,
            answer: Answer::new(socket, ack_id.map(|_| ack)),
        })
    }
}

impl Packet {
    /// Whether others miss something when it is not done.
    pub(super) fn is_for_others(&self) -> bool {
        matches!(self.event.as_str(), client::SEND_MESSAGE | client::READ_RECEIPT)
    }

    /// Answers without doing anything.
    pub(super) fn refuse(self, app: &App, error: &Error) {
        self.answer.refuse(told(app, known(&self.event), error));
    }

    /// The one payload: `PAYLOAD_TOO_LARGE`, or `VALIDATION_ERROR` when there is none, or more than one.
    pub(super) fn payload(&self) -> Result<serde_json::Value> {
        let Wire::Str(text, attachments) = &self.body else {
            return Err(malformed());
        };
        let attached: usize = attachments.iter().flatten().map(bytes::Bytes::len).sum();
        let args: Vec<&RawValue> = serde_json::from_str(text.as_str()).map_err(|_| malformed())?;
        let size: usize = args.iter().skip(1).map(|arg| arg.get().len()).sum();
        if size + attached > MAX_PAYLOAD {
            return Err(Error::code(ErrorCode::PayloadTooLarge));
        }
        match args.as_slice() {
            [_, payload] => serde_json::from_str(payload.get()).map_err(|_| malformed()),
            _ => Err(malformed()),
        }
    }
}

fn malformed() -> Error {
    Error::invalid("payload", "must be one JSON object")
}
