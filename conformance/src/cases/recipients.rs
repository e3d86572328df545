//! Who hears of something, who does not, and what they are told.

use std::time::Duration;

use chat_spec::{Profile, Requirement, req};
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Answer, Connection, Outcome, Stop, Transport, World};

cases!("recipients":
    events_have_every_field [MESSAGE_NEW_FIELDS, MESSAGE_SENT_FIELDS, TYPING_EVENT_STOPS],
    changes_are_seen_by_both_and_told_to_nobody_else [EDIT_EVENT_NOBODY_ELSE, EDIT_SUCCESS_VISIBLE_TO_BOTH],
    receipts_are_told_to_nobody_else [READ_EVENT_FIELDS, READ_EVENT_NOBODY_ELSE, RECEIPT_DELETED_PASSED_OVER],
    a_deleted_message_is_shown_nowhere [CONVERSATION_AFTER_ZERO, DELETE_SUCCESS_CONTENT_GONE],
    answers_go_to_their_own_socket [EVENTS_ERROR_THAT_SOCKET, SOCKET_AUTHENTICATE_THAT_SOCKET],
    a_token_in_the_address_is_no_token [SOCKET_HANDSHAKE_URL_TOKEN],
    a_handshake_may_be_silent [SOCKET_HANDSHAKE_NONE],
    what_events_do_rest_shows [PROMISES_ONE_SYSTEM_SOCKET_TO_REST],
    strangers_cannot_tell_what_exists [PROMISES_PRIVATE_EXISTENCE],
    seq_is_never_left_out [SHAPES_MESSAGE_SEQ_NULL_WITHOUT_RECOVERY],
);

/// How long what may come is waited for.
const SOON: Duration = Duration::from_secs(2);

fn path(message: &Value) -> String {
    format!("/api/messages/{}", message["id"].as_str().unwrap_or_default())
}

/// Judges that a payload has exactly these fields.
fn has(w: &World, requirement: &'static Requirement, payload: &Value, fields: &[&str]) {
    let members = payload.as_object();
    let all = fields
        .iter()
        .all(|field| members.is_some_and(|members| members.contains_key(*field)));
    w.check(requirement, all, format!("{fields:?}"), payload);
}

async fn events_have_every_field(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, b1) = (ann.device().await?, bob.device().await?);
    let recovers = w.target.claims(Profile::Recovery);
    for client_id in [None, recovers.then_some("c-1")] {
        let mut message = json!({"to": bob.id, "content": "hello", "messageType": "file"});
        if let Some(id) = client_id {
            message["clientMessageId"] = id.into();
        }
        a1.emit("send_message", message);
        let sent = w
            .arrives(&req::MESSAGE_SENT_FIELDS, &a1, "message_sent", |_| true)
            .await?;
        has(
            &w,
            &req::MESSAGE_SENT_FIELDS,
            &sent,
            &["messageId", "chatId", "seq", "timestamp"],
        );
        w.check(
            &req::MESSAGE_SENT_FIELDS,
            sent.get("clientMessageId").and_then(Value::as_str) == client_id,
            format!("clientMessageId {client_id:?}"),
            &sent,
        );
        let new = w
            .arrives(&req::MESSAGE_NEW_FIELDS, &b1, "new_message", |_| true)
            .await?;
        let same = ["messageId", "chatId", "seq", "timestamp"]
            .iter()
            .all(|field| new[field] == sent[field]);
        w.check(&req::MESSAGE_NEW_FIELDS, same, format!("what {sent} says"), &new);
        w.equal(
            &req::MESSAGE_NEW_FIELDS,
            "sender, receiver, content, messageType",
            json!([ann.id, bob.id, "hello", "file"]),
            json!([new["sender"], new["receiver"], new["content"], new["messageType"]]),
        );
    }
    a1.must_ask("typing", json!({"to": bob.id, "isTyping": true})).await?;
    w.arrives(&req::TYPING_EVENT_STOPS, &b1, "typing_status", |p| {
        p["isTyping"] == true
    })
    .await?;
    a1.must_ask("typing", json!({"to": bob.id, "isTyping": false})).await?;
    let stopped = w
        .arrives(&req::TYPING_EVENT_STOPS, &b1, "typing_status", |p| {
            p["isTyping"] == false
        })
        .await?;
    w.equal(
        &req::TYPING_EVENT_STOPS,
        "from",
        ann.id.clone(),
        stopped["from"].clone(),
    );
    Ok(())
}

