//! One device: does what is due when it is due, and notes what comes.
//!
//! Nothing that is due ever waits for an answer. What is sent is sent, and its answer is one of the things that come.

mod hears;
mod known;
mod plays;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chat_client::realtime::{Connection, Events, Incoming};
use chat_protocol::{ChatId, MessageId};
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::known::Known;
use super::stage::{Book, Stage, Unread};
use crate::cast::Device;
use crate::latency::{Kind, Sample};
use crate::ledger::{Inbox, Outbox};
use crate::pace::Alarm;
use crate::people::Person;
use crate::rest::{OUT_OF_FILES, is_out_of_files};
use crate::schedule::{Arrivals, chance};
use crate::stamp::Stamp;
use crate::tally::Tally;

/// A device that takes part.
pub(crate) struct Player {
    stage: Arc<Stage>,
    number: usize,
    role: Device,
    link: Link,
    /// The start of the run, once it is known.
    go: Option<Instant>,
    stop: watch::Receiver<bool>,
    turns: Option<Arrivals>,
    /// The turn that comes next.
    next: Option<Duration>,
    alarm: Alarm,
    chance: Xoshiro256PlusPlus,
    outboxes: Vec<(usize, Outbox)>,
    inboxes: HashMap<u32, (usize, Inbox)>,
    /// Which outbox has its turn.
    turn: usize,
    /// By the ids of the connection.
    asked: HashMap<u64, Asked>,
    /// Own messages of which news is to come that they were read.
    unread: HashMap<MessageId, Unread>,
    /// Stream and number of what the server says was marked as read.
    marked: Vec<(u32, u32)>,
    /// Own messages that were read before their ack came.
    read_early: HashMap<MessageId, Instant>,
    /// What this device knows of each conversation, by peer.
    known: HashMap<usize, Known>,
    /// What is under way beside the connection, and ends with the device.
    beside: JoinSet<Report>,
    /// The REST calls among it: what they are, and when they were due.
    calls: HashMap<u64, (Kind, Duration)>,
    last_call: u64,
    /// How often it has connected again.
    reconnects: u64,
    samples: Vec<Sample>,
    tally: Tally,
    changes: Changes,
    foreign: u64,
    late: u64,
    /// Messages that became due while there was no connection: sent once there is one, and late by all of that.
    waiting: Vec<Duration>,
    typing: bool,
    status: usize,
    left: bool,
}

enum Link {
    Up {
        connection: Connection,
        events: Events,
    },
    /// Lost at this time; a new one is on its way.
    Down {
        since: Instant,
    },
}

/// What an answer is the answer to.
enum Asked {
    Message {
        outbox: usize,
        number: u32,
        due: Duration,
    },
    /// The mark that a message was read.
    Mark {
        stream: u32,
        number: u32,
        due: Duration,
    },
    /// Whose failure alone is of interest.
    Other {
        kind: Kind,
        due: Duration,
    },
}

/// What all who take part are to know, and do not yet: told once for all that a device does in one go.
#[derive(Debug, Default)]
struct Changes {
    under_way: i64,
    awaited: i64,
    sent: u64,
    acked: u64,
    delivered: u64,
}

/// What a task beside has to tell.
enum Report {
    Done {
        call: u64,
        at: Instant,
        error: Option<Box<str>>,
    },
    Connected {
        link: Box<(Connection, Events)>,
        began: Instant,
        at: Instant,
    },
    NotConnected {
        error: Box<str>,
    },
    CaughtUp {
        peer: usize,
        messages: Vec<(u64, String)>,
        since: Instant,
        at: Instant,
        error: Option<Box<str>>,
        /// After which time that it connected again.
        reconnect: u64,
    },
}

/// How long a device plays before it hands in what it has: goose looks in between whether the run is over.
const SLICE: Duration = Duration::from_millis(500);
/// One that only listens wakes up for less.
const SILENT_SLICE: Duration = Duration::from_secs(10);
/// Arrivals that are taken at once.
const BATCH: usize = 128;
/// Of a connection: beyond it the server has not read for very long.
const PACKETS: usize = 4096;
const EVENTS: usize = 65_536;
const PENDING: usize = 1 << 20;

