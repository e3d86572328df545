//! Connections that answer nothing by themselves: a WebSocket and a polling session, packet by packet.

use std::collections::VecDeque;
use std::time::Duration;

use chat_spec::Requirement;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::engine::body::Text;
use crate::engine::{Stop, User, WebSocket, World};

/// How long a packet may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);
/// Before a poll that was not answered is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// Between packets of one body.
pub(super) const SEPARATOR: &str = "\u{1e}";

/// The packet that connects and says who it is. Without it a session may be closed before anything else is due.
pub(super) fn connect(user: &User) -> String {
    format!("40{}", json!({"token": user.access}))
}

/// The last that comes before somebody is known. Of the presence of others, anything may come beside it.
fn is_authenticated(packet: &str) -> bool {
    is_event(packet, "authenticated")
}

/// An event of the main namespace, whether or not that is named.
fn is_event(packet: &str, name: &str) -> bool {
    let Some(event) = packet.strip_prefix("42") else {
        return false;
    };
    let event: Value = serde_json::from_str(event.trim_start_matches("/,")).unwrap_or_default();
    event[0] == name
}

/// Whether it is what a client has asked for: an ack, or an error where none was wanted. Of others, and of what nobody has specified,
/// anything may come.
fn is_answer(packet: &str) -> bool {
    packet.starts_with("43") || is_event(packet, "error")
}

/// An Engine.IO session over WebSocket.
pub(super) struct Wire {
    stream: WebSocket,
}

impl Wire {
    /// A WebSocket with this query, if there is one.
    pub(super) async fn ask(w: &World, query: &str) -> Option<Self> {
        Self::ask_at(w, &w.target.base, query).await
    }

    async fn ask_at(w: &World, base: &str, query: &str) -> Option<Self> {
        let asked = w.target.sockets.open(base, query);
        let stream = timeout(PATIENCE, asked).await.ok()?.ok()?;
        Some(Self { stream })
    }

    /// An open session, and what its OPEN packet says.
    pub(super) async fn open(w: &World) -> Result<(Self, Value), Stop> {
        Self::open_at(w, &w.target.base).await
    }

    /// As [`Self::open`], with this very server.
    pub(super) async fn open_at(w: &World, base: &str) -> Result<(Self, Value), Stop> {
        let none = || Stop::Inconclusive("no Engine.IO session over WebSocket".into());
        let asked = Self::ask_at(w, base, "EIO=4&transport=websocket");
        let mut wire = asked.await.ok_or_else(none)?;
        let open = wire.next().await.ok_or_else(none)?;
        let open = open.strip_prefix('0').and_then(|open| serde_json::from_str(open).ok());
        Ok((wire, open.ok_or_else(none)?))
    }

