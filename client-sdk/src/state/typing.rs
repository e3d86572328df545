//! Who types, and telling that one does.

use std::collections::HashMap;
use std::time::Duration;

use chat_protocol::UserId;
use chat_protocol::event::Typing;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::{Client, Event};

/// The server takes typing back after 6 s; it is said again a while before.
const AGAIN_AFTER: Duration = Duration::from_secs(4);
/// Without a keystroke for so long, one has stopped.
const STOPPED_AFTER: Duration = Duration::from_secs(5);
/// The server's "stopped" comes after 6 s at the latest, unless it is lost.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(8);

/// Who types at the moment.
#[derive(Debug, Clone, Default)]
pub struct WhoTypes(HashMap<UserId, Instant>);

impl WhoTypes {
    /// Takes in what happened. `true`: something is different now.
    pub fn apply(&mut self, event: &Event) -> bool {
        let Event::Typing(typing) = event else {
            return false;
        };
        if typing.is_typing {
            !self.0.insert(typing.from.clone(), Instant::now()).is_some_and(types)
        } else {
            self.0.remove(&typing.from).is_some_and(types)
        }
    }

    /// Whether this user types.
    #[must_use]
    pub fn contains(&self, user: &UserId) -> bool {
        self.0.get(user).copied().is_some_and(types)
    }
}

fn types(since: Instant) -> bool {
    since.elapsed() < FORGOTTEN_AFTER
}

/// Tells a chat partner that this user types: call [`key`](Self::key) at every keystroke. It stops by itself 5 s after the last
/// one, at [`stop`](Self::stop), and when it is dropped. Nothing is said while there is no connection.
#[derive(Debug)]
pub struct TypingSignal(mpsc::Sender<bool>);

impl TypingSignal {
    /// To this user.
    #[must_use]
    pub fn new(client: &Client, to: &UserId) -> Self {
        let (keys, heard) = mpsc::channel(8);
        tokio::spawn(signal(client.clone(), to.clone(), heard));
        Self(keys)
    }

    /// A key was pressed. Cheap: the server hears of one in 4 s.
    pub fn key(&self) {
        let _ = self.0.try_send(true); // Full: it is known already.
    }

    /// The message was sent, or given up.
    pub fn stop(&self) {
        let _ = self.0.try_send(false); // Full: it stops by itself.
    }
}

async fn signal(client: Client, to: UserId, mut keys: mpsc::Receiver<bool>) {
    let say = |is_typing| {
        client.parts().outbox.say(&Typing {
            to: to.clone(),
            is_typing,
        })
    };
    while let Some(key) = keys.recv().await {
        if !key {
            continue;
        }
        say(true);
        let mut again = Instant::now() + AGAIN_AFTER;
        let stopped_for_good = loop {
            match timeout(STOPPED_AFTER, keys.recv()).await {
                Ok(Some(true)) if Instant::now() >= again => {
                    say(true);
                    again = Instant::now() + AGAIN_AFTER;
                }
                Ok(Some(true)) => {}
                Ok(Some(false)) | Err(_) => break false,
                Ok(None) => break true,
            }
        };
        say(false);
        if stopped_for_good {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use chat_protocol::Timestamp;
    use chat_protocol::event::TypingStatus;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_that_is_lost_is_assumed() {
        let bob: UserId = "bob".parse().unwrap();
        let typing = |is_typing| {
            Event::Typing(TypingStatus {
                from: bob.clone(),
                is_typing,
                timestamp: Timestamp::now(),
            })
        };
        let mut who = WhoTypes::default();
        assert!(who.apply(&typing(true)));
        assert!(!who.apply(&typing(true)));
        assert!(who.contains(&bob));
        assert!(who.apply(&typing(false)));
        assert!(!who.contains(&bob));
        who.apply(&typing(true));
        tokio::time::advance(FORGOTTEN_AFTER).await;
        assert!(!who.contains(&bob));
        assert!(who.apply(&typing(true)), "it is news again");
    }
}
