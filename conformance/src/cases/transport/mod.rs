//! What the protocol documents of Engine.IO 4 and Socket.IO 5 ask of a server, packet by packet.

mod engineio;
mod heartbeat;
mod opening;
mod socketio;
mod upgrade;
mod wire;

use crate::engine::Case;

/// The slow ones first.
pub(super) fn all() -> impl Iterator<Item = Case> {
    let areas = [
        heartbeat::CASES,
        upgrade::CASES,
        opening::CASES,
        engineio::CASES,
        socketio::CASES,
    ];
    areas.into_iter().flatten().cloned()
}
