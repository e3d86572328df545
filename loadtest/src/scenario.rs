//! What is done: who takes part, and how often each thing is done.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::action::Weights;
use crate::cast::{Cast, Shard};

/// The scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Pairs who write to each other.
    Dm,
    /// One user with many partners and several devices: everything is told to many.
    Fanout,
    /// History, list of chats and search, and few messages.
    Reader,
    /// Typing and statuses that change all the time.
    Presence,
    /// Messages, while connections break and devices catch up.
    Reconnect,
    /// Logins by password, at which a server must hash.
    LoginStorm,
    /// All of it, by the weights of a file.
    Mixed,
}

/// How many take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Users who act, all together.
    pub users: usize,
    /// Partners of each hub of `fanout`.
    pub partners: usize,
    /// Devices of each hub of `fanout`.
    pub devices: usize,
    /// Sockets beside that do nothing.
    pub silent: usize,
}

/// The weights of `mixed`, when no file is given; the file says where they are from.
const MIXED: &str = include_str!("../mixed.toml");

impl Scenario {
    /// As it is given on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dm => "dm",
            Self::Fanout => "fanout",
            Self::Reader => "reader",
            Self::Presence => "presence",
            Self::Reconnect => "reconnect",
            Self::LoginStorm => "login-storm",
            Self::Mixed => "mixed",
        }
    }

    /// How many things are done in a second when nothing is said: what a small server bears. A login takes it as long as a hundred
    /// messages and more.
    #[must_use]
    pub fn usual_rate(self) -> f64 {
        match self {
            Self::LoginStorm => 20.0,
            _ => 200.0,
        }
    }

    /// How often each action is done.
    #[must_use]
    pub fn weights(self) -> Weights {
        let none = Weights::default();
        match self {
            Self::Dm | Self::Fanout => Weights { send: 1.0, ..none },
            // A chat that is opened is read; one in five looks at the list first, one in twenty searches.
            Self::Reader => Weights {
                send: 0.05,
                history: 0.7,
                chats: 0.2,
                search: 0.05,
                ..none
            },
            Self::Presence => Weights {
                typing: 0.8,
                status: 0.2,
                ..none
            },
            Self::Reconnect => Weights {
                send: 0.98,
                reconnect: 0.02,
                ..none
            },
            Self::LoginStorm => Weights { login: 1.0, ..none },
            // A test holds the file to what can be read.
            Self::Mixed => Weights::parse(MIXED).unwrap_or(Weights { send: 1.0, ..none }),
        }
    }

    /// Who takes part in it.
    #[must_use]
    pub fn cast(self, size: &Size, shard: Shard) -> Cast {
        let cast = match self {
            Self::Fanout => {
                let hubs = size.users.div_ceil(size.partners + 1).max(1);
                Cast::hubs(hubs, size.partners, size.devices, shard)
            }
            _ => Cast::pairs(size.users.div_ceil(2).max(1), shard),
        };
        cast.with_silent(size.silent, shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_of_mixed_can_be_read() {
        let weights = Weights::parse(MIXED).unwrap();
        assert_eq!(weights, Scenario::Mixed.weights());
        assert!(weights.messages() > 0.2 && weights.messages() < 1.0);
    }
}
