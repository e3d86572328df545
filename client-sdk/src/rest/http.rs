//! One request over HTTP, without repeating anything.

use std::time::Duration;

use chat_protocol::ApiError;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::call::Call;
use crate::{Error, ErrorKind, Result};

/// The largest page has 100 messages of 4,096 characters, all of them escaped; anything beyond this is no server of ours.
const LARGEST_ANSWER: usize = 16 << 20;

/// Where the server is, and how to talk to it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: Url,
    within: Duration,
}

impl Http {
    pub(crate) fn new(client: reqwest::Client, address: &str, within: Duration) -> Result<Self> {
        let wrong = |why: &'static str| Error::new(ErrorKind::Config, why);
        let mut base = Url::parse(address).map_err(|error| wrong("the address is no URL").because(error))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(wrong("the address is neither http nor https"));
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        Ok(Self { client, base, within })
    }

    pub(crate) fn address(&self) -> &str {
        self.base.as_str()
    }

    /// The body of a good answer. The error says whether it may be tried again.
    pub(crate) async fn send(&self, call: &Call, token: Option<&SecretString>) -> Result<Vec<u8>> {
        let wrong = |error: url::ParseError| Error::new(ErrorKind::Config, "no URL").because(error);
        let mut url = self.base.join(&call.path).map_err(wrong)?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.client.request(call.method.clone(), url).timeout(self.within);
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, bearer(token)?);
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let body = body(response).await?;
        if status.is_success() {
            return Ok(body);
        }
        // A proxy before the server has errors of its own.
        match serde_json::from_slice::<ApiError>(&body) {
            Ok(api) => Err(Error::refused(api).retry_in(retry_after)),
            Err(_) => {
                let (kind, what) = match status {
                    StatusCode::SERVICE_UNAVAILABLE => (ErrorKind::Network, "the server cannot be reached"),
                    // It may have been reached, and have done it.
                    StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
                        (ErrorKind::Disconnected, "the server's answer did not come through")
                    }
                    _ => (ErrorKind::Protocol, "an answer that is not of this API"),
                };
                let what = format!("{what}: status {}", status.as_u16());
                Err(Error::new(kind, what).retry_in(retry_after))
            }
        }
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue> {
    let header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
    let mut header = header.map_err(|_| Error::new(ErrorKind::Config, "a token that no header can carry"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Seconds, as the contract has it.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn body(mut response: Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(Error::new(ErrorKind::Protocol, "an answer that does not end"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Only what could not be connected was surely not done.
fn failed(error: reqwest::Error) -> Error {
    // The address may be anybody's business.
    let error = error.without_url();
    let (kind, what) = if error.is_connect() {
        (ErrorKind::Network, "the server cannot be reached")
    } else if error.is_timeout() {
        (ErrorKind::Timeout, "no answer in time")
    } else if error.is_builder() {
        (ErrorKind::Config, "no request can be made of this")
    } else {
        (ErrorKind::Disconnected, "the connection broke before the answer")
    };
    Error::new(kind, what).because(error)
}
