//! Read marks that may have been made and of which nobody was told: their commit had no answer in time. Whoever asks for them again
//! is told, so that the senders are; and once, for what the message says shows whether it is that mark which was made.

use std::collections::HashMap;

use chat_protocol::Timestamp;
use mongodb::bson::Document;
use mongodb::bson::oid::ObjectId;

use super::read_state::{Request, read_mark};
use super::row;
use super::unanswered::Unanswered;
use crate::store::{ReadMark, StoreResult};

pub(super) type Untold = Unanswered<Made>;

/// A mark: who made it, of which message, in which chat, and when, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Made {
    pub(super) reader: ObjectId,
    pub(super) chat: ObjectId,
    pub(super) message: ObjectId,
    pub(super) at: i64,
}

/// Those among them that some requests ask for.
pub(super) struct Owed(Vec<Made>);

impl Owed {
    pub(super) fn to<'r>(requests: impl Iterator<Item = &'r Request>, untold: &Untold) -> Self {
        let mut made = untold.all();
        if !made.is_empty() {
            let mut by_reader: HashMap<ObjectId, Vec<&Request>> = HashMap::new();
            for request in requests {
                by_reader.entry(request.reader_id()).or_default().push(request);
            }
            made.retain(|made| {
                let mut of_reader = by_reader.get(&made.reader).into_iter().flatten();
                of_reader.any(|request| request.asks_for(made))
            });
        }
        Self(made)
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = ObjectId> {
        self.0.iter().map(|made| made.message)
    }

    /// What was made of that which this request asks for, with its position; nobody else gets it.
    pub(super) fn take(
        &mut self,
        request: &Request,
        known: &HashMap<ObjectId, Document>,
    ) -> StoreResult<Vec<(i64, ReadMark)>> {
        let was_made = |made: &Made| {
            let read_at = known.get(&made.message).map(|message| message.get_datetime("readAt"));
            read_at.is_some_and(|at| at.is_ok_and(|at| at.timestamp_millis() == made.at))
        };
        let is_theirs =
            |made: &mut Made| made.reader == request.reader_id() && request.asks_for(made) && was_made(made);
        let mut marks = Vec::new();
        for made in self.0.extract_if(.., is_theirs) {
            if let Some(message) = known.get(&made.message) {
                let mark = read_mark(message, Timestamp::from_millis(made.at))?;
                marks.push((row::int(message, "order")?, mark));
            }
        }
        Ok(marks)
    }

    /// These requests are answered: what was made was told, and what was not will never be.
    pub(super) fn settle(self, untold: &Untold) {
        for made in self.0 {
            untold.take(&made);
        }
    }
}
