//! Two things wrong at once: what is checked first wins, for every pair of checks and every call that has both.

use chat_spec::{Operation, Requirement, req};
use serde_json::{Value, json};

use super::fixture::{Fixture, UNKNOWN, needs_token, path_to, with_body};
use super::schema::properties;
use crate::cases;
use crate::engine::{Answer, Outcome, Stop, World};

cases!("order of checks":
    every_pair_of_wrong_things [
        PRECEDENCE_CONTENT_TYPE_BEFORE_JSON, PRECEDENCE_FIELDS_BEFORE_EXISTENCE, PRECEDENCE_JSON_MALFORMED,
        PRECEDENCE_METHOD_BEFORE_TOKEN, PRECEDENCE_PATH_BEFORE_METHOD, PRECEDENCE_PATH_NOT_FOUND,
        PRECEDENCE_SIZE_BEFORE_CONTENT_TYPE, PRECEDENCE_SIZE_LIMIT, PRECEDENCE_TOKEN_BEFORE_CONTENT_TYPE,
        PRECEDENCE_TOKEN_BEFORE_EXISTENCE, PRECEDENCE_TOKEN_BEFORE_FIELDS, PRECEDENCE_TOKEN_BEFORE_SIZE,
    ],
);

/// The checks in their order. Each breaks the request in a way that leaves the earlier ones good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Path,
    Method,
    Token,
    Size,
    Type,
    Json,
    Fields,
    Existence,
}

const ALL: [Wrong; 8] = [
    Wrong::Path,
    Wrong::Method,
    Wrong::Token,
    Wrong::Size,
    Wrong::Type,
    Wrong::Json,
    Wrong::Fields,
    Wrong::Existence,
];

impl Wrong {
    fn answer(self, operation: Operation) -> (u16, &'static str) {
        match self {
            Self::Path => (404, "NOT_FOUND"),
            Self::Method => (405, "METHOD_NOT_ALLOWED"),
            Self::Token => (401, "TOKEN_INVALID"),
            Self::Size => (413, "PAYLOAD_TOO_LARGE"),
            Self::Type => (415, "UNSUPPORTED_MEDIA_TYPE"),
            Self::Json => (400, "MALFORMED_JSON"),
            Self::Fields => (400, "VALIDATION_ERROR"),
            Self::Existence if operation == Operation::SendMessage => (404, "USER_NOT_FOUND"),
            Self::Existence => (404, "MESSAGE_NOT_FOUND"),
        }
    }

    fn applies(self, operation: Operation) -> bool {
        match self {
            Self::Token => needs_token(operation),
            Self::Fields => properties(operation.request_schema().unwrap_or_default())
                .iter()
                .any(|property| property.required || operation == Operation::MarkRead),
            Self::Existence => matches!(
                operation,
                Operation::SendMessage | Operation::EditMessage | Operation::MarkRead
            ),
            _ => true,
        }
    }
}

fn requirement(first: Wrong, second: Wrong) -> &'static Requirement {
    match (first, second) {
        (Wrong::Path, Wrong::Method) => &req::PRECEDENCE_PATH_BEFORE_METHOD,
        (Wrong::Path, _) => &req::PRECEDENCE_PATH_NOT_FOUND,
        (Wrong::Method, _) => &req::PRECEDENCE_METHOD_BEFORE_TOKEN,
        (Wrong::Token, Wrong::Size) => &req::PRECEDENCE_TOKEN_BEFORE_SIZE,
        (Wrong::Token, Wrong::Type) => &req::PRECEDENCE_TOKEN_BEFORE_CONTENT_TYPE,
        (Wrong::Token, Wrong::Existence) => &req::PRECEDENCE_TOKEN_BEFORE_EXISTENCE,
        (Wrong::Token, _) => &req::PRECEDENCE_TOKEN_BEFORE_FIELDS,
        (Wrong::Size, Wrong::Type) => &req::PRECEDENCE_SIZE_BEFORE_CONTENT_TYPE,
        (Wrong::Size, _) => &req::PRECEDENCE_SIZE_LIMIT,
        (Wrong::Type, _) => &req::PRECEDENCE_CONTENT_TYPE_BEFORE_JSON,
        (Wrong::Json, _) => &req::PRECEDENCE_JSON_MALFORMED,
        _ => &req::PRECEDENCE_FIELDS_BEFORE_EXISTENCE,
    }
}

async fn call(f: &Fixture, operation: Operation, wrong: &[Wrong]) -> Result<Answer, Stop> {
    let is = |what: Wrong| wrong.contains(&what);
    let mut path = match operation {
        Operation::EditMessage if is(Wrong::Existence) => path_to(operation, UNKNOWN),
        _ => f.path(operation),
    };
    if is(Wrong::Path) {
        path += "/no/such/path";
    }
    let mut body = f.body(operation).unwrap_or_default();
    if is(Wrong::Existence) {
        match operation {
            Operation::SendMessage => body["to"] = UNKNOWN.into(),
            Operation::MarkRead => body["messageIds"] = json!([UNKNOWN]),
            _ => {}
        }
    }
    if is(Wrong::Fields) {
        // The last one: the one that names what does not exist stays.
        let mut last = properties(operation.request_schema().unwrap_or_default())
            .into_iter()
            .map(|one| one.name);
        let field = match operation {
            Operation::SendMessage | Operation::EditMessage => "content".to_owned(),
            Operation::MarkRead => "chatId".to_owned(),
            _ => last.next_back().unwrap_or_default(),
        };
        body[field] = Value::from(7);
    }
    let mut text = body.to_string();
    if is(Wrong::Size) {
        body["padding"] = "p".repeat(66_000).into();
        text = body.to_string();
    }
    if is(Wrong::Json) {
        text.truncate(text.len() - 1);
    }
    let method = if is(Wrong::Method) { "PATCH" } else { operation.method() };
    let request = f.ann.anonymous(method, &path);
    let request = request.token(if is(Wrong::Token) { "garbage" } else { &f.ann.access });
    let kind = if is(Wrong::Type) {
        "text/plain"
    } else {
        "application/json"
    };
    request.header("content-type", kind).raw(text).send().await
}

async fn every_pair_of_wrong_things(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let before = f.state().await?;
    for operation in with_body() {
        let fitting: Vec<Wrong> = ALL.into_iter().filter(|wrong| wrong.applies(operation)).collect();
        for (place, first) in fitting.iter().copied().enumerate() {
            for second in fitting[place + 1..].iter().copied() {
                let answer = call(&f, operation, &[first, second]).await?;
                let (status, code) = first.answer(operation);
                w.check(
                    requirement(first, second),
                    answer.status == status && answer.code() == code,
                    format!("{operation} with wrong {first:?} and {second:?}: {status} {code}"),
                    format!("{} {}", answer.status, answer.code()),
                );
            }
            // Everything behind it is wrong at once.
            let answer = call(&f, operation, &fitting[place..]).await?;
            let (status, code) = first.answer(operation);
            let next = fitting.get(place + 1).copied().unwrap_or(first);
            w.check(
                requirement(first, next),
                answer.status == status && answer.code() == code,
                format!("{operation} with all wrong from {first:?} on: {status} {code}"),
                format!("{} {}", answer.status, answer.code()),
            );
        }
    }
    w.equal(
        &req::PRECEDENCE_FIELDS_BEFORE_EXISTENCE,
        "state",
        before,
        f.state().await?,
    );
    Ok(())
}
