//! What the transports promise: handshakes, frames, heartbeats, ends.

use super::super::edit::{Edit, Step};
use super::super::mutant::{At, How, ListEdit, Mutant};
use super::super::unit::{Class, Frame};

fn transport(method: &str, begun: bool, refused: bool) -> Class {
    Class::Transport {
        method: method.to_owned(),
        begun,
        refused,
    }
}

fn ack(event: &str, code: &str) -> Class {
    Class::Ack {
        event: event.to_owned(),
        code: code.to_owned(),
    }
}

fn without(member: &str) -> How {
    How::Json(vec![Step::Member(member.to_owned())], Edit::Remove)
}

/// One for each requirement, since the same break may be noticed for many reasons.
pub(super) fn mutants() -> Vec<Mutant> {
    let open = || Class::Frame(Frame::Open);
    let upgrades = vec![Step::Member("upgrades".to_owned())];
    // Its attachments hide from the proxy what event it is.
    let binary = || ack("", "VALIDATION_ERROR");
    let unknown = || ack("no_such_event", "UNKNOWN_EVENT");
    let message = || Class::Event {
        name: "new_message".to_owned(),
        code: String::new(),
    };
    let about = |requirement: &'static str, class: Class, how: How| Mutant {
        name: format!("transport/{requirement}/{}/{}", class.title(), how.title()),
        breaks: vec![requirement],
        at: At::Exactly(class),
        how,
    };
    vec![
        about("transport.open.packet", open(), without("sid")),
        about("transport.open.packet", open(), without("upgrades")),
        about("transport.open.packet", open(), without("pingInterval")),
        about("transport.open.packet", open(), without("pingTimeout")),
        about("transport.open.packet", open(), without("maxPayload")),
        about("transport.open.upgrades", open(), How::Json(upgrades, Edit::Lie)),
        about(
            "transport.open.bad-query",
            transport("GET", false, true),
            How::Status(200),
        ),
        about(
            "transport.open.unknown-sid",
            transport("GET", true, true),
            How::Status(200),
        ),
        about(
            "transport.open.unknown-sid",
            transport("POST", true, true),
            How::Status(200),
        ),
        about(
            "transport.open.bad-query",
            Class::NoWebSocket { begun: false },
            How::Succeed,
        ),
        about(
            "transport.open.unknown-sid",
            Class::NoWebSocket { begun: true },
            How::Succeed,
        ),
        about(
            "transport.open.methods",
            transport("POST", false, true),
            How::Status(200),
        ),
        about(
            "transport.polling.post-ok",
            transport("POST", true, false),
            How::Status(204),
        ),
        about(
            "transport.polling.several",
            transport("GET", true, false),
            How::List(ListEdit::Reverse),
        ),
        about("transport.polling.several", ack("send_message", ""), How::OtherId),
        about("transport.polling.binary", binary(), How::OtherId),
        about(
            "transport.polling.malformed",
            transport("POST", true, true),
            How::Status(200),
        ),
        about(
            "transport.polling.second-poll",
            transport("GET", true, true),
            How::Status(200),
        ),
        about(
            "transport.polling.too-large",
            transport("POST", true, true),
            How::Status(200),
        ),
        about("transport.heartbeat.ping", Class::Frame(Frame::Ping), How::Lose),
        about("transport.heartbeat.time-out", Class::End, How::Lose),
        about("transport.upgrade.probe", Class::Frame(Frame::Pong), How::Text("3")),
        about("transport.upgrade.moves", unknown(), How::OtherId),
        about(
            "transport.upgrade.moves",
            transport("GET", true, true),
            How::Status(200),
        ),
        about(
            "transport.upgrade.once",
            Class::NoWebSocket { begun: true },
            How::Succeed,
        ),
        about("transport.upgrade.once", unknown(), How::OtherId),
        about("transport.upgrade.nothing-lost", message(), How::Lose),
        about("transport.upgrade.nothing-lost", message(), How::Double),
        about("transport.close.by-client", Class::End, How::Lose),
        about(
            "transport.close.by-client",
            transport("POST", true, true),
            How::Status(200),
        ),
        about("transport.frame.malformed", Class::End, How::Lose),
        about("transport.connect.sid", Class::Connected, without("sid")),
        about(
            "transport.connect.unknown-namespace",
            Class::Frame(Frame::Message),
            How::Text("44{}"),
        ),
        about("transport.connect.awaited", Class::End, How::Lose),
        about(
            "transport.connect.awaited",
            transport("GET", true, true),
            How::Status(200),
        ),
        about("transport.connect.first", Class::End, How::Lose),
        about("transport.disconnect.namespace", Class::Leave, How::Lose),
        about("transport.ack.id", unknown(), How::OtherId),
        about("transport.ack.unasked", unknown(), How::OtherId),
        about("transport.binary.event", binary(), How::OtherId),
        about("transport.packet.malformed", Class::End, How::Lose),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chat_spec::{Level, REQUIREMENTS};

    use super::*;

    #[test]
    fn every_must_has_one() {
        let broken: BTreeSet<&str> = mutants().iter().flat_map(|mutant| mutant.breaks.clone()).collect();
        let musts = REQUIREMENTS
            .iter()
            .filter(|requirement| requirement.level == Level::Must && requirement.id.starts_with("transport."));
        let missing: Vec<&str> = musts.map(|one| one.id).filter(|id| !broken.contains(id)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
