//! Sending, editing, deleting, reading of messages, and who hears of it.

use chat_protocol::event::{MessageDeleted, MessageEdited, MessageRead, NewMessage};
use chat_protocol::{ChatId, ClientMessageId, ErrorCode, MarkedRead, Message, MessageId, MessageType, UserId};
use serde_json::Value;

use super::Chat;
use super::fields::{Fields, rule};
use crate::cluster::{DeviceId, ServerEvent};
use crate::store::{self, EditOutcome, ReadMark, ReadOutcome, ReadScope, SendOutcome, StoreResult};
use crate::{Error, Result};

/// With more receipts than this at once, the caller does not wait for their delivery.
const BULK: usize = 500;

/// A checked request to send.
#[derive(Debug, Clone)]
pub struct SendRequest {
    to: UserId,
    content: String,
    message_type: MessageType,
    chat: Option<ChatId>,
    client_message_id: Option<ClientMessageId>,
}

/// What became of it.
#[derive(Debug, Clone)]
pub struct Sent {
    pub message: Message,
    /// The `clientMessageId` was known: this is the first answer again, and nobody was told twice.
    pub repeated: bool,
}

/// What to mark as read.
#[derive(Debug, Clone)]
pub enum ReadRequest {
    Messages(Vec<MessageId>),
    MessageIn(MessageId, ChatId),
    Chat(ChatId),
}

impl SendRequest {
    /// By the rules of the contract. Ids that cannot be ours are taken as unknown ones, for both get the same answer.
    pub fn parse(body: &Value) -> Result<Self> {
        let mut fields = Fields::of(body)?;
        let to = fields.required("to", any_id);
        let content = fields.required("content", rule::content);
        let message_type = fields.optional("messageType", rule::message_type);
        let chat = fields.optional("chatId", any_id);
        let client_message_id = fields.optional("clientMessageId", rule::id);
        match (to, content, message_type, chat, client_message_id) {
            (Some(to), Some(content), Some(message_type), Some(chat), Some(client_message_id)) => Ok(Self {
                to,
                content,
                message_type: message_type.unwrap_or_default(),
                chat,
                client_message_id,
            }),
            _ => Err(fields.refusal()),
        }
    }
}

impl ReadRequest {
    /// `messageIds` or `chatId`, not both.
    pub fn parse(body: &Value) -> Result<Self> {
        let mut fields = Fields::of(body)?;
        let messages = fields.optional("messageIds", message_ids);
        let chat = fields.optional("chatId", any_id);
        match (messages, chat) {
            (Some(Some(ids)), Some(None)) => Ok(Self::Messages(ids)),
            (Some(None), Some(Some(chat))) => Ok(Self::Chat(chat)),
            (Some(ids), Some(_)) => {
                let must = if ids.is_some() {
                    "must not come with chatId"
                } else {
                    "is required, or chatId"
                };
                fields.note("messageIds", must);
                Err(fields.refusal())
            }
            _ => Err(fields.refusal()),
        }
    }

    /// The payload of `read_receipt`.
    pub fn parse_receipt(payload: &Value) -> Result<Self> {
        let mut fields = Fields::of(payload)?;
        let (message, chat) = (fields.required("messageId", any_id), fields.required("chatId", any_id));
        match (message, chat) {
            (Some(message), Some(chat)) => Ok(Self::MessageIn(message, chat)),
            _ => Err(fields.refusal()),
        }
    }

    fn scope(&self) -> ReadScope<'_> {
        match self {
            Self::Messages(ids) => ReadScope::Messages(ids),
            Self::MessageIn(id, chat) => ReadScope::MessageIn(id, chat),
            Self::Chat(chat) => ReadScope::Chat(chat),
        }
    }
}

/// The content of an edit.
pub fn parse_edit(body: &Value) -> Result<String> {
    let mut fields = Fields::of(body)?;
    match fields.required("content", rule::content) {
        Some(content) => Ok(content),
        None => Err(fields.refusal()),
    }
}

