//! What the users of a storm do, decided by chance.

use rand::RngExt as _;
use rand::rngs::StdRng;

/// What one user does next.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) user: usize,
    pub(super) step: Step,
}

/// The way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Rest,
    /// The device that stays.
    Socket,
    /// The one that came last.
    OtherSocket,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A further device comes.
    Come,
    /// The oldest of the further devices goes.
    Go,
    Say {
        to: usize,
        by: By,
        with_id: bool,
    },
    /// Several in a row on one device, before the first ack.
    Burst {
        to: usize,
        count: usize,
    },
    /// The last message with an id again, by another way.
    Repeat {
        by: By,
    },
    /// All of a chat, by REST.
    ReadChat {
        of: usize,
    },
    /// One message that came, by event.
    ReadOne {
        of: usize,
    },
    /// The last own message.
    Edit,
    Delete,
    Status(&'static str),
    Type {
        to: usize,
        on: bool,
    },
}

/// How often what happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mix {
    devices: u32,
    talk: u32,
    changes: u32,
    signs: u32,
}

impl Mix {
    pub(super) const DEVICES: Self = Self {
        devices: 4,
        talk: 6,
        changes: 2,
        signs: 3,
    };
    pub(super) const TALK: Self = Self {
        devices: 1,
        talk: 12,
        changes: 2,
        signs: 1,
    };
    pub(super) const CHANGES: Self = Self {
        devices: 1,
        talk: 6,
        changes: 8,
        signs: 1,
    };
}

pub(super) fn make(rng: &mut StdRng, users: usize, length: usize, mix: Mix) -> Vec<Act> {
    (0..length)
        .map(|_| {
            let user = rng.random_range(0..users);
            // Another one.
            let peer = (user + rng.random_range(1..users)) % users;
            Act {
                user,
                step: step(rng, peer, mix),
            }
        })
        .collect()
}

fn step(rng: &mut StdRng, peer: usize, mix: Mix) -> Step {
    let Mix {
        devices,
        talk,
        changes,
        signs,
    } = mix;
    let number = rng.random_range(0..devices + talk + changes + signs);
    if number < devices {
        return if rng.random_bool(0.6) { Step::Come } else { Step::Go };
    }
    if number < devices + talk {
        return match rng.random_range(0..8) {
            0 => Step::Burst {
                to: peer,
                count: rng.random_range(2..6),
            },
            1 => Step::Repeat { by: by(rng) },
            _ => Step::Say {
                to: peer,
                by: by(rng),
                with_id: rng.random_bool(0.5),
            },
        };
    }
    if number < devices + talk + changes {
        return match rng.random_range(0..5) {
            0 => Step::ReadChat { of: peer },
            1 | 2 => Step::ReadOne { of: peer },
            3 => Step::Edit,
            _ => Step::Delete,
        };
    }
    match rng.random_range(0..6) {
        0 => Step::Status("busy"),
        1 => Step::Status("away"),
        2 => Step::Status("online"),
        3 => Step::Status("offline"),
        _ => Step::Type {
            to: peer,
            on: rng.random_bool(0.7),
        },
    }
}

fn by(rng: &mut StdRng) -> By {
    [By::Rest, By::Socket, By::OtherSocket][rng.random_range(0..3)]
}
