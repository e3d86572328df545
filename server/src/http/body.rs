//! The JSON body of a request: size, content type, JSON, in the contract's order.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use chat_protocol::ErrorCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;

use crate::app::App;
use crate::{Error, Result};

/// Bytes.
const MAX_BODY: usize = 64 * 1024;

/// Any JSON; null when the body is missing, so that the fields are what is complained about.
#[derive(Debug)]
pub struct JsonBody(pub Value);

impl FromRequest<App> for JsonBody {
    type Rejection = Error;

    async fn from_request(request: Request, _: &App) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let declared = parts
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: u64| length > MAX_BODY as u64) {
            return Err(Error::code(ErrorCode::PayloadTooLarge));
        }
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(Self(Value::Null));
        }
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(is_json) {
            return Err(Error::code(ErrorCode::UnsupportedMediaType));
        }
        let json = serde_json::from_slice(&bytes);
        json.map(Self).map_err(|_| Error::code(ErrorCode::MalformedJson))
    }
}

async fn read(body: Body) -> Result<bytes::Bytes> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::code(ErrorCode::PayloadTooLarge)),
        // A broken transfer: nobody is there to read the answer.
        Err(_) => Err(Error::code(ErrorCode::MalformedJson)),
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}
