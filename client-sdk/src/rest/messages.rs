//! `/api/messages`.

use std::future::IntoFuture;

use chat_protocol::{
    Chat, ChatHistory, ChatId, ClientMessageId, EditMessage, MarkRead, MarkedRead, Message, MessageEnvelope, MessageId,
    MessageType, Page, SendMessage, UserId,
};
use reqwest::Method;

use super::call::{BoxFuture, Call, Repeat, Request, json, nothing};
use super::list::{List, Pages};
use crate::Result;
use crate::client::Client;
use crate::ids::new_client_message_id;

impl Client {
    /// One's chats, the most lively first.
    ///
    /// ```no_run
    /// # async fn example(chat: chat_client::Client) -> chat_client::Result<()> {
    /// use futures_util::TryStreamExt as _;
    ///
    /// let mut chats = chat.chats().into_stream();
    /// while let Some(found) = chats.try_next().await? {
    ///     println!("{} unread in {}", found.unread_count, found.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn chats(&self) -> List<Chat> {
        List::new(self, Call::get("api/messages/chats"))
    }

    /// The history with a user: newest first, or ascending [`after`](History::after) a `seq`.
    pub fn history(&self, with: &UserId) -> History {
        History {
            client: self.clone(),
            call: Call::get(format!("api/messages/conversation/{with}")),
        }
    }

    /// Messages of one's own chats that contain this text of 1 to 100 characters, ignoring case; newest first.
    pub fn search_messages(&self, text: impl Into<String>) -> SearchMessages {
        SearchMessages(List::new(self, Call::get("api/messages/search").with("q", text.into())))
    }

    /// Sends by REST, past the outbox: for programs that keep no socket. All devices of both hear of it.
    ///
    /// Safe to repeat, as [`send`](Self::send) is. It keeps no order with what the outbox sends.
    pub fn send_by_rest(&self, to: &UserId, content: impl Into<String>) -> SendByRest {
        SendByRest {
            client: self.clone(),
            message: SendMessage {
                to: to.clone(),
                content: content.into(),
                message_type: None,
                chat_id: None,
                client_message_id: None,
            },
        }
    }

    /// Gives a message of one's own a new content.
    pub fn edit(&self, message: &MessageId, content: impl Into<String>) -> Request<Message> {
        let content = content.into();
        let call = Call::new(Method::PUT, format!("api/messages/{message}"), Repeat::Freely);
        Request::new(self, call.body(&EditMessage { content }), envelope)
    }

    /// Deletes a message of one's own: a tombstone stays in its place.
    pub fn delete(&self, message: &MessageId) -> Request<()> {
        let call = Call::new(Method::DELETE, format!("api/messages/{message}"), Repeat::UntilGone);
        Request::new(self, Ok(call), nothing)
    }

    /// Marks 1 to 100 messages to oneself as read. Answers how many became so by this.
    pub fn mark_read(&self, messages: impl IntoIterator<Item = MessageId>) -> Request<u64> {
        let message_ids = messages.into_iter().collect();
        self.mark(&MarkRead::Messages { message_ids })
    }

    /// Marks all messages to oneself in a chat as read. Answers how many became so by this.
    pub fn mark_chat_read(&self, chat: &ChatId) -> Request<u64> {
        self.mark(&MarkRead::Chat { chat_id: chat.clone() })
    }

    fn mark(&self, what: &MarkRead) -> Request<u64> {
        let call = Call::new(Method::POST, "api/messages/mark-read", Repeat::Freely);
        Request::new(self, call.body(what), |answer| {
            json::<MarkedRead>(answer).map(|marked| marked.updated)
        })
    }
}

fn envelope(answer: &[u8]) -> Result<Message> {
    json::<MessageEnvelope>(answer).map(|envelope| envelope.message)
}

/// The history with a user: await it for one page, or walk it by [`into_stream`](Self::into_stream).
#[derive(Debug)]
#[must_use = "nothing is asked until this is awaited or made a stream"]
pub struct History {
    client: Client,
    call: Call,
}

