//! The sockets that go through a proxy: whose they are, and how one reaches them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::{Kind, Packet, Tamper, Told, Whom};

/// Where a packet comes from or goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Of the socket, from 0 in the order of their coming.
    pub number: u64,
    /// The id of whoever authenticated on it.
    pub user: Option<String>,
    /// For an ack: the event that it answers. Empty otherwise.
    pub answers: String,
    /// What is held back reaches it with its next poll.
    pub polls: bool,
    /// The other sockets that there are.
    pub others: Vec<Other>,
}

/// Another socket of the same proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    pub number: u64,
    pub user: Option<String>,
}

impl Place {
    /// The other sockets that are meant.
    pub fn meant(&self, whom: Whom) -> impl Iterator<Item = u64> + '_ {
        let fits = move |other: &&Other| match whom {
            Whom::Same => false,
            Whom::OtherDevices => other.user.is_some() && other.user == self.user,
            Whom::OtherUsers => other.user.is_some() && other.user != self.user,
            Whom::Strangers => other.user.is_none(),
            Whom::Socket(number) => other.number == number,
        };
        self.others.iter().filter(fits).map(|other| other.number)
    }
}

/// All sockets of one proxy.
#[derive(Default)]
pub struct Sockets {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Socket>>>,
    /// Engine.io's own name of a socket that polls.
    polling: Mutex<HashMap<String, Arc<Socket>>>,
}

pub(super) struct Socket {
    number: u64,
    state: Mutex<State>,
    /// What is held back, by how long.
    lines: Mutex<HashMap<Duration, mpsc::UnboundedSender<(Instant, String)>>>,
    out: mpsc::UnboundedSender<Message>,
    /// What waits for the next poll; taken by the writer of a WebSocket.
    pub(super) waiting: Mutex<Option<mpsc::UnboundedReceiver<Message>>>,
}

#[derive(Default)]
struct State {
    user: Option<String>,
    /// Events whose acks are still to come.
    asked: HashMap<u64, String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sockets {
    pub(super) fn open(&self) -> Arc<Socket> {
        let (out, waiting) = mpsc::unbounded_channel();
        let socket = Arc::new(Socket {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            state: Mutex::default(),
            lines: Mutex::default(),
            out,
            waiting: Mutex::new(Some(waiting)),
        });
        lock(&self.open).insert(socket.number, socket.clone());
        socket
    }

    /// The socket of an engine.io session that began by polling.
    pub(super) fn of_session(&self, sid: &str) -> Arc<Socket> {
        if let Some(known) = lock(&self.polling).get(sid) {
            return known.clone();
        }
        let socket = self.open();
        lock(&self.polling).insert(sid.to_owned(), socket.clone());
        socket
    }

    pub(super) fn close(&self, socket: &Socket) {
        lock(&self.open).remove(&socket.number);
    }

    /// What a client says.
    pub(super) fn asked(&self, tamper: &dyn Tamper, socket: &Socket, message: String) -> String {
        let Some(mut packet) = Packet::parse(&message) else {
            return message;
        };
        if let (Kind::Event, Some(id)) = (packet.kind, packet.id) {
            lock(&socket.state).asked.insert(id, packet.event().to_owned());
        }
        let before = packet.clone();
        tamper.asked(&socket.place(&packet), &mut packet);
        // What was not touched goes on as it was written.
        if packet == before { message } else { packet.text() }
    }

    /// What the server says to a socket, sent to whoever is to get it; returns what that socket itself gets at once.
    pub(super) fn told(&self, tamper: &dyn Tamper, socket: &Arc<Socket>, mut message: String) -> Vec<String> {
        let Some(packet) = Packet::parse(&message) else {
            let goes_on = tamper.frame(&mut message);
            return goes_on.then_some(message).into_iter().collect();
        };
        if packet.event() == "authenticated" {
            let user = packet.payload()["user"]["id"].as_str().map(str::to_owned);
            let mut state = lock(&socket.state);
            state.user = user.or(state.user.take());
        }
        let mut place = socket.place(&packet);
        place.others = self.others(socket.number);
        let before = packet.clone();
        let mut now = Vec::new();
        for Told { packet, to, after } in tamper.told(&place, packet) {
            let text = if packet == before {
                message.clone()
            } else {
                packet.text()
            };
            let whom = match to {
                Whom::Same => vec![socket.clone()],
                other => self.meant(&place, other),
            };
            for one in whom {
                if !after.is_zero() {
                    one.send_later(after, text.clone());
                } else if one.number == socket.number {
                    now.push(text.clone());
                } else {
                    let _ = one.out.send(Message::text(text.clone()));
                }
            }
        }
        now
    }

    fn others(&self, but: u64) -> Vec<Other> {
        let mut found: Vec<Other> = (lock(&self.open).values())
            .filter(|socket| socket.number != but)
            .map(|socket| Other {
                number: socket.number,
                user: lock(&socket.state).user.clone(),
            })
            .collect();
        found.sort_by_key(|other| other.number);
        found
    }

    fn meant(&self, place: &Place, whom: Whom) -> Vec<Arc<Socket>> {
        let open = lock(&self.open);
        place
            .meant(whom)
            .filter_map(|number| open.get(&number).cloned())
            .collect()
    }
}

impl Socket {
    /// What is held back for the same time keeps its order.
    fn send_later(&self, after: Duration, text: String) {
        let mut lines = lock(&self.lines);
        let line = lines.entry(after).or_insert_with(|| {
            let (line, mut held) = mpsc::unbounded_channel::<(Instant, String)>();
            let out = self.out.clone();
            tokio::spawn(async move {
                while let Some((due, text)) = held.recv().await {
                    tokio::time::sleep_until(due).await;
                    if out.send(Message::text(text)).is_err() {
                        break;
                    }
                }
            });
            line
        });
        let _ = line.send((Instant::now() + after, text)); // Gone meanwhile.
    }

    fn place(&self, packet: &Packet) -> Place {
        let mut state = lock(&self.state);
        let answers = match (packet.kind, packet.id) {
            (Kind::Ack, Some(id)) => state.asked.remove(&id).unwrap_or_default(),
            _ => String::new(),
        };
        Place {
            number: self.number,
            user: state.user.clone(),
            answers,
            polls: lock(&self.waiting).is_some(),
            others: Vec::new(),
        }
    }
}
