//! Socket.IO packets inside engine.io messages.

use serde_json::Value;

/// What is written to the connection.
pub(super) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Close,
}

/// A packet of the main namespace.
#[derive(Debug, PartialEq)]
pub(super) struct Packet {
    /// `0` CONNECT … `6` BINARY_ACK.
    pub(super) kind: char,
    pub(super) id: Option<u64>,
    pub(super) data: Value,
}

impl Packet {
    /// `<type>[<attachments>-][/<namespace>,][<id>][<json>]`.
    pub(super) fn parse(text: &str) -> Self {
        let kind = text.chars().next().unwrap_or('?');
        let mut rest = text.get(kind.len_utf8()..).unwrap_or_default();
        if matches!(kind, '5' | '6')
            && let Some((count, more)) = rest.split_once('-')
            && count.bytes().all(|b| b.is_ascii_digit())
        {
            rest = more;
        }
        if rest.starts_with('/')
            && let Some((_, more)) = rest.split_once(',')
        {
            rest = more;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, json) = rest.split_at(digits);
        Self {
            kind,
            id: id.parse().ok(),
            data: serde_json::from_str(json).unwrap_or(Value::Null),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packets_of_the_protocol_document_are_read() {
        let parsed = |text| {
            let packet = Packet::parse(text);
            (packet.kind, packet.id, packet.data)
        };
        assert_eq!(parsed(r#"0{"sid":"x"}"#), ('0', None, json!({"sid": "x"})));
        assert_eq!(parsed(r#"2["foo"]"#), ('2', None, json!(["foo"])));
        assert_eq!(parsed(r#"2/admin,12["foo",1]"#), ('2', Some(12), json!(["foo", 1])));
        assert_eq!(parsed("312[]"), ('3', Some(12), json!([])));
        assert_eq!(parsed("1"), ('1', None, Value::Null));
        assert_eq!(parsed(r#"51-["a",{"_placeholder":true,"num":0}]"#).0, '5');
    }
}
