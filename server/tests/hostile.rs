//! Random and hostile input: no 5xx, no lost process, and a healthy user is served all the while.
//!
//! `HOSTILE_PAYLOADS` says how many; a failure names the seed and the number of the payload.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

const SEED: u64 = 20_261_124;

struct Server {
    base: String,
    child: Child,
}

impl Server {
    fn start(dir: &tempfile::TempDir) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat-server"))
            .args([
                "--port",
                "0",
                "--env-file",
                "/nonexistent",
                "--log-level",
                "error",
                "--data-dir",
            ])
            .arg(dir.path())
            .args([
                "--rate-limit-max-requests",
                "0",
                "--auth-rate-limit-max-requests",
                "0",
                "--socket-rate-limit-max-events",
                "0",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            base: line.trim().trim_start_matches("listening on ").to_owned(),
            child,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn count() -> usize {
    std::env::var("HOSTILE_PAYLOADS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3_000)
}

async fn register(http: &Client, base: &str, name: &str) -> (String, String) {
    let body = json!({"username": name, "email": format!("{name}@example.org"), "password": "a password", "confirmPassword": "a password"});
    let answer: Value = http
        .post(format!("{base}/api/auth/register"))
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let text = |pointer: &str| answer.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    (text("/user/id"), text("/tokens/accessToken"))
}

/// Texts that have broken servers before.
fn nasty(random: &mut StdRng) -> String {
    let known = [
        "",
        " ",
        "\u{0}",
        "null",
        "undefined",
        "NaN",
        "-1",
        "1e309",
        "99999999999999999999",
        "'; DROP TABLE users; --",
        "{\"$gt\":\"\"}",
        "../../etc/passwd",
        "%s%n%x",
        "\u{202e}",
        "\u{feff}",
        "\u{1f468}\u{200d}\u{1f469}",
        "<script>",
        "${jndi:ldap://x}",
        "(((((",
        "[a-z",
        "%",
        "_",
        "\\",
        "\"",
        "OR 1=1",
        "__proto__",
        "constructor",
        "*",
        "NEAR(",
        "a\nb\r\nc",
    ];
    match random.random_range(0..4) {
        0 => (0..random.random_range(0..60))
            .map(|_| random.random::<char>())
            .collect(),
        1 => known.choose(random).unwrap().repeat(random.random_range(1..40)),
        _ => (*known.choose(random).unwrap()).to_owned(),
    }
}

/// A JSON value of any shape.
fn value(random: &mut StdRng, depth: usize) -> Value {
    match random.random_range(0..if depth > 4 { 6 } else { 9 }) {
        0 => Value::Null,
        1 => random.random::<bool>().into(),
        2 => random.random::<i64>().into(),
        3 => json!(random.random::<f64>() * 1e300),
        4 | 5 => nasty(random).into(),
        6 => (0..random.random_range(0..5))
            .map(|_| value(random, depth + 1))
            .collect(),
        _ => {
            let names = [
                "to",
                "content",
                "messageType",
                "chatId",
                "clientMessageId",
                "username",
                "email",
                "password",
                "confirmPassword",
                "identifier",
                "refreshToken",
                "messageIds",
                "bio",
                "profilePicture",
                "token",
                "status",
                "isTyping",
                "messageId",
            ];
            let mut object = serde_json::Map::new();
            for _ in 0..random.random_range(0..6) {
                object.insert((*names.choose(random).unwrap()).to_owned(), value(random, depth + 1));
            }
            Value::Object(object)
        }
    }
}

#[tokio::test]
async fn no_request_is_answered_with_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir);
    let http = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let (_, token) = register(&http, &server.base, "ann").await;
    let mut random = StdRng::seed_from_u64(SEED);
    let paths = [
        "/api/auth/refresh-token",
        "/api/auth/profile",
        "/api/messages/send",
        "/api/messages/conversation/{}",
        "/api/messages/chats",
        "/api/messages/search",
        "/api/messages/{}",
        "/api/messages/mark-read",
        "/api/users/online",
        "/api/users/search",
        "/api/users/{}",
        "/api/users/{}/status",
        "/api/{}",
        "/{}",
        "/socket.io/",
        "/socket.io/{}",
        "/ready",
    ];
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::HEAD,
        Method::OPTIONS,
    ];
    for number in 0..count() / 2 {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let mut url = format!(
            "{}{}",
            server.base,
            paths
                .choose(&mut random)
                .unwrap()
                .replace("{}", &encode(&nasty(&mut random)))
        );
        if random.random::<bool>() {
            let name = ["q", "limit", "cursor", "after", "userId", "EIO", "transport", "sid"]
                .choose(&mut random)
                .unwrap();
            url += &format!("?{name}={}", encode(&nasty(&mut random)));
        }
        let mut request = http.request(methods.choose(&mut random).unwrap().clone(), &url);
        request = match random.random_range(0..4) {
            0 => request.header(
                "authorization",
                nasty(&mut random)
                    .bytes()
                    .filter(u8::is_ascii_graphic)
                    .map(char::from)
                    .collect::<String>(),
            ),
            _ => request.bearer_auth(&token),
        };
        if let Some(kind) = [
            "application/json",
            "application/json",
            "text/plain",
            "a/b; charset=\"",
            "",
        ]
        .choose(&mut random)
        .filter(|kind| !kind.is_empty())
        {
            request = request.header("content-type", *kind);
        }
        let body = match random.random_range(0..4) {
            0 => (0..random.random_range(0..300)).map(|_| random.random()).collect(),
            1 => vec![b'['; random.random_range(0..70_000)],
            _ => value(&mut random, 0).to_string().into_bytes(),
        };
        let answer = request.body(body).send().await;
        let status = answer
            .unwrap_or_else(|error| panic!("seed {SEED}, request {number}: {error}"))
            .status()
            .as_u16();
        assert!(status < 500, "seed {SEED}, request {number}: {url} answered {status}");
    }
    let healthy = http
        .get(format!("{}/api/auth/profile", server.base))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(healthy.status(), 200);
    assert!(server.child.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn no_packet_ends_more_than_its_own_socket() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir);
    let http = Client::new();
    let (_, token) = register(&http, &server.base, "ann").await;
    let (bob, _) = register(&http, &server.base, "bob").await;
    let mut random = StdRng::seed_from_u64(SEED);
    let url = format!(
        "{}/socket.io/?EIO=4&transport=websocket",
        server.base.replacen("http", "ws", 1)
    );
    let opening = format!("40{}", json!({"token": token}));
    let (mut sent, total) = (0, count() / 2);
    while sent < total {
        let (mut socket, _) = connect_async(&url).await.unwrap();
        if random.random_range(0..5) > 0 {
            socket.send(Message::text(opening.clone())).await.unwrap();
        }
        for _ in 0..random.random_range(1..200) {
            let events = [
                "authenticate",
                "join_chat",
                "send_message",
                "typing",
                "read_receipt",
                "update_status",
                "",
                "error",
                "connect",
                "disconnect",
                "__proto__",
            ];
            let event = *events.choose(&mut random).unwrap();
            let (id, attachments) = (random.random_range(0..1000), random.random_range(0..4));
            let frame = match random.random_range(0..12) {
                0 => Message::binary(
                    (0..random.random_range(0..200))
                        .map(|_| random.random())
                        .collect::<Vec<u8>>(),
                ),
                1 => Message::text(nasty(&mut random)),
                2 => Message::text(format!("4{}", nasty(&mut random))),
                3 => Message::text(format!(
                    "45{attachments}-{id}{}",
                    json!([event, {"_placeholder": true, "num": attachments}])
                )),
                4 => Message::text(format!("42/{},{}", nasty(&mut random), json!([event]))),
                5 => Message::text(format!("43{id}{}", value(&mut random, 0))),
                6 => Message::text(format!(
                    "42{id}[\"{event}\",{}",
                    "[".repeat(random.random_range(0..3000))
                )),
                7 => Message::text(format!(
                    "42{id}{}",
                    json!([event, {"to": bob, "content": "x".repeat(random.random_range(0..200_000))}])
                )),
                _ => Message::text(format!("42{id}{}", json!([event, value(&mut random, 0)]))),
            };
            sent += 1;
            // The server may have ended this socket: the next one goes on.
            if socket.send(frame).await.is_err() {
                break;
            }
        }
        let _ = socket.close(None).await;
        assert!(
            server.child.try_wait().unwrap().is_none(),
            "seed {SEED}, about packet {sent}"
        );
    }
    let (mut socket, _) = connect_async(&url).await.unwrap();
    socket.send(Message::text(opening)).await.unwrap();
    let event = json!(["send_message", {"to": bob, "content": "still here"}]);
    loop {
        let frame = socket.next().await.unwrap().unwrap();
        let text = frame.to_text().unwrap();
        if text.starts_with("40{") {
            socket.send(Message::text(format!("427{event}"))).await.unwrap();
        } else if text.starts_with("437[{\"ok\":true") {
            break;
        }
    }
}
