//! Raw requests, and what holds for every answer.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chat_spec::{Operation, req};
use http_body_util::{BodyExt as _, Full};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::pace::Counted;
use super::transcript::{Party, Received, Sent, What};
use super::{Stop, World};

/// For how long a case asks a busy server again.
const BUSY: Duration = Duration::from_secs(30);
/// Before each time.
const PAUSE: Duration = Duration::from_millis(150);
/// Why a request was not answered that was not waited for.
const HUNG_UP: &str = "the client hung up";
/// However long the server says.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A request that is being put together; `send` sends it.
#[must_use = "it is sent by `send`"]
#[derive(Clone)]
pub struct Request {
    world: World,
    party: Party,
    base: String,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    chunked: bool,
    at_once: bool,
    hangs_up_after: Option<Duration>,
}

/// What came back.
#[must_use = "a step that failed must not become a judgement of what comes after it: `.succeeded()?`"]
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null when there is none, or it is not JSON.
    pub body: Value,
    pub text: String,
    /// From the moment it was asked, after whatever it had to wait for.
    pub took: Duration,
}

/// An origin that no list of a server names.
pub(crate) const FOREIGN: &str = "https://elsewhere.invalid";

/// For a part of a path or a query.
pub(crate) fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Whether a call costs the hashing of a password.
fn hashes(operation: Option<Operation>) -> bool {
    matches!(
        operation,
        Some(Operation::Register | Operation::Login | Operation::ChangePassword)
    )
}

impl World {
    /// A request to the target.
    pub fn request(&self, method: &str, path: &str) -> Request {
        self.request_to(&self.target.base, method, path)
    }

    /// What a browser asks the target before a page of this origin may make a call.
    pub fn cors_preflight(&self, path: &str, method: &str, origin: &str) -> Request {
        self.request("OPTIONS", path)
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "authorization,content-type")
    }

    /// A request to another server.
    pub fn request_to(&self, base: &str, method: &str, path: &str) -> Request {
        Request {
            world: self.clone(),
            party: Party::guest(),
            base: base.to_owned(),
            method: Method::from_str(method).unwrap_or(Method::GET),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: None,
            chunked: false,
            at_once: false,
            hangs_up_after: None,
        }
    }
}

