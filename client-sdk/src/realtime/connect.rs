//! Opening a connection.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chat_protocol::event::{Authenticate, server};
use chat_protocol::{ApiError, ErrorCode};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message, protocol::WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use url::Url;

use super::actor::{self, Channels};
use super::connection::{Connection, Status};
use super::incoming::Events;
use super::packet::Packet;
use super::tls::Tls;
use super::wire::Wire;
use crate::rest::retry_after;
use crate::{Error, ErrorKind, Result};

pub(super) type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Buffers of a websocket, in bytes. The library's own are 128 KiB, and allocated up front.
const BUFFER: usize = 4096;
/// What waits to be written when the other side reads nothing; a connection with more is ended.
pub(super) const MOST_UNWRITTEN: usize = 1 << 20;
/// The largest event is a message of 4,096 characters; anything beyond this is no server of ours.
const MOST_INCOMING: usize = 1 << 20;
/// Events that are kept of those that come before the handshake is over; a server of this API sends one.
const MOST_EARLY: usize = 16;

/// A connection to be opened: await it.
///
/// Its output is the handle and what arrives; it fails with [`ErrorKind::Refused`] when the server does not take the token
/// ([`Error::code`] says why), [`ErrorKind::Network`], [`ErrorKind::Timeout`], [`ErrorKind::Protocol`] when the other side is
/// no such server, and [`ErrorKind::Config`] when the address is none.
#[derive(Debug)]
#[must_use = "nothing is opened until this is awaited"]
pub struct Connect {
    address: String,
    token: Option<SecretString>,
    tls: Option<Tls>,
    within: Duration,
    pub(super) settings: Settings,
}

/// What the task of a connection needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) answer_within: Duration,
    pub(super) events: usize,
    pub(super) packets: usize,
    pub(super) pending: usize,
}

impl Connect {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            token: None,
            tls: None,
            within: Duration::from_secs(10),
            settings: Settings {
                answer_within: Duration::from_secs(20),
                events: 256,
                packets: 256,
                pending: 4096,
            },
        }
    }

    /// Authenticates by this access token in the handshake, which then lasts until the server has said `authenticated`: only from
    /// there on is the connection told what concerns its user. Without one, send `authenticate` within the server's time.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Trusts these certificates. Without it, an `https` address reads what the system trusts anew.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How long the whole handshake may take. Default: 10 s.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// How long an answer may take, to a second. Default: 20 s.
    pub fn answer_within(mut self, time: Duration) -> Self {
        self.settings.answer_within = time;
        self
    }

    /// How much of what arrived may wait for its consumer. Default: 256.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.settings.events = events.max(1);
        self
    }

    /// How many packets may wait to be written. Default: 256.
    pub fn packet_capacity(mut self, packets: usize) -> Self {
        self.settings.packets = packets.max(1);
        self
    }

    /// How many answers may be awaited at once. Default: 4,096.
    pub fn most_pending(mut self, answers: usize) -> Self {
        self.settings.pending = answers.max(1);
        self
    }

    async fn open(self) -> Result<(Connection, Events)> {
        let wire = self.wire().await?;
        let settings = self.settings;
        let status = Arc::new(Status::new(wire.sid().into()));
        let (commands, queue) = mpsc::channel(settings.packets);
        let (events, incoming) = mpsc::channel(settings.events);
        let task = tokio::spawn(actor::run(wire, Channels::new(queue, events, status.clone())));
        let _ = status.task.set(task.abort_handle()); // Set once, here.
        Ok((Connection::new(commands, status, settings.pending), Events(incoming)))
    }

    /// The open websocket without a task: whoever polls it is its task.
    pub(crate) async fn wire<W>(&self) -> Result<Wire<W>> {
        let opening = timeout(self.within, self.handshake()).await;
        let opened = opening.map_err(|_| Error::new(ErrorKind::Timeout, "no connection in time"))??;
        let within = self.settings.answer_within;
        Ok(Wire::new(opened, within))
    }

    async fn handshake(&self) -> Result<Opened> {
        let url = websocket_url(&self.address)?;
        let connector = match (url.scheme(), &self.tls) {
            ("wss", Some(tls)) => Some(tls.connector()),
            ("wss", None) => Some(Tls::new()?.connector()),
            _ => None,
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_write_buffer_size(MOST_UNWRITTEN)
            .max_message_size(Some(MOST_INCOMING))
            .max_frame_size(Some(MOST_INCOMING));
        let nodelay = true; // Or small packets wait for the acknowledgement of those before them.
        let opening = connect_async_tls_with_config(url.as_str(), Some(config), nodelay, connector);
        let (mut socket, _) = opening.await.map_err(broken)?;
        let (mut heartbeat, mut sid, mut early) = (None, None, Vec::new());
        while let Some(frame) = socket.next().await {
            let Message::Text(text) = frame.map_err(broken)? else {
                continue;
            };
            match Packet::read(&text) {
                Packet::Open(json) => {
                    let open: Open = read(text.get(json))?;
                    let pause = u64::from(open.ping_interval) + u64::from(open.ping_timeout);
                    heartbeat = Some(Duration::from_millis(pause));
                    socket
                        .send(Message::text(self.connect_packet()?))
                        .await
                        .map_err(broken)?;
                }
                Packet::Connected(json) => {
                    let heartbeat = heartbeat.ok_or_else(|| no_server("it connects before it opens"))?;
                    let connected: Connected = read(text.get(json))?;
                    if self.token.is_none() {
                        return Ok(Opened::new(socket, heartbeat, connected.sid, early));
                    }
                    sid = Some((heartbeat, connected.sid));
                }
                // Only from then on is the socket told what concerns its user: who believed to be there before would miss what
                // is sent in between.
                Packet::Event { name, .. } if sid.is_some() => {
                    let authenticated = text.get(name) == Some(server::AUTHENTICATED);
                    if early.len() < MOST_EARLY {
                        early.push(Message::Text(text));
                    }
                    if authenticated && let Some((heartbeat, sid)) = sid {
                        return Ok(Opened::new(socket, heartbeat, sid, early));
                    }
                }
                Packet::Refused(json) => return Err(refusal(read(text.get(json))?)),
                Packet::Ping => socket.send(Message::text("3")).await.map_err(broken)?,
                Packet::Close | Packet::Dismissed => break,
                _ => {}
            }
        }
        Err(Error::new(ErrorKind::Network, "closed during the handshake"))
    }

    fn connect_packet(&self) -> Result<String> {
        let Some(token) = &self.token else {
            return Ok("40".into());
        };
        let token = token.expose_secret().to_owned();
        let auth = serde_json::to_string(&Authenticate { token });
        let auth = auth.map_err(|error| Error::new(ErrorKind::Config, "the token cannot be written").because(error))?;
        Ok(format!("40{auth}"))
    }
}

