//! Engine.io over polling: packets in the bodies of requests and answers.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::socket::Socket;
use super::{Call, Reply, Through};

/// Between the packets of one body.
pub const SEPARATOR: char = '\u{1e}';

/// Whether it is for the sockets.
pub(super) fn is_transport(call: &Call) -> bool {
    call.path.starts_with("/socket.io")
}

/// The engine.io session that a request belongs to.
pub(super) fn session(call: &Call) -> Option<&str> {
    if !is_transport(call) {
        return None;
    }
    let (_, query) = call.path.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("sid="))
}

/// Packets from the client, on their way to the server.
pub(super) fn asked(through: &Through, socket: &Socket, call: &mut Call) {
    let Ok(body) = std::str::from_utf8(&call.body) else {
        return;
    };
    let packets = body.split(SEPARATOR);
    let packets = packets.map(|packet| through.sockets.asked(&*through.tamper, socket, packet.to_owned()));
    let changed = packets.collect::<Vec<_>>().join(&SEPARATOR.to_string());
    if changed.as_bytes() != call.body {
        call.body = Bytes::from(changed);
    }
}

/// Packets from the server, on their way to the client, with what waits for it besides.
pub(super) fn told(through: &Through, socket: &Arc<Socket>, reply: &mut Reply) {
    let Ok(body) = std::str::from_utf8(&reply.body) else {
        return;
    };
    let mut packets = Vec::new();
    for packet in body.split(SEPARATOR) {
        packets.extend(through.sockets.told(&*through.tamper, socket, packet.to_owned()));
    }
    let mut waiting = socket.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    while let Some(Ok(Message::Text(more))) = waiting.as_mut().map(|waiting| waiting.try_recv()) {
        packets.push(more.as_str().to_owned());
    }
    drop(waiting);
    if packets.is_empty() {
        // A body without a packet is no answer to a poll: a heartbeat of the other direction means nothing to anybody.
        packets.push("6".into());
    }
    reply.put_body(packets.join(&SEPARATOR.to_string()));
}

/// The session that an OPEN packet begins.
pub(super) fn opened(reply: &Reply) -> Option<String> {
    let text = std::str::from_utf8(&reply.body).ok()?.strip_prefix('0')?;
    let open: Value = serde_json::from_str(text.split(SEPARATOR).next()?).ok()?;
    open["sid"].as_str().map(str::to_owned)
}
