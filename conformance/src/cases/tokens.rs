//! What a token must not do, and how it ends.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chat_spec::req;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Connection, Outcome, PASSWORD, Stop, Transport, World};
use crate::launch::Launched;

cases!("tokens":
    forged_tokens_are_refused [TOKEN_INVALID_ALG_NONE, TOKEN_INVALID_TAMPERED],
    the_algorithm_is_pinned [TOKEN_INVALID_ALG_NONE],
    tokens_do_not_travel_in_urls [TOKEN_URL_NEVER],
    tokens_expire [
        REFRESH_EXPIRED_CODE, REGISTER_SUCCESS_LOGGED_IN, SHAPES_TOKENS_FIELDS, SOCKET_HANDSHAKE_EXPIRED_TOKEN,
        TOKEN_EXPIRED_CODE,
    ],
    sockets_end_with_their_token [SOCKET_EXPIRY_DISCONNECT],
    a_fresh_token_extends_a_socket [SOCKET_AUTHENTICATE_SAME_USER, SOCKET_EXPIRY_EXTENDED],
);

/// Long enough for whoever counts bytes.
const SECRET: &str = "the secret of this case, which is longer than sixty-four bytes, so that every HMAC takes it";
const YEAR_2100: u64 = 4_102_444_800;
/// How long after its end a token is surely over, its dates being whole seconds.
pub(crate) const TOKEN_SLACK: Duration = Duration::from_millis(1300);

/// Judges with tokens of a short life.
pub(crate) async fn with_brief_tokens<F>(judge: impl Fn(Duration) -> F) -> Outcome
where
    F: Future<Output = Outcome>,
{
    with_tokens_of([2, 6, 15], judge).await
}

/// Judges with tokens of so many seconds. A machine that is busy for longer decides nothing: it is tried again with the next.
async fn with_tokens_of<F>(lives: [u64; 3], judge: impl Fn(Duration) -> F) -> Outcome
where
    F: Future<Output = Outcome>,
{
    let [first, second, last] = lives.map(Duration::from_secs);
    for life in [first, second] {
        match judge(life).await {
            Err(Stop::Inconclusive(_)) => {}
            ended => return ended,
        }
    }
    judge(last).await
}

fn seconds(life: Duration) -> String {
    format!("{}s", life.as_secs())
}

async fn forged_tokens_are_refused(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let call = |token: String| w.request("GET", "/api/auth/profile").token(&token).send();
    let parts: Vec<&str> = ann.access.split('.').collect();
    if let [header, payload, signature] = parts[..] {
        let none = BASE64.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let other = BASE64.encode(r#"{"alg":"HS512","typ":"JWT"}"#);
        for token in [
            format!("{none}.{payload}."),
            format!("{none}.{payload}.{signature}"),
            format!("{other}.{payload}.{signature}"),
        ] {
            w.refused(&req::TOKEN_INVALID_ALG_NONE, &call(token).await?, 401, "TOKEN_INVALID");
        }
        for token in [
            format!("{header}.{}.{signature}", with_a_longer_life(payload)),
            format!("{header}.{payload}.{}", signature.chars().rev().collect::<String>()),
            format!("{header}.{payload}"),
        ] {
            w.refused(&req::TOKEN_INVALID_TAMPERED, &call(token).await?, 401, "TOKEN_INVALID");
        }
    } else {
        // An opaque token of another kind: one changed character must do.
        let changed = ann.access.chars().rev().collect::<String>();
        w.refused(
            &req::TOKEN_INVALID_TAMPERED,
            &call(changed).await?,
            401,
            "TOKEN_INVALID",
        );
    }
    Ok(())
}

/// The payload of a token changed for certain, whatever it is made of.
fn with_a_longer_life(payload: &str) -> String {
    let decoded = BASE64.decode(payload).unwrap_or_default();
    match serde_json::from_slice(&decoded) {
        Ok(Value::Object(mut claims)) => {
            claims.insert("exp".into(), json!(YEAR_2100));
            BASE64.encode(Value::Object(claims).to_string())
        }
        _ => format!("{payload}AAAA"),
    }
}

/// By the right secret, which only a server that was started for this case has.
async fn the_algorithm_is_pinned(w: World) -> Outcome {
    let server = super::launch(&w, &[("--jwt-secret", SECRET)]).await?;
    let ann = w.user_at(&server.base, "ann").await?;
    let payload = ann.access.split('.').nth(1).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&BASE64.decode(payload).unwrap_or_default()).unwrap_or_default();
    let call = |algorithm: Algorithm| {
        let token = jsonwebtoken::encode(
            &Header::new(algorithm),
            &claims,
            &EncodingKey::from_secret(SECRET.as_bytes()),
        );
        let request = w.request_to(&server.base, "GET", "/api/auth/profile");
        request.token(&token.unwrap_or_default()).send()
    };
    if call(Algorithm::HS256).await?.status != 200 {
        let why = "its tokens are not signed by HS256 and the secret that it was given";
        return Err(Stop::NotApplicable(why.into()));
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        w.refused(
            &req::TOKEN_INVALID_ALG_NONE,
            &call(algorithm).await?,
            401,
            "TOKEN_INVALID",
        );
    }
    Ok(())
}

