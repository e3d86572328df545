//! Every client event with every payload that is none, with and without an ack, in every state of the socket.

use chat_spec::{ClientEvent, Profile, req};
use serde_json::{Value, json};

use super::fixture::{Fixture, UNKNOWN};
use crate::cases;
use crate::engine::{Connection, Device, Outcome, Stop, Transport, World};

cases!("every event":
    malformed_payloads_with_and_without_ack [
        EVENTS_ACK_FAILURE, EVENTS_NO_ACK_ERROR_EVENT, EVENTS_PAYLOAD_MALFORMED, EVENTS_PAYLOAD_SOCKET_LIVES,
    ],
    guests_are_refused_everything_else [SOCKET_AUTHENTICATE_BAD_TOKEN, SOCKET_AUTHENTICATE_BEFORE],
    payloads_that_are_too_large [EVENTS_PAYLOAD_SOCKET_LIVES, EVENTS_PAYLOAD_TOO_LARGE],
    binary_payloads_of_every_event [EVENTS_ACK_FAILURE, EVENTS_PAYLOAD_BINARY, EVENTS_PAYLOAD_SOCKET_LIVES],
    successes_and_failures_of_every_event [
        ERRORS_SHAPE_ACK, EVENTS_ACK_FAILURE, EVENTS_ACK_SUCCESS, EVENTS_ERROR_THAT_SOCKET, EVENTS_NO_ACK_ERROR_EVENT,
        EVENTS_PAYLOAD_SOCKET_LIVES, EVENTS_UNKNOWN_CODE, SEND_CHAT_MATCHING,
    ],
);

/// Arguments that are not one object.
fn malformed(good: &Value) -> Vec<Vec<Value>> {
    vec![
        vec![],
        vec![json!(null)],
        vec![json!([])],
        vec![json!([good])],
        vec![json!("text")],
        vec![json!("")],
        vec![json!(good.to_string())],
        vec![json!(0)],
        vec![json!(1e300)],
        vec![json!(false)],
        vec![json!({})],
        vec![json!({"": ""})],
        vec![good.clone(), json!(null)],
        vec![good.clone(), good.clone()],
        vec![json!(null), good.clone()],
    ]
}

/// Judges that nothing arrived at the device that speaks of a failure which was answered by an ack.
async fn quiet(w: &World, device: &Device) -> Outcome {
    // The answer to a later question is the fence: one socket is answered in order.
    let ack = device.ask("update_status", json!({"status": "online"})).await?;
    let found = device.find(|name, _| name == "error");
    let got = found.map(|(_, error)| error.to_string()).unwrap_or_default();
    w.check(
        &req::EVENTS_ACK_FAILURE,
        got.is_empty(),
        "no error event behind an ack",
        got,
    );
    w.equal(&req::EVENTS_PAYLOAD_SOCKET_LIVES, "ok", true, ack["ok"].clone());
    Ok(())
}

async fn malformed_payloads_with_and_without_ack(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for transport in [Transport::Websocket, Transport::Polling] {
        let device = f.ann.device_over(transport).await?;
        for event in ClientEvent::ALL.iter().copied() {
            for arguments in malformed(&f.payload(event)) {
                let ack = device.ask_raw(event.name(), &arguments).await?;
                w.refused_ack(&req::EVENTS_PAYLOAD_MALFORMED, &ack, "VALIDATION_ERROR");
            }
            quiet(&w, &device).await?;
            let all = malformed(&f.payload(event));
            all.iter()
                .for_each(|arguments| device.emit_raw(event.name(), arguments));
            for _ in all {
                let is_it = |error: &Value| error["code"] == "VALIDATION_ERROR";
                w.arrives(&req::EVENTS_NO_ACK_ERROR_EVENT, &device, "error", is_it)
                    .await?;
            }
        }
        quiet(&w, &device).await?;
    }
    let history = f.bob.conversation(&f.ann, "").await?;
    w.equal(&req::EVENTS_PAYLOAD_MALFORMED, "messages", 2, history.items()?.len());
    Ok(())
}

async fn guest(f: &Fixture) -> Result<Device, Stop> {
    match f.ann.connect(Transport::Websocket, None).await? {
        Connection::Open(device) => Ok(device),
        Connection::Refused(refused) => Err(Stop::Inconclusive(format!("a guest was refused: {}", refused.0))),
    }
}

