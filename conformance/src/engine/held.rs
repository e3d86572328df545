//! What holds for every answer below `/api`, judged as it comes.

use chat_spec::{Operation, req};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap};

use super::{Answer, World};

/// Judges it.
pub(super) fn judge(world: &World, method: &Method, sent: &HeaderMap, answer: &Answer) {
    let Answer { status, body, text, .. } = answer;
    let header = |name: &str| answer.header(name);
    if !text.is_empty() {
        let typed = header("content-type").starts_with("application/json") && !body.is_null();
        world.check(
            &req::JSON_RESPONSE_CONTENT_TYPE,
            typed,
            "application/json and JSON",
            header("content-type"),
        );
    }
    let id = header("x-request-id");
    let good = |id: &str| {
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    world.check(&req::HEADERS_REQUEST_ID_ALWAYS, good(id), "X-Request-Id", id);
    world.check(
        &req::HEADERS_SECURITY_NOSNIFF,
        header("x-content-type-options") == "nosniff",
        "nosniff",
        header("x-content-type-options"),
    );
    world.check(
        &req::HEADERS_SECURITY_NO_POWERED_BY,
        header("x-powered-by").is_empty(),
        "no X-Powered-By",
        header("x-powered-by"),
    );
    world.check(
        &req::HEADERS_SECURITY_NO_VERSION,
        !names_a_version(header("server")),
        "no version",
        header("server"),
    );
    let limits = !header("ratelimit").is_empty() && !header("ratelimit-policy").is_empty();
    world.check(
        &req::LIMITS_HEADERS_EVERYWHERE,
        limits,
        "RateLimit and RateLimit-Policy",
        header("ratelimit"),
    );
    world.check(
        &req::ERRORS_HOSTILE_NO_5XX,
        *status < 500 || *status == 503,
        "no 5xx",
        status,
    );
    if *status < 400 || *method == Method::HEAD {
        return;
    }
    world.shaped(&req::ERRORS_SHAPE_REST, "Error", body);
    if let Some(in_body) = body["requestId"].as_str() {
        world.check(&req::HEADERS_REQUEST_ID_EQUALS_BODY, in_body == id, id, in_body);
    }
    if *status == 401 {
        let challenge = header("www-authenticate");
        world.check(
            &req::TOKEN_CHALLENGE_BEARER,
            challenge.starts_with("Bearer"),
            "WWW-Authenticate: Bearer",
            challenge,
        );
    }
    if matches!(status, 429 | 503) {
        let seconds = header("retry-after").parse::<u64>().ok();
        world.check(
            &req::ERRORS_RETRY_AFTER_SECONDS,
            seconds.is_some() && (body["retryAfter"].is_null() || body["retryAfter"].as_u64() == seconds),
            "Retry-After in seconds, and retryAfter the same",
            format!("{} and {}", header("retry-after"), body["retryAfter"]),
        );
    }
    if *status >= 500 {
        let code = if *status == 503 {
            "SERVICE_UNAVAILABLE"
        } else {
            "INTERNAL_ERROR"
        };
        world.check(&req::ERRORS_SERVER_CODE, answer.code() == code, code, answer.code());
    }
    if *status == 503 {
        let seconds = header("retry-after").parse::<u64>().ok();
        world.check(
            &req::ERRORS_UNAVAILABLE_RETRY_AFTER,
            seconds.is_some() && body["retryAfter"].is_u64(),
            "Retry-After and retryAfter",
            format!("{} and {}", header("retry-after"), body["retryAfter"]),
        );
    }
    let secret = sent
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(token) = secret.filter(|token| token.len() > 8) {
        world.check(
            &req::ERRORS_DETAILS_NO_ECHO,
            !text.contains(token),
            "no token in the answer",
            "the token",
        );
    }
}

/// Whether a version stands in `Server`: a digit behind a slash, as in `nginx/1`, or numbers with a point between, as in `Apache 2.4`.
/// Names have digits too: `hypercorn-h11`.
fn names_a_version(server: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit();
    let bytes = server.as_bytes();
    let behind_a_slash = server.split('/').skip(1).any(|rest| {
        let rest = rest.strip_prefix(['v', 'V']).unwrap_or(rest);
        rest.bytes().next().is_some_and(digit)
    });
    behind_a_slash
        || bytes
            .windows(3)
            .any(|three| digit(three[0]) && three[1] == b'.' && digit(three[2]))
}

/// What the API documents say of the call's answers.
pub(super) fn documented(world: &World, method: &Method, operation: Option<Operation>, answer: &Answer) {
    let Some(operation) = operation else {
        return;
    };
    if answer.status >= 400 && *method != Method::HEAD {
        let codes = operation.response(answer.status).map_or(&[][..], |known| known.codes);
        world.check(
            &req::ERRORS_CODE_KNOWN,
            codes.contains(&answer.code()),
            format!("{operation} {}: one of {codes:?}", answer.status),
            answer.code(),
        );
    }
    let is_list = LISTS.contains(&operation);
    if is_list && answer.status == 200 && *method != Method::HEAD {
        let cursor = answer.body.get("nextCursor");
        world.check(
            &req::LISTS_SHAPE_PAGE,
            answer.body["items"].is_array() && cursor.is_some_and(|cursor| cursor.is_null() || cursor.is_string()),
            "items and nextCursor",
            &answer.text,
        );
    }
}

const LISTS: [Operation; 5] = [
    Operation::GetConversation,
    Operation::ListChats,
    Operation::SearchMessages,
    Operation::ListOnlineUsers,
    Operation::SearchUsers,
];

#[cfg(test)]
mod tests {
    use super::names_a_version;

    #[test]
    fn a_version_is_no_digit_in_a_name() {
        for name in [
            "",
            "nginx",
            "hypercorn-h11",
            "uvicorn",
            "http2-server",
            "a/b",
            "www4.example",
        ] {
            assert!(!names_a_version(name), "{name}");
        }
        for version in [
            "nginx/1.25.3",
            "Apache/2",
            "Apache 2.4.1",
            "chat/v3",
            "gunicorn/20.0.4",
            "3.2",
        ] {
            assert!(names_a_version(version), "{version}");
        }
    }
}
