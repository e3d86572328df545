//! What `rust_socketio` costs, for `client-sdk/examples/costs`, which runs this and does the same: `echo '<setting as JSON>'`,
//! where the setting is `{ base, pairs: [[{ id, token }; 2]], strangers: [{ id, token }; 2], content, rounds, at_once }`.
//!
//! One ack of a connection is in flight at a time, for its ids are random; then as many as are asked for, and it is counted whose
//! answers come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

struct Device {
    client: Client,
    /// Contents of new messages.
    heard: mpsc::UnboundedReceiver<String>,
}

fn first(payload: Payload) -> Value {
    match payload {
        Payload::Text(values) => values.into_iter().next().unwrap_or(Value::Null),
        _ => Value::Null,
    }
}

/// This library hands the arguments of an ack over as one list.
fn argument(payload: Payload) -> Value {
    match first(payload) {
        Value::Array(mut arguments) if arguments.len() == 1 => arguments.remove(0),
        other => other,
    }
}

async fn connect(base: &str, person: &Value) -> Device {
    let (told, heard) = mpsc::unbounded_channel();
    let (connected, mut connecting) = mpsc::unbounded_channel();
    let client = ClientBuilder::new(base)
        .transport_type(TransportType::Websocket)
        .reconnect(false)
        .auth(json!({"token": person["token"]}))
        .on(Event::Connect, move |_, _| {
            let _ = connected.send(());
            async {}.boxed()
        })
        .on("new_message", move |payload, _| {
            let content = first(payload)["content"].as_str().map(str::to_owned);
            let _ = told.send(content.expect("a content"));
            async {}.boxed()
        })
        .connect()
        .await
        .expect("a connection");
    timeout(PATIENCE, connecting.recv()).await.expect("connected in time");
    Device { client, heard }
}

/// Sends a message, and gives where its answer comes.
async fn say(client: &Client, to: &Value, content: &str) -> mpsc::UnboundedReceiver<Value> {
    let (answer, answered) = mpsc::unbounded_channel();
    client
        .emit_with_ack("send_message", json!({"to": to, "content": content}), PATIENCE, move |payload, _| {
            let _ = answer.send(argument(payload));
            async {}.boxed()
        })
        .await
        .expect("a sent event");
    answered
}

async fn stored(mut answered: mpsc::UnboundedReceiver<Value>) {
    let answer = timeout(PATIENCE, answered.recv()).await.expect("an ack in time").expect("an ack");
    assert_eq!(answer["ok"], true, "{answer}");
}

async fn hear(device: &mut Device) -> String {
    timeout(PATIENCE, device.heard.recv()).await.expect("a message in time").expect("a message")
}

async fn echoes(setting: Arc<Value>, pair: usize) {
    let base = setting["base"].as_str().expect("a base");
    let rounds = setting["rounds"].as_u64().expect("rounds");
    let [one_id, two_id] = [0, 1].map(|person| &setting["pairs"][pair][person]["id"]);
    let mut one = connect(base, &setting["pairs"][pair][0]).await;
    let mut two = connect(base, &setting["pairs"][pair][1]).await;
    let (first_client, second_client) = (one.client.clone(), two.client.clone());
    let ask = async {
        let mut content = setting["content"].as_str().expect("a content").to_owned();
        for _ in 0..rounds {
            let answered = say(&one.client, two_id, &content).await;
            content = hear(&mut one).await;
            stored(answered).await;
        }
    };
    let echo = async {
        for _ in 0..rounds {
            let content = hear(&mut two).await;
            stored(say(&two.client, one_id, &content).await).await;
        }
    };
    tokio::join!(ask, echo);
    for client in [first_client, second_client] {
        client.disconnect().await.expect("a goodbye");
    }
}

/// Right, misrouted and unanswered: the n-th message of a chat has the number n.
async fn at_once(setting: &Value) -> [usize; 3] {
    let base = setting["base"].as_str().expect("a base");
    let device = connect(base, &setting["strangers"][0]).await;
    let (to, number) = (&setting["strangers"][1]["id"], setting["at_once"].as_u64().expect("a number"));
    let mut answers = Vec::new();
    for _ in 0..number {
        answers.push(say(&device.client, to, "whose answer is this?").await);
    }
    let mut counted = [0; 3];
    let until = Instant::now() + Duration::from_secs(3);
    for (number, mut answered) in (1..).zip(answers) {
        let left = until.saturating_duration_since(Instant::now());
        let which = match timeout(left.max(Duration::from_millis(1)), answered.recv()).await {
            Ok(Some(answer)) if answer["seq"] == json!(number) => 0,
            Ok(Some(_)) => 1,
            Ok(None) | Err(_) => 2,
        };
        counted[which] += 1;
    }
    device.client.disconnect().await.expect("a goodbye");
    counted
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[11..13].iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

#[tokio::main]
async fn main() {
    let setting: Value = serde_json::from_str(&std::env::args().nth(1).expect("a setting")).expect("JSON");
    let setting = Arc::new(setting);
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut working = tokio::task::JoinSet::new();
    for pair in 0..setting["pairs"].as_array().expect("pairs").len() {
        working.spawn(echoes(setting.clone(), pair));
    }
    while let Some(done) = working.join_next().await {
        done.expect("a task that ends well");
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let [right, misrouted, unanswered] = at_once(&setting).await;
    let said = json!({"seconds": seconds, "cpu": cpu, "right": right, "misrouted": misrouted, "unanswered": unanswered});
    println!("{said}");
}
