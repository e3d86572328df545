//! What holds for every answer: its headers, its type, what it must never carry or repeat.

use chat_spec::Operation;

use super::super::edit::{Edit, Step};
use super::super::mutant::{At, How, Mutant};

const ANY: At = At::Answers {
    operation: None,
    status: None,
    code: None,
};

const fn status(status: u16) -> At {
    At::Answers {
        operation: None,
        status: Some(status),
        code: None,
    }
}

fn members(names: &[&str]) -> Vec<Step> {
    names.iter().map(|name| Step::Member((*name).to_owned())).collect()
}

pub(super) fn mutants() -> Vec<Mutant> {
    let failures = At::Statuses(400, 600);
    let successes = At::Statuses(200, 300);
    let mut all = Vec::new();
    let mut push = |title: &str, at: &At, how: How, breaks: &[&'static str]| {
        all.push(Mutant {
            name: format!("header/{title}/{}", how.title()),
            breaks: breaks.to_vec(),
            at: at.clone(),
            how,
        });
    };
    for (title, at) in [("success", &successes), ("failure", &failures)] {
        push(
            title,
            at,
            How::DropHeader("x-request-id"),
            &["headers.request-id.always"],
        );
        push(
            title,
            at,
            How::DropHeader("x-content-type-options"),
            &["headers.security.nosniff"],
        );
        push(
            title,
            at,
            How::PutHeader("x-powered-by", "Express"),
            &["headers.security.no-powered-by"],
        );
        push(
            title,
            at,
            How::PutHeader("server", "chat/1.2.3"),
            &["headers.security.no-version"],
        );
        push(title, at, How::DropHeader("ratelimit"), &["limits.headers.everywhere"]);
        push(
            title,
            at,
            How::DropHeader("ratelimit-policy"),
            &["limits.headers.everywhere"],
        );
        push(
            title,
            at,
            How::PutHeader("ratelimit", "100, 99, 900"),
            &["limits.headers.structured"],
        );
        push(
            title,
            at,
            How::PutHeader("content-type", "text/html"),
            &["json.response.content-type"],
        );
        push(title, at, How::Text("<html>"), &["json.response.content-type"]);
        push(
            title,
            at,
            How::Text("{\"a\": \"\u{fffd}"),
            &["json.response.content-type"],
        );
        push(
            title,
            at,
            How::PutHeader("x-request-id", "always-the-same"),
            &["headers.request-id.echoed", "headers.request-id.unique"],
        );
    }
    push(
        "success",
        &successes,
        How::DropHeader("cache-control"),
        &["headers.security.no-store"],
    );
    push(
        "success",
        &successes,
        How::Add(Vec::new(), "success", "true"),
        &["json.response.named-object"],
    );
    push(
        "limits",
        &ANY,
        How::FreezeHeader("ratelimit"),
        &["limits.headers.count-down"],
    );
    push(
        "login",
        &At::Answers {
            operation: Some(Operation::Login),
            status: Some(200),
            code: None,
        },
        How::FreezeJson("/tokens/accessToken"),
        &["token.unique.each"],
    );
    push(
        "401",
        &status(401),
        How::DropHeader("www-authenticate"),
        &["token.challenge.bearer"],
    );
    push(
        "405",
        &status(405),
        How::DropHeader("allow"),
        &["precedence.method.allow-header"],
    );
    push(
        "405",
        &status(405),
        How::PutHeader("allow", "GET, HEAD, POST, PUT, DELETE, PATCH"),
        &["precedence.method.allow-header"],
    );
    push(
        "405",
        &status(405),
        How::Status(404),
        &["precedence.method.not-allowed"],
    );
    push(
        "404",
        &status(404),
        How::Status(405),
        &["precedence.path.before-method", "precedence.path.not-found"],
    );
    push(
        "429",
        &status(429),
        How::DropHeader("retry-after"),
        &["limits.requests.retry-after"],
    );
    push(
        "429",
        &status(429),
        How::PutHeader("retry-after", "1.5"),
        &["errors.retry-after.seconds", "limits.requests.retry-after"],
    );
    push(
        "429",
        &status(429),
        How::Json(members(&["retryAfter"]), Edit::Remove),
        &["limits.requests.retry-after"],
    );
    push(
        "503",
        &status(503),
        How::DropHeader("retry-after"),
        &["errors.unavailable.retry-after"],
    );
    push(
        "503",
        &status(503),
        How::Code("INTERNAL_ERROR"),
        &["errors.server.code"],
    );
    push(
        "failure",
        &failures,
        How::Json(members(&["requestId"]), Edit::Lie),
        &["headers.request-id.equals-body"],
    );
    push(
        "failure",
        &failures,
        How::Add(Vec::new(), "stack", "at Object.<anonymous> (/srv/app.js:3:5)"),
        &["errors.shape.rest"],
    );
    push(
        "failure",
        &failures,
        How::Code("SOMETHING_ELSE"),
        &["errors.code.known"],
    );
    push(
        "failure",
        &failures,
        How::Refuse(500, "INTERNAL_ERROR"),
        &["errors.hostile.no-5xx"],
    );
    push(
        "user",
        &successes,
        How::Add(members(&["user"]), "passwordHash", "$argon2id$"),
        &["shapes.user.hash-never"],
    );
    push("preflight", &At::Preflights, How::Status(401), &["http.options.cors"]);
    push(
        "preflight",
        &At::Preflights,
        How::DropHeader("access-control-allow-methods"),
        &["http.options.cors"],
    );
    push(
        "preflight",
        &At::Preflights,
        How::PutHeader("access-control-allow-credentials", "true"),
        &["http.cors.no-wildcard-credentials"],
    );
    let mut in_items = members(&["items"]);
    in_items.push(Step::Each);
    push(
        "users",
        &successes,
        How::Add(in_items, "email", "ann@example.org"),
        &["shapes.user.email-private"],
    );
    push(
        "details",
        &failures,
        How::Json(members(&["details"]), Edit::Remove),
        &["errors.details.one-per-field"],
    );
    all
}
