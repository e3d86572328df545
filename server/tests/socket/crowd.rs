//! Many senders at once, and a device that does not keep up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::device::Device;
use crate::person::Person;
use crate::server::Server;
use crate::wire::Wire;

const PEOPLE: usize = 20;
const DEVICES: usize = 2;
/// From each device.
const MESSAGES: usize = 150;

/// To whom the device of a person sends its message of this number: everybody else in turn, each device beginning elsewhere.
fn peer_of(person: usize, device: usize, number: usize) -> usize {
    (person + 1 + (number + device * 7) % (PEOPLE - 1)) % PEOPLE
}

/// What one device was told by `new_message`.
struct Seen {
    device: Device,
    person: usize,
    messages: Vec<Value>,
}

/// Sends everything without waiting for answers, and reads until all that is meant for it has come.
async fn take_part(mut device: Device, people: Arc<Vec<Person>>, person: usize, number: usize) -> Seen {
    let mut acks = Vec::new();
    for message in 0..MESSAGES {
        let to = &people[peer_of(person, number, message)].id;
        let content = format!("{person}/{number}/{message}");
        acks.push(
            device
                .ask_later("send_message", json!({"to": to, "content": content}))
                .await,
        );
    }
    let mut acknowledged = Vec::new();
    for id in acks {
        let ack = device.ack(id).await;
        assert_eq!(ack["ok"], true, "{ack}");
        acknowledged.push(ack["messageId"].clone());
    }
    let to_me = |from: usize| (0..DEVICES).flat_map(move |d| (0..MESSAGES).map(move |m| peer_of(from, d, m)));
    let received: usize = (0..PEOPLE)
        .filter(|from| *from != person)
        .map(|from| to_me(from).filter(|to| *to == person).count())
        .sum();
    let expected = received + (DEVICES - 1) * MESSAGES;
    let (mut messages, mut sent) = (Vec::new(), Vec::new());
    while messages.len() < expected || sent.len() < MESSAGES {
        match device.any_event().await {
            (name, payload) if name == "new_message" => messages.push(payload),
            (name, payload) if name == "message_sent" => sent.push(payload["messageId"].clone()),
            (name, payload) => assert!(name.starts_with("user_"), "{name} {payload}"),
        }
    }
    assert_eq!(
        sent, acknowledged,
        "message_sent comes once per message, as the acks do"
    );
    Seen {
        device,
        person,
        messages,
    }
}

