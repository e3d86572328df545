//! A hand in the wire that only looks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::proxy::{Call, Kind, Packet, Place, Reply, Tamper, Told};
use super::unit::{Class, Said, Unit};

/// Notes all that is said.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Vec<Unit>>);

impl Recorder {
    /// All that was said so far.
    pub(super) fn units(&self) -> Vec<Unit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_that(&self, class: Class) {
        let said = Said::Nothing;
        self.note(Unit { class, said });
    }

    fn note(&self, unit: Unit) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(unit);
    }
}

impl Tamper for Recorder {
    fn reply(&self, call: &Call, reply: &mut Reply) -> Duration {
        self.note(Unit {
            class: Class::of_reply(call, reply),
            said: Said::Reply(reply.clone()),
        });
        Duration::ZERO
    }

    fn told(&self, to: &Place, packet: Packet) -> Vec<Told> {
        if let Some(class) = Class::of_packet(to, &packet) {
            let said = Said::Packet(packet.clone(), to.clone());
            self.note(Unit { class, said });
        }
        vec![Told::now(packet)]
    }

    fn frame(&self, text: &mut String) -> bool {
        if let Some(class) = Class::of_frame(text) {
            let said = Said::Frame(text.clone());
            self.note(Unit { class, said });
        }
        true
    }

    fn transport(&self, call: &Call, begun: bool, reply: &mut Reply) {
        self.note(Unit {
            class: Class::of_transport(call, begun, reply),
            said: Said::Reply(reply.clone()),
        });
    }

    fn asked(&self, _: &Place, packet: &mut Packet) {
        if packet.kind == Kind::Disconnect {
            self.note_that(Class::Leave);
        }
    }

    fn refuses(&self, begun: bool) -> bool {
        self.note_that(Class::NoWebSocket { begun });
        true
    }

    fn ends(&self) -> bool {
        self.note_that(Class::End);
        true
    }
}
