//! Raw requests, and what holds for every answer.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chat_spec::Operation;
use http_body_util::{BodyExt as _, Full};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::body::Text;
use super::held;
use super::pace::Counted;
use super::transcript::{Party, Received, Sent, What};
use super::{Stop, World};

/// For how long a case asks again for what costs a hash, when the server is too busy for that.
const BUSY: Duration = Duration::from_secs(30);
/// Before each time.
pub(super) const PAUSE: Duration = Duration::from_millis(150);
/// However long the server says.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

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

/// Why there is no answer.
#[derive(Debug)]
enum Unanswered {
    /// It was not waited for any longer.
    HungUp,
    /// It never came, or not to its end.
    Lost(String),
}

impl Unanswered {
    fn why(&self) -> &str {
        match self {
            Self::HungUp => "the client hung up",
            Self::Lost(why) => why,
        }
    }
}

/// An origin that no list of a server names.
pub(crate) const FOREIGN: &str = "https://elsewhere.invalid";

/// Whether no list of a server names it: that one, what only begins as an allowed one does, and pages without an origin.
pub(crate) fn is_foreign(origin: &str) -> bool {
    origin == "null" || origin.ends_with("elsewhere.invalid")
}

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
    /// busy says nothing about the call. Of all else the target may say now and then that it cannot answer at the moment: it is asked
    /// again for as long as the case has patience, and then the 503 is the answer.
    pub async fn send(self) -> Result<Answer, Stop> {
        if !hashes(operation(&self.method, &self.path)) {
            return self.send_until_it_can_answer().await;
        }
        let (what, target) = (self.what(), self.world.target.clone());
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
        let what = self.what();
        match self.exchange().await {
            Err(Unanswered::HungUp) => Ok(None),
            answered => answered.map(Some).map_err(|why| unanswered(&what, &why)),
        }
    }

    /// Another server than the target may be one that a case has brought into trouble: its 503 is what the case wants to see.
    async fn send_until_it_can_answer(self) -> Result<Answer, Stop> {
        let world = self.world.clone();
        loop {
            let answer = self.clone().send_once().await?;
            let seconds = answer.header("retry-after").parse().ok();
            let may_ask_again = answer.status == 503 && world.target.has_node(&self.base);
            match seconds.filter(|_| may_ask_again) {
                Some(seconds) if world.waits_for_a_busy_server(answer.took, seconds).await => {}
                _ => return Ok(answer),
            }
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

    /// For reports: the call.
    fn what(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    async fn send_once(self) -> Result<Answer, Stop> {
        let what = self.what();
        self.exchange().await.map_err(|why| unanswered(&what, &why))
    }

    async fn exchange(self) -> Result<Answer, Unanswered> {
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
        let of_target = world.target.has_node(&base);
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
        let answered = fetch(request, hangs_up_after).await;
        let (status, got, body) = answered.inspect_err(|unanswered| {
            let why = unanswered.why().to_owned();
            world.transcript.add(&party, &server, What::Lost { exchange, why });
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
        let json = match body.is_utf8 {
            true => serde_json::from_str(&body.text).unwrap_or(Value::Null),
            // JSON is UTF-8.
            false => Value::Null,
        };
        let answer = Answer {
            status,
            headers: got,
            body: json,
            text: body.text,
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
            held::judge(&world, &method, &headers, &answer);
            held::documented(&world, &method, operation, &answer);
        }
        Ok(answer)
    }
}

fn unanswered(what: &str, why: &Unanswered) -> Stop {
    Stop::Inconclusive(format!("{what}: {}", why.why()))
}

/// Sends a request and reads the answer to its end, or hangs up.
async fn fetch(
    request: reqwest::RequestBuilder,
    hangs_up_after: Option<Duration>,
) -> Result<(u16, HeaderMap, Text), Unanswered> {
    let answered = async {
        let sent = request.send().await;
        let response = sent.map_err(|error| Unanswered::Lost(because(&error)))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = Text::of(response).await.map_err(Unanswered::Lost)?;
        Ok((status, headers, body))
    };
    match hangs_up_after {
        // A connection whose answer nobody takes is not used again: it is closed.
        Some(after) => tokio::select! {
            biased;
            answered = answered => answered,
            () = exactly(after) => Err(Unanswered::HungUp),
        },
        None => answered.await,
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

/// Whether the headers of an answer let pages of this origin call with their users' credentials.
pub(crate) fn lets_in(headers: &HeaderMap, origin: &str) -> bool {
    ["*", origin].contains(&header(headers, "access-control-allow-origin"))
        && header(headers, "access-control-allow-credentials") == "true"
}

/// The innermost reason, without the address: that is the target's.
pub(super) fn because(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

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

    /// Whether pages of this origin may call with their users' credentials, and read what is answered.
    pub fn lets_in(&self, origin: &str) -> bool {
        lets_in(&self.headers, origin)
    }

    /// A text at a JSON pointer; empty when it is not there.
    pub fn text_at(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::engine::Target;

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

    /// A server that gives these answers one after the other, and the last one ever after.
    async fn answering(answers: &'static [&'static [u8]]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut answers = answers.iter().peekable();
            while let Ok((mut connection, _)) = listener.accept().await {
                let answer = match answers.len() {
                    1 => answers.peek().copied(),
                    _ => answers.next(),
                };
                let _ = connection.read(&mut [0; 4096]).await;
                let _ = connection.write_all(answer.copied().unwrap_or_default()).await;
            }
        });
        base
    }

    const BUSY_NOW: &[u8] = b"HTTP/1.1 503 X\r\nretry-after: 0\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    const BROKEN: &[u8] = b"HTTP/1.1 503 X\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    const LATIN1: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{\"a\":\"\xe4\"}";

    async fn status_at(base: &str, target: &str) -> u16 {
        let world = World::new(Target::new(target, None).unwrap(), 1);
        let asked = world.request_to(base, "GET", "/api/users/online");
        asked.send().await.unwrap().status
    }

    #[tokio::test]
    async fn a_target_that_cannot_answer_now_is_asked_again() {
        let base = answering(&[BUSY_NOW, BUSY_NOW, GOOD]).await;
        assert_eq!(status_at(&base, &base).await, 200);
        // Without a time at which to ask again, or from a server that a case has brought into trouble, it is the answer.
        let base = answering(&[BROKEN, GOOD]).await;
        assert_eq!(status_at(&base, &base).await, 503);
        let base = answering(&[BUSY_NOW, GOOD]).await;
        assert_eq!(status_at(&base, "http://127.0.0.1:1").await, 503);
    }

    #[tokio::test]
    async fn a_server_that_never_answers_uses_up_the_patience_of_a_case_once() {
        let base = answering(&[BUSY_NOW]).await;
        let world = World::new(Target::new(&base, None).unwrap(), 1);
        assert!(world.waits_for_a_busy_server(super::super::world::BUSY, 0).await);
        let answer = world.request("GET", "/api/users/online").send().await.unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(
            world.take_transcript().entries.len(),
            2 + world.take_tally().failures.len()
        );
    }

    #[tokio::test]
    async fn what_is_no_utf8_is_no_json() {
        let base = answering(&[LATIN1]).await;
        let world = World::new(Target::new(&base, None).unwrap(), 1);
        let answer = world.request("GET", "/api/users/online").send().await.unwrap();
        assert_eq!(answer.body, Value::Null);
        let failed = |id: &str| {
            world
                .take_tally()
                .failures
                .iter()
                .any(|failure| failure.requirement.id == id)
        };
        assert!(failed("json.response.content-type"));
    }

    #[tokio::test]
    async fn nobody_is_waited_for_who_is_hung_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let world = World::new(Target::new(&base, None).unwrap(), 1);
        let asked = world.request("GET", "/api/users/online");
        let answer = asked.hang_up_after(Duration::from_millis(20)).await.unwrap();
        assert!(answer.is_none());
    }
}
