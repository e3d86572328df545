//! How an event is answered: by its ack if it has one, else an `error` event on failure.

use chat_protocol::ApiError;
use chat_protocol::event::{Ack, server};
use serde::Serialize;
use socketioxide::SendError;
use socketioxide::extract::{AckSender, SocketRef};

use super::device::is_full;
use crate::Error;
use crate::app::App;

pub(super) struct Answer {
    socket: SocketRef,
    ack: Option<AckSender>,
}

impl Answer {
    pub(super) fn new(socket: SocketRef, ack: Option<AckSender>) -> Self {
        Self { socket, ack }
    }

    pub(super) fn has_ack(&self) -> bool {
        self.ack.is_some()
    }

    /// `{ok: true, …}`. Returns whether there was room.
    pub(super) fn done<T: Serialize>(self, value: T) -> bool {
        self.ack.is_none_or(|ack| sent(ack.send(&Ack::Ok(value))))
    }

    /// `{ok: false, error}`, or an `error` event. Returns whether there was room.
    pub(super) fn refuse(self, error: ApiError) -> bool {
        match self.ack {
            Some(ack) => sent(ack.send(&Ack::<()>::Err(error))),
            None => sent(self.socket.emit(server::ERROR, &error)),
        }
    }
}

/// Logs a failure and gives what the client is told of it. When it is ours, both carry the same id: the cause stays in the log.
pub(super) fn told(app: &App, event: &str, error: &Error) -> ApiError {
    let (code, cause) = (error.kind().to_string(), error.cause());
    if !error.is_ours() {
        tracing::info!(event, code, cause, "event refused");
        return error.to_api(None);
    }
    let id = app.chat.ids.hex();
    tracing::warn!(request_id = id, event, code, cause, "event refused");
    error.to_api(Some(&id))
}

fn sent(result: Result<(), SendError>) -> bool {
    !result.is_err_and(|error| is_full(&error))
}
