//! The messages to one receiver, in the order in which they were given.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use chat_protocol::{ClientMessageId, Message, SendMessage};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;

use crate::Result;

#[derive(Default)]
pub(super) struct Lane {
    queue: VecDeque<Entry>,
    in_flight: usize,
    /// All before this place are under way.
    looked_at: usize,
    /// The outbox has it among those to whom something may be sent.
    pub(super) is_ready: bool,
}

/// A message on its way.
pub(super) struct Entry {
    pub(super) message: SendMessage,
    pub(super) id: ClientMessageId,
    /// Set while it is under way.
    packet: Option<u64>,
    pub(super) since: Instant,
    pub(super) failures: u32,
    pub(super) tries: u32,
    pub(super) span: Span,
    pub(super) done: oneshot::Sender<Result<Message>>,
    pub(super) shown: Arc<AtomicU8>,
}

impl Entry {
    pub(super) fn new(
        message: SendMessage,
        id: ClientMessageId,
        since: Instant,
        span: Span,
        done: oneshot::Sender<Result<Message>>,
        shown: Arc<AtomicU8>,
    ) -> Self {
        Self {
            message,
            id,
            packet: None,
            since,
            failures: 0,
            tries: 0,
            span,
            done,
            shown,
        }
    }
}

impl Lane {
    pub(super) fn push(&mut self, entry: Entry) {
        self.queue.push_back(entry);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many messages are under way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Entry> {
        self.queue.get_mut(place)
    }

    /// Where the first message is that is not under way.
    pub(super) fn waiting(&mut self) -> Option<usize> {
        let rest = self.queue.range(self.looked_at..);
        self.looked_at += rest.take_while(|entry| entry.packet.is_some()).count();
        (self.looked_at < self.queue.len()).then_some(self.looked_at)
    }

    /// Where the message is that is under way as this packet.
    pub(super) fn under_way(&self, packet: u64) -> Option<usize> {
        self.queue.iter().position(|entry| entry.packet == Some(packet))
    }

    /// Where a message is that has waited since then, or longer.
    pub(super) fn as_old_as(&self, since: Instant) -> Option<usize> {
        self.queue.iter().position(|entry| entry.since <= since)
    }

    /// The message there is under way.
    pub(super) fn sent(&mut self, place: usize, packet: u64) {
        if let Some(entry) = self.queue.get_mut(place) {
            entry.packet = Some(packet);
            entry.tries += 1;
            self.in_flight += 1;
        }
    }

    /// The message there is no longer under way, and to be repeated.
    pub(super) fn again(&mut self, place: usize) {
        let was = self.queue.get_mut(place).and_then(|entry| entry.packet.take());
        self.in_flight -= usize::from(was.is_some());
        self.looked_at = self.looked_at.min(place);
    }

    /// None is under way any more.
    pub(super) fn all_again(&mut self) {
        for entry in &mut self.queue {
            entry.packet = None;
        }
        (self.in_flight, self.looked_at) = (0, 0);
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<Entry> {
        let entry = self.queue.remove(place)?;
        self.in_flight -= usize::from(entry.packet.is_some());
        self.looked_at -= usize::from(place < self.looked_at);
        Some(entry)
    }

    /// Since when the first has waited, and no other longer.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.queue.front().map(|entry| entry.since)
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.queue.into_iter()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::live) fn message(content: &str) -> SendMessage {
        SendMessage {
            to: "bob".parse().unwrap(),
            content: content.to_owned(),
            message_type: None,
            chat_id: None,
            client_message_id: None,
        }
    }

    fn lane(count: usize) -> Lane {
        let mut lane = Lane::default();
        for number in 0..count {
            let id = format!("id-{number}").parse().unwrap();
            let (done, shown) = (oneshot::channel().0, Arc::default());
            let message = message(&number.to_string());
            lane.push(Entry::new(message, id, Instant::now(), Span::none(), done, shown));
        }
        lane
    }

    fn send_all(lane: &mut Lane) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(place) = lane.waiting() {
            sent.push(lane.at(place).unwrap().message.content.clone());
            lane.sent(place, 100 + sent.len() as u64);
        }
        sent
    }

    #[test]
    fn what_is_to_be_repeated_goes_first_and_in_order() {
        let mut lane = lane(5);
        assert_eq!(send_all(&mut lane), ["0", "1", "2", "3", "4"]);
        assert_eq!((lane.in_flight(), lane.waiting()), (5, None));
        lane.again(3);
        lane.again(1);
        lane.remove(0);
        assert_eq!(lane.in_flight(), 2);
        assert_eq!(send_all(&mut lane), ["1", "3"]);
        lane.all_again();
        assert_eq!(lane.in_flight(), 0);
        assert_eq!(send_all(&mut lane), ["1", "2", "3", "4"]);
    }

    #[test]
    fn a_message_that_waits_can_be_removed() {
        let mut lane = lane(3);
        let first = lane.waiting().unwrap();
        lane.sent(first, 7);
        assert_eq!(lane.under_way(7), Some(0));
        lane.remove(1);
        assert_eq!((lane.in_flight(), lane.under_way(8)), (1, None));
        assert_eq!(send_all(&mut lane), ["2"]);
    }
}
