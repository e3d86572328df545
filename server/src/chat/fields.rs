//! Reads the fields of a body or payload by the contract's rules, and notes one detail per bad field.
//!
//! Unknown fields are passed over. A detail says what a field must be and never what it was.
//!
//! ```text
//! let mut fields = Fields::of(body)?;
//! let (Some(to), Some(content)) = (fields.required("to", rule::id), fields.required("content", rule::content)) else {
//!     return Err(fields.refusal());
//! };
//! ```

use chat_protocol::FieldError;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// An object under examination.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    bad: Vec<FieldError>,
}

/// A field that may be left out, set to null, or given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given<T> {
    Absent,
    Null,
    Value(T),
}

impl<'a> Fields<'a> {
    /// `VALIDATION_ERROR` when it is not an object.
    pub fn of(value: &'a Value) -> Result<Self> {
        let object = value
            .as_object()
            .ok_or_else(|| Error::invalid("body", "must be a JSON object"))?;
        Ok(Self {
            object,
            bad: Vec::new(),
        })
    }

    /// `None`: absent, null or against the rule; it has been noted.
    pub fn required<T>(&mut self, name: &str, rule: impl FnOnce(&'a Value) -> Result<T, String>) -> Option<T> {
        match self.object.get(name) {
            None | Some(Value::Null) => {
                self.note(name, "is required");
                None
            }
            Some(value) => self.apply(name, value, rule),
        }
    }

    /// `None`: against the rule; it has been noted. `Some(None)`: absent or null.
    pub fn optional<T>(&mut self, name: &str, rule: impl FnOnce(&'a Value) -> Result<T, String>) -> Option<Option<T>> {
        match self.object.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.apply(name, value, rule).map(Some),
        }
    }

    /// As [`Self::optional`], where null is not the same as absent.
    pub fn given<T>(&mut self, name: &str, rule: impl FnOnce(&'a Value) -> Result<T, String>) -> Option<Given<T>> {
        match self.object.get(name) {
            None => Some(Given::Absent),
            Some(Value::Null) => Some(Given::Null),
            Some(value) => self.apply(name, value, rule).map(Given::Value),
        }
    }

    /// Notes a field as bad for a reason of the caller's.
    pub fn note(&mut self, name: &str, must: impl Into<String>) {
        if fault!(OneDetailOnly) && !self.bad.is_empty() {
            return;
        }
        self.bad.push(FieldError {
            field: name.into(),
            message: must.into(),
        });
    }

    /// `VALIDATION_ERROR` if anything was noted.
    pub fn finish(self) -> Result<()> {
        if self.bad.is_empty() {
            Ok(())
        } else {
            Err(self.refusal())
        }
    }

    /// `VALIDATION_ERROR` with what was noted.
    pub fn refusal(self) -> Error {
        Error::validation(self.bad)
    }

    fn apply<T>(
        &mut self,
        name: &str,
        value: &'a Value,
        rule: impl FnOnce(&'a Value) -> Result<T, String>,
    ) -> Option<T> {
        let echo = |must: String| match fault!(DetailsEcho) {
            true => format!("{must}, not {value}"),
            false => must,
        };
        rule(value).map_err(|must| self.note(name, echo(must))).ok()
    }
}

/// What single fields must be. `Err` completes the sentence "this field …".
pub mod rule {
    use std::ops::RangeInclusive;
    use std::str::FromStr;

    use chat_protocol::{InvalidId, MessageType, Status};
    use serde_json::Value;

    /// Longest email address that can be delivered to.
    const EMAIL_LENGTH: usize = 254;
    const URL_LENGTH: usize = 2048;

    pub fn string(value: &Value) -> Result<&str, String> {
        value.as_str().ok_or_else(|| "must be a string".into())
    }

    pub fn flag(value: &Value) -> Result<bool, String> {
        value.as_bool().ok_or_else(|| "must be true or false".into())
    }

    /// A string of so many Unicode scalars.
    pub fn text(length: RangeInclusive<usize>) -> impl Fn(&Value) -> Result<String, String> {
        move |value| sized(string(value)?, &length).map(Into::into)
    }

    /// A string that may be of any length but 0.
    pub fn secret(value: &Value) -> Result<String, String> {
        match string(value)? {
            "" => Err("must not be empty".into()),
            text => Ok(text.into()),
        }
    }

    pub fn id<T: FromStr<Err = InvalidId>>(value: &Value) -> Result<T, String> {
        string(value)?
            .parse()
            .map_err(|_| "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -".into())
    }

    pub fn username(value: &Value) -> Result<String, String> {
        let text = sized(string(value)?, &(3..=30))?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !text.chars().all(fits) {
            return Err("must be of A-Z, a-z, 0-9, _, . and - only".into());
        }
        Ok(text.into())
    }

    /// In lower case, as it is kept.
    pub fn email(value: &Value) -> Result<String, String> {
        let text = string(value)?;
        let fits = |c: char| {
            !c.is_whitespace() && !c.is_control() && !matches!(c, '@' | '<' | '>' | '(' | ')' | ',' | ';' | '"')
        };
        let good = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && local.chars().all(fits)
                && domain.contains('.')
                && domain
                    .split('.')
                    .all(|label| !label.is_empty() && label.chars().all(fits))
        });
        let lower = text.to_lowercase();
        if !good || lower.chars().count() > EMAIL_LENGTH {
            return Err(format!("must be an email address of at most {EMAIL_LENGTH} characters"));
        }
        Ok(lower)
    }

    pub fn new_password(value: &Value) -> Result<String, String> {
        text(8..=128)(value)
    }

    /// 1 to 4096 characters, not only white space, no NUL.
    pub fn content(value: &Value) -> Result<String, String> {
        let text = sized(string(value)?, &(1..=4096))?;
        if text.contains('\0') {
            return Err("must not contain NUL".into());
        }
        if text.chars().all(char::is_whitespace) {
            return Err("must not be white space only".into());
        }
        Ok(text.into())
    }

    pub fn message_type(value: &Value) -> Result<MessageType, String> {
        one_of(string(value)?, &MessageType::ALL, MessageType::as_str)
    }

    /// `None`: a string, but none of the four, which has a code of its own.
    pub fn status(value: &Value) -> Result<Option<Status>, String> {
        let text = string(value)?;
        Ok(one_of(text, &Status::ALL, Status::as_str).ok())
    }

    pub fn https_url(value: &Value) -> Result<String, String> {
        let text = string(value)?;
        // The parser forgives white space and control characters; we keep the text as it came, so we must not.
        let clean = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        let is_https = || url::Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host());
        let spelled_out = || {
            text.get(..8)
                .is_some_and(|start| start.eq_ignore_ascii_case("https://"))
        };
        if text.chars().count() > URL_LENGTH || !clean || !spelled_out() || !is_https() {
            return Err(format!("must be an https URL of at most {URL_LENGTH} characters"));
        }
        Ok(text.into())
    }