async fn tokens_do_not_travel_in_urls(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    for name in ["token", "access_token", "accessToken"] {
        let answer = w
            .request("GET", &format!("/api/auth/profile?{name}={}", ann.access))
            .send()
            .await?;
        w.refused(&req::TOKEN_URL_NEVER, &answer, 401, "TOKEN_MISSING");
    }
    Ok(())
}

/// A server whose access tokens live so long. One that does not take that setting cannot be judged by it: then a token outlives
/// what was asked for.
pub(crate) async fn launch_brief(w: &World, settings: &[(&str, &str)], life: Duration) -> Result<Launched, Stop> {
    let server = super::launch(w, settings).await?;
    let probe = w.user_at(&server.base, "probe").await?;
    let login = probe.anonymous("POST", "/api/auth/login");
    let login = login.json(&json!({"identifier": probe.username, "password": PASSWORD}));
    let told = login.send().await?.good()?.body["tokens"]["expiresIn"].as_u64();
    if told.is_some_and(|told| told.abs_diff(life.as_secs()) <= 1) {
        return Ok(server);
    }
    tokio::time::sleep(life + TOKEN_SLACK).await;
    match probe.get("/api/auth/profile").await?.status {
        200 => Err(Stop::NotApplicable(format!(
            "needs a server that takes JWT_EXPIRES_IN: a token was to live for {} s, and lives on",
            life.as_secs()
        ))),
        // It does, and says another number.
        _ => Ok(server),
    }
}

async fn tokens_expire(w: World) -> Outcome {
    with_brief_tokens(|life| expired(w.clone(), life)).await
}

