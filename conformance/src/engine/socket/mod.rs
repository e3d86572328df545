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
use super::transcript::{Party, Side, What};
use super::world::PATIENCE;
use super::{Stop, World};

/// So many events are kept that no case has taken; none waits for as many.
const MOST_EVENTS: usize = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Websocket,
    Polling,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Websocket => "websocket",
            Self::Polling => "polling",
        })
    }
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
    party: Party,
    owner: String,
    shared: Arc<Shared>,
    out: mpsc::UnboundedSender<Frame>,
    acks: AtomicU64,
    tasks: Vec<AbortHandle>,
}

/// What the reading task and the case share.
struct Shared {
    world: World,
    party: Party,
    server: Arc<str>,
    state: Mutex<State>,
    changed: Notify,
}

/// An event that came and was not taken yet.
struct Heard {
    event: String,
    payload: Value,
    at: std::time::Instant,
}

#[derive(Default)]
struct State {
    events: Vec<Heard>,
    /// The event that waits, and where for.
    acks: HashMap<u64, (String, oneshot::Sender<Value>)>,
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
        party: Party,
    ) -> Result<Connection, Stop> {
        let shared = Arc::new(Shared {
            world: world.clone(),
            party: party.clone(),
            server: base.into(),
            state: Mutex::default(),
            changed: Notify::new(),
        });
        let (out, frames) = mpsc::unbounded_channel();
        let tasks = match transport {
            Transport::Websocket => websocket::open(&world.target.sockets, base, &shared, frames).await?,
            Transport::Polling => polling::open(world.target.http_of(base), base, &shared, out.clone(), frames).await?,
        };
        shared.note(What::Opened { transport });
        let device = Self {
            world: world.clone(),
            party,
            owner: owner.to_owned(),
            shared,
            out,
            acks: AtomicU64::new(0),
            tasks,
        };
        let packet = format!("40{}", auth.as_ref().map(Value::to_string).unwrap_or_default());
        device.shared.note(What::Connect { auth });
        let _ = device.out.send(Frame::Text(packet));
        let answered = device.wait(PATIENCE, |state| state.answered.take()).await;
        match answered {
            Some(Ok(_)) => Ok(Connection::Open(device)),
            Some(Err(refused)) => Ok(Connection::Refused(Refused(refused))),
            None => Err(Stop::Inconclusive(format!(
                "CONNECT of {} was not answered",
                device.label()
            ))),
        }
    }

    /// For reports: the user and a number.
    pub fn label(&self) -> &str {
        &self.party.label
    }

    /// The base URL of the node that it is connected to.
    pub fn node(&self) -> &str {
        &self.shared.server
    }

    /// The id of the user.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Sends an event and waits for its ack. A missing ack is judged, and ends the case.
    pub async fn ask(&self, event: &str, payload: Value) -> Result<Value, Stop> {
        self.ask_raw(event, &[payload]).await
    }

    /// As [`Self::ask`], as a step before the judgement: when it is refused, nothing can be said of what comes after.
    pub async fn must_ask(&self, event: &str, payload: Value) -> Result<Value, Stop> {
        let ack = self.ask(event, payload).await?;
        match ack["ok"] == true {
            true => Ok(ack),
            false => Err(Stop::Inconclusive(format!(
                "{event} before the judgement was refused: {}",
                ack["error"]["code"]
            ))),
        }
    }

    /// As [`Self::ask`], with any number of arguments. A target may answer now and then that it cannot answer at the moment: it is asked
    /// again for as long as the case has patience.
    pub async fn ask_raw(&self, event: &str, arguments: &[Value]) -> Result<Value, Stop> {
        loop {
            let began = Instant::now();
            let (id, answer) = self.expect_ack(event);
            self.emit_with(event, arguments, Some(id));
            let ack = self.ack_of(event, answer).await?;
            let cannot_now = ack["error"]["code"] == "SERVICE_UNAVAILABLE" && self.world.target.has_node(self.node());
            match ack["error"]["retryAfter"].as_u64().filter(|_| cannot_now) {
                Some(seconds) if self.world.waits_for_a_busy_server(began.elapsed(), seconds).await => {}
                _ => return Ok(ack),
            }
        }
    }

    /// Sends bytes as the payload.
    pub async fn ask_binary(&self, event: &str, bytes: &[u8]) -> Result<Value, Stop> {
        let (id, answer) = self.expect_ack(event);
        let placeholder = json!({"_placeholder": true, "num": 0});
        let packet = format!("451-{id}{}", json!([event, placeholder]));
        self.shared.note(What::Emitted {
            event: event.to_owned(),
            arguments: vec![placeholder],
            ack: Some(id),
            binary: true,
        });
        let _ = self.out.send(Frame::Text(packet));
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
        let (id, answer) = self.expect_ack(event);
        self.emit_with(event, &[payload], Some(id));
        answer
    }

    /// The answer to such an event; none when the socket ended first.
    pub async fn answer(&self, answer: oneshot::Receiver<Value>) -> Option<Value> {
        timeout(PATIENCE, answer).await.ok()?.ok()
    }

    /// Sends an engine.io packet as it is.
    pub fn send_raw(&self, packet: &str) {
        self.shared.note(What::Packet {
            from: Side::Client,
            text: packet.to_owned(),
        });
        let _ = self.out.send(Frame::Text(packet.to_owned()));
    }

    /// The first event of this name that fits, taken out of what has come or still comes.
    pub async fn take(&self, event: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        self.take_within(PATIENCE, event, fits).await
    }

    /// As [`Self::take`], as a step before the judgement: when nothing comes, nothing can be said of what comes after.
    pub async fn must_take(&self, event: &str, fits: impl Fn(&Value) -> bool) -> Result<Value, Stop> {
        let missing = || {
            let (label, state) = (self.label(), self.state());
            Stop::Inconclusive(format!("{event} before the judgement never came to {label}: {state}"))
        };
        self.take(event, fits).await.ok_or_else(missing)
    }

    /// As [`Self::take`], for what may take longer.
    pub async fn take_within(&self, patience: Duration, event: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let timed = self.take_timed(patience, event, fits).await;
        timed.map(|(payload, _)| payload)
    }

    /// As [`Self::take_within`], with the moment at which it came, whenever it is taken.
    pub async fn take_timed(
        &self,
        patience: Duration,
        event: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Option<(Value, std::time::Instant)> {
        let found = self.wait(patience, |state| {
            let index = state
                .events
                .iter()
                .position(|heard| heard.event == event && fits(&heard.payload));
            match index {
                Some(index) => {
                    let heard = state.events.remove(index);
                    Some(Some((heard.payload, heard.at)))
                }
                None => state.closed.is_some().then_some(None),
            }
        });
        found.await.flatten()
    }

    /// An event that has come and not been taken.
    pub fn find(&self, fits: impl Fn(&str, &Value) -> bool) -> Option<(String, Value)> {
        let state = self.shared.state();
        let found = state.events.iter().find(|heard| fits(&heard.event, &heard.payload));
        found.map(|heard| (heard.event.clone(), heard.payload.clone()))
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
            .map(|heard| heard.event.clone())
            .collect();
        if names.is_empty() {
            "nothing".into()
        } else {
            names.join(", ")
        }
    }

    /// Says goodbye by Socket.IO and closes.
    pub async fn disconnect(self) {
        self.shared.note(What::Closed {
            by: Side::Client,
            why: "DISCONNECT".into(),
        });
        let _ = self.out.send(Frame::Text("41".into()));
        let _ = self.out.send(Frame::Close);
        // The writing task ends after the last frame.
        let closed = self.out.closed();
        let _ = timeout(Duration::from_secs(2), closed).await;
    }

    fn emit_with(&self, event: &str, arguments: &[Value], id: Option<u64>) {
        let mut packet = vec![Value::from(event)];
        packet.extend_from_slice(arguments);
        let number = id.map(|id| id.to_string()).unwrap_or_default();
        let text = format!("42{number}{}", Value::from(packet));
        self.shared.note(What::Emitted {
            event: event.to_owned(),
            arguments: arguments.to_vec(),
            ack: id,
            binary: false,
        });
        let _ = self.out.send(Frame::Text(text));
    }

    fn expect_ack(&self, event: &str) -> (u64, oneshot::Receiver<Value>) {
        let id = self.acks.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.shared.state().acks.insert(id, (event.to_owned(), sender));
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
}

impl Drop for Device {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl State {
    /// Keeps an event for whoever takes it. A server that floods a device with what nobody takes has ended it.
    fn hear(&mut self, event: &str, payload: Value) {
        if self.events.len() >= MOST_EVENTS {
            let flooded = || format!("more than {MOST_EVENTS} events came that nobody waits for");
            self.closed.get_or_insert_with(flooded);
            return;
        }
        self.events.push(Heard {
            event: event.to_owned(),
            payload,
            at: std::time::Instant::now(),
        });
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, what: What) {
        self.world.transcript.add(&self.party, &self.server, what);
    }

    /// A Socket.IO packet came.
    fn arrived(&self, text: &str) {
        let packet = Packet::parse(text);
        let arguments = match &packet.data {
            Value::Array(arguments) => arguments.as_slice(),
            _ => &[],
        };
        let mut answered = None;
        let mut state = self.state();
        let what = match packet.kind {
            '0' => {
                state.answered = Some(Ok(packet.data.clone()));
                What::Connected(packet.data)
            }
            '4' => {
                state.answered = Some(Err(packet.data.clone()));
                What::Refused(packet.data)
            }
            '1' => {
                let why = "disconnected by the server".to_owned();
                state.closed.get_or_insert_with(|| why.clone());
                What::Closed { by: Side::Server, why }
            }
            '2' | '5' => {
                let (name, rest) = arguments.split_first().unwrap_or((&Value::Null, &[]));
                let event = name.as_str().unwrap_or_default().to_owned();
                let payload = rest.first().cloned().unwrap_or(Value::Null);
                state.hear(&event, payload);
                What::Event {
                    event,
                    arguments: rest.to_vec(),
                    ack: packet.id,
                }
            }
            '3' | '6' => {
                let id = packet.id.unwrap_or(u64::MAX);
                let event = state.acks.remove(&id).map(|(event, waiting)| {
                    answered = Some((waiting, arguments.first().cloned().unwrap_or(Value::Null)));
                    event
                });
                What::Ack {
                    id,
                    event,
                    arguments: arguments.to_vec(),
                }
            }
            _ => What::Packet {
                from: Side::Server,
                text: text.to_owned(),
            },
        };
        // Noted before the case can see it, so that what the case does next comes after it.
        self.note(what);
        drop(state);
        if let Some((waiting, ack)) = answered {
            let _ = waiting.send(ack); // Nobody may be waiting any more.
        }
        self.changed.notify_waiters();
    }

    fn closed(&self, why: &str) {
        let mut state = self.state();
        state.acks.clear();
        if state.closed.is_none() {
            state.closed = Some(why.to_owned());
            self.note(What::Closed {
                by: Side::Server,
                why: why.to_owned(),
            });
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::accept_async;
    use tokio_tungstenite::tungstenite::Message;

    use super::*;
    use crate::engine::Target;

    /// Answers the first event with this, and the others with success.
    async fn serve(stream: TcpStream, first: &'static str) {
        let mut socket = accept_async(stream).await.unwrap();
        socket.send(Message::text("0{}")).await.unwrap();
        let mut answers = [first].into_iter();
        while let Some(Ok(Message::Text(text))) = socket.next().await {
            let answer = match text.strip_prefix("42") {
                Some(event) => {
                    let id = event.split('[').next().unwrap_or_default();
                    format!("43{id}[{}]", answers.next().unwrap_or(r#"{"ok":true}"#))
                }
                None => r#"40{"sid":"x"}"#.to_owned(),
            };
            socket.send(Message::text(answer)).await.unwrap();
        }
    }

    /// The ack of an event at a server that answers the first one with this.
    async fn ack_after(first: &'static str) -> Value {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            serve(stream, first).await;
        });
        let world = World::new(Target::new(&base, None).unwrap(), 1);
        let opened = Device::connect(&world, &base, Transport::Websocket, None, "ann", Party::guest()).await;
        let Connection::Open(device) = opened.unwrap() else {
            panic!("it was refused");
        };
        device.ask("join_chat", json!({"chatId": "x"})).await.unwrap()
    }

    #[tokio::test]
    async fn who_cannot_answer_an_event_now_is_asked_again() {
        let busy = r#"{"ok":false,"error":{"code":"SERVICE_UNAVAILABLE","message":"later","retryAfter":0}}"#;
        assert_eq!(ack_after(busy).await["ok"], true);
        let refused = r#"{"ok":false,"error":{"code":"CHAT_NOT_FOUND","message":"none"}}"#;
        assert_eq!(ack_after(refused).await["ok"], false);
    }
}