async fn changes_are_seen_by_both_and_told_to_nobody_else(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    // A stranger who has a chat with one of them.
    eve.must_send(&bob.id, "hello").await?;
    let (a1, b1, e1) = (ann.device().await?, bob.device().await?, eve.device().await?);
    let message = ann.must_send(&bob.id, "before").await?;
    let answer = ann.put(&path(&message), &json!({"content": "after"})).await?;
    for (one, other) in [(&ann, &bob), (&bob, &ann)] {
        let page = one.conversation(other, "").await?;
        let seen = &page.body["items"][0];
        w.equal(
            &req::EDIT_SUCCESS_VISIBLE_TO_BOTH,
            "content and editedAt",
            json!(["after", answer.body["message"]["editedAt"]]),
            json!([seen["content"], seen["editedAt"]]),
        );
        w.check(
            &req::EDIT_SUCCESS_VISIBLE_TO_BOTH,
            seen["editedAt"].is_string(),
            "editedAt",
            seen,
        );
    }
    ann.delete(&path(&message)).await?.succeeded()?;
    // Who claims the extension has told both by now; who does not has told nobody.
    for device in [&a1, &b1] {
        device
            .take_within(SOON, "message_deleted", |event| event["messageId"] == message["id"])
            .await;
    }
    w.absent(
        &req::EDIT_EVENT_NOBODY_ELSE,
        &e1,
        &bob,
        "change of others",
        |name, _| matches!(name, "message_edited" | "message_deleted"),
    )
    .await
}

async fn receipts_are_told_to_nobody_else(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    eve.must_send(&bob.id, "hello").await?;
    let (a1, b1, e1) = (ann.device().await?, bob.device().await?, eve.device().await?);
    let message = ann.must_send(&bob.id, "to be read").await?;
    let receipt = json!({"messageId": message["id"], "chatId": message["chatId"]});
    b1.must_ask("read_receipt", receipt).await?;
    let told = w
        .arrives(&req::READ_EVENT_FIELDS, &a1, "message_read", |p| {
            p["messageId"] == message["id"]
        })
        .await?;
    let page = ann.conversation(&bob, "").await?;
    let stored = &page.body["items"][0];
    w.equal(
        &req::READ_EVENT_FIELDS,
        "messageId, chatId, readAt, readerId",
        json!([message["id"], message["chatId"], stored["readAt"], bob.id]),
        json!([told["messageId"], told["chatId"], told["readAt"], told["readerId"]]),
    );
    w.absent(
        &req::READ_EVENT_NOBODY_ELSE,
        &e1,
        &bob,
        "message_read of others",
        |name, p| name == "message_read" && p["messageId"] == message["id"],
    )
    .await?;
    // One that was deleted before it was read.
    let gone = ann.must_send(&bob.id, "never read").await?;
    ann.delete(&path(&gone)).await?.succeeded()?;
    b1.ask(
        "read_receipt",
        json!({"messageId": gone["id"], "chatId": gone["chatId"]}),
    )
    .await?;
    w.absent(
        &req::RECEIPT_DELETED_PASSED_OVER,
        &a1,
        &bob,
        "message_read of a deleted message",
        |name, p| name == "message_read" && p["messageId"] == gone["id"],
    )
    .await?;
    let page = bob.conversation(&ann, "").await?;
    let stored = page.items()?.iter().find(|stored| stored["id"] == gone["id"]);
    w.check(
        &req::RECEIPT_DELETED_PASSED_OVER,
        stored.is_some_and(|stored| stored["isRead"] == false && stored["readAt"].is_null()),
        "an unread tombstone",
        &page.text,
    );
    Ok(())
}

