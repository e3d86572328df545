//! Events reach devices at the other node: once, and in a sender's order.

use reqwest::Method;
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::person::Person;

#[tokio::test]
async fn messages_reach_every_device_at_every_node_once_and_in_order() {
    let (_deployment, one, two) = Deployment::of_two().await;
    let (ann, bob) = (one.person("ann").await, two.person("bob").await);
    let mut sender = ann.device().await;
    let mut others = [
        ann.device().await,
        ann.at(&two).device().await,
        bob.device().await,
        bob.at(&one).device().await,
    ];
    let mut acks = Vec::new();
    for number in 0..300 {
        let payload = json!({"to": bob.id, "content": format!("number {number}")});
        acks.push(sender.ask_later("send_message", payload).await);
    }
    for ack in acks {
        assert_eq!(sender.ack(ack).await["ok"], true);
        sender.event("message_sent").await;
    }
    for device in &mut others {
        for number in 0..300 {
            device.hears(&format!("number {number}")).await;
        }
    }
    // The fence: what came twice would come before it.
    ann.say(&bob, "the end").await;
    for device in others.iter_mut().chain([&mut sender]) {
        device.hears("the end").await;
        device.quiet().await;
    }
}

#[tokio::test]
async fn a_message_of_a_user_at_one_node_to_a_user_at_another_and_back() {
    let (_deployment, one, two) = Deployment::of_two().await;
    let (ann, bob) = (one.person("ann").await, two.person("bob").await);
    let (mut anns, mut bobs) = (ann.device().await, bob.device().await);
    anns.sends(&bob, "hello").await;
    bobs.hears("hello").await;
    bobs.sends(&ann, "and hello to you").await;
    anns.hears("and hello to you").await;
    // A REST send is told to all devices of both; the message id is the same everywhere.
    let said = bob.say(&ann, "by REST").await;
    for device in [&mut anns, &mut bobs] {
        assert_eq!(device.event("new_message").await["messageId"], said["id"]);
        device.quiet().await;
    }
}

#[tokio::test]
async fn edits_deletions_and_receipts_are_told_at_both_nodes() {
    let (_deployment, one, two) = Deployment::of_two().await;
    let (ann, bob) = (one.person("ann").await, two.person("bob").await);
    let (mut anns, mut bobs) = (ann.device().await, bob.device().await);
    let (mut anns_other, mut bobs_other) = (ann.at(&two).device().await, bob.at(&one).device().await);
    let id = anns.sends(&bob, "helo").await;
    for device in [&mut anns_other, &mut bobs, &mut bobs_other] {
        device.hears("helo").await;
    }
    let path = format!("/api/messages/{id}");
    ann.good(Method::PUT, &path, json!({"content": "hello"})).await;
    for device in [&mut anns, &mut anns_other, &mut bobs, &mut bobs_other] {
        assert_eq!(device.event("message_edited").await["message"]["content"], "hello");
    }
    let chat = chat_of(&ann, &bob).await;
    bobs.done("read_receipt", json!({"messageId": id, "chatId": chat}))
        .await;
    for device in [&mut anns, &mut anns_other, &mut bobs_other] {
        let read = device.event("message_read").await;
        assert_eq!((&read["messageId"], &read["readerId"]), (&json!(id), &json!(bob.id)));
    }
    ann.good(Method::DELETE, &path, Value::Null).await;
    for device in [&mut anns, &mut anns_other, &mut bobs, &mut bobs_other] {
        assert_eq!(device.event("message_deleted").await["messageId"], id);
        device.quiet().await;
    }
}

#[tokio::test]
async fn many_receipts_at_once_reach_a_device_at_the_other_node() {
    let (_deployment, one, two) = Deployment::of_two().await;
    let (ann, bob) = (one.person("ann").await, two.person("bob").await);
    let mut acks = Vec::new();
    let mut anns = ann.device().await;
    for number in 0..600 {
        let payload = json!({"to": bob.id, "content": format!("number {number}")});
        acks.push(anns.ask_later("send_message", payload).await);
    }
    for ack in acks {
        assert_eq!(anns.ack(ack).await["ok"], true);
        anns.event("message_sent").await;
    }
    let chat = chat_of(&ann, &bob).await;
    let body = json!({"chatId": chat});
    let marked = bob.good(Method::POST, "/api/messages/mark-read", body).await;
    assert_eq!(marked["updated"], 600);
    for _ in 0..600 {
        anns.event("message_read").await;
    }
    anns.quiet().await;
}

#[tokio::test]
async fn typing_is_seen_at_the_other_node_and_ends_by_itself() {
    let (_deployment, one, two) = Deployment::of_two().await;
    let (ann, bob) = (one.person("ann").await, two.person("bob").await);
    let (mut anns, mut bobs) = (ann.device().await, bob.device().await);
    let typing = json!({"to": bob.id, "isTyping": true});
    anns.done("typing", typing.clone()).await;
    assert_eq!(bobs.event("typing_status").await["isTyping"], true);
    // Not said again, it is over after six seconds.
    assert_eq!(bobs.event("typing_status").await["isTyping"], false);
    anns.done("typing", typing).await;
    assert_eq!(bobs.event("typing_status").await["isTyping"], true);
    drop(anns);
    let end = bobs.event("typing_status").await;
    assert_eq!((&end["from"], &end["isTyping"]), (&json!(ann.id), &json!(false)));
    bobs.quiet().await;
}

pub(crate) async fn chat_of(one: &Person, two: &Person) -> String {
    let path = format!("/api/messages/conversation/{}?limit=1", two.id);
    let history = one.good(Method::GET, &path, Value::Null).await;
    history["chatId"].as_str().unwrap().to_owned()
}