impl IntoFuture for Connect {
    type Output = Result<(Connection, Events)>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

pub(super) struct Opened {
    pub(super) socket: WebSocket,
    /// The longest that may pass without a frame of the server.
    pub(super) heartbeat: Duration,
    /// The server's name of the socket.
    pub(super) sid: Box<str>,
    /// What was told meanwhile, to be handed over first.
    pub(super) early: Vec<Message>,
}

impl Opened {
    fn new(socket: WebSocket, heartbeat: Duration, sid: Box<str>, early: Vec<Message>) -> Self {
        Self {
            socket,
            heartbeat,
            sid,
            early,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    /// Milliseconds; 32 bits, so that no value can overflow the arithmetic.
    ping_interval: u32,
    ping_timeout: u32,
}

#[derive(Deserialize)]
struct Connected {
    sid: Box<str>,
}

/// The contract has the code in `message`, and beside it, if it can, in `data`.
#[derive(Deserialize)]
struct Refusal {
    message: String,
    data: Option<ApiErrorData>,
}

#[derive(Deserialize)]
struct ApiErrorData {
    message: Option<String>,
    #[serde(rename = "retryAfter")]
    retry_after: Option<u64>,
}

fn refusal(refusal: Refusal) -> Error {
    let data = refusal.data;
    Error::refused(ApiError {
        code: ErrorCode::from(refusal.message.as_str()),
        retry_after: data.as_ref().and_then(|data| data.retry_after),
        message: data
            .and_then(|data| data.message)
            .unwrap_or_else(|| "No connection.".into()),
        details: None,
        request_id: None,
    })
}

fn read<'a, T: Deserialize<'a>>(json: Option<&'a str>) -> Result<T> {
    serde_json::from_str(json.unwrap_or_default()).map_err(|_| no_server("its handshake is not Socket.IO's"))
}

fn no_server(why: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, why)
}

fn broken(error: tungstenite::Error) -> Error {
    let (kind, wait) = match &error {
        tungstenite::Error::Http(answer) => {
            let status = answer.status();
            // Whoever stands before the server may have enough to do.
            let later = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            let kind = if later { ErrorKind::Network } else { ErrorKind::Protocol };
            (kind, retry_after(answer.headers()))
        }
        tungstenite::Error::Url(_) => (ErrorKind::Config, None),
        _ => (ErrorKind::Network, None),
    };
    Error::new(kind, "no websocket could be opened")
        .retry_in(wait)
        .because(error)
}

/// Where the websocket of a server is.
fn websocket_url(address: &str) -> Result<Url> {
    let wrong = |why| Error::new(ErrorKind::Config, why);
    let mut url = Url::parse(address).map_err(|error| wrong("the address is no URL").because(error))?;
    let scheme = match url.scheme() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        _ => return Err(wrong("the address is neither http nor https")),
    };
    url.set_scheme(scheme)
        .map_err(|()| wrong("the address is neither http nor https"))?;
    let path = format!("{}/socket.io/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(Some("EIO=4&transport=websocket"));
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_either_scheme_and_below_a_path() {
        let url = |address| websocket_url(address).map(String::from);
        assert_eq!(
            url("http://localhost:3000").unwrap(),
            "ws://localhost:3000/socket.io/?EIO=4&transport=websocket"
        );
        assert_eq!(
            url("https://example.org/chat/").unwrap(),
            "wss://example.org/chat/socket.io/?EIO=4&transport=websocket"
        );
        for bad in ["localhost:3000", "ftp://localhost", ""] {
            assert_eq!(url(bad).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn a_token_does_not_print() {
        let connect = Connect::new("http://localhost".into()).token("hunter2");
        assert!(!format!("{connect:?}").contains("hunter2"));
    }
}
