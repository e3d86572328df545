//! Who gets what of a message.

use std::pin::pin;
use std::time::{Duration, Instant};

use chat_spec::{Profile, req};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::cases;
use crate::engine::{Device, Outcome, PATIENCE, Stop, Transport, User, World};

/// Typing is over by itself after 6 s.
const TYPING_LASTS: Duration = Duration::from_millis(5500);

cases!("delivery":
    a_message_by_event_goes_to_every_device [
        EVENTS_ACK_SUCCESS, MESSAGE_ACK_FIELDS, MESSAGE_NEW_AGREES, MESSAGE_NEW_EXACTLY_ONCE, MESSAGE_NEW_NOBODY_ELSE,
        MESSAGE_NEW_RECEIVER_DEVICES, MESSAGE_NEW_SENDER_OTHER_DEVICES, MESSAGE_SENT_SENDING_SOCKET,
        PROMISES_AT_MOST_ONCE_CONNECTION,
    ],
    a_message_by_rest_goes_to_all_devices [MESSAGE_SENT_AFTER_REST, PROMISES_ONE_SYSTEM_REST_TO_SOCKET],
    delivery_over_polling [SOCKET_TRANSPORT_POLLING],
    every_event_over_polling [SOCKET_TRANSPORT_POLLING],
    what_one_device_sends_keeps_its_order [EVENTS_ORDER_ONE_DEVICE],
    what_a_device_told_last_is_heard_last [EVENTS_ORDER_ONE_DEVICE],
    senders_at_once_leave_no_gap [PROMISES_SEQ_GAPLESS, PROMISES_SEQ_ORDER_OF_SENDERS, PROMISES_SEQ_VISIBLE_BEFORE],
    sends_are_refused_by_event [
        SEND_CHAT_MISMATCH, SEND_CONTENT_BLANK, SEND_CONTENT_LENGTH, SEND_CONTENT_NUL, SEND_IDEMPOTENT_REUSED,
        SEND_TO_SELF, SEND_TO_UNKNOWN, SEND_TYPE_KNOWN,
    ],
);

async fn a_message_by_event_goes_to_every_device(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let (a1, a2, b1, b2, e1) = (
        ann.device().await?,
        ann.device().await?,
        bob.device().await?,
        bob.device().await?,
        eve.device().await?,
    );
    let ack = a1
        .ask(
            "send_message",
            json!({"to": bob.id, "content": "to all", "clientMessageId": "m-1"}),
        )
        .await?;
    w.accepted(&req::EVENTS_ACK_SUCCESS, &ack)?;
    w.shaped(&req::MESSAGE_ACK_FIELDS, "SendMessageAck", &ack);
    let sent = w
        .arrives(&req::MESSAGE_SENT_SENDING_SOCKET, &a1, "message_sent", |p| {
            p["messageId"] == ack["messageId"]
        })
        .await?;
    if w.target.claims(Profile::Recovery) {
        w.equal(
            &req::MESSAGE_SENT_SENDING_SOCKET,
            "clientMessageId",
            "m-1",
            sent["clientMessageId"].clone(),
        );
    }
    let history = bob.conversation(&ann, "").await?.good()?.body["items"][0].clone();
    for (requirement, device) in [
        (&req::MESSAGE_NEW_SENDER_OTHER_DEVICES, &a2),
        (&req::MESSAGE_NEW_RECEIVER_DEVICES, &b1),
        (&req::MESSAGE_NEW_RECEIVER_DEVICES, &b2),
    ] {
        let event = w
            .arrives(requirement, device, "new_message", |p| {
                p["messageId"] == ack["messageId"]
            })
            .await?;
        let agrees = event["seq"] == ack["seq"]
            && event["timestamp"] == ack["timestamp"]
            && event["chatId"] == ack["chatId"]
            && history["id"] == event["messageId"]
            && history["seq"] == event["seq"]
            && history["content"] == event["content"]
            && history["timestamp"] == event["timestamp"];
        w.check(&req::MESSAGE_NEW_AGREES, agrees, format!("{ack} and {history}"), &event);
    }
    let about = |name: &str, p: &serde_json::Value| {
        matches!(name, "new_message" | "message_sent") && p["messageId"] == ack["messageId"]
    };
    w.absent(
        &req::MESSAGE_NEW_SENDER_OTHER_DEVICES,
        &a1,
        &bob,
        "new_message at the sending device",
        about,
    )
    .await?;
    w.absent(
        &req::MESSAGE_SENT_SENDING_SOCKET,
        &a2,
        &bob,
        "message_sent at another device",
        about,
    )
    .await?;
    for device in [&b1, &b2] {
        w.absent(
            &req::MESSAGE_NEW_EXACTLY_ONCE,
            device,
            &ann,
            "second new_message",
            about,
        )
        .await?;
    }
    w.check(&req::PROMISES_AT_MOST_ONCE_CONNECTION, true, "", "");
    w.absent(&req::MESSAGE_NEW_NOBODY_ELSE, &e1, &ann, "message of others", about)
        .await
}