/// The messages of a history, one after the other.
pub type HistoryPages = Pages<Message>;

impl History {
    /// Messages per page, from 1 to 100. Default: the server's, which is 50.
    pub fn limit(mut self, messages: u32) -> Self {
        self.call = self.call.with("limit", messages);
        self
    }

    /// Goes on where another page ended: its [`ChatHistory::next_cursor`].
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.call = self.call.with("cursor", cursor.into());
        self
    }

    /// Ascending, from the message behind this `seq`; `0` is from the beginning.
    pub fn after(mut self, seq: u64) -> Self {
        self.call = self.call.with("after", seq);
        self
    }

    /// Every message from here on, page by page, tombstones included.
    ///
    /// ```no_run
    /// # async fn example(chat: chat_client::Client, peer: chat_client::protocol::UserId) -> chat_client::Result<()> {
    /// use futures_util::TryStreamExt as _;
    ///
    /// let from_the_beginning = chat.history(&peer).after(0).limit(100).into_stream();
    /// let all: Vec<_> = from_the_beginning.try_collect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_stream(self) -> HistoryPages {
        let Self { client, call } = self;
        Pages::new(Box::new(move |cursor| {
            let call = match cursor {
                Some(cursor) => call.clone().with("cursor", cursor),
                None => call.clone(),
            };
            let client = client.clone();
            Box::pin(async move {
                let page: ChatHistory = json(&client.call(&call).await?)?;
                Ok(Page {
                    items: page.items,
                    next_cursor: page.next_cursor,
                })
            })
        }))
    }
}

impl IntoFuture for History {
    type Output = Result<ChatHistory>;
    type IntoFuture = BoxFuture<Result<ChatHistory>>;

    fn into_future(self) -> Self::IntoFuture {
        Request::plain(&self.client, Ok(self.call)).into_future()
    }
}

/// A search in messages: await it for one page, or walk it by [`into_stream`](Self::into_stream).
#[derive(Debug)]
#[must_use = "nothing is asked until this is awaited or made a stream"]
pub struct SearchMessages(List<Message>);

impl SearchMessages {
    /// Only in the conversation with this user.
    pub fn with(self, user: &UserId) -> Self {
        Self(self.0.with("userId", user))
    }

    /// As [`List::limit`].
    pub fn limit(self, messages: u32) -> Self {
        Self(self.0.limit(messages))
    }

    /// As [`List::cursor`].
    pub fn cursor(self, cursor: impl Into<String>) -> Self {
        Self(self.0.cursor(cursor))
    }

    /// As [`List::into_stream`].
    pub fn into_stream(self) -> Pages<Message> {
        self.0.into_stream()
    }
}

impl IntoFuture for SearchMessages {
    type Output = Result<Page<Message>>;
    type IntoFuture = BoxFuture<Result<Page<Message>>>;

    fn into_future(self) -> Self::IntoFuture {
        self.0.into_future()
    }
}

/// A message to be sent by REST: await it for the stored message.
#[derive(Debug)]
#[must_use = "nothing is sent until this is awaited"]
pub struct SendByRest {
    client: Client,
    message: SendMessage,
}

impl SendByRest {
    /// What the content is. Default: text.
    pub fn message_type(mut self, kind: MessageType) -> Self {
        self.message.message_type = Some(kind);
        self
    }

    /// One's own id of it, by which a repeat is known. Default: a new one.
    pub fn client_message_id(mut self, id: ClientMessageId) -> Self {
        self.message.client_message_id = Some(id);
        self
    }
}

impl IntoFuture for SendByRest {
    type Output = Result<Message>;
    type IntoFuture = BoxFuture<Result<Message>>;

    fn into_future(mut self) -> Self::IntoFuture {
        self.message.client_message_id.get_or_insert_with(new_client_message_id);
        let call = Call::new(Method::POST, "api/messages/send", Repeat::Freely).body(&self.message);
        Request::new(&self.client, call, envelope).into_future()
    }
}
