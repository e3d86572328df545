//! What nodes tell each other, and how it is written.
//!
//! A node sends batches, numbered from 1: `version u8, node u64, number u64`, then frames: `length u32, kind u8, body`. Events
//! are by far the most frequent, so a node finds out from their first bytes whether they are for a device of its own; everything
//! else is JSON. A kind, or a variant, that a node does not know is passed over: nodes of two releases work side by side.

use std::fmt;

use chat_protocol::event::server;
use chat_protocol::{Status, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Encoded, Presence};
use crate::store::SessionId;

const VERSION: u8 = 1;
/// Version, node and number.
pub(super) const HEAD: usize = 17;
/// Users to whom one frame sends an event.
pub(super) const MOST_TOLD: usize = 1_000;
const EVENT: u8 = 1;
const BULK: u8 = 2;
const NEWS: u8 = 3;

/// One run of a server's process; made anew at every start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct NodeId(u64);

impl NodeId {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The head of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) node: NodeId,
    pub(super) number: u64,
}

/// One thing told.
pub(super) enum Frame<'a> {
    /// To all devices of these users.
    Event {
        to: Vec<&'a str>,
        name: &'static str,
        payload: &'a str,
        /// One of very many: devices are given time to take it.
        bulk: bool,
    },
    News(News),
}

/// What is told besides events.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum News {
    /// The node lives, and this is its clock. Sent every second.
    Beat { at: Timestamp },
    /// Everybody, or one node, shall tell all that they have.
    Ask { of: Option<NodeId> },
    /// All users that are present at the node.
    All { users: Vec<Shown> },
    /// The first device of a user at the node.
    Present { shown: Shown, told: Option<Told> },
    /// The last device of a user at the node is gone, and so is the grace period.
    Left {
        user: UserId,
        last_seen: Option<Timestamp>,
        told: Option<Told>,
    },
    /// A user chose another status.
    Status { shown: Shown },
    /// Sessions that ended; `None` is all of the user.
    Ended {
        user: UserId,
        sessions: Option<Vec<SessionId>>,
    },
    /// Uses of a rate limit since the last time.
    Uses { limit: LimitName, uses: Vec<Use> },
    /// The node ends in order.
    Bye { at: Timestamp },
}

/// A user's presence, with the stamp that decides which of two is newer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) user: UserId,
    pub(super) status: Status,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) stamp: u64,
}

/// An event about presence and who hears of it, at whichever node the user's coming or going is news.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    pub(super) to: Vec<UserId>,
    pub(super) name: String,
    pub(super) payload: Box<RawValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LimitName {
    Requests,
    Events,
}

/// How often a key was used, and in how many milliseconds its window ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Use {
    pub(super) key: super::limits::Key,
    pub(super) count: u32,
    pub(super) left: u64,
}

impl Shown {
    pub(super) fn presence(&self) -> Presence {
        Presence {
            status: self.status,
            last_seen: self.last_seen,
        }
    }
}

impl Told {
    pub fn new(to: Vec<UserId>, event: Encoded) -> Self {
        Self {
            to,
            name: event.name.to_owned(),
            payload: event.payload,
        }
    }

    /// `None`: an event of a newer release.
    pub(super) fn event(&self) -> Option<Encoded> {
        Some(Encoded {
            name: known(&self.name)?,
            payload: self.payload.clone(),
        })
    }
}

/// The bytes of an event's frame.
pub(super) fn event<'a>(to: impl ExactSizeIterator<Item = &'a UserId>, event: &Encoded, bulk: bool) -> Vec<u8> {
    let payload = event.payload.get();
    let mut frame = Vec::with_capacity(8 + event.name.len() + to.len() * 26 + payload.len());
    frame.push(if bulk { BULK } else { EVENT });
    // Callers send to at most `MOST_TOLD` at a time.
    let count = u16::try_from(to.len()).unwrap_or(u16::MAX);
    frame.extend_from_slice(&count.to_be_bytes());
    for user in to.take(usize::from(count)) {
        short(&mut frame, user.as_str());
    }
    short(&mut frame, event.name);
    frame.extend_from_slice(payload.as_bytes());
    frame
}

/// The bytes of the frame of anything else.
pub(super) fn news(news: &News) -> Vec<u8> {
    let mut frame = vec![NEWS];
    // Our own types have no maps with odd keys, which is all that JSON refuses.
    if let Err(error) = serde_json::to_writer(&mut frame, news) {
        tracing::error!(%error, "news for other nodes could not be written");
    }
    frame
}

/// Begins a batch.
pub(super) fn head(batch: &mut Vec<u8>, head: Head) {
    batch.push(VERSION);
    batch.extend_from_slice(&head.node.0.to_be_bytes());
    batch.extend_from_slice(&head.number.to_be_bytes());
}

/// Adds a frame to a batch.
pub(super) fn add(batch: &mut Vec<u8>, frame: &[u8]) {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    batch.extend_from_slice(&length.to_be_bytes());
    batch.extend_from_slice(frame);
}

