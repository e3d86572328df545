//! Sending by REST.

use chat_spec::{Profile, req};
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Answer, Outcome, World};

cases!("send":
    a_message_is_stored_and_readable [
        JSON_REQUEST_UNKNOWN_NEVER_STORED, SEND_SUCCESS_CREATED, SEND_SUCCESS_STORED, SEND_TYPE_DEFAULT,
        SHAPES_MESSAGE_CLIENT_ID_SENDER_ONLY, SHAPES_MESSAGE_CLIENT_ID_SHOWN, SHAPES_MESSAGE_FIELDS,
        SHAPES_MESSAGE_FRESH_STATE,
    ],
    content_is_kept_exactly [SEND_CONTENT_EXACT, SEND_CONTENT_LENGTH, SEND_TYPE_KNOWN],
    bad_messages_are_refused [
        ERRORS_DETAILS_ALL_FIELDS_AT_ONCE, ERRORS_DETAILS_NO_ECHO, SEND_CONTENT_BLANK, SEND_CONTENT_LENGTH,
        SEND_CONTENT_NUL, SEND_IDEMPOTENT_FORMAT, SEND_TYPE_KNOWN, SHAPES_CHAT_EXISTS_FROM_FIRST_MESSAGE,
    ],
    receivers_must_be_others [
        IDS_MALFORMED_SAME_AS_UNKNOWN, PRECEDENCE_FIELDS_BEFORE_EXISTENCE, SEND_TO_SELF, SEND_TO_UNKNOWN,
    ],
    chats_belong_to_two [SEND_CHAT_MATCHING, SEND_CHAT_MISMATCH, SEND_CHAT_ONE_FOR_TWO],
    both_write_first_at_once [PROMISES_SEQ_GAPLESS, SEND_CHAT_ONE_FOR_TWO],
    a_repeat_is_the_same_message [
        MESSAGE_NEW_EXACTLY_ONCE, SEND_IDEMPOTENT_NO_SECOND, SEND_IDEMPOTENT_REPEAT_SAME_ANSWER, SEND_SUCCESS_CREATED,
    ],
    a_repeat_by_the_other_way [
        MESSAGE_ACK_FIELDS, MESSAGE_NEW_EXACTLY_ONCE, SEND_IDEMPOTENT_ACROSS_WAYS, SEND_IDEMPOTENT_NO_SECOND,
        SEND_IDEMPOTENT_REPEAT_SAME_ACK,
    ],
    racing_repeats_make_one [SEND_IDEMPOTENT_CONCURRENT],
    client_ids_are_per_sender [SEND_IDEMPOTENT_PER_SENDER],
    a_reused_client_id_is_refused [SEND_IDEMPOTENT_REUSED, SEND_SUCCESS_CREATED],
);

const SEND: &str = "/api/messages/send";

async fn a_message_is_stored_and_readable(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let answer = ann
        .post(
            SEND,
            &json!({"to": bob.id, "content": "hello", "clientMessageId": "c-1", "sender": bob.id, "seq": 9}),
        )
        .await?;
    w.success(&req::SEND_SUCCESS_CREATED, &answer, 201, Some("MessageResponse"))?;
    let message = &answer.body["message"];
    w.shaped(&req::SHAPES_MESSAGE_FIELDS, "Message", message);
    w.equal(
        &req::SEND_TYPE_DEFAULT,
        "messageType",
        "text",
        message["messageType"].clone(),
    );
    w.equal(
        &req::JSON_REQUEST_UNKNOWN_NEVER_STORED,
        "sender",
        ann.id.clone(),
        message["sender"].clone(),
    );
    w.equal(
        &req::SHAPES_MESSAGE_FRESH_STATE,
        "isRead, readAt, editedAt, deletedAt",
        json!([false, null, null, null]),
        json!([
            message["isRead"],
            message["readAt"],
            message["editedAt"],
            message["deletedAt"]
        ]),
    );
    w.equal(
        &req::SHAPES_MESSAGE_CLIENT_ID_SHOWN,
        "clientMessageId",
        "c-1",
        message["clientMessageId"].clone(),
    );
    let mine = ann.conversation(&bob, "").await?;
    w.equal(
        &req::SEND_SUCCESS_STORED,
        "the message in history",
        message.clone(),
        mine.body["items"][0].clone(),
    );
    let theirs = bob.conversation(&ann, "").await?;
    let seen = &theirs.body["items"][0];
    w.equal(
        &req::SEND_SUCCESS_STORED,
        "id",
        message["id"].clone(),
        seen["id"].clone(),
    );
    w.check(
        &req::SHAPES_MESSAGE_CLIENT_ID_SENDER_ONLY,
        seen.get("clientMessageId").is_none(),
        "no clientMessageId for the receiver",
        seen,
    );
    Ok(())
}

