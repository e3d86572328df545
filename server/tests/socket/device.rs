//! A Socket.IO client that keeps every event in its place.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::wire::Wire;

pub(crate) struct Device {
    pub(crate) wire: Wire,
    events: VecDeque<(String, Value)>,
    acks: HashMap<u64, Value>,
    next_ack: u64,
    over: bool,
}

impl Device {
    /// `Err` is what refused the handshake.
    pub(crate) async fn connect(address: SocketAddr, auth: Option<Value>) -> Result<Self, Value> {
        Self::connect_over(Wire::open(address).await, auth).await
    }

    pub(crate) async fn connect_over(mut wire: Wire, auth: Option<Value>) -> Result<Self, Value> {
        let open = wire.message().await.unwrap();
        assert!(open.starts_with("0{"), "{open}");
        wire.send(format!("40{}", auth.map_or(String::new(), |auth| auth.to_string())))
            .await;
        let answer = wire.message().await.unwrap();
        if let Some(refusal) = answer.strip_prefix("44") {
            return Err(serde_json::from_str(refusal).unwrap());
        }
        assert!(answer.starts_with("40{"), "{answer}");
        Ok(Self {
            wire,
            events: VecDeque::new(),
            acks: HashMap::new(),
            next_ack: 0,
            over: false,
        })
    }

    /// Emits without wanting an answer.
    pub(crate) async fn emit(&mut self, event: &str, payload: Value) {
        self.wire.send(format!("42{}", json!([event, payload]))).await;
    }

    /// Emits and returns the ack.
    pub(crate) async fn ask(&mut self, event: &str, payload: Value) -> Value {
        let id = self.ask_later(event, payload).await;
        self.ack(id).await
    }

    /// Emits with an ack that is fetched by [`Self::ack`].
    pub(crate) async fn ask_later(&mut self, event: &str, payload: Value) -> u64 {
        self.ask_raw(&json!([event, payload]).to_string()).await
    }

    /// The arguments as they go over the wire.
    pub(crate) async fn ask_raw(&mut self, args: &str) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        self.wire.send(format!("42{id}{args}")).await;
        id
    }

    pub(crate) async fn ack(&mut self, id: u64) -> Value {
        loop {
            if let Some(ack) = self.acks.remove(&id) {
                return ack;
            }
            assert!(self.read().await, "the socket ended before ack {id}; {:?}", self.events);
        }
    }

    /// The payload of an `ok` ack.
    pub(crate) async fn done(&mut self, event: &str, payload: Value) -> Value {
        let ack = self.ask(event, payload).await;
        assert_eq!(ack["ok"], true, "{event}: {ack}");
        ack
    }

    /// The code of an ack that is not `ok`.
    pub(crate) async fn refused(&mut self, event: &str, payload: Value) -> String {
        code(&self.ask(event, payload).await)
    }

    /// The payload of the next event, which must be this one.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        let (found, payload) = self.any_event().await;
        assert_eq!(found, name, "{payload}");
        payload
    }

    pub(crate) async fn any_event(&mut self) -> (String, Value) {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            assert!(self.read().await, "the socket ended before its next event");
        }
    }

    /// The server ends the socket, and says nothing before.
    pub(crate) async fn ends(&mut self) {
        while self.read().await {}
        assert!(self.events.is_empty(), "said before the end: {:?}", self.events);
    }

    /// Every event until the server ends the socket.
    pub(crate) async fn last_events(mut self) -> Vec<(String, Value)> {
        while self.read().await {}
        self.events.into()
    }

    /// What the server did for this socket before is done. The answer to an event is the fence.
    pub(crate) async fn fence(&mut self) {
        assert_eq!(self.refused("no_such_event", json!({})).await, "UNKNOWN_EVENT");
    }

    /// The socket is alive, and nothing came that was not looked at.
    pub(crate) async fn quiet(&mut self) {
        self.fence().await;
        assert!(self.events.is_empty(), "came unexpected: {:?}", self.events);
    }

    /// As [`Self::quiet`], where others come and go.
    pub(crate) async fn no_message(&mut self) {
        self.fence().await;
        let comings = |(name, _): &(String, Value)| name.starts_with("user_");
        assert!(self.events.iter().all(comings), "came unexpected: {:?}", self.events);
    }

    /// Leaves as a client does that says so.
    pub(crate) async fn leave(mut self) {
        self.wire.send("41").await;
        self.wire.send("1").await;
        self.wire.until_closed().await;
    }

    /// One packet more; `false` when the socket is over.
    async fn read(&mut self) -> bool {
        if self.over {
            return false;
        }
        match self.wire.message().await.as_deref() {
            // Dismissed, or the transport ends.
            None | Some("41" | "1") => self.over = true,
            Some(packet) => self.file(packet),
        }
        !self.over
    }

    fn file(&mut self, packet: &str) {
        let start = packet
            .find('[')
            .unwrap_or_else(|| panic!("no event and no ack: {packet}"));
        let (head, args) = packet.split_at(start);
        let args: Vec<Value> = serde_json::from_str(args).unwrap();
        if head == "42" {
            let [Value::String(name), payload] = args.as_slice() else {
                panic!("an event has a name and a payload: {packet}");
            };
            self.events.push_back((name.clone(), payload.clone()));
        } else {
            let id = head.strip_prefix("43").unwrap_or_else(|| panic!("{packet}"));
            let [answer] = args.as_slice() else {
                panic!("an ack has one argument: {packet}");
            };
            let before = self.acks.insert(id.parse().unwrap(), answer.clone());
            assert!(before.is_none(), "answered twice: {packet}");
        }
    }
}

/// The code of a failed ack, whose shape is checked on the way.
pub(crate) fn code(ack: &Value) -> String {
    assert_eq!(ack["ok"], false, "{ack}");
    assert!(ack["error"]["message"].is_string(), "{ack}");
    ack["error"]["code"].as_str().unwrap().to_owned()
}
