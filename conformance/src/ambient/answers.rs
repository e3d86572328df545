//! Every answer below `/api`.

use std::collections::{BTreeMap, BTreeSet};

use chat_spec::{Operation, Requirement, req};
use serde_json::Value;

use super::Judge;
use super::values::{Seen, error, judge as judge_value};
use crate::engine::quota::all_have;
use crate::engine::transcript::{Received, Sent, What};
use crate::engine::{Record, has_directive, is_foreign, lets_in};

/// Words that only the inside of a server knows.
const INTERNAL: [&str; 15] = [
    "panicked",
    ".rs:",
    "stack trace",
    "Traceback",
    "node_modules",
    "\n    at ",
    "SQLITE",
    "Sqlite",
    "rusqlite",
    "os error",
    "MongoServerError",
    "mongodb://",
    "redis://",
    "E11000",
    "Cast to ObjectId",
];

/// How a hash of a password begins.
const HASHES: [&str; 4] = ["$argon2", "$2a$", "$2b$", "$scrypt$"];

/// The calls whose answers show the caller's own email.
const OWN: [Operation; 4] = [
    Operation::Register,
    Operation::Login,
    Operation::GetProfile,
    Operation::UpdateProfile,
];

fn about(schema: &str) -> &'static Requirement {
    match schema {
        "SessionResponse" | "OwnUserResponse" => &req::SHAPES_USER_OWN_FIELDS,
        "TokensResponse" => &req::SHAPES_TOKENS_FIELDS,
        "MessageResponse" | "MessagesResponse" | "ConversationResponse" => &req::SHAPES_MESSAGE_FIELDS,
        "ChatsResponse" => &req::SHAPES_CHAT_FIELDS,
        "UserResponse" | "UsersResponse" => &req::SHAPES_USER_PUBLIC_FIELDS,
        "UserStatus" => &req::USERS_STATUS_SHAPE,
        "MarkReadResponse" => &req::READ_MESSAGES_UPDATED,
        _ => &req::ERRORS_SHAPE_REST,
    }
}

pub(super) fn judge(record: &Record, judge: &mut Judge<'_>) {
    let mut asked: BTreeMap<u64, &Sent> = BTreeMap::new();
    let mut made: BTreeSet<&str> = BTreeSet::new();
    for entry in &record.entries {
        match &entry.what {
            What::Request(sent) => {
                asked.insert(sent.exchange, sent);
            }
            What::Response(received) => {
                let Some(sent) = asked
                    .remove(&received.exchange)
                    .filter(|sent| sent.path.starts_with("/api"))
                else {
                    continue;
                };
                answer(judge, sent, received, entry.party.user.as_deref());
                let id = header(received, "x-request-id");
                if sent.headers.get("x-request-id").is_none() && !id.is_empty() {
                    judge.check(
                        &req::HEADERS_REQUEST_ID_UNIQUE,
                        made.insert(id),
                        || "a new id each".into(),
                        || id.to_owned(),
                    );
                }
            }
            _ => {}
        }
    }
}

