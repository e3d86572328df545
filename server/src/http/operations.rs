//! What the operator asks: outside the contract.

use axum::Json;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chat_protocol::ErrorCode;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::config::Secret;
use crate::{Error, Result};

/// The process runs.
pub async fn health() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// The store answers and the server takes work. A node that cannot reach the others serves its own devices: it is ready, and
/// says what it lacks.
pub async fn ready(app: State<App>) -> Response {
    let stored = app.store.check().await;
    if let Err(error) = &stored {
        tracing::warn!(%error, "not ready");
    }
    let store = if stored.is_ok() { "ok" } else { "unavailable" };
    let (status, text) = match (stored.is_ok(), app.is_draining()) {
        (true, false) => (StatusCode::OK, "ready"),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let apart = app.cluster.as_ref().is_some_and(|cluster| !cluster.is_up());
    let degraded: &[&str] = if apart { &["redis"] } else { &[] };
    let body = json!({"status": text, "store": store, "degraded": degraded});
    (status, Json(body)).into_response()
}

/// `/metrics` on the main listener: only with the token, and not at all without one.
pub async fn guarded_metrics(app: State<App>, headers: HeaderMap) -> Result<Response> {
    let Some(Secret(token)) = &app.config.metrics_token else {
        return Err(Error::code(ErrorCode::NotFound));
    };
    let sent = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    // Hashes of equal length: comparing them tells nothing about the token.
    let same = sent.is_some_and(|sent| Sha256::digest(sent) == Sha256::digest(token));
    if !same {
        return Err(Error::code(if sent.is_some() {
            ErrorCode::TokenInvalid
        } else {
            ErrorCode::TokenMissing
        }));
    }
    metrics(app).await
}

/// Every metric, in the text format of OpenMetrics.
pub async fn metrics(app: State<App>) -> Result<Response> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &app.metrics_registry).map_err(Error::internal)?;
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, format)], text).into_response())
}
