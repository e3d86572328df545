//! What the SDK costs, side by side in one run: memory of idle connections and clients, CPU of messages, catch-up.
//!
//! Wants a server of its own, without limits, in a process of its own:
//! `cargo run --release --example costs -- http://localhost:3000 [clients [messages]]`; `WEIGH_CONNECTIONS=1` weighs connections
//! instead of clients. Linux only.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example")]

use std::collections::VecDeque;
use std::time::Instant;

use chat_client::protocol::SendMessage;
use chat_client::realtime::{Connection, Event, Events, Incoming};
use chat_client::{Client, MemoryTokens, Position, Result, StoredTokens, TokenStore as _};
use tokio::task::JoinSet;

/// Who write to each other, in pairs.
const PAIRS: usize = 16;
/// Messages that one sender has under way.
const UNDER_WAY: usize = 16;
/// Of a pair, in a round.
const MISSED: u64 = 1_000;

struct Person {
    client: Client,
    tokens: StoredTokens,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("an address");
    let mut number = |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (idle, messages) = (number(5_000), number(100_000));
    let http = reqwest::Client::new();
    let mut people = Vec::new();
    for index in 0..2 * PAIRS {
        people.push(person(&address, &http, index).await?);
    }
    connections_cost(&address, &people, messages).await?;
    clients_cost(&address, &http, &people, messages).await?;
    catch_up_costs(&address, &people).await?;
    // Their memory stays with the process, so that one of the two is weighed in a run.
    if std::env::var_os("WEIGH_CONNECTIONS").is_some() {
        idle_connections_weigh(&address, &people[0], idle).await
    } else {
        idle_clients_weigh(&address, &http, &people[0], idle).await
    }
}

async fn person(address: &str, http: &reqwest::Client, index: usize) -> Result<Person> {
    use secrecy::ExposeSecret as _;
    let run = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_micros();
    let name = format!("f{run}.{index}");
    let store = std::sync::Arc::new(MemoryTokens::default());
    struct Kept(std::sync::Arc<MemoryTokens>);
    #[async_trait::async_trait]
    impl chat_client::TokenStore for Kept {
        async fn load(&self) -> Result<Option<StoredTokens>> {
            self.0.load().await
        }
        async fn save(&self, tokens: &StoredTokens) -> Result<()> {
            self.0.save(tokens).await
        }
        async fn clear(&self) -> Result<()> {
            self.0.clear().await
        }
    }
    let builder = Client::builder(address).http(http.clone()).without_realtime();
    let builder = builder.token_store(Kept(store.clone()));
    let client = builder
        .register(&name, format!("{name}@example.org"), "correct horse")
        .await?;
    let tokens = store.load().await?.expect("tokens that were kept");
    assert!(!tokens.access.expose_secret().is_empty());
    Ok(Person { client, tokens })
}

/// Two connections of a pair: one asks, the other listens.
async fn connections_cost(address: &str, people: &[Person], messages: usize) -> Result<()> {
    let mut pairs = Vec::new();
    for pair in people.chunks(2) {
        let open = |person: &Person| {
            Connection::to(address)
                .token(person.tokens.access.clone())
                .event_capacity(4096)
        };
        let (one, two) = (open(&pair[0]).await?, open(&pair[1]).await?);
        pairs.push((one, two, pair[1].client.user_id().clone()));
    }
    let each = messages / pairs.len();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut working = JoinSet::new();
    for ((sender, mut answers), (other, heard), to) in pairs {
        working.spawn(async move {
            let message = SendMessage {
                to,
                content: "a message of a usual length, as people write them".into(),
                message_type: None,
                chat_id: None,
                client_message_id: None,
            };
            let send = async {
                let (mut under_way, mut acked) = (0, 0);
                let mut batch = Vec::new();
                let mut sent = 0;
                while acked < each {
                    while under_way < UNDER_WAY && sent < each {
                        sender.ask_in_stream(&message).expect("room");
                        under_way += 1;
                        sent += 1;
                    }
                    assert!(answers.recv_many(&mut batch, 64).await > 0, "the connection ended");
                    for incoming in batch.drain(..) {
                        if let Incoming::Answer(answer) = incoming {
                            answer
                                .value::<chat_client::protocol::event::MessageSent>()
                                .expect("a good answer");
                            under_way -= 1;
                            acked += 1;
                        }
                    }
                }
            };
            tokio::join!(send, listen(heard, each));
            drop(other); // Open until now.
        });
    }
    while let Some(done) = working.join_next().await {
        done.expect("a task that ends well");
    }
    tell("connections", messages, began, cpu);
    Ok(())
}