async fn guests_are_refused_everything_else(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for event in ClientEvent::ALL
        .iter()
        .copied()
        .filter(|event| *event != ClientEvent::Authenticate)
    {
        // One for each: a guest is shown out after a while.
        let device = guest(&f).await?;
        for payload in [f.payload(event), json!({}), json!(null), json!([])] {
            let ack = device.ask(event.name(), payload.clone()).await?;
            w.refused_ack(&req::SOCKET_AUTHENTICATE_BEFORE, &ack, "UNAUTHENTICATED");
            device.emit(event.name(), payload);
            w.arrives(&req::SOCKET_AUTHENTICATE_BEFORE, &device, "error", |error| {
                error["code"] == "UNAUTHENTICATED"
            })
            .await?;
        }
    }
    let device = guest(&f).await?;
    for token in [&f.ann.refresh, "garbage", "e30.e30.e30"] {
        let ack = device.ask("authenticate", json!({"token": token})).await?;
        w.refused_ack(&req::SOCKET_AUTHENTICATE_BAD_TOKEN, &ack, "TOKEN_INVALID");
        device.emit("authenticate", json!({"token": token}));
        w.arrives(&req::SOCKET_AUTHENTICATE_BAD_TOKEN, &device, "error", |error| {
            error["code"] == "TOKEN_INVALID"
        })
        .await?;
    }
    let history = f.bob.conversation(&f.ann, "").await?;
    w.equal(&req::SOCKET_AUTHENTICATE_BEFORE, "messages", 2, history.items()?.len());
    let status = f.bob.get(&format!("/api/users/{}/status", f.ann.id)).await?;
    w.equal(
        &req::SOCKET_AUTHENTICATE_BEFORE,
        "status",
        "offline",
        status.body["status"].clone(),
    );
    let ack = device.ask("authenticate", f.payload(ClientEvent::Authenticate)).await?;
    w.equal(&req::SOCKET_AUTHENTICATE_BAD_TOKEN, "ok", true, ack["ok"].clone());
    Ok(())
}

async fn payloads_that_are_too_large(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let device = f.ann.device().await?;
    for event in ClientEvent::ALL.iter().copied() {
        let mut payload = f.payload(event);
        payload["padding"] = "p".repeat(60_000).into();
        let ack = device.ask(event.name(), payload.clone()).await?;
        w.equal(
            &req::EVENTS_PAYLOAD_TOO_LARGE,
            "ok below the limit",
            true,
            ack["ok"].clone(),
        );
        for size in [66_000, 400_000] {
            payload["padding"] = "p".repeat(size).into();
            let ack = device.ask(event.name(), payload.clone()).await?;
            w.refused_ack(&req::EVENTS_PAYLOAD_TOO_LARGE, &ack, "PAYLOAD_TOO_LARGE");
        }
        payload["padding"] = "p".repeat(66_000).into();
        device.emit(event.name(), payload);
        w.arrives(&req::EVENTS_PAYLOAD_TOO_LARGE, &device, "error", |error| {
            error["code"] == "PAYLOAD_TOO_LARGE"
        })
        .await?;
    }
    w.check(
        &req::EVENTS_PAYLOAD_SOCKET_LIVES,
        device.is_open(),
        "a socket that lives",
        device.state(),
    );
    Ok(())
}

async fn binary_payloads_of_every_event(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for transport in [Transport::Websocket, Transport::Polling] {
        let device = f.ann.device_over(transport).await?;
        for event in ClientEvent::ALL.iter().copied() {
            for bytes in [&[][..], &[0], &[0xff; 1000], b"{\"to\":\"x\"}"] {
                let ack = device.ask_binary(event.name(), bytes).await?;
                w.refused_ack(&req::EVENTS_PAYLOAD_BINARY, &ack, "VALIDATION_ERROR");
            }
        }
        quiet(&w, &device).await?;
    }
    Ok(())
}

