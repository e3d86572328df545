//! Rate limits, on servers with low ones.

use chat_spec::req;
use serde_json::json;

use crate::cases;
use crate::engine::{Answer, Outcome, World};

cases!("limits": requests_are_counted_by_user, the_door_has_a_bucket_of_its_own, forwarded_addresses_are_not_believed, events_are_counted_by_user);

fn remaining(answer: &Answer) -> Option<u64> {
    let (_, rest) = answer.header("ratelimit").split_once("r=")?;
    rest.split(';').next()?.parse().ok()
}

async fn requests_are_counted_by_user(w: World) -> Outcome {
    let server = super::launch(&w, &[("--rate-limit-max-requests", "6")]).await?;
    let (ann, bob) = (
        w.user_at(&server.base, "ann").await?,
        w.user_at(&server.base, "bob").await?,
    );
    let (one, two) = (ann.get("/api/auth/profile").await?, ann.get("/api/auth/profile").await?);
    w.check(
        &req::LIMITS_HEADERS_COUNT_DOWN,
        remaining(&one) > remaining(&two),
        "a falling quota",
        format!("{} {}", one.header("ratelimit"), two.header("ratelimit")),
    );
    let mut last = two;
    for _ in 0..6 {
        last = ann.get("/api/auth/profile").await?;
    }
    w.refused(&req::LIMITS_REQUESTS_PER_USER, &last, 429, "RATE_LIMITED");
    let seconds = last.header("retry-after").parse::<u64>().ok();
    w.check(
        &req::LIMITS_REQUESTS_RETRY_AFTER,
        seconds.is_some() && last.body["retryAfter"].as_u64() == seconds,
        "Retry-After = retryAfter",
        format!("{seconds:?} {}", last.body["retryAfter"]),
    );
    w.success(
        &req::LIMITS_REQUESTS_PER_USER,
        &bob.get("/api/auth/profile").await?,
        200,
        None,
    )?;
    for _ in 0..8 {
        last = ann.anonymous("GET", "/api/auth/profile").send().await?;
    }
    w.refused(&req::PRECEDENCE_RATE_LIMIT_BEFORE_TOKEN, &last, 429, "RATE_LIMITED");
    Ok(())
}

async fn the_door_has_a_bucket_of_its_own(w: World) -> Outcome {
    let server = super::launch(
        &w,
        &[
            ("--auth-rate-limit-max-requests", "4"),
            ("--rate-limit-max-requests", "50"),
        ],
    )
    .await?;
    let ann = w.user_at(&server.base, "ann").await?;
    let login = || {
        ann.anonymous("POST", "/api/auth/login")
            .json(&json!({"identifier": "nobody", "password": "wrong password"}))
            .send()
    };
    let mut last = login().await?;
    for _ in 0..4 {
        last = login().await?;
    }
    w.refused(&req::LIMITS_AUTH_OWN_BUCKET, &last, 429, "RATE_LIMITED");
    let refresh = ann
        .anonymous("POST", "/api/auth/refresh-token")
        .json(&json!({"refreshToken": ann.refresh}))
        .send()
        .await?;
    w.refused(&req::LIMITS_AUTH_OWN_BUCKET, &refresh, 429, "RATE_LIMITED");
    w.success(
        &req::LIMITS_AUTH_OWN_BUCKET,
        &ann.get("/api/auth/profile").await?,
        200,
        None,
    )
}

async fn forwarded_addresses_are_not_believed(w: World) -> Outcome {
    let server = super::launch(&w, &[("--auth-rate-limit-max-requests", "3")]).await?;
    let mut last = None;
    for number in 0..5 {
        let request = w
            .request_to(&server.base, "POST", "/api/auth/login")
            .header("x-forwarded-for", &format!("10.0.0.{number}"));
        last = Some(
            request
                .json(&json!({"identifier": "nobody", "password": "wrong password"}))
                .send()
                .await?,
        );
    }
    if let Some(last) = last {
        w.refused(&req::LIMITS_FORWARDED_UNTRUSTED, &last, 429, "RATE_LIMITED");
    }
    Ok(())
}

async fn events_are_counted_by_user(w: World) -> Outcome {
    let server = super::launch(&w, &[("--socket-rate-limit-max-events", "10")]).await?;
    let (ann, bob) = (
        w.user_at(&server.base, "ann").await?,
        w.user_at(&server.base, "bob").await?,
    );
    let (a1, b1) = (ann.device().await?, bob.device().await?);
    let mut last = json!(null);
    for _ in 0..12 {
        last = a1.ask("typing", json!({"to": bob.id, "isTyping": true})).await?;
    }
    w.refused_ack(&req::LIMITS_EVENTS_OVER, &last, "RATE_LIMITED");
    w.check(
        &req::LIMITS_EVENTS_OVER,
        last["error"]["retryAfter"].as_u64().is_some(),
        "retryAfter",
        &last,
    );
    a1.emit("typing", json!({"to": bob.id, "isTyping": true}));
    w.arrives(&req::LIMITS_EVENTS_OVER, &a1, "error", |p| p["code"] == "RATE_LIMITED")
        .await?;
    let ack = b1.ask("typing", json!({"to": ann.id, "isTyping": true})).await?;
    w.equal(&req::LIMITS_EVENTS_OVER, "others go on", true, ack["ok"].clone());
    Ok(())
}