impl Request {
    /// Says who asks, for the report.
    pub(super) fn by(mut self, party: Party) -> Self {
        self.party = party;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_bytes(value.as_bytes())) {
            self.headers.append(name, value);
        }
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        let text = body.to_string();
        self.header(CONTENT_TYPE.as_str(), "application/json").raw(text)
    }

    /// A body without a content type.
    pub fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends the body without saying how long it is.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Does not wait for a limit of the target, but is counted.
    pub(super) fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// Sends it, and again while the server is too busy to hash a password, which is slow on purpose: a 503 says so. One that stays
    /// busy says nothing about the call.
    pub async fn send(self) -> Result<Answer, Stop> {
        if !hashes(operation(&self.method, &self.path)) {
            return self.send_once().await;
        }
        let (what, target) = (format!("{} {}", self.method, self.path), self.world.target.clone());
        let answer = self.send_patiently(BUSY).await?;
        match answer.status {
            503 => {
                target.pulse.answered(503);
                Err(Stop::Inconclusive(format!("{what} stayed unavailable")))
            }
            _ => Ok(answer),
        }
    }

    /// Sends it and ends its connection after so long, unless it is answered before. Whether it is done, nobody knows then.
    pub async fn hang_up_after(mut self, patience: Duration) -> Result<Option<Answer>, Stop> {
        self.hangs_up_after = Some(patience);
        match self.send_once().await {
            Err(Stop::Inconclusive(why)) if why.ends_with(HUNG_UP) => Ok(None),
            answered => answered.map(Some),
        }
    }

    /// Sends it again for so long while the answer is 503; the last answer. Waiting for a limit of the target does not count.
    pub(super) async fn send_patiently(self, patience: Duration) -> Result<Answer, Stop> {
        let (began, waited) = (Instant::now(), self.world.waited());
        loop {
            let answer = self.clone().send_once().await?;
            let waited = self.world.waited().saturating_sub(waited);
            if answer.status != 503 || began.elapsed() > patience + waited {
                return Ok(answer);
            }
            let asked = answer.header("retry-after").parse().map(Duration::from_secs);
            tokio::time::sleep(asked.unwrap_or_default().clamp(PAUSE, LONGEST_PAUSE)).await;
        }
    }

    async fn send_once(self) -> Result<Answer, Stop> {
        let Self {
            world,
            party,
            base,
            method,
            path,
            headers,
            body,
            chunked,
            at_once,
            hangs_up_after,
        } = self;
        let server: Arc<str> = base.as_str().into();
        let operation = operation(&method, &path);
        let of_target = world.target.nodes.contains(&base);
        let counted = Counted::of(operation, headers.contains_key(AUTHORIZATION));
        if path.starts_with("/api/") && of_target {
            match at_once {
                true => world.target.pace.spent(counted, 1),
                false => world.wait_for_limits(counted).await,
            }
        }
        let exchange = world.number();
        let body = body.map(Bytes::from);
        let sent = Sent {
            exchange,
            operation,
            method: method.to_string(),
            path: path.clone(),
            headers: headers.clone(),
            body: body.clone(),
        };
        world.transcript.add(&party, &server, What::Request(sent));
        let began = Instant::now();
        let mut request = world
            .target
            .http_of(&base)
            .request(method.clone(), format!("{base}{path}"))
            .headers(headers.clone());
        if let Some(body) = body {
            // A body that went through a function has no length that is known beforehand.
            request = match chunked {
                true => request.body(reqwest::Body::wrap(Full::new(body).map_frame(|frame| frame))),
                false => request.body(body),
            };
        }
        let answered = async {
            let response = request.send().await?;
            let (status, got) = (response.status().as_u16(), response.headers().clone());
            Ok((status, got, response.text().await?))
        };
        let answered = async {
            let answered = async { answered.await.map_err(|error: reqwest::Error| because(&error)) };
            match hangs_up_after {
                // A connection whose answer nobody takes is not used again: it is closed.
                Some(after) => tokio::select! {
                    biased;
                    answered = answered => answered,
                    () = exactly(after) => Err(HUNG_UP.to_owned()),
                },
                None => answered.await,
            }
        };
        let (status, got, text) = answered.await.map_err(|why| {
            let lost = What::Lost {
                exchange,
                why: why.clone(),
            };
            world.transcript.add(&party, &server, lost);
            Stop::Inconclusive(format!("{method} {path}: {why}"))
        })?;
        if of_target {
            // Whoever is too busy to hash is asked again: until then it is no failure.
            if status != 503 || !hashes(operation) {
                world.target.pulse.answered(status);
            }
            if status == 401 && counted == Counted::User {
                // By its address after all.
                world.target.pace.spent(Counted::Guest, 1);
            }
        }
        let answer = Answer {
            status,
            headers: got,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
            took: began.elapsed(),
        };
        let received = Received {
            exchange,
            operation,
            method: method.to_string(),
            status,
            headers: answer.headers.clone(),
            text: answer.text.as_str().into(),
            body: answer.body.clone(),
            took: answer.took,
        };
        world.transcript.add(&party, &server, What::Response(received));
        if path.starts_with("/api/") && method != Method::OPTIONS {
            hold(&world, &method, &headers, &answer);
            documented(&world, &method, operation, &answer);
        }
        Ok(answer)
    }
}

/// Waits for so long, to the microsecond: what a quick server needs for an answer is less than timers tell apart.
async fn exactly(so_long: Duration) {
    let began = Instant::now();
    while began.elapsed() < so_long {
        tokio::task::yield_now().await;
    }
}