async fn listen(mut heard: Events, number: usize) {
    let (mut seen, mut batch) = (0, Vec::new());
    while seen < number {
        assert!(heard.recv_many(&mut batch, 64).await > 0, "the connection ended");
        for incoming in batch.drain(..) {
            match incoming {
                Incoming::Event(event) => {
                    if let Ok(Event::NewMessage(_)) = event.event() {
                        seen += 1;
                    }
                }
                Incoming::Missed(number) => panic!("{number} missed"),
                _ => {}
            }
        }
    }
}

/// The same by clients, with all their promises.
async fn clients_cost(address: &str, http: &reqwest::Client, people: &[Person], messages: usize) -> Result<()> {
    let mut clients = Vec::new();
    for person in people {
        let store = MemoryTokens::default();
        store.save(&person.tokens).await?;
        let builder = Client::builder(address).http(http.clone()).token_store(store);
        let client = builder.in_flight_per_chat(UNDER_WAY).resume().await?;
        client.online().await?;
        clients.push(client);
    }
    let each = messages / (clients.len() / 2);
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut working = JoinSet::new();
    for pair in clients.chunks(2) {
        let (sender, to) = (pair[0].clone(), pair[1].user_id().clone());
        let mut received = pair[1].messages();
        working.spawn(async move {
            let send = async {
                let mut under_way = VecDeque::new();
                for _ in 0..each {
                    if under_way.len() == UNDER_WAY {
                        let first: chat_client::Outgoing = under_way.pop_front().expect("one that is under way");
                        first.await.expect("stored");
                    }
                    let message = sender.send(&to, "a message of a usual length, as people write them");
                    under_way.push_back(message.queue().expect("room"));
                }
                for message in under_way {
                    message.await.expect("stored");
                }
            };
            let receive = async {
                for _ in 0..each {
                    received.next().await.expect("a stream that goes on");
                }
            };
            tokio::join!(send, receive);
        });
    }
    while let Some(done) = working.join_next().await {
        done.expect("a task that ends well");
    }
    tell("clients", messages, began, cpu);
    for client in clients {
        client.shutdown().await;
    }
    Ok(())
}

fn tell(what: &str, messages: usize, began: Instant, cpu: f64) {
    let used = (cpu_seconds() - cpu) * 100_000.0 / messages as f64;
    let rate = messages as f64 / began.elapsed().as_secs_f64();
    println!("{what}: {used:.2} CPU-s per 100,000 sent + acked + received, {rate:.0} in a second");
}

/// A client that missed a thousand messages: from the resumption to the last of them.
async fn catch_up_costs(address: &str, people: &[Person]) -> Result<()> {
    let [one, two, ..] = people else { return Ok(()) };
    let page = two.client.history(one.client.user_id()).limit(1).await?;
    let last = page.items.first().and_then(|message| message.seq).unwrap_or(0);
    let Some(chat) = page.chat_id.filter(|_| last > MISSED) else {
        return Ok(());
    };
    let missed = last - MISSED;
    let position = serde_json::json!({"chats": {chat.as_str(): missed}, "newest": null});
    let position: Position = serde_json::from_value(position).expect("a position");
    let store = MemoryTokens::default();
    store.save(&two.tokens).await?;
    let began = Instant::now();
    let client = Client::builder(address)
        .token_store(store)
        .position(position)
        .resume()
        .await?;
    let mut messages = client.messages();
    for seq in missed + 1..=last {
        let message = messages.next().await.expect("a stream that goes on");
        assert_eq!(message.seq, Some(seq));
    }
    let took = began.elapsed().as_millis();
    println!("catch-up: {took} ms from the start of a client to the last of {MISSED} missed messages");
    client.shutdown().await;
    Ok(())
}

async fn idle_connections_weigh(address: &str, person: &Person, number: usize) -> Result<()> {
    let before = resident_bytes();
    let mut open = Vec::with_capacity(number);
    for _ in 0..number {
        open.push(Connection::to(address).token(person.tokens.access.clone()).await?);
    }
    weigh("connections", number, before);
    Ok(())
}

async fn idle_clients_weigh(address: &str, http: &reqwest::Client, person: &Person, number: usize) -> Result<()> {
    let before = resident_bytes();
    let mut open = Vec::with_capacity(number);
    for _ in 0..number {
        let store = MemoryTokens::default();
        store.save(&person.tokens).await?;
        let client = Client::builder(address)
            .http(http.clone())
            .token_store(store)
            .resume()
            .await?;
        client.online().await?;
        open.push(client);
    }
    weigh("clients", number, before);
    Ok(())
}

fn weigh(what: &str, number: usize, before: f64) {
    let each = (resident_bytes() - before) / number as f64 / 1024.0;
    println!("{what}: {each:.1} KiB for each of {number} idle ones");
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields[11..13]
        .iter()
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0
}
