//! What may be wrong with an event: the same code by ack and by `error` event, no effect, and the socket lives on.

use serde_json::{Value, json};

use crate::device::{Device, code};
use crate::person::Person;
use crate::server::Server;

/// Appears in every payload below that is refused for its content, and in no answer.
const MARK: &str = "MARKED-AS-SECRET";

struct Stage {
    server: Server,
    ann: Person,
    bob: Person,
    message: Value,
    of_bob: Value,
}

impl Stage {
    async fn set() -> Self {
        let server = Server::start().await;
        let (ann, bob) = (server.person("ann").await, server.person("bob").await);
        Self {
            message: ann.say(&bob, "from ann").await,
            of_bob: bob.say(&ann, "from bob").await,
            server,
            ann,
            bob,
        }
    }

    /// The payload is refused with this code, whether there is an ack or not.
    async fn refuses(&self, device: &mut Device, event: &str, payload: &Value, expected: &str) {
        let ack = device.ask(event, payload.clone()).await;
        assert_eq!(code(&ack), expected, "{event} {payload}: {ack}");
        device.emit(event, payload.clone()).await;
        let error = device.event("error").await;
        assert_eq!(error["code"], expected, "{event} {payload}: {error}");
        assert_eq!(error, ack["error"], "one shape on both ways");
        if expected == "VALIDATION_ERROR" {
            let details = error["details"].as_array().unwrap();
            assert!(
                !details.is_empty()
                    && details
                        .iter()
                        .all(|d| d["field"].is_string() && d["message"].is_string())
            );
        }
        assert!(!error.to_string().contains(MARK), "{error}");
        device.quiet().await;
    }
}