    /// Judges that this session of a bystander is answered as before.
    pub(super) async fn goes_on(&mut self, w: &World, requirement: &'static Requirement) {
        self.send(r#"421["no_such_event",{}]"#).await;
        let ack = self.answer().await.unwrap_or_default();
        w.check(requirement, ack.starts_with("431["), "others go on", ack);
    }

    /// A session of an authenticated user.
    pub(super) async fn of(w: &World, user: &User) -> Result<Self, Stop> {
        let (mut wire, _) = Self::open(w).await?;
        wire.send(&connect(user)).await;
        let none = || Stop::Inconclusive("a raw socket was not authenticated".into());
        while !is_authenticated(&wire.message().await.ok_or_else(none)?) {}
        Ok(wire)
    }

    pub(super) async fn send(&mut self, text: &str) {
        // A connection that is gone shows itself by what does not come.
        let _ = self.stream.send(Message::text(text)).await;
    }

    pub(super) async fn send_binary(&mut self, bytes: &[u8]) {
        let _ = self.stream.send(Message::binary(bytes.to_vec())).await;
    }

    /// The next packet; none when the connection has ended, or nothing comes.
    pub(super) async fn next(&mut self) -> Option<String> {
        self.next_within(PATIENCE).await
    }

    pub(super) async fn next_within(&mut self, patience: Duration) -> Option<String> {
        let read = async {
            loop {
                match self.stream.next().await? {
                    Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
                    Ok(Message::Close(_)) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        timeout(patience, read).await.ok().flatten()
    }

    /// Whether a PING comes, behind whatever else.
    pub(super) async fn pinged_within(&mut self, patience: Duration) -> bool {
        let read = async {
            loop {
                match self.next_within(Duration::MAX).await.as_deref() {
                    Some("2") => return true,
                    Some(_) => {}
                    None => return false,
                }
            }
        };
        timeout(patience, read).await.unwrap_or(false)
    }

    /// The next packet that is a message; pings on the way are answered.
    pub(super) async fn message(&mut self) -> Option<String> {
        loop {
            let packet = self.next().await?;
            match packet.chars().next() {
                Some('2') => self.send("3").await,
                Some('4') => return Some(packet),
                _ => {}
            }
        }
    }

    /// The next message that is an answer.
    pub(super) async fn answer(&mut self) -> Option<String> {
        loop {
            let packet = self.message().await?;
            if is_answer(&packet) {
                return Some(packet);
            }
        }
    }

    /// Answers pings for as long as the connection lives.
    async fn live(&mut self) {
        while let Some(packet) = self.next_within(Duration::MAX).await {
            if packet == "2" {
                self.send("3").await;
            }
        }
    }

    /// Answers pings for as long as it is asked to.
    pub(super) async fn stays(&mut self) {
        self.live().await;
        // What comes of an end shows itself later.
        std::future::pending().await
    }

    /// Whether the server ends the connection, whatever it sends before.
    pub(super) async fn closed_within(&mut self, patience: Duration) -> bool {
        let read = async {
            while let Some(Ok(message)) = self.stream.next().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
        };
        timeout(patience, read).await.is_ok()
    }

    /// Whether the server ends the connection although every PING is answered.
    pub(super) async fn closed_although_alive(&mut self, patience: Duration) -> bool {
        timeout(patience, self.live()).await.is_ok()
    }

    pub(super) async fn closed(&mut self) -> bool {
        self.closed_within(PATIENCE).await
    }
}

/// An Engine.IO session over HTTP long-polling.
pub(super) struct Polling {
    http: reqwest::Client,
    url: String,
    pub(super) sid: String,
    pub(super) open: Value,
    waiting: VecDeque<String>,
}

/// A request to the transport; status 0 when there is no answer.
pub(super) async fn request(w: &World, method: &str, query: &str, body: &str) -> (u16, String) {
    request_at(w, &w.target.base, method, query, body).await
}

async fn request_at(w: &World, base: &str, method: &str, query: &str, body: &str) -> (u16, String) {
    let method = method.parse().unwrap_or(reqwest::Method::GET);
    let url = format!("{base}/socket.io/?{query}");
    let request = w
        .target
        .http_of(base)
        .request(method, url)
        .timeout(PATIENCE)
        .body(body.to_owned());
    answered(request).await
}

/// An Engine.IO packet, or something binary in one; no page, no JSON.
fn is_packet(text: &&str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || first == 'b')
}

async fn answered(request: reqwest::RequestBuilder) -> (u16, String) {
    match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            (status, Text::strictly_of(response).await.unwrap_or_default())
        }
        Err(_) => (0, String::new()),
    }
}

impl Polling {
    pub(super) async fn open(w: &World) -> Result<Self, Stop> {
        Self::open_at(w, &w.target.base).await
    }

    /// As [`Self::open`], with this very server.
    pub(super) async fn open_at(w: &World, base: &str) -> Result<Self, Stop> {
        let query = "EIO=4&transport=polling";
        let (status, body) = request_at(w, base, "GET", query, "").await;
        let packet = body.split(SEPARATOR).next().unwrap_or_default();
        let open: Option<Value> = packet
            .strip_prefix('0')
            .and_then(|open| serde_json::from_str(open).ok());
        let sid = open.as_ref().and_then(|open| open["sid"].as_str()).map(str::to_owned);
        let (Some(open), Some(sid)) = (open, sid) else {
            return Err(Stop::Inconclusive(format!(
                "no Engine.IO session over polling: {status}"
            )));
        };
        Ok(Self {
            http: w.target.http_of(base).clone(),
            url: format!("{base}/socket.io/?{query}&sid={sid}"),
            sid,
            open,
            waiting: body.split(SEPARATOR).skip(1).map(str::to_owned).collect(),
        })
    }

