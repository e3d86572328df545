//! Every call and every event over its limit.

use chat_spec::{ClientEvent, Operation, req};
use serde_json::{Value, json};

use super::fixture::{Fixture, needs_token};
use crate::cases;
use crate::cases::launch;
use crate::cases::limits::EventWindow;
use crate::engine::{Outcome, Transport, World};

cases!("over the limit":
    every_call_over_its_limit [
        LIMITS_AUTH_OWN_BUCKET, LIMITS_REQUESTS_PER_USER, LIMITS_REQUESTS_RETRY_AFTER,
        PRECEDENCE_RATE_LIMIT_BEFORE_TOKEN,
    ],
    every_event_over_its_limit [LIMITS_EVENTS_OVER],
    paths_and_methods_over_the_limit [PRECEDENCE_PATH_BEFORE_RATE_LIMIT],
);

async fn every_call_over_its_limit(w: World) -> Outcome {
    let server = launch(
        &w,
        &[
            ("--rate-limit-max-requests", "5"),
            ("--auth-rate-limit-max-requests", "2"),
        ],
    )
    .await?;
    // Two registrations use up the calls at the door, two messages some of the quota of each.
    let f = Fixture::at(&w, &server.base).await?;
    for _ in 0..6 {
        let _ = f.ann.get("/api/auth/profile").await?;
        let _ = w.request_to(&server.base, "GET", "/api/auth/profile").send().await?;
    }
    for operation in Operation::ALL.iter().copied() {
        let requirement = match needs_token(operation) {
            true => &req::LIMITS_REQUESTS_PER_USER,
            false => &req::LIMITS_AUTH_OWN_BUCKET,
        };
        let by_user = f.anonymous(operation).token(&f.ann.access).send().await?;
        w.refused(requirement, &by_user, 429, "RATE_LIMITED");
        for answer in [
            f.anonymous(operation).send().await?,
            f.anonymous(operation).token("garbage").send().await?,
            f.ann
                .anonymous(operation.method(), &f.path(operation))
                .raw("x".repeat(70_000))
                .send()
                .await?,
        ] {
            w.refused(&req::PRECEDENCE_RATE_LIMIT_BEFORE_TOKEN, &answer, 429, "RATE_LIMITED");
        }
        let header = by_user.header("retry-after").parse::<u64>().ok();
        w.check(
            &req::LIMITS_REQUESTS_RETRY_AFTER,
            header.is_some_and(|seconds| seconds >= 1) && by_user.body["retryAfter"].as_u64() == header,
            "Retry-After = retryAfter, at least 1",
            format!("{header:?} {}", by_user.body["retryAfter"]),
        );
    }
    // Bob has used one.
    w.success(
        &req::LIMITS_REQUESTS_PER_USER,
        &f.bob.get("/api/auth/profile").await?,
        200,
        None,
    )
}

async fn every_event_over_its_limit(w: World) -> Outcome {
    let server = launch(&w, &[("--socket-rate-limit-max-events", "3")]).await?;
    let f = Fixture::at(&w, &server.base).await?;
    let device = f.ann.device().await?;
    let window = EventWindow::opens().await;
    for _ in 0..3 {
        device.ask("update_status", json!({"status": "busy"})).await?;
    }
    for event in ClientEvent::ALL.iter().copied() {
        let ack = device.ask(event.name(), f.payload(event)).await?;
        window.must_be_open()?;
        w.refused_ack(&req::LIMITS_EVENTS_OVER, &ack, "RATE_LIMITED");
        let in_window = |error: &Value| (1..=10).contains(&error["retryAfter"].as_u64().unwrap_or(0));
        w.check(
            &req::LIMITS_EVENTS_OVER,
            in_window(&ack["error"]),
            "retryAfter of 1 to 10",
            &ack,
        );
        window
            .judge_error(&w, &device, event.name(), f.payload(event), in_window)
            .await?;
    }
    w.check(
        &req::LIMITS_EVENTS_OVER,
        device.is_open(),
        "a socket that lives",
        device.state(),
    );
    // Another way in of the same user shares what is left: nothing.
    let other = f.ann.device_over(Transport::Polling).await?;
    let ack = other.ask("update_status", json!({"status": "away"})).await?;
    window.must_be_open()?;
    w.refused_ack(&req::LIMITS_EVENTS_OVER, &ack, "RATE_LIMITED");
    let ack = f
        .bob
        .device()
        .await?
        .ask("update_status", json!({"status": "away"}))
        .await?;
    w.equal(&req::LIMITS_EVENTS_OVER, "others go on", true, ack["ok"].clone());
    Ok(())
}

async fn paths_and_methods_over_the_limit(w: World) -> Outcome {
    let server = launch(
        &w,
        &[
            ("--rate-limit-max-requests", "1"),
            ("--auth-rate-limit-max-requests", "1"),
        ],
    )
    .await?;
    for operation in Operation::ALL.iter().copied() {
        let path = operation.path().replace("{id}", "x1").replace("{userId}", "x1");
        for _ in 0..2 {
            let _ = w.request_to(&server.base, operation.method(), &path).send().await?;
        }
        let method = w.request_to(&server.base, "PATCH", &path).send().await?;
        w.refused(
            &req::PRECEDENCE_PATH_BEFORE_RATE_LIMIT,
            &method,
            405,
            "METHOD_NOT_ALLOWED",
        );
        let nothing = w
            .request_to(&server.base, operation.method(), &format!("{path}/x/y"))
            .send()
            .await?;
        w.refused(&req::PRECEDENCE_PATH_BEFORE_RATE_LIMIT, &nothing, 404, "NOT_FOUND");
    }
    Ok(())
}