/// Every failure of an event of its own, beside those that all have.
fn failures(f: &Fixture) -> Vec<(ClientEvent, Value, &'static str)> {
    let (to, own) = (&f.bob.id, &f.ann.id);
    let receipt = |message: &Value, chat: &Value| json!({"messageId": message, "chatId": chat});
    let (unknown, chat) = (json!(UNKNOWN), &f.sent["chatId"]);
    vec![
        (ClientEvent::Authenticate, json!({"token": "garbage"}), "TOKEN_INVALID"),
        (
            ClientEvent::Authenticate,
            json!({"token": f.ann.refresh}),
            "TOKEN_INVALID",
        ),
        (
            ClientEvent::Authenticate,
            json!({"token": f.bob.access}),
            "ALREADY_AUTHENTICATED",
        ),
        (ClientEvent::JoinChat, json!({"chatId": UNKNOWN}), "CHAT_NOT_FOUND"),
        (ClientEvent::JoinChat, json!({"chatId": "not an id"}), "CHAT_NOT_FOUND"),
        (ClientEvent::JoinChat, json!({"chatId": to}), "CHAT_NOT_FOUND"),
        (
            ClientEvent::SendMessage,
            json!({"to": UNKNOWN, "content": "x"}),
            "USER_NOT_FOUND",
        ),
        (
            ClientEvent::SendMessage,
            json!({"to": "not an id", "content": "x"}),
            "USER_NOT_FOUND",
        ),
        (
            ClientEvent::SendMessage,
            json!({"to": own, "content": "x"}),
            "CANNOT_MESSAGE_SELF",
        ),
        (
            ClientEvent::SendMessage,
            json!({"to": to, "content": "x", "chatId": UNKNOWN}),
            "CHAT_MISMATCH",
        ),
        (
            ClientEvent::SendMessage,
            json!({"to": to, "content": "other", "clientMessageId": "c-1"}),
            "CLIENT_MESSAGE_ID_REUSED",
        ),
        (
            ClientEvent::SendMessage,
            json!({"to": to, "content": "one", "clientMessageId": "c-1", "messageType": "file"}),
            "CLIENT_MESSAGE_ID_REUSED",
        ),
        (
            ClientEvent::Typing,
            json!({"to": UNKNOWN, "isTyping": true}),
            "USER_NOT_FOUND",
        ),
        (
            ClientEvent::Typing,
            json!({"to": own, "isTyping": false}),
            "CANNOT_MESSAGE_SELF",
        ),
        (ClientEvent::ReadReceipt, receipt(&unknown, chat), "MESSAGE_NOT_FOUND"),
        (
            ClientEvent::ReadReceipt,
            receipt(&f.received["id"], &unknown),
            "MESSAGE_NOT_FOUND",
        ),
        (
            ClientEvent::ReadReceipt,
            receipt(&f.sent["id"], chat),
            "NOT_MESSAGE_RECEIVER",
        ),
        (
            ClientEvent::UpdateStatus,
            json!({"status": "dancing"}),
            "INVALID_STATUS",
        ),
    ]
}

async fn successes_and_failures_of_every_event(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let (device, sibling) = (f.ann.device().await?, f.ann.device().await?);
    for event in ClientEvent::ALL.iter().copied() {
        let ack = device.ask(event.name(), f.payload(event)).await?;
        w.equal(&req::EVENTS_ACK_SUCCESS, event.name(), true, ack["ok"].clone());
        w.shaped(&req::EVENTS_ACK_SUCCESS, event.ack_schema(), &ack);
        device.emit(event.name(), f.payload(event));
    }
    let first = json!({"to": f.bob.id, "content": "one", "clientMessageId": "c-1"});
    w.equal(
        &req::EVENTS_ACK_SUCCESS,
        "ok",
        true,
        device.ask("send_message", first).await?["ok"].clone(),
    );
    for chat in [&f.sent["chatId"], &json!(null)] {
        let payload = json!({"to": f.bob.id, "content": "in its chat", "chatId": chat});
        let ack = device.ask("send_message", payload).await?;
        w.equal(
            &req::SEND_CHAT_MATCHING,
            "chatId",
            f.sent["chatId"].clone(),
            ack["chatId"].clone(),
        );
    }
    quiet(&w, &device).await?;
    for (event, payload, code) in failures(&f) {
        if code == "CLIENT_MESSAGE_ID_REUSED" && !w.target.claims(Profile::Recovery) {
            continue;
        }
        let ack = device.ask(event.name(), payload.clone()).await?;
        w.refused_ack(&req::EVENTS_ACK_FAILURE, &ack, code);
        w.shaped(&req::ERRORS_SHAPE_ACK, event.ack_schema(), &ack);
        quiet(&w, &device).await?;
        device.emit(event.name(), payload);
        let is_it = |error: &Value| error["code"] == code;
        w.arrives(&req::EVENTS_NO_ACK_ERROR_EVENT, &device, "error", is_it)
            .await?;
    }
    for name in [
        "no_such_event",
        "NEW_MESSAGE",
        "new_message",
        "message",
        "join",
        "constructor",
    ] {
        w.refused_ack(
            &req::EVENTS_UNKNOWN_CODE,
            &device.ask(name, json!({})).await?,
            "UNKNOWN_EVENT",
        );
        device.emit(name, json!({}));
        w.arrives(&req::EVENTS_UNKNOWN_CODE, &device, "error", |error| {
            error["code"] == "UNKNOWN_EVENT"
        })
        .await?;
    }
    w.absent(
        &req::EVENTS_ERROR_THAT_SOCKET,
        &sibling,
        &f.bob,
        "error of another socket",
        |name, _| name == "error",
    )
    .await
}
