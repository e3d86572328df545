//! What each client event does: parse, one call, answer.

use std::time::Instant;

use chat_protocol::event::{Authenticated, Done, Joined, MessageSent, client};
use chat_protocol::{ChatId, ErrorCode, Status, UserId};
use serde_json::Value;

use super::answer::{Answer, told};
use super::connection::Connection;
use super::packet::Packet;
use crate::app::App;
use crate::chat::fields::{Fields, rule};
use crate::chat::messages::{ReadRequest, SendRequest, Sent, any_id};
use crate::chat::sessions::Caller;
use crate::cluster::{Device as _, ServerEvent};
use crate::metrics::EventLabels;
use crate::{Error, Result};

/// Whoever is over the limit and does not wait is told so; nothing else is done for the event.
impl Connection {
    pub(super) async fn handle(&mut self, packet: Packet) {
        let timer = Timer::start(&self.app, &packet.event);
        let verdict = self.app.limits.events.check(self.key());
        if !verdict.allowed {
            let error = Error::rate_limited(verdict.quota.reset_seconds());
            return self.finish(&timer, packet.answer, Err::<Done, _>(error));
        }
        let Some(caller) = self.caller.clone() else {
            if timer.event == client::AUTHENTICATE {
                return self.authenticate(&timer, packet).await;
            }
            return self.finish(
                &timer,
                packet.answer,
                Err::<Done, _>(Error::code(ErrorCode::Unauthenticated)),
            );
        };
        match timer.event {
            client::AUTHENTICATE => self.authenticate(&timer, packet).await,
            client::SEND_MESSAGE => self.send_message(timer, packet, &caller).await,
            client::JOIN_CHAT => {
                let result = self.join_chat(&packet, &caller).await;
                self.finish(&timer, packet.answer, result);
            }
            client::TYPING => {
                if fault!(PayloadKills) && packet.payload().is_err() {
                    std::process::exit(101);
                }
                if fault!(BadPayloadIgnored) && packet.payload().is_err() {
                    return;
                }
                let result = self.typing(&packet, &caller).await;
                self.finish(&timer, packet.answer, result);
            }
            client::READ_RECEIPT => self.read_receipt(timer, packet, caller),
            client::UPDATE_STATUS => {
                let result = self.update_status(&packet, &caller).await;
                self.finish(&timer, packet.answer, result);
            }
            _ if fault!(UnknownEventIgnored) => {}
            _ => {
                let error = Error::code(ErrorCode::UnknownEvent);
                self.finish(&timer, packet.answer, Err::<Done, _>(error));
            }
        }
    }

    async fn authenticate(&mut self, timer: &Timer, packet: Packet) {
        let result = self.try_authenticate(&packet).await;
        self.finish(timer, packet.answer, result);
    }

    async fn try_authenticate(&mut self, packet: &Packet) -> Result<Authenticated> {
        let payload = packet.payload()?;
        let mut fields = Fields::of(&payload)?;
        let Some(token) = fields.required("token", rule::string) else {
            return Err(fields.refusal());
        };
        let caller = self.app.chat.authenticate(token).await?;
        if !fault!(SecondUserAccepted) && self.caller.as_ref().is_some_and(|known| known.user != caller.user) {
            return Err(Error::code(ErrorCode::AlreadyAuthenticated));
        }
        let user = caller.user.clone();
        self.enter(caller).await?;
        Ok(Authenticated {
            user: self.app.chat.profile(&user).await?,
        })
    }

    /// Queues the message and goes on with the next event: the store keeps the order.
    async fn send_message(&mut self, timer: Timer, packet: Packet, caller: &Caller) {
        let request = packet.payload().and_then(|payload| SendRequest::parse(&payload));
        let request = match request {
            Ok(request) => request,
            Err(error) => return self.finish(&timer, packet.answer, Err::<Done, _>(error)),
        };
        let device = self.device.clone();
        let answer = std::sync::Arc::new(std::sync::Mutex::new(Some((timer, packet.answer))));
        let later = answer.clone();
        let take = |slot: &std::sync::Mutex<Option<(Timer, Answer)>>| {
            slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
        };
        let done = move |sent: Result<Sent>| {
            let Some((timer, answer)) = take(&later) else { return };
            let receipt = sent.map(|sent| (receipt(&sent), sent.repeated));
            // A repeat makes no second event, unless it is the only answer that the client can get.
            if let Ok((receipt, repeated)) = &receipt
                && (!repeated || !answer.has_ack())
                && device.send(&ServerEvent::MessageSent(receipt.clone())).is_err()
            {
                device.close_slow();
            }
            let acknowledged = receipt.map(|(receipt, _)| Acknowledged::from(receipt));
            if !timer.finish(answer, acknowledged) {
                device.close_slow();
            }
        };
        let submitted = self
            .app
            .chat
            .submit(&caller.user, request, Some(self.device.id()), done)
            .await;
        if let Err(error) = submitted
            && let Some((timer, answer)) = take(&answer)
        {
            self.finish(&timer, answer, Err::<Done, _>(error));
        }
    }