#[tokio::test]
async fn a_payload_is_one_object_for_every_event() {
    let stage = Stage::set().await;
    let mut device = stage.ann.device().await;
    for event in [
        "authenticate",
        "join_chat",
        "send_message",
        "typing",
        "read_receipt",
        "update_status",
    ] {
        for payload in [
            json!(null),
            json!([]),
            json!([{}]),
            json!("x"),
            json!(1),
            json!(true),
            json!({}),
        ] {
            stage.refuses(&mut device, event, &payload, "VALIDATION_ERROR").await;
        }
        for args in [
            format!(r#"["{event}"]"#),
            format!(r#"["{event}",{{}},{{}}]"#),
            format!(r#"["{event}",null,null]"#),
            format!(r#"["{event}",{{}},"surplus"]"#),
        ] {
            let id = device.ask_raw(&args).await;
            assert_eq!(code(&device.ack(id).await), "VALIDATION_ERROR", "{args}");
        }
    }
}

#[tokio::test]
async fn a_good_payload_with_a_surplus_argument_is_refused() {
    let stage = Stage::set().await;
    let mut device = stage.ann.device().await;
    let args = json!(["send_message", {"to": stage.bob.id, "content": "x"}, {}]);
    let id = device.ask_raw(&args.to_string()).await;
    assert_eq!(code(&device.ack(id).await), "VALIDATION_ERROR");
}

#[tokio::test]
async fn an_unknown_event_is_named_so() {
    let stage = Stage::set().await;
    let mut device = stage.ann.device().await;
    for event in [
        "nope",
        "",
        "Typing",
        "new_message",
        "message_sent",
        "authenticated",
        "error",
        "__proto__",
        "é",
    ] {
        for payload in [json!({}), json!(null), json!([1])] {
            stage.refuses(&mut device, event, &payload, "UNKNOWN_EVENT").await;
        }
    }
}

#[tokio::test]
async fn send_message_refuses_what_rest_refuses() {
    let stage = Stage::set().await;
    let mut device = stage.ann.device().await;
    let (bob, chat) = (&stage.bob.id, &stage.message["chatId"]);
    let invalid = [
        json!({"content": MARK}),
        json!({"to": bob}),
        json!({"to": bob, "content": ""}),
        json!({"to": bob, "content": " \n\t\u{3000}"}),
        json!({"to": bob, "content": format!("{MARK}\u{0}")}),
        json!({"to": bob, "content": MARK.to_owned() + &"é".repeat(4097 - MARK.len())}),
        json!({"to": bob, "content": [MARK]}),
        json!({"to": {"$ne": MARK}, "content": "x"}),
        json!({"to": 7, "content": "x"}),
        json!({"to": bob, "content": "x", "messageType": MARK}),
        json!({"to": bob, "content": "x", "messageType": 1}),
        json!({"to": bob, "content": "x", "clientMessageId": ""}),
        json!({"to": bob, "content": "x", "clientMessageId": "a b"}),
        json!({"to": bob, "content": "x", "clientMessageId": "a".repeat(65)}),
        json!({"to": bob, "content": "x", "clientMessageId": {}}),
        json!({"to": bob, "content": "x", "chatId": 5}),
    ];
    for payload in &invalid {
        stage
            .refuses(&mut device, "send_message", payload, "VALIDATION_ERROR")
            .await;
    }
    let others = [
        (json!({"to": stage.ann.id, "content": MARK}), "CANNOT_MESSAGE_SELF"),
        (
            json!({"to": "0123456789abcdef01234567", "content": MARK}),
            "USER_NOT_FOUND",
        ),
        (json!({"to": "no id / at all", "content": MARK}), "USER_NOT_FOUND"),
        (
            json!({"to": bob, "content": MARK, "chatId": "0123456789abcdef01234567"}),
            "CHAT_MISMATCH",
        ),
        (
            json!({"to": bob, "content": MARK, "chatId": "no / id"}),
            "CHAT_MISMATCH",
        ),
    ];
    for (payload, expected) in &others {
        stage.refuses(&mut device, "send_message", payload, expected).await;
    }
    // The longest content that is good, and then the next number: none of the refused ones took one.
    let payload = json!({"to": bob, "content": "é".repeat(4096), "chatId": chat});
    assert_eq!(device.done("send_message", payload).await["seq"], 3);
}

#[tokio::test]
async fn every_bad_field_has_a_detail() {
    let stage = Stage::set().await;
    let mut device = stage.ann.device().await;
    let payload = json!({"to": 1, "content": "", "messageType": "x", "clientMessageId": "", "chatId": []});
    let ack = device.ask("send_message", payload).await;
    let details = ack["error"]["details"].as_array().unwrap();
    let mut fields: Vec<&str> = details.iter().map(|d| d["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["chatId", "clientMessageId", "content", "messageType", "to"]);
}

#[tokio::test]
async fn a_chat_of_others_is_as_good_as_none() {
    let stage = Stage::set().await;
    let eve = stage.server.person("eve").await;
    let mut device = eve.device().await;
    let payload = json!({"to": stage.bob.id, "content": MARK, "chatId": stage.message["chatId"]});
    stage
        .refuses(&mut device, "send_message", &payload, "CHAT_MISMATCH")
        .await;
    let payload = json!({"messageId": stage.message["id"], "chatId": stage.message["chatId"]});
    stage
        .refuses(&mut device, "read_receipt", &payload, "MESSAGE_NOT_FOUND")
        .await;
    let payload = json!({"chatId": stage.message["chatId"]});
    stage
        .refuses(&mut device, "join_chat", &payload, "CHAT_NOT_FOUND")
        .await;
}

#[tokio::test]
async fn typing_and_join_chat_refuse_by_their_codes() {
    let stage = Stage::set().await;
    let mut device = stage.ann.device().await;
    let bob = &stage.bob.id;
    for payload in [
        json!({"to": bob}),
        json!({"isTyping": true}),
        json!({"to": bob, "isTyping": "true"}),
        json!({"to": bob, "isTyping": 1}),
        json!({"to": bob, "isTyping": null}),
        json!({"to": [bob], "isTyping": true}),
        json!({"to": null, "isTyping": true}),
    ] {
        stage.refuses(&mut device, "typing", &payload, "VALIDATION_ERROR").await;
    }
    for (to, expected) in [
        (json!(stage.ann.id), "CANNOT_MESSAGE_SELF"),
        (json!("0123456789abcdef01234567"), "USER_NOT_FOUND"),
        (json!(MARK.repeat(10)), "USER_NOT_FOUND"),
        (json!(""), "USER_NOT_FOUND"),
    ] {
        let payload = json!({"to": to, "isTyping": true});
        stage.refuses(&mut device, "typing", &payload, expected).await;
    }
    for payload in [
        json!({"chatId": 1}),
        json!({"chatId": null}),
        json!({"chatId": {"$gt": MARK}}),
    ] {
        stage
            .refuses(&mut device, "join_chat", &payload, "VALIDATION_ERROR")
            .await;
    }
}

#[tokio::test]
async fn read_receipt_refuses_by_its_codes() {
    let stage = Stage::set().await;
    let mut device = stage.bob.device().await;
    let (message, chat) = (&stage.message["id"], &stage.message["chatId"]);
    for payload in [
        json!({"messageId": message}),
        json!({"chatId": chat}),
        json!({"messageId": [message], "chatId": chat}),
        json!({"messageId": message, "chatId": 1}),
    ] {
        stage
            .refuses(&mut device, "read_receipt", &payload, "VALIDATION_ERROR")
            .await;
    }
    let unknown = "0123456789abcdef01234567";
    for (payload, expected) in [
        (json!({"messageId": unknown, "chatId": chat}), "MESSAGE_NOT_FOUND"),
        (json!({"messageId": message, "chatId": unknown}), "MESSAGE_NOT_FOUND"),
        (json!({"messageId": "no / id", "chatId": chat}), "MESSAGE_NOT_FOUND"),
        (
            json!({"messageId": stage.of_bob["id"], "chatId": chat}),
            "NOT_MESSAGE_RECEIVER",
        ),
    ] {
        stage.refuses(&mut device, "read_receipt", &payload, expected).await;
    }
    // A message of the reader's, in another chat of the reader's.
    let eve = stage.server.person("eve").await;
    let elsewhere = eve.say(&stage.bob, "hi").await;
    device.event("new_message").await;
    let payload = json!({"messageId": message, "chatId": elsewhere["chatId"]});
    stage
        .refuses(&mut device, "read_receipt", &payload, "MESSAGE_NOT_FOUND")
        .await;
}

#[tokio::test]
async fn update_status_tells_a_wrong_string_from_no_string() {
    let stage = Stage::set().await;
    let mut device = stage.ann.device().await;
    for status in ["", "ONLINE", "invisible", MARK] {
        let payload = json!({"status": status});
        stage
            .refuses(&mut device, "update_status", &payload, "INVALID_STATUS")
            .await;
    }
    for status in [json!(1), json!(null), json!(["away"]), json!({})] {
        let payload = json!({"status": status});
        stage
            .refuses(&mut device, "update_status", &payload, "VALIDATION_ERROR")
            .await;
    }
}

#[tokio::test]
async fn a_payload_over_64_kib_is_too_large_and_one_below_is_judged() {
    let stage = Stage::set().await;
    let mut device = stage.ann.device().await;
    // {"to":"","content":""} around it.
    let fits = json!({"to": "", "content": "a".repeat(64 * 1024 - 22)});
    assert_eq!(fits.to_string().len(), 64 * 1024);
    stage
        .refuses(&mut device, "send_message", &fits, "VALIDATION_ERROR")
        .await;
    let over = json!({"to": "", "content": "a".repeat(64 * 1024 - 21)});
    for event in [
        "authenticate",
        "join_chat",
        "send_message",
        "typing",
        "read_receipt",
        "update_status",
    ] {
        stage.refuses(&mut device, event, &over, "PAYLOAD_TOO_LARGE").await;
    }
}

#[tokio::test]
async fn deep_and_odd_json_is_refused_and_survived() {
    let stage = Stage::set().await;
    let mut device = stage.ann.device().await;
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    for payload in [
        format!(r#"{{"to":{deep}}}"#),
        format!(
            r#"{{"to":"x","content":{}1{}}}"#,
            "{\"a\":".repeat(5000),
            "}".repeat(5000)
        ),
        r#"{"to":"x","content":1e999}"#.into(),
        r#"{"to":"x","to":"y","content":123456789012345678901234567890}"#.into(),
    ] {
        let id = device.ask_raw(&format!(r#"["send_message",{payload}]"#)).await;
        assert_eq!(code(&device.ack(id).await), "VALIDATION_ERROR");
        device.quiet().await;
    }
}