fn header<'a>(received: &'a Received, name: &str) -> &'a str {
    let value = received.headers.get(name);
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn answer(judge: &mut Judge<'_>, sent: &Sent, received: &Received, caller: Option<&str>) {
    let text: &str = &received.text;
    let what = format!("{} {}", sent.method, sent.path.split('?').next().unwrap_or_default());
    let hash = HASHES.iter().find(|hash| text.contains(**hash));
    judge.check(
        &req::SHAPES_USER_HASH_NEVER,
        hash.is_none(),
        || format!("{what}: no hash"),
        || "one".into(),
    );
    if sent.path.starts_with("/api/") && sent.method != "OPTIONS" {
        for (name, wanted) in [("ratelimit-policy", ["q", "w"]), ("ratelimit", ["r", "t"])] {
            let field = header(received, name);
            judge.check(
                &req::LIMITS_HEADERS_STRUCTURED,
                all_have(field, &wanted),
                || format!("{what}: {name}: \"…\" with {wanted:?}"),
                || field.to_owned(),
            );
        }
    }
    if let Some(asked) = sent
        .headers
        .get("x-request-id")
        .filter(|asked| !is_request_id(asked.as_bytes()))
    {
        judge.check(
            &req::HEADERS_REQUEST_ID_REPLACED,
            received.headers.get("x-request-id") != Some(asked),
            || format!("{what}: an id of the server's own"),
            || format!("{asked:?}"),
        );
    }
    let origin = sent.headers.get("origin").and_then(|origin| origin.to_str().ok());
    if let Some(origin) = origin.filter(|origin| is_foreign(origin)) {
        judge.check(
            &req::HTTP_CORS_NO_WILDCARD_CREDENTIALS,
            !lets_in(&received.headers, origin),
            || format!("{what}: nothing with credentials for {origin}"),
            || header(received, "access-control-allow-origin").to_owned(),
        );
    }
    if received.status >= 400 {
        if received.body.is_object() {
            error(judge, &req::ERRORS_SHAPE_REST, &what, &received.body);
        }
        let word = INTERNAL.iter().find(|word| text.contains(**word));
        judge.check(
            &req::ERRORS_SERVER_NO_INTERNALS,
            word.is_none(),
            || format!("{what}: nothing of the inside"),
            || word.copied().unwrap_or_default().to_owned(),
        );
        return;
    }
    if sent.method == "HEAD" || sent.method == "OPTIONS" {
        let empty = text.is_empty() || sent.method == "OPTIONS";
        judge.check(
            &req::HTTP_HEAD_AS_GET,
            empty,
            || format!("{what}: no body"),
            || "one".into(),
        );
        return;
    }
    once_in_a_page(judge, &what, &received.body);
    let carries_tokens = received.body.get("tokens").is_some();
    if carries_tokens {
        let caching = header(received, "cache-control");
        judge.check(
            &req::HEADERS_SECURITY_NO_STORE,
            has_directive(caching, "no-store"),
            || format!("{what}: Cache-Control no-store"),
            || caching.to_owned(),
        );
    }
    judge.check(
        &req::JSON_RESPONSE_NAMED_OBJECT,
        received.status == 204 || (received.body.is_object() && received.body.get("success").is_none()),
        || format!("{what}: a bare object without a success flag"),
        || text.to_owned(),
    );
    let Some(operation) = received.operation else { return };
    if let Some(schema) = operation.response(received.status).and_then(|answer| answer.schema) {
        judge.shaped(about(schema), schema, &received.body);
    }
    fits_the_limit(judge, &what, sent, operation, &received.body);
    let by = authenticated(sent, operation, caller);
    let seen = Seen {
        by: by.as_deref(),
        what: &what,
        own: OWN.contains(&operation),
    };
    judge_value(judge, &seen, &received.body);
}

/// No page shows anything twice.
fn once_in_a_page(judge: &mut Judge<'_>, what: &str, body: &Value) {
    let Some(items) = body["items"].as_array() else { return };
    let mut known = BTreeSet::new();
    let twice = items
        .iter()
        .filter_map(|item| item["id"].as_str())
        .find(|id| !known.insert(*id));
    judge.check(
        &req::LISTS_CURSOR_WALK_COMPLETE,
        twice.is_none(),
        || format!("{what}: each item once"),
        || format!("{} twice", twice.unwrap_or_default()),
    );
}

/// No page has more items than were asked for, or than it has when nobody says how many.
fn fits_the_limit(judge: &mut Judge<'_>, what: &str, sent: &Sent, operation: Operation, body: &Value) {
    let (Some(items), Some((requirement, most))) = (body["items"].as_array(), most_items(operation, &sent.path)) else {
        return;
    };
    judge.check(
        requirement,
        items.len() <= most,
        || format!("{what}: at most {most} items"),
        || items.len().to_string(),
    );
}

/// How many items a page of this call has at most, and what says so.
fn most_items(operation: Operation, path: &str) -> Option<(&'static Requirement, usize)> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let limits = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "limit");
    let asked: Vec<Option<usize>> = limits.map(|(_, limit)| limit.parse().ok()).collect();
    match (asked.as_slice(), operation) {
        ([], Operation::SearchUsers) => Some((&req::LISTS_LIMIT_DEFAULT, 20)),
        ([], _) => Some((&req::LISTS_LIMIT_DEFAULT, 50)),
        ([Some(most)], _) => Some((&req::LISTS_LIMIT_RANGE, *most)),
        // What is no number, and what is said twice, is judged where it is said.
        _ => None,
    }
}

fn is_request_id(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
}

/// Whose token it was, as far as one can tell: a call of a user that carries any.
fn authenticated(sent: &Sent, operation: Operation, caller: Option<&str>) -> Option<String> {
    let at_the_door = matches!(
        operation,
        Operation::Register | Operation::Login | Operation::RefreshToken
    );
    let carries_one = sent.headers.get("authorization").is_some();
    caller.filter(|_| carries_one && !at_the_door).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_what_was_asked_for_or_what_the_contract_says() {
        let most = |operation, path| most_items(operation, path).map(|(requirement, most)| (requirement.id, most));
        let (users, chats) = (Operation::SearchUsers, Operation::ListChats);
        assert_eq!(
            most(users, "/api/users/search?q=limit"),
            Some(("lists.limit.default", 20))
        );
        assert_eq!(most(chats, "/api/messages/chats"), Some(("lists.limit.default", 50)));
        assert_eq!(
            most(chats, "/api/messages/chats?limit=%37&x=1"),
            Some(("lists.limit.range", 7))
        );
        assert_eq!(most(chats, "/api/messages/chats?limit="), None);
        assert_eq!(most(chats, "/api/messages/chats?limit=1&limit=2"), None);
    }
}
