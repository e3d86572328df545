//! Query strings, by the same rules as fields.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use chat_protocol::FieldError;

use crate::app::App;
use crate::{Error, Result};

/// The parameters under examination. Of a parameter that comes twice, the first counts.
#[derive(Debug)]
pub struct Params {
    pairs: Vec<(String, String)>,
    bad: Vec<FieldError>,
}

/// The id in a path. What cannot be decoded is the empty id, which nobody has.
#[derive(Debug)]
pub struct IdInPath(pub String);

impl FromRequestParts<App> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, app).await;
        let Query(pairs) = query.map_err(|_| Error::invalid("query", "must be a query string"))?;
        Ok(Self { pairs, bad: Vec::new() })
    }
}

impl FromRequestParts<App> for IdInPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let id = Path::<String>::from_request_parts(parts, app).await;
        if fault!(MalformedIdFails)
            && !id
                .as_ref()
                .is_ok_and(|Path(id)| id.bytes().all(|b| b.is_ascii_alphanumeric()))
        {
            return Err(Error::internal("no ObjectId"));
        }
        Ok(Self(id.map_or_else(|_| String::new(), |Path(id)| id)))
    }
}

impl Params {
    /// `limit`, from 1 to `max`.
    pub fn limit(&mut self, default: usize, max: usize) -> usize {
        let default = if fault!(OwnDefaultLimit) { 10 } else { default };
        let Some(text) = self.get("limit") else { return default };
        if fault!(LimitClamped) {
            return text.parse().map_or(default, |limit: usize| limit.clamp(1, max));
        }
        let number = Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        match number
            .and_then(|text| text.parse().ok())
            .filter(|limit| (1..=max).contains(limit))
        {
            Some(limit) => limit,
            None => {
                self.note("limit", format!("must be a whole number from 1 to {max}"));
                default
            }
        }
    }

    pub fn cursor(&self) -> Option<String> {
        self.get("cursor").map(Into::into)
    }

    /// `after`: a seq.
    pub fn after(&mut self) -> Option<u64> {
        let text = self.get("after")?;
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // A number that is too large for a seq is after every seq.
        let seq = is_number.then(|| text.parse().unwrap_or(u64::MAX));
        if seq.is_none() {
            self.note("after", "must be a whole number from 0".into());
        }
        seq
    }

    /// A text of 1 to `max` characters.
    pub fn text(&mut self, name: &str, max: usize) -> String {
        let text = self.get(name).unwrap_or_default().to_owned();
        if !(1..=max).contains(&text.chars().count()) {
            self.note(name, format!("must be 1 to {max} characters"));
        }
        text
    }

    pub fn optional(&self, name: &str) -> Option<String> {
        self.get(name).map(Into::into)
    }

    /// `VALIDATION_ERROR` if anything was bad.
    pub fn finish(self) -> Result<()> {
        match self.bad.is_empty() {
            true => Ok(()),
            false => Err(Error::validation(self.bad)),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn note(&mut self, field: &str, message: String) {
        self.bad.push(FieldError {
            field: field.into(),
            message,
        });
    }
}
