//! What is missing, what is too much: one detail for each bad field.

use chat_spec::{Profile, req};
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Outcome, World};

cases!("fields":
    a_registration_needs_every_field [REGISTER_MISSING_FIELDS],
    a_message_needs_receiver_and_content [SEND_MISSING_FIELDS],
    new_usernames_have_the_same_form [PROFILE_UPDATE_USERNAME_FORMAT],
    every_type_of_message_has_the_same_rules [SEND_TYPE_SAME_RULES],
    events_name_each_bad_field [EVENTS_PAYLOAD_DETAILS],
    events_ignore_unknown_fields [EVENTS_PAYLOAD_UNKNOWN_FIELDS],
    a_very_large_payload_ends_its_own_socket_at_most [EVENTS_PAYLOAD_OVER_1_MB],
);

const SEND: &str = "/api/messages/send";

/// The body without one of its fields.
fn without(body: &Value, field: &str) -> Value {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove(field);
    }
    body
}

async fn a_registration_needs_every_field(w: World) -> Outcome {
    let fields = ["username", "email", "password", "confirmPassword"];
    let register = |body: Value| w.request("POST", "/api/auth/register").json(&body).send();
    let answer = register(json!({})).await?;
    w.invalid(&req::REGISTER_MISSING_FIELDS, &answer, &fields);
    w.equal(&req::REGISTER_MISSING_FIELDS, "details", 4, answer.details().len());
    let good = w.registration("ann");
    for field in fields {
        let answer = register(without(&good, field)).await?;
        w.invalid(&req::REGISTER_MISSING_FIELDS, &answer, &[field]);
    }
    Ok(())
}

async fn a_message_needs_receiver_and_content(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = ann.device().await?;
    let good = json!({"to": bob.id, "content": "hello"});
    for (body, missing) in [
        (json!({}), &["to", "content"][..]),
        (without(&good, "to"), &["to"]),
        (without(&good, "content"), &["content"]),
    ] {
        let answer = ann.post(SEND, &body).await?;
        w.invalid(&req::SEND_MISSING_FIELDS, &answer, missing);
        w.equal(
            &req::SEND_MISSING_FIELDS,
            "details",
            missing.len(),
            answer.details().len(),
        );
        let ack = device.ask("send_message", body).await?;
        w.refused_ack(&req::SEND_MISSING_FIELDS, &ack, "VALIDATION_ERROR");
        named(&w, &req::SEND_MISSING_FIELDS, &ack["error"], missing);
    }
    Ok(())
}

/// Judges that the details name exactly these fields.
fn named(w: &World, requirement: &'static chat_spec::Requirement, error: &Value, fields: &[&str]) {
    let details = error["details"].as_array().into_iter().flatten();
    let mut found: Vec<&str> = details.filter_map(|detail| detail["field"].as_str()).collect();
    found.sort_unstable();
    let mut expected = fields.to_vec();
    expected.sort_unstable();
    w.check(
        requirement,
        found == expected,
        format!("details on {expected:?}"),
        error,
    );
}

async fn new_usernames_have_the_same_form(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    for bad in [
        json!("ab"),
        json!("x".repeat(31)),
        json!("with space"),
        json!("umläut"),
        json!("a@b.org"),
        json!(""),
        json!(7),
    ] {
        let answer = ann.put("/api/auth/profile", &json!({"username": bad})).await?;
        w.invalid(&req::PROFILE_UPDATE_USERNAME_FORMAT, &answer, &["username"]);
    }
    let unique = format!("A.b_c-{:016x}", rand::random::<u64>());
    for good in [unique.clone(), format!("{unique}{}", "9".repeat(30 - unique.len()))] {
        let answer = ann.put("/api/auth/profile", &json!({"username": good})).await?;
        w.success(
            &req::PROFILE_UPDATE_USERNAME_FORMAT,
            &answer,
            200,
            Some("OwnUserResponse"),
        )?;
        w.equal(
            &req::PROFILE_UPDATE_USERNAME_FORMAT,
            "username",
            good,
            answer.body["user"]["username"].clone(),
        );
    }
    Ok(())
}

