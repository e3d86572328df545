//! Marking as read, by REST and by event.

use chat_spec::req;
use serde_json::{Value, json};

use super::newest_messages;
use crate::cases;
use crate::engine::{Outcome, Stop, User, World};

cases!("read":
    messages_become_read [
        MESSAGE_NEW_NOBODY_ELSE, PROMISES_ONE_SYSTEM_REST_TO_SOCKET, READ_EVENT_READER_DEVICES,
        READ_EVENT_SENDER_DEVICES, READ_MESSAGES_UPDATED, READ_REPEAT_FIRST_STAYS, READ_STATE_STORED,
    ],
    a_chat_becomes_read [
        READ_CHAT_UPDATED, READ_DELETED_PASSED_OVER, READ_EVENT_READER_DEVICES, READ_EVENT_SENDER_DEVICES,
        READ_REPEAT_FIRST_STAYS, SHAPES_CHAT_UNREAD_COUNT,
    ],
    bad_bodies_are_refused [READ_BODY_ONE_OF],
    all_or_nothing [READ_CHAT_UNKNOWN, READ_OWN_REFUSED, READ_STRANGER_REFUSED, READ_UNKNOWN_REFUSED],
    receipts_by_event [
        EVENTS_ACK_SUCCESS, READ_EVENT_READER_DEVICES, READ_EVENT_SENDER_DEVICES, RECEIPT_REPEAT_NO_EVENT,
        RECEIPT_SUCCESS_READ,
    ],
    receipts_are_refused [
        EVENTS_NO_ACK_ERROR_EVENT, IDS_MALFORMED_SAME_AS_UNKNOWN, RECEIPT_CHAT_WRONG, RECEIPT_RIGHTS_OWN,
        RECEIPT_RIGHTS_STRANGER,
    ],
);

const MARK: &str = "/api/messages/mark-read";

async fn histories(user: &User, [one, other]: [&User; 2]) -> Result<Value, Stop> {
    Ok(json!([
        newest_messages(user, one).await?,
        newest_messages(user, other).await?
    ]))
}

async fn messages_become_read(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let (one, two) = (
        ann.must_send(&bob.id, "one").await?,
        ann.must_send(&bob.id, "two").await?,
    );
    let (a1, a2, b1, e1) = (
        ann.device().await?,
        ann.device().await?,
        bob.device().await?,
        eve.device().await?,
    );
    let answer = bob.post(MARK, &json!({"messageIds": [one["id"], one["id"]]})).await?;
    w.success(&req::READ_MESSAGES_UPDATED, &answer, 200, Some("MarkReadResponse"))?;
    w.equal(
        &req::READ_MESSAGES_UPDATED,
        "updated",
        1,
        answer.body["updated"].clone(),
    );
    for device in [&a1, &a2] {
        let event = w
            .arrives(&req::READ_EVENT_SENDER_DEVICES, device, "message_read", |p| {
                p["messageId"] == one["id"]
            })
            .await?;
        w.equal(
            &req::READ_EVENT_SENDER_DEVICES,
            "readerId",
            bob.id.clone(),
            event["readerId"].clone(),
        );
    }
    w.arrives(&req::READ_EVENT_READER_DEVICES, &b1, "message_read", |p| {
        p["messageId"] == one["id"]
    })
    .await?;
    w.check(&req::PROMISES_ONE_SYSTEM_REST_TO_SOCKET, true, "", "");
    let page = ann.conversation(&bob, "").await?;
    let first = page.body["items"][1].clone();
    w.check(
        &req::READ_STATE_STORED,
        first["isRead"] == true && first["readAt"].is_string(),
        "isRead and readAt",
        &first,
    );
    let again = bob.post(MARK, &json!({"messageIds": [one["id"], two["id"]]})).await?;
    w.equal(
        &req::READ_REPEAT_FIRST_STAYS,
        "updated",
        1,
        again.body["updated"].clone(),
    );
    let page = bob.conversation(&ann, "").await?;
    w.equal(
        &req::READ_REPEAT_FIRST_STAYS,
        "readAt",
        first["readAt"].clone(),
        page.body["items"][1]["readAt"].clone(),
    );
    w.arrives(&req::READ_EVENT_SENDER_DEVICES, &a1, "message_read", |p| {
        p["messageId"] == two["id"]
    })
    .await?;
    w.absent(
        &req::READ_EVENT_SENDER_DEVICES,
        &a1,
        &bob,
        "second message_read",
        |name, _| name == "message_read",
    )
    .await?;
    w.absent(
        &req::MESSAGE_NEW_NOBODY_ELSE,
        &e1,
        &ann,
        "message_read of others",
        |name, _| name == "message_read",
    )
    .await
}

