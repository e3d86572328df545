//! What a user does when their turn has come.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Send,
    History,
    Chats,
    Search,
    Typing,
    Status,
    Reconnect,
    Login,
}

/// How often each action is done, beside the others. What is left out is never done.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// A message.
    pub send: f64,
    /// The newest page of a conversation.
    pub history: f64,
    /// The list of chats.
    pub chats: f64,
    /// A search in all messages.
    pub search: f64,
    /// Typing begins, or ends.
    pub typing: f64,
    /// Another status.
    pub status: f64,
    /// The connection breaks; the device comes back and catches up.
    pub reconnect: f64,
    /// A login by password, and nothing else.
    pub login: f64,
}

/// The weights cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    #[error("the weights are not TOML of the known actions: {0}")]
    Format(String),
    #[error("weights are numbers from 0 on, and not all of them 0")]
    Sum,
}

impl Weights {
    /// Reads a TOML file of `action = weight`.
    ///
    /// # Errors
    ///
    /// An action that is not known, or weights that make no sense.
    pub fn parse(text: &str) -> Result<Self, WeightsError> {
        let weights: Self = toml::from_str(text).map_err(|error| WeightsError::Format(error.message().into()))?;
        let all = weights.all().map(|(_, weight)| weight);
        let sum: f64 = all.iter().sum();
        if all.iter().any(|weight| *weight < 0.0) || !sum.is_normal() {
            return Err(WeightsError::Sum);
        }
        Ok(weights)
    }

    /// The weight of each action.
    #[must_use]
    pub fn all(&self) -> [(Action, f64); 8] {
        [
            (Action::Send, self.send),
            (Action::History, self.history),
            (Action::Chats, self.chats),
            (Action::Search, self.search),
            (Action::Typing, self.typing),
            (Action::Status, self.status),
            (Action::Reconnect, self.reconnect),
            (Action::Login, self.login),
        ]
    }

    /// One by chance.
    #[must_use]
    pub fn draw(&self, chance: &mut Xoshiro256PlusPlus) -> Action {
        let all = self.all();
        let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
        let mut left = chance.random::<f64>() * sum;
        for (action, weight) in all {
            if left < weight {
                return action;
            }
            left -= weight;
        }
        Action::Send
    }

    /// Of all that is done, the part that is messages.
    #[must_use]
    pub fn messages(&self) -> f64 {
        let sum: f64 = self.all().iter().map(|(_, weight)| weight).sum();
        self.send / sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::chance;

    #[test]
    fn actions_come_as_often_as_their_weights_say() {
        let weights = Weights::parse("send = 3\nhistory = 1\n").unwrap();
        let mut chance = chance(1, 1);
        let drawn: Vec<Action> = (0..10_000).map(|_| weights.draw(&mut chance)).collect();
        let sends = drawn.iter().filter(|action| **action == Action::Send).count();
        assert!(sends.abs_diff(7500) < 300, "{sends}");
        assert!(
            drawn
                .iter()
                .all(|action| matches!(action, Action::Send | Action::History))
        );
        assert!((weights.messages() - 0.75).abs() < 1e-9);
    }

    #[test]
    fn weights_that_make_no_sense_are_refused() {
        assert!(matches!(Weights::parse("dance = 1"), Err(WeightsError::Format(_))));
        for bad in ["", "send = 0", "send = -1\nchats = 2", "send = nan", "send = inf"] {
            assert_eq!(Weights::parse(bad), Err(WeightsError::Sum), "{bad:?}");
        }
    }
}