/// The head of a batch and what reads its frames. `None`: not a batch that this release knows.
pub(super) fn read(batch: &[u8]) -> Option<(Head, Frames<'_>)> {
    let (head, rest) = batch.split_at_checked(HEAD)?;
    let (version, numbers) = head.split_first()?;
    let (node, number) = numbers.split_at_checked(8)?;
    (*version == VERSION).then_some(())?;
    let head = Head {
        node: NodeId(u64::from_be_bytes(node.try_into().ok()?)),
        number: u64::from_be_bytes(number.try_into().ok()?),
    };
    Some((head, Frames(rest)))
}

/// The frames of a batch. Ends early at what is no frame.
pub(super) struct Frames<'a>(&'a [u8]);

impl Frames<'_> {
    /// Only what is no event; events are not even looked at.
    pub(super) fn news(mut self) -> impl Iterator<Item = News> {
        std::iter::from_fn(move || self.bytes()).filter_map(|frame| match frame.split_first() {
            Some((&NEWS, body)) => serde_json::from_slice(body).ok(),
            _ => None,
        })
    }
}

impl<'a> Frames<'a> {
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (frame, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        self.0 = rest;
        Some(frame)
    }
}

impl<'a> Iterator for Frames<'a> {
    /// `None` inside: a frame to pass over.
    type Item = Option<Frame<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.bytes()?;
        Some(frame.split_first().and_then(|(kind, body)| parse(*kind, body)))
    }
}

fn parse(kind: u8, body: &[u8]) -> Option<Frame<'_>> {
    match kind {
        EVENT | BULK => {
            let (count, mut rest) = body.split_first_chunk::<2>()?;
            let mut to = Vec::new();
            for _ in 0..u16::from_be_bytes(*count) {
                to.push(take_short(&mut rest)?);
            }
            let name = known(take_short(&mut rest)?)?;
            Some(Frame::Event {
                to,
                name,
                payload: std::str::from_utf8(rest).ok()?,
                bulk: kind == BULK,
            })
        }
        NEWS => serde_json::from_slice(body).ok().map(Frame::News),
        _ => None,
    }
}

fn known(name: &str) -> Option<&'static str> {
    server::ALL.into_iter().find(|known| *known == name)
}

/// A text of up to 255 bytes: ids have at most 64, and names of events fewer.
fn short(frame: &mut Vec<u8>, text: &str) {
    let text = text.as_bytes();
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    frame.push(length);
    frame.extend_from_slice(&text[..usize::from(length)]);
}

fn take_short<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, after) = rest.split_first()?;
    let (text, after) = after.split_at_checked(usize::from(*length))?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Vec<u8> {
        let mut batch = Vec::new();
        let numbers = Head {
            node: NodeId(7),
            number: 3,
        };
        head(&mut batch, numbers);
        let (ann, bob): (UserId, UserId) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        let encoded = Encoded {
            name: server::NEW_MESSAGE,
            payload: RawValue::from_string(r#"{"content":"grüße"}"#.into()).unwrap(),
        };
        add(&mut batch, &event([&ann, &bob].into_iter(), &encoded, false));
        add(&mut batch, &[200, 1, 2, 3]);
        let told = Told::new(vec![bob], encoded);
        let shown = Shown {
            user: ann,
            status: Status::Away,
            last_seen: None,
            stamp: 12,
        };
        add(
            &mut batch,
            &news(&News::Present {
                shown,
                told: Some(told),
            }),
        );
        batch
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_known_is_passed_over() {
        let batch = batch();
        let (head, frames) = read(&batch).unwrap();
        assert_eq!((head.node, head.number), (NodeId(7), 3));
        let frames: Vec<_> = frames.collect();
        let [
            Some(Frame::Event {
                to,
                name,
                payload,
                bulk,
            }),
            None,
            Some(Frame::News(News::Present { shown, told })),
        ] = frames.as_slice()
        else {
            panic!("{} frames", frames.len());
        };
        assert_eq!(
            (to.as_slice(), *name, *bulk),
            (["ann", "bob"].as_slice(), "new_message", false)
        );
        assert_eq!(*payload, r#"{"content":"grüße"}"#);
        assert_eq!(
            (shown.user.as_str(), shown.status, shown.stamp),
            ("ann", Status::Away, 12)
        );
        let event = told.as_ref().and_then(Told::event).unwrap();
        assert_eq!((event.name, event.payload.get()), ("new_message", *payload));
    }

    #[test]
    fn no_bytes_from_outside_break_the_reader() {
        let batch = batch();
        for end in 0..batch.len() {
            if let Some((_, frames)) = read(&batch[..end]) {
                assert!(frames.count() <= 3);
            }
        }
        for place in 0..batch.len() {
            let mut broken = batch.clone();
            broken[place] ^= 0xff;
            if let Some((_, frames)) = read(&broken) {
                assert!(frames.count() <= batch.len());
            }
        }
        let mut newer = batch;
        newer[0] = 99;
        assert!(read(&newer).is_none(), "another version");
    }
}
