//! What each event does and who hears of it: these, and nobody else.

use reqwest::Method;
use serde_json::{Value, json};

use crate::device::Device;
use crate::person::Person;
use crate::server::Server;

/// Two people with two devices each, and a stranger.
struct Scene {
    server: Server,
    ann: Person,
    bob: Person,
    anns: [Device; 2],
    bobs: [Device; 2],
    eve: Person,
    eves: Device,
}

impl Scene {
    /// Nobody knows anybody yet, so that nobody hears of anybody's coming.
    async fn set() -> Self {
        let server = Server::start().await;
        let (ann, bob, eve) = (
            server.person("ann").await,
            server.person("bob").await,
            server.person("eve").await,
        );
        Self {
            anns: [ann.device().await, ann.device().await],
            bobs: [bob.device().await, bob.device().await],
            eves: eve.device().await,
            server,
            ann,
            bob,
            eve,
        }
    }

    /// As [`Self::set`], with one message from Ann to Bob that everybody has heard of; it is returned.
    async fn with_message() -> (Self, Value) {
        let mut scene = Self::set().await;
        let message = scene.ann.say(&scene.bob, "hello").await;
        for device in scene.anns.iter_mut().chain(&mut scene.bobs) {
            assert_eq!(device.event("new_message").await["messageId"], message["id"]);
        }
        (scene, message)
    }

