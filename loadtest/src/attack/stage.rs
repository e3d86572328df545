//! What all who take part share: the time, the recorder, and what is still under way.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use url::Url;

use super::player::Known;
use super::whispers::{Seen, Whispers};
use crate::action::Weights;
use crate::cast::{Cast, Device};
use crate::latency::{Kind, Recorder, Sample};
use crate::ledger::{Inbox, Outbox};
use crate::pace::Pacer;
use crate::people::Person;
use crate::rest::{NO_ANSWER, Rest};
use crate::schedule::{Arrivals, Curve, Dealt, Pattern, Share};
use crate::stamp::RunMark;
use crate::tally::Tally;

/// What does not change during a run.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) script: Script,
    pub(crate) people: Vec<Person>,
    pub(crate) rest: Vec<Rest>,
    /// The last place of each chat before the run, in the order of the cast's chats.
    pub(crate) bases: Vec<u64>,
    pub(crate) pacer: Pacer,
    /// When the schedule begins; none until everybody is there.
    pub(crate) go: watch::Sender<Option<Instant>>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) progress: Progress,
    recorded: Mutex<Recorded>,
    first_failure: OnceLock<Box<str>>,
    /// By person.
    whispers: Vec<Mutex<Whispers>>,
}

/// What is played.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) cast: Arc<Cast>,
    pub(crate) weights: Weights,
    pub(crate) load: Load,
    pub(crate) seed: u64,
    pub(crate) mark: RunMark,
    /// Characters of a message.
    pub(crate) length: usize,
    /// Every so many messages are read at once by their receiver; 0: none.
    pub(crate) read_every: u32,
    /// What arrives later than this after it was due counts as late.
    pub(crate) late_after: Duration,
    /// Whether connections may break that nobody here breaks.
    pub(crate) may_disconnect: bool,
    /// How long an answer may take: whoever gives up earlier calls unanswered what is only late.
    pub(crate) answer_within: Duration,
    pub(crate) nodes: Vec<Url>,
}

/// When what is due.
#[derive(Debug, Clone)]
pub(crate) enum Load {
    Curve(Arc<Curve>, Pattern),
    Trace(Arc<Dealt>),
}

/// Counters that change all the time; only sums are read.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) seated: AtomicU64,
    /// Devices that still have turns to take: on a busy machine they take the last ones after the schedule's end.
    pub(crate) playing: AtomicU64,
    pub(crate) failed_to_connect: AtomicU64,
    /// Acks, deliveries and answers that are still to come.
    pub(crate) under_way: AtomicI64,
    /// What is exact among them, also where connections break: answers, and how devices get back what they missed.
    pub(crate) awaited: AtomicI64,
    pub(crate) sent: AtomicU64,
    pub(crate) acked: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) disconnects: AtomicU64,
    /// Arrivals that this generator was too slow to take.
    pub(crate) overrun: AtomicU64,
    pub(crate) left: AtomicU64,
}

/// What has been handed in.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) recorder: Recorder,
    pub(crate) tally: Tally,
    pub(crate) books: Vec<Book>,
}

/// One device's part of the ledger.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) device: usize,
    pub(crate) outboxes: Vec<(usize, Outbox)>,
    pub(crate) inboxes: Vec<(usize, Inbox)>,
    pub(crate) foreign: u64,
    pub(crate) late: u64,
    /// Own messages of which no news came that they were read.
    pub(crate) unread: Vec<Unread>,
    /// Stream and number of what the server says was marked as read.
    pub(crate) marked: Vec<(u32, u32)>,
    /// What was asked for and never answered, and when it was due: all but messages.
    pub(crate) unanswered: Vec<(Kind, Duration)>,
}

/// An own message of which news is to come that it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unread {
    pub(crate) stream: u32,
    pub(crate) number: u32,
    pub(crate) due: Duration,
    /// Whether the news is to come on the connection that there is.
    pub(crate) owed: bool,
}

/// The code of what was to come and never did.
pub(crate) const NOT_TOLD: &str = "NOT_TOLD";

impl Stage {
    pub(crate) fn new(script: Script, people: Vec<Person>, rest: Vec<Rest>, bases: Vec<u64>, pacer: Pacer) -> Self {
        let whispers = people.iter().map(|_| Mutex::default()).collect();
        Self {
            script,
            people,
            rest,
            bases,
            pacer,
            go: watch::Sender::new(None),
            stop: watch::Sender::new(false),
            progress: Progress::default(),
            recorded: Mutex::default(),
            first_failure: OnceLock::new(),
            whispers,
        }
    }

    /// The moments at which the device's turn comes; none for one that only listens.
    pub(crate) fn arrivals(&self, share: Option<usize>) -> Option<Arrivals> {
        let share = Share {
            user: share?,
            users: self.script.cast.shares,
        };
        Some(match &self.script.load {
            Load::Curve(curve, pattern) => Arrivals::along(curve.clone(), *pattern, share, self.script.seed),
            Load::Trace(dealt) => Arrivals::traced(dealt.clone(), share.user),
        })
    }

    /// Nodes take the devices in turn.
    pub(crate) fn node(&self, device: usize) -> Option<&Url> {
        self.script.nodes.get(device % self.script.nodes.len().max(1))
    }

