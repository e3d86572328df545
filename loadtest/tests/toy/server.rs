//! A server of the few calls and events that the load tests need, and of faults on demand.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use chat_loadtest::pace::Pacer;
use chat_protocol::Timestamp;
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use url::Url;

use crate::events;

/// Every so many messages; 0: never.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Stored and acknowledged, but the receiver is not told.
    pub(crate) drop: u64,
    /// Told twice.
    pub(crate) double: u64,
    /// Told after the next one of the same sender.
    pub(crate) swap: u64,
    /// Acknowledged and told, but not in the history.
    pub(crate) forget: u64,
    /// Stored and told, but not acknowledged.
    pub(crate) mute: u64,
    /// How long everything takes, and how long what one of the senders sends.
    pub(crate) service: Option<[Duration; 2]>,
    /// From when to when it stands still, since its first message.
    pub(crate) freeze: Option<(Duration, Duration)>,
    /// So many messages in a second are taken, and [`SPARE`] more at once; the others are refused.
    pub(crate) bears: Option<f64>,
    /// So many of the first messages by REST are refused.
    pub(crate) busy: u64,
    /// From when to when every other user is cut off, since its first message.
    pub(crate) cut: Option<(Duration, Duration)>,
    /// When everybody is cut off, when all but one may come back, and when that one may.
    pub(crate) scatter: Option<[Duration; 3]>,
    /// So many of the first requests for a history are refused.
    pub(crate) unreadable: u64,
    /// Messages have no place in their chat, as on a server without the profile `recovery`.
    pub(crate) unplaced: bool,
    /// The peer is not told of typing.
    pub(crate) untyped: u64,
    /// The sender is not told that a message was read.
    pub(crate) unread: u64,
    /// What becomes of statuses.
    pub(crate) statuses: Statuses,
    /// Of everything but messages: neither done nor answered.
    pub(crate) deaf: u64,
}

/// How partners are told of a status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Statuses {
    #[default]
    Told,
    /// After a while, and only the last one.
    Overtaken,
    Untold,
}

/// Who is cut off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Away {
    #[default]
    Nobody,
    OneOfEachPair,
    Everybody,
    One,
}

/// What comes together by chance is taken together.
pub(crate) const SPARE: f64 = 4.0;

/// What it did wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Did {
    pub(crate) dropped: u64,
    pub(crate) doubled: u64,
    pub(crate) swapped: u64,
    pub(crate) forgotten: u64,
    pub(crate) muted: u64,
    pub(crate) untyped: u64,
    pub(crate) unread: u64,
    pub(crate) statuses: u64,
    /// Statuses that partners were told.
    pub(crate) told: u64,
    pub(crate) deaf: u64,
}

pub(crate) struct Toy {
    pub(crate) base: Url,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

pub(crate) struct Shared {
    pub(crate) faults: Faults,
    pub(crate) state: Mutex<Kept>,
    began: Notify,
}

#[derive(Default)]
pub(crate) struct Kept {
    users: u64,
    /// By the two users, the smaller first.
    chats: HashMap<(String, String), Chat>,
    pub(crate) sockets: HashMap<String, SocketRef>,
    away: Away,
    /// The status of each user.
    pub(crate) statuses: HashMap<String, String>,
    pub(crate) typings: u64,
    pub(crate) readings: u64,
    pub(crate) asked: u64,
    messages: u64,
    /// Messages by REST, and requests for a history, that were refused.
    refused: u64,
    unread: u64,
    first: Option<Instant>,
    pub(crate) did: Did,
    /// What can still be taken, and when that was so.
    spare: Option<(Instant, f64)>,
    /// How long each message took, from its coming until its receiver was told.
    took: Vec<Duration>,
}

#[derive(Default)]
struct Chat {
    seq: u64,
    history: Vec<Value>,
    /// Told with the next one, by sender.
    held: HashMap<String, Value>,
}

impl Kept {
    fn is_cut_off(&self, user: &str) -> bool {
        match self.away {
            Away::Nobody => false,
            Away::OneOfEachPair => self.chats.keys().any(|(_, second)| second == user),
            Away::Everybody => true,
            Away::One => user == FIRST,
        }
    }

