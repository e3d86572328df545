//! What must not be shown, and what is shown in its stead.
//!
//! A token that the server gave is shown as the name of a variable, so that a reader sees whose it is and may send the request
//! again with a token of their own.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, MatchKind};
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{Entry, What};
use crate::engine::PASSWORD;

/// Fields that hold passwords.
const PASSWORDS: [&str; 4] = ["password", "confirmPassword", "currentPassword", "newPassword"];
/// Fields that hold tokens, and what these are called.
const TOKENS: [(&str, &str); 3] = [
    ("accessToken", "ACCESS"),
    ("refreshToken", "REFRESH"),
    ("token", "TOKEN"),
];
/// Headers that are secrets.
const HEADERS: [&str; 3] = ["cookie", "set-cookie", "proxy-authorization"];
/// Stands where a secret was.
pub const MASK: &str = "•••";
/// What is longer may be part of a real token; what is shorter, such as `garbage`, was made up by the case.
const HARMLESS: usize = 16;
/// How tokens begin whose header is JSON.
const JWT: &str = "eyJ";
/// Shorter ones are not looked for inside of other texts.
const FINDABLE: usize = 8;

/// The secrets of one case.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// From the secret to what is shown.
    known: BTreeMap<String, String>,
}

impl Secrets {
    /// Those that the server gave and the passwords that were sent.
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut secrets = Self::default();
        secrets.known.insert(PASSWORD.to_owned(), "$PASSWORD".to_owned());
        let mut counts = BTreeMap::new();
        for entry in entries {
            match &entry.what {
                What::Response(received) => {
                    let owner = received.body.pointer("/user/username").and_then(Value::as_str);
                    let owner = owner.map_or(&*entry.party.label, role);
                    secrets.learn(owner, &received.body, &mut counts);
                }
                What::Request(sent) => {
                    if let Some(Ok(body)) = sent.body.as_deref().map(serde_json::from_slice::<Value>) {
                        secrets.learn_passwords(&body);
                    }
                }
                _ => {}
            }
        }
        secrets
    }

    fn learn(&mut self, owner: &str, value: &Value, counts: &mut BTreeMap<String, u32>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let kind = TOKENS.iter().find(|(field, _)| field == name);
                    match (kind, member) {
                        (Some((_, kind)), Value::String(token)) if !token.is_empty() => {
                            if !self.known.contains_key(token) {
                                let stem = format!("${}_{kind}", owner.to_uppercase());
                                let count = counts.entry(stem.clone()).or_default();
                                *count += 1;
                                let shown = if *count == 1 { stem } else { format!("{stem}_{count}") };
                                self.known.insert(token.clone(), shown);
                            }
                        }
                        _ => self.learn(owner, member, counts),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(owner, item, counts)),
            _ => {}
        }
    }

    fn learn_passwords(&mut self, body: &Value) {
        for field in PASSWORDS {
            if let Some(password) = body[field].as_str().filter(|password| password.len() >= FINDABLE) {
                let shown = format!("{MASK} ({} characters)", password.chars().count());
                self.known.entry(password.to_owned()).or_insert(shown);
            }
        }
    }

    /// The same without secrets.
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let masked = members.iter().map(|(name, member)| {
                    let shown = match member {
                        Value::String(text) if PASSWORDS.contains(&name.as_str()) => self.password(text).into(),
                        Value::String(text) if TOKENS.iter().any(|(field, _)| field == name) => self.token(text).into(),
                        other => self.value(other),
                    };
                    (name.clone(), shown)
                });
                Value::Object(masked.collect())
            }
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::String(text) => self.text(text).into(),
            other => other.clone(),
        }
    }

    /// A body without secrets; one that is not JSON loses those that are known.
    pub fn body(&self, body: &[u8]) -> String {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => self.value(&value).to_string(),
            Err(_) => self.text(&String::from_utf8_lossy(body)),
        }
    }

    /// A header's value without secrets.
    pub fn header(&self, name: &str, value: &str) -> String {
        if name.eq_ignore_ascii_case("authorization") {
            match value.split_once(' ') {
                Some((scheme, token)) => format!("{scheme} {}", self.token(token)),
                None => self.token(value),
            }
        } else if HEADERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
            MASK.to_owned()
        } else {
            self.text(value)
        }
    }

    /// All headers without secrets.
    pub fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let all = headers.iter();
        all.map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), self.header(name.as_str(), &value))
        })
        .collect()
    }

    /// A text without the secrets that are known, and without whatever looks like a token.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (secret, shown) in self.known.iter().filter(|(secret, _)| secret.len() >= FINDABLE) {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), shown);
            }
        }
        without_parameter(&without_jwt(&text))
    }

    fn token(&self, token: &str) -> String {
        match self.known.get(token) {
            Some(shown) => shown.clone(),
            None if token.chars().count() <= HARMLESS => token.to_owned(),
            None => MASK.to_owned(),
        }
    }

    fn password(&self, password: &str) -> String {
        match self.known.get(password) {
            Some(shown) => shown.clone(),
            None => format!("{MASK} ({} characters)", password.chars().count()),
        }
    }
}