async fn a_message_by_rest_goes_to_all_devices(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, b1) = (ann.device().await?, bob.device().await?);
    let message = ann.must_send(&bob.id, "by rest").await?;
    for device in [&a1, &b1] {
        w.arrives(&req::PROMISES_ONE_SYSTEM_REST_TO_SOCKET, device, "new_message", |p| {
            p["messageId"] == message["id"]
        })
        .await?;
    }
    w.absent(&req::MESSAGE_SENT_AFTER_REST, &a1, &bob, "message_sent", |name, _| {
        name == "message_sent"
    })
    .await
}

async fn delivery_over_polling(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, b1) = (
        ann.device_over(Transport::Polling).await?,
        bob.device_over(Transport::Polling).await?,
    );
    for number in 0..5 {
        let ack = a1
            .ask(
                "send_message",
                json!({"to": bob.id, "content": format!("poll {number}")}),
            )
            .await?;
        w.equal(&req::SOCKET_TRANSPORT_POLLING, "ok", true, ack["ok"].clone());
        w.arrives(&req::SOCKET_TRANSPORT_POLLING, &b1, "new_message", |p| {
            p["messageId"] == ack["messageId"]
        })
        .await?;
    }
    a1.emit("nonsense", json!({}));
    w.arrives(&req::SOCKET_TRANSPORT_POLLING, &a1, "error", |p| {
        p["code"] == "UNKNOWN_EVENT"
    })
    .await?;
    Ok(())
}

async fn every_event_over_polling(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let message = ann.must_send(&bob.id, "hello").await?;
    let requirement = &req::SOCKET_TRANSPORT_POLLING;
    let watcher = bob.device_over(Transport::Polling).await?;
    let a1 = ann.device_over(Transport::Polling).await?;
    let of_ann = |event: &serde_json::Value| event["userId"] == ann.id.as_str();
    w.arrives(requirement, &watcher, "user_online", of_ann).await?;
    a1.must_ask("update_status", json!({"status": "busy"})).await?;
    w.arrives(requirement, &watcher, "user_status_changed", of_ann).await?;
    a1.must_ask("typing", json!({"to": bob.id, "isTyping": true})).await?;
    w.arrives(requirement, &watcher, "typing_status", |event| {
        event["isTyping"] == true
    })
    .await?;
    bob.post("/api/messages/mark-read", &json!({"messageIds": [message["id"]]}))
        .await?
        .succeeded()?;
    let path = format!("/api/messages/{}", message["id"].as_str().unwrap_or_default());
    ann.put(&path, &json!({"content": "edited"})).await?.succeeded()?;
    ann.delete(&path).await?.succeeded()?;
    for device in [&watcher, &a1] {
        for event in ["message_read", "message_edited", "message_deleted"] {
            if event == "message_read" || w.target.claims(Profile::Edits) {
                w.arrives(requirement, device, event, |_| true).await?;
            }
        }
    }
    a1.disconnect().await;
    w.arrives(requirement, &watcher, "user_offline", of_ann).await?;
    Ok(())
}

