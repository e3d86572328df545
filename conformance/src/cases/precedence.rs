//! What is checked first, where two things are wrong at once.

use chat_spec::req;
use serde_json::json;

use crate::cases;
use crate::engine::{Outcome, PASSWORD, World};

cases!("precedence":
    paths_come_before_the_limit [LIMITS_REQUESTS_BY_ADDRESS, PRECEDENCE_PATH_BEFORE_RATE_LIMIT],
    a_body_of_unknown_length_is_limited_too [PRECEDENCE_SIZE_CHUNKED],
    fields_come_before_the_state [PASSWORD_CHANGE_CONFIRM, PRECEDENCE_FIELDS_BEFORE_STATE],
    existence_comes_before_the_state [PRECEDENCE_EXISTENCE_BEFORE_STATE],
);

async fn paths_come_before_the_limit(w: World) -> Outcome {
    let server = super::launch(&w, &[("--rate-limit-max-requests", "2")]).await?;
    let call = |method: &str, path: &str| w.request_to(&server.base, method, path).send();
    let mut last = call("GET", "/api/auth/profile").await?;
    for _ in 0..3 {
        last = call("GET", "/api/auth/profile").await?;
    }
    w.need(&req::LIMITS_REQUESTS_BY_ADDRESS, last.status == 429, 429, last.status)?;
    let requirement = &req::PRECEDENCE_PATH_BEFORE_RATE_LIMIT;
    w.refused(requirement, &call("GET", "/api/nothing").await?, 404, "NOT_FOUND");
    let method = call("PATCH", "/api/auth/profile").await?;
    w.refused(requirement, &method, 405, "METHOD_NOT_ALLOWED");
    Ok(())
}

async fn a_body_of_unknown_length_is_limited_too(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let send = |content: String| {
        let body = json!({"to": bob.id, "content": content});
        ann.request("POST", "/api/messages/send").json(&body).chunked().send()
    };
    let requirement = &req::PRECEDENCE_SIZE_CHUNKED;
    w.success(requirement, &send("small".into()).await?, 201, Some("MessageResponse"))?;
    w.refused(requirement, &send("x".repeat(70_000)).await?, 413, "PAYLOAD_TOO_LARGE");
    Ok(())
}

async fn fields_come_before_the_state(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let body = json!({"currentPassword": "not the password", "newPassword": "short", "confirmPassword": "short"});
    let answer = ann.put("/api/auth/change-password", &body).await?;
    w.invalid(&req::PRECEDENCE_FIELDS_BEFORE_STATE, &answer, &["newPassword"]);
    let body = json!({"currentPassword": PASSWORD, "newPassword": "a good password", "confirmPassword": "another one"});
    let answer = ann.put("/api/auth/change-password", &body).await?;
    w.invalid(&req::PASSWORD_CHANGE_CONFIRM, &answer, &["confirmPassword"]);
    let still = ann.get("/api/auth/profile").await?;
    w.success(&req::PASSWORD_CHANGE_CONFIRM, &still, 200, None)
}

async fn existence_comes_before_the_state(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let chat = ann.must_send(&bob.id, "hello").await?["chatId"].clone();
    let requirement = &req::PRECEDENCE_EXISTENCE_BEFORE_STATE;
    let body = json!({"to": "ffffffffffffffffffffffff", "content": "x", "chatId": chat});
    let unknown = ann.post("/api/messages/send", &body).await?;
    w.refused(requirement, &unknown, 404, "USER_NOT_FOUND");
    let eve = w.user("eve").await?;
    let body = json!({"to": eve.id, "content": "x", "chatId": chat});
    let wrong = ann.post("/api/messages/send", &body).await?;
    w.refused(requirement, &wrong, 400, "CHAT_MISMATCH");
    Ok(())
}
