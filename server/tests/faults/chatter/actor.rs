//! One person who does something at random, again and again, and knows what must come of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::device::Device;
use crate::dice::Dice;
use crate::history::{Alteration, Change, Heard, MustHave, Outcome, Receipt, Sent};
use crate::load::outcome_of_ack;
use crate::person::Person;
use crate::world::World;

/// The longest pause between two things that somebody does.
const PAUSE: usize = 60;

pub(crate) struct Actor {
    me: Arc<Person>,
    number: usize,
    peers: Vec<Arc<Person>>,
    urls: Arc<[String; 2]>,
    dice: Dice,
    /// How many sockets came before this one.
    sockets: usize,
    /// What may still be edited and deleted: the places in `sent`, and how often each was edited.
    living: Vec<(usize, usize)>,
    done: Done,
}

/// What somebody did and heard.
pub(crate) struct Done {
    pub(crate) operations: usize,
    pub(crate) sent: Vec<Sent>,
    pub(crate) changes: Vec<Change>,
    pub(crate) typed: HashSet<(String, String)>,
    pub(crate) marked: HashSet<(String, String)>,
    /// By sockets that are gone.
    pub(crate) past: Vec<Heard>,
    pub(crate) device: Arc<Device>,
    pub(crate) node: usize,
}

impl Actor {
    pub(crate) fn new(world: &World, urls: &Arc<[String; 2]>, dice: Dice, number: usize, steps: usize) -> Self {
        let people = world.people.len();
        let peers = (1..=steps).flat_map(|step| [(number + step) % people, (number + people - step) % people]);
        Self {
            me: world.people[number].clone(),
            number,
            peers: peers.map(|peer| world.people[peer].clone()).collect(),
            urls: urls.clone(),
            dice,
            sockets: 0,
            living: Vec::new(),
            done: Done {
                operations: 0,
                sent: Vec::new(),
                changes: Vec::new(),
                typed: HashSet::new(),
                marked: HashSet::new(),
                past: Vec::new(),
                device: world.devices[number].clone(),
                node: world.home(number),
            },
        }
    }