    /// A session of an authenticated user.
    pub(super) async fn of(w: &World, user: &User) -> Result<Self, Stop> {
        let mut polling = Self::open(w).await?;
        polling.post(&connect(user)).await;
        let none = || Stop::Inconclusive("a raw polling session was not authenticated".into());
        while !is_authenticated(&polling.message().await.ok_or_else(none)?) {}
        Ok(polling)
    }

    pub(super) async fn get(&self) -> (u16, String) {
        self.get_within(PATIENCE).await
    }

    async fn get_within(&self, patience: Duration) -> (u16, String) {
        answered(self.http.get(&self.url).timeout(patience)).await
    }

    pub(super) async fn post(&self, body: &str) -> (u16, String) {
        let request = self.http.post(&self.url).timeout(PATIENCE).body(body.to_owned());
        answered(request.header("content-type", "text/plain;charset=UTF-8")).await
    }

    /// What an earlier poll brought and nobody has looked at.
    pub(super) fn taken(&mut self) -> Vec<String> {
        self.waiting.drain(..).collect()
    }

    /// The next packet; none when the session is over, or nothing comes.
    pub(super) async fn next(&mut self) -> Option<String> {
        self.next_within(PATIENCE).await
    }

    pub(super) async fn next_within(&mut self, patience: Duration) -> Option<String> {
        if self.waiting.is_empty() {
            let (status, body) = self.get_within(patience).await;
            if status != 200 {
                return None;
            }
            self.waiting.extend(body.split(SEPARATOR).map(str::to_owned));
        }
        self.waiting.pop_front()
    }

    /// Whether the server ends the session although every PING is answered.
    pub(super) async fn closed_although_alive(&mut self, patience: Duration) -> bool {
        let over = async {
            let mut packets = self.taken();
            loop {
                if packets.iter().any(|packet| packet == "2") {
                    self.post("3").await;
                }
                // A poll that is cut short, or has no answer, is no end.
                let (status, body) = self.get_within(patience).await;
                match status {
                    400 => break,
                    200 => packets = body.split(SEPARATOR).filter(is_packet).map(str::to_owned).collect(),
                    _ => packets.clear(),
                }
                if packets.is_empty() {
                    // It was answered at once, as it may be again.
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        timeout(patience, over).await.is_ok()
    }

    /// The next packet that is a message; pings on the way are answered.
    pub(super) async fn message(&mut self) -> Option<String> {
        loop {
            let packet = self.next().await?;
            match packet.chars().next() {
                Some('2') => drop(self.post("3").await),
                Some('4') => return Some(packet),
                _ => {}
            }
        }
    }

    /// The next message that is an answer.
    pub(super) async fn answer(&mut self) -> Option<String> {
        loop {
            let packet = self.message().await?;
            if is_answer(&packet) {
                return Some(packet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_nobody_is_passed_over() {
        for answer in [r#"435[{"ok":true}]"#, r#"43/,5[{}]"#, r#"42["error",{"code":"X"}]"#] {
            assert!(is_answer(answer), "{answer}");
        }
        for other in [
            r#"42["user_online",{}]"#,
            r#"42["welcome",{}]"#,
            r#"40{"sid":"x"}"#,
            "2",
            "",
        ] {
            assert!(!is_answer(other), "{other}");
        }
        assert!(is_authenticated(r#"42["authenticated",{"user":{}}]"#));
        assert!(is_authenticated(r#"42/,["authenticated",{"user":{}}]"#));
        assert!(!is_authenticated(r#"42["user_online",{"username":"authenticated"}]"#));
    }
}