async fn a_deleted_message_is_shown_nowhere(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let first = ann.must_send(&bob.id, "stays").await?;
    let secret = "zanzibar quartz";
    let gone = ann.must_send(&bob.id, secret).await?;
    ann.delete(&path(&gone)).await?.succeeded()?;
    let requirement = &req::DELETE_SUCCESS_CONTENT_GONE;
    for (one, other) in [(&ann, &bob), (&bob, &ann)] {
        for place in [
            format!("/api/messages/conversation/{}", other.id),
            format!("/api/messages/conversation/{}?after=0", other.id),
            "/api/messages/chats".into(),
            "/api/messages/search?q=zanzibar".into(),
            format!("/api/messages/search?q=qu&userId={}", other.id),
        ] {
            let answer = one.get(&place).await?;
            w.success(requirement, &answer, 200, None)?;
            w.check(
                requirement,
                !answer.text.contains("zanzibar"),
                format!("nothing of it in {place}"),
                &answer.text,
            );
        }
        let page = one.conversation(other, "?after=0").await?;
        w.check(
            &req::CONVERSATION_AFTER_ZERO,
            page.items()?
                .first()
                .is_some_and(|message| message["id"] == first["id"] && message["seq"] == 1),
            "the first message first",
            &page.text,
        );
    }
    Ok(())
}

async fn answers_go_to_their_own_socket(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, a2, b1) = (ann.device().await?, ann.device().await?, bob.device().await?);
    a1.emit("nonsense", json!({}));
    w.arrives(&req::EVENTS_ERROR_THAT_SOCKET, &a1, "error", |p| {
        p["code"] == "UNKNOWN_EVENT"
    })
    .await?;
    a1.emit("authenticate", json!({"token": ann.access}));
    w.arrives(&req::SOCKET_AUTHENTICATE_THAT_SOCKET, &a1, "authenticated", |_| true)
        .await?;
    w.absent(
        &req::EVENTS_ERROR_THAT_SOCKET,
        &b1,
        &ann,
        "error of somebody else",
        |name, _| name == "error",
    )
    .await?;
    w.absent(
        &req::EVENTS_ERROR_THAT_SOCKET,
        &a2,
        &bob,
        "error of another device",
        |name, _| name == "error",
    )
    .await?;
    w.absent(
        &req::SOCKET_AUTHENTICATE_THAT_SOCKET,
        &a2,
        &bob,
        "authenticated of another device",
        |name, _| name == "authenticated",
    )
    .await
}

async fn a_handshake_may_be_silent(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let requirement = &req::SOCKET_HANDSHAKE_NONE;
    for auth in [None, Some(json!({})), Some(json!({"other": 1}))] {
        match ann.connect(Transport::Websocket, auth).await? {
            Connection::Refused(refused) => {
                w.check(requirement, false, "a connection", refused.0);
            }
            Connection::Open(device) => {
                let early = device.ask("update_status", json!({"status": "busy"})).await?;
                w.refused_ack(requirement, &early, "UNAUTHENTICATED");
                let ack = device.ask("authenticate", json!({"token": ann.access})).await?;
                w.equal(requirement, "ok", true, ack["ok"].clone());
            }
        }
    }
    Ok(())
}

/// Everything that a polling session is told until one of these comes.
async fn read_until(w: &World, session: &str, ends: &[&str]) -> Result<String, Stop> {
    let mut came = String::new();
    for _ in 0..10 {
        came += &w.request("GET", session).send().await?.text;
        if ends.iter().any(|end| came.contains(end)) {
            break;
        }
    }
    Ok(came)
}

async fn a_token_in_the_address_is_no_token(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let requirement = &req::SOCKET_HANDSHAKE_URL_TOKEN;
    for name in ["token", "auth_token"] {
        let base = format!("/socket.io/?EIO=4&transport=polling&{name}={}", ann.access);
        let open = w.request("GET", &base).send().await?;
        let handshake: Value = serde_json::from_str(open.text.trim_start_matches('0')).unwrap_or_default();
        let Some(sid) = handshake["sid"].as_str() else {
            // Not to be let in at all is as good.
            w.check(requirement, open.status >= 400, "no session", &open.text);
            continue;
        };
        let session = format!("{base}&sid={sid}");
        let post = |packets: &'static str| w.request("POST", &session).raw(packets).send();
        // A server may also refuse the packets themselves: what came says whether it let anybody in.
        let _ = post("40").await?;
        let mut came = read_until(&w, &session, &["40{", "44{"]).await?;
        if came.contains("40{") {
            let _ = post("421[\"update_status\",{\"status\":\"busy\"}]").await?;
            // The answer to the event is the fence: whatever the address did has come by then.
            came += &read_until(&w, &session, &["431["]).await?;
        }
        w.check(
            requirement,
            !came.contains("\"authenticated\"") && (came.contains("UNAUTHENTICATED") || came.contains("44{")),
            "UNAUTHENTICATED and no authenticated",
            came.replace(&ann.access, "•••"),
        );
    }
    Ok(())
}

