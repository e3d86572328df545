//! What holds for every value that a server shows to somebody.

use chat_spec::req;
use serde_json::Value;

use super::Judge;

/// Names of what must never leave a server.
const SECRETS: [&str; 8] = [
    "password",
    "passwordHash",
    "password_hash",
    "hash",
    "salt",
    "hashedPassword",
    "pwd",
    "secret",
];

/// Who sees a value, and where.
pub(super) struct Seen<'a> {
    /// The id of the user; none when nobody in particular asked.
    pub(super) by: Option<&'a str>,
    pub(super) what: &'a str,
    /// Where the caller's own email may stand.
    pub(super) own: bool,
}

/// Judges a value and everything inside it.
pub(super) fn judge(judge: &mut Judge<'_>, seen: &Seen<'_>, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| self::judge(judge, seen, item)),
        Value::Object(members) => {
            let secret = members.keys().find(|name| SECRETS.contains(&name.as_str()));
            judge.check(
                &req::SHAPES_USER_HASH_NEVER,
                secret.is_none(),
                || format!("{}: no field of a password", seen.what),
                || secret.cloned().unwrap_or_default(),
            );
            if members.contains_key("username") {
                user(judge, seen, value);
            }
            if members.contains_key("sender") && members.contains_key("receiver") {
                message(judge, seen, value);
            }
            members.values().for_each(|member| self::judge(judge, seen, member));
        }
        _ => {}
    }
}

fn user(judge: &mut Judge<'_>, seen: &Seen<'_>, user: &Value) {
    let private = ["email", "createdAt"].iter().any(|field| user.get(*field).is_some());
    let is_own = seen.by.is_none_or(|by| user["id"] == by);
    judge.check(
        &req::SHAPES_USER_EMAIL_PRIVATE,
        !private || (seen.own && is_own),
        || format!("{}: neither email nor createdAt", seen.what),
        || user.to_string(),
    );
}

fn message(judge: &mut Judge<'_>, seen: &Seen<'_>, message: &Value) {
    if let Some(by) = seen.by {
        let is_theirs = message["sender"] == by || message["receiver"] == by;
        judge.check(
            &req::CONVERSATION_PRIVATE_STRANGERS,
            is_theirs,
            || format!("{}: messages of {by} alone", seen.what),
            || message.to_string(),
        );
        let shown = message.get("clientMessageId").is_some();
        judge.check(
            &req::SHAPES_MESSAGE_CLIENT_ID_SENDER_ONLY,
            !shown || message["sender"] == by,
            || format!("{}: no clientMessageId of somebody else", seen.what),
            || message.to_string(),
        );
    }
    judge.check(
        &req::SEND_TO_SELF,
        message["sender"] != message["receiver"],
        || format!("{}: a message between two", seen.what),
        || message.to_string(),
    );
    if let Some(deleted) = message.get("deletedAt") {
        judge.check(
            &req::SHAPES_MESSAGE_TOMBSTONE,
            deleted.is_null() == (message["content"] != ""),
            || format!("{}: content until it is deleted, and none afterwards", seen.what),
            || message.to_string(),
        );
    }
    if let Some(read) = message.get("readAt") {
        judge.check(
            &req::READ_STATE_STORED,
            read.is_null() == (message["isRead"] == false),
            || format!("{}: isRead and readAt together", seen.what),
            || message.to_string(),
        );
    }
}