impl Player {
    /// Connects a device.
    ///
    /// # Errors
    ///
    /// The code of what went wrong.
    pub(crate) async fn enter(stage: &Arc<Stage>, number: usize) -> Result<Self, Box<str>> {
        let role = stage.script.cast.devices.get(number).ok_or("NO_SUCH_DEVICE")?.clone();
        let began = Instant::now();
        let (connection, events) = connect(stage, number, &role).await?;
        let took = began.elapsed();
        let streams = &stage.script.cast.streams;
        let outboxes = role
            .sends
            .iter()
            .filter_map(|&place| Some((place, Outbox::new(streams.get(place)?.id))));
        let inboxes = role.hears.iter().filter_map(|&place| {
            streams
                .get(place)
                .map(|stream| (stream.id, (place, Inbox::new(stream.id))))
        });
        let mut turns = stage.arrivals(role.share);
        let next = turns.as_mut().and_then(Iterator::next);
        if next.is_some() {
            stage.progress.playing.fetch_add(1, Ordering::Relaxed);
        }
        let mut player = Self {
            outboxes: outboxes.collect(),
            inboxes: inboxes.collect(),
            link: Link::Up { connection, events },
            go: None,
            stop: stage.stop.subscribe(),
            next,
            turns,
            alarm: stage.pacer.alarm(),
            chance: chance(stage.script.seed ^ 0xac71_0000, role.share.unwrap_or(usize::MAX)),
            turn: role.share.unwrap_or(0),
            asked: HashMap::new(),
            unread: HashMap::new(),
            marked: Vec::new(),
            read_early: HashMap::new(),
            known: stage.bases_of(&role),
            beside: JoinSet::new(),
            calls: HashMap::new(),
            last_call: 0,
            reconnects: 0,
            samples: Vec::new(),
            tally: Tally::default(),
            changes: Changes::default(),
            foreign: 0,
            late: 0,
            waiting: Vec::new(),
            typing: false,
            status: 0,
            left: false,
            stage: stage.clone(),
            number,
            role,
        };
        player.sample(Kind::Connect, Duration::ZERO, took, None);
        Ok(player)
    }

    /// Plays for a while; in it, does all that is due and notes all that comes.
    pub(crate) async fn play(&mut self) {
        if self.left {
            // Until goose ends the run.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return;
        }
        if !self.begin().await {
            return self.leave().await;
        }
        let slice = if self.turns.is_some() { SLICE } else { SILENT_SLICE };
        let until = tokio::time::sleep(slice);
        tokio::pin!(until);
        let stopped = stopped(self.stop.clone());
        tokio::pin!(stopped);
        let mut batch = Vec::new();
        loop {
            self.take_turns();
            self.tell_changes();
            let came = tokio::select! {
                biased;
                () = &mut stopped => Came::Stop,
                () = self.alarm.rings() => Came::Turn,
                count = hear(&mut self.link, &mut batch) => Came::Events(count),
                Some(Ok(report)) = self.beside.join_next() => Came::Report(report),
                () = &mut until => Came::Pause,
            };
            match came {
                Came::Stop => return self.leave().await,
                Came::Turn => {}
                Came::Events(0) => self.was_cut(),
                Came::Events(_) => batch.drain(..).for_each(|incoming| self.hear(incoming)),
                Came::Report(report) => self.note(report),
                Came::Pause => break,
            }
        }
        self.stage.hand_in(&self.samples, &mut self.tally);
    }

    /// Whether the run is over for it.
    pub(crate) fn has_left(&self) -> bool {
        self.left
    }

