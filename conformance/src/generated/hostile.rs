//! What no client sends by accident: odd JSON, paths, queries and headers. Whatever the answer is, it is one of the contract.

use chat_spec::{ClientEvent, Operation, req};
use serde_json::json;

use super::fixture::{Fixture, with_body};
use crate::cases;
use crate::engine::{Answer, Outcome, World};

cases!("hostile":
    odd_json [ERRORS_HOSTILE_NO_5XX, ERRORS_SERVER_NO_INTERNALS],
    odd_paths_and_queries [ERRORS_HOSTILE_NO_5XX, ERRORS_SERVER_NO_INTERNALS],
    odd_headers [
        ERRORS_HOSTILE_NO_5XX, ERRORS_SERVER_NO_INTERNALS, HEADERS_REQUEST_ID_REPLACED, TOKEN_MISSING_NO_HEADER,
    ],
    odd_payloads [ERRORS_SHAPE_ACK, EVENTS_ACK_FAILURE, EVENTS_PAYLOAD_PROCESS_LIVES],
);

/// Words that only the inside of a server knows.
const INTERNAL: [&str; 14] = [
    "panicked",
    ".rs:",
    "stack trace",
    "Traceback",
    "node_modules",
    "    at ",
    "SQLITE",
    "MongoServerError",
    "mongodb://",
    "redis://",
    "E11000",
    "SyntaxError",
    "regular expression",
    "Cast to ObjectId",
];

fn answered(w: &World, what: &str, answer: &Answer) {
    w.check(
        &req::ERRORS_HOSTILE_NO_5XX,
        answer.status < 500,
        format!("{what}: no 5xx"),
        answer.status,
    );
    let told = INTERNAL.iter().find(|word| answer.text.contains(**word));
    w.check(
        &req::ERRORS_SERVER_NO_INTERNALS,
        told.is_none(),
        format!("{what}: no internals"),
        told.unwrap_or(&""),
    );
}

/// JSON of which the contract says no more than that it ends well.
fn odd_bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "{\"content\": \"a\", \"content\": \"b\", \"to\": \"x\", \"to\": 7}",
        "{\"a\": 1e400}",
        "{\"a\": -1e400}",
        "{\"a\": 123456789012345678901234567890}",
        "{\"\\u0000\": 1}",
        "{\"__proto__\": null}",
        "{\"toString\": 1, \"hasOwnProperty\": 1}",
        "{\"a\": \"\\ud83d\"}",
        "{\"to\": {\"$gt\": \"\"}, \"content\": {\"$ne\": null}}",
        "{\"identifier\": {\"$gt\": \"\"}, \"password\": {\"$gt\": \"\"}}",
        "{\"refreshToken\": [\"a\", \"b\"]}",
        "\u{feff}{}",
        " \t\r\n ",
        "{}\n",
        "\0",
        "",
    ]
    .map(|body| body.as_bytes().to_vec())
    .to_vec();
    let keys: Vec<String> = (0..4000).map(|number| format!("\"k{number}\":0")).collect();
    bodies.push(format!("{{{}}}", keys.join(",")).into_bytes());
    bodies.push(format!("{{\"{}\": 1}}", "k".repeat(60_000)).into_bytes());
    bodies.push([b"{\"a\": ".repeat(100), b"1".to_vec(), b"}".repeat(100)].concat());
    bodies
}

async fn odd_json(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for operation in with_body() {
        for (number, body) in odd_bodies().into_iter().enumerate() {
            let request = f.ann.request(operation.method(), &f.path(operation));
            let answer = request
                .header("content-type", "application/json")
                .raw(body)
                .send()
                .await?;
            answered(&w, &format!("{operation} with odd body {number}"), &answer);
        }
    }
    w.success(
        &req::ERRORS_HOSTILE_NO_5XX,
        &f.ann.get("/api/auth/profile").await?,
        200,
        None,
    )
}

async fn odd_paths_and_queries(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let long = format!("/api/{}", "long/".repeat(300));
    for path in [
        "/api/",
        "/api//",
        "/API/auth/profile",
        "/api/auth/Profile",
        "/api/auth%2Fprofile",
        "/api/auth/profile%00",
        "/api/auth/profile;a=b",
        "/api/auth/profile.json",
        "/api/./auth/profile%20",
        "/api/x%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/api/\\auth\\profile",
        "/api/users/%",
        "/api/users/%zz",
        "/api/users/%c0%ae",
        "/api/auth/profile/%0d%0aX-Injected:%20yes",
        long.as_str(),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let answer = f.ann.request(method, path).send().await?;
            answered(&w, &format!("{method} {path}"), &answer);
            w.check(
                &req::ERRORS_HOSTILE_NO_5XX,
                answer.header("x-injected").is_empty(),
                "no header of the caller",
                "one",
            );
        }
    }
    let long = "q".repeat(4000);
    for operation in Operation::ALL
        .iter()
        .copied()
        .filter(|operation| operation.method() == "GET")
    {
        let path = f.path(operation);
        let bare = path.split('?').next().unwrap_or_default();
        for query in [
            "q=%",
            "q=%zz",
            "q=%ff%fe",
            "q=a%00b",
            "q[]=a&q[]=b",
            "q[$gt]=",
            "q=a&q=b",
            "limit=1&limit=2",
            "limit[]=1",
            "cursor=a&cursor=b",
            "q=(",
            "q=%5B",
            "q=%2A%2A%2A",
            "q=%25",
            "q=_",
            "q=%5C",
            "q=a&userId[$ne]=x",
            "q=a&after=-0",
            "q=a&limit=%F0%9F%98%80",
            "cursor=%00",
            "cursor[]=",
            "&&&",
            "?q=a",
            "q=a#fragment",
            "q=%E2%80%AE",
            "page=-1",
            "page=-1&limit=10",
            "sort=-1",
            long.as_str(),
        ] {
            let answer = f.ann.get(&format!("{bare}?{query}")).await?;
            answered(&w, &format!("{operation} ?{query}"), &answer);
        }
    }
    Ok(())
}

