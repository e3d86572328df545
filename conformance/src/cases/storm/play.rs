//! Plays a script: every user does what the script says in its order, and all of them at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::script::{Act, By, Step};
use crate::engine::{Device, Stop, User, World};

/// What is left when a script has been played.
pub(super) struct History {
    pub(super) users: Vec<Actor>,
    /// Somebody who wrote with nobody, connected all the time.
    pub(super) stranger: Device,
}

/// A message that was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) to: usize,
    pub(super) id: String,
    pub(super) seq: u64,
    /// As it was sent.
    pub(super) content: String,
    /// The stable device, another one, or none.
    pub(super) by: By,
    client_id: Option<String>,
}

/// A user with one device from the beginning to the end, and others that come and go.
pub(super) struct Actor {
    pub(super) number: usize,
    pub(super) user: User,
    pub(super) stable: Device,
    further: Vec<Device>,
    /// In order.
    pub(super) sent: Vec<Sent>,
    /// By id: what the last edit said.
    pub(super) edited: BTreeMap<String, String>,
    pub(super) deleted: BTreeSet<String>,
    /// By id: receipts that were acknowledged.
    pub(super) read: BTreeSet<String>,
    /// The last status that was acknowledged.
    pub(super) status: &'static str,
    pub(super) was_invisible: bool,
    /// What went wrong on the way.
    pub(super) surprises: Vec<String>,
    count: usize,
}

/// Every payload of this event that came to a device.
pub(super) fn came(device: &Device, event: &str) -> Vec<Value> {
    let found = RefCell::new(Vec::new());
    device.find(|name, payload| {
        if name == event {
            found.borrow_mut().push(payload.clone());
        }
        false
    });
    found.into_inner()
}

pub(super) async fn play(w: &World, users: usize, script: &[Act]) -> Result<History, Stop> {
    let mut actors = Vec::new();
    for number in 0..users {
        let user = w.user("user").await?;
        let stable = user.device().await?;
        actors.push(Actor {
            number,
            user,
            stable,
            further: Vec::new(),
            sent: Vec::new(),
            edited: BTreeMap::new(),
            deleted: BTreeSet::new(),
            read: BTreeSet::new(),
            status: "online",
            was_invisible: false,
            surprises: Vec::new(),
            count: 0,
        });
    }
    let stranger = w.user("stranger").await?.device().await?;
    let ids: Vec<String> = actors.iter().map(|actor| actor.user.id.clone()).collect();
    let playing = actors.into_iter().map(|mut actor| {
        let ids = &ids;
        async move {
            let number = actor.number;
            for act in script.iter().filter(|act| act.user == number) {
                actor.act(&act.step, ids).await?;
            }
            // The further devices are gone before the end; the one that stays makes the user stay.
            actor.further.clear();
            Ok::<_, Stop>(actor)
        }
    });
    Ok(History {
        users: try_join_all(playing).await?,
        stranger,
    })
}

impl Actor {
    async fn act(&mut self, step: &Step, ids: &[String]) -> Result<(), Stop> {
        match *step {
            Step::Come => {
                let device = self.user.device().await?;
                self.further.push(device);
            }
            Step::Go => {
                if !self.further.is_empty() {
                    self.further.remove(0).disconnect().await;
                }
            }
            Step::Say { to, by, with_id } => {
                self.count += 1;
                let content = format!("{} says {}", self.number, self.count);
                let client_id = with_id.then(|| format!("c-{}-{}", self.number, self.count));
                self.say(to, &ids[to], by, content, client_id).await?;
            }
            Step::Burst { to, count } => self.burst(to, &ids[to], count).await?,
            Step::Repeat { by } => self.repeat(by, ids).await?,
            Step::ReadChat { of } => {
                let chat = came(&self.stable, "new_message")
                    .into_iter()
                    .find(|message| message["sender"] == ids[of].as_str() || message["receiver"] == ids[of].as_str());
                if let Some(chat) = chat.map(|message| message["chatId"].clone()) {
                    let answer = self
                        .user
                        .post("/api/messages/mark-read", &json!({"chatId": chat}))
                        .await?;
                    self.expect(answer.status == 200, "mark-read of a chat", &answer.text);
                }
            }
            Step::ReadOne { of } => self.read_one(&ids[of]).await?,
            Step::Edit => {
                if let Some(id) = self.last_living() {
                    self.count += 1;
                    let content = format!("{} edits {}", self.number, self.count);
                    let answer = self
                        .user
                        .put(&format!("/api/messages/{id}"), &json!({"content": content}))
                        .await?;
                    self.expect(answer.status == 200, "an edit", &answer.text);
                    self.edited.insert(id, content);
                }
            }
            Step::Delete => {
                if let Some(id) = self.last_living() {
                    let answer = self.user.delete(&format!("/api/messages/{id}")).await?;
                    self.expect(answer.status == 204, "a deletion", &answer.text);
                    self.deleted.insert(id);
                }
            }
            Step::Status(status) => {
                let ack = self.stable.ask("update_status", json!({"status": status})).await?;
                self.expect(ack["ok"] == true, "update_status", &ack.to_string());
                self.status = status;
                self.was_invisible |= status == "offline";
            }
            Step::Type { to, on } => {
                let ack = self
                    .stable
                    .ask("typing", json!({"to": ids[to], "isTyping": on}))
                    .await?;
                self.expect(ack["ok"] == true, "typing", &ack.to_string());
            }
        }
        Ok(())
    }

