//! Ids and cursors of another form than the reference server's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use serde_json::Value;

/// How the other server's ids look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// As long as the reference server's, of letters alone.
    Letters,
    /// 1, 2, 3, …: users, messages and chats counted each by itself, so that one id means one of each.
    Numbers,
}

/// What an id is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    User,
    Message,
    Chat,
}

/// An id is 24 of these letters, one for each hexadecimal digit.
const LETTERS: &[u8; 16] = b"QzWyExRwTvYuUtIs";
/// A cursor is that of the reference server behind this, which a URL has in another form.
const CURSOR: &str = "c+/=&";
const CURSOR_IN_URL: &str = "c%2B%2F%3D%26";
/// What follows `/api/messages/` and is no id.
const NO_MESSAGES: [&str; 5] = ["send", "conversation", "chats", "search", "mark-read"];
/// A body may be as long as this …
const LONGEST_BODY: usize = 65_536;
/// … and no text of the contract's is this long.
const NO_TEXT: usize = 20_000;

/// The translation, both ways.
pub(super) enum Ids {
    Letters,
    Numbers(Mutex<Numbers>),
}

#[derive(Default)]
pub(super) struct Numbers {
    theirs: HashMap<String, String>,
    ours: HashMap<(Kind, String), String>,
    counted: HashMap<Kind, u64>,
}

impl Ids {
    pub(super) fn of(form: Form) -> Self {
        match form {
            Form::Letters => Self::Letters,
            Form::Numbers => Self::Numbers(Mutex::default()),
        }
    }

    /// Renames every id below what the server says.
    pub(super) fn say(&self, value: &mut Value) {
        rename(value, None, &mut |kind, ours| self.their_id(kind, ours));
    }

    /// Renames every id below what a client says.
    pub(super) fn hear(&self, value: &mut Value) {
        rename(value, None, &mut |kind, theirs| self.our_id(kind, theirs));
    }

    /// What a client says in a body; none when there is nothing to rename.
    pub(super) fn hear_body(&self, body: &[u8]) -> Option<Vec<u8>> {
        let mut value: Value = serde_json::from_slice(body).ok()?;
        let mut found = Vec::new();
        rename(&mut value, None, &mut |kind, theirs| {
            let ours = self.our_id(kind, theirs)?;
            found.push((theirs.to_owned(), ours.clone()));
            Some(ours)
        });
        match self {
            // What is too long is refused whatever it says.
            _ if found.is_empty() || body.len() > LONGEST_BODY => None,
            // In the text itself, and at the same length: what else a body is, its size included, is the client's.
            Self::Letters => {
                let text = std::str::from_utf8(body).ok()?.to_owned();
                let ours = found
                    .iter()
                    .fold(text, |text, (theirs, ours)| text.replace(theirs, ours));
                Some(ours.into_bytes())
            }
            Self::Numbers(_) => {
                let excess = value.to_string().len().saturating_sub(LONGEST_BODY);
                shorten(&mut value, excess);
                Some(value.to_string().into_bytes())
            }
        }
    }

    /// A path and query as the reference server knows them.
    pub(super) fn hear_path(&self, path: &str) -> String {
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        let mut before = ["", ""];
        let mut segments = Vec::new();
        for segment in path.split('/') {
            let kind = match before {
                ["api", "messages"] if !NO_MESSAGES.contains(&segment) => Some(Kind::Message),
                ["messages", "conversation"] | ["api", "users"] => Some(Kind::User),
                _ => None,
            };
            let ours = kind.and_then(|kind| self.our_id(kind, segment));
            segments.push(ours.unwrap_or_else(|| segment.to_owned()));
            before = [before[1], segment];
        }
        let pair = |pair: &str| match pair.split_once('=') {
            Some(("cursor", cursor)) => format!("cursor={}", cursor.strip_prefix(CURSOR_IN_URL).unwrap_or(cursor)),
            Some(("userId", theirs)) => {
                let ours = self.our_id(Kind::User, theirs);
                format!("userId={}", ours.as_deref().unwrap_or(theirs))
            }
            _ => pair.to_owned(),
        };
        let path = segments.join("/");
        match query.map(|query| query.split('&').map(pair).collect::<Vec<_>>().join("&")) {
            Some(query) => format!("{path}?{query}"),
            None => path,
        }
    }

    /// The other server's form of one of ours; none for what is none.
    fn their_id(&self, kind: Kind, ours: &str) -> Option<String> {
        if ours.len() != 24 {
            return None;
        }
        let letter = |c| match c {
            b'0'..=b'9' | b'a'..=b'f' => char::from(c)
                .to_digit(16)
                .map(|digit| char::from(LETTERS[digit as usize])),
            _ => None,
        };
        let letters: String = ours.bytes().map(letter).collect::<Option<_>>()?;
        match self {
            Self::Letters => Some(letters),
            Self::Numbers(numbers) => {
                let mut numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(known) = numbers.theirs.get(ours) {
                    return Some(known.clone());
                }
                let counted = numbers.counted.entry(kind).or_default();
                *counted += 1;
                let theirs = counted.to_string();
                numbers.theirs.insert(ours.to_owned(), theirs.clone());
                numbers.ours.insert((kind, theirs.clone()), ours.to_owned());
                Some(theirs)
            }
        }
    }

