//! What waits for one reader of messages. It is bounded: of a message beyond, only its number is remembered, and that its chat is
//! to be fetched from there.

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Waker};

use chat_protocol::{ChatId, Message, Timestamp, UserId};

pub(super) struct Reader {
    queue: VecDeque<Message>,
    capacity: usize,
    /// Also one's own, and tombstones.
    everything: bool,
    /// Chats whose messages found no room.
    behind: HashMap<ChatId, Behind>,
    lagged: u64,
    /// Of all chats, up to here.
    seen: Option<Timestamp>,
    waker: Option<Waker>,
}

struct Behind {
    /// The last message that found room.
    after: u64,
    /// Whether the next ones could not be fetched in this round.
    failed: bool,
}

impl Reader {
    pub(super) fn new(capacity: usize, everything: bool, seen: Option<Timestamp>) -> Self {
        Self {
            queue: VecDeque::new(),
            capacity: capacity.max(1),
            everything,
            behind: HashMap::new(),
            lagged: 0,
            seen,
            waker: None,
        }
    }

    /// Itself, if a message is for it and finds room. One without is to be fetched, and the reader told so.
    pub(super) fn has_place(&mut self, me: &UserId, message: &Message) -> Option<&mut Self> {
        if self.behind.contains_key(&message.chat_id) {
            self.lagged += 1;
            return None;
        }
        if !self.wants(me, message) {
            return None;
        }
        let Some(seq) = message.seq.filter(|_| self.queue.len() >= self.capacity) else {
            return Some(self);
        };
        self.lagged += 1;
        self.behind(message.chat_id.clone(), seq - 1);
        None
    }

    pub(super) fn take(&mut self, message: Message) {
        self.queue.push_back(message);
        self.wake();
    }

    /// What comes after this number is to be fetched.
    pub(super) fn behind(&mut self, chat: ChatId, after: u64) {
        self.behind.insert(chat, Behind { after, failed: false });
    }

    /// The chats that are to be fetched, and after which message; first those that did not fail yet in this round.
    pub(super) fn all_behind(&self) -> impl Iterator<Item = (&ChatId, u64)> {
        let which = |failed: bool| self.behind.iter().filter(move |(_, behind)| behind.failed == failed);
        which(false)
            .chain(which(true))
            .map(|(chat, behind)| (chat, behind.after))
    }

    /// The others come first now. When none is left, all have a new round.
    pub(super) fn not_fetched(&mut self, chat: &ChatId) {
        if let Some(behind) = self.behind.get_mut(chat) {
            behind.failed = true;
        }
        if self.behind.values().all(|behind| behind.failed) {
            for (other, behind) in &mut self.behind {
                behind.failed = other == chat;
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<Message> {
        self.queue.pop_front()
    }

    /// To be woken when there is something.
    pub(super) fn listen(&mut self, cx: &Context<'_>) {
        self.waker = Some(cx.waker().clone());
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// A page of a chat that is behind, up to what was passed on to readers, and the number up to which the history is known to
    /// have no more. What was not passed on yet comes live.
    pub(super) fn fetched(
        &mut self,
        me: &UserId,
        chat: &ChatId,
        page: Vec<Message>,
        passed_on: u64,
        ends: Option<u64>,
    ) {
        let Some(mut after) = self.behind.get(chat).map(|behind| behind.after) else {
            return;
        };
        for message in page {
            let Some(seq) = message.seq.filter(|seq| *seq > after && *seq <= passed_on) else {
                continue;
            };
            after = seq;
            if self.wants(me, &message) {
                self.queue.push_back(message);
            }
        }
        // What the history does not have is not asked for again.
        after = after.max(ends.unwrap_or(0));
        if after >= passed_on {
            self.behind.remove(chat);
        } else {
            // More was passed on meanwhile, and found no room either.
            self.behind(chat.clone(), after);
        }
    }

    /// How many messages wait.
    #[cfg(test)]
    pub(super) fn waits(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn lagged(&self) -> u64 {
        self.lagged
    }

    /// Up to when it took all there was, given up to when all was passed on; `None` when that is not known.
    pub(super) fn seen(&mut self, passed_on: Option<Timestamp>) -> Option<Timestamp> {
        if self.behind.is_empty() {
            let waits = self.queue.iter().map(|message| message.timestamp).min();
            let taken = match waits {
                Some(waits) => passed_on.min(Some(waits)),
                None => passed_on,
            };
            self.seen = self.seen.max(taken);
        }
        self.seen
    }

    fn wants(&self, me: &UserId, message: &Message) -> bool {
        self.everything || (message.receiver == *me && message.deleted_at.is_none())
    }
}
