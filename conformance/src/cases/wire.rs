//! What holds for every call: the order of checks, headers, errors.

use chat_spec::{Operation, req};
use serde_json::json;

use crate::cases;
use crate::engine::{FOREIGN, Outcome, World};

cases!("wire":
    paths_and_methods [
        PRECEDENCE_METHOD_ALLOW_HEADER, PRECEDENCE_METHOD_BEFORE_TOKEN, PRECEDENCE_METHOD_NOT_ALLOWED,
        PRECEDENCE_PATH_BEFORE_METHOD, PRECEDENCE_PATH_NOT_FOUND, PRECEDENCE_PATH_TRAILING_SLASH,
    ],
    the_token_comes_before_the_body [
        PRECEDENCE_TOKEN_BEFORE_CONTENT_TYPE, PRECEDENCE_TOKEN_BEFORE_EXISTENCE, PRECEDENCE_TOKEN_BEFORE_FIELDS,
        PRECEDENCE_TOKEN_BEFORE_SIZE, TOKEN_INVALID_GARBAGE, TOKEN_MISSING_NO_HEADER, TOKEN_MISSING_OTHER_SCHEME,
    ],
    the_body_is_checked_in_order [
        PRECEDENCE_CONTENT_TYPE_BEFORE_JSON, PRECEDENCE_CONTENT_TYPE_MISSING, PRECEDENCE_CONTENT_TYPE_UNSUPPORTED,
        PRECEDENCE_JSON_MALFORMED, PRECEDENCE_JSON_MISSING_BODY, PRECEDENCE_JSON_NOT_AN_OBJECT,
        PRECEDENCE_JSON_NOT_UTF8, PRECEDENCE_SIZE_BEFORE_CONTENT_TYPE, PRECEDENCE_SIZE_LIMIT,
    ],
    odd_bodies [
        JSON_REQUEST_BODY_IGNORED, PRECEDENCE_CONTENT_TYPE_PARAMETERS, PRECEDENCE_JSON_DEEP_NESTING,
        PRECEDENCE_JSON_LONE_SURROGATE,
    ],
    request_ids [
        HEADERS_REQUEST_ID_ECHOED, HEADERS_REQUEST_ID_EQUALS_BODY, HEADERS_REQUEST_ID_REPLACED,
        HEADERS_REQUEST_ID_UNIQUE,
    ],
    cross_origin [HTTP_CORS_NO_WILDCARD_CREDENTIALS],
    hostile_requests [ERRORS_HOSTILE_NO_5XX, ERRORS_SERVER_NO_INTERNALS],
);

async fn paths_and_methods(w: World) -> Outcome {
    for path in ["/api/nothing", "/api/auth/login/", "/api/messages", "/api"] {
        let answer = w.request("GET", path).send().await?;
        let requirement = if path.ends_with('/') {
            &req::PRECEDENCE_PATH_TRAILING_SLASH
        } else {
            &req::PRECEDENCE_PATH_NOT_FOUND
        };
        w.refused(requirement, &answer, 404, "NOT_FOUND");
    }
    w.refused(
        &req::PRECEDENCE_PATH_BEFORE_METHOD,
        &w.request("PATCH", "/api/nothing").send().await?,
        404,
        "NOT_FOUND",
    );
    for operation in Operation::ALL {
        let path = operation.path().replace("{id}", "x1").replace("{userId}", "x1");
        let answer = w.request("PATCH", &path).send().await?;
        w.refused(&req::PRECEDENCE_METHOD_NOT_ALLOWED, &answer, 405, "METHOD_NOT_ALLOWED");
        w.check(
            &req::PRECEDENCE_METHOD_ALLOW_HEADER,
            answer.header("allow").contains(operation.method()),
            operation.method(),
            answer.header("allow"),
        );
        w.check(
            &req::PRECEDENCE_METHOD_BEFORE_TOKEN,
            answer.status == 405,
            405,
            answer.status,
        );
    }
    Ok(())
}

