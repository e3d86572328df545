//! Requests, passed on one by one.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::exchange::{Call, Reply};
use super::{Through, polling, websocket};
use crate::engine::operation;

/// One request through the proxy.
pub(super) async fn serve(
    through: Arc<Through>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let upgraded = request.headers().contains_key(UPGRADE);
    let answered = match upgraded {
        true => websocket::serve(through, request).await,
        false => forward(&through, request).await,
    };
    // The server is gone: so is this one.
    Ok(answered.unwrap_or_else(|error| {
        let mut gone = Response::new(Full::new(Bytes::from(format!("the server behind the proxy: {error}"))));
        *gone.status_mut() = StatusCode::BAD_GATEWAY;
        gone
    }))
}

async fn forward(through: &Arc<Through>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut call = Call {
        operation: operation(&head.method, &path),
        measured: !head.headers.contains_key(TRANSFER_ENCODING),
        method: head.method,
        path,
        headers: head.headers,
        body,
    };
    let socket = polling::session(&call).map(|sid| through.sockets.of_session(sid));
    match (&socket, &call.method) {
        (Some(socket), &Method::POST) => polling::asked(through, socket, &mut call),
        _ => through.tamper.call(&mut call),
    }
    let mut reply = ask(through, &call).await?;
    match &socket {
        Some(socket) if call.method == Method::GET && reply.status == StatusCode::OK => {
            polling::told(through, socket, &mut reply);
        }
        Some(_) => {}
        None => {
            if let Some(sid) = polling::opened(&reply) {
                polling::told(through, &through.sockets.of_session(&sid), &mut reply);
            }
        }
    }
    if polling::is_transport(&call) {
        through.tamper.transport(&call, socket.is_some(), &mut reply);
    }
    if call.is_api() {
        let held = through.tamper.reply(&call, &mut reply);
        if !held.is_zero() {
            tokio::time::sleep(held).await;
        }
    }
    Ok(reply.into_response())
}

/// Asks the server, over a connection of its own.
pub(super) async fn ask(through: &Through, call: &Call) -> io::Result<Reply> {
    let stream = TcpStream::connect(through.upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let whole = Full::new(call.body.clone());
    // A body that went through a function has no length that is known beforehand: it goes in chunks, as it came.
    let body: BoxBody<Bytes, Infallible> = match call.measured {
        true => whole.boxed(),
        false => whole.map_frame(|frame| frame).boxed(),
    };
    let mut request = Request::new(body);
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = call.path.parse::<Uri>().map_err(io::Error::other)?;
    *request.headers_mut() = call.headers.clone();
    if call.measured && call.headers.contains_key(CONTENT_LENGTH) {
        request.headers_mut().insert(CONTENT_LENGTH, call.body.len().into());
    }
    let answered = sender.send_request(request).await.map_err(io::Error::other)?;
    let (head, body) = answered.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    connection.abort();
    Ok(Reply {
        status: head.status,
        headers: head.headers,
        body,
    })
}
