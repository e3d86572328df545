//! A socket that is just good enough to be online and to see what comes: Socket.IO over one websocket.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) struct Device {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    acks: u32,
}

impl Device {
    /// Authenticates by the handshake and waits for `authenticated`.
    pub(crate) async fn open(base: &str, token: &str) -> Self {
        let url = base.replacen("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket";
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let mut device = Self { socket, acks: 0 };
        device.write(format!("40{}", json!({ "token": token }))).await;
        device.event("authenticated").await;
        device
    }

    /// The payload of the next event of this name; others before it are passed over.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        loop {
            let packet = self.packet().await.expect("the socket was closed");
            if let Some(event) = packet.strip_prefix("42") {
                let mut event: Value = serde_json::from_str(event).unwrap();
                if event[0] == name {
                    return event[1].take();
                }
            }
        }
    }

    /// Emits an event that wants no ack.
    pub(crate) async fn emit(&mut self, event: &str, payload: Value) {
        self.write(format!("42{}", json!([event, payload]))).await;
    }

    /// Emits an event and gives its ack.
    pub(crate) async fn ask(&mut self, event: &str, payload: Value) -> Value {
        self.acks += 1;
        let id = self.acks;
        self.write(format!("42{id}{}", json!([event, payload]))).await;
        let begin = format!("43{id}[");
        loop {
            let packet = self.packet().await.expect("the socket was closed");
            if packet.starts_with(&begin) {
                let mut acks: Value = serde_json::from_str(&packet[begin.len() - 1..]).unwrap();
                return acks[0].take();
            }
        }
    }

    /// Emits an event whose ack comes by [`Self::next_ack`], and gives the number of the ack. Whether the server still lives
    /// shows there.
    pub(crate) async fn ask_later(&mut self, event: &str, payload: Value) -> u32 {
        self.acks += 1;
        let packet = format!("42{}{}", self.acks, json!([event, payload]));
        let _ = self.socket.send(Message::text(packet)).await;
        self.acks
    }

    /// The next ack and its number; none after the end.
    pub(crate) async fn next_ack(&mut self) -> Option<(u32, Value)> {
        loop {
            let packet = self.packet().await?;
            if let Some((id, ack)) = packet.strip_prefix("43").and_then(|ack| ack.split_once('[')) {
                let mut acks: Value = serde_json::from_str(&format!("[{ack}")).unwrap();
                return Some((id.parse().unwrap(), acks[0].take()));
            }
        }
    }

    /// Waits until the server ends the socket.
    pub(crate) async fn closed(mut self) {
        while let Some(packet) = self.packet().await {
            if packet == "41" {
                return;
            }
        }
    }

    /// Waits until the connection ends, which must not begin with a `disconnect` of Socket.IO: whom a server dismisses in this
    /// way stays away, whoever loses a connection looks for another.
    pub(crate) async fn lost(mut self) {
        while let Some(packet) = self.packet().await {
            assert_ne!(packet, "41");
        }
    }

    /// The next packet that is no heartbeat; none after the end.
    async fn packet(&mut self) -> Option<String> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => {
                    let _ = self.socket.send(Message::text("3")).await;
                }
                Some(Ok(Message::Text(text))) => return Some(text.as_str().to_owned()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    async fn write(&mut self, packet: String) {
        self.socket.send(Message::text(packet)).await.unwrap();
    }
}
