//! What holds for every client event.

use chat_spec::{ClientEvent, req};
use serde_json::{Value, json};

use super::{is_known, is_presence};
use crate::cases;
use crate::engine::{Outcome, World};

cases!("events":
    unknown_events [EVENTS_UNKNOWN_CODE],
    malformed_payloads [ERRORS_DETAILS_ALL_FIELDS_AT_ONCE, EVENTS_ACK_FAILURE, EVENTS_PAYLOAD_MALFORMED],
    binary_payloads [EVENTS_PAYLOAD_BINARY, EVENTS_PAYLOAD_PROCESS_LIVES],
    large_payloads [EVENTS_PAYLOAD_SOCKET_LIVES, EVENTS_PAYLOAD_TOO_LARGE],
    join_chat [JOIN_DELIVERY_NOT_NEEDED, JOIN_PARTICIPANT_OK, JOIN_SILENT_TO_OTHERS, JOIN_STRANGER_NOT_FOUND],
    failures_without_ack [
        EVENTS_NO_ACK_ERROR_EVENT, JOIN_DELIVERY_NOT_NEEDED, JOIN_PARTICIPANT_OK, JOIN_SILENT_TO_OTHERS,
        JOIN_STRANGER_NOT_FOUND,
    ],
    a_failure_with_ack_makes_no_error_event [EVENTS_ACK_FAILURE],
);

async fn unknown_events(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let device = ann.device().await?;
    // None that Socket.IO reserves: with one of those, such as `disconnecting`, a packet is malformed for its libraries.
    for name in ["nonsense", "new_message", "SEND_MESSAGE", "", "__proto__"] {
        device.emit(name, json!({}));
        w.arrives(&req::EVENTS_UNKNOWN_CODE, &device, "error", |p| {
            p["code"] == "UNKNOWN_EVENT"
        })
        .await?;
    }
    w.refused_ack(
        &req::EVENTS_UNKNOWN_CODE,
        &device.ask("nonsense", json!({})).await?,
        "UNKNOWN_EVENT",
    );
    Ok(())
}

async fn malformed_payloads(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = ann.device().await?;
    for event in ClientEvent::ALL {
        let name = event.name();
        let mut bad: Vec<Vec<Value>> = vec![
            vec![],
            vec![json!(null)],
            vec![json!([])],
            vec![json!("text")],
            vec![json!(7)],
            vec![json!(true)],
            vec![json!({})],
        ];
        bad.push(vec![
            json!({"to": 1, "content": 2, "token": 3, "chatId": 4, "messageId": 5, "isTyping": 6, "status": 7}),
        ]);
        bad.push(vec![json!({"to": bob.id, "content": "x", "token": "t", "chatId": "c", "messageId": "m", "isTyping": true, "status": "busy"}), json!("surplus")]);
        for arguments in bad {
            let ack = device.ask_raw(name, &arguments).await?;
            w.refused_ack(&req::EVENTS_PAYLOAD_MALFORMED, &ack, "VALIDATION_ERROR");
        }
        device.emit_raw(name, &[]);
        w.arrives(&req::EVENTS_PAYLOAD_MALFORMED, &device, "error", |p| {
            p["code"] == "VALIDATION_ERROR"
        })
        .await?;
    }
    let two = device
        .ask(
            "send_message",
            json!({"to": bob.id, "content": "", "messageType": "video"}),
        )
        .await?;
    w.refused_ack(&req::EVENTS_ACK_FAILURE, &two, "VALIDATION_ERROR");
    let fields: Vec<&str> = two["error"]["details"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|d| d["field"].as_str())
        .collect();
    w.check(
        &req::ERRORS_DETAILS_ALL_FIELDS_AT_ONCE,
        fields.contains(&"content") && fields.contains(&"messageType"),
        "content and messageType",
        format!("{fields:?}"),
    );
    Ok(())
}

async fn binary_payloads(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = ann.device().await?;
    w.refused_ack(
        &req::EVENTS_PAYLOAD_BINARY,
        &device.ask_binary("send_message", &[1, 2, 3]).await?,
        "VALIDATION_ERROR",
    );
    device.send_raw("42[");
    device.send_raw("42{}");
    device.send_raw("4");
    device.send_raw("hello");
    // Such packets may end their own socket and nothing else.
    let other = ann.device().await?;
    let ack = other
        .ask("send_message", json!({"to": bob.id, "content": "still here"}))
        .await?;
    w.equal(&req::EVENTS_PAYLOAD_PROCESS_LIVES, "ok", true, ack["ok"].clone());
    Ok(())
}

