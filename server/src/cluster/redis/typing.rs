//! Who types, as other nodes said: a node that dies, or cannot be heard, takes nobody's typing back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chat_protocol::event::TypingStatus;
use chat_protocol::{Timestamp, UserId};

use crate::cluster::ServerEvent;

/// A node says that it is over after six seconds, unless it was said again; with some time for that to travel.
const OVER_AFTER: Duration = Duration::from_secs(7);
/// More are not remembered.
const MOST: usize = 10_000;

#[derive(Default)]
pub(super) struct Typing(HashMap<(UserId, UserId), Instant>);

impl Typing {
    /// Other nodes told `to` this.
    pub(super) fn told(&mut self, to: &[UserId], payload: &str, now: Instant) {
        let Ok(status) = serde_json::from_str::<TypingStatus>(payload) else {
            return;
        };
        for to in to {
            let pair = (status.from.clone(), to.clone());
            if !status.is_typing {
                self.0.remove(&pair);
            } else if self.0.len() < MOST || self.0.contains_key(&pair) {
                self.0.insert(pair, now + OVER_AFTER);
            }
        }
    }

    /// Whom to tell what, for nobody else does.
    pub(super) fn over(&mut self, now: Instant) -> Vec<(UserId, ServerEvent)> {
        let over = self.0.extract_if(|_, until| *until <= now);
        over.map(|((from, to), _)| {
            let event = ServerEvent::TypingStatus(TypingStatus {
                from,
                is_typing: false,
                timestamp: Timestamp::now(),
            });
            (to, event)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_took_back_is_over() {
        let (mut typing, now) = (Typing::default(), Instant::now());
        let bob: [UserId; 1] = ["bob".parse().unwrap()];
        let say = |from: &str, is_typing| {
            format!(r#"{{"from":"{from}","isTyping":{is_typing},"timestamp":"2026-01-01T00:00:00.000Z"}}"#)
        };
        typing.told(&bob, &say("ann", true), now);
        typing.told(&bob, &say("eve", true), now);
        typing.told(&bob, &say("eve", false), now);
        typing.told(&bob, "rubbish", now);
        assert!(typing.over(now + Duration::from_secs(6)).is_empty());
        let over = typing.over(now + OVER_AFTER);
        let [(to, ServerEvent::TypingStatus(status))] = over.as_slice() else {
            panic!("{over:?}");
        };
        assert_eq!((to, status.from.as_str(), status.is_typing), (&bob[0], "ann", false));
        assert!(typing.over(now + OVER_AFTER).is_empty(), "once");
    }
}
