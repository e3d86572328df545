//! `kill -9` under load, again and again. `CRASH_ROUNDS` says how often.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::client::Client;
use crate::device::Device;
use crate::program::{Place, Running};

/// Messages of one sender that are not answered yet.
const IN_FLIGHT: usize = 32;
/// One who never stops is stopped.
const MOST: usize = 20_000;

/// Somebody with an account, whose token outlives the servers.
struct Account {
    id: String,
    token: String,
}

impl Account {
    fn at(&self, server: &Running) -> Client {
        Client::new(&server.url).with_token(&self.token)
    }
}

/// What one device sent in one round. The content of a message is its clientMessageId.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<(String, Value)>,
    unanswered: Vec<String>,
}

/// Sends until the server is dead.
async fn send_on(mut device: Device, to: String, name: String, answered: Arc<Answered>) -> Ledger {
    let mut ledger = Ledger::default();
    let mut waiting: HashMap<u32, String> = HashMap::new();
    for number in 0..MOST {
        let id = format!("{name}-{number}");
        let ack = device.ask_later("send_message", payload(&to, &id)).await;
        waiting.insert(ack, id);
        if waiting.len() < IN_FLIGHT {
            continue;
        }
        let Some((number, ack)) = device.next_ack().await else {
            ledger.unanswered = waiting.into_values().collect();
            return ledger;
        };
        assert_eq!(ack["ok"], true, "{ack}");
        ledger.acknowledged.push((waiting.remove(&number).unwrap(), ack));
        answered.one_more();
    }
    panic!("the server was not killed");
}

fn payload(to: &str, id: &str) -> Value {
    json!({"to": to, "content": id, "clientMessageId": id})
}

/// Says when enough was acknowledged.
struct Answered {
    number: AtomicUsize,
    enough: usize,
    reached: Notify,
}

impl Answered {
    fn one_more(&self) {
        if self.number.fetch_add(1, Ordering::Relaxed) + 1 == self.enough {
            self.reached.notify_one();
        }
    }
}

/// Who sends to whom: both ways in one chat, two devices of one user, two chats of one user.
const SENDERS: [(usize, usize); 4] = [(0, 1), (1, 0), (0, 2), (0, 1)];

/// The content of every message of a conversation, which must have no hole and nothing twice, with the message.
async fn history(server: &Running, one: &Account, other: &Account) -> HashMap<String, Value> {
    let client = one.at(server);
    let mut found = HashMap::new();
    loop {
        let after = found.len();
        let path = format!("/api/messages/conversation/{}?after={after}&limit=100", other.id);
        let page = client.get(&path).await.ok(200);
        let items = page["items"].as_array().unwrap();
        if items.is_empty() {
            return found;
        }
        for message in items {
            assert_eq!(message["seq"], found.len() + 1, "a hole");
            let content = message["content"].as_str().unwrap().to_owned();
            assert!(
                found.insert(content, message.clone()).is_none(),
                "stored twice: {message}"
            );
        }
    }
}

/// Everything that was acknowledged is there, and says the same again; what was not may be sent again.
async fn nothing_is_lost(server: &Running, people: &[Account], ledgers: &[Ledger], newest: usize) {
    let chats = [
        history(server, &people[0], &people[1]).await,
        history(server, &people[0], &people[2]).await,
    ];
    let chat_of = |sender: usize| usize::from(SENDERS[sender].1 == 2);
    for (index, ledger) in ledgers.iter().enumerate() {
        for (id, ack) in &ledger.acknowledged {
            let stored = chats[chat_of(index % SENDERS.len())]
                .get(id)
                .unwrap_or_else(|| panic!("acknowledged and lost: {id}"));
            assert_eq!(stored["id"], ack["messageId"]);
            assert_eq!((&stored["seq"], &stored["timestamp"]), (&ack["seq"], &ack["timestamp"]));
        }
    }
    for (index, ledger) in ledgers.iter().enumerate().skip(newest) {
        let sender = index % SENDERS.len();
        let (from, to) = (&people[SENDERS[sender].0], &people[SENDERS[sender].1]);
        let mut device = Device::open(&server.url, &from.token).await;
        for (id, first) in ledger.acknowledged.iter().rev().take(20) {
            assert_eq!(device.ask("send_message", payload(&to.id, id)).await, *first);
        }
        for id in &ledger.unanswered {
            let ack = device.ask("send_message", payload(&to.id, id)).await;
            match chats[chat_of(sender)].get(id) {
                Some(stored) => assert_eq!((&ack["messageId"], &ack["seq"]), (&stored["id"], &stored["seq"])),
                None => assert_eq!(ack["ok"], true, "{ack}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_under_load_loses_nothing_that_was_acknowledged() {
    let rounds: usize = std::env::var("CRASH_ROUNDS").map_or(3, |text| text.parse().unwrap());
    let place = Place::new().and("SOCKET_RATE_LIMIT_MAX_EVENTS", "0");
    let server = place.serve().await;
    let mut people = Vec::new();
    for name in ["ann", "bob", "cid"] {
        let person = server.person(name).await;
        people.push(Account {
            id: person.id.clone(),
            token: person.token().into(),
        });
    }
    server.stops().await;

    let mut ledgers: Vec<Ledger> = Vec::new();
    for round in 0..rounds {
        let server = place.serve().await;
        let newest = ledgers.len().saturating_sub(SENDERS.len());
        nothing_is_lost(&server, &people, &ledgers, newest).await;
        let answered = Arc::new(Answered {
            number: AtomicUsize::new(0),
            // Another moment each time.
            enough: 100 + round * 173 % 1000,
            reached: Notify::new(),
        });
        let mut senders = Vec::new();
        for (number, (from, to)) in SENDERS.into_iter().enumerate() {
            let device = Device::open(&server.url, &people[from].token).await;
            let name = format!("{round}-{number}");
            senders.push(tokio::spawn(send_on(
                device,
                people[to].id.clone(),
                name,
                answered.clone(),
            )));
        }
        answered.reached.notified().await;
        server.signal("KILL").await;
        assert_eq!(server.ended().await.code, None);
        ledgers.extend(join_all(senders).await.into_iter().map(Result::unwrap));
    }
    let server = place.serve().await;
    nothing_is_lost(&server, &people, &ledgers, ledgers.len() - SENDERS.len()).await;
    // What was sent again is there once.
    let chats = [
        history(&server, &people[0], &people[1]).await,
        history(&server, &people[0], &people[2]).await,
    ];
    let stored: usize = chats.iter().map(HashMap::len).sum();
    let sent = ledgers.iter().map(|l| l.acknowledged.len() + l.unanswered.len());
    assert_eq!(stored, sent.sum::<usize>());
    server.stops().await;
}
