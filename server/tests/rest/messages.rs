//! Sending, editing, deleting, marking as read.

use serde_json::{Value, json};

use crate::client::{each, keys, names};
use crate::person::Person;
use crate::server::Server;

const MESSAGE: [&str; 12] = [
    "id",
    "chatId",
    "seq",
    "sender",
    "receiver",
    "content",
    "messageType",
    "isRead",
    "readAt",
    "timestamp",
    "editedAt",
    "deletedAt",
];

async fn send(from: &Person, body: Value) -> crate::client::Answer {
    from.post("/api/messages/send", body).await
}

async fn mark(reader: &Person, body: Value) -> crate::client::Answer {
    reader.post("/api/messages/mark-read", body).await
}

fn path(message: &Value) -> String {
    format!("/api/messages/{}", message["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_message_is_answered_as_it_is_stored() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let content = "  first\r\nline \u{1F468}\u{200D}\u{1F469} e\u{301}\t<b>&amp;</b> \u{202E} ";
    let body = json!({"to": bob.id, "content": content, "isRead": true, "sender": bob.id, "seq": 9});
    let body = send(&ann, body).await.ok(201);
    assert_eq!(keys(&body), names(&["message"]));
    let message = &body["message"];
    assert_eq!(keys(message), names(&MESSAGE));
    assert_eq!(message["content"], content);
    assert_eq!(
        (&message["sender"], &message["receiver"]),
        (&json!(ann.id), &json!(bob.id))
    );
    assert_eq!((&message["seq"], &message["messageType"]), (&json!(1), &json!("text")));
    assert_eq!((&message["isRead"], &message["readAt"]), (&json!(false), &Value::Null));
    for reader in [&ann, &bob] {
        let peer = if reader.id == ann.id { &bob } else { &ann };
        let history = reader.conversation(peer, "").await;
        assert_eq!(history["items"][0], *message);
        assert_eq!(history["chatId"], message["chatId"]);
    }
}

#[tokio::test]
async fn content_is_bounded_in_characters_and_never_only_white_space() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    for content in ["x".into(), "🎉".repeat(4096), " . ".into(), "\u{200B}".into()] {
        let sent = ann.sends(&bob, &content).await;
        assert_eq!(sent["content"], content);
    }
    let bad = [
        json!(""),
        json!("x".repeat(4097)),
        json!("🎉".repeat(4097)),
        json!(" \t\r\n"),
        json!("\u{3000}\u{2003}"),
        json!("a\0b"),
        json!(7),
        json!({"a": 1}),
        json!(["x"]),
        Value::Null,
    ];
    for content in bad {
        let answer = send(&ann, json!({"to": bob.id, "content": content})).await;
        answer.refused_for(&["content"]);
    }
    assert_eq!(bob.conversation(&ann, "").await["items"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn there_are_four_types() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    for kind in ["text", "image", "file", "audio"] {
        let sent = send(&ann, json!({"to": bob.id, "content": "x", "messageType": kind})).await;
        assert_eq!(sent.ok(201)["message"]["messageType"], kind);
    }
    for kind in [json!("video"), json!("TEXT"), json!(""), json!(1)] {
        let answer = send(&ann, json!({"to": bob.id, "content": "x", "messageType": kind})).await;
        answer.refused_for(&["messageType"]);
    }
}

#[tokio::test]
async fn unknown_malformed_and_inactive_receivers_are_the_same_404() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    server.set_active(&bob, false).await;
    let mut answers = Vec::new();
    let long = "x".repeat(65);
    for to in [
        "ffffffffffffffffffffffff",
        "nobody",
        "",
        "a b",
        "../../etc",
        &long,
        &bob.id,
    ] {
        let client = ann.with_header("x-request-id", "same");
        let answer = client
            .post("/api/messages/send", json!({"to": to, "content": "x"}))
            .await;
        answer.refused(404, "USER_NOT_FOUND");
        answers.push(answer.text);
    }
    assert!(answers.iter().all(|text| *text == answers[0]));
    let answer = send(&ann, json!({"to": ann.id, "content": "x"})).await;
    answer.refused(400, "CANNOT_MESSAGE_SELF");
    for to in [Value::Null, json!(7), json!({"$gt": ""})] {
        send(&ann, json!({"to": to, "content": "x"})).await.refused_for(&["to"]);
    }
}

#[tokio::test]
async fn a_chat_id_must_be_the_chat_of_these_two() {
    let server = Server::start().await;
    let (ann, bob, cid) = (
        server.person("ann").await,
        server.person("bob").await,
        server.person("cid").await,
    );
    let first = ann.sends(&bob, "one").await;
    let other = ann.sends(&cid, "one").await;
    let strangers = bob.sends(&cid, "one").await;
    for chat in [&first["chatId"], &Value::Null] {
        let sent = send(&ann, json!({"to": bob.id, "content": "x", "chatId": chat})).await;
        assert_eq!(sent.ok(201)["message"]["chatId"], first["chatId"]);
    }
    for chat in [
        &other["chatId"],
        &strangers["chatId"],
        &json!("unknown"),
        &json!("not an id"),
        &json!(""),
    ] {
        let answer = send(&ann, json!({"to": bob.id, "content": "x", "chatId": chat})).await;
        answer.refused(400, "CHAT_MISMATCH");
    }
    let answer = send(&ann, json!({"to": bob.id, "content": "x", "chatId": 7})).await;
    answer.refused_for(&["chatId"]);
    let dee = server.person("dee").await;
    let answer = send(&ann, json!({"to": dee.id, "content": "x", "chatId": first["chatId"]})).await;
    answer.refused(400, "CHAT_MISMATCH");
    assert_eq!(
        ann.conversation(&dee, "").await["chatId"],
        Value::Null,
        "nothing came into being"
    );
    assert_eq!(ann.conversation(&bob, "").await["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_repeated_client_message_id_is_one_message_and_one_event() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let mut device = bob.device().await;
    let body = json!({"to": bob.id, "content": "once", "clientMessageId": "a-1_B"});
    let calls = (0..8).map(|_| send(&ann, body.clone()));
    let answers = futures_util::future::join_all(calls).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    let first = &answers[0].body;
    assert!(answers.iter().all(|answer| answer.body == *first));
    assert_eq!(first["message"]["clientMessageId"], "a-1_B");
    ann.sends(&bob, "fence").await;
    for content in ["once", "fence"] {
        let event = device.event("new_message").await;
        assert_eq!(event["content"], content);
        assert!(event.get("clientMessageId").is_none());
    }
    let seen = bob.conversation(&ann, "").await;
    assert_eq!(each(&seen, "content"), ["fence", "once"]);
    assert_eq!(
        keys(&seen["items"][1]),
        names(&MESSAGE),
        "the client id is its sender's alone"
    );
    assert_eq!(ann.conversation(&bob, "").await["items"][1]["clientMessageId"], "a-1_B");
}

#[tokio::test]
async fn a_client_message_id_is_not_for_another_message_but_for_another_sender() {
    let server = Server::start().await;
    let (ann, bob, cid) = (
        server.person("ann").await,
        server.person("bob").await,
        server.person("cid").await,
    );
    let body = json!({"to": bob.id, "content": "x", "clientMessageId": "one"});
    send(&ann, body.clone()).await.ok(201);
    for (field, value) in [
        ("to", json!(cid.id)),
        ("content", json!("y")),
        ("messageType", json!("image")),
    ] {
        let mut other = body.clone();
        other[field] = value;
        send(&ann, other).await.refused(409, "CLIENT_MESSAGE_ID_REUSED");
    }
    let mut same = body.clone();
    same["messageType"] = json!("text");
    send(&ann, same).await.ok(200);
    send(&bob, json!({"to": ann.id, "content": "z", "clientMessageId": "one"}))
        .await
        .ok(201);
    let long = "x".repeat(65);
    for id in [json!(""), json!("a b"), json!("é"), json!(long), json!(1)] {
        let answer = send(&ann, json!({"to": bob.id, "content": "x", "clientMessageId": id})).await;
        answer.refused_for(&["clientMessageId"]);
    }
}

#[tokio::test]
async fn an_edit_changes_the_content_and_nothing_else() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let sent = ann.sends(&bob, "befor").await;
    ann.sends(&bob, "another").await;
    mark(&bob, json!({"messageIds": [sent["id"]]})).await.ok(200);
    let mut expected = ann.conversation(&bob, "").await["items"][1].clone();
    let edited = ann.put(&path(&sent), json!({"content": "before"})).await.ok(200)["message"].take();
    assert!(edited["editedAt"].as_str().unwrap() >= edited["timestamp"].as_str().unwrap());
    expected["content"] = json!("before");
    expected["editedAt"] = edited["editedAt"].clone();
    assert_eq!(edited, expected);
    assert_eq!(edited["isRead"], true);
    assert_eq!(bob.conversation(&ann, "").await["items"][1], expected);
}

#[tokio::test]
async fn only_the_sender_edits_and_deletes_and_strangers_learn_nothing() {
    let server = Server::start().await;
    let (ann, bob, cid) = (
        server.person("ann").await,
        server.person("bob").await,
        server.person("cid").await,
    );
    let sent = ann.sends(&bob, "mine").await;
    let edit = json!({"content": "theirs"});
    bob.put(&path(&sent), edit.clone())
        .await
        .refused(403, "NOT_MESSAGE_SENDER");
    bob.delete(&path(&sent)).await.refused(403, "NOT_MESSAGE_SENDER");
    let cid_again = cid.with_header("x-request-id", "same");
    let real = cid_again.put(&path(&sent), edit.clone()).await;
    real.refused(404, "MESSAGE_NOT_FOUND");
    for id in ["ffffffffffffffffffffffff", "not%20an%20id", "%00", "%ff", "a%2Fb"] {
        let path = format!("/api/messages/{id}");
        let unknown = cid_again.put(&path, edit.clone()).await;
        unknown.refused(404, "MESSAGE_NOT_FOUND");
        assert_eq!(unknown.text, real.text, "{id}");
        cid.delete(&path).await.refused(404, "MESSAGE_NOT_FOUND");
    }
    cid.delete(&path(&sent)).await.refused(404, "MESSAGE_NOT_FOUND");
    assert_eq!(ann.conversation(&bob, "").await["items"][0], sent, "untouched");
}

#[tokio::test]
async fn a_deleted_message_is_a_tombstone_in_its_place() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let first = ann.sends(&bob, "first").await;
    let last = ann.sends(&bob, "last").await;
    let answer = ann.delete(&path(&last)).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let history = bob.conversation(&ann, "").await;
    let tombstone = &history["items"][0];
    assert_eq!((&tombstone["id"], &tombstone["content"]), (&last["id"], &json!("")));
    assert_eq!(
        (&tombstone["seq"], &tombstone["timestamp"]),
        (&last["seq"], &last["timestamp"])
    );
    assert!(tombstone["deletedAt"].is_string());
    assert_eq!(history["items"][1], first);

    ann.delete(&path(&last)).await.refused(404, "MESSAGE_NOT_FOUND");
    bob.delete(&path(&last)).await.refused(404, "MESSAGE_NOT_FOUND");
    let answer = ann.put(&path(&last), json!({"content": "back"})).await;
    answer.refused(404, "MESSAGE_NOT_FOUND");
    let chats = bob.get("/api/messages/chats").await.ok(200);
    let chat = &chats["items"][0];
    assert_eq!((&chat["lastMessage"], &chat["unreadCount"]), (tombstone, &json!(1)));
    assert_eq!(chat["lastActivity"], last["timestamp"]);
}

#[tokio::test]
async fn marking_counts_what_is_newly_read_and_keeps_the_first_time() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let mut sent = Vec::new();
    for content in ["one", "two", "three", "four"] {
        sent.push(ann.sends(&bob, content).await);
    }
    ann.delete(&path(&sent[2])).await.ok(204);
    let ids = json!([sent[0]["id"], sent[0]["id"], sent[2]["id"]]);
    let marked = mark(&bob, json!({"messageIds": ids})).await.ok(200);
    assert_eq!(marked, json!({"updated": 1}));
    let read_at = bob.conversation(&ann, "").await["items"][3]["readAt"].clone();
    assert!(read_at.is_string());
    let chat = json!({"chatId": sent[0]["chatId"]});
    assert_eq!(mark(&bob, chat.clone()).await.ok(200)["updated"], 2);
    assert_eq!(mark(&bob, chat.clone()).await.ok(200)["updated"], 0);
    assert_eq!(
        mark(&ann, chat).await.ok(200)["updated"],
        0,
        "nothing was sent to the sender"
    );
    let history = ann.conversation(&bob, "").await;
    assert_eq!(history["items"][3]["readAt"], read_at);
    let read = |index: usize| history["items"][index]["isRead"].clone();
    assert_eq!([read(3), read(2), read(0)], [json!(true), json!(true), json!(true)]);
    assert_eq!(
        (&history["items"][1]["readAt"], read(1)),
        (&Value::Null, json!(false)),
        "deleted before it was read"
    );
    let chats = bob.get("/api/messages/chats").await.ok(200);
    assert_eq!(chats["items"][0]["unreadCount"], 0);
}

#[tokio::test]
async fn marking_is_all_or_nothing() {
    let server = Server::start().await;
    let (ann, bob, cid) = (
        server.person("ann").await,
        server.person("bob").await,
        server.person("cid").await,
    );
    let good = ann.sends(&bob, "to bob").await;
    let own = bob.sends(&ann, "from bob").await;
    let strangers = ann.sends(&cid, "to cid").await;
    let cases = [
        (json!([good["id"], "unknown"]), 404, "MESSAGE_NOT_FOUND"),
        (json!([good["id"], "not an id"]), 404, "MESSAGE_NOT_FOUND"),
        (json!([good["id"], strangers["id"]]), 404, "MESSAGE_NOT_FOUND"),
        (json!([good["id"], own["id"]]), 403, "NOT_MESSAGE_RECEIVER"),
    ];
    for (ids, status, code) in cases {
        mark(&bob, json!({"messageIds": ids})).await.refused(status, code);
    }
    for chat in [&strangers["chatId"], &json!("unknown"), &json!("not an id")] {
        mark(&bob, json!({"chatId": chat})).await.refused(404, "CHAT_NOT_FOUND");
    }
    let chats = bob.get("/api/messages/chats").await.ok(200);
    assert_eq!(chats["items"][0]["unreadCount"], 1);
    assert_eq!(bob.conversation(&ann, "").await["items"][1]["isRead"], false);
    let chats = cid.get("/api/messages/chats").await.ok(200);
    assert_eq!(chats["items"][0]["unreadCount"], 1);
}

#[tokio::test]
async fn marking_takes_one_to_a_hundred_ids_or_a_chat() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let mut ids = Vec::new();
    for number in 0..100 {
        ids.push(ann.sends(&bob, &number.to_string()).await["id"].take());
    }
    let too_many = json!({"messageIds": ([ids.clone(), vec![json!("one more")]].concat())});
    mark(&bob, too_many).await.refused_for(&["messageIds"]);
    for bad in [json!([]), json!("x"), json!([7]), json!({}), json!([null])] {
        mark(&bob, json!({"messageIds": bad}))
            .await
            .refused_for(&["messageIds"]);
    }
    mark(&bob, json!({"chatId": 7})).await.refused_for(&["chatId"]);
    mark(&bob, json!({"messageIds": ids, "chatId": "x"}))
        .await
        .refused(400, "VALIDATION_ERROR");
    mark(&bob, json!({})).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(mark(&bob, json!({"messageIds": ids})).await.ok(200)["updated"], 100);
}
