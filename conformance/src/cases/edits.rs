//! Editing and deleting.

use chat_spec::{Requirement, req};
use serde_json::json;

use super::newest_messages;
use crate::cases;
use crate::engine::{Outcome, Request, User, World};

cases!("edits":
    an_edit_keeps_its_place [EDIT_EVENT_BOTH_SIDES, EDIT_SUCCESS_KEEPS, EDIT_SUCCESS_MESSAGE, MESSAGE_NEW_NOBODY_ELSE],
    the_last_edit_is_heard_last [EDIT_EVENT_ORDER],
    edits_have_rights [
        EDIT_MISSING_NOT_FOUND, EDIT_RIGHTS_RECEIVER, EDIT_RIGHTS_STRANGER, IDS_MALFORMED_SAME_AS_UNKNOWN,
    ],
    bad_edits_are_refused [EDIT_CONTENT_RULES, PRECEDENCE_FIELDS_BEFORE_EXISTENCE],
    a_delete_leaves_a_tombstone [
        DELETE_EVENT_BOTH_SIDES, DELETE_REPEATED_NOT_FOUND, DELETE_SUCCESS_TOMBSTONE, SHAPES_CHAT_LAST_ACTIVITY,
        SHAPES_CHAT_LAST_MESSAGE,
    ],
    deletes_have_rights [DELETE_RIGHTS_RECEIVER, DELETE_RIGHTS_STRANGER, EDIT_MISSING_NOT_FOUND],
);

fn path(message: &serde_json::Value) -> String {
    format!("/api/messages/{}", message["id"].as_str().unwrap_or_default())
}