impl Chat {
    /// Queues a message for storing; returns once it has its place in the order. When it is stored, the devices of both hear of
    /// it and `done` runs, on the delivery task, so what it sends comes after the event of this message and before the next.
    pub async fn submit(
        &self,
        me: &UserId,
        request: SendRequest,
        origin: Option<DeviceId>,
        done: impl FnOnce(Result<Sent>) + Send + 'static,
    ) -> Result<()> {
        if request.to == *me {
            return Err(Error::code(ErrorCode::CannotMessageSelf));
        }
        let message = store::NewMessage {
            id: self.ids.message(),
            new_chat: self.ids.chat(),
            sender: me.clone(),
            receiver: request.to,
            content: request.content,
            message_type: request.message_type,
            client_message_id: request.client_message_id,
            chat: request.chat,
        };
        let registry = self.registry.clone();
        let stored = move |outcome: StoreResult<SendOutcome>| {
            let sent = outcome.map_err(Error::from).and_then(sent);
            if let Ok(Sent { message, repeated }) = &sent
                && (!repeated || fault!(RepeatToldAgain))
                && !(fault!(RestTellsNobody) && origin.is_none())
                && !(fault!(FirstMessageUntold) && message.seq == Some(1))
            {
                let event = ServerEvent::NewMessage(announcement(message));
                let origin = origin.filter(|_| !fault!(OriginToldToo));
                let both = [(&message.receiver, None), (&message.sender, origin)];
                let told = if fault!(SenderForgotten) { &both[..1] } else { &both[..] };
                if fault!(OrderSwapped) {
                    let (registry, message) = (registry.clone(), message.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(std::time::Duration::from_millis(rand::random_range(0..20))).await;
                        registry.deliver_to(&[(&message.receiver, None), (&message.sender, origin)], &event);
                    });
                } else {
                    if fault!(RestMessageSent) && origin.is_none() {
                        let sent = chat_protocol::event::MessageSent {
                            message_id: message.id.clone(),
                            chat_id: message.chat_id.clone(),
                            seq: message.seq,
                            timestamp: message.timestamp,
                            client_message_id: None,
                        };
                        registry.deliver(&message.sender, None, &ServerEvent::MessageSent(sent));
                    }
                    registry.deliver_to(told, &event);
                    if fault!(DoubledBroadcast) {
                        registry.deliver_to(told, &event);
                    }
                }
            }
            done(sent);
        };
        Ok(self.store.submit(message, Box::new(stored)).await?)
    }

    /// [`Self::submit`], waiting for the outcome.
    pub async fn send(&self, me: &UserId, request: SendRequest) -> Result<Sent> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.submit(me, request, None, move |sent| drop(tx.send(sent))).await?;
        rx.await
            .unwrap_or_else(|_| Err(Error::unavailable("the store closed before it answered")))
    }

    pub async fn edit(&self, me: &UserId, id: &str, content: String) -> Result<Message> {
        let (chat, me, id) = (self.clone(), me.clone(), known(id)?);
        self.to_the_end(async move {
            let message = allowed(chat.store.edit_message(&id, &me, content).await?)?;
            for user in [&message.sender, &message.receiver] {
                if fault!(EditToldToSenderOnly) && *user == message.receiver {
                    continue;
                }
                let shown = seen_by(user, message.clone());
                let event = ServerEvent::MessageEdited(MessageEdited { message: shown });
                chat.registry.deliver(user, None, &event);
            }
            Ok(seen_by(&me, message))
        })
        .await
    }

    pub async fn delete(&self, me: &UserId, id: &str) -> Result<()> {
        let (chat, me, id) = (self.clone(), me.clone(), known(id)?);
        self.to_the_end(async move {
            let deleted = allowed(chat.store.delete_message(&id, &me).await?)?;
            let event = ServerEvent::MessageDeleted(MessageDeleted {
                message_id: deleted.id,
                chat_id: deleted.chat,
                deleted_at: deleted.at,
            });
            let both = [(&deleted.sender, None), (&deleted.receiver, None)];
            chat.registry.deliver_to(&both, &event);
            Ok(())
        })
        .await
    }

    /// Marks messages to me as read, and tells of it.
    pub async fn mark_read(&self, me: &UserId, request: ReadRequest) -> Result<MarkedRead> {
        let (chat, me) = (self.clone(), me.clone());
        self.to_the_end(async move {
            let marks = chat.mark(&me, &request).await?;
            let updated = marks.len() as u64;
            chat.tell_read(&me, marks, None).await;
            Ok(MarkedRead { updated })
        })
        .await
    }

    /// Marks messages to me as read. Nobody hears of it yet.
    pub async fn mark(&self, me: &UserId, request: &ReadRequest) -> Result<Vec<ReadMark>> {
        if fault!(HalfRead)
            && let ReadRequest::Messages(ids) = request
        {
            for id in ids {
                self.store
                    .mark_read(me, ReadScope::Messages(std::slice::from_ref(id)))
                    .await?;
            }
        }
        match self.store.mark_read(me, request.scope()).await? {
            ReadOutcome::Done(marks) => Ok(marks),
            ReadOutcome::MessageNotFound => Err(Error::code(ErrorCode::MessageNotFound)),
            ReadOutcome::ChatNotFound => Err(Error::code(ErrorCode::ChatNotFound)),
            ReadOutcome::NotReceiver => Err(Error::code(ErrorCode::NotMessageReceiver)),
        }
    }

    /// Tells the senders and my other devices what I have read. `origin` is the device that already knows.
    pub async fn tell_read(&self, me: &UserId, marks: Vec<ReadMark>, origin: Option<DeviceId>) {
        let bulk = marks.len() > BULK;
        // Messages of several chats may have several senders; each hears of theirs alone.
        let mut by_sender: std::collections::BTreeMap<UserId, Vec<ServerEvent>> = std::collections::BTreeMap::new();
        for mark in marks {
            by_sender
                .entry(mark.sender)
                .or_default()
                .push(ServerEvent::MessageRead(MessageRead {
                    message_id: mark.message,
                    chat_id: mark.chat,
                    read_at: mark.read_at,
                    reader_id: me.clone(),
                }));
        }
        let (registry, reader, under_way) = (self.registry.clone(), me.clone(), self.under_way());
        let delivery = async move {
            let _under_way = under_way;
            for (sender, mut events) in by_sender {
                if fault!(OneReceiptPerChat) {
                    events.drain(..events.len() - 1);
                }
                let both = [(&sender, None), (&reader, origin)];
                registry.deliver_bulk(&both, &events).await;
            }
        };
        if bulk {
            tokio::spawn(delivery);
        } else {
            delivery.await;
        }
    }

    /// Checks that the chat is one of mine.
    pub async fn join(&self, me: &UserId, chat: &ChatId) -> Result<()> {
        let participants = self.store.participants(chat).await?;
        if fault!(JoinTold)
            && let Some(both) = &participants
        {
            both.iter().for_each(|user| self.tell_typing(me, user, false));
        }
        match participants.is_some_and(|both| both.contains(me) || fault!(StrangerJoins)) {
            true => Ok(()),
            false => Err(Error::code(ErrorCode::ChatNotFound)),
        }
    }
}