/// The secrets of many cases, for texts that may have any of them.
pub struct AllSecrets(AhoCorasick);

impl AllSecrets {
    /// `more` are secrets that no case has seen.
    ///
    /// # Errors
    ///
    /// When there are too many.
    pub fn of<'a>(cases: impl Iterator<Item = &'a Secrets>, more: &'a [String]) -> Result<Self, String> {
        let known = cases.flat_map(|secrets| secrets.known.keys()).chain(more);
        // Most tokens are masked by how they look.
        let patterns: BTreeSet<&str> = (known.map(String::as_str))
            .filter(|secret| secret.len() >= FINDABLE && without_jwt(secret) != MASK)
            .chain([PASSWORD])
            .collect();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns);
        automaton.map(Self).map_err(|error| error.to_string())
    }

    /// A text of many lines without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        self.0.replace_all_with(text, &mut shown, |_, _, shown| {
            shown.push_str(MASK);
            true
        });
        let lines = shown.split_inclusive('\n');
        lines.map(|line| without_parameter(&without_jwt(line))).collect()
    }
}

/// `ann` of `ann_0123456789`.
fn role(username: &str) -> &str {
    username.split_once('_').map_or(username, |(role, _)| role)
}

/// Masks every token of the kind `eyJ….….…`, also one that the case has spoiled.
fn without_jwt(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(JWT) {
        let token = &rest[start..];
        let end = token
            .find(|c: char| !c.is_ascii_alphanumeric() && !"._-+/=".contains(c))
            .unwrap_or(token.len());
        shown.push_str(&rest[..start]);
        shown.push_str(if end > HARMLESS { MASK } else { &token[..end] });
        rest = &token[end..];
    }
    shown + rest
}

/// Masks the value of `token=` in a query.
fn without_parameter(text: &str) -> String {
    match text.split_once("token=") {
        Some((before, secret)) if before.contains('?') => {
            let end = secret.find(['&', ' ']).unwrap_or(secret.len());
            format!("{before}token={MASK}{}", without_parameter(&secret[end..]))
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::engine::transcript::{Party, Received, Transcript};

    fn secrets_of(body: Value) -> Secrets {
        let transcript = Transcript::default();
        let received = Received {
            exchange: 1,
            operation: None,
            method: "POST".into(),
            status: 200,
            headers: HeaderMap::new(),
            text: body.to_string().into(),
            body,
            took: std::time::Duration::ZERO,
        };
        transcript.add(&Party::guest(), &Arc::from("http://x"), What::Response(received));
        transcript.take().secrets
    }

    #[test]
    fn what_the_server_gave_is_shown_by_its_name() {
        let secrets = secrets_of(
            json!({"user": {"username": "ann_01"}, "tokens": {"accessToken": "a-real-token", "refreshToken": "r"}}),
        );
        let shown = secrets.value(&json!({"refreshToken": "r", "note": "saw a-real-token"}));
        assert_eq!(
            shown,
            json!({"refreshToken": "$ANN_REFRESH", "note": "saw $ANN_ACCESS"})
        );
        assert_eq!(
            secrets.header("Authorization", "Bearer a-real-token"),
            "Bearer $ANN_ACCESS"
        );
    }

    #[test]
    fn what_nobody_knows_is_masked_when_it_may_be_real() {
        let secrets = Secrets::default();
        assert_eq!(secrets.header("authorization", "Bearer garbage"), "Bearer garbage");
        let long = "x".repeat(40);
        assert_eq!(
            secrets.value(&json!({"token": long, "password": "short"})),
            json!({"token": "•••", "password": "••• (5 characters)"})
        );
        assert_eq!(
            secrets.text("see eyJhbGciOiJIUzI1NiJ9.e30.spoiled, please"),
            "see •••, please"
        );
        assert_eq!(secrets.text("/x?token=secret&b=1"), "/x?token=•••&b=1");
        assert_eq!(secrets.text("/x?a=1"), "/x?a=1");
        assert_eq!(secrets.header("Set-Cookie", "sid=1"), "•••");
    }

    #[test]
    fn a_log_shows_no_secret_of_any_case() {
        let cases = [
            secrets_of(json!({"tokens": {"refreshToken": "opaque-0123456789"}})),
            Secrets::default(),
        ];
        let all = AllSecrets::of(cases.iter(), &["of-the-start".to_owned()]).unwrap();
        let log =
            "got opaque-0123456789\nsigned with of-the-start\n?token=abc&x=1 eyJhbGciOiJIUzI1NiJ9.e30.x\nnothing\n";
        assert_eq!(all.text(log), "got •••\nsigned with •••\n?token=•••&x=1 •••\nnothing\n");
    }

    #[test]
    fn a_password_is_found_wherever_it_was_repeated() {
        let secrets = secrets_of(json!({}));
        assert!(!secrets.text(&format!("you sent {PASSWORD}")).contains(PASSWORD));
    }
}
