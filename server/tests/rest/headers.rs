//! What answers say beside their bodies.

use std::collections::BTreeSet;

use chat_server::config::{CorsConfig, Secret};
use reqwest::Method;
use serde_json::json;

use crate::client::Answer;
use crate::server::{Server, limit};

fn number(text: &str, name: &str) -> u64 {
    let parameter = text.split(';').find_map(|part| part.strip_prefix(&format!("{name}=")));
    parameter.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_good_request_id_is_echoed_and_a_bad_one_replaced() {
    let server = Server::start().await;
    let visitor = server.visitor();
    let long = "x".repeat(128);
    for id in ["a", "A-b_c.9", &long] {
        for path in ["/api/auth/profile", "/api/nothing", "/health"] {
            let answer = visitor.with_header("x-request-id", id).get(path).await;
            assert_eq!(answer.header("x-request-id"), Some(id), "{path}");
        }
    }
    let too_long = "x".repeat(129);
    for id in ["", "a b", "a/b", "<script>", "a\tb", &too_long] {
        let answer = visitor.with_header("x-request-id", id).get("/api/auth/profile").await;
        assert_ne!(answer.header("x-request-id"), Some(id));
        assert!(id.is_empty() || !answer.text.contains(id));
    }
    let made = [visitor.get("/health").await, visitor.get("/health").await];
    assert_ne!(made[0].header("x-request-id"), made[1].header("x-request-id"));
}

#[tokio::test]
async fn security_headers_are_on_everything() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let expected = [
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-dns-prefetch-control", "off"),
    ];
    let paths = [
        "/api/auth/profile",
        "/api/users/nobody",
        "/api/nothing",
        "/health",
        "/ready",
        "/docs",
        "/openapi.json",
        "/socket.io/?EIO=4&transport=polling",
    ];
    for path in paths {
        let answer = ann.get(path).await;
        for (name, value) in expected {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("content-security-policy").is_some(), "{path}");
    }
}

