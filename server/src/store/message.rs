use async_trait::async_trait;
use chat_protocol::{ChatId, ClientMessageId, Message, MessageId, MessageType, Timestamp, UserId};
use sha2::{Digest as _, Sha256};

use super::{Position, Slice, StoreError, StoreResult};

/// A message to store. The store gives it `chatId`, `seq` and the timestamp.
#[derive(Debug, Clone)]
pub struct NewMessage {
    pub id: MessageId,
    /// The id of the chat if this is its first message.
    pub new_chat: ChatId,
    pub sender: UserId,
    pub receiver: UserId,
    pub content: String,
    pub message_type: MessageType,
    pub client_message_id: Option<ClientMessageId>,
    /// The chat that the sender named, if any: must be the chat of these two.
    pub chat: Option<ChatId>,
}

impl NewMessage {
    /// What an earlier message with the same `clientMessageId` must have been to be the same message.
    pub(super) fn fingerprint(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(self.receiver.as_str());
        hash.update([0]);
        hash.update(self.message_type.as_str());
        hash.update([0]);
        hash.update(&self.content);
        hash.finalize().iter().take(16).copied().collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// Durable and readable.
    Stored(Message),
    /// The `clientMessageId` was seen before with the same receiver, content and type: the first message, as it was sent.
    Repeated(Message),
    /// The `clientMessageId` was seen before with others.
    ClientMessageIdReused,
    /// Receiver unknown or inactive.
    UserNotFound,
    /// `chat` is not the chat of these two.
    ChatMismatch,
}

/// Called once, after the commit, in commit order, on the one delivery task. It must not block.
pub type SendDone = Box<dyn FnOnce(StoreResult<SendOutcome>) + Send>;

/// Which part of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRange {
    /// Newest first, from the newest.
    Newest,
    /// Newest first, below this seq.
    Below(u64),
    /// Ascending, above this seq.
    Above(u64),
}

/// A chat as one participant sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRecord {
    pub id: ChatId,
    pub peer: UserId,
    /// The newest message, tombstone or not. Its timestamp is the chat's last activity.
    pub last_message: Message,
    pub unread: u64,
}

/// Where a walk of the list of chats is, by what a backend orders messages by.
#[derive(Clone, Copy)]
pub(super) struct ChatsPlace {
    /// The newest message when the walk began.
    pub(super) start: i64,
    /// The message that the last chat shown was listed by.
    pub(super) below: i64,
}

impl ChatsPlace {
    pub(super) fn read(position: &Position) -> StoreResult<Self> {
        let parse = || {
            let (start, below) = position.0.split_once('.')?;
            Some(Self {
                start: start.parse().ok()?,
                below: below.parse().ok()?,
            })
        };
        parse().ok_or(StoreError::BadPosition)
    }

    pub(super) fn position(self) -> Position {
        Position(format!("{}.{}", self.start, self.below))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditOutcome<T> {
    Done(T),
    /// Unknown, deleted, or a stranger's.
    NotFound,
    /// The receiver's attempt.
    NotSender,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    pub id: MessageId,
    pub chat: ChatId,
    pub sender: UserId,
    pub receiver: UserId,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadScope<'a> {
    /// These messages.
    Messages(&'a [MessageId]),
    /// This message, which must be in this chat.
    MessageIn(&'a MessageId, &'a ChatId),
    /// Everything in this chat.
    Chat(&'a ChatId),
}

/// A message that became read by this call, or by an earlier one of the same reader that had no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMark {
    pub message: MessageId,
    pub chat: ChatId,
    pub sender: UserId,
    pub read_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Newly read ones, in the order of seq; read and deleted ones are passed over.
    Done(Vec<ReadMark>),
    /// A message is unknown or a stranger's (or not in the chat named): nothing was changed.
    MessageNotFound,
    /// The chat is unknown or a stranger's.
    ChatNotFound,
    /// A message is the reader's own: nothing was changed. `MessageNotFound` of another one goes first.
    NotReceiver,
}

#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Queues a message; messages of one caller keep their order. Waits for a place in the bounded queue; `Err` means that
    /// nothing was queued and `done` will not be called.
    ///
    /// `seq` is gapless per chat, and the timestamps of a store never go back.
    async fn submit(&self, message: NewMessage, done: SendDone) -> StoreResult<()>;

    /// [`Self::submit`] for those who wait for the outcome.
    async fn send(&self, message: NewMessage) -> StoreResult<SendOutcome> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.submit(message, Box::new(move |outcome| drop(tx.send(outcome))))
            .await?;
        rx.await
            .map_err(|_| StoreError::Unavailable("the store closed before it answered".into()))?
    }

    /// The chat of two users.
    async fn chat_of(&self, one: &UserId, other: &UserId) -> StoreResult<Option<ChatId>>;

    /// The two users of a chat.
    async fn participants(&self, chat: &ChatId) -> StoreResult<Option<[UserId; 2]>>;

    /// Everybody with whom the user has a chat.
    async fn partners(&self, user: &UserId) -> StoreResult<Vec<UserId>>;

    /// At most `limit` messages, tombstones included, and whether there are more.
    async fn history(&self, chat: &ChatId, range: HistoryRange, limit: usize) -> StoreResult<(Vec<Message>, bool)>;

    /// Newest activity first. A walk shows every chat that was there at its start exactly once, whatever is sent meanwhile.
    async fn chats(&self, user: &UserId, from: Option<&Position>, limit: usize) -> StoreResult<Slice<ChatRecord>>;

    /// Newest first, literal substring, ignoring case over all of Unicode; only the user's own chats (or the one chat), no
    /// tombstones.
    async fn search_messages(
        &self,
        user: &UserId,
        query: &str,
        chat: Option<&ChatId>,
        from: Option<&Position>,
        limit: usize,
    ) -> StoreResult<Slice<Message>>;

    async fn edit_message(&self, id: &MessageId, editor: &UserId, content: String)
    -> StoreResult<EditOutcome<Message>>;

    async fn delete_message(&self, id: &MessageId, editor: &UserId) -> StoreResult<EditOutcome<Deleted>>;

    /// All or nothing; but of a chat with thousands of unread messages, those that could be marked.
    async fn mark_read(&self, reader: &UserId, scope: ReadScope<'_>) -> StoreResult<ReadOutcome>;
}