async fn a_chat_becomes_read(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let gone = ann.must_send(&bob.id, "gone").await?;
    let chat = gone["chatId"].clone();
    let mut unread = Vec::new();
    for text in ["one", "two", "three"] {
        unread.push(ann.must_send(&bob.id, text).await?["id"].clone());
    }
    let (a1, b1) = (ann.device().await?, bob.device().await?);
    bob.must_send(&ann.id, "mine").await?;
    ann.delete(&format!("/api/messages/{}", gone["id"].as_str().unwrap_or_default()))
        .await?
        .succeeded()?;
    let answer = bob.post(MARK, &json!({"chatId": chat})).await?;
    w.success(&req::READ_CHAT_UPDATED, &answer, 200, Some("MarkReadResponse"))?;
    w.equal(&req::READ_CHAT_UPDATED, "updated", 3, answer.body["updated"].clone());
    // Each of them is told, not only that there were some.
    for (requirement, device) in [
        (&req::READ_EVENT_SENDER_DEVICES, &a1),
        (&req::READ_EVENT_READER_DEVICES, &b1),
    ] {
        for id in &unread {
            let told = |event: &Value| event["messageId"] == *id;
            w.arrives(requirement, device, "message_read", told).await?;
        }
    }
    w.equal(
        &req::READ_REPEAT_FIRST_STAYS,
        "updated",
        0,
        bob.post(MARK, &json!({"chatId": chat})).await?.good()?.body["updated"].clone(),
    );
    let chats = bob.get("/api/messages/chats").await?;
    w.equal(
        &req::SHAPES_CHAT_UNREAD_COUNT,
        "unreadCount",
        0,
        chats.body["items"][0]["unreadCount"].clone(),
    );
    let deleted = bob.post(MARK, &json!({"messageIds": [gone["id"]]})).await?;
    w.equal(
        &req::READ_DELETED_PASSED_OVER,
        "updated",
        0,
        deleted.body["updated"].clone(),
    );
    Ok(())
}

async fn bad_bodies_are_refused(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let many: Vec<String> = (0..101).map(|number| format!("{number:024}")).collect();
    for bad in [
        json!({}),
        json!({"messageIds": []}),
        json!({"messageIds": many}),
        json!({"messageIds": "x"}),
        json!({"messageIds": [1]}),
        json!({"chatId": 1}),
        json!({"chatId": "x", "messageIds": ["y"]}),
    ] {
        let answer = ann.post(MARK, &bad).await?;
        w.refused(&req::READ_BODY_ONE_OF, &answer, 400, "VALIDATION_ERROR");
    }
    Ok(())
}

async fn all_or_nothing(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let good = ann.must_send(&bob.id, "good").await?["id"].clone();
    let own = bob.must_send(&ann.id, "own").await?["id"].clone();
    let strange = ann.must_send(&eve.id, "strange").await?;
    let mark = |ids: Value| {
        let bob = bob.clone();
        async move { bob.post(MARK, &json!({"messageIds": ids})).await }
    };
    w.refused(
        &req::READ_OWN_REFUSED,
        &mark(json!([good, own])).await?,
        403,
        "NOT_MESSAGE_RECEIVER",
    );
    w.refused(
        &req::READ_UNKNOWN_REFUSED,
        &mark(json!([good, "ffffffffffffffffffffffff"])).await?,
        404,
        "MESSAGE_NOT_FOUND",
    );
    w.refused(
        &req::READ_UNKNOWN_REFUSED,
        &mark(json!([good, "not an id"])).await?,
        404,
        "MESSAGE_NOT_FOUND",
    );
    w.refused(
        &req::READ_STRANGER_REFUSED,
        &mark(json!([good, strange["id"]])).await?,
        404,
        "MESSAGE_NOT_FOUND",
    );
    for chat in [
        strange["chatId"].clone(),
        json!("ffffffffffffffffffffffff"),
        json!("not an id"),
    ] {
        w.refused(
            &req::READ_CHAT_UNKNOWN,
            &bob.post(MARK, &json!({"chatId": chat})).await?,
            404,
            "CHAT_NOT_FOUND",
        );
    }
    let page = bob.conversation(&ann, "").await?;
    w.equal(
        &req::READ_OWN_REFUSED,
        "isRead",
        false,
        page.body["items"][1]["isRead"].clone(),
    );
    w.equal(
        &req::READ_UNKNOWN_REFUSED,
        "isRead",
        false,
        page.body["items"][1]["isRead"].clone(),
    );
    w.equal(
        &req::READ_STRANGER_REFUSED,
        "isRead",
        false,
        page.body["items"][1]["isRead"].clone(),
    );
    Ok(())
}

