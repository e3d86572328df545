//! A socket as a device of its user.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};

use crate::cluster::{Device, DeviceId, Full, ServerEvent};

/// How often a full buffer is tried again for the packet that ends the connection. The transport's own time-out ends it when
/// the client reads nothing at all.
const CLOSE_RETRY: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub(super) struct SocketDevice {
    id: DeviceId,
    socket: SocketRef,
    /// Nothing is sent any more: what came after a gap would look as if there were none.
    closing: Arc<AtomicBool>,
}

impl SocketDevice {
    pub(super) fn new(id: DeviceId, socket: SocketRef) -> Self {
        Self {
            id,
            socket,
            closing: Arc::default(),
        }
    }

    /// Whether the server ends it.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn emit(&self, event: &ServerEvent) -> Result<(), SendError> {
        use ServerEvent as E;
        let (socket, name) = (&self.socket, event.name());
        match event {
            E::Authenticated(payload) => socket.emit(name, payload),
            E::NewMessage(payload) => socket.emit(name, payload),
            E::MessageSent(payload) => socket.emit(name, payload),
            E::UserOnline(payload) | E::UserOffline(payload) => socket.emit(name, payload),
            E::UserStatusChanged(payload) => socket.emit(name, payload),
            E::TypingStatus(payload) => socket.emit(name, payload),
            E::MessageRead(payload) => socket.emit(name, payload),
            E::MessageEdited(payload) => socket.emit(name, payload),
            E::MessageDeleted(payload) => socket.emit(name, payload),
            E::Error(payload) => socket.emit(name, payload),
            E::Encoded(event) => socket.emit(name, &event.payload),
        }
    }
}

/// Whether the buffer was full; everything else means that the socket is gone.
pub(super) fn is_full(error: &SendError) -> bool {
    matches!(error, SendError::Socket(SocketError::InternalChannelFull))
}

impl Device for SocketDevice {
    fn id(&self) -> DeviceId {
        self.id
    }

    fn send(&self, event: &ServerEvent) -> Result<(), Full> {
        if self.is_closing() {
            return Ok(());
        }
        match self.emit(event) {
            Err(error) if is_full(&error) => Err(Full),
            _ => Ok(()),
        }
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        if self.socket.clone().disconnect().is_err() {
            self.close_later();
        }
    }

    fn close_slow(&self) {
        if !self.closing.swap(true, Ordering::Relaxed) {
            self.close_later();
        }
    }
}

impl SocketDevice {
    fn close_later(&self) {
        let socket = self.socket.clone();
        tokio::spawn(async move {
            while socket.connected() && socket.clone().disconnect().is_err() {
                tokio::time::sleep(CLOSE_RETRY).await;
            }
        });
    }
}