async fn the_token_comes_before_the_body(w: World) -> Outcome {
    let huge = "x".repeat(70_000);
    for operation in Operation::ALL {
        let path = operation.path().replace("{id}", "x1").replace("{userId}", "x1");
        if ["/api/auth/register", "/api/auth/login", "/api/auth/refresh-token"].contains(&path.as_str()) {
            continue;
        }
        let call = || w.request(operation.method(), &path);
        w.refused(
            &req::TOKEN_MISSING_NO_HEADER,
            &call().send().await?,
            401,
            "TOKEN_MISSING",
        );
        w.refused(
            &req::TOKEN_MISSING_OTHER_SCHEME,
            &call().header("authorization", "Basic YTpi").send().await?,
            401,
            "TOKEN_MISSING",
        );
        w.refused(
            &req::TOKEN_MISSING_OTHER_SCHEME,
            &call().header("authorization", "Bearer ").send().await?,
            401,
            "TOKEN_MISSING",
        );
        w.refused(
            &req::TOKEN_INVALID_GARBAGE,
            &call().token("garbage").send().await?,
            401,
            "TOKEN_INVALID",
        );
        w.refused(
            &req::PRECEDENCE_TOKEN_BEFORE_EXISTENCE,
            &call().token("a.b.c").send().await?,
            401,
            "TOKEN_INVALID",
        );
        if operation.method() != "GET" {
            w.refused(
                &req::PRECEDENCE_TOKEN_BEFORE_SIZE,
                &call()
                    .header("content-type", "application/json")
                    .raw(huge.clone())
                    .send()
                    .await?,
                401,
                "TOKEN_MISSING",
            );
            w.refused(
                &req::PRECEDENCE_TOKEN_BEFORE_CONTENT_TYPE,
                &call().header("content-type", "text/plain").raw("x").send().await?,
                401,
                "TOKEN_MISSING",
            );
            w.refused(
                &req::PRECEDENCE_TOKEN_BEFORE_FIELDS,
                &call().json(&json!({})).send().await?,
                401,
                "TOKEN_MISSING",
            );
        }
    }
    Ok(())
}

async fn the_body_is_checked_in_order(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let huge = format!("{{\"content\": \"{}\"", "x".repeat(66_000));
    for (method, path) in [
        ("POST", "/api/messages/send"),
        ("PUT", "/api/auth/profile"),
        ("PUT", "/api/auth/change-password"),
        ("PUT", "/api/messages/x1"),
        ("POST", "/api/messages/mark-read"),
        ("POST", "/api/auth/login"),
        ("POST", "/api/auth/register"),
        ("POST", "/api/auth/refresh-token"),
    ] {
        let call = || ann.request(method, path);
        let json = |body: &str| {
            call()
                .header("content-type", "application/json")
                .raw(body.to_owned())
                .send()
        };
        w.refused(
            &req::PRECEDENCE_SIZE_LIMIT,
            &json(&huge).await?,
            413,
            "PAYLOAD_TOO_LARGE",
        );
        w.refused(
            &req::PRECEDENCE_SIZE_BEFORE_CONTENT_TYPE,
            &call()
                .header("content-type", "text/plain")
                .raw(huge.clone())
                .send()
                .await?,
            413,
            "PAYLOAD_TOO_LARGE",
        );
        w.refused(
            &req::PRECEDENCE_CONTENT_TYPE_UNSUPPORTED,
            &call().header("content-type", "text/plain").raw("{}").send().await?,
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        );
        w.refused(
            &req::PRECEDENCE_CONTENT_TYPE_UNSUPPORTED,
            &call()
                .header("content-type", "application/x-www-form-urlencoded")
                .raw("a=b")
                .send()
                .await?,
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        );
        w.refused(
            &req::PRECEDENCE_CONTENT_TYPE_MISSING,
            &call().raw("{}").send().await?,
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        );
        w.refused(
            &req::PRECEDENCE_CONTENT_TYPE_BEFORE_JSON,
            &call().header("content-type", "text/html").raw("{").send().await?,
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        );
        for broken in ["{", "{\"a\":}", "nul", "{} {}", "{'a': 1}"] {
            w.refused(
                &req::PRECEDENCE_JSON_MALFORMED,
                &json(broken).await?,
                400,
                "MALFORMED_JSON",
            );
        }
        for other in ["[]", "null", "1", "\"text\"", "[{}]"] {
            w.refused(
                &req::PRECEDENCE_JSON_NOT_AN_OBJECT,
                &json(other).await?,
                400,
                "VALIDATION_ERROR",
            );
        }
        let utf8 = call()
            .header("content-type", "application/json")
            .raw(b"{\"a\":\"\xff\xfe\"}".to_vec())
            .send()
            .await?;
        w.refused(&req::PRECEDENCE_JSON_NOT_UTF8, &utf8, 400, "MALFORMED_JSON");
        if path != "/api/auth/profile" {
            w.refused(
                &req::PRECEDENCE_JSON_MISSING_BODY,
                &call().send().await?,
                400,
                "VALIDATION_ERROR",
            );
        }
    }
    Ok(())
}

