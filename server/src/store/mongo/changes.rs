//! What a group of read marks changes.

use std::collections::{HashMap, HashSet};

use chat_protocol::Timestamp;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::count::{Count, Unread, fields};
use super::counters::Gathered;
use super::others::Others;
use super::read_state::{Request, read_mark};
use super::row;
use crate::store::{ReadMark, StoreResult};

/// What a group changes.
#[derive(Default)]
pub(super) struct Changes {
    messages: HashSet<ObjectId>,
    chats: HashMap<ObjectId, OfChat>,
}

#[derive(Default)]
struct OfChat {
    /// The seq up to which it must have been counted.
    newest: i64,
    /// The seq up to which it has counted, where that was read.
    counted_to: Option<i64>,
    unread: Unread,
}

impl Changes {
    /// Takes up what nobody before in this group has marked; each with its position.
    pub(super) fn add(
        &mut self,
        request: &Request,
        unread: Vec<Document>,
        read_at: Timestamp,
    ) -> StoreResult<Vec<(i64, ReadMark)>> {
        let mut marks = Vec::with_capacity(unread.len());
        for message in unread {
            if !self.messages.insert(row::oid(&message, "_id")?) {
                continue;
            }
            let change = self.chats.entry(row::oid(&message, "chatId")?).or_default();
            change.newest = row::int(&message, "seq")?.max(change.newest);
            // The database refuses counts below zero: what is not counted for this reader cannot be taken away.
            let is_not_theirs = |id: ObjectId| id != request.reader_id();
            let uncounted = fault!(ReadAgain, StrangerReads)
                && (message.get_datetime("readAt").is_ok()
                    || message.get_datetime("deletedAt").is_ok()
                    || message.get_object_id("receiver").is_ok_and(is_not_theirs));
            *change.unread.entry(request.reader().to_string()).or_default() -= i64::from(!uncounted);
            marks.push((row::int(&message, "order")?, read_mark(&message, read_at)?));
        }
        Ok(marks)
    }

    /// The messages that are marked.
    pub(super) fn messages(&self) -> Vec<ObjectId> {
        self.messages.iter().copied().collect()
    }

    /// A chat has counted up to this seq.
    pub(super) fn read(&mut self, chat: ObjectId, counted_to: i64) {
        self.chats.entry(chat).or_default().counted_to = Some(counted_to);
    }

    /// Up to which seqs chats must have counted.
    pub(super) fn newest(&self) -> HashMap<ObjectId, i64> {
        let newest = self.chats.iter().map(|(chat, change)| (*chat, change.newest));
        newest.filter(|(_, newest)| *newest > 0).collect()
    }

    fn changed(&self) -> impl Iterator<Item = (&ObjectId, &OfChat)> {
        self.chats.iter().filter(|(_, change)| !change.unread.is_empty())
    }

    /// The chats of which this node does not know whether they have counted what is marked, and up to which seq that is.
    pub(super) fn in_doubt(&self, gathered: &Gathered, others: &Others) -> HashMap<ObjectId, i64> {
        let near = others.are_near();
        let in_doubt = |chat: &ObjectId| gathered.get(chat).map_or(near, Option::is_none);
        let chats = self.changed().filter(|(chat, _)| in_doubt(chat));
        chats.map(|(chat, change)| (*chat, change.newest)).collect()
    }

    /// The updates, and the chats of which they also count all that had gathered.
    pub(super) fn of_chats(
        &self,
        gathered: &Gathered,
        missing: &HashMap<ObjectId, (Count, bool)>,
    ) -> (Vec<Document>, Vec<ObjectId>) {
        let (mut updates, mut counted) = (Vec::new(), Vec::new());
        for (chat, change) in self.changed() {
            if let Some((count, is_all)) = missing.get(chat) {
                counted.extend(is_all.then_some(*chat));
                updates.push(count.update(*chat, &change.unread));
                continue;
            }
            let gathered = gathered.get(chat).and_then(Option::as_ref);
            let fits = gathered.filter(|count| {
                count.to() >= change.newest && change.counted_to.is_none_or(|counted| count.follows(counted))
            });
            updates.push(if let Some(count) = fits {
                counted.push(*chat);
                count.update(*chat, &change.unread)
            } else {
                let counted = doc! {"_id": chat, "lastSeq": {"$gte": change.newest}};
                doc! {"q": counted, "u": {"$inc": fields(&change.unread)}}
            });
        }
        (updates, counted)
    }
}
