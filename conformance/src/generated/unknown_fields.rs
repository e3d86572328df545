//! Every body and every payload with fields that nobody knows, or that the caller may not set.

use chat_spec::{ClientEvent, Operation, req};
use serde_json::{Value, json};

use super::fixture::{Fixture, gentle_first, success_of};
use crate::cases;
use crate::engine::{Outcome, PASSWORD, World};

cases!("unknown fields":
    every_body_may_have_more_fields [JSON_REQUEST_UNKNOWN_IGNORED, JSON_REQUEST_UNKNOWN_NEVER_STORED],
    every_payload_may_have_more_fields [EVENTS_PAYLOAD_UNKNOWN_FIELDS],
    queries_may_have_more_parameters [ERRORS_HOSTILE_NO_5XX],
    nothing_is_set_that_may_not_be [JSON_REQUEST_UNKNOWN_IGNORED, JSON_REQUEST_UNKNOWN_NEVER_STORED],
);

/// What no call knows. None of the names is one of a schema.
fn more(base: &Value) -> Value {
    let mut body = base.clone();
    let more = json!({
        "nobodyKnowsThis": true, "isAdmin": true, "role": "admin", "__proto__": {"isAdmin": true}, "constructor": {"prototype": {"x": 1}},
        "$where": "1", "$set": {"isActive": false}, "nested": {"deep": [1, {"deeper": null}]}, "number": 1e300, "empty": "", "": 0,
        "\u{1f600}": "\u{0}", "sql": "'; DROP TABLE users; --",
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

async fn every_body_may_have_more_fields(w: World) -> Outcome {
    let mut f = Fixture::new(&w).await?;
    for operation in gentle_first() {
        let Some(base) = f.body(operation) else { continue };
        let request = f.ann.request(operation.method(), &f.path(operation));
        let answer = request.json(&more(&base)).send().await?;
        w.success(&req::JSON_REQUEST_UNKNOWN_IGNORED, &answer, success_of(operation), None)?;
        let leaks = answer.text.contains("nobodyKnowsThis") || answer.text.contains("isAdmin");
        w.check(
            &req::JSON_REQUEST_UNKNOWN_NEVER_STORED,
            !leaks,
            "none of the unknown fields",
            &answer.text,
        );
        if [Operation::RefreshToken, Operation::ChangePassword].contains(&operation) {
            f.ann = f.ann.with_tokens(&answer);
        }
    }
    for path in [
        "/api/auth/profile".to_owned(),
        format!("/api/messages/conversation/{}", f.bob.id),
    ] {
        let answer = f.ann.get(&path).await?;
        let leaks = answer.text.contains("nobodyKnowsThis") || answer.text.contains("isAdmin");
        w.check(
            &req::JSON_REQUEST_UNKNOWN_NEVER_STORED,
            !leaks,
            "none of the unknown fields",
            &answer.text,
        );
    }
    Ok(())
}

async fn every_payload_may_have_more_fields(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let (device, peer) = (f.ann.device().await?, f.bob.device().await?);
    for event in ClientEvent::ALL.iter().copied() {
        let ack = device.ask(event.name(), more(&f.payload(event))).await?;
        w.equal(
            &req::EVENTS_PAYLOAD_UNKNOWN_FIELDS,
            event.name(),
            true,
            ack["ok"].clone(),
        );
        w.shaped(&req::EVENTS_PAYLOAD_UNKNOWN_FIELDS, event.ack_schema(), &ack);
    }
    w.absent(
        &req::EVENTS_PAYLOAD_UNKNOWN_FIELDS,
        &peer,
        &f.ann,
        "unknown field",
        |_, payload| payload.to_string().contains("nobodyKnowsThis"),
    )
    .await
}

async fn queries_may_have_more_parameters(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for operation in Operation::ALL
        .iter()
        .copied()
        .filter(|operation| operation.method() == "GET")
    {
        let path = f.path(operation);
        let separator = if path.contains('?') { '&' } else { '?' };
        for more in [
            "nobodyKnowsThis=1",
            "page=-1",
            "offset=5&skip=5",
            "_=1&sort[content]=1",
            "%24where=1",
            "=&&=",
        ] {
            let answer = f.ann.get(&format!("{path}{separator}{more}")).await?;
            let got = format!("{} {}", answer.status, answer.code());
            w.check(
                &req::ERRORS_HOSTILE_NO_5XX,
                answer.status < 500,
                format!("{operation} with {more}: no 5xx"),
                got,
            );
        }
    }
    Ok(())
}

async fn nothing_is_set_that_may_not_be(w: World) -> Outcome {
    let mut registration = w.registration("ann");
    let forbidden = json!({
        "id": "0123456789abcdef01234567", "_id": "0123456789abcdef01234567", "isActive": false, "status": "busy",
        "createdAt": "2001-01-01T00:00:00.000Z", "lastSeen": "2001-01-01T00:00:00.000Z", "passwordHash": "x", "isOnline": true,
    });
    for (name, value) in forbidden.as_object().into_iter().flatten() {
        registration[name] = value.clone();
    }
    let answer = w
        .request("POST", "/api/auth/register")
        .json(&registration)
        .send()
        .await?;
    w.success(
        &req::JSON_REQUEST_UNKNOWN_IGNORED,
        &answer,
        201,
        Some("SessionResponse"),
    )?;
    let user = crate::engine::User::of(&w, &w.target.base, &answer);
    let requirement = &req::JSON_REQUEST_UNKNOWN_NEVER_STORED;
    let profile = async || {
        let answer = user.get("/api/auth/profile").await?;
        // Whoever can make himself inactive has no profile any more.
        w.success(requirement, &answer, 200, Some("OwnUserResponse"))?;
        Ok(answer.body["user"].clone())
    };
    let before = profile().await?;
    let forged = before["id"] == forbidden["id"] || before["createdAt"] == forbidden["createdAt"];
    w.check(
        requirement,
        !forged && before["status"] == "offline" && before["lastSeen"].is_null(),
        "nothing of it",
        &before,
    );

    let mut update = forbidden.clone();
    update["email"] = "somebody.else@example.org".into();
    update["password"] = "another password".into();
    update["newPassword"] = "another password".into();
    let answer = user.put("/api/auth/profile", &update).await?;
    w.success(requirement, &answer, 200, Some("OwnUserResponse"))?;
    w.equal(requirement, "profile", before, profile().await?);
    let login = json!({"identifier": user.username, "password": PASSWORD});
    let answer = w.request("POST", "/api/auth/login").json(&login).send().await?;
    w.success(requirement, &answer, 200, Some("SessionResponse"))?;

    let bob = w.user("bob").await?;
    let message = json!({
        "to": bob.id, "content": "hello", "sender": bob.id, "receiver": user.id, "seq": 77, "isRead": true, "timestamp": "2001-01-01T00:00:00.000Z",
        "readAt": "2001-01-01T00:00:00.000Z", "deletedAt": "2001-01-01T00:00:00.000Z", "editedAt": "2001-01-01T00:00:00.000Z", "id": forbidden["id"],
    });
    let answer = user.post("/api/messages/send", &message).await?;
    w.success(requirement, &answer, 201, Some("MessageResponse"))?;
    let stored = &answer.body["message"];
    let good = stored["sender"] == user.id.as_str()
        && stored["isRead"] == false
        && ["readAt", "deletedAt", "editedAt"]
            .iter()
            .all(|field| stored[field].is_null())
        && stored["timestamp"] != message["timestamp"]
        && stored["id"] != message["id"];
    w.check(requirement, good, "what the server decides", stored);
    let path = format!("/api/messages/{}", stored["id"].as_str().unwrap_or_default());
    let edit = json!({"content": "edited", "sender": bob.id, "seq": 5, "isRead": true, "messageType": "file", "deletedAt": "2001-01-01T00:00:00.000Z"});
    let edited = user.put(&path, &edit).await?;
    w.success(requirement, &edited, 200, Some("MessageResponse"))?;
    let kept = [
        "sender",
        "receiver",
        "seq",
        "isRead",
        "messageType",
        "deletedAt",
        "timestamp",
    ];
    let same = kept.iter().all(|field| edited.body["message"][field] == stored[field]);
    w.check(
        requirement,
        same,
        format!("{kept:?} as before"),
        &edited.body["message"],
    );
    Ok(())
}