async fn odd_bodies(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let send = |kind: &str, body: String| {
        ann.request("POST", "/api/messages/send")
            .header("content-type", kind)
            .raw(body)
            .send()
    };
    let good = json!({"to": bob.id, "content": "hello"}).to_string();
    for kind in [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
    ] {
        w.success(
            &req::PRECEDENCE_CONTENT_TYPE_PARAMETERS,
            &send(kind, good.clone()).await?,
            201,
            None,
        )?;
    }
    let surrogate = send(
        "application/json",
        format!("{{\"to\":\"{}\",\"content\":\"\\ud800\"}}", bob.id),
    )
    .await?;
    w.check(
        &req::PRECEDENCE_JSON_LONE_SURROGATE,
        surrogate.status == 400,
        "one of the two 400s",
        &surrogate.text,
    );
    for body in ["[".repeat(30_000), format!("{{\"content\":{}", "{\"a\":".repeat(5_000))] {
        let deep = send("application/json", body).await?;
        w.check(
            &req::PRECEDENCE_JSON_DEEP_NESTING,
            deep.status == 400,
            "400",
            deep.status,
        );
    }
    let ignored = ann
        .request("GET", "/api/auth/profile")
        .header("content-type", "text/plain")
        .raw("x".repeat(100))
        .send()
        .await?;
    w.success(&req::JSON_REQUEST_BODY_IGNORED, &ignored, 200, Some("OwnUserResponse"))
}

async fn request_ids(w: World) -> Outcome {
    let call = |id: &str| w.request("GET", "/api/users/online").header("x-request-id", id).send();
    for good in ["a", "Order-7_x.y", &"r".repeat(128)] {
        let answer = call(good).await?;
        w.equal(
            &req::HEADERS_REQUEST_ID_ECHOED,
            "X-Request-Id",
            good,
            answer.header("x-request-id"),
        );
        // It may be left out of the body.
        let in_body = &answer.body["requestId"];
        w.check(
            &req::HEADERS_REQUEST_ID_EQUALS_BODY,
            in_body.is_null() || in_body == good,
            good,
            in_body,
        );
    }
    for bad in ["has space", "semi;colon", &"r".repeat(129), "<b>"] {
        let answer = call(bad).await?;
        w.check(
            &req::HEADERS_REQUEST_ID_REPLACED,
            answer.header("x-request-id") != bad,
            "another id",
            answer.header("x-request-id"),
        );
    }
    let (one, two) = (
        w.request("GET", "/api/nothing").send().await?,
        w.request("GET", "/api/nothing").send().await?,
    );
    w.check(
        &req::HEADERS_REQUEST_ID_UNIQUE,
        one.header("x-request-id") != two.header("x-request-id"),
        "two ids",
        one.header("x-request-id"),
    );
    Ok(())
}

async fn cross_origin(w: World) -> Outcome {
    let mut foreign = vec![FOREIGN.to_owned(), "null".to_owned()];
    // Almost one that is allowed.
    foreign.extend(
        w.target
            .allowed_origin()
            .map(|known| format!("{known}.elsewhere.invalid")),
    );
    for origin in &foreign {
        let answer = w.cors_preflight("/api/messages/send", "POST", origin).send().await?;
        w.check(
            &req::HTTP_CORS_NO_WILDCARD_CREDENTIALS,
            !answer.lets_in(origin),
            format!("nothing with credentials for {origin}"),
            answer.header("access-control-allow-origin"),
        );
    }
    // Without a word before, and to be held against the same: what a page may read is said by each answer.
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let message = json!({"to": bob.id, "content": "from elsewhere"});
    for origin in &foreign {
        let calls = [
            ann.request("GET", "/api/auth/profile"),
            ann.request("POST", "/api/messages/send").json(&message),
        ];
        for call in calls {
            // Whether it is answered at all is the server's choice; what it may not say is judged wherever somebody of elsewhere asks.
            let _ = call.header("origin", origin).send().await?;
        }
    }
    Ok(())
}

async fn hostile_requests(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    for path in [
        "/api/users/%ff%fe",
        "/api/messages/search?q=%ff",
        "/api/messages/conversation/%00",
        "/api/users/search?q=a&limit=%00",
        "/api/users/search?q[]=a",
        "/api/users/search?q[$gt]=",
        "/api/messages/search?q=a&q=b",
        "/api/users/%F0%9F",
    ] {
        let answer = ann.get(path).await?;
        w.check(
            &req::ERRORS_HOSTILE_NO_5XX,
            answer.status < 500,
            "no 5xx",
            answer.status,
        );
        w.check(
            &req::ERRORS_SERVER_NO_INTERNALS,
            !answer.text.contains("panicked")
                && !answer.text.contains(".rs:")
                && !answer.text.to_lowercase().contains("sqlite"),
            "no internals",
            &answer.text,
        );
    }
    Ok(())
}
