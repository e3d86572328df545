//! A Socket.IO client whose reader never rests: it answers heartbeats, hands out acks and keeps every event in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::stream::SplitStream;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::person::{PATIENCE, Person};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) struct Device {
    /// When it was certain to be told everything.
    pub(crate) since: Instant,
    out: mpsc::UnboundedSender<Message>,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    log: Mutex<Log>,
    /// How many events there are.
    number: watch::Sender<usize>,
}

#[derive(Default)]
struct Log {
    events: Vec<(String, Value)>,
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    next: u64,
    over: bool,
}

impl Device {
    /// A device of this person at a node that must be there.
    pub(crate) async fn open(url: &str, person: &Person) -> Self {
        let device = Self::try_open(url, person).await;
        device.unwrap_or_else(|error| panic!("{} cannot connect: {error}", person.name))
    }

    pub(crate) async fn try_open(url: &str, person: &Person) -> Result<Self, String> {
        let url = url.replacen("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket";
        let connected = timeout(PATIENCE, connect_async(url)).await;
        let (socket, _) = connected.map_err(|_| "no answer")?.map_err(|error| error.to_string())?;
        let (mut write, mut read) = socket.split();
        let open = timeout(PATIENCE, read.next()).await;
        if !matches!(open, Ok(Some(Ok(Message::Text(_))))) {
            return Err(format!("instead of an open packet: {open:?}"));
        }
        let (out, mut written) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            // A connection that is gone shows at the reader.
            while let Some(message) = written.recv().await {
                if write.send(message).await.is_err() {
                    return;
                }
            }
            let _ = write.close().await;
        });
        let heard = Arc::new(Heard::default());
        tokio::spawn(listen(read, out.downgrade(), heard.clone()));
        let mut device = Self {
            since: Instant::now(),
            out,
            heard,
        };
        device.write(format!("40{}", json!({"token": person.token()})));
        device.until(|events| (!events.is_empty()).then_some(())).await?;
        if device.events()[0].0 != "authenticated" {
            return Err(format!("{:?}", device.events()));
        }
        device.since = Instant::now();
        Ok(device)
    }

    /// Emits, and gives what the ack will come by; nothing comes when the socket ends before.
    pub(crate) fn ask_later(&self, event: &str, payload: &Value) -> oneshot::Receiver<Value> {
        let (answer, answered) = oneshot::channel();
        let mut log = self.heard.log.lock().unwrap();
        let id = log.next;
        log.next += 1;
        if !log.over {
            log.waiting.insert(id, answer);
            self.write(format!("42{id}{}", json!([event, payload])));
        }
        answered
    }

    /// Emits and gives the ack; none when the socket ends before.
    pub(crate) async fn ask(&self, event: &str, payload: Value) -> Option<Value> {
        let answered = timeout(PATIENCE, self.ask_later(event, &payload)).await;
        answered.unwrap_or_else(|_| panic!("{event} is never answered")).ok()
    }

    /// Emits what must be done.
    pub(crate) async fn done(&self, event: &str, payload: Value) -> Value {
        let ack = self.ask(event, payload).await.expect("the socket ended");
        assert_eq!(ack["ok"], true, "{event}: {ack}");
        ack
    }

    /// All that came so far.
    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        self.heard.log.lock().unwrap().events.clone()
    }

    /// Waits until something is found among the events. `Err` when the socket ends before.
    pub(crate) async fn until<T>(&self, find: impl Fn(&[(String, Value)]) -> Option<T>) -> Result<T, String> {
        let mut number = self.heard.number.subscribe();
        let found = async {
            loop {
                number.borrow_and_update();
                {
                    let log = self.heard.log.lock().unwrap();
                    if let Some(found) = find(&log.events) {
                        return Ok(found);
                    }
                    if log.over {
                        return Err("the socket ended".to_owned());
                    }
                }
                let _ = number.changed().await;
            }
        };
        timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| Err("it never came".into()))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.heard.log.lock().unwrap().over
    }

    /// Waits until the server, or whoever killed it, ends the socket.
    pub(crate) async fn ends(&self) {
        let end = self.until(|_| None::<()>).await;
        assert!(self.is_over(), "{end:?}");
    }

    fn write(&self, packet: String) {
        let _ = self.out.send(Message::text(packet));
    }
}

async fn listen(mut read: SplitStream<Socket>, out: mpsc::WeakUnboundedSender<Message>, heard: Arc<Heard>) {
    while let Some(Ok(message)) = read.next().await {
        let Message::Text(packet) = message else { continue };
        match packet.as_str() {
            "2" => {
                if let Some(out) = out.upgrade() {
                    let _ = out.send(Message::text("3"));
                }
            }
            "41" | "1" => break,
            packet => heard.file(packet),
        }
    }
    let mut log = heard.log.lock().unwrap();
    log.over = true;
    log.waiting.clear();
    drop(log);
    heard.number.send_modify(|_| {});
}

impl Heard {
    fn file(&self, packet: &str) {
        // The answers to the connection; a refusal counts as an event.
        if packet.starts_with("40") {
            return;
        }
        if packet.starts_with("44") {
            self.log.lock().unwrap().events.push((packet.into(), Value::Null));
            self.number.send_modify(|number| *number += 1);
            return;
        }
        let (head, args) = packet.split_at(packet.find('[').expect("an event or an ack"));
        let mut args: Vec<Value> = serde_json::from_str(args).unwrap();
        let mut log = self.log.lock().unwrap();
        if head == "42" {
            let name = args[0].as_str().unwrap().to_owned();
            log.events.push((name, args.remove(1)));
            drop(log);
            self.number.send_modify(|number| *number += 1);
        } else {
            let id: u64 = head.strip_prefix("43").unwrap().parse().unwrap();
            let answer = log.waiting.remove(&id).expect("an ack comes once");
            let _ = answer.send(args.remove(0));
        }
    }
}
