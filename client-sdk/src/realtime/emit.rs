//! The events that a client sends, by type.

use chat_protocol::SendMessage;
use chat_protocol::event::{
    Authenticate, Authenticated, Done, JoinChat, Joined, MessageSent, ReadReceipt, Typing, UpdateStatus, client,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connect::MOST_UNWRITTEN;
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

/// The longest packet that is sent, in bytes: several times what a server has to take, and half of what may wait to be written.
const LONGEST: usize = MOST_UNWRITTEN / 2;

/// An event as a packet; with an id when its answer is wanted.
pub(crate) fn written<E: Emit>(id: Option<u64>, event: &E) -> Result<String> {
    packet_of(id, E::NAME, event)
}

/// Any name and payload as a packet.
pub(super) fn packet_of(id: Option<u64>, name: &str, payload: &impl Serialize) -> Result<String> {
    let unwritable = |error| Error::new(ErrorKind::Config, "the payload cannot be written as JSON").because(error);
    let text = packet::encode(id, name, payload).map_err(unwritable)?;
    if text.len() > LONGEST {
        // Written, it would end the connection, and each one after it.
        let what = format!("an event of {} bytes: no server takes more than {LONGEST}", text.len());
        return Err(Error::new(ErrorKind::TooLarge, what));
    }
    Ok(text)
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
