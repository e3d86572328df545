//! Authenticating a socket.

use std::time::{Duration, Instant};

use chat_spec::req;
use serde_json::{Value, json};

use super::{is_known, is_presence};
use crate::cases;
use crate::engine::{Connection, Device, Outcome, Stop, Transport, User, World};

cases!("socket sessions":
    the_handshake_authenticates_over_websocket [
        SHAPES_USER_OWN_FIELDS, SOCKET_HANDSHAKE_TOKEN, SOCKET_TRANSPORT_WEBSOCKET,
    ],
    the_handshake_authenticates_over_polling [SHAPES_USER_OWN_FIELDS, SOCKET_HANDSHAKE_TOKEN, SOCKET_TRANSPORT_POLLING],
    bad_handshakes_are_refused [
        SOCKET_HANDSHAKE_BAD_TOKEN, SOCKET_HANDSHAKE_EMPTY_TOKEN, SOCKET_HANDSHAKE_ERROR_DATA,
        SOCKET_HANDSHAKE_REFRESH_TOKEN,
    ],
    a_socket_authenticates_by_event [SOCKET_AUTHENTICATE_EVENT, SOCKET_AUTHENTICATE_SAME_USER],
    nothing_works_before_authentication [SOCKET_AUTHENTICATE_BEFORE],
    a_bad_token_may_be_corrected [EVENTS_PAYLOAD_MALFORMED, SOCKET_AUTHENTICATE_BAD_TOKEN],
    a_socket_stays_its_users [SOCKET_AUTHENTICATE_SECOND_USER],
    nothing_arrives_before_authentication [SOCKET_AUTHENTICATE_NO_EARLY_EVENT],
);

/// A socket without a token is put out after ten seconds; one that is to authenticate has to do so before.
const MAY_WAIT: Duration = Duration::from_secs(9);

async fn open(user: &User, auth: Option<Value>) -> Result<Device, Stop> {
    match user.connect(Transport::Websocket, auth).await? {
        Connection::Open(device) => Ok(device),
        Connection::Refused(refused) => Err(Stop::Inconclusive(format!("refused: {}", refused.0))),
    }
}

async fn over(w: World, transport: Transport, requirement: &'static chat_spec::Requirement) -> Outcome {
    let ann = w.user("ann").await?;
    let Connection::Open(device) = ann.connect(transport, Some(json!({"token": ann.access}))).await? else {
        w.check(requirement, false, "a connection", "a refusal");
        return Ok(());
    };
    let event = w
        .arrives(&req::SOCKET_HANDSHAKE_TOKEN, &device, "authenticated", |_| true)
        .await?;
    w.equal(
        &req::SHAPES_USER_OWN_FIELDS,
        "email",
        ann.email.clone(),
        event["user"]["email"].clone(),
    );
    w.equal(requirement, "id", ann.id.clone(), event["user"]["id"].clone());
    let ack = device.ask("update_status", json!({"status": "busy"})).await?;
    w.equal(requirement, "ok", true, ack["ok"].clone());
    Ok(())
}

async fn the_handshake_authenticates_over_websocket(w: World) -> Outcome {
    over(w, Transport::Websocket, &req::SOCKET_TRANSPORT_WEBSOCKET).await
}

async fn the_handshake_authenticates_over_polling(w: World) -> Outcome {
    over(w, Transport::Polling, &req::SOCKET_TRANSPORT_POLLING).await
}

