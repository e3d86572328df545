//! What a token must not do, and how it ends.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chat_spec::req;
use serde_json::json;

use crate::cases;
use crate::engine::{Connection, Outcome, Stop, Transport, World};

cases!("tokens":
    forged_tokens_are_refused [TOKEN_INVALID_ALG_NONE, TOKEN_INVALID_TAMPERED],
    tokens_do_not_travel_in_urls [TOKEN_URL_NEVER],
    tokens_expire [
        REFRESH_EXPIRED_CODE, REGISTER_SUCCESS_LOGGED_IN, SOCKET_HANDSHAKE_EXPIRED_TOKEN, TOKEN_EXPIRED_CODE,
    ],
    sockets_end_with_their_token [SOCKET_EXPIRY_DISCONNECT],
    a_fresh_token_extends_a_socket [SOCKET_AUTHENTICATE_SAME_USER, SOCKET_EXPIRY_EXTENDED],
);

/// Tokens of such a server are old after two seconds.
const BRIEF: &[(&str, &str)] = &[("--jwt-expires-in", "2s"), ("--jwt-refresh-expires-in", "3s")];

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
        let decoded = BASE64.decode(payload).unwrap_or_default();
        let swapped = BASE64.encode(String::from_utf8_lossy(&decoded).replace("access", "admins"));
        for token in [
            format!("{header}.{swapped}.{signature}"),
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

async fn tokens_expire(w: World) -> Outcome {
    let server = super::launch(&w, BRIEF).await?;
    let ann = w.user_at(&server.base, "ann").await?;
    w.success(
        &req::REGISTER_SUCCESS_LOGGED_IN,
        &ann.get("/api/auth/profile").await?,
        200,
        None,
    )?;
    // Time itself is what is judged here.
    tokio::time::sleep(Duration::from_millis(3300)).await;
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
    let server = super::launch(&w, BRIEF).await?;
    let ann = w.user_at(&server.base, "ann").await?;
    let device = ann.device().await?;
    w.arrives(&req::SOCKET_EXPIRY_DISCONNECT, &device, "error", |p| {
        p["code"] == "TOKEN_EXPIRED"
    })
    .await?;
    w.check(
        &req::SOCKET_EXPIRY_DISCONNECT,
        device.ended().await,
        "a disconnection",
        device.state(),
    );
    Ok(())
}

async fn a_fresh_token_extends_a_socket(w: World) -> Outcome {
    // A machine that is busy for longer than a token lives decides nothing: it is tried again with longer ones.
    for life in [3, 6, 14] {
        if extended(&w, Duration::from_secs(life)).await? {
            return Ok(());
        }
    }
    Err(Stop::Inconclusive("every token was old before it could be used".into()))
}

/// Whether it could be judged with tokens of this life.
async fn extended(w: &World, life: Duration) -> Result<bool, Stop> {
    let text = format!("{}s", life.as_secs());
    let server = super::launch(w, &[("--jwt-expires-in", &text)]).await?;
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
        return Ok(false);
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
        return Ok(false);
    }
    let came = arrived.is_some();
    w.check(
        &req::SOCKET_EXPIRY_EXTENDED,
        came,
        "an event after the first token's end",
        device.state(),
    );
    Ok(true)
}