/// The value of a header; empty when there is none.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// The innermost reason, without the address: that is the target's.
pub(super) fn because(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

/// What holds for every answer below `/api`.
fn hold(world: &World, method: &Method, sent: &HeaderMap, answer: &Answer) {
    let Answer { status, body, text, .. } = answer;
    let header = |name: &str| answer.header(name);
    if !text.is_empty() {
        let typed = header("content-type").starts_with("application/json") && !body.is_null();
        world.check(
            &req::JSON_RESPONSE_CONTENT_TYPE,
            typed,
            "application/json and JSON",
            header("content-type"),
        );
    }
    let id = header("x-request-id");
    let good = |id: &str| {
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    world.check(&req::HEADERS_REQUEST_ID_ALWAYS, good(id), "X-Request-Id", id);
    world.check(
        &req::HEADERS_SECURITY_NOSNIFF,
        header("x-content-type-options") == "nosniff",
        "nosniff",
        header("x-content-type-options"),
    );
    world.check(
        &req::HEADERS_SECURITY_NO_POWERED_BY,
        header("x-powered-by").is_empty(),
        "no X-Powered-By",
        header("x-powered-by"),
    );
    world.check(
        &req::HEADERS_SECURITY_NO_VERSION,
        !header("server").bytes().any(|b| b.is_ascii_digit()),
        "no version",
        header("server"),
    );
    let limits = !header("ratelimit").is_empty() && !header("ratelimit-policy").is_empty();
    world.check(
        &req::LIMITS_HEADERS_EVERYWHERE,
        limits,
        "RateLimit and RateLimit-Policy",
        header("ratelimit"),
    );
    world.check(
        &req::ERRORS_HOSTILE_NO_5XX,
        *status < 500 || *status == 503,
        "no 5xx",
        status,
    );
    if *status < 400 || *method == Method::HEAD {
        return;
    }
    world.shaped(&req::ERRORS_SHAPE_REST, "Error", body);
    if let Some(in_body) = body["requestId"].as_str() {
        world.check(&req::HEADERS_REQUEST_ID_EQUALS_BODY, in_body == id, id, in_body);
    }
    if *status == 401 {
        let challenge = header("www-authenticate");
        world.check(
            &req::TOKEN_CHALLENGE_BEARER,
            challenge.starts_with("Bearer"),
            "WWW-Authenticate: Bearer",
            challenge,
        );
    }
    if matches!(status, 429 | 503) {
        let seconds = header("retry-after").parse::<u64>().ok();
        world.check(
            &req::ERRORS_RETRY_AFTER_SECONDS,
            seconds.is_some() && (body["retryAfter"].is_null() || body["retryAfter"].as_u64() == seconds),
            "Retry-After in seconds, and retryAfter the same",
            format!("{} and {}", header("retry-after"), body["retryAfter"]),
        );
    }
    if *status >= 500 {
        let code = if *status == 503 {
            "SERVICE_UNAVAILABLE"
        } else {
            "INTERNAL_ERROR"
        };
        world.check(&req::ERRORS_SERVER_CODE, answer.code() == code, code, answer.code());
    }
    if *status == 503 {
        let seconds = header("retry-after").parse::<u64>().ok();
        world.check(
            &req::ERRORS_UNAVAILABLE_RETRY_AFTER,
            seconds.is_some() && body["retryAfter"].is_u64(),
            "Retry-After and retryAfter",
            format!("{} and {}", header("retry-after"), body["retryAfter"]),
        );
    }
    let secret = sent
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(token) = secret.filter(|token| token.len() > 8) {
        world.check(
            &req::ERRORS_DETAILS_NO_ECHO,
            !text.contains(token),
            "no token in the answer",
            "the token",
        );
    }
}

/// What the API documents say of the call's answers.
fn documented(world: &World, method: &Method, operation: Option<Operation>, answer: &Answer) {
    let Some(operation) = operation else {
        return;
    };
    if answer.status >= 400 && *method != Method::HEAD {
        let codes = operation.response(answer.status).map_or(&[][..], |known| known.codes);
        world.check(
            &req::ERRORS_CODE_KNOWN,
            codes.contains(&answer.code()),
            format!("{operation} {}: one of {codes:?}", answer.status),
            answer.code(),
        );
    }
    let is_list = LISTS.contains(&operation);
    if is_list && answer.status == 200 && *method != Method::HEAD {
        let cursor = answer.body.get("nextCursor");
        world.check(
            &req::LISTS_SHAPE_PAGE,
            answer.body["items"].is_array() && cursor.is_some_and(|cursor| cursor.is_null() || cursor.is_string()),
            "items and nextCursor",
            &answer.text,
        );
    }
}

const LISTS: [Operation; 5] = [
    Operation::GetConversation,
    Operation::ListChats,
    Operation::SearchMessages,
    Operation::ListOnlineUsers,
    Operation::SearchUsers,
];

/// The call that this is; a path without parameters is meant before one with them.
pub fn operation(method: &Method, path: &str) -> Option<Operation> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let method = if *method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let fits = |operation: &Operation| {
        let (known, asked) = (operation.path().split('/'), path.split('/'));
        operation.method() == method
            && known.clone().count() == asked.clone().count()
            && known
                .zip(asked)
                .all(|(known, asked)| known == asked || known.starts_with('{'))
    };
    // A path without parameters is meant by every method, also by one that only a path with parameters has.
    let literal = |operation: &Operation| operation.path() == path;
    let is_literal = Operation::ALL.iter().any(literal);
    let fitting = (Operation::ALL.iter().copied().filter(fits)).filter(|operation| !is_literal || literal(operation));
    fitting.min_by_key(|operation| operation.path().matches('{').count())
}

/// Whether a list such as `Cache-Control` has this word, whatever else it has.
pub(crate) fn has_directive(list: &str, wanted: &str) -> bool {
    list.split(',').any(|word| word.trim().eq_ignore_ascii_case(wanted))
}

impl Answer {
    /// A step before the judgement: when it was refused, nothing can be said of what comes after.
    pub fn succeeded(&self) -> Result<(), Stop> {
        match self.status {
            200..300 => Ok(()),
            status => Err(Stop::Inconclusive(format!(
                "a request before the judgement was answered {status} {}",
                self.code()
            ))),
        }
    }

    /// The same answer when it [succeeded](Self::succeeded): a refusal has none of the values that are read from it.
    pub fn good(self) -> Result<Self, Stop> {
        self.succeeded()?;
        Ok(self)
    }

    /// Empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }

    /// The error code; empty on success.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Whether nobody may keep it.
    pub fn may_not_be_stored(&self) -> bool {
        has_directive(self.header("cache-control"), "no-store")
    }

    /// The fields that the details name.
    pub fn details(&self) -> Vec<&str> {
        let details = self.body["details"].as_array().into_iter().flatten();
        details.filter_map(|detail| detail["field"].as_str()).collect()
    }

    /// The items of a page. A refusal has none, which would look as if nothing were found.
    pub fn items(&self) -> Result<&[Value], Stop> {
        self.succeeded()?;
        let items = self.body["items"].as_array().map(Vec::as_slice);
        items.ok_or_else(|| Stop::Inconclusive("a list was answered without items".into()))
    }

    /// Where the next page of a list begins, as it stands in a URL; none after the last one.
    pub fn cursor(&self) -> Option<String> {
        self.body["nextCursor"].as_str().map(escaped)
    }

    /// Of a CORS preflight: whether pages of this origin may call with their users' credentials.
    pub fn lets_in(&self, origin: &str) -> bool {
        ["*", origin].contains(&self.header("access-control-allow-origin"))
            && self.header("access-control-allow-credentials") == "true"
    }

    /// A text at a JSON pointer; empty when it is not there.
    pub fn text_at(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_call() {
        for (method, path, id) in [
            ("GET", "/api/users/online?limit=5", Some("listOnlineUsers")),
            ("HEAD", "/api/users/abc", Some("getUser")),
            ("PUT", "/api/messages/abc", Some("editMessage")),
            ("GET", "/api/messages/abc", None),
            ("GET", "/api/users/a/b", None),
            ("POST", "/api/auth/login/", None),
            ("PUT", "/api/messages/send", None),
        ] {
            let found = operation(&method.parse().unwrap(), path);
            assert_eq!(found.map(Operation::id), id, "{method} {path}");
        }
    }
}
