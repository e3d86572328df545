//! What is checked first wins: path, method, rate limit, token, size, content type, JSON, fields, existence and rights, state.

use std::collections::{BTreeMap, BTreeSet};

use chat_server::router::served;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Answer, Client};
use crate::server::{Server, limit};

/// One operation, at a path whose ids nobody has.
struct Call {
    operation: &'static str,
    method: Method,
    path: String,
}

impl Call {
    fn all() -> Vec<Self> {
        let call = |(operation, method, path): (_, _, &str)| Self {
            operation,
            method,
            path: path.replace("{userId}", "nobody").replace("{id}", "nobody"),
        };
        served().into_iter().map(call).collect()
    }

    fn is_at_the_door(&self) -> bool {
        ["register", "login", "refreshToken"].contains(&self.operation)
    }

    fn takes_a_body(&self) -> bool {
        let others = [
            "updateProfile",
            "changePassword",
            "sendMessage",
            "editMessage",
            "markRead",
        ];
        self.is_at_the_door() || others.contains(&self.operation)
    }

    fn by(&self, client: &Client) -> RequestBuilder {
        client.request(self.method.clone(), &self.path)
    }
}

/// Too large, of the wrong type, and no JSON.
fn hopeless(request: RequestBuilder) -> RequestBuilder {
    request.header("content-type", "text/plain").body("x".repeat(70_000))
}

fn json_text(request: RequestBuilder, text: impl Into<String>) -> RequestBuilder {
    request.header("content-type", "application/json").body(text.into())
}

#[tokio::test]
async fn the_path_comes_first() {
    let server = Server::with(|config| config.request_limit = limit(1)).await;
    let visitor = server.visitor();
    visitor.get("/api/users/online").await.refused(401, "TOKEN_MISSING");
    visitor.get("/api/users/online").await.refused(429, "RATE_LIMITED");
    let mut paths: BTreeSet<String> = Call::all().into_iter().map(|call| call.path + "/").collect();
    paths.extend(
        [
            "/",
            "/api",
            "/api/",
            "/api/nothing",
            "/API/auth/login",
            "/api//auth/login",
        ]
        .map(String::from),
    );
    for path in paths {
        let answer = Answer::to(hopeless(visitor.request(Method::PATCH, &path))).await;
        assert_eq!(answer.status, 404, "{path}");
        answer.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn then_the_method_with_those_that_are_allowed() {
    let server = Server::with(|config| {
        config.request_limit = limit(1);
        config.auth_limit = limit(1);
    })
    .await;
    let visitor = server.visitor();
    visitor.get("/api/users/online").await.refused(401, "TOKEN_MISSING");
    let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for call in Call::all() {
        allowed.entry(call.path).or_default().insert(call.method.to_string());
    }
    for (path, methods) in allowed {
        for method in [Method::PATCH, Method::TRACE] {
            let request = visitor.request(method, &path).header("content-type", "text/plain");
            let answer = Answer::to(request.body("no JSON")).await;
            answer.refused(405, "METHOD_NOT_ALLOWED");
            let said = answer.header("allow").unwrap().split(',').map(str::trim);
            let said: BTreeSet<String> = said
                .filter(|m| *m != "HEAD" && *m != "OPTIONS")
                .map(Into::into)
                .collect();
            assert_eq!(said, methods, "{path}");
        }
    }
}

#[tokio::test]
async fn then_the_rate_limit() {
    let server = Server::with(|config| {
        config.request_limit = limit(1);
        config.auth_limit = limit(1);
    })
    .await;
    let visitor = server.visitor();
    visitor.get("/api/users/online").await.refused(401, "TOKEN_MISSING");
    let answer = visitor.post("/api/auth/login", json!({})).await;
    answer.refused(400, "VALIDATION_ERROR");
    for call in Call::all() {
        let answer = Answer::to(hopeless(call.by(&visitor))).await;
        assert_eq!(answer.status, 429, "{}", call.operation);
        answer.refused(429, "RATE_LIMITED");
    }
}

#[tokio::test]
async fn then_the_token() {
    let server = Server::start().await;
    let visitor = server.visitor();
    let refused = visitor.with_token("no.good.token");
    for call in Call::all().iter().filter(|call| !call.is_at_the_door()) {
        let answer = Answer::to(hopeless(call.by(&visitor))).await;
        assert_eq!(answer.code(), "TOKEN_MISSING", "{}", call.operation);
        answer.refused(401, "TOKEN_MISSING");
        let answer = Answer::to(hopeless(call.by(&refused))).await;
        answer.refused(401, "TOKEN_INVALID");
    }
}

#[tokio::test]
async fn then_the_body_from_outside_to_inside() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    for call in Call::all().iter().filter(|call| call.takes_a_body()) {
        let name = call.operation;
        let ask = async |request: RequestBuilder| {
            let answer = Answer::to(request).await;
            format!("{name} {} {}", answer.status, answer.code())
        };
        let expect = |outcome: &str| format!("{name} {outcome}");
        let too_large = expect("413 PAYLOAD_TOO_LARGE");
        assert_eq!(ask(hopeless(call.by(&ann))).await, too_large);
        let filled = format!("[{}]", " ".repeat(65_535));
        assert_eq!(ask(json_text(call.by(&ann), filled)).await, too_large);

        let no_media = expect("415 UNSUPPORTED_MEDIA_TYPE");
        assert_eq!(ask(call.by(&ann).body("{")).await, no_media);
        for media in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "text/json",
            "application/jsonp",
            "",
        ] {
            assert_eq!(
                ask(call.by(&ann).header("content-type", media).body("{")).await,
                no_media
            );
        }

        let malformed = expect("400 MALFORMED_JSON");
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        for text in ["{", "{}{}", "{'a': 1}", "\u{feff}{}", "nul", "{\"a\":1,}", " ", &deep] {
            assert_eq!(ask(json_text(call.by(&ann), text)).await, malformed, "{:.20}", text);
        }
        let not_utf8 = call
            .by(&ann)
            .header("content-type", "application/json")
            .body(&b"{\"a\":\"\xff\"}"[..]);
        assert_eq!(ask(not_utf8).await, malformed);

        let invalid = expect("400 VALIDATION_ERROR");
        let not_too_large = format!("[{}]", " ".repeat(65_534));
        for text in ["", "null", "[]", "7", "\"text\"", &not_too_large] {
            if name == "updateProfile" && text.is_empty() {
                continue;
            }
            assert_eq!(ask(json_text(call.by(&ann), text)).await, invalid, "{:.20}", text);
        }
        assert_eq!(ask(call.by(&ann)).await, invalid, "no body at all");
        for media in ["application/json; charset=utf-8", "Application/JSON"] {
            assert_eq!(
                ask(call.by(&ann).header("content-type", media).body("[]")).await,
                invalid
            );
        }
    }
}