async fn receipts_by_event(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let message = ann.must_send(&bob.id, "read me").await?;
    let payload = json!({"messageId": message["id"], "chatId": message["chatId"]});
    let (a1, b1, b2) = (ann.device().await?, bob.device().await?, bob.device().await?);
    let ack = b1.ask("read_receipt", payload.clone()).await?;
    w.equal(&req::EVENTS_ACK_SUCCESS, "ok of read_receipt", true, ack["ok"].clone());
    w.arrives(&req::READ_EVENT_SENDER_DEVICES, &a1, "message_read", |p| {
        p["messageId"] == message["id"]
    })
    .await?;
    w.arrives(&req::READ_EVENT_READER_DEVICES, &b2, "message_read", |p| {
        p["messageId"] == message["id"]
    })
    .await?;
    w.absent(
        &req::READ_EVENT_READER_DEVICES,
        &b1,
        &ann,
        "message_read at the reading device",
        |name, _| name == "message_read",
    )
    .await?;
    let page = ann.conversation(&bob, "?limit=2").await?;
    let stored = page
        .items()?
        .iter()
        .find(|m| m["id"] == message["id"])
        .cloned()
        .unwrap_or_default();
    w.equal(&req::RECEIPT_SUCCESS_READ, "isRead", true, stored["isRead"].clone());
    let again = b2.ask("read_receipt", payload).await?;
    w.equal(&req::RECEIPT_REPEAT_NO_EVENT, "ok", true, again["ok"].clone());
    w.absent(
        &req::RECEIPT_REPEAT_NO_EVENT,
        &a1,
        &bob,
        "second message_read",
        |name, _| name == "message_read",
    )
    .await
}

async fn receipts_are_refused(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let message = ann.must_send(&bob.id, "read me").await?;
    let other = eve.must_send(&bob.id, "another chat").await?;
    let ask = |id: &Value, chat: &Value| json!({"messageId": id, "chatId": chat});
    let (a1, b1, e1) = (ann.device().await?, bob.device().await?, eve.device().await?);
    let (right, wrong) = (&message["chatId"], &other["chatId"]);
    let before = histories(&bob, [&ann, &eve]).await?;
    for (requirement, device, chat, code) in [
        (&req::RECEIPT_RIGHTS_OWN, &a1, right, "NOT_MESSAGE_RECEIVER"),
        (&req::RECEIPT_RIGHTS_STRANGER, &e1, right, "MESSAGE_NOT_FOUND"),
        (&req::RECEIPT_CHAT_WRONG, &b1, wrong, "MESSAGE_NOT_FOUND"),
    ] {
        let ack = device.ask("read_receipt", ask(&message["id"], chat)).await?;
        w.refused_ack(requirement, &ack, code);
        let after = histories(&bob, [&ann, &eve]).await?;
        w.equal(requirement, "the conversations", before.clone(), after);
    }
    w.refused_ack(
        &req::IDS_MALFORMED_SAME_AS_UNKNOWN,
        &b1.ask("read_receipt", ask(&json!("not an id"), &message["chatId"]))
            .await?,
        "MESSAGE_NOT_FOUND",
    );
    b1.emit("read_receipt", ask(&message["id"], wrong));
    w.arrives(&req::EVENTS_NO_ACK_ERROR_EVENT, &b1, "error", |p| {
        p["code"] == "MESSAGE_NOT_FOUND"
    })
    .await?;
    Ok(())
}
