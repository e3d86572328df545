//! Holds the books of both sides and the server's history against each other.

use std::collections::HashMap;

use super::balance::{Balance, Finding};
use super::inbox::Inbox;
use super::outbox::{Fate, Outbox};

/// One stream: its sender's book, and that of each device that was to hear of it.
#[derive(Debug)]
pub struct Checked<'a> {
    pub outbox: &'a Outbox,
    pub inboxes: Vec<&'a Inbox>,
}

/// One message as the server's history has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub seq: Option<u64>,
    /// Stream and number; none when it bears no mark of this run.
    pub message: Option<(u32, u32)>,
}

/// All of a chat's history behind a place, in its order.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    pub after: u64,
    pub items: Vec<Stored>,
}

/// What is known of a chat's history.
#[derive(Debug, Clone, Copy)]
pub enum History<'c> {
    Read(&'c Conversation),
    /// It was asked for, and the server did not give it.
    Unreadable,
    /// Nobody waited for it: whoever acknowledged a message may well have it.
    NotAsked,
}

impl<'c> History<'c> {
    fn conversation(self) -> Option<&'c Conversation> {
        match self {
            Self::Read(conversation) => Some(conversation),
            Self::Unreadable | Self::NotAsked => None,
        }
    }
}

/// Settles all streams of one chat. Without its history, the two sides' books alone are compared.
#[must_use]
pub fn settle(streams: &[Checked<'_>], history: History<'_>) -> Balance {
    let mut balance = Balance::default();
    let stored = history
        .conversation()
        .map(|conversation| read(conversation, streams, &mut balance));
    for stream in streams {
        outgoing(stream, history, stored.as_ref(), &mut balance);
        incoming(stream, &mut balance);
    }
    balance
}

/// Behind which place the history must be read so that every open question is answered by it, and so that at least the last
/// `tail` messages are looked at.
#[must_use]
pub fn read_after(streams: &[Checked<'_>], base: u64, tail: u64) -> u64 {
    let highest = streams.iter().map(|stream| stream.outbox.highest_seq()).max();
    let mut after = highest.unwrap_or(0).saturating_sub(tail).max(base);
    for stream in streams {
        let mut before = base;
        for (number, fate) in stream.outbox.fates() {
            let Fate::Acked(Some(seq)) = fate else {
                after = after.min(before);
                break;
            };
            if !stream
                .inboxes
                .iter()
                .all(|inbox| inbox.knows(number) == Some(Some(seq)))
            {
                after = after.min(before);
                break;
            }
            before = seq;
        }
    }
    after
}

type Places = HashMap<(u32, u32), Option<u64>>;

/// Where the history has each message, once it has been looked through for what is wrong with itself.
fn read(conversation: &Conversation, streams: &[Checked<'_>], balance: &mut Balance) -> Places {
    let mut places = Places::with_capacity(conversation.items.len());
    let mut last: HashMap<u32, u32> = HashMap::new();
    let mut place = conversation.after;
    for item in &conversation.items {
        balance.read_back += 1;
        if let Some(seq) = item.seq {
            if seq != place + 1 {
                let (stream, number) = item.message.unzip();
                balance.find(Finding::Contradicted, stream.unwrap_or(u32::MAX), number);
            }
            place = seq;
        }
        let Some((stream, number)) = item.message else {
            balance.find(Finding::Foreign, u32::MAX, None);
            continue;
        };
        let sent = streams.iter().find(|checked| checked.outbox.stream() == stream);
        if sent.and_then(|checked| checked.outbox.fate(number)).is_none() {
            balance.find(Finding::Foreign, stream, Some(number));
            continue;
        }
        if places.insert((stream, number), item.seq).is_some() {
            balance.find(Finding::Doubled, stream, Some(number));
        } else if last.insert(stream, number).is_some_and(|before| before > number) {
            balance.find(Finding::OutOfOrder, stream, Some(number));
        }
    }
    places
}

/// Every message that was sent.
fn outgoing(stream: &Checked<'_>, history: History<'_>, places: Option<&Places>, balance: &mut Balance) {
    let id = stream.outbox.stream();
    let conversation = history.conversation();
    for (number, fate) in stream.outbox.fates() {
        balance.sent += 1;
        let place = places.and_then(|places| places.get(&(id, number)).copied());
        let knowing = stream
            .inboxes
            .iter()
            .filter(|inbox| inbox.knows(number).is_some())
            .count();
        match fate {
            Fate::Acked(seq) => {
                balance.acked += 1;
                let looked = conversation.filter(|conversation| seq.is_none_or(|seq| seq > conversation.after));
                let gone = match (looked, place) {
                    (None, _) if matches!(history, History::NotAsked) => false,
                    // The history does not say: that a receiver knows of it must do.
                    (None, _) => knowing == 0,
                    (Some(_), None) => true,
                    (Some(_), Some(stored)) => {
                        if differ(seq, stored) {
                            balance.find(Finding::Contradicted, id, Some(number));
                        }
                        false
                    }
                };
                if gone {
                    balance.find(Finding::Lost, id, Some(number));
                }
                if stream
                    .inboxes
                    .iter()
                    .any(|inbox| inbox.knows(number).is_some_and(|known| differ(known, seq)))
                {
                    balance.find(Finding::Contradicted, id, Some(number));
                }
                owe(stream, number, knowing, gone, balance);
            }
            Fate::Refused => {
                balance.refused += 1;
                if knowing > 0 || place.is_some() {
                    balance.find(Finding::Contradicted, id, Some(number));
                }
            }
            Fate::Uncertain | Fate::Open => {
                if fate == Fate::Open {
                    balance.find(Finding::Unanswered, id, Some(number));
                } else {
                    balance.uncertain += 1;
                }
                let stored = match places {
                    None => knowing > 0,
                    Some(_) => place.is_some(),
                };
                if stored {
                    owe(stream, number, knowing, false, balance);
                } else if knowing > 0 {
                    // Told of, but the history does not have it.
                    balance.find(Finding::Lost, id, Some(number));
                }
            }
        }
    }
}

/// A stored message is owed to every device.
fn owe(stream: &Checked<'_>, number: u32, knowing: usize, gone: bool, balance: &mut Balance) {
    let owed = stream.inboxes.len();
    balance.owed += owed as u64;
    balance.told += knowing as u64;
    if !gone {
        for _ in knowing..owed {
            balance.find(Finding::Missed, stream.outbox.stream(), Some(number));
        }
    }
}

/// What the receiving devices noted themselves.
fn incoming(stream: &Checked<'_>, balance: &mut Balance) {
    let id = stream.outbox.stream();
    for inbox in &stream.inboxes {
        // Those were counted as told above.
        balance.told = balance.told.saturating_sub(inbox.caught_up());
        balance.caught_up += inbox.caught_up();
        for (finding, numbers) in [
            (Finding::Doubled, inbox.doubled()),
            (Finding::OutOfOrder, inbox.out_of_order()),
            (Finding::Contradicted, inbox.contradicted()),
        ] {
            for number in numbers {
                balance.find(finding, id, Some(*number));
            }
        }
        for number in inbox.known_from(stream.outbox.len()) {
            balance.find(Finding::Foreign, id, Some(number));
        }
        for _ in 0..inbox.absurd() {
            balance.find(Finding::Foreign, id, None);
        }
    }
}

/// Two places, where both are known.
fn differ(one: Option<u64>, other: Option<u64>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

#[cfg(test)]
mod tests;
