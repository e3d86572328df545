//! Who may call: the rate limit first, then the token.

use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use chat_protocol::ErrorCode;

use crate::app::App;
use crate::chat::sessions::Caller;
use crate::cluster::limits::{Key, Quota, Verdict};
use crate::peer::Peer;
use crate::{Error, Result};

/// What is left after this request: set by admission, shown by the envelope.
#[derive(Debug, Clone, Default)]
pub struct QuotaSlot(pub Arc<OnceLock<Quota>>);

/// A call without a token that is counted by address in the stricter bucket.
#[derive(Debug, Clone, Copy)]
pub struct AtTheDoor;

impl FromRequestParts<App> for AtTheDoor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let verdict = app.limits.check_auth(Key::address(Peer::noted(parts).0)).await;
        note(parts, verdict)?;
        Ok(Self)
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let caller = match bearer(parts) {
            Ok(token) => app.chat.authenticate(token).await,
            Err(error) => Err(error),
        };
        let key = match &caller {
            Ok(caller) if !fault!(LimitsByAddress) => Key::User(caller.user.clone()),
            _ => Key::address(Peer::noted(parts).0),
        };
        // Over the limit wins over a bad token.
        note(parts, app.limits.requests.check(key))?;
        caller
    }
}

fn note(parts: &Parts, verdict: Verdict) -> Result<()> {
    if let Some(slot) = parts.extensions.get::<QuotaSlot>() {
        // Counted once per request, so the slot is empty.
        let _ = slot.0.set(verdict.quota);
    }
    match verdict.allowed {
        true => Ok(()),
        false => Err(Error::rate_limited(verdict.quota.reset_seconds())),
    }
}

/// The token of `Authorization: Bearer …`.
fn bearer(parts: &Parts) -> Result<&str> {
    let missing = || Error::code(ErrorCode::TokenMissing);
    if fault!(TokenInUrl)
        && let Some((_, token)) = parts.uri.query().and_then(|query| query.split_once("token="))
    {
        return Ok(token.split('&').next().unwrap_or_default());
    }
    let Some(header) = parts.headers.get(AUTHORIZATION) else {
        return Err(missing());
    };
    // What is not ASCII cannot be a token of ours, nor another scheme's name.
    let header = header.to_str().map_err(|_| Error::code(ErrorCode::TokenInvalid))?;
    let (scheme, token) = header.split_once(' ').ok_or_else(missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing());
    }
    Ok(token)
}
