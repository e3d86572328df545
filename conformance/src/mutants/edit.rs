//! Changes of JSON.

use serde_json::{Map, Value, json};

/// A step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    /// Into every item of an array.
    Each,
}

/// What is done to the value at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// It is left out.
    Remove,
    /// It is null.
    Null,
    /// It is of a type that JSON has besides.
    WrongType,
    /// An id or a time that is written in another form.
    BadForm,
    /// It is another value that the schema allows as well: only who knows the truth can tell.
    Lie,
}

/// A path for people: `items[].lastSeen`.
pub(super) fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Member(name) if text.is_empty() => text.push_str(name),
            Step::Member(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::Each => text.push_str("[]"),
        }
    }
    text
}

/// Edits what stands at the path; whether anything was changed.
pub(super) fn edit(value: &mut Value, path: &[Step], how: Edit) -> bool {
    match path {
        [] => edit_value(value, "", how),
        [Step::Each, rest @ ..] => match value {
            Value::Array(items) => items.iter_mut().fold(false, |any, item| edit(item, rest, how) | any),
            _ => false,
        },
        [Step::Member(name), rest @ ..] => {
            let Value::Object(members) = value else { return false };
            if rest.is_empty() {
                edit_member(members, name, how)
            } else {
                members.get_mut(name).is_some_and(|member| edit(member, rest, how))
            }
        }
    }
}

fn edit_member(members: &mut Map<String, Value>, name: &str, how: Edit) -> bool {
    match how {
        Edit::Remove => members.remove(name).is_some(),
        _ => members
            .get_mut(name)
            .is_some_and(|member| edit_value(member, name, how)),
    }
}

fn edit_value(value: &mut Value, name: &str, how: Edit) -> bool {
    let new = match how {
        Edit::Remove | Edit::Null => Value::Null,
        Edit::WrongType => match value {
            Value::String(_) | Value::Null => json!(7),
            Value::Array(_) => json!({}),
            _ => json!("seven"),
        },
        Edit::BadForm => match value.as_str() {
            Some(text) if is_timestamp(text) => json!(format!("{}Z", &text[..19])),
            Some(text) => json!(format!("{text}!")),
            None => return false,
        },
        Edit::Lie => match lie(value, name) {
            Some(lie) => lie,
            None => return false,
        },
    };
    let changed = *value != new;
    *value = new;
    changed
}

/// Another value of the same kind; none where there is no other.
fn lie(value: &Value, name: &str) -> Option<Value> {
    Some(match value {
        Value::Null if name.ends_with("At") || name == "lastSeen" => json!("2001-02-03T04:05:06.789Z"),
        Value::Null => match name {
            "nextCursor" | "chatId" | "bio" => json!("more"),
            "profilePicture" => json!("https://example.org/lie.png"),
            _ => return None,
        },
        // These two have only one value each.
        Value::Bool(_) if name == "ok" || name == "isGroup" => return None,
        Value::Bool(truth) => json!(!truth),
        // One second more or less is a matter of rounding.
        Value::Number(number) if name == "expiresIn" => json!(number.as_i64().unwrap_or(0) * 2 + 60),
        // Longer than any window of the contract.
        Value::Number(number) if name == "retryAfter" => json!(number.as_i64().unwrap_or(0) + 3600),
        Value::Number(number) => json!(number.as_i64().unwrap_or(0) + 1),
        Value::Array(items) if items.is_empty() || name == "participants" => return None,
        Value::Array(_) => json!([]),
        Value::Object(_) => return None,
        Value::String(text) => lie_of_text(text, name)?,
    })
}

fn lie_of_text(text: &str, name: &str) -> Option<Value> {
    let other = |known: &[&'static str]| known.iter().find(|known| **known != text).map(|other| json!(other));
    match name {
        "status" => other(&["busy", "away"]),
        "messageType" => other(&["audio", "file"]),
        "tokenType" | "code" => None,
        "nextCursor" => Some(Value::Null),
        "accessToken" | "refreshToken" => Some(json!(format!("{}x", &text[..text.len().saturating_sub(1)]))),
        "username" => Some(json!(text.chars().rev().collect::<String>())),
        "email" => Some(json!(format!("x{text}"))),
        "profilePicture" => Some(json!(format!("{text}/x"))),
        "message" => Some(json!("It did not work.")),
        "field" => Some(json!("anotherField")),
        _ if is_timestamp(text) => Some(json!("2001-02-03T04:05:06.789Z")),
        _ if is_id(text) => Some(json!(text.chars().rev().collect::<String>())),
        _ => Some(json!(format!("{text}x"))),
    }
}

fn is_timestamp(text: &str) -> bool {
    text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T'
}

fn is_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Tells lies wherever it can below a value; whether it could.
pub(super) fn lie_everywhere(value: &mut Value, name: &str) -> bool {
    match value {
        Value::Object(members) => {
            (members.iter_mut()).fold(false, |any, (name, member)| lie_everywhere(member, name) | any)
        }
        Value::Array(items) if !items.is_empty() => {
            let told = items
                .iter_mut()
                .fold(false, |any, item| lie_everywhere(item, name) | any);
            told || edit_value(value, name, Edit::Lie)
        }
        _ => edit_value(value, name, Edit::Lie),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(steps: &[&str]) -> Vec<Step> {
        let step = |name: &&str| match *name {
            "[]" => Step::Each,
            name => Step::Member(name.to_owned()),
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn every_item_is_reached() {
        let mut page = json!({"items": [{"id": "a", "bio": null}, {"id": "b", "bio": null}], "nextCursor": null});
        assert!(edit(&mut page, &path(&["items", "[]", "id"]), Edit::Remove));
        assert!(edit(&mut page, &path(&["nextCursor"]), Edit::WrongType));
        assert_eq!(page, json!({"items": [{"bio": null}, {"bio": null}], "nextCursor": 7}));
    }

    #[test]
    fn what_is_not_there_is_not_changed() {
        let mut value = json!({"a": null, "b": []});
        let before = value.clone();
        for (steps, how) in [
            (["a"], Edit::Null),
            (["c"], Edit::Remove),
            (["c"], Edit::Lie),
            (["b"], Edit::Lie),
        ] {
            assert!(!edit(&mut value, &path(&steps), how), "{steps:?}");
        }
        assert_eq!(value, before);
    }

    #[test]
    fn a_lie_is_lawful() {
        let mut message = json!({"id": "65f0aa00000000000000abcd", "isRead": false, "seq": 4, "timestamp": "2026-01-01T00:00:00.000Z", "messageType": "text"});
        assert!(lie_everywhere(&mut message, ""));
        assert_eq!(
            message,
            json!({"id": "dcba00000000000000aa0f56", "isRead": true, "seq": 5, "timestamp": "2001-02-03T04:05:06.789Z", "messageType": "audio"})
        );
    }
}
