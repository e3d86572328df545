//! Engine.io over WebSocket.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::exchange::{Call, Reply};
use super::socket::Socket;
use super::{Through, polling};

type Upstream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What every server opens.
const NEW_SESSION: &str = "/socket.io/?EIO=4&transport=websocket";

/// What a client says when it has moved here from polling.
const UPGRADED: &str = "5";

/// Opens the connection to the server first, so that the client hears whatever the server says.
pub(super) async fn serve(through: Arc<Through>, mut request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut call = Call::of_path(path.to_owned());
    let upstream = match open(through.upstream, &call.path, request.headers()).await? {
        Ok(upstream) => upstream,
        Err(refused) if !polling::is_transport(&call) || through.tamper.refuses(polling::session(&call).is_some()) => {
            return Ok(refused.into_response());
        }
        Err(refused) => {
            call = Call::of_path(NEW_SESSION.to_owned());
            match open(through.upstream, NEW_SESSION, request.headers()).await? {
                Ok(upstream) => upstream,
                Err(_) => return Ok(refused.into_response()),
            }
        }
    };
    let moved = Notify::new();
    let socket = match polling::session(&call) {
        // It began by polling and is upgraded.
        Some(sid) => through.sockets.of_session(sid),
        None => {
            moved.notify_one();
            through.sockets.open()
        }
    };
    let key = request.headers().get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let accept = HeaderValue::from_str(&derive_accept_key(key.unwrap_or_default())).map_err(io::Error::other)?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        carry(&through, upgrade, upstream, &socket, &moved).await;
        through.sockets.close(&socket);
    });
    let mut switched = Response::new(Full::default());
    *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = switched.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(switched)
}

/// A WebSocket to the server, or how it refuses one.
async fn open(server: SocketAddr, path: &str, headers: &HeaderMap) -> io::Result<Result<Upstream, Reply>> {
    let mut asked = format!("ws://{server}{path}")
        .into_client_request()
        .map_err(io::Error::other)?;
    for (name, value) in headers {
        let ours =
            *name == HOST || *name == CONNECTION || *name == UPGRADE || name.as_str().starts_with("sec-websocket");
        if !ours {
            asked.headers_mut().append(name, value.clone());
        }
    }
    match connect_async_with_config(asked, None, true).await {
        Ok((upstream, _)) => Ok(Ok(upstream)),
        Err(Error::Http(refused)) => {
            let (head, body) = refused.into_parts();
            let mut reply = Reply {
                status: head.status,
                headers: head.headers,
                body: Bytes::new(),
            };
            reply.put_body(body.unwrap_or_default());
            Ok(Err(reply))
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Carries frames both ways until one side ends. What waits for the session comes here once it has `moved`: until then, its polls
/// bring it, and over a WebSocket that is only probed there is nothing but the answer to that.
async fn carry(through: &Through, upgrade: OnUpgrade, upstream: Upstream, socket: &Arc<Socket>, moved: &Notify) {
    let Ok(upgraded) = upgrade.await else { return };
    let client: WebSocketStream<TokioIo<Upgraded>> =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let (mut to_client, mut from_client) = client.split();
    let (mut to_server, mut from_server) = upstream.split();
    let (said, mut saying) = mpsc::unbounded_channel();
    let out = async {
        let mut waiting = None;
        loop {
            let message = tokio::select! {
                // What waited was said before.
                biased;
                () = moved.notified() => {
                    waiting = (socket.waiting.lock().unwrap_or_else(PoisonError::into_inner)).take();
                    continue;
                }
                Some(message) = next(&mut waiting) => message,
                Some(message) = saying.recv() => message,
            };
            let last = message.is_close();
            if to_client.send(message).await.is_err() || last {
                break;
            }
        }
        let _ = to_client.close().await; // Closed either way.
    };
    let down = async {
        while let Some(Ok(message)) = from_server.next().await {
            match message {
                Message::Text(text) => {
                    for text in through.sockets.told(&*through.tamper, socket, text.as_str().to_owned()) {
                        let _ = said.send(Message::text(text)); // Both end together.
                    }
                }
                Message::Binary(_) => drop(said.send(message)),
                Message::Close(_) => return message,
                _ => {}
            }
        }
        Message::Close(None)
    };
    let up = async {
        while let Some(Ok(message)) = from_client.next().await {
            let moves = matches!(&message, Message::Text(text) if *text == UPGRADED);
            let message = match message {
                Message::Text(text) => Message::text(through.sockets.asked(
                    &*through.tamper,
                    socket,
                    text.as_str().to_owned(),
                )),
                Message::Binary(_) => message,
                Message::Close(_) => break,
                _ => continue,
            };
            // Before the server can answer.
            if moves {
                moved.notify_one();
            }
            if to_server.send(message).await.is_err() {
                break;
            }
        }
        let _ = to_server.close().await; // Closed either way.
    };
    // What the server said before it went is still delivered.
    let server_went = async {
        let last = down.await;
        if through.tamper.ends() {
            let _ = said.send(last); // Both end together.
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = out => {}
        () = up => {}
        () = server_went => {}
    }
}

/// The next of what waits; as long as nobody waits here, never.
async fn next(waiting: &mut Option<mpsc::UnboundedReceiver<Message>>) -> Option<Message> {
    match waiting {
        Some(waiting) => waiting.recv().await,
        None => std::future::pending().await,
    }
}
