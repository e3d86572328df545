//! A server that passes everything on to another and lets a [`Tamper`] have a hand in it: HTTP, engine.io polling, WebSocket.
//!
//! It forwards faithfully: method, path, headers and body as they came, one connection to the server for each request. What is
//! not JSON, no Engine.IO packet and no answer of a transport is never touched.

mod exchange;
mod http;
mod packet;
mod polling;
mod socket;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

pub use exchange::{Call, Reply};
pub use packet::{Kind, Packet};
pub use polling::SEPARATOR;
pub use socket::{Other, Place, Sockets};

/// Has a hand in what goes over the wire. What it does not want to change it leaves as it is.
pub trait Tamper: Send + Sync {
    /// A request on its way to the server.
    fn call(&self, _call: &mut Call) {}

    /// An answer on its way to the client; how long it is held back.
    fn reply(&self, _call: &Call, _reply: &mut Reply) -> Duration {
        Duration::ZERO
    }

    /// A packet on its way to the server.
    fn asked(&self, _from: &Place, _packet: &mut Packet) {}

    /// A packet on its way to a client.
    fn told(&self, _to: &Place, packet: Packet) -> Vec<Told> {
        vec![Told::now(packet)]
    }

    /// An Engine.IO packet on its way to a client that is no [`Packet`]: OPEN, heartbeats, the answer to a probe, what is said
    /// in other namespaces. Returns whether it goes on.
    fn frame(&self, _text: &mut String) -> bool {
        true
    }

    /// An answer of polling: to a handshake or, when the session has `begun`, to a request of it.
    fn transport(&self, _call: &Call, _begun: bool, _reply: &mut Reply) {}

    /// The server opens no WebSocket for a handshake or for a session that has `begun`. Returns whether the client gets none:
    /// otherwise one of a new session, if the server opens that.
    fn refuses(&self, _begun: bool) -> bool {
        true
    }

    /// The server ends a WebSocket. Returns whether the client hears of it.
    fn ends(&self) -> bool {
        true
    }
}

/// A packet that goes to a client.
#[derive(Debug, Clone)]
pub struct Told {
    pub packet: Packet,
    pub to: Whom,
    pub after: Duration,
}

/// Whose socket gets a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Whom it was for.
    Same,
    /// The other sockets of the same user.
    OtherDevices,
    /// The sockets of every other user.
    OtherUsers,
    /// Sockets that nobody has authenticated on.
    Strangers,
    /// The one socket with this number.
    Socket(u64),
}

impl Told {
    pub fn now(packet: Packet) -> Self {
        Self {
            packet,
            to: Whom::Same,
            after: Duration::ZERO,
        }
    }
}

/// A running proxy; gone when it is dropped, with all its connections.
pub struct Proxy {
    /// Without a slash at the end.
    pub base: String,
    accepting: AbortHandle,
}

/// What every connection needs.
pub(super) struct Through {
    upstream: SocketAddr,
    tamper: Arc<dyn Tamper>,
    sockets: Sockets,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1. `upstream` is the base of the server: `http://127.0.0.1:3000`.
    pub async fn start(upstream: &str, tamper: Arc<dyn Tamper>) -> io::Result<Self> {
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/');
        let upstream = tokio::net::lookup_host(upstream).await?.next();
        let upstream = upstream.ok_or_else(|| io::Error::other("the server has no address"))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let through = Arc::new(Through {
            upstream,
            tamper,
            sockets: Sockets::default(),
        });
        let accepting = tokio::spawn(accept(listener, through)).abort_handle();
        Ok(Self { base, accepting })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The connections are tasks of this one, so that they end with it.
async fn accept(listener: TcpListener, through: Arc<Through>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true); // Slower without, but no less right.
                let through = through.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| http::serve(through.clone(), request));
                    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    let _ = connection.with_upgrades().await; // A client may go whenever it likes.
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