    fn expect(&mut self, good: bool, what: &str, got: &str) {
        if !good {
            self.surprises.push(format!("{what} of user {}: {got}", self.number));
        }
    }

    fn last_living(&self) -> Option<String> {
        let last = self.sent.iter().rev().find(|sent| !self.deleted.contains(&sent.id));
        last.map(|sent| sent.id.clone())
    }

    fn device(&self, by: By) -> Option<&Device> {
        match by {
            By::Rest => None,
            By::Socket => Some(&self.stable),
            By::OtherSocket => Some(self.further.last().unwrap_or(&self.stable)),
        }
    }

    /// The way that it really goes: without further devices the other one is the stable one.
    fn way(&self, by: By) -> By {
        if by == By::OtherSocket && self.further.is_empty() {
            By::Socket
        } else {
            by
        }
    }

    async fn say(
        &mut self,
        to: usize,
        id: &str,
        by: By,
        content: String,
        client_id: Option<String>,
    ) -> Result<(), Stop> {
        let mut body = json!({"to": id, "content": content});
        if let Some(client_id) = &client_id {
            body["clientMessageId"] = client_id.as_str().into();
        }
        let by = self.way(by);
        let (id, seq, got) = match self.device(by) {
            None => {
                let answer = self.user.post("/api/messages/send", &body).await?;
                let message = &answer.body["message"];
                (message["id"].clone(), message["seq"].as_u64(), answer.text.clone())
            }
            Some(device) => {
                let ack = device.ask("send_message", body).await?;
                (ack["messageId"].clone(), ack["seq"].as_u64(), ack.to_string())
            }
        };
        self.sent(to, &id, seq, content, by, client_id, &got);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "what is known of one message")]
    fn sent(
        &mut self,
        to: usize,
        id: &Value,
        seq: Option<u64>,
        content: String,
        by: By,
        client_id: Option<String>,
        got: &str,
    ) {
        match (id.as_str(), seq) {
            (Some(id), Some(seq)) => self.sent.push(Sent {
                to,
                id: id.to_owned(),
                seq,
                content,
                by,
                client_id,
            }),
            _ => self.expect(false, "a message", got),
        }
    }

    async fn burst(&mut self, to: usize, id: &str, count: usize) -> Result<(), Stop> {
        let mut waiting = Vec::new();
        for _ in 0..count {
            self.count += 1;
            let content = format!("{} says {}", self.number, self.count);
            let answer = self
                .stable
                .ask_later("send_message", json!({"to": id, "content": content}));
            waiting.push((content, answer));
        }
        for (content, answer) in waiting {
            let ack = self.stable.answer(answer).await.unwrap_or_default();
            self.sent(
                to,
                &ack["messageId"],
                ack["seq"].as_u64(),
                content,
                By::Socket,
                None,
                &ack.to_string(),
            );
        }
        Ok(())
    }

    async fn repeat(&mut self, by: By, ids: &[String]) -> Result<(), Stop> {
        let Some(first) = self.sent.iter().rev().find(|sent| sent.client_id.is_some()).cloned() else {
            return Ok(());
        };
        let body = json!({"to": ids[first.to], "content": first.content, "clientMessageId": first.client_id});
        let (id, seq, got) = match self.device(by) {
            None => {
                let answer = self.user.post("/api/messages/send", &body).await?;
                let message = &answer.body["message"];
                (message["id"].clone(), message["seq"].clone(), answer.text.clone())
            }
            Some(device) => {
                let ack = device.ask("send_message", body).await?;
                (ack["messageId"].clone(), ack["seq"].clone(), ack.to_string())
            }
        };
        self.expect(id == first.id.as_str() && seq == first.seq, "a repetition", &got);
        Ok(())
    }

    async fn read_one(&mut self, of: &str) -> Result<(), Stop> {
        let fresh = came(&self.stable, "new_message").into_iter().find(|message| {
            message["sender"] == of && !self.read.contains(message["messageId"].as_str().unwrap_or_default())
        });
        let Some(message) = fresh else { return Ok(()) };
        let receipt = json!({"messageId": message["messageId"], "chatId": message["chatId"]});
        let ack = self.stable.ask("read_receipt", receipt).await?;
        self.expect(ack["ok"] == true, "a receipt", &ack.to_string());
        self.read
            .insert(message["messageId"].as_str().unwrap_or_default().to_owned());
        Ok(())
    }
}
