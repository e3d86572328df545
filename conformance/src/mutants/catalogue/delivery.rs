//! Every event: lost, doubled, late, out of order, at sockets that it is not for. Every ack: lost, doubled, late, with another id.

use std::time::Duration;

use chat_spec::{ClientEvent, ServerEvent};

use super::super::mutant::{At, How, Mutant};
use super::super::proxy::Whom;
use super::requirements;

/// Longer than whatever the contract gives an event.
const LATE: Duration = Duration::from_secs(30);

/// Whoever heard the last of them first would take for true what is past.
const IN_ORDER: [ServerEvent; 5] = [
    ServerEvent::NewMessage,
    ServerEvent::MessageSent,
    ServerEvent::MessageEdited,
    ServerEvent::TypingStatus,
    ServerEvent::UserStatusChanged,
];

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all = Vec::new();
    for event in ServerEvent::ALL.iter().copied() {
        let name = event.name();
        let at = At::Events { name, code: None };
        let about = requirements(|requirement| requirement.events.contains(&name));
        let mut push = |how: How| {
            all.push(Mutant {
                name: format!("event/{name}/{}", how.title()),
                breaks: match how {
                    How::Stray(Whom::Strangers) => vec!["socket.authenticate.no-early-event"],
                    How::Swap => match event {
                        ServerEvent::MessageEdited => vec!["edit.event.order"],
                        ServerEvent::NewMessage | ServerEvent::MessageSent => {
                            vec!["events.order.one-device", "promises.seq.order-of-senders"]
                        }
                        _ => vec!["events.order.one-device"],
                    },
                    _ => about.clone(),
                },
                at: at.clone(),
                how,
            });
        };
        push(How::Lose);
        push(How::Double);
        push(How::Stray(Whom::Strangers));
        push(How::Stray(Whom::OtherDevices));
        // Whose presence others hear of is the server's choice.
        if !name.starts_with("user_") {
            push(How::Stray(Whom::OtherUsers));
        }
        if !matches!(event, ServerEvent::Error | ServerEvent::Authenticated) {
            push(How::Late(LATE));
        }
        if IN_ORDER.contains(&event) {
            push(How::Swap);
        }
    }
    for event in ClientEvent::ALL.iter().copied() {
        let name = event.name();
        let about = requirements(|requirement| requirement.events.contains(&name));
        for (what, at) in [
            ("ack of", At::Acks { event: name }),
            (
                "failed ack of",
                At::FailedAcks {
                    event: name,
                    code: None,
                },
            ),
        ] {
            for how in [How::Lose, How::Double, How::OtherId, How::Late(LATE)] {
                all.push(Mutant {
                    name: format!("ack/{what} {name}/{}", how.title()),
                    breaks: match how {
                        How::Double | How::OtherId => vec!["transport.ack.id"],
                        _ => about.clone(),
                    },
                    at: at.clone(),
                    how,
                });
            }
        }
    }
    all
}
