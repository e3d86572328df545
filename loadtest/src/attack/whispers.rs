//! What others are to see of one person: what of it they saw, and what never came.
//!
//! A status that is overtaken by a later one need not be seen: the last one counts. Typing begins and ends, and each is told. What
//! falls into a break of a connection is owed to nobody, and after one it cannot be told exactly what was.

use std::collections::VecDeque;
use std::time::Duration;

use chat_protocol::Status;

use crate::latency::Kind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Typing(bool),
    Status(Status),
}

/// Something that others are to see, and since when.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Whisper {
    what: Seen,
    due: Duration,
    /// Whether it is to come: not what a connection broke under, nor what the server refused.
    owed: bool,
}

/// What is to be seen of a person.
#[derive(Debug, Default)]
pub(crate) struct Whispers {
    /// What has not been seen yet.
    open: VecDeque<Whisper>,
    /// When typing was due that was passed over.
    passed_over: Vec<Duration>,
    /// The status that was told last, and the one that was seen last.
    last: [Option<Status>; 2],
    /// Whether a connection broke on the way.
    broke: bool,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Since when it was due.
    pub(crate) due: Duration,
    /// How many are not waited for any more: it, and what was to be seen before it.
    pub(crate) settled: i64,
}

impl Seen {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Typing(_) => Kind::Typing,
            Self::Status(_) => Kind::Status,
        }
    }
}

impl Whispers {
    /// Others are to see this.
    pub(crate) fn tell(&mut self, what: Seen, due: Duration) {
        if let Seen::Status(status) = what {
            self.last[0] = Some(status);
        }
        let owed = true;
        self.open.push_back(Whisper { what, due, owed });
    }

    /// Somebody saw this. None when nobody waits for it.
    pub(crate) fn hear(&mut self, seen: Seen) -> Option<Heard> {
        if let Seen::Status(status) = seen {
            self.last[1] = Some(status);
        }
        let place = self.open.iter().position(|whisper| whisper.what == seen)?;
        let due = self.open.get(place)?.due;
        let (mut index, mut settled) = (0, 0);
        let Self {
            open,
            passed_over,
            broke,
            ..
        } = self;
        open.retain(|whisper| {
            let over = index <= place && whisper.what.kind() == seen.kind();
            if over && whisper.owed {
                settled += 1;
                if index < place && whisper.what.kind() == Kind::Typing && !*broke {
                    passed_over.push(whisper.due);
                }
            }
            index += 1;
            !over
        });
        Some(Heard { due, settled })
    }

    /// A connection broke, of the person or of somebody who was to see it. Returns how many are not waited for any more.
    pub(crate) fn broke(&mut self) -> i64 {
        self.broke = true;
        self.forgive(|_| true)
    }

    /// The server refused it, or said nothing of it, which is a failure of its own.
    pub(crate) fn refused(&mut self, kind: Kind, due: Duration) -> i64 {
        if kind == Kind::Typing {
            self.passed_over.retain(|passed| *passed != due);
        }
        self.forgive(|whisper| whisper.due == due && whisper.what.kind() == kind)
    }

    /// What never came, in the end: of which kind, and when it was due.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = (Kind, Duration)> + '_ {
        let [told, seen] = self.last;
        // The last one counts, and it was seen; after a break nobody can say which one that was.
        let statuses_are_known = told == seen || self.broke;
        let open = self.open.iter().filter(move |whisper| match whisper.what {
            Seen::Typing(_) => whisper.owed,
            Seen::Status(_) => whisper.owed && !statuses_are_known,
        });
        let passed_over = self.passed_over.iter().map(|due| (Kind::Typing, *due));
        open.map(|whisper| (whisper.what.kind(), whisper.due))
            .chain(passed_over)
    }

    fn forgive(&mut self, fits: impl Fn(&Whisper) -> bool) -> i64 {
        let mut forgiven = 0;
        for whisper in self.open.iter_mut().filter(|whisper| whisper.owed) {
            if fits(whisper) {
                whisper.owed = false;
                forgiven += 1;
            }
        }
        forgiven
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: Seen = Seen::Typing(true);
    const OFF: Seen = Seen::Typing(false);

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    /// Told one a second.
    fn told(all: &[Seen]) -> Whispers {
        let mut whispers = Whispers::default();
        (0..)
            .zip(all)
            .for_each(|(second, what)| whispers.tell(*what, at(second)));
        whispers
    }

    fn unseen(whispers: &Whispers) -> Vec<(Kind, Duration)> {
        whispers.unseen().collect()
    }

    #[test]
    fn typing_that_is_passed_over_or_never_comes_is_missing() {
        let mut whispers = told(&[ON, OFF, ON, OFF]);
        assert_eq!(whispers.hear(ON), Some(Heard { due: at(0), settled: 1 }));
        assert_eq!(whispers.hear(ON), Some(Heard { due: at(2), settled: 2 }));
        assert_eq!(unseen(&whispers), [(Kind::Typing, at(3)), (Kind::Typing, at(1))]);
        assert!(whispers.hear(OFF).is_some());
        assert_eq!(unseen(&whispers), [(Kind::Typing, at(1))]);
        assert_eq!(whispers.hear(OFF), None, "nobody waits for it");
    }

    #[test]
    fn of_statuses_the_last_one_counts() {
        let [away, busy, online] = [Status::Away, Status::Busy, Status::Online].map(Seen::Status);
        let mut whispers = told(&[away, busy, online, ON]);
        assert_eq!(whispers.hear(online), Some(Heard { due: at(2), settled: 3 }));
        assert_eq!(unseen(&whispers), [(Kind::Typing, at(3))]);
        // Three were overtaken by one that says what the first of them did.
        let mut whispers = told(&[away, busy, online, away]);
        assert!(whispers.hear(away).is_some());
        assert!(unseen(&whispers).is_empty());
        assert_eq!(unseen(&told(&[away, busy])).len(), 2, "none ever came");
    }

    #[test]
    fn what_fell_into_a_break_or_was_refused_is_not_missing() {
        let mut whispers = told(&[ON, OFF, Seen::Status(Status::Busy)]);
        assert_eq!(whispers.refused(Kind::Typing, at(0)), 1);
        assert_eq!(whispers.broke(), 2, "one was refused before");
        whispers.tell(ON, at(3));
        assert_eq!(unseen(&whispers), [(Kind::Typing, at(3))]);
        assert_eq!(
            whispers.hear(ON),
            Some(Heard { due: at(0), settled: 0 }),
            "late, but it came"
        );
    }
}