async fn what_events_do_rest_shows(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, b1) = (ann.device().await?, bob.device().await?);
    let requirement = &req::PROMISES_ONE_SYSTEM_SOCKET_TO_REST;
    let sent = a1
        .ask("send_message", json!({"to": bob.id, "content": "by event"}))
        .await?;
    let newest = |page: Answer| page.body["items"][0].clone();
    let stored = newest(bob.conversation(&ann, "?limit=1").await?);
    w.equal(
        requirement,
        "id, seq, content",
        json!([sent["messageId"], sent["seq"], "by event"]),
        json!([stored["id"], stored["seq"], stored["content"]]),
    );
    let receipt = json!({"messageId": sent["messageId"], "chatId": sent["chatId"]});
    b1.must_ask("read_receipt", receipt).await?;
    let stored = newest(ann.conversation(&bob, "?limit=1").await?);
    w.equal(requirement, "isRead", true, stored["isRead"].clone());
    a1.must_ask("update_status", json!({"status": "away"})).await?;
    let status = super::status_when(&w, &bob, &ann, |shown| shown["status"] == "away").await?;
    w.equal(requirement, "status", "away", status["status"].clone());
    Ok(())
}

async fn strangers_cannot_tell_what_exists(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let message = ann.must_send(&bob.id, "a secret").await?;
    let device = eve.device().await?;
    let requirement = &req::PROMISES_PRIVATE_EXISTENCE;
    let nothing = "ffffffffffffffffffffffff";
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut seen: Vec<Vec<String>> = Vec::new();
    for (id, chat) in [
        (text(&message["id"]), text(&message["chatId"])),
        (nothing.into(), nothing.into()),
    ] {
        let mut answers = Vec::new();
        let place = format!("/api/messages/{id}");
        for answer in [
            eve.put(&place, &json!({"content": "x"})).await?,
            eve.delete(&place).await?,
            eve.post("/api/messages/mark-read", &json!({"messageIds": [id]}))
                .await?,
            eve.post("/api/messages/mark-read", &json!({"chatId": chat})).await?,
            eve.post(
                "/api/messages/send",
                &json!({"to": ann.id, "content": "x", "chatId": chat}),
            )
            .await?,
        ] {
            answers.push(format!("{} {}", answer.status, same(&answer.body)));
        }
        for (event, payload) in [
            ("join_chat", json!({"chatId": chat})),
            ("read_receipt", json!({"messageId": id, "chatId": chat})),
            ("send_message", json!({"to": ann.id, "content": "x", "chatId": chat})),
        ] {
            let ack = device.ask(event, payload).await?;
            answers.push(same(&ack["error"]));
        }
        seen.push(answers);
    }
    w.check(
        requirement,
        seen[0] == seen[1],
        format!("{:?}", seen[1]),
        format!("{:?}", seen[0]),
    );
    let all_refused = seen[0].iter().all(|answer| answer.contains("\"code\""));
    w.check(requirement, all_refused, "refusals", format!("{:?}", seen[0]));
    Ok(())
}

/// An error without what differs from call to call.
fn same(error: &Value) -> String {
    let mut error = error.clone();
    if let Some(members) = error.as_object_mut() {
        members.remove("requestId");
    }
    error.to_string()
}

async fn seq_is_never_left_out(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, b1) = (ann.device().await?, bob.device().await?);
    let requirement = &req::SHAPES_MESSAGE_SEQ_NULL_WITHOUT_RECOVERY;
    let judge = |what: &str, value: &Value| {
        let good = value.get("seq").is_some_and(|seq| seq.is_null() || seq.is_u64());
        w.check(requirement, good, format!("a number or null as seq of {what}"), value);
    };
    let message = ann.must_send(&bob.id, "by rest").await?;
    judge("an answer", &message);
    let event = b1.take("new_message", |_| true).await.ok_or_else(missing)?;
    judge("new_message", &event);
    judge(
        "an ack",
        &a1.ask("send_message", json!({"to": bob.id, "content": "by event"}))
            .await?,
    );
    let event = a1.take("message_sent", |_| true).await.ok_or_else(missing)?;
    judge("message_sent", &event);
    judge("history", &bob.conversation(&ann, "").await?.good()?.body["items"][0]);
    Ok(())
}

fn missing() -> Stop {
    Stop::Inconclusive("an event never came".into())
}