async fn what_one_device_sends_keeps_its_order(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, b1) = (ann.device().await?, bob.device().await?);
    let acks: Vec<_> = (0..100)
        .map(|number| a1.ask_later("send_message", json!({"to": bob.id, "content": format!("{number}")})))
        .collect();
    for (number, ack) in acks.into_iter().enumerate() {
        let ack = ack.await.unwrap_or_default();
        w.equal(&req::EVENTS_ORDER_ONE_DEVICE, "ok", true, ack["ok"].clone());
        // Without profile recovery there may be none.
        if !ack["seq"].is_null() {
            w.equal(&req::EVENTS_ORDER_ONE_DEVICE, "seq", number + 1, ack["seq"].clone());
        }
    }
    for number in 0..100 {
        let Some(event) = b1.take("new_message", |_| true).await else {
            w.check(
                &req::EVENTS_ORDER_ONE_DEVICE,
                false,
                format!("message {number}"),
                b1.state(),
            );
            return Ok(());
        };
        w.equal(
            &req::EVENTS_ORDER_ONE_DEVICE,
            "content",
            number.to_string(),
            event["content"].clone(),
        );
    }
    // The sending device hears of its own messages in the order in which it sent them.
    let mut last = 0;
    for _ in 0..100 {
        let sent = w
            .arrives(&req::EVENTS_ORDER_ONE_DEVICE, &a1, "message_sent", |_| true)
            .await?;
        let Some(seq) = sent["seq"].as_u64() else { break };
        w.check(
            &req::EVENTS_ORDER_ONE_DEVICE,
            seq > last,
            format!("message_sent behind {last}"),
            seq,
        );
        last = seq;
    }
    Ok(())
}

async fn what_a_device_told_last_is_heard_last(w: World) -> Outcome {
    let requirement = &req::EVENTS_ORDER_ONE_DEVICE;
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    ann.must_send(&bob.id, "hello").await?;
    let (a1, a2, b1) = (ann.device().await?, ann.device().await?, bob.device().await?);
    for status in ["away", "online", "away", "online", "away", "busy"] {
        a1.emit("update_status", json!({"status": status}));
    }
    let busy = ("status", json!("busy"));
    let of_ann = |p: &Value| p["userId"] == ann.id.as_str();
    for device in [&b1, &a2] {
        let heard = heard(device, "user_status_changed", of_ann, &busy, PATIENCE).await;
        let got = shown(device, &heard);
        w.check(requirement, ends_with(&heard, &busy), "busy as the last status", got);
    }
    let told = Instant::now();
    for is_typing in [true, false, false, true] {
        a1.emit("typing", json!({"to": bob.id, "isTyping": is_typing}));
    }
    let typing = ("isTyping", json!(true));
    let from_ann = |p: &Value| p["from"] == ann.id.as_str();
    let patience = TYPING_LASTS.saturating_sub(super::STRAGGLERS);
    let heard = heard(&b1, "typing_status", from_ann, &typing, patience).await;
    let ends = ends_with(&heard, &typing);
    let told_true = heard.iter().filter(|p| p["isTyping"] == true).count();
    // The second may still come; and after a while typing is over by itself.
    if told_true < 2 && !ends || told.elapsed() > TYPING_LASTS {
        return Err(Stop::TooSlow("whether it is typing was not heard in time".into()));
    }
    w.check(
        requirement,
        ends,
        "isTyping true as the last of typing",
        shown(&b1, &heard),
    );
    Ok(())
}

/// A member of a payload and what it is.
type Told<'a> = (&'a str, Value);

/// What a device hears of something: so long as what was told last may still come, and when that is there, some time longer for
/// whatever was overtaken.
async fn heard(
    device: &Device,
    event: &str,
    about: impl Fn(&Value) -> bool,
    last: &Told<'_>,
    patience: Duration,
) -> Vec<Value> {
    let mut heard = Vec::new();
    let began = Instant::now();
    loop {
        let left = match ends_with(&heard, last) {
            true => super::STRAGGLERS,
            false => patience.saturating_sub(began.elapsed()),
        };
        match device.take_within(left, event, &about).await {
            Some(payload) => heard.push(payload),
            None => return heard,
        }
    }
}

fn ends_with(heard: &[Value], (member, told): &Told<'_>) -> bool {
    heard.last().is_some_and(|last| last[member] == *told)
}

fn shown(device: &Device, heard: &[Value]) -> String {
    format!("{}, which is {}", Value::from(heard), device.state())
}