    fn sized<'t>(text: &'t str, length: &RangeInclusive<usize>) -> Result<&'t str, String> {
        // A character has 4 bytes at most: hopeless lengths need no counting.
        let (min, max) = (*length.start(), *length.end());
        let count = if fault!(LengthInUtf16) {
            text.encode_utf16().count()
        } else {
            text.chars().count()
        };
        if text.len() <= max * 4 && length.contains(&count) {
            return Ok(text);
        }
        Err(match min {
            0 => format!("must be at most {max} characters"),
            _ => format!("must be {min} to {max} characters"),
        })
    }

    fn one_of<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, String> {
        all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|one| name(*one)).collect();
            format!("must be one of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_protocol::{ChatId, UserId};
    use serde_json::json;

    #[test]
    fn one_detail_per_bad_field_and_unknown_ones_are_passed_over() {
        let body = json!({"to": "no id!", "content": 7, "isActive": false});
        let mut fields = Fields::of(&body).unwrap();
        assert_eq!(fields.required::<UserId>("to", rule::id), None);
        assert_eq!(fields.required("content", rule::content), None);
        assert_eq!(fields.required("username", rule::username), None);
        let refusal = fields.refusal();
        let named: Vec<_> = refusal.details().iter().map(|d| d.field.as_str()).collect();
        assert_eq!(named, ["to", "content", "username"]);
        assert!(!format!("{refusal:?}").contains("no id!"));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for value in [json!(null), json!([]), json!("x"), json!(1)] {
            assert!(Fields::of(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn absent_null_and_given_are_told_apart() {
        let body = json!({"bio": null, "chatId": null});
        let mut fields = Fields::of(&body).unwrap();
        assert_eq!(fields.given("bio", rule::text(0..=500)), Some(Given::Null));
        assert_eq!(fields.given("profilePicture", rule::https_url), Some(Given::Absent));
        assert_eq!(fields.optional::<ChatId>("chatId", rule::id), Some(None));
        assert_eq!(fields.required("chatId", rule::secret), None);
        assert!(fields.finish().is_err());
    }

    #[test]
    fn lengths_count_unicode_scalars() {
        let content = |text: &str| rule::content(&json!(text)).is_ok();
        assert!(content(&"😀".repeat(4096)));
        assert!(!content(&"😀".repeat(4097)));
        assert!(!content(&"a".repeat(4097)));
        assert!(!content(""));
        assert!(!content(" \t\n\u{3000}"));
        assert!(!content("a\0b"));
        assert!(content(" a "));
    }

    #[test]
    fn usernames() {
        for good in ["abc", "A.b-c_9", &"x".repeat(30)] {
            assert_eq!(rule::username(&json!(good)).as_deref(), Ok(good));
        }
        for bad in ["ab", &"x".repeat(31), "a b", "äbc", "a@b.c", "abc\n"] {
            assert!(rule::username(&json!(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn emails_are_lowered() {
        assert_eq!(rule::email(&json!("Ann@Example.ORG")).as_deref(), Ok("ann@example.org"));
        let long = format!("{}@example.org", "x".repeat(250));
        for bad in [
            "", "ann", "@b.c", "a@", "a@b", "a@b.", "a@.c", "a b@c.d", "a@b@c.d", "a@b.c\n", &long,
        ] {
            assert!(rule::email(&json!(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pictures_are_https_urls() {
        for good in [
            "https://example.org/a.png",
            "HTTPS://example.org",
            "https://[::1]:8/x?y#z",
        ] {
            assert_eq!(rule::https_url(&json!(good)).as_deref(), Ok(good));
        }
        let long = format!("https://example.org/{}", "x".repeat(2048));
        let bad = [
            "http://example.org",
            "https://",
            "https:example.org",
            "javascript:alert(1)",
            "/a.png",
            "https://a b/",
            " https://a.b/",
            "https://a.b/\n",
            &long,
        ];
        for bad in bad {
            assert!(rule::https_url(&json!(bad)).is_err(), "{bad:?}");
        }
    }
}