async fn bad_handshakes_are_refused(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    for (requirement, token, codes) in [
        (
            &req::SOCKET_HANDSHAKE_BAD_TOKEN,
            json!("garbage"),
            &["TOKEN_INVALID"][..],
        ),
        (&req::SOCKET_HANDSHAKE_BAD_TOKEN, json!(7), &["TOKEN_INVALID"]),
        (
            &req::SOCKET_HANDSHAKE_EMPTY_TOKEN,
            json!(""),
            &["TOKEN_INVALID", "TOKEN_MISSING"],
        ),
        (
            &req::SOCKET_HANDSHAKE_REFRESH_TOKEN,
            json!(ann.refresh),
            &["TOKEN_INVALID"],
        ),
    ] {
        match ann.connect(Transport::Websocket, Some(json!({"token": token}))).await? {
            Connection::Open(_) => {
                w.check(requirement, false, "a refusal", "a connection");
            }
            Connection::Refused(refused) => {
                let message = refused.0["message"].as_str().unwrap_or_default().to_owned();
                w.check(
                    requirement,
                    codes.contains(&message.as_str()),
                    format!("{codes:?}"),
                    &refused.0,
                );
                w.shaped(requirement, "ConnectError", &refused.0);
                w.check(
                    &req::SOCKET_HANDSHAKE_ERROR_DATA,
                    refused.0["data"]["code"] == message.as_str(),
                    "data with code and message",
                    &refused.0,
                );
            }
        }
    }
    Ok(())
}

async fn a_socket_authenticates_by_event(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let device = open(&ann, None).await?;
    let ack = device.ask("authenticate", json!({"token": ann.access})).await?;
    w.shaped(&req::SOCKET_AUTHENTICATE_EVENT, "AuthenticateAck", &ack);
    w.equal(
        &req::SOCKET_AUTHENTICATE_EVENT,
        "user.id",
        ann.id.clone(),
        ack["user"]["id"].clone(),
    );
    w.arrives(&req::SOCKET_AUTHENTICATE_EVENT, &device, "authenticated", |_| true)
        .await?;
    let again = device.ask("authenticate", json!({"token": ann.access})).await?;
    w.equal(&req::SOCKET_AUTHENTICATE_SAME_USER, "ok", true, again["ok"].clone());
    w.arrives(&req::SOCKET_AUTHENTICATE_SAME_USER, &device, "authenticated", |_| true)
        .await?;
    let quiet = open(&ann, Some(json!({}))).await?;
    quiet.emit("authenticate", json!({"token": ann.access}));
    w.arrives(&req::SOCKET_AUTHENTICATE_EVENT, &quiet, "authenticated", |_| true)
        .await?;
    Ok(())
}

async fn nothing_works_before_authentication(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = open(&ann, None).await?;
    for (event, payload) in [
        ("send_message", json!({"to": bob.id, "content": "x"})),
        ("typing", json!({"to": bob.id, "isTyping": true})),
        ("update_status", json!({"status": "busy"})),
        ("join_chat", json!({"chatId": "x"})),
        ("read_receipt", json!({"messageId": "x", "chatId": "y"})),
    ] {
        w.refused_ack(
            &req::SOCKET_AUTHENTICATE_BEFORE,
            &device.ask(event, payload.clone()).await?,
            "UNAUTHENTICATED",
        );
        device.emit(event, payload);
        w.arrives(&req::SOCKET_AUTHENTICATE_BEFORE, &device, "error", |p| {
            p["code"] == "UNAUTHENTICATED"
        })
        .await?;
    }
    Ok(())
}

async fn a_bad_token_may_be_corrected(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let device = open(&ann, None).await?;
    for token in [json!("garbage"), json!(ann.refresh)] {
        w.refused_ack(
            &req::SOCKET_AUTHENTICATE_BAD_TOKEN,
            &device.ask("authenticate", json!({"token": token})).await?,
            "TOKEN_INVALID",
        );
    }
    w.refused_ack(
        &req::EVENTS_PAYLOAD_MALFORMED,
        &device.ask("authenticate", json!({})).await?,
        "VALIDATION_ERROR",
    );
    let ack = device.ask("authenticate", json!({"token": ann.access})).await?;
    w.equal(&req::SOCKET_AUTHENTICATE_BAD_TOKEN, "ok", true, ack["ok"].clone());
    Ok(())
}

async fn a_socket_stays_its_users(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = ann.device().await?;
    w.refused_ack(
        &req::SOCKET_AUTHENTICATE_SECOND_USER,
        &device.ask("authenticate", json!({"token": bob.access})).await?,
        "ALREADY_AUTHENTICATED",
    );
    let eve = w.user("eve").await?;
    eve.must_send(&bob.id, "for bob").await?;
    w.absent(
        &req::SOCKET_AUTHENTICATE_SECOND_USER,
        &device,
        &eve,
        "message for bob",
        |name, p| name == "new_message" && p["content"] == "for bob",
    )
    .await
}