async fn senders_at_once_leave_no_gap(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, a2, b1) = (ann.device().await?, ann.device().await?, bob.device().await?);
    let mut acks = Vec::new();
    for number in 0..40 {
        acks.push(a1.ask_later("send_message", json!({"to": bob.id, "content": format!("a1 {number}")})));
        acks.push(a2.ask_later("send_message", json!({"to": bob.id, "content": format!("a2 {number}")})));
        acks.push(b1.ask_later("send_message", json!({"to": ann.id, "content": format!("b1 {number}")})));
    }
    let mut seqs = Vec::new();
    let acknowledged = async {
        for ack in acks {
            seqs.extend(ack.await.unwrap_or_default()["seq"].as_u64());
        }
    };
    let seen = as_it_grows(&bob, &ann, acknowledged).await;
    seqs.sort_unstable();
    w.check(
        &req::PROMISES_SEQ_GAPLESS,
        seqs.iter().copied().eq(1..=120),
        "1 to 120",
        format!("{seqs:?}"),
    );
    let seen = seen?;
    w.check(
        &req::PROMISES_SEQ_VISIBLE_BEFORE,
        seen.iter().copied().eq(1..=120),
        "1 to 120, read from where the last page ended while they are sent",
        format!("{seen:?}"),
    );
    let mut last = 0;
    let mut ordered = true;
    while let Some((_, event)) = b1.find(|name, _| name == "new_message") {
        let seq = event["seq"].as_u64().unwrap_or(0);
        ordered &= seq > last;
        last = seq;
        b1.take("new_message", |p| p["seq"] == seq).await;
    }
    w.check(
        &req::PROMISES_SEQ_ORDER_OF_SENDERS,
        ordered,
        "ascending seq",
        format!("out of order around {last}"),
    );
    Ok(())
}

/// The `seq`s of a conversation, in the order in which a client sees them that catches up again and again while it grows. What becomes
/// visible behind what it has seen already, it never sees.
async fn as_it_grows(viewer: &User, peer: &User, growing: impl Future<Output = ()>) -> Result<Vec<u64>, Stop> {
    /// Between two looks, of which the later ones are not to use up what a user may ask for.
    const PAUSES: [Duration; 2] = [Duration::from_millis(4), Duration::from_millis(200)];
    let mut growing = pin!(growing);
    let mut grows = true;
    let mut seen: Vec<u64> = Vec::new();
    for look in 0.. {
        let after = seen.last().copied().unwrap_or(0);
        let page = viewer.conversation(peer, &format!("?after={after}&limit=100")).await?;
        page.succeeded()?;
        seen.extend(page.items()?.iter().filter_map(|message| message["seq"].as_u64()));
        if grows {
            grows = timeout(PAUSES[usize::from(look > 60)], &mut growing).await.is_err();
        } else if seen.last().is_none_or(|last| *last <= after) {
            break;
        }
    }
    Ok(seen)
}

async fn sends_are_refused_by_event(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = ann.device().await?;
    let ask = |body: serde_json::Value| device.ask("send_message", body);
    w.refused_ack(
        &req::SEND_TO_UNKNOWN,
        &ask(json!({"to": "ffffffffffffffffffffffff", "content": "x"})).await?,
        "USER_NOT_FOUND",
    );
    w.refused_ack(
        &req::SEND_TO_SELF,
        &ask(json!({"to": ann.id, "content": "x"})).await?,
        "CANNOT_MESSAGE_SELF",
    );
    w.refused_ack(
        &req::SEND_CHAT_MISMATCH,
        &ask(json!({"to": bob.id, "content": "x", "chatId": "ffffffffffffffffffffffff"})).await?,
        "CHAT_MISMATCH",
    );
    for (requirement, content) in [
        (&req::SEND_CONTENT_BLANK, " ".to_owned()),
        (&req::SEND_CONTENT_NUL, "a\u{0}".into()),
        (&req::SEND_CONTENT_LENGTH, "x".repeat(4097)),
    ] {
        w.refused_ack(
            requirement,
            &ask(json!({"to": bob.id, "content": content})).await?,
            "VALIDATION_ERROR",
        );
    }
    w.refused_ack(
        &req::SEND_TYPE_KNOWN,
        &ask(json!({"to": bob.id, "content": "x", "messageType": "video"})).await?,
        "VALIDATION_ERROR",
    );
    if w.target.claims(Profile::Recovery) {
        ask(json!({"to": bob.id, "content": "x", "clientMessageId": "one"})).await?;
        w.refused_ack(
            &req::SEND_IDEMPOTENT_REUSED,
            &ask(json!({"to": bob.id, "content": "y", "clientMessageId": "one"})).await?,
            "CLIENT_MESSAGE_ID_REUSED",
        );
    }
    Ok(())
}