    async fn join_chat(&mut self, packet: &Packet, caller: &Caller) -> Result<Joined> {
        let payload = packet.payload()?;
        let mut fields = Fields::of(&payload)?;
        let Some(chat_id) = fields.required::<ChatId>("chatId", any_id) else {
            return Err(fields.refusal());
        };
        self.app.chat.join(&caller.user, &chat_id).await?;
        Ok(Joined { chat_id })
    }

    async fn typing(&mut self, packet: &Packet, caller: &Caller) -> Result<Done> {
        let payload = packet.payload()?;
        let mut fields = Fields::of(&payload)?;
        let (to, is_typing) = (
            fields.required::<UserId>("to", any_id),
            fields.required("isTyping", rule::flag),
        );
        let (Some(to), Some(is_typing)) = (to, is_typing) else {
            return Err(fields.refusal());
        };
        let is_seen = self.app.chat.types_seen(&caller.user, &to).await?;
        // Another device may have made the user invisible who was seen to type.
        if is_seen || !is_typing && self.is_typing(&to) {
            self.app.chat.tell_typing(&caller.user, &to, is_typing);
            self.note_typing(&to, is_typing);
        }
        Ok(Done {})
    }

    /// Goes on with the next event, as for a message.
    fn read_receipt(&mut self, timer: Timer, packet: Packet, caller: Caller) {
        let request = packet
            .payload()
            .and_then(|payload| ReadRequest::parse_receipt(&payload));
        let request = match request {
            Ok(request) => request,
            Err(error) => return self.finish(&timer, packet.answer, Err::<Done, _>(error)),
        };
        let (app, device) = (self.app.clone(), self.device.clone());
        let mark = async move {
            let marks = app.chat.mark(&caller.user, &request).await;
            (app, caller, marks)
        };
        self.receipts.push(mark, move |(app, caller, marks)| async move {
            let done = match marks {
                Ok(marks) => {
                    app.chat.tell_read(&caller.user, marks, Some(device.id())).await;
                    Ok(Done {})
                }
                Err(error) => Err(error),
            };
            if !timer.finish(packet.answer, done) {
                device.close_slow();
            }
        });
    }

    async fn update_status(&mut self, packet: &Packet, caller: &Caller) -> Result<Done> {
        let payload: Value = packet.payload()?;
        let mut fields = Fields::of(&payload)?;
        let Some(status) = fields.required("status", rule::status) else {
            return Err(fields.refusal());
        };
        let status = status.ok_or_else(|| Error::code(ErrorCode::InvalidStatus))?;
        if status == Status::Offline {
            // Of an invisible user nobody hears any more that they stopped.
            self.stop_typing();
        }
        self.app.chat.update_status(&caller.user, status).await?;
        Ok(Done {})
    }

    fn finish<T: serde::Serialize>(&self, timer: &Timer, answer: Answer, result: Result<T>) {
        if !timer.finish(answer, result) {
            self.device.close_slow();
        }
    }
}

/// Measures an event from its turn to its answer.
struct Timer {
    app: App,
    event: &'static str,
    started: Instant,
}

impl Timer {
    fn start(app: &App, event: &str) -> Self {
        Self {
            app: app.clone(),
            event: known(event),
            started: Instant::now(),
        }
    }

    /// Answers, counts and logs. `false`: there was no room for the answer.
    fn finish<T: serde::Serialize>(&self, answer: Answer, result: Result<T>) -> bool {
        let outcome = match &result {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.kind().to_string(),
        };
        let labels = EventLabels {
            event: self.event,
            outcome,
        };
        let histogram = self.app.metrics.events.get_or_create(&labels);
        histogram.observe(self.started.elapsed().as_secs_f64());
        match result {
            Ok(value) => answer.done(value),
            Err(error) => answer.refuse(told(&self.app, self.event, &error)),
        }
    }
}

/// Never a name that a client made up: it becomes a label.
pub(super) fn known(event: &str) -> &'static str {
    let mut all = client::ALL.into_iter();
    all.find(|known| *known == event).unwrap_or("unknown")
}

/// The ack of `send_message`: what `message_sent` says, without the client's own id.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Acknowledged {
    message_id: chat_protocol::MessageId,
    chat_id: ChatId,
    seq: Option<u64>,
    timestamp: chat_protocol::Timestamp,
}

impl From<MessageSent> for Acknowledged {
    fn from(sent: MessageSent) -> Self {
        Self {
            message_id: sent.message_id,
            chat_id: sent.chat_id,
            seq: sent.seq,
            timestamp: sent.timestamp,
        }
    }
}

fn receipt(sent: &Sent) -> MessageSent {
    let message = &sent.message;
    MessageSent {
        message_id: message.id.clone(),
        chat_id: message.chat_id.clone(),
        seq: message.seq,
        timestamp: message.timestamp,
        client_message_id: message.client_message_id.clone(),
    }
}