async fn odd_headers(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let long = "h".repeat(3000);
    for (name, value) in [
        ("authorization", "Bearer a b c"),
        ("authorization", "bearer"),
        ("authorization", "Bearer \u{1f600}"),
        ("authorization", ""),
        ("authorization", ","),
        ("accept", "text/html"),
        ("accept", "*/*;q=0"),
        ("accept-encoding", "identity;q=0, *;q=0"),
        ("accept-language", "\u{e4}"),
        ("origin", "null"),
        ("origin", "https://evil.example"),
        ("host", "evil.example"),
        ("x-forwarded-for", "not an address"),
        ("x-forwarded-for", "127.0.0.1, 127.0.0.1, , ,"),
        ("x-forwarded-host", "evil.example"),
        ("x-http-method-override", "DELETE"),
        ("cookie", "token=x; session=y"),
        ("range", "bytes=0-1"),
        ("if-none-match", "*"),
        ("if-modified-since", "yesterday"),
        ("x-request-id", "a\u{e9}"),
        ("x-request-id", ""),
        ("x-request-id", "../../etc"),
        ("x-request-id", "${jndi:ldap://x}"),
        ("user-agent", ""),
        ("content-type", "application/json, text/plain"),
        ("x-long", long.as_str()),
    ] {
        for (method, path) in [
            ("GET", "/api/users/online"),
            ("POST", "/api/messages/send"),
            ("GET", "/api/nothing"),
        ] {
            let mut request = w.request(method, path).header(name, value);
            if method == "POST" && name != "content-type" {
                request = request.header("content-type", "application/json").raw("{}");
            }
            let answer = request.send().await?;
            answered(&w, &format!("{method} {path} with {name}"), &answer);
            if name == "x-request-id" {
                let echoed = answer.header("x-request-id");
                w.check(
                    &req::HEADERS_REQUEST_ID_REPLACED,
                    echoed != value && !echoed.is_empty(),
                    "an id of its own",
                    echoed,
                );
            }
            if name == "x-http-method-override" && path == "/api/users/online" {
                w.refused(&req::TOKEN_MISSING_NO_HEADER, &answer, 401, "TOKEN_MISSING");
            }
        }
    }
    // Two tokens: never the second one's rights for the first one's sake.
    let both = w
        .request("GET", "/api/auth/profile")
        .token("garbage")
        .token(&f.ann.access)
        .send()
        .await?;
    answered(&w, "two tokens", &both);
    Ok(())
}

async fn odd_payloads(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let bystander = f.bob.device().await?;
    let device = f.ann.device().await?;
    let deep = (0..100).fold(json!("x"), |inner, _| json!({"to": inner}));
    for event in ClientEvent::ALL.iter().copied() {
        for payload in [
            json!({"to": {"$gt": ""}, "content": {"$ne": null}, "chatId": {"$regex": "."}, "messageId": {"$ne": 1}, "status": {"$in": []}, "token": {"$gt": ""}}),
            json!({"to": "__proto__", "chatId": "constructor", "messageId": "__proto__", "status": "__proto__", "token": "__proto__", "content": "x", "isTyping": true}),
            json!({"to": "\u{0}", "chatId": "\u{0}", "messageId": "\u{0}", "status": "\u{0}", "token": "\u{0}", "content": "\u{0}", "isTyping": false}),
            json!({"to": "9".repeat(5000), "chatId": "9".repeat(5000), "messageId": "9".repeat(5000), "token": "9".repeat(5000), "status": "9".repeat(5000), "content": "x"}),
            deep.clone(),
        ] {
            let ack = device.ask(event.name(), payload).await?;
            w.check(&req::EVENTS_ACK_FAILURE, ack["ok"] == false, "a refusal", &ack);
            w.shaped(&req::ERRORS_SHAPE_ACK, "FailedAck", &ack);
            let code = ack["error"]["code"].as_str().unwrap_or_default();
            w.check(
                &req::EVENTS_PAYLOAD_PROCESS_LIVES,
                code != "INTERNAL_ERROR",
                "no INTERNAL_ERROR",
                code,
            );
        }
    }
    let ack = bystander
        .ask("send_message", json!({"to": f.ann.id, "content": "still here"}))
        .await?;
    w.equal(&req::EVENTS_PAYLOAD_PROCESS_LIVES, "ok", true, ack["ok"].clone());
    Ok(())
}
