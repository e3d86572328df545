//! How an event is answered: by its ack if it has one, else an `error` event on failure.

use chat_protocol::event::{Ack, server};
use serde::Serialize;
use socketioxide::SendError;
use socketioxide::extract::{AckSender, SocketRef};

use super::device::is_full;
use crate::Error;

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
    pub(super) fn refuse(self, error: &Error) -> bool {
        let error = error.to_api(None);
        match self.ack {
            Some(ack) => sent(ack.send(&Ack::<()>::Err(error))),
            None => sent(self.socket.emit(server::ERROR, &error)),
        }
    }
}

fn sent(result: Result<(), SendError>) -> bool {
    !result.is_err_and(|error| is_full(&error))
}