/// The message as this user may see it: the client id is its sender's alone.
pub(super) fn seen_by(user: &UserId, message: Message) -> Message {
    let is_sender = message.sender == *user;
    Message {
        client_message_id: message
            .client_message_id
            .filter(|_| is_sender || fault!(ClientIdToReceiver)),
        ..message
    }
}

/// Reads an id of the wire. What cannot be an id is taken as one that nobody has: both are the same 404.
pub fn any_id<T: std::str::FromStr<Err = chat_protocol::InvalidId>>(value: &Value) -> Result<T, String> {
    let text = rule::string(value)?;
    // Ours are 24 hex digits, so nobody has this one.
    text.parse()
        .or_else(|_| "-".parse())
        .map_err(|_| "must be an id".into())
}

fn message_ids(value: &Value) -> Result<Vec<MessageId>, String> {
    let must = || "must be a list of 1 to 100 message ids".to_owned();
    let ids = value
        .as_array()
        .filter(|ids| (1..=100).contains(&ids.len()))
        .ok_or_else(must)?;
    ids.iter().map(|id| any_id(id).map_err(|_| must())).collect()
}

fn known(id: &str) -> Result<MessageId> {
    id.parse().map_err(|_| Error::code(ErrorCode::MessageNotFound))
}

fn allowed<T>(outcome: EditOutcome<T>) -> Result<T> {
    match outcome {
        EditOutcome::Done(done) => Ok(done),
        EditOutcome::NotFound => Err(Error::code(ErrorCode::MessageNotFound)),
        EditOutcome::NotSender => Err(Error::code(ErrorCode::NotMessageSender)),
    }
}

fn sent(outcome: SendOutcome) -> Result<Sent> {
    match outcome {
        SendOutcome::Stored(message) => Ok(Sent {
            message,
            repeated: false,
        }),
        SendOutcome::Repeated(message) => Ok(Sent {
            message,
            repeated: true,
        }),
        SendOutcome::UserNotFound => Err(Error::code(ErrorCode::UserNotFound)),
        SendOutcome::ChatMismatch => Err(Error::code(ErrorCode::ChatMismatch)),
        SendOutcome::ClientMessageIdReused => Err(Error::code(ErrorCode::ClientMessageIdReused)),
    }
}

fn announcement(message: &Message) -> NewMessage {
    NewMessage {
        message_id: message.id.clone(),
        chat_id: message.chat_id.clone(),
        seq: message.seq,
        sender: message.sender.clone(),
        receiver: message.receiver.clone(),
        content: message.content.clone(),
        message_type: message.message_type,
        timestamp: message.timestamp,
    }
}
