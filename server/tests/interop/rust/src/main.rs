//! A third-party client of Socket.IO in a conversation of two people: `chat-interop '<setting as JSON>'`, where the setting is
//! `{ base, ann: { id, token }, bob: { id, token } }`. Panics when something is not as it should be.
//!
//! The library has its ways: `connect` returns before the server has answered, ids of acks are random, and a client that is
//! dropped stays connected. So the first event waits for `connect`, one ack is in flight at a time, and everybody says goodbye.

use std::time::Duration;

use futures_util::FutureExt as _;
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

/// A connected client with everything that came.
struct Device {
    client: Client,
    events: Mutex<mpsc::UnboundedReceiver<(String, Value)>>,
}

fn first(payload: Payload) -> Value {
    match payload {
        Payload::Text(values) => values.into_iter().next().unwrap_or(Value::Null),
        _ => Value::Null,
    }
}

impl Device {
    async fn connect(base: &str, auth: Value) -> Self {
        let (events, received) = mpsc::unbounded_channel();
        let connected = events.clone();
        let refused = events.clone();
        let client = ClientBuilder::new(base)
            .transport_type(TransportType::Websocket)
            .reconnect(false)
            .auth(auth)
            .on(Event::Connect, move |_, _| {
                let _ = connected.send(("connect".to_owned(), Value::Null));
                async {}.boxed()
            })
            .on(Event::Error, move |payload, _| {
                let _ = refused.send(("connect_error".to_owned(), first(payload)));
                async {}.boxed()
            })
            .on_any(move |event, payload, _| {
                let _ = events.send((String::from(event), first(payload)));
                async {}.boxed()
            })
            .connect()
            .await
            .expect("a connection");
        Self {
            client,
            events: Mutex::new(received),
        }
    }

    /// The next event of this name; others before it are passed over.
    async fn next(&self, name: &str) -> Value {
        let mut events = self.events.lock().await;
        timeout(PATIENCE, async {
            loop {
                let (event, payload) = events.recv().await.expect("an open socket");
                if event == name {
                    return payload;
                }
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{name} did not come"))
    }

    async fn ask(&self, event: &str, payload: Value) -> Value {
        let (answer, mut answered) = mpsc::unbounded_channel();
        self.client
            .emit_with_ack(event, payload, PATIENCE, move |payload, _| {
                let _ = answer.send(first(payload));
                async {}.boxed()
            })
            .await
            .expect("a sent event");
        let ack = timeout(PATIENCE, answered.recv()).await;
        let ack = ack.unwrap_or_else(|_| panic!("no ack of {event}")).expect("an ack");
        // This library hands the arguments of an ack over as one list.
        match ack {
            Value::Array(mut arguments) if arguments.len() == 1 => arguments.remove(0),
            other => other,
        }
    }
}

#[tokio::main]
async fn main() {
    let setting: Value = serde_json::from_str(&std::env::args().nth(1).expect("a setting")).expect("JSON");
    let base = setting["base"].as_str().expect("a base");
    let auth = |who: &str| json!({"token": setting[who]["token"]});
    let (ann, bob) = (
        Device::connect(base, auth("ann")).await,
        Device::connect(base, auth("bob")).await,
    );
    for (device, who) in [(&ann, "ann"), (&bob, "bob")] {
        assert_eq!(device.next("authenticated").await["user"]["id"], setting[who]["id"]);
    }
    let text = "Grüße 🎉 <b>";
    let sent = ann.ask("send_message", json!({"to": setting["bob"]["id"], "content": text})).await;
    assert_eq!(sent["ok"], true, "{sent}");
    let arrived = bob.next("new_message").await;
    assert_eq!(arrived["content"], text);
    assert_eq!(arrived["messageId"], sent["messageId"]);
    assert_eq!(ann.next("message_sent").await["seq"], sent["seq"]);

    let typing = json!({"to": setting["ann"]["id"], "isTyping": true});
    assert_eq!(bob.ask("typing", typing).await["ok"], true);
    assert_eq!(ann.next("typing_status").await["from"], setting["bob"]["id"]);
    let receipt = json!({"messageId": sent["messageId"], "chatId": sent["chatId"]});
    assert_eq!(bob.ask("read_receipt", receipt).await["ok"], true);
    assert_eq!(ann.next("message_read").await["messageId"], sent["messageId"]);

    let refused = ann.ask("no_such_event", json!({})).await;
    assert_eq!(refused["error"]["code"], "UNKNOWN_EVENT", "{refused}");
    for number in 0..20 {
        let body = json!({"to": setting["bob"]["id"], "content": number.to_string()});
        assert_eq!(ann.ask("send_message", body).await["ok"], true);
        assert_eq!(bob.next("new_message").await["content"], number.to_string());
    }
    for device in [ann, bob] {
        device.client.disconnect().await.expect("a goodbye");
    }
}