async fn large_payloads(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = ann.device().await?;
    for size in [66_000, 300_000, 990_000] {
        let ack = device
            .ask("send_message", json!({"to": bob.id, "content": "x".repeat(size)}))
            .await?;
        w.refused_ack(&req::EVENTS_PAYLOAD_TOO_LARGE, &ack, "PAYLOAD_TOO_LARGE");
    }
    let ack = device
        .ask("send_message", json!({"to": bob.id, "content": "small"}))
        .await?;
    w.equal(&req::EVENTS_PAYLOAD_SOCKET_LIVES, "ok", true, ack["ok"].clone());
    Ok(())
}

async fn join_chat(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let chat = ann.must_send(&bob.id, "hello").await?["chatId"].clone();
    let (a1, b1, e1) = (ann.device().await?, bob.device().await?, eve.device().await?);
    let ack = a1.ask("join_chat", json!({"chatId": chat})).await?;
    w.shaped(&req::JOIN_PARTICIPANT_OK, "JoinChatAck", &ack);
    w.equal(&req::JOIN_PARTICIPANT_OK, "chatId", chat.clone(), ack["chatId"].clone());
    w.refused_ack(
        &req::JOIN_STRANGER_NOT_FOUND,
        &e1.ask("join_chat", json!({"chatId": chat})).await?,
        "CHAT_NOT_FOUND",
    );
    for id in ["ffffffffffffffffffffffff", "not an id"] {
        w.refused_ack(
            &req::JOIN_STRANGER_NOT_FOUND,
            &a1.ask("join_chat", json!({"chatId": id})).await?,
            "CHAT_NOT_FOUND",
        );
    }
    let quiet = ["new_message", "authenticated"];
    // Whose presence people hear of who share no chat is the server's choice, and so is what nobody has specified, unless it tells of
    // this chat or of who joined it.
    let tells = |payload: &Value| {
        let text = payload.to_string();
        [ann.id.as_str(), chat.as_str().unwrap_or(&ann.id)]
            .iter()
            .any(|id| text.contains(id))
    };
    w.absent(
        &req::JOIN_SILENT_TO_OTHERS,
        &b1,
        &ann,
        "sign of a join",
        |name, payload| !quiet.contains(&name) && !is_presence(name) && (is_known(name) || tells(payload)),
    )
    .await?;
    // By its socket, which is not told itself: whoever loses the last event loses this one.
    b1.must_ask("send_message", json!({"to": ann.id, "content": "delivered"}))
        .await?;
    w.arrives(&req::JOIN_DELIVERY_NOT_NEEDED, &a1, "new_message", |p| {
        p["content"] == "delivered"
    })
    .await?;
    Ok(())
}

async fn failures_without_ack(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = ann.device().await?;
    let unknown = "ffffffffffffffffffffffff";
    for (event, payload, code) in [
        ("send_message", json!({"to": unknown, "content": "x"}), "USER_NOT_FOUND"),
        (
            "send_message",
            json!({"to": ann.id, "content": "x"}),
            "CANNOT_MESSAGE_SELF",
        ),
        ("typing", json!({"to": unknown, "isTyping": true}), "USER_NOT_FOUND"),
        ("join_chat", json!({"chatId": unknown}), "CHAT_NOT_FOUND"),
        (
            "read_receipt",
            json!({"messageId": unknown, "chatId": unknown}),
            "MESSAGE_NOT_FOUND",
        ),
        ("update_status", json!({"status": "dancing"}), "INVALID_STATUS"),
    ] {
        device.emit(event, payload);
        w.arrives(&req::EVENTS_NO_ACK_ERROR_EVENT, &device, "error", |p| p["code"] == code)
            .await?;
    }
    // One failure is one event.
    w.absent(
        &req::EVENTS_NO_ACK_ERROR_EVENT,
        &device,
        &bob,
        "second error event",
        |name, _| name == "error",
    )
    .await
}

async fn a_failure_with_ack_makes_no_error_event(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = ann.device().await?;
    for (event, payload, code) in [
        (
            "send_message",
            json!({"to": "ffffffffffffffffffffffff", "content": "x"}),
            "USER_NOT_FOUND",
        ),
        ("typing", json!({"to": ann.id, "isTyping": true}), "CANNOT_MESSAGE_SELF"),
        ("update_status", json!({"status": "dancing"}), "INVALID_STATUS"),
    ] {
        w.refused_ack(&req::EVENTS_ACK_FAILURE, &device.ask(event, payload).await?, code);
    }
    w.absent(&req::EVENTS_ACK_FAILURE, &device, &bob, "error event", |name, _| {
        name == "error"
    })
    .await
}