    /// What was measured since this was last asked, for goose's own reports.
    pub(crate) fn take_samples(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.samples)
    }

    /// Waits for the start. Returns whether there is one.
    async fn begin(&mut self) -> bool {
        if self.go.is_some() {
            return true;
        }
        let mut go = self.stage.go.subscribe();
        let waited = tokio::select! {
            () = stopped(self.stop.clone()) => None,
            go = go.wait_for(Option::is_some) => go.ok().and_then(|go| *go),
        };
        let Some(go) = waited else { return false };
        self.go = Some(go);
        self.alarm.set(self.next.map(|next| go + next));
        true
    }

    /// Hands in all that it has and goes, if it has not yet. The server may take its time over the connection's end, and is waited for
    /// last.
    pub(crate) async fn leave(&mut self) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        for due in std::mem::take(&mut self.waiting) {
            self.sample(Kind::Ack, due, Duration::ZERO, Some("CLIENT_DISCONNECTED".into()));
        }
        self.count_dropped();
        self.tell_changes();
        self.stage.hand_in(&self.samples, &mut self.tally);
        let unanswered = self.unanswered();
        self.stage.hand_in_book(Book {
            device: self.number,
            outboxes: std::mem::take(&mut self.outboxes),
            inboxes: std::mem::take(&mut self.inboxes).into_values().collect(),
            foreign: self.foreign,
            late: self.late,
            unread: std::mem::take(&mut self.unread).into_values().collect(),
            marked: std::mem::take(&mut self.marked),
            unanswered,
        });
        if let Link::Up { connection, .. } = &self.link {
            connection.close().await;
        }
    }

    /// What it asked for and got no answer to, but for messages, whose ledger says it.
    fn unanswered(&mut self) -> Vec<(Kind, Duration)> {
        let asked = std::mem::take(&mut self.asked)
            .into_values()
            .filter_map(|asked| match asked {
                Asked::Message { .. } => None,
                Asked::Mark { due, .. } => Some((Kind::Read, due)),
                Asked::Other { kind, due } => Some((kind, due)),
            });
        asked.chain(std::mem::take(&mut self.calls).into_values()).collect()
    }

    /// What was dropped here is missing in the books: the verdict does not take it for the server's fault.
    pub(super) fn count_dropped(&self) {
        if let Link::Up { connection, .. } = &self.link {
            let dropped = connection.missed();
            self.stage.progress.overrun.fetch_add(dropped, Ordering::Relaxed);
        }
    }

    /// Since the start; nothing before it.
    fn now(&self) -> Duration {
        self.since_start(Instant::now())
    }

    fn since_start(&self, at: Instant) -> Duration {
        self.go.map_or(Duration::ZERO, |go| at.saturating_duration_since(go))
    }

    fn sample(&mut self, kind: Kind, due: Duration, took: Duration, error: Option<Box<str>>) {
        if error.is_some() {
            self.stage.progress.errors.fetch_add(1, Ordering::Relaxed);
            let second = self.now().as_secs();
            self.tally.at(second).errors += 1;
        }
        self.samples.push(Sample {
            kind,
            due,
            took,
            error,
            // A connection belongs to no phase: all of them count.
            measured: matches!(kind, Kind::Connect | Kind::CatchUp) || self.stage.script.measures(due),
        });
    }

    /// So many more events are to come, as far as can be said: what a connection takes with it may come after all.
    fn under_way(&mut self, more: i64) {
        self.changes.under_way += more;
    }

    /// So many more answers are to come, or other things of which this device surely hears.
    fn awaits(&mut self, more: i64) {
        self.changes.under_way += more;
        self.changes.awaited += more;
    }

    fn tell_changes(&mut self) {
        let progress = &self.stage.progress;
        let Changes {
            under_way,
            awaited,
            sent,
            acked,
            delivered,
        } = std::mem::take(&mut self.changes);
        for (all, more) in [(&progress.under_way, under_way), (&progress.awaited, awaited)] {
            if more != 0 {
                all.fetch_add(more, Ordering::Relaxed);
            }
        }
        let counts = [
            (&progress.sent, sent),
            (&progress.acked, acked),
            (&progress.delivered, delivered),
        ];
        for (all, more) in counts {
            if more != 0 {
                all.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    fn person(&self) -> Option<&Person> {
        self.stage.people.get(self.role.person)
    }

    /// Somebody with whom this device's person talks.
    fn peer(&self, place: usize) -> Option<(usize, &Person)> {
        let stream = self.stage.script.cast.streams.get(place)?;
        let peer = if stream.from == self.role.person {
            stream.to
        } else {
            stream.from
        };
        Some((peer, self.stage.people.get(peer)?))
    }
}

/// Waits until the run is over.
async fn stopped(mut stop: watch::Receiver<bool>) {
    // Nobody who could say so is left: then it is, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

enum Came {
    Stop,
    Turn,
    Events(usize),
    Report(Report),
    Pause,
}

/// Up to a batch of what has come; 0 when the connection has ended.
async fn hear(link: &mut Link, batch: &mut Vec<Incoming>) -> usize {
    match link {
        Link::Up { events, .. } => events.recv_many(batch, BATCH).await,
        Link::Down { .. } => std::future::pending().await,
    }
}

async fn connect(stage: &Stage, number: usize, role: &Device) -> Result<(Connection, Events), Box<str>> {
    let node = stage.node(number).ok_or("NO_NODE")?;
    let person = stage.people.get(role.person).ok_or("NO_PERSON")?;
    let silent = role.hears.is_empty();
    let (packets, events) = if silent { (8, 64) } else { (PACKETS, EVENTS) };
    Connection::to(node.as_str())
        .token(person.token.as_str())
        .packet_capacity(packets)
        .event_capacity(events)
        .most_pending(PENDING)
        .answer_within(stage.script.answer_within)
        .await
        .map_err(|error| code_of(&error))
}

/// As it is counted: the server's code, or what sort of failure it is.
fn code_of(error: &chat_client::Error) -> Box<str> {
    match error.code() {
        Some(code) => code.as_str().into(),
        None if is_out_of_files(error) => OUT_OF_FILES.into(),
        None => format!("CLIENT_{:?}", error.kind()).to_uppercase().into(),
    }
}

/// A message that is to be read.
struct ToRead {
    message: MessageId,
    chat: ChatId,
    stamp: Stamp,
}
