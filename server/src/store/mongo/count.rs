//! Messages of a chat that are to be counted, and the one update that does it.

use std::collections::HashMap;

use chat_protocol::Message;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};

use super::{chats, row};
use crate::store::StoreResult;

/// Messages of one chat without a gap, to be counted.
#[derive(Debug, Clone)]
pub(super) struct Count {
    from: i64,
    to: i64,
    last: ObjectId,
    order: i64,
    at: DateTime,
    unread: Unread,
    /// Whose chat it is.
    users: Vec<ObjectId>,
}

/// So many messages more, or fewer, for each user.
pub(super) type Unread = HashMap<String, i64>;

impl Count {
    /// Nothing yet, of the chat of this message, which comes next.
    pub(super) fn before(message: &Message, id: ObjectId, seq: i64) -> Self {
        Self {
            from: seq,
            to: seq - 1,
            last: id,
            order: 0,
            at: DateTime::from_millis(0),
            unread: HashMap::new(),
            users: chats::sorted([&message.sender, &message.receiver]),
        }
    }

    /// Takes this message in, too; `false`: another one is missing in between.
    pub(super) fn add(&mut self, message: &Message, id: ObjectId, seq: i64, order: i64) -> bool {
        if self.to + 1 != seq {
            return false;
        }
        self.to = seq;
        self.last = id;
        self.order = order;
        self.at = row::date(message.timestamp);
        *self.unread.entry(message.receiver.to_string()).or_default() += 1;
        if fault!(UnreadCountsOwn) {
            *self.unread.entry(message.sender.to_string()).or_default() += 1;
        }
        true
    }

    /// Whether it is of a chat of this user.
    pub(super) fn is_of(&self, user: ObjectId) -> bool {
        self.users.contains(&user)
    }

    /// Whether it can be counted on a chat that has counted up to this seq.
    pub(super) fn follows(&self, counted: i64) -> bool {
        self.from == counted + 1
    }

    /// The seq up to which the chat has then counted.
    pub(super) fn to(&self) -> i64 {
        self.to
    }

    /// The update that counts it, and besides adds to the counters of unread messages, by user.
    pub(super) fn update(&self, chat: ObjectId, unread: &Unread) -> Document {
        doc! {"q": self.place(chat), "u": self.change(unread)}
    }

    /// The chat, if it is where this count begins.
    pub(super) fn place(&self, chat: ObjectId) -> Document {
        doc! {"_id": chat, "lastSeq": self.from - 1}
    }

    /// What counting changes, and these counters besides.
    pub(super) fn change(&self, unread: &Unread) -> Document {
        let mut more = self.unread.clone();
        for (user, number) in unread {
            *more.entry(user.clone()).or_default() += number;
        }
        doc! {
            "$set": {
                "lastSeq": self.to, "order": self.order, "lastMessage": self.last, "lastActivity": self.at,
                // Until the index has what was counted.
                "waiting": &self.users,
            },
            "$inc": fields(&more),
        }
    }

    /// All of these messages of a chat, which follow what it has counted, in the order of seq; `None` when there are none.
    pub(super) fn of(chat: &Document, messages: &[Document]) -> StoreResult<Option<Self>> {
        let Some(last) = messages.last() else { return Ok(None) };
        let mut unread = Unread::new();
        for message in messages {
            *unread.entry(row::oid(message, "receiver")?.to_hex()).or_default() += 1;
        }
        let at = last.get_datetime("timestamp").copied();
        Ok(Some(Self {
            from: counted_to(chat) + 1,
            to: row::int(last, "seq")?,
            last: row::oid(last, "_id")?,
            order: row::int(last, "order")?,
            at: at.unwrap_or(DateTime::from_millis(0)),
            unread,
            users: chats::members(chat),
        }))
    }

    /// Both together; `None` when something is missing in between.
    pub(super) fn and(mut self, newer: Self) -> Option<Self> {
        if !newer.follows(self.to) {
            return None;
        }
        for (user, number) in newer.unread {
            *self.unread.entry(user).or_default() += number;
        }
        let unread = self.unread;
        Some(Self {
            from: self.from,
            unread,
            ..newer
        })
    }
}

/// The seq up to which a chat has counted.
pub(super) fn counted_to(chat: &Document) -> i64 {
    row::int(chat, "lastSeq").unwrap_or(0)
}

/// The counters of these users within a chat, as an update names them.
pub(super) fn fields(unread: &Unread) -> Document {
    let field = |(user, number): (&String, &i64)| (unread_field(user), Bson::Int64(*number));
    unread.iter().map(field).collect()
}

/// The unread counter of a user within a chat.
pub(super) fn unread_field(user: &str) -> String {
    format!("unread.{user}")
}