#[tokio::test]
async fn nothing_of_the_api_is_stored_on_the_way() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    for path in ["/api/auth/profile", "/api/users/online", "/api/nothing"] {
        assert_eq!(ann.get(path).await.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[tokio::test]
async fn every_answer_of_the_api_tells_what_is_left() {
    let server = Server::with(|config| {
        config.request_limit = limit(5);
        config.auth_limit = limit(3);
    })
    .await;
    let ann = server.person("ann").await;
    let left = |answer: &Answer, max: u64| {
        let policy = answer.header("ratelimit-policy").unwrap();
        assert_eq!((number(policy, "q"), number(policy, "w")), (max, 900), "{policy}");
        let limit = answer.header("ratelimit").unwrap();
        let name = |field: &str| field.split(';').next().unwrap().to_owned();
        assert!(
            name(policy).starts_with('"') && name(policy) == name(limit),
            "{policy} {limit}"
        );
        assert!((1..=900).contains(&number(limit, "t")), "{limit}");
        number(limit, "r")
    };
    assert_eq!(left(&ann.profile().await, 5), 4);
    assert_eq!(left(&ann.get("/api/users/nobody").await, 5), 3);
    assert_eq!(left(&ann.get("/api/messages/chats?limit=0").await, 5), 2);
    let visitor = server.visitor();
    assert_eq!(left(&visitor.get("/api/auth/profile").await, 5), 4, "by address");
    assert_eq!(left(&visitor.get("/api/nothing").await, 5), 4, "not counted");
    assert_eq!(left(&visitor.post("/api/auth/login", json!({})).await, 3), 1);
    for left_over in [1, 0, 0] {
        assert_eq!(left(&ann.profile().await, 5), left_over);
    }
    let refused = ann.profile().await;
    refused.refused(429, "RATE_LIMITED");
    let wait = refused.body["retryAfter"].as_u64().unwrap();
    assert_eq!(refused.header("retry-after"), Some(wait.to_string().as_str()));
    assert!((1..=900).contains(&wait));
}

#[tokio::test]
async fn a_limit_that_is_off_still_has_its_headers() {
    let server = Server::start().await;
    let answer = server.visitor().get("/api/auth/profile").await;
    let limit = answer.header("ratelimit").unwrap();
    assert!(number(limit, "r") > 1000 && answer.header("ratelimit-policy").is_some());
    let outside = server.visitor().get("/health").await;
    assert_eq!(outside.header("ratelimit"), None);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    for path in [
        "/api/auth/profile",
        "/api/users/online",
        "/api/users/nobody",
        "/api/messages/chats?limit=0",
        "/api/nothing",
    ] {
        let (get, head) = (ann.get(path).await, ann.call(Method::HEAD, path).await);
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(names(&head), names(&get), "{path}");
        for name in ["content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path}");
        }
    }
    assert_eq!(
        server.visitor().call(Method::HEAD, "/api/auth/profile").await.status,
        401
    );
    assert_eq!(ann.call(Method::HEAD, "/api/auth/login").await.status, 405);
}

#[tokio::test]
async fn whoever_needs_a_token_is_told_so() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let visitor = server.visitor();
    for header in ["", "Bearer", "Bearer ", "Basic YW5uOmFubg==", "Token abc"] {
        let answer = visitor
            .with_header("authorization", header)
            .get("/api/auth/profile")
            .await;
        answer.refused(401, "TOKEN_MISSING");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{header}");
    }
    for token in ["x", "a.b.c", &format!("{}x", ann.token())] {
        let answer = visitor.with_token(token).get("/api/auth/profile").await;
        answer.refused(401, "TOKEN_INVALID");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let lower = visitor.with_header("authorization", &format!("bearer {}", ann.token()));
    lower.get("/api/auth/profile").await.ok(200);
    let path = format!("/api/auth/profile?token={0}&access_token={0}", ann.token());
    visitor.get(&path).await.refused(401, "TOKEN_MISSING");
}

#[tokio::test]
async fn options_answers_cors() {
    let server = Server::start().await;
    let preflight = server
        .visitor()
        .with_header("origin", "https://any.example")
        .with_header("access-control-request-method", "PUT")
        .with_header("access-control-request-headers", "authorization,content-type")
        .call(Method::OPTIONS, "/api/auth/profile")
        .await;
    assert!([200, 204].contains(&preflight.status) && preflight.text.is_empty());
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    let listed = |name: &str| -> BTreeSet<String> {
        let value = preflight.header(name).unwrap().to_ascii_lowercase();
        value.split(',').map(|item| item.trim().to_owned()).collect()
    };
    for method in ["get", "post", "put", "delete"] {
        assert!(listed("access-control-allow-methods").contains(method));
    }
    for header in ["authorization", "content-type"] {
        assert!(listed("access-control-allow-headers").contains(header));
    }
}

#[tokio::test]
async fn web_pages_may_read_answers_and_refusals() {
    let server = Server::start().await;
    let page = server.visitor().with_header("origin", "https://any.example");
    for path in ["/api/auth/profile", "/api/nothing"] {
        let answer = page.get(path).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        let shown = answer
            .header("access-control-expose-headers")
            .unwrap()
            .to_ascii_lowercase();
        for name in ["x-request-id", "retry-after", "ratelimit"] {
            assert!(shown.contains(name), "{shown}");
        }
    }
}

#[tokio::test]
async fn only_the_origins_of_the_list_are_allowed() {
    let origins = ["https://a.example", "http://localhost:5173"]
        .map(String::from)
        .to_vec();
    let server = Server::with(|config| config.cors = CorsConfig::Origins(origins.clone())).await;
    for origin in &origins {
        let answer = server
            .visitor()
            .with_header("origin", origin)
            .get("/api/auth/profile")
            .await;
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin.as_str()));
        assert!(answer.header("vary").unwrap().to_ascii_lowercase().contains("origin"));
    }
    for origin in [
        "https://b.example",
        "http://a.example",
        "https://a.example.evil.example",
        "null",
    ] {
        let answer = server
            .visitor()
            .with_header("origin", origin)
            .get("/api/auth/profile")
            .await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
    }
}

#[tokio::test]
async fn metrics_open_to_their_token_alone_and_name_nobody() {
    let closed = Server::start().await;
    closed.visitor().get("/metrics").await.refused(404, "NOT_FOUND");

    let server = Server::with(|config| config.metrics_token = Some(Secret("token-of-the-metrics".into()))).await;
    let ann = server.person("ann-with-a-name").await;
    ann.get("/api/users/nobody-with-a-name")
        .await
        .refused(404, "USER_NOT_FOUND");
    ann.get("/metrics").await.refused(401, "TOKEN_INVALID");
    server.visitor().get("/metrics").await.refused(401, "TOKEN_MISSING");
    let answer = server
        .visitor()
        .with_token("token-of-the-metrics")
        .get("/metrics")
        .await;
    assert_eq!(answer.status, 200);
    let counted = r#"chat_request_seconds_count{operation="getUser",status="404",code="USER_NOT_FOUND"} 1"#;
    assert!(answer.text.contains(counted), "{}", answer.text);
    assert!(!answer.text.contains("with-a-name") && !answer.text.contains(&ann.id));
    let figure = |name: &str| -> f64 {
        let line = answer
            .text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    };
    assert!(figure("process_cpu_seconds_total") > 0.0);
    if cfg!(target_os = "linux") {
        let mib = figure("process_resident_memory_bytes") / 1024.0 / 1024.0;
        assert!((1.0..100_000.0).contains(&mib), "{mib}");
    }
}

#[tokio::test]
async fn health_and_readiness_need_no_token() {
    let server = Server::start().await;
    assert_eq!(server.visitor().get("/health").await.ok(200)["status"], "ok");
    let ready = server.visitor().get("/ready").await.ok(200);
    assert_eq!((&ready["status"], &ready["store"]), (&json!("ready"), &json!("ok")));
}
