//! What every response carries: the request id, the security headers, the error body, the quota; and the log line.

use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, HeaderName, HeaderValue, ORIGIN,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::admission::QuotaSlot;
use super::drain::drained;
use crate::Error;
use crate::app::App;
use crate::cluster::limits::{Key, Quota};
use crate::metrics::RequestLabels;
use crate::peer::Peer;

/// The operation that a request was for; noted on its response.
#[derive(Debug, Clone, Copy)]
pub struct OperationId(pub &'static str);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// As Helmet sets them.
const SECURITY: [(&str, &str); 12] = [
    (
        "content-security-policy",
        "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-dns-prefetch-control", "off"),
    ("x-download-options", "noopen"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
];

impl IntoResponse for Error {
    /// The body is written by [`envelope`], which knows the request id.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The outermost layer.
pub async fn envelope(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&app, request.headers());
    let peer = Peer::of(request.extensions(), request.headers(), &app.config.trusted_proxies);
    let slot = QuotaSlot::default();
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(slot.clone());
    let method = request.method().clone();
    let let_in = fault!(CallsLetForeignersIn)
        .then(|| request.headers().get(ORIGIN).cloned())
        .flatten();
    let is_api = request.uri().path().starts_with("/api/") || request.uri().path() == "/api";
    let request = request.map(drained);
    let busy = is_api.then(|| app.begin_request());
    let mut response = next.run(request).await;
    drop(busy);
    let error = response.extensions_mut().remove::<Error>();
    if let Some(error) = &error {
        response = refusal(error, &id, response);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in SECURITY {
        headers
            .entry(HeaderName::from_static(name))
            .or_insert(HeaderValue::from_static(value));
    }
    if let Some(origin) = let_in.filter(|_| method != Method::OPTIONS) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if is_api {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let unmatched = || app.limits.requests.peek(&Key::address(peer.0));
        show_quota(headers, slot.0.get().copied().unwrap_or_else(unmatched));
    }
    if let Some(OperationId(operation)) = response.extensions().get().copied() {
        let code = error
            .as_ref()
            .map_or_else(|| "ok".to_owned(), |error| error.kind().to_string());
        let status = response.status().as_u16();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id = id,
                    operation,
                    %method,
                    status,
                    code,
                    duration_ms = started.elapsed().as_secs_f64() * 1000.0,
                    cause = error.as_ref().and_then(Error::cause),
                    "request"
                )
            };
        }
        // What is our fault is also told where only warnings are.
        if error.as_ref().is_some_and(Error::is_ours) {
            line!(warn);
        } else {
            line!(info);
        }
        let labels = RequestLabels {
            operation,
            status,
            code,
        };
        let histogram = app.metrics.requests.get_or_create(&labels);
        histogram.observe(started.elapsed().as_secs_f64());
    }
    response
}

/// One that was sent and is well-formed, else a new one.
fn request_id(app: &App, headers: &HeaderMap) -> String {
    let fits = |c: char| fault!(AnyRequestId) || c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let good = sent.filter(|id| (1..=128).contains(&id.len()) && id.chars().all(fits));
    good.map_or_else(|| app.chat.ids.hex(), Into::into)
}

fn refusal(error: &Error, id: &str, bare: Response) -> Response {
    let mut response = (error.status(), Json(error.to_api(Some(id)))).into_response();
    // What the router noted on it, such as Allow.
    for (name, value) in bare.headers() {
        if name != "content-length" && name != "content-type" {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
    *response.extensions_mut() = bare.extensions().clone();
    if error.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// `RateLimit` and `RateLimit-Policy` as structured fields. A limit that is off is a policy without a quota to show.
fn show_quota(headers: &mut HeaderMap, quota: Quota) {
    let window = quota.window.as_secs().max(1);
    let (limit, left) = match quota.limit {
        0 => (u32::MAX, u32::MAX),
        limit => (limit, quota.remaining),
    };
    let fields = [
        ("ratelimit-policy", format!("\"default\";q={limit};w={window}")),
        ("ratelimit", format!("\"default\";r={left};t={}", quota.reset_seconds())),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
