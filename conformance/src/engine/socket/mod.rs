//! A device: one Socket.IO connection, written from the protocol documents.

mod packet;
mod polling;
mod websocket;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_spec::{ClientEvent, req};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use self::packet::{Frame, Packet};
use super::transcript::{mask, masked};
use super::world::PATIENCE;
use super::{Stop, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Websocket,
    Polling,
}

/// What became of a handshake.
pub enum Connection {
    Open(Device),
    Refused(Refused),
}

/// The payload of CONNECT_ERROR.
pub struct Refused(pub Value);

/// An open connection with everything that came over it. Closed when it is dropped.
pub struct Device {
    world: World,
    label: String,
    owner: String,
    shared: Arc<Shared>,
    out: mpsc::UnboundedSender<Frame>,
    acks: AtomicU64,
    tasks: Vec<AbortHandle>,
}

/// What the reading task and the case share.
struct Shared {
    world: World,
    label: String,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    events: Vec<(String, Value)>,
    acks: HashMap<u64, oneshot::Sender<Value>>,
    answered: Option<Result<Value, Value>>,
    closed: Option<String>,
}

impl Device {
    pub(super) async fn connect(
        world: &World,
        base: &str,
        transport: Transport,
        auth: Option<Value>,
        owner: &str,
        name: &str,
    ) -> Result<Connection, Stop> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let label = format!("{name}#{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let shared = Arc::new(Shared {
            world: world.clone(),
            label: label.clone(),
            state: Mutex::default(),
            changed: Notify::new(),
        });
        let (out, frames) = mpsc::unbounded_channel();
        let tasks = match transport {
            Transport::Websocket => websocket::open(base, &shared, frames).await?,
            Transport::Polling => polling::open(&world.target.http, base, &shared, out.clone(), frames).await?,
        };
        let device = Self {
            world: world.clone(),
            label,
            owner: owner.to_owned(),
            shared,
            out,
            acks: AtomicU64::new(0),
            tasks,
        };
        device.send_raw(&format!("40{}", auth.map(|auth| auth.to_string()).unwrap_or_default()));
        let answered = device.wait(PATIENCE, |state| state.answered.take()).await;
        match answered {
            Some(Ok(_)) => Ok(Connection::Open(device)),
            Some(Err(refused)) => Ok(Connection::Refused(Refused(refused))),
            None => Err(Stop::Inconclusive(format!(
                "CONNECT of {} was not answered",
                device.label
            ))),
        }
    }

    /// For reports: the user and a number.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The id of the user.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Sends an event and waits for its ack. A missing ack is judged, and ends the case.
    pub async fn ask(&self, event: &str, payload: Value) -> Result<Value, Stop> {
        self.ask_raw(event, &[payload]).await
    }

    /// As [`Self::ask`], with any number of arguments.
    pub async fn ask_raw(&self, event: &str, arguments: &[Value]) -> Result<Value, Stop> {
        let (id, answer) = self.expect_ack();
        self.emit_with(event, arguments, Some(id));
        self.ack_of(event, answer).await
    }

    /// Sends bytes as the payload.
    pub async fn ask_binary(&self, event: &str, bytes: &[u8]) -> Result<Value, Stop> {
        let (id, answer) = self.expect_ack();
        self.send_raw(&format!("451-{id}{}", json!([event, {"_placeholder": true, "num": 0}])));
        let _ = self.out.send(Frame::Binary(bytes.to_vec()));
        self.ack_of(event, answer).await
    }

    /// Sends an event without ack.
    pub fn emit(&self, event: &str, payload: Value) {
        self.emit_with(event, &[payload], None);
    }

    /// Sends an event without ack, with any number of arguments.
    pub fn emit_raw(&self, event: &str, arguments: &[Value]) {
        self.emit_with(event, arguments, None);
    }

    /// Starts an event with ack; the answer comes later.
    pub fn ask_later(&self, event: &str, payload: Value) -> oneshot::Receiver<Value> {
        let (id, answer) = self.expect_ack();
        self.emit_with(event, &[payload], Some(id));
        answer
    }

    /// The answer to such an event; none when the socket ended first.
    pub async fn answer(&self, answer: oneshot::Receiver<Value>) -> Option<Value> {
        timeout(PATIENCE, answer).await.ok()?.ok()
    }

    /// Sends an engine.io packet as it is.
    pub fn send_raw(&self, packet: &str) {
        self.note("→", packet);
        let _ = self.out.send(Frame::Text(packet.to_owned()));
    }

    /// The first event of this name that fits, taken out of what has come or still comes.
    pub async fn take(&self, event: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        self.take_within(PATIENCE, event, fits).await
    }

    /// As [`Self::take`], for what may take longer.
    pub async fn take_within(&self, patience: Duration, event: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let found = self.wait(patience, |state| {
            let index = state
                .events
                .iter()
                .position(|(name, payload)| name == event && fits(payload));
            match index {
                Some(index) => Some(Some(state.events.remove(index).1)),
                None => state.closed.is_some().then_some(None),
            }
        });
        found.await.flatten()
    }

    /// An event that has come and not been taken.
    pub fn find(&self, fits: impl Fn(&str, &Value) -> bool) -> Option<(String, Value)> {
        let state = self.shared.state();
        state.events.iter().find(|(name, payload)| fits(name, payload)).cloned()
    }

    /// Waits until the server has ended the connection; `false` when it did not.
    pub async fn ended(&self) -> bool {
        self.ended_within(PATIENCE).await
    }

    pub async fn ended_within(&self, patience: Duration) -> bool {
        self.wait(patience, |state| state.closed.clone()).await.is_some()
    }

    pub fn is_open(&self) -> bool {
        self.shared.state().closed.is_none()
    }

    /// `open`, or why it is not.
    pub fn state(&self) -> String {
        self.shared.state().closed.clone().unwrap_or_else(|| "open".into())
    }

    /// The names of events that were not taken.
    pub fn names(&self) -> String {
        let names: Vec<String> = self
            .shared
            .state()
            .events
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        if names.is_empty() {
            "nothing".into()
        } else {
            names.join(", ")
        }
    }

    /// Says goodbye by Socket.IO and closes.
    pub async fn disconnect(self) {
        self.send_raw("41");
        let _ = self.out.send(Frame::Close);
        // The writing task ends after the last frame.
        let closed = self.out.closed();
        let _ = timeout(Duration::from_secs(2), closed).await;
    }

    fn emit_with(&self, event: &str, arguments: &[Value], id: Option<u64>) {
        let mut packet = vec![Value::from(event)];
        packet.extend_from_slice(arguments);
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let text = format!("42{id}{}", Value::from(packet.clone()));
        let mut shown = Value::from(packet);
        mask(&mut shown);
        self.world.transcript.note(&format!("{} → 42{id}{shown}", self.label));
        let _ = self.out.send(Frame::Text(text));
    }

    fn expect_ack(&self) -> (u64, oneshot::Receiver<Value>) {
        let id = self.acks.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.shared.state().acks.insert(id, sender);
        (id, receiver)
    }

    async fn ack_of(&self, event: &str, answer: oneshot::Receiver<Value>) -> Result<Value, Stop> {
        match timeout(PATIENCE, answer).await {
            Ok(Ok(ack)) => {
                let known = ClientEvent::ALL.iter().find(|known| known.name() == event);
                if let Some(known) = known.filter(|_| ack["ok"] == false) {
                    let (codes, code) = (known.error_codes(), ack["error"]["code"].as_str().unwrap_or_default());
                    let expected = format!("{event}: one of {codes:?}");
                    self.world
                        .check(&req::ERRORS_CODE_KNOWN, codes.contains(&code), expected, code);
                }
                Ok(ack)
            }
            _ => {
                let got = format!("none; {}", self.state());
                self.world
                    .need(&req::EVENTS_ACK_SUCCESS, false, format!("an ack of {event}"), got)?;
                Err(Stop::Judged)
            }
        }
    }

    async fn wait<T>(&self, patience: Duration, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look(&mut self.shared.state()) {
                return Some(found);
            }
            if timeout_at(deadline, changed).await.is_err() {
                return look(&mut self.shared.state());
            }
        }
    }

    fn note(&self, arrow: &str, packet: &str) {
        let split = packet.find(['{', '[']).unwrap_or(packet.len());
        let (head, json) = packet.split_at(split);
        self.world
            .transcript
            .note(&format!("{} {arrow} {head}{}", self.label, masked(json)));
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A Socket.IO packet came.
    fn arrived(&self, text: &str) {
        let packet = Packet::parse(text);
        let mut shown = packet.data.clone();
        mask(&mut shown);
        let id = packet.id.map(|id| id.to_string()).unwrap_or_default();
        self.world
            .transcript
            .note(&format!("{} ← 4{}{id}{shown}", self.label, packet.kind));
        let mut state = self.state();
        match packet.kind {
            '0' => state.answered = Some(Ok(packet.data)),
            '4' => state.answered = Some(Err(packet.data)),
            '1' => state.closed = Some("disconnected by the server".into()),
            '2' | '5' => {
                let mut arguments = match packet.data {
                    Value::Array(arguments) => arguments.into_iter(),
                    _ => Vec::new().into_iter(),
                };
                let name = arguments
                    .next()
                    .and_then(|name| name.as_str().map(str::to_owned))
                    .unwrap_or_default();
                state.events.push((name, arguments.next().unwrap_or(Value::Null)));
            }
            '3' | '6' => {
                let waiting = packet.id.and_then(|id| state.acks.remove(&id));
                if let Some(waiting) = waiting {
                    let _ = waiting.send(packet.data.get(0).cloned().unwrap_or(Value::Null));
                }
            }
            _ => {}
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn closed(&self, why: &str) {
        let mut state = self.state();
        state.acks.clear();
        state.closed.get_or_insert_with(|| why.to_owned());
        drop(state);
        self.changed.notify_waiters();
    }
}