async fn every_type_of_message_has_the_same_rules(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = ann.device().await?;
    let requirement = &req::SEND_TYPE_SAME_RULES;
    for kind in ["image", "file", "audio"] {
        for bad in [" \n".to_owned(), "a\u{0}b".into(), "x".repeat(4097)] {
            let body = json!({"to": bob.id, "content": bad, "messageType": kind});
            w.invalid(requirement, &ann.post(SEND, &body).await?, &["content"]);
            let ack = device.ask("send_message", body).await?;
            w.refused_ack(requirement, &ack, "VALIDATION_ERROR");
        }
        let longest = "\u{1f600}".repeat(4096);
        for good in ["no link, only a caption", &longest] {
            let body = json!({"to": bob.id, "content": good, "messageType": kind});
            let answer = ann.post(SEND, &body).await?;
            w.success(requirement, &answer, 201, Some("MessageResponse"))?;
            w.equal(
                requirement,
                "messageType",
                kind,
                answer.body["message"]["messageType"].clone(),
            );
        }
    }
    Ok(())
}

async fn events_name_each_bad_field(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let device = ann.device().await?;
    let requirement = &req::EVENTS_PAYLOAD_DETAILS;
    let mut bad = json!({"to": 1, "content": " ", "messageType": "video"});
    let mut all = vec!["to", "content", "messageType"];
    if w.target.claims(Profile::Recovery) {
        bad["clientMessageId"] = json!("no spaces");
        all.push("clientMessageId");
    }
    for (event, payload, fields) in [
        ("send_message", json!({}), &["to", "content"][..]),
        ("send_message", bad, &all),
        ("typing", json!({}), &["to", "isTyping"]),
        ("typing", json!({"to": "x", "isTyping": "yes"}), &["isTyping"]),
        ("join_chat", json!({}), &["chatId"]),
        ("read_receipt", json!({}), &["messageId", "chatId"]),
    ] {
        let ack = device.ask(event, payload.clone()).await?;
        w.refused_ack(requirement, &ack, "VALIDATION_ERROR");
        named(&w, requirement, &ack["error"], fields);
        device.emit(event, payload);
        let error = w.arrives(requirement, &device, "error", |_| true).await?;
        named(&w, requirement, &error, fields);
    }
    Ok(())
}

async fn events_ignore_unknown_fields(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let sent = bob.must_send(&ann.id, "hello").await?;
    let device = ann.device().await?;
    for (event, payload) in [
        ("authenticate", json!({"token": ann.access})),
        ("join_chat", json!({"chatId": sent["chatId"]})),
        ("send_message", json!({"to": bob.id, "content": "hello"})),
        ("typing", json!({"to": bob.id, "isTyping": false})),
        (
            "read_receipt",
            json!({"messageId": sent["id"], "chatId": sent["chatId"]}),
        ),
        ("update_status", json!({"status": "busy"})),
    ] {
        let mut payload = payload;
        for (field, value) in [
            ("seq", json!(77)),
            ("sender", json!(bob.id)),
            ("__proto__", json!({"ok": 1})),
        ] {
            payload[field] = value;
        }
        let ack = device.ask(event, payload).await?;
        w.check(
            &req::EVENTS_PAYLOAD_UNKNOWN_FIELDS,
            ack["ok"] == true,
            format!("{event} ok"),
            &ack,
        );
    }
    let page = bob.conversation(&ann, "?limit=1").await?;
    let stored = &page.body["items"][0];
    w.check(
        &req::EVENTS_PAYLOAD_UNKNOWN_FIELDS,
        stored["sender"] == ann.id.as_str() && stored["seq"] != 77,
        "the real sender and seq",
        stored,
    );
    Ok(())
}

async fn a_very_large_payload_ends_its_own_socket_at_most(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (device, other) = (ann.device().await?, ann.device().await?);
    let requirement = &req::EVENTS_PAYLOAD_OVER_1_MB;
    let payload = json!({"to": bob.id, "content": "x".repeat(2_000_000)});
    match device.answer(device.ask_later("send_message", payload)).await {
        Some(ack) => {
            w.refused_ack(requirement, &ack, "PAYLOAD_TOO_LARGE");
        }
        None => {
            w.check(
                requirement,
                device.ended().await,
                "an answer or the end",
                device.state(),
            );
        }
    }
    let ack = other
        .ask("send_message", json!({"to": bob.id, "content": "still here"}))
        .await?;
    w.equal(requirement, "the other socket goes on", true, ack["ok"].clone());
    Ok(())
}
