//! The events that a client sends, by type.

use chat_protocol::SendMessage;
use chat_protocol::event::{
    Authenticate, Authenticated, Done, JoinChat, Joined, MessageSent, ReadReceipt, Typing, UpdateStatus, client,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::packet;
use crate::{Error, ErrorKind, Result};

/// An event that a client sends: its name and what a good answer to it carries.
///
/// Implement it for a type of your own to speak an extension of the contract.
pub trait Emit: Serialize {
    /// The name on the wire.
    const NAME: &'static str;
    /// What stands beside `ok: true` in the ack.
    type Ack: DeserializeOwned;
}

/// An event as a packet; with an id when its answer is wanted.
pub(crate) fn written<E: Emit>(id: Option<u64>, event: &E) -> Result<String> {
    packet::encode(id, E::NAME, event).map_err(unwritable)
}

pub(super) fn unwritable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Config, "the payload cannot be written as JSON").because(error)
}

macro_rules! emits {
    ($($event:ty => $name:ident, $ack:ty;)+) => {$(
        impl Emit for $event {
            const NAME: &'static str = client::$name;
            type Ack = $ack;
        }
    )+};
}

emits! {
    Authenticate => AUTHENTICATE, Authenticated;
    JoinChat => JOIN_CHAT, Joined;
    SendMessage => SEND_MESSAGE, MessageSent;
    Typing => TYPING, Done;
    ReadReceipt => READ_RECEIPT, Done;
    UpdateStatus => UPDATE_STATUS, Done;
}
