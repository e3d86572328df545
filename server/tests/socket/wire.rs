//! Engine.IO packets over a websocket, as they are.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

/// How long anything may take that must happen. Only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Wire(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Wire {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::ask(address, "EIO=4&transport=websocket").await.unwrap()
    }

    /// On a connection of one's own.
    pub(crate) async fn over(stream: TcpStream, address: SocketAddr) -> Self {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let stream = MaybeTlsStream::Plain(stream);
        Self(client_async(url, stream).await.unwrap().0)
    }

    /// With a query of one's own.
    pub(crate) async fn ask(address: SocketAddr, query: &str) -> Result<Self, tungstenite::Error> {
        let (ws, _) = connect_async(format!("ws://{address}/socket.io/?{query}")).await?;
        Ok(Self(ws))
    }

    /// A connection that is gone shows at the next read.
    pub(crate) async fn send(&mut self, packet: impl Into<String>) {
        let _ = self.0.send(Message::text(packet.into())).await;
    }

    pub(crate) async fn send_binary(&mut self, bytes: impl Into<Vec<u8>>) {
        let _ = self.0.send(Message::binary(bytes.into())).await;
    }

    /// The next packet; `None` when the connection is over.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            let frame = timeout(PATIENCE, self.0.next())
                .await
                .expect("the server should have said something");
            match frame? {
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(other) => panic!("the server never sends {other:?}"),
            }
        }
    }

    /// The next packet that is no ping; pings are answered.
    pub(crate) async fn message(&mut self) -> Option<String> {
        loop {
            match self.next().await?.as_str() {
                "2" => self.send("3").await,
                message => return Some(message.to_owned()),
            }
        }
    }

    /// Reads until the connection is over.
    pub(crate) async fn until_closed(&mut self) {
        while self.message().await.is_some() {}
    }

    /// The server closes, and says no more than that.
    pub(crate) async fn closed(&mut self) {
        match self.message().await.as_deref() {
            None => {}
            Some("1") => assert_eq!(self.message().await, None),
            Some(packet) => panic!("instead of the end came {packet}"),
        }
    }
}
