//! Engine.io over WebSocket.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;

use super::Shared;
use super::packet::Frame;
use crate::engine::Stop;
use crate::engine::sockets::Sockets;

/// Opens the connection and starts the tasks that read and write.
pub(super) async fn open(
    sockets: &Sockets,
    base: &str,
    shared: &Arc<Shared>,
    mut frames: mpsc::UnboundedReceiver<Frame>,
) -> Result<Vec<AbortHandle>, Stop> {
    let failed = |error: &dyn std::fmt::Display| Stop::Inconclusive(format!("the WebSocket: {error}"));
    let opened = sockets.open(base, "EIO=4&transport=websocket").await;
    let stream = opened.map_err(|error| failed(&error))?;
    let (mut sink, mut stream) = stream.split();
    match stream.next().await {
        Some(Ok(Message::Text(open))) if open.starts_with('0') => {}
        other => return Err(failed(&format!("no engine.io OPEN but {other:?}"))),
    }
    let (pong, mut pongs) = mpsc::unbounded_channel::<Message>();
    let writer = tokio::spawn(async move {
        loop {
            let message = tokio::select! {
                frame = frames.recv() => match frame {
                    Some(Frame::Text(text)) => Message::text(text),
                    Some(Frame::Binary(bytes)) => Message::binary(bytes),
                    Some(Frame::Close) | None => break,
                },
                Some(pong) = pongs.recv() => pong,
            };
            if sink.send(message).await.is_err() {
                break;
            }
        }
        let _ = sink.close().await; // Closed either way.
    });
    let shared = shared.clone();
    let reader = tokio::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Text(text) if text.starts_with('2') => {
                    let _ = pong.send(Message::text("3"));
                }
                Message::Text(text) if text.starts_with('4') => shared.arrived(&text[1..]),
                Message::Text(text) if text.starts_with('1') => break,
                Message::Close(_) => break,
                _ => {}
            }
        }
        shared.closed("the connection was closed");
    });
    Ok(vec![writer.abort_handle(), reader.abort_handle()])
}