async fn content_is_kept_exactly(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let texts = [
        "  spaces around \n\t",
        "<script>alert('x')</script> & \"quotes\"",
        "\u{1}\u{7f}\u{200b}\u{202e}e\u{301}",
        "'; DROP TABLE messages; --",
        "{\"$gt\": \"\"}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    ];
    for text in texts {
        let sent = ann.send(&bob.id, text).await?;
        w.equal(
            &req::SEND_CONTENT_EXACT,
            "content",
            text,
            sent.body["message"]["content"].clone(),
        );
    }
    let page = bob.conversation(&ann, "").await?;
    let stored: Vec<&str> = page
        .items()?
        .iter()
        .rev()
        .filter_map(|m| m["content"].as_str())
        .collect();
    w.check(
        &req::SEND_CONTENT_EXACT,
        stored == texts,
        format!("{texts:?}"),
        format!("{stored:?}"),
    );
    let longest = "\u{1f600}".repeat(4096);
    w.success(
        &req::SEND_CONTENT_LENGTH,
        &ann.send(&bob.id, &longest).await?,
        201,
        None,
    )?;
    w.invalid(
        &req::SEND_CONTENT_LENGTH,
        &ann.send(&bob.id, &(longest + "x")).await?,
        &["content"],
    );
    for kind in ["text", "image", "file", "audio"] {
        let answer = ann
            .post(SEND, &json!({"to": bob.id, "content": "c", "messageType": kind}))
            .await?;
        w.equal(
            &req::SEND_TYPE_KNOWN,
            "messageType",
            kind,
            answer.body["message"]["messageType"].clone(),
        );
    }
    Ok(())
}

async fn bad_messages_are_refused(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let good = json!({"to": bob.id, "content": "hello"});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (requirement, field, value) in [
        (&req::SEND_CONTENT_BLANK, "content", json!("")),
        (&req::SEND_CONTENT_BLANK, "content", json!(" \u{a0}\n\t\u{3000}")),
        (&req::SEND_CONTENT_NUL, "content", json!("a\u{0}b")),
        (&req::SEND_CONTENT_LENGTH, "content", json!(7)),
        (&req::SEND_CONTENT_LENGTH, "content", json!({"$ne": ""})),
        (&req::SEND_TYPE_KNOWN, "messageType", json!("video")),
        (&req::SEND_TYPE_KNOWN, "messageType", json!("Text")),
        (&req::SEND_IDEMPOTENT_FORMAT, "clientMessageId", json!("has space")),
        (&req::SEND_IDEMPOTENT_FORMAT, "clientMessageId", json!("x".repeat(65))),
        (&req::SEND_IDEMPOTENT_FORMAT, "clientMessageId", json!("")),
    ] {
        if field == "clientMessageId" && !w.target.claims(Profile::Recovery) {
            continue;
        }
        w.invalid(requirement, &ann.post(SEND, &with(field, value)).await?, &[field]);
    }
    let secret = "a-content-to-look-for".repeat(400);
    let answer = ann.send(&bob.id, &secret).await?;
    w.check(
        &req::ERRORS_DETAILS_NO_ECHO,
        !answer.text.contains("look-for"),
        "no content in the answer",
        &answer.text,
    );
    w.invalid(
        &req::ERRORS_DETAILS_ALL_FIELDS_AT_ONCE,
        &ann.post(SEND, &json!({})).await?,
        &["to", "content"],
    );
    let page = ann.conversation(&bob, "").await?;
    w.check(
        &req::SHAPES_CHAT_EXISTS_FROM_FIRST_MESSAGE,
        page.body["chatId"].is_null(),
        "no chat without a message",
        &page.text,
    );
    Ok(())
}

async fn receivers_must_be_others(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    w.refused(
        &req::SEND_TO_UNKNOWN,
        &ann.send("ffffffffffffffffffffffff", "x").await?,
        404,
        "USER_NOT_FOUND",
    );
    w.refused(
        &req::IDS_MALFORMED_SAME_AS_UNKNOWN,
        &ann.send("no such id!", "x").await?,
        404,
        "USER_NOT_FOUND",
    );
    w.refused(
        &req::SEND_TO_SELF,
        &ann.send(&ann.id, "x").await?,
        400,
        "CANNOT_MESSAGE_SELF",
    );
    w.invalid(
        &req::PRECEDENCE_FIELDS_BEFORE_EXISTENCE,
        &ann.send("ffffffffffffffffffffffff", "").await?,
        &["content"],
    );
    Ok(())
}

async fn chats_belong_to_two(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let chat = ann.must_send(&bob.id, "one").await?["chatId"].clone();
    let other = ann.must_send(&eve.id, "two").await?["chatId"].clone();
    let send = |chat: Value| {
        let (ann, to) = (ann.clone(), bob.id.clone());
        async move { ann.post(SEND, &json!({"to": to, "content": "x", "chatId": chat})).await }
    };
    for wrong in [other, json!("ffffffffffffffffffffffff"), json!("not an id")] {
        w.refused(&req::SEND_CHAT_MISMATCH, &send(wrong).await?, 400, "CHAT_MISMATCH");
    }
    w.success(&req::SEND_CHAT_MATCHING, &send(chat.clone()).await?, 201, None)?;
    w.success(&req::SEND_CHAT_MATCHING, &send(Value::Null).await?, 201, None)?;
    let back = bob.must_send(&ann.id, "back").await?;
    w.equal(&req::SEND_CHAT_ONE_FOR_TWO, "chatId", chat, back["chatId"].clone());
    Ok(())
}

async fn both_write_first_at_once(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (one, two) = tokio::join!(ann.send(&bob.id, "from ann"), bob.send(&ann.id, "from bob"));
    let (one, two) = (one?, two?);
    for sent in [&one, &two] {
        w.success(&req::SEND_CHAT_ONE_FOR_TWO, sent, 201, None)?;
    }
    w.equal(
        &req::SEND_CHAT_ONE_FOR_TWO,
        "chatId",
        one.body["message"]["chatId"].clone(),
        two.body["message"]["chatId"].clone(),
    );
    let mut seqs = [one.body["message"]["seq"].as_u64(), two.body["message"]["seq"].as_u64()];
    seqs.sort_unstable();
    w.check(
        &req::PROMISES_SEQ_GAPLESS,
        seqs == [Some(1), Some(2)],
        "1 and 2",
        format!("{seqs:?}"),
    );
    Ok(())
}

/// The answer to a message that was sent before is the same, though nothing is created.
pub(super) fn repeated(w: &World, first: &Answer, again: &Answer) -> Outcome {
    let requirement = &req::SEND_IDEMPOTENT_REPEAT_SAME_ANSWER;
    w.success(requirement, again, 200, Some("MessageResponse"))?;
    w.equal(
        requirement,
        "message",
        first.body["message"].clone(),
        again.body["message"].clone(),
    );
    Ok(())
}

async fn a_repeat_is_the_same_message(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = bob.device().await?;
    let body = json!({"to": bob.id, "content": "once", "clientMessageId": "only-once"});
    let first = ann.post(SEND, &body).await?;
    w.success(&req::SEND_SUCCESS_CREATED, &first, 201, Some("MessageResponse"))?;
    repeated(&w, &first, &ann.post(SEND, &body).await?)?;
    w.arrives(&req::MESSAGE_NEW_EXACTLY_ONCE, &device, "new_message", |p| {
        p["content"] == "once"
    })
    .await?;
    w.absent(
        &req::SEND_IDEMPOTENT_NO_SECOND,
        &device,
        &ann,
        "second event",
        |name, p| name == "new_message" && p["content"] == "once",
    )
    .await?;
    let page = bob.conversation(&ann, "").await?;
    let copies = page.items()?.iter().filter(|m| m["content"] == "once").count();
    w.equal(&req::SEND_IDEMPOTENT_NO_SECOND, "copies", 1, copies);
    Ok(())
}

async fn a_repeat_by_the_other_way(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (mine, theirs) = (ann.device().await?, bob.device().await?);
    let body = json!({"to": bob.id, "content": "once", "clientMessageId": "both-ways"});
    let ack = mine.ask("send_message", body.clone()).await?;
    w.accepted(&req::MESSAGE_ACK_FIELDS, &ack)?;
    w.shaped(&req::MESSAGE_ACK_FIELDS, "SendMessageAck", &ack);
    let repeated = mine.ask("send_message", body.clone()).await?;
    w.equal(&req::SEND_IDEMPOTENT_REPEAT_SAME_ACK, "ack", ack.clone(), repeated);
    let rest = ann.post(SEND, &body).await?;
    w.success(&req::SEND_IDEMPOTENT_ACROSS_WAYS, &rest, 200, Some("MessageResponse"))?;
    w.equal(
        &req::SEND_IDEMPOTENT_ACROSS_WAYS,
        "id",
        ack["messageId"].clone(),
        rest.body["message"]["id"].clone(),
    );
    w.arrives(&req::MESSAGE_NEW_EXACTLY_ONCE, &theirs, "new_message", |p| {
        p["content"] == "once"
    })
    .await?;
    w.absent(
        &req::SEND_IDEMPOTENT_NO_SECOND,
        &theirs,
        &ann,
        "second event",
        |name, p| name == "new_message" && p["content"] == "once",
    )
    .await
}

async fn racing_repeats_make_one(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let body = json!({"to": bob.id, "content": "race", "clientMessageId": "race"});
    let answers = futures_util::future::try_join_all((0..8).map(|_| ann.post(SEND, &body))).await?;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let same = answers
        .iter()
        .all(|answer| answer.body["message"]["id"] == answers[0].body["message"]["id"]);
    w.check(
        &req::SEND_IDEMPOTENT_CONCURRENT,
        created == 1 && same,
        "one 201 and one id",
        format!("{created} created, same id: {same}"),
    );
    Ok(())
}

async fn client_ids_are_per_sender(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let one = ann
        .post(
            SEND,
            &json!({"to": bob.id, "content": "x", "clientMessageId": "shared"}),
        )
        .await?;
    let two = bob
        .post(
            SEND,
            &json!({"to": ann.id, "content": "x", "clientMessageId": "shared"}),
        )
        .await?;
    w.check(
        &req::SEND_IDEMPOTENT_PER_SENDER,
        one.status == 201 && two.status == 201,
        "two 201",
        format!("{} {}", one.status, two.status),
    );
    Ok(())
}

async fn a_reused_client_id_is_refused(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let first = json!({"to": bob.id, "content": "x", "clientMessageId": "reused"});
    w.success(&req::SEND_SUCCESS_CREATED, &ann.post(SEND, &first).await?, 201, None)?;
    for (field, value) in [
        ("to", json!(eve.id)),
        ("content", json!("y")),
        ("messageType", json!("image")),
    ] {
        let mut body = first.clone();
        body[field] = value;
        w.refused(
            &req::SEND_IDEMPOTENT_REUSED,
            &ann.post(SEND, &body).await?,
            409,
            "CLIENT_MESSAGE_ID_REUSED",
        );
    }
    Ok(())
}