/// What the receiver of a message tries and what a stranger tries is refused, and the conversation stays as it was.
async fn only_for_the_sender(
    w: &World,
    [sender, receiver, stranger]: [&User; 3],
    [of_receiver, of_stranger]: [&'static Requirement; 2],
    attempt: impl Fn(&User) -> Request,
) -> Outcome {
    let before = newest_messages(sender, receiver).await?;
    for (requirement, user, status, code) in [
        (of_receiver, receiver, 403, "NOT_MESSAGE_SENDER"),
        (of_stranger, stranger, 404, "MESSAGE_NOT_FOUND"),
    ] {
        let answer = attempt(user).send().await?;
        w.refused(requirement, &answer, status, code);
        let after = newest_messages(sender, receiver).await?;
        w.equal(requirement, "the conversation", before.clone(), after);
    }
    Ok(())
}

async fn an_edit_keeps_its_place(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let message = ann.must_send(&bob.id, "before").await?;
    bob.post("/api/messages/mark-read", &json!({"messageIds": [message["id"]]}))
        .await?
        .succeeded()?;
    let (mine, theirs, stranger) = (ann.device().await?, bob.device().await?, eve.device().await?);
    let answer = ann.put(&path(&message), &json!({"content": "after"})).await?;
    w.success(&req::EDIT_SUCCESS_MESSAGE, &answer, 200, Some("MessageResponse"))?;
    let edited = &answer.body["message"];
    w.check(
        &req::EDIT_SUCCESS_MESSAGE,
        edited["content"] == "after" && edited["editedAt"].is_string(),
        "the new content and editedAt",
        edited,
    );
    let kept = ["id", "chatId", "seq", "timestamp", "sender", "receiver"]
        .iter()
        .all(|field| edited[field] == message[field]);
    w.check(
        &req::EDIT_SUCCESS_KEEPS,
        kept && edited["isRead"] == true && edited["readAt"].is_string(),
        "all else unchanged, still read",
        edited,
    );
    let stored = bob.conversation(&ann, "").await?;
    w.equal(
        &req::EDIT_SUCCESS_KEEPS,
        "stored content",
        "after",
        stored.body["items"][0]["content"].clone(),
    );
    w.absent(
        &req::MESSAGE_NEW_NOBODY_ELSE,
        &stranger,
        &ann,
        "event of others",
        |name, p| name.starts_with("message_") && p.to_string().contains("after"),
    )
    .await?;
    // Last, for the events are an extension: without them all of the above holds.
    for device in [&mine, &theirs] {
        let event = w
            .arrives(&req::EDIT_EVENT_BOTH_SIDES, device, "message_edited", |p| {
                p["message"]["id"] == message["id"]
            })
            .await?;
        w.equal(
            &req::EDIT_EVENT_BOTH_SIDES,
            "content",
            "after",
            event["message"]["content"].clone(),
        );
    }
    Ok(())
}

async fn the_last_edit_is_heard_last(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let message = ann.must_send(&bob.id, "0").await?;
    let theirs = bob.device().await?;
    for number in 1..=6 {
        let edit = json!({"content": number.to_string()});
        ann.put(&path(&message), &edit).await?.succeeded()?;
    }
    let last = |p: &serde_json::Value| p["message"]["content"] == "6";
    // An earlier one may come twice, but not behind it.
    loop {
        let event = w
            .arrives(&req::EDIT_EVENT_ORDER, &theirs, "message_edited", |_| true)
            .await?;
        if last(&event) {
            break;
        }
    }
    let late = theirs
        .take_within(super::STRAGGLERS, "message_edited", |p| !last(p))
        .await;
    w.check(
        &req::EDIT_EVENT_ORDER,
        late.is_none(),
        "nothing of an earlier edit behind the last one",
        late.unwrap_or_default(),
    );
    Ok(())
}

async fn edits_have_rights(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let message = ann.must_send(&bob.id, "before").await?;
    let body = json!({"content": "changed"});
    let edit = |user: &User| user.request("PUT", &path(&message)).json(&body);
    let requirements = [&req::EDIT_RIGHTS_RECEIVER, &req::EDIT_RIGHTS_STRANGER];
    only_for_the_sender(&w, [&ann, &bob, &eve], requirements, edit).await?;
    w.refused(
        &req::EDIT_MISSING_NOT_FOUND,
        &ann.put("/api/messages/ffffffffffffffffffffffff", &body).await?,
        404,
        "MESSAGE_NOT_FOUND",
    );
    w.refused(
        &req::IDS_MALFORMED_SAME_AS_UNKNOWN,
        &ann.put("/api/messages/not%20an%20id", &body).await?,
        404,
        "MESSAGE_NOT_FOUND",
    );
    ann.delete(&path(&message)).await?.succeeded()?;
    for user in [&ann, &bob] {
        w.refused(
            &req::EDIT_MISSING_NOT_FOUND,
            &user.put(&path(&message), &body).await?,
            404,
            "MESSAGE_NOT_FOUND",
        );
    }
    Ok(())
}

async fn bad_edits_are_refused(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let message = ann.must_send(&bob.id, "before").await?;
    for bad in [
        json!(""),
        json!("  "),
        json!("a\u{0}"),
        json!("x".repeat(4097)),
        json!(null),
        json!(1),
    ] {
        w.invalid(
            &req::EDIT_CONTENT_RULES,
            &ann.put(&path(&message), &json!({"content": bad})).await?,
            &["content"],
        );
    }
    w.invalid(
        &req::PRECEDENCE_FIELDS_BEFORE_EXISTENCE,
        &ann.put("/api/messages/ffffffffffffffffffffffff", &json!({})).await?,
        &["content"],
    );
    let page = bob.conversation(&ann, "").await?;
    w.equal(
        &req::EDIT_CONTENT_RULES,
        "content",
        "before",
        page.body["items"][0]["content"].clone(),
    );
    Ok(())
}

async fn a_delete_leaves_a_tombstone(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (mine, theirs) = (ann.device().await?, bob.device().await?);
    let message = ann.must_send(&bob.id, "to be gone").await?;
    let answer = ann.delete(&path(&message)).await?;
    w.success(&req::DELETE_SUCCESS_TOMBSTONE, &answer, 204, None)?;
    let page = bob.conversation(&ann, "").await?;
    w.check(
        &req::DELETE_SUCCESS_TOMBSTONE,
        !page.text.contains("to be gone") && page.items()?.len() == 1,
        "a tombstone",
        &page.text,
    );
    let chats = bob.get("/api/messages/chats").await?;
    let last = &chats.body["items"][0]["lastMessage"];
    w.check(
        &req::SHAPES_CHAT_LAST_MESSAGE,
        last["id"] == message["id"] && last["content"] == "" && last["deletedAt"].is_string(),
        "the tombstone",
        last,
    );
    w.equal(
        &req::SHAPES_CHAT_LAST_ACTIVITY,
        "lastActivity",
        message["timestamp"].clone(),
        chats.body["items"][0]["lastActivity"].clone(),
    );
    w.refused(
        &req::DELETE_REPEATED_NOT_FOUND,
        &ann.delete(&path(&message)).await?,
        404,
        "MESSAGE_NOT_FOUND",
    );
    // Last, for the events are an extension: without them all of the above holds.
    for device in [&mine, &theirs] {
        w.arrives(&req::DELETE_EVENT_BOTH_SIDES, device, "message_deleted", |p| {
            p["messageId"] == message["id"]
        })
        .await?;
    }
    Ok(())
}

async fn deletes_have_rights(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let message = ann.must_send(&bob.id, "stays").await?;
    let delete = |user: &User| user.request("DELETE", &path(&message));
    let requirements = [&req::DELETE_RIGHTS_RECEIVER, &req::DELETE_RIGHTS_STRANGER];
    only_for_the_sender(&w, [&ann, &bob, &eve], requirements, delete).await?;
    let unknown = ann.delete("/api/messages/ffffffffffffffffffffffff").await?;
    w.refused(&req::EDIT_MISSING_NOT_FOUND, &unknown, 404, "MESSAGE_NOT_FOUND");
    Ok(())
}
