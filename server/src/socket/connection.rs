//! One socket's life: its worker, its time-outs, its end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chat_protocol::{ErrorCode, Timestamp, UserId};
use socketioxide::extract::SocketRef;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use super::answer::told;
use super::device::SocketDevice;
use super::packet::Packet;
use super::receipts::Receipts;
use crate::Error;
use crate::app::App;
use crate::chat::sessions::Caller;
use crate::cluster::limits::Key;
use crate::cluster::{Device as _, ServerEvent};
use crate::peer::Peer;

/// How long somebody types who does not say so again.
const TYPING_FOR: Duration = Duration::from_secs(6);
/// How long is taken over what a device said before it left.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Peers that one device types to at once.
const MOST_TYPING: usize = 64;

pub(super) struct Connection {
    pub(super) app: App,
    pub(super) device: SocketDevice,
    pub(super) caller: Option<Caller>,
    pub(super) receipts: Receipts,
    address: IpAddr,
    gone: Arc<Notify>,
    /// When the socket ends unless it authenticates (again).
    deadline: Instant,
    typing: HashMap<UserId, Instant>,
}

impl Connection {
    pub(super) fn new(app: App, socket: SocketRef, gone: Arc<Notify>) -> Self {
        Self {
            address: Peer::noted(socket.req_parts()).0,
            device: SocketDevice::new(app.next_device(), socket),
            caller: None,
            receipts: Receipts::default(),
            gone,
            deadline: Instant::now() + app.config.authenticate_within / if fault!(GuestsHurried) { 4 } else { 1 },
            app,
            typing: HashMap::new(),
        }
    }

    /// Does the events of the socket one by one until it is gone; answers to some come later.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Packet>, caller: Option<Caller>) {
        self.app.metrics.sockets.inc();
        let under_way = self.app.chat.under_way();
        if let Some(caller) = caller
            && let Err(error) = self.enter(caller).await
        {
            self.end(&error);
        }
        loop {
            let wake = self.typing.values().copied().chain([self.deadline]).min();
            tokio::select! {
                biased;
                () = self.gone.notified() => break,
                () = sleep_until(wake.unwrap_or(self.deadline)) => self.time_out(),
                () = self.receipts.next() => {}
                packet = queue.recv(), if self.receipts.has_room() => match packet {
                    Some(packet) => self.handle(packet).await,
                    None => break,
                },
            }
        }
        // What a client said before it left, it said; but nobody is kept online by it for long.
        let until = Instant::now() + LAST_WORDS;
        while !self.device.is_closing()
            && Instant::now() < until
            && let Ok(packet) = queue.try_recv()
        {
            if packet.is_for_others() {
                self.handle(packet).await;
            }
        }
        if !fault!(TypingStaysOnDisconnect) {
            self.stop_typing();
        }
        self.receipts.finish(under_way);
        // The end of the process is told for all at once.
        if let Some(caller) = &self.caller
            && !self.app.is_draining()
        {
            self.app.chat.disconnect(&caller.user, self.device.id());
        }
        self.app.metrics.sockets.dec();
    }

    /// Takes back what this device types.
    pub(super) fn stop_typing(&mut self) {
        let Some(caller) = &self.caller else { return };
        for (peer, _) in self.typing.drain() {
            self.app.chat.tell_typing(&caller.user, &peer, false);
        }
    }

    /// Makes the socket a device of the caller, or extends its life.
    pub(super) async fn enter(&mut self, caller: Caller) -> crate::Result<()> {
        let device = Arc::new(self.device.clone());
        let greeted = self.device.clone();
        let greet = move |user| {
            let event = ServerEvent::Authenticated(chat_protocol::event::Authenticated { user });
            // A buffer that is full before anything was sent cannot be.
            let _ = greeted.send(&event);
        };
        self.app
            .chat
            .connect(&caller.user, &caller.session, device, greet)
            .await?;
        let left = caller.expires_at.as_millis() - Timestamp::now().as_millis();
        if self.caller.is_none() || !fault!(ExtensionIgnored) {
            self.deadline = Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0));
        }
        self.caller = Some(caller);
        Ok(())
    }

    /// Whose events are counted.
    pub(super) fn key(&self) -> Key {
        match &self.caller {
            Some(caller) => Key::User(caller.user.clone()),
            None => Key::address(self.address),
        }
    }

    /// Whether this device was seen to type to this user.
    pub(super) fn is_typing(&self, to: &UserId) -> bool {
        self.typing.contains_key(to)
    }

    /// Remembers whom this device types to, so that it can be taken back.
    pub(super) fn note_typing(&mut self, to: &UserId, is_typing: bool) {
        if !is_typing {
            self.typing.remove(to);
        } else if fault!(TypingForever) {
            self.typing
                .insert(to.clone(), Instant::now() + Duration::from_secs(3600));
        } else if fault!(TypingNotRenewed) && self.typing.contains_key(to) {
        } else if self.typing.len() < MOST_TYPING || self.typing.contains_key(to) {
            let lasts = if fault!(TypingHurried) {
                TYPING_FOR / 3
            } else if fault!(TypingLate) {
                TYPING_FOR * 3 / 2
            } else {
                TYPING_FOR
            };
            self.typing.insert(to.clone(), Instant::now() + lasts);
        }
    }

    /// Tells the client why, and ends the connection.
    pub(super) fn end(&self, error: &Error) {
        let error = told(&self.app, "(connection)", error);
        let _ = self.device.send(&ServerEvent::Error(error));
        self.device.close();
    }

    fn time_out(&mut self) {
        let now = Instant::now();
        if self.deadline <= now && !(fault!(SocketOutlivesToken) && self.caller.is_some()) {
            let code = if self.caller.is_some() {
                ErrorCode::TokenExpired
            } else {
                ErrorCode::Unauthenticated
            };
            self.end(&Error::code(code));
            // The end comes as a disconnection; until then there is nothing to wait for.
            self.deadline = now + Duration::from_secs(3600);
        }
        let over: Vec<UserId> = (self.typing.iter())
            .filter(|(_, until)| **until <= now)
            .map(|(peer, _)| peer.clone())
            .collect();
        for peer in over {
            self.typing.remove(&peer);
            if let Some(caller) = &self.caller {
                self.app.chat.tell_typing(&caller.user, &peer, false);
            }
        }
    }
}
