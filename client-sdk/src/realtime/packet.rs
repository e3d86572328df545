//! Packets of engine.io 4 and Socket.IO 5, as far as the main namespace over a websocket needs them.

use std::ops::Range;

use serde::Serialize;

/// What a text frame is. Ranges are of the frame's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// engine.io `open`: JSON with the heartbeat's times.
    Open(Range<usize>),
    /// The server's heartbeat.
    Ping,
    /// The transport ends.
    Close,
    /// The server took the CONNECT.
    Connected(Range<usize>),
    /// The server refused the CONNECT: JSON with the reason.
    Refused(Range<usize>),
    /// The server ends the namespace.
    Dismissed,
    /// An event: where its name is, and its first argument with what follows, empty when there is none.
    Event { name: Range<usize>, payload: Range<usize> },
    /// An answer: to which packet, and its first argument with what follows.
    Ack { id: u64, payload: Range<usize> },
    /// Nothing for us, or nothing that makes sense.
    Other,
}

impl Packet {
    pub(super) fn read(text: &str) -> Self {
        let all = text.len();
        match text.as_bytes() {
            [b'0', ..] => Self::Open(1..all),
            [b'1'] => Self::Close,
            [b'2', ..] => Self::Ping,
            [b'4', b'0', b'{', ..] => Self::Connected(2..all),
            [b'4', b'0'] => Self::Connected(2..2),
            [b'4', b'1'] => Self::Dismissed,
            [b'4', b'2', ..] => event(text).unwrap_or(Self::Other),
            [b'4', b'3', ..] => ack(text).unwrap_or(Self::Other),
            [b'4', b'4', b'{', ..] => Self::Refused(2..all),
            _ => Self::Other,
        }
    }
}

fn event(text: &str) -> Option<Packet> {
    // An id here would ask for an answer of ours; the contract has no such events, so it is passed over.
    let (_, start) = number(text, 2);
    let start = after(text, start, b'[')?;
    let name = after(text, start, b'"')?;
    let length = text.get(name..)?.find('"')?;
    let rest = skip_blanks(text, name + length + 1);
    let payload = match text.as_bytes().get(rest)? {
        b',' => rest + 1..end(text)?,
        b']' => rest..rest,
        _ => return None,
    };
    Some(Packet::Event {
        name: name..name + length,
        payload,
    })
}

fn ack(text: &str) -> Option<Packet> {
    let (id, start) = number(text, 2);
    let start = after(text, start, b'[')?;
    Some(Packet::Ack {
        id: id?,
        payload: start..end(text)?.max(start),
    })
}

/// Where the closing bracket is.
fn end(text: &str) -> Option<usize> {
    let trimmed = text.trim_end();
    trimmed.ends_with(']').then(|| trimmed.len() - 1)
}

/// The digits from `start` on, if there are any and they are no larger than an id can be; and where they end.
fn number(text: &str, start: usize) -> (Option<u64>, usize) {
    let digits = text.bytes().skip(start).take_while(u8::is_ascii_digit).count();
    let number = text.get(start..start + digits).and_then(|text| text.parse().ok());
    (number, start + digits)
}

fn after(text: &str, start: usize, expected: u8) -> Option<usize> {
    let at = skip_blanks(text, start);
    (text.as_bytes().get(at) == Some(&expected)).then_some(at + 1)
}

fn skip_blanks(text: &str, start: usize) -> usize {
    start + text.bytes().skip(start).take_while(u8::is_ascii_whitespace).count()
}

/// An event as a frame, in one allocation.
pub(super) fn encode(id: Option<u64>, name: &str, payload: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::with_capacity(192);
    bytes.extend_from_slice(b"42");
    if let Some(id) = id {
        serde_json::to_writer(&mut bytes, &id)?;
    }
    bytes.push(b'[');
    serde_json::to_writer(&mut bytes, name)?;
    bytes.push(b',');
    serde_json::to_writer(&mut bytes, payload)?;
    bytes.push(b']');
    // What serde_json writes is UTF-8, so nothing is ever replaced.
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(&str, &str)> {
        match Packet::read(text) {
            Packet::Event { name, payload } => Some((&text[name], &text[payload])),
            _ => None,
        }
    }

    #[test]
    fn events_with_and_without_arguments() {
        assert_eq!(parts(r#"42["a",{"b":[1]}]"#), Some(("a", r#"{"b":[1]}"#)));
        assert_eq!(parts(r#"427["a",1,2]"#), Some(("a", "1,2")));
        assert_eq!(parts(r#"42["a"]"#), Some(("a", "")));
        assert_eq!(parts("42 [ \"a\" , 1 ] "), Some(("a", " 1 ")));
    }

    #[test]
    fn acks_carry_their_id() {
        assert_eq!(Packet::read("4312[]"), Packet::Ack { id: 12, payload: 5..5 });
        let largest = format!("43{}[1]", u64::MAX);
        assert!(matches!(Packet::read(&largest), Packet::Ack { id: u64::MAX, .. }));
    }

    #[test]
    fn rubbish_is_nothing() {
        let rubbish = [
            "",
            "4",
            "42",
            "42[",
            "42[]",
            "42[1]",
            "42[\"a",
            "42[\"a\"",
            "42[\"a\" 1]",
            "42/admin,[\"a\"]",
            "42é",
            "43[]",
            "43",
            "43x[]",
            "4399999999999999999999[]",
            "431[",
            "431{}",
            "45-[\"a\"]",
            "é",
            "9",
        ];
        for text in rubbish {
            assert_eq!(Packet::read(text), Packet::Other, "{text}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let text = encode(Some(7), "send", &["é\"\n"]).unwrap();
        assert_eq!(text, "427[\"send\",[\"é\\\"\\n\"]]");
        assert_eq!(parts(&text), Some(("send", "[\"é\\\"\\n\"]")));
    }
}
