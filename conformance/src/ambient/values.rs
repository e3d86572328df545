//! What holds for every value that a server shows to somebody.

use chat_spec::{Requirement, req};
use serde_json::{Map, Value};

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

/// Fields that are ids, wherever they stand.
const IDS: [&str; 8] = [
    "id",
    "userId",
    "chatId",
    "messageId",
    "sender",
    "receiver",
    "from",
    "readerId",
];

/// Fields that are times, wherever they stand.
const TIMES: [&str; 7] = [
    "timestamp",
    "lastSeen",
    "createdAt",
    "lastActivity",
    "readAt",
    "editedAt",
    "deletedAt",
];

/// What tells a kind of object, and its fields that may be null and are there all the same.
const NULLABLE: [(&[&str], &[&str]); 5] = [
    (&["id", "username"], &["lastSeen", "profilePicture", "bio"]),
    (&["userId", "lastSeen"], &["lastSeen"]),
    (
        &["id", "sender", "receiver"],
        &["seq", "readAt", "editedAt", "deletedAt"],
    ),
    (&["id", "participants"], &["groupName"]),
    (&["items"], &["nextCursor"]),
];

/// All that a user and an error may have.
const OF_USER: [&str; 8] = [
    "id",
    "username",
    "status",
    "lastSeen",
    "profilePicture",
    "bio",
    "email",
    "createdAt",
];
const OF_ERROR: [&str; 5] = ["message", "code", "details", "requestId", "retryAfter"];

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
            forms(judge, seen, members);
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

/// Judges an error: it has nothing besides what is specified.
pub(super) fn error(judge: &mut Judge<'_>, requirement: &'static Requirement, what: &str, error: &Value) {
    only(judge, requirement, what, error, &OF_ERROR);
}

fn only(judge: &mut Judge<'_>, requirement: &'static Requirement, what: &str, value: &Value, known: &[&str]) {
    let strange = value
        .as_object()
        .and_then(|members| members.keys().find(|name| !known.contains(&name.as_str())));
    judge.check(
        requirement,
        strange.is_none(),
        || format!("{what}: nothing but {known:?}"),
        || strange.cloned().unwrap_or_default(),
    );
}

/// Ids, times and fields without a value.
fn forms(judge: &mut Judge<'_>, seen: &Seen<'_>, members: &Map<String, Value>) {
    let texts = |names: &'static [&'static str]| {
        let named = names.iter().map(|name| (*name, members.get(*name)));
        named.filter_map(|(name, value)| Some((name, value?.as_str()?)))
    };
    for (name, id) in texts(&IDS) {
        let good = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        judge.check(
            &req::IDS_FORMAT_OPAQUE,
            good,
            || format!("{}: an id as {name}", seen.what),
            || id.to_owned(),
        );
    }
    for (name, time) in texts(&TIMES) {
        judge.check(
            &req::TIMESTAMPS_FORMAT_RFC3339_MILLIS,
            is_time(time),
            || format!("{}: a time as {name}", seen.what),
            || time.to_owned(),
        );
    }
    for (known, nullable) in NULLABLE {
        if known.iter().all(|name| members.contains_key(*name)) {
            let missing = nullable.iter().find(|name| !members.contains_key(**name));
            judge.check(
                &req::JSON_RESPONSE_NULLS_PRESENT,
                missing.is_none(),
                || format!("{}: {nullable:?}", seen.what),
                || format!("no {}", missing.unwrap_or(&"")),
            );
        }
    }
}

/// `2026-11-28T04:19:46.123Z`, and a moment that exists.
fn is_time(text: &str) -> bool {
    let form = "dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = |(have, want): (u8, u8)| match want {
        b'd' => have.is_ascii_digit(),
        other => have == other,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits) && text.parse::<jiff::Timestamp>().is_ok()
}

fn user(judge: &mut Judge<'_>, seen: &Seen<'_>, user: &Value) {
    if user.get("id").is_some() {
        let requirement = match seen.own {
            true => &req::SHAPES_USER_OWN_FIELDS,
            false => &req::SHAPES_USER_PUBLIC_FIELDS,
        };
        only(judge, requirement, seen.what, user, &OF_USER);
    }
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

#[cfg(test)]
mod tests {
    use super::is_time;

    #[test]
    fn a_time_has_one_form() {
        assert!(is_time("2026-11-28T04:19:46.123Z"));
        for wrong in [
            "2026-11-28T04:19:46Z",
            "2026-11-28T04:19:46.123456Z",
            "2026-11-28T04:19:46.123+00:00",
            "2026-13-28T04:19:46.123Z",
            "2026-11-28 04:19:46.123Z",
            "",
        ] {
            assert!(!is_time(wrong), "{wrong}");
        }
    }
}
