//! Calls, and answers that are checked for what every answer must have.

use std::collections::BTreeSet;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// Somebody who calls, with or without a token.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    headers: HeaderMap,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null when there is no body.
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            base: base.into(),
            token: None,
            headers: HeaderMap::new(),
        }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().unwrap()
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.into()),
            ..self.clone()
        }
    }

    /// Sends this header with everything.
    pub(crate) fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        client.headers.insert(name, value);
        client
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// Without a body.
    pub(crate) async fn call(&self, method: Method, path: &str) -> Answer {
        Answer::to(self.request(method, path)).await
    }

    /// To be completed.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .headers(self.headers.clone());
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let is_json = headers.get("content-type").is_some_and(|v| v == "application/json");
        let body = match is_json && !text.is_empty() {
            true => serde_json::from_str(&text).unwrap(),
            false => Value::Null,
        };
        let answer = Self {
            status,
            headers,
            text,
            body,
        };
        answer.has_what_every_answer_has();
        answer
    }

    fn has_what_every_answer_has(&self) {
        let id = self.header("x-request-id").unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!((1..=128).contains(&id.len()) && id.chars().all(fits), "{self:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{self:?}");
        assert_eq!(self.header("x-powered-by"), None);
        let digits = |server: &str| server.contains(|c: char| c.is_ascii_digit());
        assert!(!self.header("server").is_some_and(digits), "{self:?}");
        if self.status >= 400 && !self.text.is_empty() {
            assert_eq!(self.body["requestId"], id, "{self:?}");
            assert!(self.body["message"].as_str().is_some_and(|text| !text.is_empty()));
            let known = ["message", "code", "details", "requestId", "retryAfter"];
            let keys = self.keys();
            assert!(keys.iter().all(|key| known.contains(&key.as_str())), "{self:?}");
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body, when the status is this one.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    /// Asserts a refusal.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.code()), (status, code), "{self:?}");
        self
    }

    /// Asserts a refusal for exactly these fields, each named once.
    #[track_caller]
    pub(crate) fn refused_for(&self, fields: &[&str]) -> &Self {
        self.refused(400, "VALIDATION_ERROR");
        let details = self.body["details"].as_array().unwrap();
        let mut named: Vec<&str> = details.iter().map(|d| d["field"].as_str().unwrap()).collect();
        assert!(
            details
                .iter()
                .all(|d| d["message"].as_str().is_some_and(|m| !m.is_empty()))
        );
        named.sort_unstable();
        let mut expected = fields.to_vec();
        expected.sort_unstable();
        assert_eq!(named, expected, "{self:?}");
        self
    }

    /// The error code, or nothing.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn keys(&self) -> BTreeSet<String> {
        keys(&self.body)
    }
}

/// The names in an object.
pub(crate) fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

/// A set of names to compare [`keys`] with.
pub(crate) fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).into()).collect()
}

/// `path?name=value&…`, encoded.
pub(crate) fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let encoded = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    format!("{path}?{encoded}")
}

/// The strings at `key` of every item of a page.
pub(crate) fn each<'a>(page: &'a Value, key: &str) -> Vec<&'a str> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item[key].as_str().unwrap()).collect()
}
