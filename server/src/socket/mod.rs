//! Socket.IO: handshakes, events, answers. Everything that decides is in `chat`.
//!
//! Three patterns carry it. Handlers are registered in a middleware, before the client can know that it is connected, so that
//! no early event is lost. Every socket has one bounded queue and one worker, so that its events are begun in order; what the
//! database takes its time for is answered when it is done, and holds nothing up. And a socket whose buffer is full is
//! disconnected: it catches up from history.

mod answer;
mod connection;
mod device;
mod events;
mod packet;
mod receipts;

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_protocol::ErrorCode;
use serde_json::Value;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::layer::SocketIoLayer;
use socketioxide::{SocketIo, TransportType};
use tokio::sync::{Notify, mpsc};

use self::answer::told;
use self::connection::Connection;
use self::packet::Packet;
use crate::app::App;
use crate::chat::sessions::Caller;
use crate::cluster::{Device as _, DeviceId};

/// Events of one socket that may wait for their turn.
const QUEUE: usize = 1024;
/// Packets that may wait to be sent to one socket.
const SEND_BUFFER: usize = 4096;
/// A payload of 1 MB must not end the socket: it and its frame must fit.
const MAX_FRAME: usize = 1_100_000;

/// How long the look at a handshake's token may take: no longer than the store is given.
const CONNECT_TAKES: Duration = Duration::from_secs(5);

/// What the middlewares leave for the worker.
#[derive(Clone)]
struct Prepared {
    queue: Arc<Mutex<Option<mpsc::Receiver<Packet>>>>,
    gone: Arc<Notify>,
}

/// Refuses a handshake; `connect_error` carries the code as its message.
struct Refusal(crate::Error);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.kind())
    }
}

/// Every socket of this process.
pub struct Sockets {
    io: SocketIo,
    workers: Workers,
}

/// How each worker is told that its socket is gone.
type Workers = Arc<Mutex<HashMap<DeviceId, Arc<Notify>>>>;

impl Sockets {
    /// Ends every connection, not the sessions: clients take it as a lost connection and look for another node by themselves,
    /// which they would not after a `disconnect` of ours. Nobody may be able to connect any more.
    pub async fn close(&self) {
        self.io.close().await;
    }

    /// Lets the workers do what is queued, and end: of an end of all connections the library tells no handler.
    pub fn end_workers(&self) {
        lock(&self.workers).values().for_each(|gone| gone.notify_one());
    }
}

/// The layer that answers below `/socket.io`.
pub fn layer(app: &App) -> (SocketIoLayer, Sockets) {
    let (layer, io) = SocketIo::builder()
        .max_buffer_size(SEND_BUFFER)
        .max_payload(MAX_FRAME as u64)
        .ws_max_message_size(MAX_FRAME)
        .ws_max_frame_size(MAX_FRAME)
        .ws_read_buffer_size(4096)
        // Whoever does not even CONNECT has hardly more time than a guest to say who they are; what counts is the answer.
        .connect_timeout(app.config.authenticate_within + CONNECT_TAKES)
        .transports([TransportType::Polling, TransportType::Websocket])
        .build_layer();
    let (connecting, registering, authenticating) = (app.clone(), app.clone(), app.clone());
    let workers = Workers::default();
    let all = workers.clone();
    let connected = move |socket: SocketRef| {
        let (app, all) = (connecting.clone(), all.clone());
        async move { start(app, socket, all) }
    };
    let authenticate = move |socket: SocketRef, TryData(auth): TryData<Value>| {
        let app = authenticating.clone();
        async move { admit(&app, &socket, auth.ok()).await }
    };
    let register = move |socket: SocketRef| {
        let app = registering.clone();
        async move { register(app, &socket) }
    };
    io.ns("/", connected.with(register).with(authenticate));
    (layer, Sockets { io, workers })
}

/// Looks at the handshake's token; runs first.
async fn admit(app: &App, socket: &SocketRef, auth: Option<Value>) -> Result<(), Refusal> {
    let token = auth.as_ref().and_then(|auth| auth.get("token"));
    match token {
        // The client authenticates by the event.
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(token)) => {
            let refused = |error| {
                // A refused handshake has room for the code alone: the client is told no id.
                told(app, "(handshake)", &error);
                Refusal(error)
            };
            let caller = app.chat.authenticate(token).await.map_err(refused)?;
            socket.extensions.insert(caller);
            Ok(())
        }
        Some(_) => Err(Refusal(crate::Error::code(ErrorCode::TokenInvalid))),
    }
}

/// Registers the handlers; runs last before the client is told that it is connected.
fn register(app: App, socket: &SocketRef) -> Result<(), Refusal> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let gone = Arc::new(Notify::new());
    socket.extensions.insert(Prepared {
        queue: Arc::new(Mutex::new(Some(receiver))),
        gone: gone.clone(),
    });
    // Runs in the task that reads the socket: in order, and never waiting.
    socket.on_fallback(move |packet: Packet| {
        if let Err(mpsc::error::TrySendError::Full(packet)) = sender.try_send(packet) {
            packet.refuse(&app, &crate::Error::unavailable("the queue of this socket is full"));
        }
        ready(())
    });
    socket.on_disconnect(move || {
        gone.notify_one();
        ready(())
    });
    Ok(())
}

fn start(app: App, socket: SocketRef, workers: Workers) {
    let Some(prepared) = socket.extensions.get::<Prepared>() else {
        return;
    };
    let queue = prepared.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(queue) = queue {
        let caller = socket.extensions.get::<Caller>();
        let connection = Connection::new(app, socket, prepared.gone.clone());
        let id = connection.device.id();
        lock(&workers).insert(id, prepared.gone);
        tokio::spawn(async move {
            connection.run(queue, caller).await;
            lock(&workers).remove(&id);
        });
    }
}

fn lock(workers: &Workers) -> MutexGuard<'_, HashMap<DeviceId, Arc<Notify>>> {
    workers.lock().unwrap_or_else(PoisonError::into_inner)
}