    /// Nothing more has come to any device. A message to everybody is the fence.
    async fn and_nothing_else(mut self) {
        let fence = self.server.person("fence").await;
        for person in [&self.ann, &self.bob, &self.eve] {
            fence.say(person, "fence").await;
        }
        let all = self.anns.iter_mut().chain(&mut self.bobs).chain([&mut self.eves]);
        for device in all {
            assert_eq!(device.event("new_message").await["content"], "fence");
        }
    }
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn check_announced(announced: &Value, scene: (&Person, &Person), ack: &Value, content: &str) {
    let expected = json!({
        "messageId": ack["messageId"], "chatId": ack["chatId"], "seq": ack["seq"], "timestamp": ack["timestamp"],
        "sender": scene.0.id, "receiver": scene.1.id, "content": content, "messageType": "text",
    });
    assert_eq!(*announced, expected);
}

#[tokio::test]
async fn a_message_reaches_every_device_of_both_but_the_one_that_sent_it() {
    let mut scene = Scene::set().await;
    let payload = json!({"to": scene.bob.id, "content": " hé\u{0}llo ".replace('\u{0}', ""), "clientMessageId": "c-1"});
    let ack = scene.anns[0].done("send_message", payload).await;
    assert_eq!(keys(&ack), ["chatId", "messageId", "ok", "seq", "timestamp"]);
    assert_eq!(ack["seq"], 1);
    let sent = scene.anns[0].event("message_sent").await;
    let expected = json!({
        "messageId": ack["messageId"], "chatId": ack["chatId"], "seq": 1, "timestamp": ack["timestamp"],
        "clientMessageId": "c-1",
    });
    assert_eq!(sent, expected);
    let both = (&scene.ann, &scene.bob);
    check_announced(&scene.anns[1].event("new_message").await, both, &ack, " héllo ");
    for device in &mut scene.bobs {
        check_announced(&device.event("new_message").await, both, &ack, " héllo ");
    }
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn without_an_ack_message_sent_is_the_answer() {
    let mut scene = Scene::set().await;
    let payload = json!({"to": scene.bob.id, "content": "hello"});
    scene.anns[0].emit("send_message", payload).await;
    let sent = scene.anns[0].event("message_sent").await;
    assert_eq!(keys(&sent), ["chatId", "messageId", "seq", "timestamp"]);
    for device in scene.bobs.iter_mut().chain([&mut scene.anns[1]]) {
        assert_eq!(device.event("new_message").await["messageId"], sent["messageId"]);
    }
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn the_optional_fields_are_taken_and_null_is_none() {
    let (mut scene, first) = Scene::with_message().await;
    for (kind, chat) in [
        ("image", first["chatId"].clone()),
        ("file", Value::Null),
        ("audio", Value::Null),
    ] {
        let payload = json!({"to": scene.bob.id, "content": "see", "messageType": kind, "chatId": chat,
            "clientMessageId": null, "unknown": {"is": "ignored"}});
        scene.anns[0].done("send_message", payload).await;
        scene.anns[0].event("message_sent").await;
        for device in scene.bobs.iter_mut().chain([&mut scene.anns[1]]) {
            assert_eq!(device.event("new_message").await["messageType"], kind);
        }
    }
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn a_repeated_message_gets_the_first_answer_and_makes_no_second_event() {
    let mut scene = Scene::set().await;
    let payload = json!({"to": scene.bob.id, "content": "once", "clientMessageId": "once"});
    let ack = scene.anns[0].done("send_message", payload.clone()).await;
    scene.anns[0].event("message_sent").await;
    for device in scene.bobs.iter_mut().chain([&mut scene.anns[1]]) {
        device.event("new_message").await;
    }
    assert_eq!(scene.anns[0].done("send_message", payload.clone()).await, ack);
    // The client id is the sender's, whatever the device.
    assert_eq!(scene.anns[1].done("send_message", payload).await, ack);
    let rest = json!({"to": scene.bob.id, "content": "once", "clientMessageId": "once"});
    let (status, repeated) = scene.ann.call(Method::POST, "/api/messages/send", rest).await;
    assert_eq!((status, &repeated["message"]["id"]), (200, &ack["messageId"]));
    for other in [
        json!({"to": scene.bob.id, "content": "twice", "clientMessageId": "once"}),
        json!({"to": scene.eve.id, "content": "once", "clientMessageId": "once"}),
        json!({"to": scene.bob.id, "content": "once", "clientMessageId": "once", "messageType": "file"}),
    ] {
        let code = scene.anns[0].refused("send_message", other).await;
        assert_eq!(code, "CLIENT_MESSAGE_ID_REUSED");
    }
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn a_message_by_rest_reaches_all_devices_of_both() {
    let (mut scene, _) = Scene::with_message().await;
    let message = scene.bob.say(&scene.ann, "over rest").await;
    for device in scene.anns.iter_mut().chain(&mut scene.bobs) {
        let event = device.event("new_message").await;
        assert_eq!((&event["messageId"], &event["seq"]), (&message["id"], &json!(2)));
    }
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn an_edit_reaches_all_devices_of_both_and_the_client_id_only_its_sender() {
    let mut scene = Scene::set().await;
    let payload = json!({"to": scene.bob.id, "content": "first", "clientMessageId": "mine"});
    let ack = scene.anns[0].done("send_message", payload).await;
    scene.anns[0].event("message_sent").await;
    for device in scene.bobs.iter_mut().chain([&mut scene.anns[1]]) {
        assert!(device.event("new_message").await.get("clientMessageId").is_none());
    }
    let path = format!("/api/messages/{}", ack["messageId"].as_str().unwrap());
    let edited = scene.ann.good(Method::PUT, &path, json!({"content": "second"})).await;
    for device in &mut scene.anns {
        assert_eq!(device.event("message_edited").await, edited);
    }
    for device in &mut scene.bobs {
        let mut shown = edited.clone();
        shown["message"].as_object_mut().unwrap().remove("clientMessageId");
        assert_eq!(device.event("message_edited").await, shown);
    }
    let (status, _) = scene.bob.call(Method::PUT, &path, json!({"content": "third"})).await;
    assert_eq!(status, 403);
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn a_deletion_reaches_all_devices_of_both_once() {
    let (mut scene, message) = Scene::with_message().await;
    let path = format!("/api/messages/{}", message["id"].as_str().unwrap());
    scene.ann.good(Method::DELETE, &path, Value::Null).await;
    assert_eq!(scene.ann.call(Method::DELETE, &path, Value::Null).await.0, 404);
    for device in scene.anns.iter_mut().chain(&mut scene.bobs) {
        let event = device.event("message_deleted").await;
        assert_eq!(keys(&event), ["chatId", "deletedAt", "messageId"]);
        assert_eq!(
            (&event["messageId"], &event["chatId"]),
            (&message["id"], &message["chatId"])
        );
    }
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn typing_reaches_the_devices_of_the_peer_alone_and_is_not_kept() {
    let mut scene = Scene::set().await;
    for (is_typing, with_ack) in [(true, true), (false, true), (true, false)] {
        let payload = json!({"to": scene.bob.id, "isTyping": is_typing});
        if with_ack {
            assert_eq!(scene.anns[0].ask("typing", payload).await, json!({"ok": true}));
        } else {
            scene.anns[0].emit("typing", payload).await;
        }
        for device in &mut scene.bobs {
            let event = device.event("typing_status").await;
            assert_eq!(keys(&event), ["from", "isTyping", "timestamp"]);
            assert_eq!(
                (&event["from"], &event["isTyping"]),
                (&json!(scene.ann.id), &json!(is_typing))
            );
        }
    }
    let path = format!("/api/messages/conversation/{}", scene.bob.id);
    assert_eq!(
        scene.ann.good(Method::GET, &path, Value::Null).await["chatId"],
        Value::Null
    );
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn typing_to_somebody_who_is_away_is_done_and_forgotten() {
    let mut scene = Scene::set().await;
    let dan = scene.server.person("dan").await;
    let payload = json!({"to": dan.id, "isTyping": true});
    scene.anns[0].done("typing", payload).await;
    dan.device().await.quiet().await;
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn a_receipt_reaches_the_sender_and_the_readers_other_device_once() {
    let (mut scene, message) = Scene::with_message().await;
    let payload = json!({"messageId": message["id"], "chatId": message["chatId"]});
    assert_eq!(
        scene.bobs[0].ask("read_receipt", payload.clone()).await,
        json!({"ok": true})
    );
    let mut told = Vec::new();
    for device in scene.anns.iter_mut().chain([&mut scene.bobs[1]]) {
        told.push(device.event("message_read").await);
    }
    assert_eq!(keys(&told[0]), ["chatId", "messageId", "readAt", "readerId"]);
    assert_eq!(
        (&told[0]["messageId"], &told[0]["readerId"]),
        (&message["id"], &json!(scene.bob.id))
    );
    assert!(told.iter().all(|event| *event == told[0]));
    // Read once is read for ever.
    scene.bobs[0].done("read_receipt", payload.clone()).await;
    scene.bobs[1].done("read_receipt", payload).await;
    let again = json!({"messageIds": [message["id"]]});
    assert_eq!(
        scene.bob.good(Method::POST, "/api/messages/mark-read", again).await,
        json!({"updated": 0})
    );
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn a_receipt_without_an_ack_is_told_the_same() {
    let (mut scene, message) = Scene::with_message().await;
    let payload = json!({"messageId": message["id"], "chatId": message["chatId"]});
    scene.bobs[0].emit("read_receipt", payload).await;
    for device in scene.anns.iter_mut().chain([&mut scene.bobs[1]]) {
        device.event("message_read").await;
    }
    scene.and_nothing_else().await;
}

/// More than may be under way at once, each with a message behind it.
#[tokio::test]
async fn receipts_and_messages_of_one_socket_are_all_done_each_in_its_order() {
    const MANY: usize = 150;
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let (mut anns, mut bobs) = (ann.device().await, bob.device().await);
    let mut received = Vec::new();
    for number in 0..MANY {
        let message = json!({"to": bob.id, "content": format!("{number}")});
        anns.done("send_message", message).await;
        received.push(bobs.event("new_message").await);
    }
    let mut asked = Vec::new();
    for (number, message) in received.iter().enumerate() {
        let receipt = json!({"messageId": message["messageId"], "chatId": message["chatId"]});
        asked.push(bobs.ask_later("read_receipt", receipt).await);
        let answer = json!({"to": ann.id, "content": format!("{number}")});
        asked.push(bobs.ask_later("send_message", answer).await);
    }
    for id in asked {
        let ack = bobs.ack(id).await;
        assert_eq!(ack["ok"], true, "{ack}");
    }
    let (mut read, mut said) = (Vec::new(), Vec::new());
    while read.len() + said.len() < 2 * MANY {
        match anns.any_event().await {
            (name, event) if name == "message_read" => read.push(event["messageId"].clone()),
            (name, event) if name == "new_message" => said.push(event["content"].clone()),
            (name, _) => assert_eq!(name, "message_sent"),
        }
    }
    let sent: Vec<Value> = received.iter().map(|message| message["messageId"].clone()).collect();
    assert_eq!(read, sent);
    assert_eq!(
        said,
        (0..MANY).map(|number| json!(format!("{number}"))).collect::<Vec<_>>()
    );
    let chats = bob.good(Method::GET, "/api/messages/chats", Value::Null).await;
    assert_eq!(chats["items"][0]["unreadCount"], 0, "{chats}");
}

#[tokio::test]
async fn receipts_by_rest_reach_all_devices_of_both_one_for_each_message() {
    let (mut scene, first) = Scene::with_message().await;
    let second = scene.ann.say(&scene.bob, "again").await;
    for device in scene.anns.iter_mut().chain(&mut scene.bobs) {
        device.event("new_message").await;
    }
    let body = json!({"chatId": first["chatId"]});
    let marked = scene.bob.good(Method::POST, "/api/messages/mark-read", body).await;
    assert_eq!(marked, json!({"updated": 2}));
    for device in scene.anns.iter_mut().chain(&mut scene.bobs) {
        let mut read = [device.event("message_read").await, device.event("message_read").await]
            .map(|event| event["messageId"].as_str().unwrap().to_owned());
        let mut both = [&first, &second].map(|message| message["id"].as_str().unwrap().to_owned());
        read.sort_unstable();
        both.sort_unstable();
        assert_eq!(read, both);
    }
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn only_participants_join_a_chat_and_nobody_sees_it() {
    let (mut scene, message) = Scene::with_message().await;
    let payload = json!({"chatId": message["chatId"]});
    let joined = json!({"ok": true, "chatId": message["chatId"]});
    assert_eq!(scene.anns[0].ask("join_chat", payload.clone()).await, joined);
    assert_eq!(scene.bobs[0].ask("join_chat", payload.clone()).await, joined);
    scene.bobs[1].emit("join_chat", payload.clone()).await;
    let strangers = scene.eves.ask("join_chat", payload).await;
    let unknown = scene
        .eves
        .ask("join_chat", json!({"chatId": "0123456789abcdef01234567"}))
        .await;
    let malformed = scene.eves.ask("join_chat", json!({"chatId": "not / an id"})).await;
    assert_eq!(crate::device::code(&strangers), "CHAT_NOT_FOUND");
    assert_eq!(strangers, unknown, "a stranger cannot tell that the chat exists");
    assert_eq!(strangers, malformed);
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn a_status_reaches_partners_and_the_own_devices_when_it_changes() {
    let (mut scene, _) = Scene::with_message().await;
    for status in ["away", "busy", "offline", "online"] {
        assert_eq!(
            scene.anns[0].ask("update_status", json!({"status": status})).await,
            json!({"ok": true})
        );
        let mut told = Vec::new();
        for device in scene.anns.iter_mut().chain(&mut scene.bobs) {
            told.push(device.event("user_status_changed").await);
        }
        assert_eq!(keys(&told[0]), ["lastSeen", "status", "userId"]);
        assert_eq!(
            (&told[0]["userId"], &told[0]["status"]),
            (&json!(scene.ann.id), &json!(status))
        );
        assert!(told.iter().all(|event| *event == told[0]));
        // The same again changes nothing.
        scene.anns[1].done("update_status", json!({"status": status})).await;
    }
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn a_device_over_polling_hears_what_every_device_hears() {
    let mut scene = Scene::set().await;
    let mut polling = crate::polling::Polling::open(scene.server.address).await;
    polling.post(format!("40{}", json!({"token": scene.bob.access}))).await;
    assert!(polling.message().await.starts_with("40{"));
    assert!(polling.message().await.starts_with(r#"42["authenticated","#));
    let payload = json!({"to": scene.bob.id, "content": "hello"});
    let ack = scene.anns[0].done("send_message", payload).await;
    scene.anns[0].event("message_sent").await;
    for device in scene.bobs.iter_mut().chain([&mut scene.anns[1]]) {
        device.event("new_message").await;
    }
    let packet = polling.message().await;
    let event: Value = serde_json::from_str(packet.strip_prefix("42").unwrap()).unwrap();
    assert_eq!(event[0], "new_message");
    check_announced(&event[1], (&scene.ann, &scene.bob), &ack, "hello");
    let answer = json!(["send_message", {"to": scene.ann.id, "content": "back"}]);
    polling.post(format!("421{answer}")).await;
    assert!(polling.message().await.starts_with(r#"42["message_sent","#));
    assert!(polling.message().await.starts_with(r#"431[{"ok":true"#));
    for device in scene.anns.iter_mut().chain(&mut scene.bobs) {
        assert_eq!(device.event("new_message").await["content"], "back");
    }
    scene.and_nothing_else().await;
}

#[tokio::test]
async fn events_over_the_limit_are_refused_by_user_and_say_when_to_come_back() {
    let server = Server::with(|config| config.socket_limit.max = 5).await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let (mut first, mut second) = (ann.greeted().await, ann.greeted().await);
    for _ in 0..5 {
        first.quiet().await;
    }
    // Two devices of one user share the limit.
    let payload = json!({"to": bob.id, "isTyping": true});
    let refusal = second.ask("typing", payload.clone()).await;
    assert_eq!(crate::device::code(&refusal), "RATE_LIMITED");
    let seconds = refusal["error"]["retryAfter"].as_u64().unwrap();
    assert!((1..=10).contains(&seconds), "{refusal}");
    second.emit("typing", payload).await;
    assert_eq!(second.event("error").await["code"], "RATE_LIMITED");
    bob.device().await.quiet().await;
}