    /// Where each conversation of a device stood before the run, by peer.
    pub(crate) fn bases_of(&self, device: &Device) -> HashMap<usize, Known> {
        let chats = self.script.cast.chats.iter().zip(&self.bases);
        chats
            .filter_map(|(&(one, other), base)| match device.person {
                person if person == one => Some((other, Known::up_to(*base))),
                person if person == other => Some((one, Known::up_to(*base))),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn rest(&self, device: usize) -> Option<&Rest> {
        self.rest.get(device % self.rest.len().max(1))
    }

    /// Hands in what a device has measured since it last did.
    pub(crate) fn hand_in(&self, samples: &[Sample], tally: &mut Tally) {
        if samples.is_empty() && tally.is_empty() {
            return;
        }
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().for_each(|sample| recorded.recorder.record(sample));
        recorded.tally.add(tally);
        tally.clear();
    }

    pub(crate) fn hand_in_book(&self, book: Book) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.books.push(book);
        drop(recorded);
        self.progress.left.fetch_add(1, Ordering::Relaxed);
    }

    /// Looks at what is recorded so far.
    pub(crate) fn recorded<T>(&self, look: impl FnOnce(&mut Recorded) -> T) -> T {
        look(&mut self.recorded.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes why a device could not connect.
    pub(crate) fn note_failure(&self, code: Box<str>) {
        self.first_failure.get_or_init(|| code);
        self.progress.failed_to_connect.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn first_failure(&self) -> String {
        self.first_failure
            .get()
            .map_or("no answer in time".into(), |code| code.to_string())
    }

    /// Others are to see this of a person.
    pub(crate) fn whisper(&self, person: usize, what: Seen, due: Duration) {
        self.with_whispers(person, |whispers| whispers.tell(what, due));
        self.progress.under_way.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody saw this of a person: since when was it due? What was to be seen before it has been overtaken.
    pub(crate) fn heard(&self, person: usize, seen: Seen) -> Option<Duration> {
        let heard = self.with_whispers(person, |whispers| whispers.hear(seen))??;
        self.progress.under_way.fetch_sub(heard.settled, Ordering::Relaxed);
        Some(heard.due)
    }

    /// The connection of this person broke, or of somebody who is to see them.
    pub(crate) fn whispers_broke(&self, person: usize) {
        let forgiven = self.with_whispers(person, Whispers::broke).unwrap_or(0);
        self.progress.under_way.fetch_sub(forgiven, Ordering::Relaxed);
    }

    /// The server refused to let others see it.
    pub(crate) fn whisper_refused(&self, person: usize, kind: Kind, due: Duration) {
        let refused = self.with_whispers(person, |whispers| whispers.refused(kind, due));
        self.progress
            .under_way
            .fetch_sub(refused.unwrap_or(0), Ordering::Relaxed);
    }

    fn with_whispers<T>(&self, person: usize, act: impl FnOnce(&mut Whispers) -> T) -> Option<T> {
        let whispers = self.whispers.get(person)?;
        Some(act(&mut whispers.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Records as failures what was to come and never did: answers, what others were to see, and news that a message was read of which
    /// the server said that it was marked.
    pub(crate) fn record_what_never_came(&self) {
        self.recorded(|recorded| {
            let mut unanswered: Vec<(Kind, Duration)> = Vec::new();
            for book in &recorded.books {
                let person = self.script.cast.devices.get(book.device).map(|device| device.person);
                for &(kind, due) in &book.unanswered {
                    // Of what others were to see this is said once.
                    person.map(|person| self.with_whispers(person, |whispers| whispers.refused(kind, due)));
                    unanswered.push((kind, due));
                }
            }
            let mut missing: Vec<(Kind, Duration)> = Vec::new();
            for whispers in &self.whispers {
                missing.extend(whispers.lock().unwrap_or_else(PoisonError::into_inner).unseen());
            }
            let marked: HashSet<(u32, u32)> = recorded
                .books
                .iter()
                .flat_map(|book| book.marked.iter().copied())
                .collect();
            let unread = recorded.books.iter().flat_map(|book| &book.unread);
            let untold = unread.filter(|unread| unread.owed && marked.contains(&(unread.stream, unread.number)));
            missing.extend(untold.map(|unread| (Kind::Read, unread.due)));
            let missing = missing.into_iter().map(|missing| (missing, NOT_TOLD));
            let unanswered = unanswered.into_iter().map(|unanswered| (unanswered, NO_ANSWER));
            for ((kind, due), code) in missing.chain(unanswered) {
                recorded.recorder.record(&Sample {
                    kind,
                    due,
                    took: Duration::ZERO,
                    error: Some(code.into()),
                    measured: self.script.measures(due),
                });
                recorded.tally.at(due.as_secs()).errors += 1;
            }
        });
    }
}

impl Script {
    pub(crate) fn lasts(&self) -> Duration {
        match &self.load {
            Load::Curve(curve, _) => curve.lasts(),
            Load::Trace(dealt) => dealt.lasts(),
        }
    }

    /// Whether what is due at this time counts.
    pub(crate) fn measures(&self, due: Duration) -> bool {
        match &self.load {
            Load::Curve(curve, _) => curve.measures(due),
            Load::Trace(_) => true,
        }
    }
}