#[tokio::test]
async fn a_body_without_a_declared_length_is_measured_too() {
    let server = Server::start().await;
    let address = server.url.strip_prefix("http://").unwrap();
    let ask = async |length: usize| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /api/auth/login HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             connection: close\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; length]).await.unwrap();
        stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap().to_owned()
    };
    assert_eq!(ask(65_536).await, "HTTP/1.1 400 Bad Request");
    assert_eq!(ask(65_537).await, "HTTP/1.1 413 Payload Too Large");
}

#[tokio::test]
async fn then_the_fields_before_what_they_name() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let cases: [(Method, &str, Value, &[&str]); 7] = [
        (
            Method::PUT,
            "/api/messages/nobody",
            json!({"content": " "}),
            &["content"],
        ),
        (
            Method::POST,
            "/api/messages/send",
            json!({"to": "nobody", "content": ""}),
            &["content"],
        ),
        (
            Method::POST,
            "/api/messages/send",
            json!({"to": ann.id, "content": 1, "messageType": "x"}),
            &["content", "messageType"],
        ),
        (
            Method::POST,
            "/api/messages/mark-read",
            json!({"chatId": "x", "messageIds": ["x"]}),
            &["messageIds"],
        ),
        (
            Method::GET,
            "/api/messages/conversation/nobody?limit=0&after=x",
            Value::Null,
            &["limit", "after"],
        ),
        (
            Method::GET,
            "/api/messages/search?userId=nobody&limit=101",
            Value::Null,
            &["q", "limit"],
        ),
        (
            Method::GET,
            "/api/users/search?q=&limit=51",
            Value::Null,
            &["q", "limit"],
        ),
    ];
    for (method, path, body, fields) in cases {
        let request = ann.request(method, path);
        let request = if body.is_null() { request } else { request.json(&body) };
        Answer::to(request).await.refused_for(fields);
    }
}

#[tokio::test]
async fn then_what_exists_before_its_state() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let bob = server.person("bob").await;
    let sent = json!({"to": bob.id, "content": "hello", "clientMessageId": "one"});
    ann.post("/api/messages/send", sent).await.ok(201);
    let answer = ann
        .post(
            "/api/messages/send",
            json!({"to": "nobody", "content": "x", "chatId": "other", "clientMessageId": "one"}),
        )
        .await;
    answer.refused(404, "USER_NOT_FOUND");
    let answer = ann
        .post(
            "/api/messages/send",
            json!({"to": ann.id, "content": "x", "chatId": "other"}),
        )
        .await;
    answer.refused(400, "CANNOT_MESSAGE_SELF");
}

#[tokio::test]
async fn a_body_on_a_call_that_takes_none_is_ignored() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut calls: Vec<Call> = Call::all().into_iter().filter(|call| !call.takes_a_body()).collect();
    // The last one, for it ends the session.
    calls.sort_by_key(|call| call.operation == "logout");
    for call in calls {
        let expected = match call.operation {
            "logout" => 204,
            "getConversation" | "getUser" | "getUserStatus" | "deleteMessage" => 404,
            _ => 200,
        };
        let request = ann.request(call.method, &(call.path + "?q=x"));
        let answer = Answer::to(hopeless(request)).await;
        assert_eq!(answer.status, expected, "{} {answer:?}", call.operation);
    }
}

#[tokio::test]
async fn a_lone_surrogate_is_refused() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let text = format!(r#"{{"to": "{}", "content": "a \ud800 b"}}"#, ann.id);
    let answer = Answer::to(json_text(ann.request(Method::POST, "/api/messages/send"), text)).await;
    assert_eq!(answer.status, 400);
    assert!(["MALFORMED_JSON", "VALIDATION_ERROR"].contains(&answer.code()));
}
