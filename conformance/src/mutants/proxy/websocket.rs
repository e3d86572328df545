//! Engine.io over WebSocket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
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
    let socket = match polling::session(&call) {
        // It began by polling and is upgraded.
        Some(sid) => through.sockets.of_session(sid),
        None => through.sockets.open(),
    };
    let key = request.headers().get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let accept = HeaderValue::from_str(&derive_accept_key(key.unwrap_or_default())).map_err(io::Error::other)?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        carry(&through, upgrade, upstream, &socket).await;
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

/// Carries frames both ways until one side ends.
async fn carry(through: &Through, upgrade: OnUpgrade, upstream: Upstream, socket: &Arc<Socket>) {
    let Ok(upgraded) = upgrade.await else { return };
    let client: WebSocketStream<TokioIo<Upgraded>> =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let (mut to_client, mut from_client) = client.split();
    let (mut to_server, mut from_server) = upstream.split();
    let waiting = (socket.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)).take();
    let Some(mut waiting) = waiting else { return };
    let out = async move {
        while let Some(message) = waiting.recv().await {
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
                        socket.send(Message::text(text));
                    }
                }
                Message::Binary(_) => socket.send(message),
                Message::Close(_) => return message,
                _ => {}
            }
        }
        Message::Close(None)
    };
    let up = async {
        while let Some(Ok(message)) = from_client.next().await {
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
            socket.send(last);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = out => {}
        () = up => {}
        () = server_went => {}
    }
}