    /// Ours for one of the other server's; none for what is none.
    fn our_id(&self, kind: Kind, theirs: &str) -> Option<String> {
        match self {
            Self::Letters if theirs.len() == 24 => {
                let digit = |letter: u8| LETTERS.iter().position(|known| *known == letter);
                let digits = theirs
                    .bytes()
                    .map(|letter| digit(letter).map(|digit| format!("{digit:x}")));
                digits.collect()
            }
            Self::Letters => None,
            Self::Numbers(numbers) => {
                let numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
                numbers.ours.get(&(kind, theirs.to_owned())).cloned()
            }
        }
    }
}

/// The other server's cursor for one of ours.
pub(super) fn their_cursor(ours: &str) -> String {
    format!("{CURSOR}{ours}")
}

/// What a member is the id of, by its name and what stands beside it.
fn kind_of(name: &str, beside: &serde_json::Map<String, Value>) -> Option<Kind> {
    match name {
        "messageId" | "messageIds" => Some(Kind::Message),
        "chatId" => Some(Kind::Chat),
        "id" if beside.contains_key("participants") => Some(Kind::Chat),
        "id" if beside.contains_key("sender") => Some(Kind::Message),
        "id" | "userId" | "readerId" | "sender" | "receiver" | "from" | "to" => Some(Kind::User),
        // Ids by chance, or none at all.
        _ => None,
    }
}

/// Renames every id below a value; `kind` is that of the value itself.
fn rename(value: &mut Value, kind: Option<Kind>, to: &mut dyn FnMut(Kind, &str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(renamed) = kind.and_then(|kind| to(kind, text)) {
                *text = renamed;
            }
        }
        Value::Object(members) => {
            let kinds: Vec<_> = members.keys().map(|name| kind_of(name, members)).collect();
            for (member, kind) in members.values_mut().zip(kinds) {
                rename(member, kind, to);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, kind, to)),
        _ => {}
    }
}

/// Takes so much from what the contract knows nothing of: a body that was not too long must not become it.
fn shorten(value: &mut Value, by: usize) {
    let members = value
        .as_object_mut()
        .into_iter()
        .flat_map(|members| members.values_mut());
    for member in members {
        if let Value::String(text) = member
            && text.len() > NO_TEXT
            && let Some(end) = text.len().checked_sub(by)
        {
            text.truncate(text.floor_char_boundary(end));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str = "65f0aa1234567890bcdeffff";

    #[test]
    fn ids_of_letters_go_there_and_back() {
        let theirs = Ids::Letters.their_id(Kind::User, OURS).unwrap();
        assert_ne!(theirs, OURS);
        assert_eq!(Ids::Letters.our_id(Kind::User, &theirs).as_deref(), Some(OURS));
        for none in [
            "",
            "65f0",
            "65F0AA1234567890BCDEFFFF",
            "QzWy",
            "ZZZZZZZZZZZZZZZZZZZZZZZZ",
        ] {
            let both = (
                Ids::Letters.their_id(Kind::User, none),
                Ids::Letters.our_id(Kind::User, none),
            );
            assert_eq!(both, (None, None), "{none}");
        }
    }

    #[test]
    fn users_messages_and_chats_are_counted_apart() {
        let ids = Ids::of(Form::Numbers);
        let [user, message, chat] = ["a", "b", "c"].map(|digit| digit.repeat(24));
        let mut said = json!({"message": {"id": message, "chatId": chat, "sender": user, "content": user}});
        ids.say(&mut said);
        assert_eq!(
            said,
            json!({"message": {"id": "1", "chatId": "1", "sender": "1", "content": user}})
        );
        let mut heard = json!({"to": "1", "chatId": "1", "messageIds": ["1", "2"], "content": "1"});
        ids.hear(&mut heard);
        assert_eq!(
            heard,
            json!({"to": user, "chatId": chat, "messageIds": [message, "2"], "content": "1"})
        );
        assert_eq!(
            ids.hear_path("/api/messages/1?userId=1"),
            format!("/api/messages/{message}?userId={user}")
        );
        assert_eq!(
            ids.hear_path("/api/messages/conversation/1?limit=1"),
            format!("/api/messages/conversation/{user}?limit=1")
        );
    }

    #[test]
    fn a_body_of_a_lawful_size_keeps_one() {
        let ids = Ids::of(Form::Numbers);
        ids.say(&mut json!({"userId": OURS}));
        let body = |size: usize| {
            let mut body = json!({"to": "1", "padding": ""});
            body["padding"] = "p".repeat(size - body.to_string().len()).into();
            body.to_string().into_bytes()
        };
        let heard = ids.hear_body(&body(LONGEST_BODY)).unwrap();
        assert_eq!(heard.len(), LONGEST_BODY);
        assert!(String::from_utf8(heard).unwrap().contains(OURS));
        assert_eq!(ids.hear_body(&body(LONGEST_BODY + 1)), None);
        assert_eq!(ids.hear_body(br#"{"to": "2"}"#), None);
    }

    #[test]
    fn paths_are_translated_and_strange_ones_left() {
        let theirs = Ids::Letters.their_id(Kind::User, OURS).unwrap();
        assert_eq!(
            Ids::Letters.hear_path(&format!(
                "/api/users/{theirs}/status?cursor={CURSOR_IN_URL}abc&userId={theirs}&q=a=b"
            )),
            format!("/api/users/{OURS}/status?cursor=abc&userId={OURS}&q=a=b")
        );
        assert_eq!(Ids::Letters.hear_path("/api/users/%00?limit"), "/api/users/%00?limit");
    }
}
