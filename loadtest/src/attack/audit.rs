//! The chats before and after a run: opened so that they exist, and read back so that the ledger can be settled.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chat_protocol::{ClientMessageId, Message};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::interrupt::{interrupted, was_interrupted};
use super::stage::{Book, Script, Stage};
use crate::cast::Cast;
use crate::ledger::{
    Balance, Checked, Conversation, Finding, History, Inbox, Stored, read_after, settle as settle_chat,
};
use crate::people::Person;
use crate::rest::{CallError, Rest, patiently};
use crate::stamp::Stamp;

/// Calls at the same time.
const AT_ONCE: usize = 8;
/// Of a run with more messages than this, not all are read back: only what is open, and what came last.
const ALL: u64 = 100_000;
/// So many messages at the end of each chat are read back in any case.
const TAIL: u64 = 200;

/// Reading back may take as long as the run, and so much more.
const BESIDES: Duration = Duration::from_secs(300);

/// What the run comes to.
pub(super) struct Settled {
    pub(super) ledger: Balance,
    /// Why a chat's history could not be read.
    pub(super) unread: Option<CallError>,
    /// Whether somebody ended it meanwhile: what was not read then, nobody says anything against.
    pub(super) cut_short: bool,
}

/// Writes a first message into each chat, so that chats exist and their users are partners. Returns its place in each; none
/// on a server that does not count messages.
pub(super) async fn open_chats(rest: &Rest, cast: &Cast, people: &[Person]) -> Result<Option<Vec<u64>>, CallError> {
    let jobs: Vec<_> = cast
        .chats
        .iter()
        .filter_map(|&(one, other)| people.get(one).zip(people.get(other)))
        .collect();
    stream::iter(jobs)
        .map(|(one, other)| async move {
            // The same one at each try, so that a server that had stored it already does not store it twice.
            let id: Option<ClientMessageId> = format!("{:016x}", rand::random::<u64>()).parse().ok();
            patiently(|| rest.send(&one.token, &other.id, "a chat to be loaded", id.clone())).await
        })
        .buffered(AT_ONCE)
        .try_collect::<Vec<Option<u64>>>()
        .await
        .map(|places| places.into_iter().collect())
}

/// Settles all chats of the run: what is known of those whose history cannot be read is what both sides noted. Then it says why, too.
/// `look` is told how many chats have been read, and of how many.
pub(super) async fn settle(rest: &Rest, stage: &Stage, books: &[Book], look: impl Fn(usize, usize)) -> Settled {
    let script = &stage.script;
    let until = Instant::now() + script.lasts() + BESIDES;
    // Of a run that somebody ended, what is there is read all the same: another signal ends that.
    let was_ended = was_interrupted();
    let outboxes: HashMap<usize, _> = books
        .iter()
        .flat_map(|book| book.outboxes.iter().map(|(place, outbox)| (*place, outbox)))
        .collect();
    let inboxes: HashMap<(usize, usize), &Inbox> = books
        .iter()
        .flat_map(|book| book.inboxes.iter().map(|(place, inbox)| ((*place, book.device), inbox)))
        .collect();
    let mut by_chat: HashMap<(usize, usize), Vec<Checked<'_>>> = HashMap::new();
    for (place, stream) in script.cast.streams.iter().enumerate() {
        let Some(outbox) = outboxes.get(&place) else { continue };
        let chat = (stream.from.min(stream.to), stream.from.max(stream.to));
        by_chat.entry(chat).or_default().push(Checked {
            outbox,
            inboxes: stream
                .hearers
                .iter()
                .filter_map(|device| inboxes.get(&(place, *device)).copied())
                .collect(),
        });
    }
    let sent: u64 = outboxes.values().map(|outbox| outbox.len() as u64).sum();
    let tail = if sent <= ALL { u64::MAX } else { TAIL };
    let jobs = script.cast.chats.iter().zip(&stage.bases).filter_map(|(chat, base)| {
        let streams = by_chat.remove(chat)?;
        let people = stage.people.get(chat.0).zip(stage.people.get(chat.1))?;
        Some((streams, people, *base))
    });
    let jobs: Vec<_> = jobs.collect();
    let chats = jobs.len();
    look(0, chats);
    let (unread, gone, cut_short) = (&OnceLock::new(), &AtomicBool::new(false), &AtomicBool::new(false));
    let settling = stream::iter(jobs)
        .map(|(streams, (one, other), base)| async move {
            if streams
                .iter()
                .all(|stream| stream.outbox.is_empty() && stream.inboxes.iter().all(|inbox| inbox.told() == 0))
            {
                return Balance::default();
            }
            let after = read_after(&streams, base, tail);
            let ends = async {
                match was_ended {
                    true => std::future::pending().await,
                    false => interrupted().await,
                }
            };
            // Whoever has not answered so often does not answer for the other chats either.
            let read = match gone.load(Ordering::Relaxed) || cut_short.load(Ordering::Relaxed) {
                true => None,
                false => tokio::select! {
                    read = patiently(|| rest.history_after(&one.token, &other.id, after)) => Some(read),
                    () = tokio::time::sleep_until(until.into()) => Some(Err(CallError::Late)),
                    () = ends => {
                        cut_short.store(true, Ordering::Relaxed);
                        None
                    }
                },
            };
            let conversation = match read {
                Some(Ok(items)) => Some(Conversation {
                    after,
                    items: items.into_iter().map(|message| stored(&message, script)).collect(),
                }),
                Some(Err(error)) => {
                    gone.fetch_or(error.may_pass(), Ordering::Relaxed);
                    unread.get_or_init(|| error);
                    None
                }
                None => None,
            };
            let history = match &conversation {
                Some(conversation) => History::Read(conversation),
                None if cut_short.load(Ordering::Relaxed) => History::NotAsked,
                None => History::Unreadable,
            };
            let mut balance = settle_chat(&streams, history);
            balance.unreadable = u64::from(matches!(history, History::Unreadable));
            balance
        })
        .buffer_unordered(AT_ONCE);
    tokio::pin!(settling);
    let (mut all, mut read) = (Balance::default(), 0);
    while let Some(balance) = settling.next().await {
        all.add(&balance);
        read += 1;
        look(read, chats);
    }
    for book in books {
        all.late += book.late;
        for _ in 0..book.foreign {
            all.find(Finding::Foreign, u32::MAX, None);
        }
    }
    Settled {
        ledger: all,
        unread: unread.get().cloned(),
        cut_short: cut_short.load(Ordering::Relaxed),
    }
}

fn stored(message: &Message, script: &Script) -> Stored {
    let stamp = Stamp::read(&message.content, script.mark, script.length);
    Stored {
        seq: message.seq,
        message: stamp.map(|stamp| (stamp.stream, stamp.number)),
    }
}