async fn nothing_arrives_before_authentication(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let requirement = &req::SOCKET_AUTHENTICATE_NO_EARLY_EVENT;
    let eve = w.user("eve").await?;
    for partner in [&bob, &eve] {
        partner.must_send(&ann.id, "hello").await?;
    }
    // What nobody has specified is the server's own affair, unless it tells of somebody.
    let people = [ann.id.clone(), bob.id.clone(), eve.id.clone()];
    let concerns = |name: &str, payload: &Value| {
        let text = payload.to_string();
        is_known(name) || people.iter().any(|id| text.contains(id.as_str()))
    };
    let nothing = |heard: Option<(String, Value)>| {
        let got = heard.as_ref().map(|(name, payload)| format!("{name} {payload}"));
        w.check(
            requirement,
            heard.is_none(),
            "nothing before authentication",
            got.unwrap_or_default(),
        );
    };
    // Sockets that are to be Ann's and are nobody's yet, beside one at the same node that is hers.
    let ann = ann.at(ann.node());
    let (first, witness, bobs) = (open(&ann, None).await?, ann.device().await?, bob.device().await?);
    eve.device().await?.disconnect().await;
    for event in ["user_online", "user_offline"] {
        witness.take(event, |p| p["userId"] == eve.id.as_str()).await;
    }
    let opened = Instant::now();
    let guest = open(&ann, None).await?;
    let early = ann.must_send(&bob.id, "too early").await?;
    let path = format!("/api/messages/{}", early["id"].as_str().unwrap_or_default());
    bobs.must_ask(
        "read_receipt",
        json!({"messageId": early["id"], "chatId": early["chatId"]}),
    )
    .await?;
    bobs.must_ask("update_status", json!({"status": "busy"})).await?;
    for is_typing in [true, false] {
        bobs.must_ask("typing", json!({"to": ann.id, "isTyping": is_typing}))
            .await?;
    }
    bobs.emit("no_such_event", json!({}));
    bobs.take("error", |_| true).await;
    bobs.emit("send_message", json!({"to": ann.id, "content": "too early as well"}));
    bobs.must_take("message_sent", |_| true).await?;
    bobs.emit("authenticate", json!({"token": bob.access}));
    bobs.take("authenticated", |_| true).await;
    // What these answer is judged elsewhere.
    let _ = ann.put(&path, &json!({"content": "still too early"})).await?;
    let _ = ann.delete(&path).await?;
    // When the last of it has come to those whom it is for, all has been told.
    for event in ["new_message", "message_read", "user_status_changed"] {
        witness.take(event, |_| true).await;
    }
    // Who does not claim edits tells nobody of them.
    witness
        .take_within(Duration::from_secs(2), "message_deleted", |_| true)
        .await;
    witness.take("typing_status", |p| p["isTyping"] == false).await;
    bob.must_send(&ann.id, "the last one too early").await?;
    witness
        .must_take("new_message", |p| p["content"] == "the last one too early")
        .await?;
    if opened.elapsed() > MAY_WAIT {
        return Err(Stop::TooSlow(
            "the socket had to be put out before it could be judged".into(),
        ));
    }
    nothing(guest.find(concerns));
    // That one may have been put out by now, and told so.
    nothing(first.find(|name, payload| name != "error" && concerns(name, payload)));
    guest.must_ask("authenticate", json!({"token": ann.access})).await?;
    guest.must_take("authenticated", |_| true).await?;
    // What was on its way then has come before what is sent now. Of presence, anything may come from here on.
    bob.must_send(&ann.id, "in time").await?;
    guest.must_take("new_message", |p| p["content"] == "in time").await?;
    nothing(guest.find(|name, payload| !is_presence(name) && concerns(name, payload)));
    Ok(())
}