/// The sending device and the number of a message.
fn origin(message: &Value) -> (String, usize) {
    let (device, number) = message["content"].as_str().unwrap().rsplit_once('/').unwrap();
    (device.into(), number.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_gets_every_message_once_and_in_order_when_all_send_at_once() {
    let server = Server::start().await;
    let people: Vec<Person> =
        join_all((0..PEOPLE).map(|n| async move { Person::register(server.address, &format!("person{n}")).await }))
            .await;
    let people = Arc::new(people);
    let mut devices = Vec::new();
    for person in 0..PEOPLE {
        for number in 0..DEVICES {
            devices.push((people[person].device().await, person, number));
        }
    }
    let tasks = devices
        .into_iter()
        .map(|(device, person, number)| tokio::spawn(take_part(device, people.clone(), person, number)));
    let mut all: Vec<Seen> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();

    // seq → message of every chat, as the events say.
    let mut chats: HashMap<String, BTreeMap<u64, Value>> = HashMap::new();
    for seen in &mut all {
        // Nothing came twice, and nothing that was meant for others.
        seen.device.no_message().await;
        let me = &people[seen.person].id;
        let mut newest: HashMap<String, usize> = HashMap::new();
        for message in &seen.messages {
            assert!(message["sender"] == **me || message["receiver"] == **me, "{message}");
            let (from, number) = origin(message);
            if let Some(before) = newest.insert(from, number) {
                assert!(before < number, "after {before} came {message}");
            }
            let chat = chats.entry(message["chatId"].as_str().unwrap().into()).or_default();
            let known = chat
                .entry(message["seq"].as_u64().unwrap())
                .or_insert_with(|| message.clone());
            assert_eq!(known, message, "every device is told the same");
        }
    }
    assert_eq!(chats.len(), PEOPLE * (PEOPLE - 1) / 2);
    assert_eq!(
        chats.values().map(BTreeMap::len).sum::<usize>(),
        PEOPLE * DEVICES * MESSAGES
    );
    for (one, other) in (0..PEOPLE).flat_map(|one| (0..one).map(move |other| (one, other))) {
        let history = whole_conversation(&people[one], &people[other], 0).await;
        let chat = &chats[history[0]["chatId"].as_str().unwrap()];
        let seqs: Vec<u64> = chat.keys().copied().collect();
        assert_eq!(seqs, (1..=history.len() as u64).collect::<Vec<_>>(), "no hole");
        for (message, stored) in chat.values().zip(&history) {
            assert_eq!(message["messageId"], stored["id"]);
            for field in ["seq", "sender", "receiver", "content", "timestamp", "messageType"] {
                assert_eq!(message[field], stored[field], "{field}");
            }
        }
    }
}

/// Everything with a seq above `after`, page by page.
async fn whole_conversation(one: &Person, other: &Person, after: u64) -> Vec<Value> {
    let path = format!("/api/messages/conversation/{}?limit=100", other.id);
    let mut page = one
        .good(Method::GET, &format!("{path}&after={after}"), Value::Null)
        .await;
    let mut items = Vec::new();
    loop {
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["nextCursor"].as_str() else {
            return items;
        };
        page = one
            .good(Method::GET, &format!("{path}&cursor={cursor}"), Value::Null)
            .await;
    }
}

/// Reads every message until the last one.
async fn reads_all(mut device: Device, last: &'static str) -> Vec<Value> {
    let mut messages = Vec::new();
    loop {
        let message = device.event("new_message").await;
        let over = message["content"] == last;
        messages.push(message);
        if over {
            return messages;
        }
    }
}

const LAST: &str = "the last one";

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_reading_is_disconnected_alone_and_catches_up() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    // A small window, so that little is under way outside the server.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8192).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    let slow = bob.device_over(Wire::over(stream, server.address).await).await;
    let good = tokio::spawn(reads_all(bob.device().await, LAST));
    let mut sender = ann.device().await;
    let watching = tokio::spawn(reads_all(ann.device().await, LAST));

    let (mut sent, text) = (0, "x".repeat(1000));
    while server.app.metrics.slow_consumers.get() == 0 {
        assert!(sent < 50_000, "nobody minds a device that reads nothing");
        let mut acks = Vec::new();
        for _ in 0..250 {
            let message = json!({"to": bob.id, "content": text});
            acks.push(sender.ask_later("send_message", message).await);
        }
        for id in acks {
            let ack = sender.ack(id).await;
            sent += 1;
            assert_eq!((&ack["ok"], &ack["seq"]), (&json!(true), &json!(sent)));
            assert_eq!(sender.event("message_sent").await["seq"], sent);
        }
    }
    sender
        .done("send_message", json!({"to": bob.id, "content": LAST}))
        .await;
    sent += 1;

    // Nobody else is the worse for it.
    for device in [good, watching] {
        let seqs: Vec<u64> = (device.await.unwrap().iter())
            .map(|m| m["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(seqs, (1..=sent).collect::<Vec<_>>());
    }
    assert_eq!(server.app.metrics.slow_consumers.get(), 1);

    // What had room comes without a hole, then the end.
    let got = slow.last_events().await;
    let seqs: Vec<u64> = (got.iter().filter(|(name, _)| name == "new_message"))
        .map(|(_, message)| message["seq"].as_u64().unwrap())
        .collect();
    let newest = seqs.len() as u64;
    assert_eq!(seqs, (1..=newest).collect::<Vec<_>>());
    assert!(newest < sent, "it was not disconnected");

    let mut back = bob.device().await;
    let missed = whole_conversation(&bob, &ann, newest).await;
    let seqs: Vec<u64> = missed.iter().map(|m| m["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (newest + 1..=sent).collect::<Vec<_>>());
    assert_eq!(missed.last().unwrap()["content"], LAST);
    ann.say(&bob, "live again").await;
    assert_eq!(back.event("new_message").await["seq"], sent + 1);
}