async fn expired(w: World, life: Duration) -> Outcome {
    let (access, refresh) = (seconds(life), seconds(life + Duration::from_secs(1)));
    let settings = [
        ("--jwt-expires-in", access.as_str()),
        ("--jwt-refresh-expires-in", &refresh),
    ];
    let server = launch_brief(&w, &settings, life).await?;
    let ann = w.user_at(&server.base, "ann").await?;
    if ann.get("/api/auth/profile").await?.status != 200 {
        return Err(Stop::Inconclusive("a token was old before it could be used".into()));
    }
    for (path, body) in [
        (
            "/api/auth/login",
            json!({"identifier": ann.username, "password": PASSWORD}),
        ),
        (
            "/api/auth/refresh-token",
            json!({"refreshToken": ann.login().await?.refresh}),
        ),
    ] {
        let answer = ann.anonymous("POST", path).json(&body).send().await?;
        let shown = answer.body["tokens"]["expiresIn"].as_u64();
        // On a busy machine the short-lived one may be over already.
        w.check(
            &req::SHAPES_TOKENS_FIELDS,
            shown.is_none_or(|shown| shown.abs_diff(life.as_secs()) <= 1),
            format!("expiresIn {}", life.as_secs()),
            &answer.text,
        );
    }
    // Time itself is what is judged here.
    tokio::time::sleep(life + TOKEN_SLACK).await;
    w.refused(
        &req::TOKEN_EXPIRED_CODE,
        &ann.get("/api/auth/profile").await?,
        401,
        "TOKEN_EXPIRED",
    );
    let refresh = ann
        .anonymous("POST", "/api/auth/refresh-token")
        .json(&json!({"refreshToken": ann.refresh}))
        .send()
        .await?;
    w.refused(&req::REFRESH_EXPIRED_CODE, &refresh, 401, "TOKEN_EXPIRED");
    match ann
        .connect(Transport::Websocket, Some(json!({"token": ann.access})))
        .await?
    {
        Connection::Refused(refused) => w.equal(
            &req::SOCKET_HANDSHAKE_EXPIRED_TOKEN,
            "message",
            "TOKEN_EXPIRED",
            refused.0["message"].clone(),
        ),
        Connection::Open(_) => w.check(&req::SOCKET_HANDSHAKE_EXPIRED_TOKEN, false, "a refusal", "a connection"),
    };
    Ok(())
}

async fn sockets_end_with_their_token(w: World) -> Outcome {
    with_brief_tokens(|life| ended(w.clone(), life)).await
}

async fn ended(w: World, life: Duration) -> Outcome {
    let server = launch_brief(&w, &[("--jwt-expires-in", &seconds(life))], life).await?;
    let ann = w.user_at(&server.base, "ann").await?;
    let device = ann.device().await?;
    let error = device
        .take_within(life + Duration::from_secs(8), "error", |p| p["code"] == "TOKEN_EXPIRED")
        .await;
    w.check(
        &req::SOCKET_EXPIRY_DISCONNECT,
        error.is_some(),
        "error TOKEN_EXPIRED",
        device.state(),
    );
    w.check(
        &req::SOCKET_EXPIRY_DISCONNECT,
        device.ended().await,
        "a disconnection",
        device.state(),
    );
    Ok(())
}

async fn a_fresh_token_extends_a_socket(w: World) -> Outcome {
    with_tokens_of([3, 6, 14], |life| extended(w.clone(), life)).await
}

async fn extended(w: World, life: Duration) -> Outcome {
    let too_late = || Err(Stop::Inconclusive("every token was old before it could be used".into()));
    let server = launch_brief(&w, &[("--jwt-expires-in", &seconds(life))], life).await?;
    let bob = w.user_at(&server.base, "bob").await?;
    let first = Instant::now();
    let ann = w.user_at(&server.base, "ann").await?;
    let registered = Instant::now();
    let device = ann.device().await?;
    tokio::time::sleep(life.mul_f32(0.6)).await;
    let second = Instant::now();
    let fresh = ann.login().await?;
    let answer = device.ask_later("authenticate", json!({"token": fresh.access}));
    let ack = device.answer(answer).await.unwrap_or_default();
    if first.elapsed() > life.mul_f32(0.9) {
        return too_late();
    }
    w.equal(&req::SOCKET_AUTHENTICATE_SAME_USER, "ok", true, ack["ok"].clone());
    // Beyond the end of the first one, tokens being dated in whole seconds.
    tokio::time::sleep_until((registered + life + Duration::from_millis(100)).into()).await;
    let bob = bob.login().await?;
    bob.must_send(&ann.id, "after the first token's end").await?;
    let in_time = second.elapsed() + Duration::from_secs(1) < life.mul_f32(0.9);
    let arrived = device
        .take("new_message", |p| p["content"] == "after the first token's end")
        .await;
    if arrived.is_none() && !in_time {
        return too_late();
    }
    let came = arrived.is_some();
    w.check(
        &req::SOCKET_EXPIRY_EXTENDED,
        came,
        "an event after the first token's end",
        device.state(),
    );
    Ok(())
}
