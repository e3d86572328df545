//! A client as light as can be: text frames over one WebSocket.

use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) struct User {
    pub(crate) id: String,
    token: String,
}

impl User {
    pub(crate) async fn register_all(base: &str, count: usize) -> Vec<Self> {
        let http = reqwest::Client::new();
        let mut users = Vec::new();
        for number in 0..count {
            let name = format!("user{number}");
            let body = json!({"username": name, "email": format!("{name}@example.org"), "password": "a password", "confirmPassword": "a password"});
            let answer = http
                .post(format!("{base}/api/auth/register"))
                .json(&body)
                .send()
                .await
                .expect("an answer");
            let answer: Value = answer.json().await.expect("a body");
            let text = |pointer: &str| {
                answer
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .expect("a user")
                    .to_owned()
            };
            users.push(Self {
                id: text("/user/id"),
                token: text("/tokens/accessToken"),
            });
        }
        users
    }
}

pub(crate) struct Client {
    out: SplitSink<Socket, Message>,
    incoming: SplitStream<Socket>,
}

impl Client {
    pub(crate) async fn connect(base: &str, user: &User) -> Self {
        let url = format!(
            "{}/socket.io/?EIO=4&transport=websocket",
            base.replacen("http", "ws", 1)
        );
        let (socket, _) = connect_async(&url).await.expect("a socket");
        let (out, incoming) = socket.split();
        let mut client = Self { out, incoming };
        client.say(format!("40{}", json!({"token": user.token}))).await;
        client.receive("42[\"authenticated\"", 1).await;
        client
    }

    /// Sends messages with at most `window` of them not yet acknowledged.
    pub(crate) async fn send_all(&mut self, to: &str, count: usize, window: usize) {
        for id in 0..count + window {
            if id >= window {
                self.receive(&format!("43{}[{{\"ok\":true", id - window), 1).await;
            }
            if id < count {
                let event =
                    json!(["send_message", {"to": to, "content": format!("message number {id} of this sender")}]);
                self.say(format!("42{id}{event}")).await;
            }
        }
    }

    /// Waits for so many packets that begin like this; answers heartbeats.
    pub(crate) async fn receive(&mut self, beginning: &str, count: usize) {
        let mut left = count;
        while left > 0 {
            let message = self.incoming.next().await.expect("an open socket").expect("a frame");
            if let Message::Text(text) = message {
                if text.as_str() == "2" {
                    self.say("3".to_owned()).await;
                } else if text.starts_with(beginning) {
                    left -= 1;
                }
            }
        }
    }

    /// Sends messages with a pause between two, whatever is answered; stays until the last is.
    pub(crate) async fn send_paced(&mut self, to: &str, count: usize, pause: Duration) {
        let mut turn = tokio::time::interval(pause);
        for number in 0..count {
            turn.tick().await;
            let event =
                json!(["send_message", {"to": to, "content": format!("message number {number} of this sender")}]);
            self.say(format!("42{number}{event}")).await;
        }
        self.receive(&format!("43{}[{{\"ok\":true", count - 1), 1).await;
    }

    /// When each of so many packets came that begin like this.
    pub(crate) async fn arrivals(&mut self, beginning: &str, count: usize) -> Vec<Instant> {
        let mut arrivals = Vec::with_capacity(count);
        for _ in 0..count {
            self.receive(beginning, 1).await;
            arrivals.push(Instant::now());
        }
        arrivals
    }

    async fn say(&mut self, text: String) {
        self.out.send(Message::text(text)).await.expect("an open socket");
    }
}
