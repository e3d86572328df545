//! The contract's JSON as what the judge knows.

use serde_json::Value;

use super::{Heard, Kept, Listed, MustHave, Receipt, Told};
use crate::device::Device;

fn text(value: &Value, field: &str) -> String {
    let text = value[field].as_str();
    text.unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

impl Receipt {
    /// Of an ack or an event.
    pub(crate) fn of(value: &Value) -> Self {
        Self::with_id(value, "messageId")
    }

    fn with_id(value: &Value, id: &str) -> Self {
        Self {
            id: text(value, id),
            chat: text(value, "chatId"),
            seq: value["seq"].as_u64().unwrap_or_else(|| panic!("no seq in {value}")),
            timestamp: text(value, "timestamp"),
        }
    }

    /// Of a message as REST has it.
    pub(crate) fn of_message(message: &Value) -> Self {
        Self::with_id(message, "id")
    }
}

impl Kept {
    pub(crate) fn of(message: &Value) -> Self {
        Self {
            receipt: Receipt::of_message(message),
            sender: text(message, "sender"),
            receiver: text(message, "receiver"),
            content: text(message, "content"),
            is_read: message["isRead"].as_bool().unwrap(),
            is_edited: message["editedAt"].is_string(),
            is_deleted: message["deletedAt"].is_string(),
        }
    }
}

impl Listed {
    pub(crate) fn of(chat: &Value) -> (String, Self) {
        let unread = chat["unreadCount"].as_u64().unwrap();
        let listed = Self {
            unread: usize::try_from(unread).unwrap(),
            last: Kept::of(&chat["lastMessage"]),
        };
        assert_eq!(chat["lastActivity"], chat["lastMessage"]["timestamp"], "{chat}");
        (text(chat, "id"), listed)
    }
}

impl Heard {
    /// All that a device heard so far.
    pub(crate) fn by(device: &Device, user: &str, node: usize, must_have: MustHave) -> Self {
        let mut heard = Self {
            user: user.into(),
            node,
            since: device.since,
            must_have,
            messages: Vec::new(),
            confirmed: Vec::new(),
            typing: Vec::new(),
            about: Vec::new(),
        };
        for (name, payload) in device.events() {
            match name.as_str() {
                "new_message" => heard.messages.push(Told {
                    receipt: Receipt::of(&payload),
                    sender: text(&payload, "sender"),
                    receiver: text(&payload, "receiver"),
                    content: text(&payload, "content"),
                }),
                "message_sent" => heard.confirmed.push(text(&payload, "messageId")),
                "typing_status" => heard.typing.push(text(&payload, "from")),
                "message_read" | "message_deleted" => heard.about.push(text(&payload, "messageId")),
                "message_edited" => heard.about.push(text(&payload["message"], "id")),
                _ => {}
            }
        }
        heard
    }
}