    /// With whom a user has a chat.
    pub(crate) fn partner(&self, user: &str) -> Option<&String> {
        self.chats.keys().find_map(|(one, other)| match user {
            _ if user == one => Some(other),
            _ if user == other => Some(one),
            _ => None,
        })
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Toy {
    pub(crate) async fn start(faults: Faults) -> Self {
        let shared = Arc::new(Shared {
            faults,
            state: Mutex::default(),
            began: Notify::new(),
        });
        let (work, queue) = mpsc::unbounded_channel();
        // After a pause of the machine much is due at once.
        let (layer, io) = SocketIo::builder().max_buffer_size(65_536).build_layer();
        let at_connect = shared.clone();
        io.ns("/", move |socket: SocketRef, Data(auth): Data<Value>| {
            let user = text(&auth, "token");
            {
                let mut kept = at_connect.state.lock().unwrap();
                if kept.is_cut_off(&user) {
                    let _ = socket.disconnect();
                    return std::future::ready(());
                }
                kept.sockets.insert(user.clone(), socket.clone());
            }
            events::listen(&socket, &at_connect, &user);
            socket.emit("authenticated", &json!({"user": user})).unwrap();
            let work = work.clone();
            // Not async: it runs in the task that reads the socket, so that messages keep their order.
            socket.on("send_message", move |Data(message): Data<Value>, ack: AckSender| {
                let _ = work.send((Instant::now(), user.clone(), message, ack));
                std::future::ready(())
            });
            std::future::ready(())
        });
        let router = axum::Router::new()
            .route("/api/auth/register", post(register))
            .route("/api/auth/login", post(login))
            .route("/api/users/online", get(async || StatusCode::UNAUTHORIZED))
            .route("/api/messages/send", post(send))
            .route("/api/messages/conversation/{peer}", get(history))
            .with_state(shared.clone())
            .layer(layer);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        // Or the kernel adds up to 40 ms of its own to what is injected.
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        let tasks = vec![
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
            tokio::spawn(serve(shared.clone(), queue)),
            tokio::spawn(cut(shared.clone())),
        ];
        Self { base, shared, tasks }
    }

    /// How long messages took, from their coming until their receivers were told; the quickest first.
    pub(crate) fn took(&self) -> Vec<Duration> {
        let mut took = self.shared.state.lock().unwrap().took.clone();
        took.sort();
        took
    }

    pub(crate) fn did(&self) -> Did {
        let kept = self.shared.state.lock().unwrap();
        // What was held back for a next message that never came was dropped.
        let held = kept.chats.values().map(|chat| chat.held.len() as u64).sum::<u64>();
        Did {
            dropped: kept.did.dropped + held,
            ..kept.did
        }
    }
}

/// Who is cut off for longest.
const FIRST: &str = "u1";
/// Whose messages take longer.
const SLOW: &str = "u10";

type Asked = (Instant, String, Value, AckSender);

/// Takes each message when its time has come, those of a sender in their order.
async fn serve(shared: Arc<Shared>, mut queue: mpsc::UnboundedReceiver<Asked>) {
    // Tokio's own timers would add up to a millisecond to what is injected.
    let pacer = Pacer::start().unwrap();
    let mut alarm = pacer.alarm();
    let mut waiting: BTreeMap<(Instant, u64), Asked> = BTreeMap::new();
    loop {
        alarm.set(waiting.first_key_value().map(|((ready, _), _)| *ready));
        tokio::select! {
            biased;
            asked = queue.recv() => match asked {
                Some(asked) => {
                    if shared.bears(asked.0) {
                        let key = shared.ready(&asked);
                        waiting.insert(key, asked);
                    } else {
                        refuse(asked.3);
                    }
                }
                None => return,
            },
            () = alarm.rings() => {
                if let Some(((_, number), (came, from, message, ack))) = waiting.pop_first() {
                    shared.take(number, &from, &message, ack);
                    shared.state.lock().unwrap().took.push(came.elapsed());
                }
            }
        }
    }
}

/// Cuts users off and lets them back.
async fn cut(shared: Arc<Shared>) {
    let turns = match (shared.faults.cut, shared.faults.scatter) {
        (Some((from, to)), _) => vec![(from, Away::OneOfEachPair), (to, Away::Nobody)],
        (None, Some([from, to, last])) => vec![(from, Away::Everybody), (to, Away::One), (last, Away::Nobody)],
        (None, None) => return,
    };
    shared.began.notified().await;
    let began = Instant::now();
    for (at, away) in turns {
        tokio::time::sleep(at.saturating_sub(began.elapsed())).await;
        let cut: Vec<SocketRef> = {
            let mut kept = shared.state.lock().unwrap();
            kept.away = away;
            let cut_off = kept.sockets.iter().filter(|(user, _)| kept.is_cut_off(user));
            cut_off.map(|(_, socket)| socket.clone()).collect()
        };
        cut.into_iter().for_each(|socket| drop(socket.disconnect()));
    }
}

fn refuse(ack: AckSender) {
    // Whoever has gone needs none.
    let _ = ack.send(&json!({"ok": false, "error": too_much()}));
}

fn too_much() -> Value {
    json!({"message": "There is too much to do.", "code": "SERVICE_UNAVAILABLE", "retryAfter": 1})
}

impl Shared {
    /// Whether it has not heard what is asked now.
    pub(crate) fn is_deaf(&self) -> bool {
        let mut kept = self.state.lock().unwrap();
        kept.asked += 1;
        let deaf = self.faults.deaf > 0 && kept.asked.is_multiple_of(self.faults.deaf);
        kept.did.deaf += u64::from(deaf);
        deaf
    }

    /// Whether one more is taken.
    fn bears(&self, came: Instant) -> bool {
        let Some(rate) = self.faults.bears else { return true };
        let mut kept = self.state.lock().unwrap();
        let (before, spare) = kept.spare.unwrap_or((came, SPARE));
        let spare = (spare + came.duration_since(before).as_secs_f64() * rate).min(SPARE);
        let taken = spare >= 1.0;
        kept.spare = Some((came, if taken { spare - 1.0 } else { spare }));
        taken
    }

    /// When it is to be answered, and the how manieth it is.
    fn ready(&self, (came, from, ..): &Asked) -> (Instant, u64) {
        let (number, first) = {
            let mut kept = self.state.lock().unwrap();
            kept.messages += 1;
            if kept.first.is_none() {
                self.began.notify_one();
            }
            (kept.messages, *kept.first.get_or_insert(*came))
        };
        let mut ready = *came;
        if let Some((from, to)) = self.faults.freeze
            && ready >= first + from
            && ready < first + to
        {
            ready = first + to;
        }
        if let Some([usual, slow]) = self.faults.service {
            ready += if from == SLOW { slow } else { usual };
        }
        (ready, number)
    }

    fn take(&self, number: u64, from: &str, message: &Value, ack: AckSender) {
        let every = |count: u64| count > 0 && number.is_multiple_of(count);
        let faults = &self.faults;
        let mut guard = self.state.lock().unwrap();
        let kept = &mut *guard;
        let to = text(message, "to");
        let receiver = kept.sockets.get(&to).cloned();
        let chat = kept.chats.entry(pair(from, &to)).or_default();
        let stored = chat.store(from, &to, &text(message, "content"));
        let event = json!({
            "messageId": stored["id"], "chatId": stored["chatId"], "seq": stored["seq"], "sender": from, "receiver": to,
            "content": stored["content"], "messageType": "text", "timestamp": stored["timestamp"],
        });
        // One fault for each message, so that they can be counted.
        let held = chat.held.remove(from);
        let mut tell = vec![event.clone()];
        let mut silent = false;
        if held.is_some() {
            // Nothing else happens to the one that overtakes.
        } else if every(faults.drop) {
            tell.clear();
            kept.did.dropped += 1;
        } else if every(faults.double) {
            tell.push(event);
            kept.did.doubled += 1;
        } else if every(faults.swap) {
            tell.clear();
            chat.held.insert(from.to_owned(), event);
        } else if every(faults.forget) {
            chat.history.pop();
            chat.seq -= 1;
            kept.did.forgotten += 1;
        } else if every(faults.mute) {
            silent = true;
            kept.did.muted += 1;
        }
        if held.is_some() {
            kept.did.swapped += 1;
        }
        tell.extend(held);
        if let Some(receiver) = receiver {
            for event in &tell {
                let _ = receiver.emit("new_message", event);
            }
        }
        drop(guard);
        if !silent {
            let answer = json!({
                "ok": true, "messageId": stored["id"], "chatId": stored["chatId"], "seq": stored["seq"],
                "timestamp": stored["timestamp"],
            });
            // Whoever has gone needs none.
            let _ = ack.send(&answer);
        }
    }
}

impl Chat {
    fn store(&mut self, from: &str, to: &str, content: &str) -> Value {
        self.seq += 1;
        let (one, two) = pair(from, to);
        let message = json!({
            "id": format!("m{}-{one}-{two}-{}", self.seq, self.history.len()), "chatId": format!("c-{one}-{two}"), "seq": self.seq,
            "sender": from, "receiver": to, "content": content, "messageType": "text", "isRead": false, "readAt": null,
            "timestamp": Timestamp::now(), "editedAt": null, "deletedAt": null,
        });
        self.history.push(message.clone());
        message
    }
}

async fn register(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut kept = shared.state.lock().unwrap();
    kept.users += 1;
    let id = format!("u{}", kept.users);
    let user = json!({
        "id": id, "username": body["username"], "status": "offline", "lastSeen": null, "profilePicture": null, "bio": null,
        "email": body["email"], "createdAt": Timestamp::now(),
    });
    (StatusCode::CREATED, Json(session(&id, user)))
}

async fn login(State(shared): State<Arc<Shared>>) -> Json<Value> {
    if shared.is_deaf() {
        std::future::pending::<()>().await;
    }
    let user = json!({
        "id": "u1", "username": "one", "status": "offline", "lastSeen": null, "profilePicture": null, "bio": null,
        "email": "one@example.org", "createdAt": Timestamp::now(),
    });
    Json(session("u1", user))
}

/// The token is the user's id: nobody attacks a toy.
fn session(id: &str, user: Value) -> Value {
    let tokens = json!({"accessToken": id, "refreshToken": id, "tokenType": "Bearer", "expiresIn": 86_400});
    json!({"user": user, "tokens": tokens})
}

async fn send(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let (from, to) = (bearer(&headers), text(&body, "to"));
    let mut kept = shared.state.lock().unwrap();
    if kept.refused < shared.faults.busy {
        kept.refused += 1;
        return (StatusCode::SERVICE_UNAVAILABLE, Json(too_much()));
    }
    let chat = kept.chats.entry(pair(&from, &to)).or_default();
    let mut message = chat.store(&from, &to, &text(&body, "content"));
    if shared.faults.unplaced {
        message["seq"] = Value::Null;
    }
    (StatusCode::CREATED, Json(json!({"message": message})))
}

async fn history(
    State(shared): State<Arc<Shared>>,
    Path(peer): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    // A cursor is the place to go on from.
    let after: u64 = query
        .get("cursor")
        .or(query.get("after"))
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut kept = shared.state.lock().unwrap();
    if kept.unread < shared.faults.unreadable {
        kept.unread += 1;
        return (StatusCode::SERVICE_UNAVAILABLE, Json(too_much()));
    }
    let chat = kept.chats.entry(pair(&bearer(&headers), &peer)).or_default();
    let items: Vec<Value> = chat
        .history
        .iter()
        .filter(|message| message["seq"].as_u64() > Some(after))
        .take(100)
        .cloned()
        .collect();
    let last = items.last().and_then(|message| message["seq"].as_u64());
    let next = last.filter(|_| items.len() == 100).map(|seq| seq.to_string());
    let page = json!({"chatId": null, "items": items, "nextCursor": next});
    (StatusCode::OK, Json(page))
}

fn bearer(headers: &HeaderMap) -> String {
    let value = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.trim_start_matches("Bearer ").to_owned()
}

fn pair(one: &str, other: &str) -> (String, String) {
    let (one, other) = (one.to_owned(), other.to_owned());
    if one < other { (one, other) } else { (other, one) }
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
