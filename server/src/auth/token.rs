//! Access and refresh tokens: JWTs that only this server reads.
//!
//! Both are HS256 and nothing else, each with a secret of its own and its kind in `typ`, so that neither can stand in for
//! the other. What a token says is checked against the session elsewhere; here is only what the token alone can tell.

use std::time::Duration;

use chat_protocol::{ErrorCode, Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::config::{Config, TokenConfig};
use crate::store::SessionId;
use crate::{Error, Result};

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub user: UserId,
    pub session: SessionId,
    /// Of the session when the token was made.
    pub generation: u32,
    /// Which refresh token of the session; 0 in an access token.
    pub refresh_number: u32,
    pub expires_at: Timestamp,
}

/// Makes tokens and reads them. Does not print its secrets.
#[derive(Clone)]
pub struct Tokens {
    access: Kind,
    refresh: Kind,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Kind {
    typ: &'static str,
    lifetime: Duration,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

/// As in the token. Times are NumericDates with milliseconds as their fraction.
#[derive(Serialize, Deserialize)]
struct Body {
    sub: UserId,
    sid: SessionId,
    #[serde(rename = "gen")]
    generation: u32,
    typ: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num: Option<u32>,
    iat: f64,
    exp: f64,
    /// Makes two tokens of the same moment differ.
    jti: String,
}

impl Tokens {
    pub fn new(config: &Config) -> Self {
        Self::with(&config.access, &config.refresh)
    }

    /// From the two kinds alone.
    pub fn with(access: &TokenConfig, refresh: &TokenConfig) -> Self {
        Self {
            access: Kind::new("access", access),
            refresh: Kind::new("refresh", refresh),
        }
    }

    /// When a refresh token that is made now will expire: until then the session must be remembered.
    pub fn refresh_expiry(&self) -> Timestamp {
        after(Timestamp::now(), self.refresh.lifetime)
    }

    /// A new pair for the session.
    pub fn issue(
        &self,
        user: &UserId,
        session: &str,
        generation: u32,
        refresh_number: u32,
    ) -> Result<chat_protocol::Tokens> {
        Ok(chat_protocol::Tokens {
            access_token: self.access.sign(user, session, generation, None)?,
            refresh_token: self.refresh.sign(user, session, generation, Some(refresh_number))?,
            token_type: "Bearer".into(),
            expires_in: self.access.lifetime.as_secs(),
        })
    }

    /// `TOKEN_EXPIRED` when only its time is over, else `TOKEN_INVALID`.
    pub fn verify_access(&self, token: &str) -> Result<Claims> {
        if fault!(RefreshAsAccess)
            && let Ok(claims) = self.refresh.verify(token)
        {
            return Ok(claims);
        }
        self.access.verify(token)
    }

    /// As [`Self::verify_access`].
    pub fn verify_refresh(&self, token: &str) -> Result<Claims> {
        if fault!(AccessAsRefresh)
            && let Ok(claims) = self.access.verify(token)
        {
            return Ok(claims);
        }
        self.refresh.verify(token)
    }
}

impl Kind {
    fn new(typ: &'static str, config: &TokenConfig) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // The library counts whole seconds; `verify` checks the time itself, to the millisecond and without leeway.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        if fault!(AnyAlgorithm) {
            validation.algorithms.extend([Algorithm::HS384, Algorithm::HS512]);
        }
        let secret = config.secret.0.as_bytes();
        Self {
            typ,
            lifetime: config.lifetime,
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
        }
    }

    fn sign(&self, user: &UserId, session: &str, generation: u32, num: Option<u32>) -> Result<String> {
        let now = Timestamp::now();
        let body = Body {
            sub: user.clone(),
            sid: session.into(),
            generation,
            typ: self.typ.into(),
            num,
            iat: numeric_date(now),
            exp: numeric_date(after(now, self.lifetime)),
            jti: format!("{:032x}", rand::random::<u128>()),
        };
        encode(&Header::new(Algorithm::HS256), &body, &self.encoding).map_err(Error::internal)
    }

    fn verify(&self, token: &str) -> Result<Claims> {
        let invalid = || Error::code(ErrorCode::TokenInvalid);
        let body = match fault!(UnsignedToken) {
            true => jsonwebtoken::dangerous::insecure_decode::<Body>(token),
            false => decode::<Body>(token, &self.decoding, &self.validation),
        };
        let body = body.map_err(|_| invalid())?.claims;
        if body.typ != self.typ {
            return Err(invalid());
        }
        let expires_at = from_numeric_date(body.exp);
        if expires_at <= Timestamp::now() {
            return Err(Error::code(ErrorCode::TokenExpired));
        }
        Ok(Claims {
            user: body.sub,
            session: body.sid,
            generation: body.generation,
            refresh_number: body.num.unwrap_or(0),
            expires_at,
        })
    }
}

fn after(moment: Timestamp, span: Duration) -> Timestamp {
    let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(moment.as_millis().saturating_add(millis))
}

/// Milliseconds of this and the next millennia fit a float exactly.
#[expect(clippy::cast_precision_loss, reason = "timestamps end with the year 9999")]
fn numeric_date(moment: Timestamp) -> f64 {
    moment.as_millis() as f64 / 1000.0
}

#[expect(clippy::cast_possible_truncation, reason = "a float casts to the nearest integer")]
fn from_numeric_date(seconds: f64) -> Timestamp {
    Timestamp::from_millis((seconds * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    const ACCESS: &str = "an access secret of 32 characters";
    const REFRESH: &str = "a refresh secret of 32 characters";

    fn tokens(lifetime: Duration) -> Tokens {
        let config = |secret: &str| TokenConfig {
            secret: Secret(secret.into()),
            lifetime,
        };
        Tokens {
            access: Kind::new("access", &config(ACCESS)),
            refresh: Kind::new("refresh", &config(REFRESH)),
        }
    }

    fn pair(tokens: &Tokens) -> chat_protocol::Tokens {
        tokens.issue(&"ann".parse().unwrap(), "s1", 3, 7).unwrap()
    }

    fn refusal(outcome: Result<Claims>) -> ErrorCode {
        outcome.unwrap_err().kind().clone()
    }

    fn claims_of(token: &str) -> Value {
        let body = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
    }

    #[test]
    fn a_pair_says_what_was_put_in() {
        let tokens = tokens(Duration::from_secs(900));
        let pair = pair(&tokens);
        assert_eq!((pair.token_type.as_str(), pair.expires_in), ("Bearer", 900));
        let access = tokens.verify_access(&pair.access_token).unwrap();
        assert_eq!((access.user.as_str(), access.session.as_str()), ("ann", "s1"));
        assert_eq!((access.generation, access.refresh_number), (3, 0));
        let refresh = tokens.verify_refresh(&pair.refresh_token).unwrap();
        assert_eq!((refresh.generation, refresh.refresh_number), (3, 7));
        let lifetime = access.expires_at.as_millis() - Timestamp::now().as_millis();
        assert!((890_000..=900_000).contains(&lifetime), "{lifetime}");
    }

    #[test]
    fn two_tokens_of_one_moment_differ() {
        let tokens = tokens(Duration::from_secs(900));
        assert_ne!(pair(&tokens).access_token, pair(&tokens).access_token);
    }

    #[test]
    fn neither_kind_stands_in_for_the_other() {
        let tokens = tokens(Duration::from_secs(900));
        let pair = pair(&tokens);
        assert_eq!(
            refusal(tokens.verify_access(&pair.refresh_token)),
            ErrorCode::TokenInvalid
        );
        assert_eq!(
            refusal(tokens.verify_refresh(&pair.access_token)),
            ErrorCode::TokenInvalid
        );
    }

    #[test]
    fn the_kind_counts_even_where_the_secrets_are_equal() {
        let mut tokens = tokens(Duration::from_secs(900));
        let pair = pair(&tokens);
        tokens.access.decoding = DecodingKey::from_secret(REFRESH.as_bytes());
        assert_eq!(
            refusal(tokens.verify_access(&pair.refresh_token)),
            ErrorCode::TokenInvalid
        );
    }

    #[test]
    fn no_leeway() {
        let tokens = tokens(Duration::ZERO);
        let pair = pair(&tokens);
        assert_eq!(
            refusal(tokens.verify_access(&pair.access_token)),
            ErrorCode::TokenExpired
        );
        assert_eq!(
            refusal(tokens.verify_refresh(&pair.refresh_token)),
            ErrorCode::TokenExpired
        );
    }

    #[test]
    fn an_old_token_with_a_wrong_signature_is_invalid_rather_than_expired() {
        let tokens = tokens(Duration::ZERO);
        let mut token = pair(&tokens).access_token;
        let at = token.len() - 2;
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        token.replace_range(at..=at, other);
        assert_eq!(refusal(tokens.verify_access(&token)), ErrorCode::TokenInvalid);
    }

    #[test]
    fn other_algorithms_are_refused() {
        let tokens = tokens(Duration::from_secs(900));
        let claims = claims_of(&pair(&tokens).access_token);
        let key = EncodingKey::from_secret(ACCESS.as_bytes());
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            let token = encode(&Header::new(algorithm), &claims, &key).unwrap();
            assert_eq!(refusal(tokens.verify_access(&token)), ErrorCode::TokenInvalid);
        }
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        for none in ["none", "None", "HS256"] {
            let token = format!("{}.{}.", part(&json!({"alg": none, "typ": "JWT"})), part(&claims));
            assert_eq!(refusal(tokens.verify_access(&token)), ErrorCode::TokenInvalid);
        }
    }

    #[test]
    fn rubbish_is_invalid() {
        let tokens = tokens(Duration::from_secs(900));
        let key = EncodingKey::from_secret(ACCESS.as_bytes());
        let signed = |claims: Value| encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        let mut without_exp = claims_of(&pair(&tokens).access_token);
        without_exp.as_object_mut().unwrap().remove("exp");
        let bad_user =
            json!({"sub": "not an id", "sid": "s1", "gen": 0, "typ": "access", "iat": 0, "exp": 9e9, "jti": ""});
        for token in [
            "",
            ".",
            "..",
            "a.b.c",
            "é",
            &signed(json!({})),
            &signed(without_exp),
            &signed(bad_user),
        ] {
            assert_eq!(refusal(tokens.verify_access(token)), ErrorCode::TokenInvalid, "{token}");
        }
    }
}
