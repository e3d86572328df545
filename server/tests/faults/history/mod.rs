//! The judge: holds what was sent, what was heard and what is kept against each other, and against the promises of the contract.
//!
//! It is data in, breaches out. That it can find each kind of breach is tested beside it.

#[cfg(test)]
mod tests;

mod judge;
mod read;

use std::collections::{HashMap, HashSet};
use std::time::Instant;

pub(crate) use self::judge::judge;

/// What is known of a run.
#[derive(Default, Clone)]
pub(crate) struct Record {
    pub(crate) sent: Vec<Sent>,
    pub(crate) changes: Vec<Change>,
    pub(crate) heard: Vec<Heard>,
    pub(crate) views: Vec<View>,
    pub(crate) lists: Vec<List>,
    /// Who typed to whom.
    pub(crate) typed: HashSet<(String, String)>,
    /// Who marked which chat as read, sometime: what was in it by then is read.
    pub(crate) marked: HashSet<(String, String)>,
}

/// A message that somebody tried to send. Its content, which is also its `clientMessageId`, is like no other.
#[derive(Clone)]
pub(crate) struct Sent {
    /// The socket it went through: what goes through one is stored and told in that order. REST has none.
    pub(crate) lane: Option<usize>,
    pub(crate) node: usize,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) content: String,
    pub(crate) began: Instant,
    pub(crate) outcome: Outcome,
    /// The first attempt was not acknowledged: its place is where either attempt put it, and it may have been told to nobody.
    pub(crate) retried: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Outcome {
    Acknowledged(Receipt),
    /// Said to be unavailable; a retry is safe.
    Refused,
    /// No answer.
    Unknown,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    pub(crate) chat: String,
    pub(crate) seq: u64,
    pub(crate) timestamp: String,
}

/// What somebody did to a message later. Those of one message are in order.
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) id: String,
    pub(crate) what: Alteration,
    pub(crate) acknowledged: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Alteration {
    Edited(String),
    Deleted,
    Read,
}

/// What one socket was told, in order.
#[derive(Clone)]
pub(crate) struct Heard {
    pub(crate) user: String,
    pub(crate) node: usize,
    pub(crate) since: Instant,
    /// What it must have heard of all that was sent since.
    pub(crate) must_have: MustHave,
    pub(crate) messages: Vec<Told>,
    /// The ids of `message_sent`.
    pub(crate) confirmed: Vec<String>,
    /// From whom `typing_status` came.
    pub(crate) typing: Vec<String>,
    /// The messages that others of its events were about.
    pub(crate) about: Vec<String>,
}

/// Live delivery is a promise as long as what is in between lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MustHave {
    /// All, and what was sent again since its answer was lost: the first or the second is told.
    EvenRetried,
    All,
    /// What was sent at its own node.
    OfItsNode,
    Nothing,
}

impl MustHave {
    /// Whether a device at this node must have heard of it, if it is of its user's concern.
    pub(crate) fn includes(self, sent: &Sent, node: usize) -> bool {
        match self {
            Self::EvenRetried => true,
            Self::All => !sent.retried,
            Self::OfItsNode => sent.node == node && !sent.retried,
            Self::Nothing => false,
        }
    }
}

/// A `new_message`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Told {
    pub(crate) receipt: Receipt,
    pub(crate) sender: String,
    pub(crate) receiver: String,
    pub(crate) content: String,
}

/// A conversation as one reader sees it at one node, from a seq on.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) node: usize,
    pub(crate) reader: String,
    pub(crate) peer: String,
    /// What has a seq up to this is not looked at.
    pub(crate) after: u64,
    pub(crate) messages: Vec<Kept>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Kept {
    pub(crate) receipt: Receipt,
    pub(crate) sender: String,
    pub(crate) receiver: String,
    /// Empty when it is deleted.
    pub(crate) content: String,
    pub(crate) is_read: bool,
    pub(crate) is_edited: bool,
    pub(crate) is_deleted: bool,
}

/// A user's list of chats at one node.
#[derive(Clone)]
pub(crate) struct List {
    pub(crate) node: usize,
    pub(crate) user: String,
    pub(crate) chats: HashMap<String, Listed>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Listed {
    pub(crate) unread: usize,
    pub(crate) last: Kept,
}

/// A promise that was not kept.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Breach {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Acknowledged or told, and not kept; or kept, and not told.
    Lost,
    /// Kept or told more than once.
    Doubled,
    /// Told to one whom it does not concern.
    Leaked,
    /// Not in the order in which its sender sent it.
    Reordered,
    /// A seq that is missing.
    Hole,
    /// Another time, another seq, another content than was said.
    Altered,
    /// Nobody sent it.
    Invented,
    /// Another count of unread messages, or another last message, than the messages say.
    Miscounted,
    /// Two readers or two nodes see different things.
    Disagreement,
}

impl Record {
    /// Panics with what is wrong, the first of each kind in full.
    pub(crate) fn must_hold(&self, when: &str) {
        let breaches = judge(self);
        let mut shown: Vec<String> = Vec::new();
        let mut kinds: Vec<Kind> = Vec::new();
        for breach in &breaches {
            if kinds.iter().filter(|kind| **kind == breach.kind).count() < 5 {
                shown.push(format!("{:?}: {}", breach.kind, breach.what));
            }
            kinds.push(breach.kind);
        }
        assert!(
            breaches.is_empty(),
            "{when}: {} breaches\n{}",
            breaches.len(),
            shown.join("\n")
        );
    }

    /// How many messages were acknowledged, and how many not.
    pub(crate) fn count(&self) -> (usize, usize) {
        let all = self.sent.len();
        let good = self.sent.iter().filter(|sent| sent.receipt().is_some()).count();
        (good, all - good)
    }
}

impl Sent {
    pub(crate) fn receipt(&self) -> Option<&Receipt> {
        match &self.outcome {
            Outcome::Acknowledged(receipt) => Some(receipt),
            Outcome::Refused | Outcome::Unknown => None,
        }
    }
}