    /// `is_watched`: another device shares the session, so that it must not end.
    pub(crate) async fn act(mut self, until: Instant, is_watched: bool) -> Done {
        while Instant::now() < until {
            self.done.operations += 1;
            match self.dice.below(100) {
                0..36 => self.sends_some().await,
                36..42 => self.sends_by_rest().await,
                42..46 => self.sends_again().await,
                46..54 => self.edits().await,
                54..57 => self.deletes().await,
                57..68 => self.reads_one().await,
                68..71 => self.reads_a_chat().await,
                71..79 => self.types().await,
                79..82 => self.changes_status().await,
                82..88 => self.looks_at_a_conversation().await,
                88..96 => self.looks_around().await,
                96..98 => self.moves().await,
                98 => self.minds_the_account(is_watched).await,
                _ => self.says_nonsense().await,
            }
            let pause = self.dice.below(PAUSE) as u64;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.status("online").await;
        self.done
    }

    /// Where the socket is not, as often as where it is.
    fn url(&mut self) -> (usize, String) {
        let node = self.dice.below(2);
        (node, self.urls[node].clone())
    }

    fn peer(&mut self) -> Arc<Person> {
        self.dice.pick(&self.peers).clone()
    }

    /// A message that is about to be sent, and its body.
    fn message(&mut self, lane: Option<usize>, node: usize) -> Value {
        let content = format!("{}-{}", self.me.name, self.done.sent.len());
        let to = self.peer().id.clone();
        self.done.sent.push(Sent {
            lane,
            node,
            from: self.me.id.clone(),
            to: to.clone(),
            content: content.clone(),
            began: Instant::now(),
            outcome: Outcome::Unknown,
            retried: false,
        });
        json!({"to": to, "content": content, "clientMessageId": content})
    }

    fn acknowledged(&mut self, at: usize, receipt: Receipt) {
        self.done.sent[at].outcome = Outcome::Acknowledged(receipt);
        self.living.push((at, 0));
    }

    fn receipt(&self, at: usize) -> &Receipt {
        self.done.sent[at].receipt().unwrap()
    }

    async fn sends_some(&mut self) {
        let lane = self.number * 10_000 + self.sockets;
        let mut acks = Vec::new();
        for _ in 0..=self.dice.below(4) {
            let body = self.message(Some(lane), self.done.node);
            acks.push((
                self.done.sent.len() - 1,
                self.done.device.ask_later("send_message", &body),
            ));
        }
        for (at, ack) in acks {
            match outcome_of_ack(&ack.await.unwrap()) {
                Outcome::Acknowledged(receipt) => self.acknowledged(at, receipt),
                other => panic!("{} is {other:?}", self.done.sent[at].content),
            }
        }
    }

    async fn sends_by_rest(&mut self) {
        let (node, url) = self.url();
        let body = self.message(None, node);
        let answer = self.me.good(&url, Method::POST, "/api/messages/send", body).await;
        self.acknowledged(self.done.sent.len() - 1, Receipt::of_message(&answer["message"]));
    }

    /// The same `clientMessageId` gets the same answer, whatever became of the message.
    async fn sends_again(&mut self) {
        if self.done.sent.is_empty() {
            return;
        }
        let sent = &self.done.sent[self.dice.below(self.done.sent.len())];
        let body = json!({"to": sent.to, "content": sent.content, "clientMessageId": sent.content});
        let ack = self.done.device.done("send_message", body).await;
        assert_eq!(Some(&Receipt::of(&ack)), sent.receipt(), "sent again");
    }

    async fn edits(&mut self) {
        if self.living.is_empty() {
            return;
        }
        let (_, url) = self.url();
        let place = self.dice.below(self.living.len());
        let (at, edits) = &mut self.living[place];
        *edits += 1;
        let (at, content) = (*at, format!("{} edit {edits}", self.done.sent[*at].content));
        let id = self.receipt(at).id.clone();
        let path = format!("/api/messages/{id}");
        let answer = self
            .me
            .good(&url, Method::PUT, &path, json!({"content": content}))
            .await;
        assert_eq!(answer["message"]["content"], content);
        self.changed(id, Alteration::Edited(content));
    }

    async fn deletes(&mut self) {
        if self.living.is_empty() {
            return;
        }
        let (_, url) = self.url();
        let place = self.dice.below(self.living.len());
        let (at, _) = self.living.swap_remove(place);
        let id = self.receipt(at).id.clone();
        self.me
            .good(&url, Method::DELETE, &format!("/api/messages/{id}"), Value::Null)
            .await;
        self.changed(id, Alteration::Deleted);
    }

    fn changed(&mut self, id: String, what: Alteration) {
        self.done.changes.push(Change {
            id,
            what,
            acknowledged: true,
        });
    }

    /// Something that the socket heard and is for me.
    fn heard(&mut self) -> Option<(String, String)> {
        let events = self.done.device.events();
        let mine = events.iter().filter(|(name, _)| name == "new_message");
        let mine: Vec<&Value> = mine
            .map(|(_, payload)| payload)
            .filter(|message| message["receiver"] == *self.me.id)
            .collect();
        if mine.is_empty() {
            return None;
        }
        let message = self.dice.pick(&mine);
        let text = |field: &str| message[field].as_str().unwrap().to_owned();
        Some((text("messageId"), text("chatId")))
    }

    async fn reads_one(&mut self) {
        let Some((id, chat)) = self.heard() else { return };
        let receipt = json!({"messageId": id, "chatId": chat});
        self.done.device.done("read_receipt", receipt).await;
        self.changed(id, Alteration::Read);
    }

    async fn reads_a_chat(&mut self) {
        let Some((id, chat)) = self.heard() else { return };
        let (_, url) = self.url();
        self.done.device.done("join_chat", json!({"chatId": chat})).await;
        let body = json!({"chatId": chat});
        self.me.good(&url, Method::POST, "/api/messages/mark-read", body).await;
        self.changed(id, Alteration::Read);
        self.done.marked.insert((self.me.id.clone(), chat));
    }

    async fn types(&mut self) {
        let to = self.peer().id.clone();
        self.done.typed.insert((self.me.id.clone(), to.clone()));
        let is_typing = self.dice.below(3) > 0;
        let typing = json!({"to": to, "isTyping": is_typing});
        self.done.device.done("typing", typing).await;
    }

    async fn changes_status(&mut self) {
        let status = *self.dice.pick(&["online", "away", "busy", "offline"]);
        self.status(status).await;
    }

    async fn status(&mut self, status: &str) {
        self.done.device.done("update_status", json!({"status": status})).await;
    }

    /// No holes, whenever one looks and wherever; and what was acknowledged to me is there.
    async fn looks_at_a_conversation(&mut self) {
        let peer = self.peer();
        let (node, url) = self.url();
        let newest = self.done.sent.iter().rev().find(|sent| sent.to == peer.id);
        let newest = newest.and_then(|sent| Some(sent.receipt()?.seq)).unwrap_or_default();
        let mut after = newest.saturating_sub(1 + self.dice.below(40) as u64);
        let mut page = Value::Null;
        while page["nextCursor"].is_string() || page.is_null() {
            let path = format!("/api/messages/conversation/{}?after={after}&limit=100", peer.id);
            page = self.me.get(&url, &path).await;
            for message in page["items"].as_array().unwrap() {
                after += 1;
                assert_eq!(message["seq"], after, "a hole at node {node}: {message}");
            }
        }
        assert!(after >= newest, "{newest} was acknowledged, node {node} has {after}");
    }

    async fn looks_around(&mut self) {
        let (_, url) = self.url();
        let peer = self.peer();
        match self.dice.below(7) {
            0 => {
                let path = format!("/api/messages/search?q={}-1", peer.name);
                for found in self.me.get(&url, &path).await["items"].as_array().unwrap() {
                    let mine = found["sender"] == *self.me.id || found["receiver"] == *self.me.id;
                    assert!(mine, "leaked to {}: {found}", self.me.id);
                }
            }
            1 => {
                self.me.get(&url, "/api/messages/chats?limit=5").await;
            }
            2 => {
                self.me.get(&url, "/api/users/online?limit=20").await;
            }
            3 => {
                let found = self.me.get(&url, &format!("/api/users/search?q={}", peer.name)).await;
                assert_eq!(found["items"][0]["id"], *peer.id);
            }
            4 => {
                let user = self.me.get(&url, &format!("/api/users/{}", peer.id)).await;
                assert!(user["user"]["email"].is_null(), "{user}");
            }
            5 => {
                let status = self.me.get(&url, &format!("/api/users/{}/status", peer.id)).await;
                assert_eq!(status["userId"], *peer.id);
            }
            _ => {
                let bio = format!("bio {}", self.done.operations);
                let changed = json!({"bio": bio});
                self.me.good(&url, Method::PUT, "/api/auth/profile", changed).await;
                let (_, url) = self.url();
                assert_eq!(self.me.get(&url, "/api/auth/profile").await["user"]["bio"], bio);
            }
        }
    }

    /// Leaves, and comes back at either node.
    async fn moves(&mut self) {
        let (node, url) = self.url();
        let device = Arc::new(Device::open(&url, &self.me).await);
        let gone = std::mem::replace(&mut self.done.device, device);
        let heard = Heard::by(&gone, &self.me.id, self.done.node, MustHave::Nothing);
        self.done.past.push(heard);
        self.done.node = node;
        self.sockets += 1;
    }

    async fn minds_the_account(&mut self, is_watched: bool) {
        let (_, url) = self.url();
        match self.dice.below(if is_watched { 2 } else { 3 }) {
            0 => self.me.refresh(&url).await,
            1 => self.me.change_password(&url).await,
            _ => {
                self.me.log_out_and_in(&url).await;
                self.done.device.ends().await;
                self.moves().await;
            }
        }
    }

    async fn says_nonsense(&mut self) {
        for (event, code) in [("no_such_event", "UNKNOWN_EVENT"), ("send_message", "VALIDATION_ERROR")] {
            let ack = self.done.device.ask(event, json!({})).await.unwrap();
            assert_eq!(ack["error"]["code"], code, "{ack}");
        }
    }
}
