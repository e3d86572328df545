//! Socket.IO packets of the main namespace, as text.

use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
    Refused,
}

/// A packet without attachments.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    pub kind: Kind,
    /// Of the ack that is wanted or given.
    pub id: Option<u64>,
    /// Null when there is none.
    pub data: Value,
}

impl Packet {
    /// From an engine.io message such as `42["typing",{}]`. None for whatever else there is: heartbeats, binary packets, other
    /// namespaces, and what is no packet at all.
    pub(super) fn parse(message: &str) -> Option<Self> {
        let rest = message.strip_prefix('4')?;
        let kind = match rest.chars().next()? {
            '0' => Kind::Connect,
            '1' => Kind::Disconnect,
            '2' => Kind::Event,
            '3' => Kind::Ack,
            '4' => Kind::Refused,
            _ => return None,
        };
        let rest = &rest[1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, json) = rest.split_at(digits);
        let data = match json {
            "" => Value::Null,
            _ => serde_json::from_str(json).ok()?,
        };
        Some(Self {
            kind,
            id: id.parse().ok(),
            data,
        })
    }

    pub(super) fn text(&self) -> String {
        let kind = match self.kind {
            Kind::Connect => 0,
            Kind::Disconnect => 1,
            Kind::Event => 2,
            Kind::Ack => 3,
            Kind::Refused => 4,
        };
        let id = self.id.map(|id| id.to_string()).unwrap_or_default();
        match &self.data {
            Value::Null => format!("4{kind}{id}"),
            data => format!("4{kind}{id}{data}"),
        }
    }

    /// The name of an event; empty for the others.
    pub fn event(&self) -> &str {
        match self.kind {
            Kind::Event => self.data[0].as_str().unwrap_or_default(),
            _ => "",
        }
    }

    /// What it carries: the first argument of an event or ack, the object of a CONNECT or CONNECT_ERROR.
    pub fn payload(&self) -> &Value {
        match self.kind {
            Kind::Event => &self.data[1],
            Kind::Ack => &self.data[0],
            _ => &self.data,
        }
    }

    pub fn payload_mut(&mut self) -> Option<&mut Value> {
        match self.kind {
            Kind::Event => self.data.get_mut(1),
            Kind::Ack => self.data.get_mut(0),
            _ => Some(&mut self.data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_the_same() {
        for text in [
            r#"42["typing",{"to":"a"}]"#,
            r#"4312[{"ok":true}]"#,
            r#"40{"sid":"x"}"#,
            "40",
            "41",
            r#"44{"message":"no"}"#,
        ] {
            assert_eq!(Packet::parse(text).unwrap().text(), text);
        }
    }

    #[test]
    fn what_is_not_ours_to_touch_is_left() {
        for text in [
            "2",
            "3probe",
            r#"451-["a",{"_placeholder":true,"num":0}]"#,
            r#"42/admin,["a"]"#,
            "42[",
            "4",
            "",
        ] {
            assert_eq!(Packet::parse(text), None, "{text}");
        }
    }
}
