//! Engine.IO packets over requests.

use std::collections::VecDeque;
use std::net::SocketAddr;

use reqwest::{Client, Method};
use serde_json::Value;
use tokio::time::timeout;

use crate::wire::PATIENCE;

/// What stands between the packets of one body.
pub(crate) const SEPARATOR: &str = "\u{1e}";

#[derive(Clone)]
pub(crate) struct Polling {
    http: Client,
    url: String,
    pub(crate) sid: String,
    pub(crate) open: Value,
    packets: VecDeque<String>,
}

impl Polling {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let (status, body) = request(address, Method::GET, "EIO=4&transport=polling", "").await;
        assert_eq!(status, 200, "{body}");
        let open: Value = serde_json::from_str(body.strip_prefix('0').unwrap()).unwrap();
        let sid = open["sid"].as_str().unwrap().to_owned();
        Self {
            http: Client::new(),
            url: format!("http://{address}/socket.io/?EIO=4&transport=polling&sid={sid}"),
            sid,
            open,
            packets: VecDeque::new(),
        }
    }

    pub(crate) async fn get(&self) -> (u16, String) {
        let response = timeout(PATIENCE, self.http.get(&self.url).send());
        let response = response.await.expect("a poll should end").unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, String) {
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "text/plain;charset=UTF-8");
        let response = request.body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The next packet, polled for when there is none.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            if let Some(packet) = self.packets.pop_front() {
                return packet;
            }
            let (status, body) = self.get().await;
            assert_eq!(status, 200, "{body}");
            self.packets.extend(body.split(SEPARATOR).map(str::to_owned));
        }
    }

    /// The next packet that is no ping; pings are answered.
    pub(crate) async fn message(&mut self) -> String {
        loop {
            match self.next().await.as_str() {
                "2" => assert_eq!(self.post("3").await, (200, "ok".into())),
                message => return message.to_owned(),
            }
        }
    }
}

/// One request below `/socket.io/`.
pub(crate) async fn request(
    address: SocketAddr,
    method: Method,
    query: &str,
    body: impl Into<reqwest::Body>,
) -> (u16, String) {
    let url = format!("http://{address}/socket.io/?{query}");
    let response = Client::new().request(method, url).body(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}
