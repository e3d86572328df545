//! What the toy does with events other than messages.

use std::sync::Arc;
use std::time::Duration;

use chat_protocol::Timestamp;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, Data, SocketRef};

use crate::server::{Shared, Statuses, text};

/// Until a status is told, where it may be overtaken.
const WHILE: Duration = Duration::from_millis(400);

/// Has the socket of this user take them.
pub(crate) fn listen(socket: &SocketRef, shared: &Arc<Shared>, user: &str) {
    let (toy, from) = (shared.clone(), user.to_owned());
    socket.on("typing", move |Data(typing): Data<Value>, ack: AckSender| {
        if !toy.is_deaf() {
            toy.typing(&from, &typing);
            done(ack);
        }
        std::future::ready(())
    });
    let (toy, reader) = (shared.clone(), user.to_owned());
    socket.on("read_receipt", move |Data(receipt): Data<Value>, ack: AckSender| {
        if !toy.is_deaf() {
            toy.reading(&reader, &receipt);
            done(ack);
        }
        std::future::ready(())
    });
    let (toy, from) = (shared.clone(), user.to_owned());
    socket.on("update_status", move |Data(update): Data<Value>, ack: AckSender| {
        if !toy.is_deaf() {
            toy.status(&from, &text(&update, "status"));
            done(ack);
        }
        std::future::ready(())
    });
}

fn done(ack: AckSender) {
    // Whoever has gone needs none.
    let _ = ack.send(&json!({"ok": true}));
}

fn every(count: u64, number: u64) -> bool {
    count > 0 && number.is_multiple_of(count)
}

impl Shared {
    fn typing(&self, from: &str, typing: &Value) {
        let mut kept = self.state.lock().unwrap();
        kept.typings += 1;
        if every(self.faults.untyped, kept.typings) {
            kept.did.untyped += 1;
            return;
        }
        let told = json!({"from": from, "isTyping": typing["isTyping"], "timestamp": Timestamp::now()});
        if let Some(peer) = kept.sockets.get(&text(typing, "to")) {
            let _ = peer.emit("typing_status", &told);
        }
    }

    fn reading(&self, reader: &str, receipt: &Value) {
        let mut kept = self.state.lock().unwrap();
        kept.readings += 1;
        if every(self.faults.unread, kept.readings) {
            kept.did.unread += 1;
            return;
        }
        let told = json!({
            "messageId": receipt["messageId"], "chatId": receipt["chatId"], "readAt": Timestamp::now(), "readerId": reader,
        });
        for user in partners(&text(receipt, "chatId"), reader) {
            if let Some(sender) = kept.sockets.get(&user) {
                let _ = sender.emit("message_read", &told);
            }
        }
    }

    fn status(self: &Arc<Self>, user: &str, status: &str) {
        let mut kept = self.state.lock().unwrap();
        kept.did.statuses += 1;
        kept.statuses.insert(user.to_owned(), status.to_owned());
        drop(kept);
        match self.faults.statuses {
            Statuses::Told => self.tell_status(user, status),
            Statuses::Untold => {}
            Statuses::Overtaken => {
                let (shared, user, status) = (self.clone(), user.to_owned(), status.to_owned());
                tokio::spawn(async move {
                    tokio::time::sleep(WHILE).await;
                    let now = shared.state.lock().unwrap().statuses.get(&user).cloned();
                    if now.as_ref() == Some(&status) {
                        shared.tell_status(&user, &status);
                    }
                });
            }
        }
    }

    fn tell_status(&self, user: &str, status: &str) {
        let mut kept = self.state.lock().unwrap();
        kept.did.told += 1;
        let told = json!({"userId": user, "status": status, "lastSeen": Timestamp::now()});
        if let Some(partner) = kept.partner(user).and_then(|partner| kept.sockets.get(partner)) {
            let _ = partner.emit("user_status_changed", &told);
        }
    }
}

/// The two of a chat but for one of them.
fn partners(chat: &str, but: &str) -> Vec<String> {
    let both = chat.split('-').skip(1).map(str::to_owned);
    both.filter(|user| user != but).collect()
}
