//! What the people of a case said: who they are, what they wrote.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chat_spec::Operation;
use serde_json::Value;

use crate::engine::Record;
use crate::engine::transcript::What;

/// All that was said in a case.
#[derive(Default)]
pub(super) struct Claims {
    /// Those who registered in this case, by id.
    pub(super) users: BTreeMap<String, Registered>,
    /// What anybody of this case is, or has tried to become.
    pub(super) said: Said,
    /// Messages that were sent in this case, by id.
    pub(super) messages: BTreeMap<String, Written>,
}

pub(super) struct Registered {
    pub(super) email: String,
}

/// Values that may be shown of users of this case.
pub(super) struct Said {
    pub(super) names: BTreeSet<String>,
    pub(super) bios: BTreeSet<String>,
    /// One of them is a text that a server may keep in another way: of a bio, its length alone is said.
    pub(super) odd_bio: bool,
    pub(super) pictures: BTreeSet<String>,
    /// One of them is a URL that can be written in another way.
    pub(super) odd_picture: bool,
    pub(super) statuses: BTreeSet<String>,
}

/// A message as it was sent.
#[derive(Default)]
pub(super) struct Written {
    /// Each that it has had, or was to have.
    pub(super) contents: BTreeSet<String>,
    pub(super) kind: String,
    pub(super) receiver: String,
    pub(super) client_id: String,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            names: BTreeSet::new(),
            bios: BTreeSet::new(),
            odd_bio: false,
            pictures: BTreeSet::new(),
            odd_picture: false,
            // Without anybody's doing.
            statuses: ["online", "offline"].map(str::to_owned).into(),
        }
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

impl Claims {
    /// None when ids of several servers of the case are the same: then nothing follows from an id.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let mut claims = Self::default();
        let mut asked: BTreeMap<u64, (Option<Operation>, Value)> = BTreeMap::new();
        let mut emitted: BTreeMap<(u64, u64), &Value> = BTreeMap::new();
        for entry in &record.entries {
            match &entry.what {
                What::Request(sent) => {
                    let body = (sent.body.as_ref()).and_then(|body| serde_json::from_slice(body).ok());
                    let body = body.unwrap_or_default();
                    claims.hear(sent.operation, &body);
                    if sent.operation == Some(Operation::EditMessage) {
                        // Whether or not there is an answer: it may be done without.
                        let id = sent.path.rsplit('/').next().unwrap_or_default();
                        let written = claims.messages.entry(id.to_owned()).or_default();
                        written.contents.insert(text(&body, "content"));
                    }
                    asked.insert(sent.exchange, (sent.operation, body));
                }
                What::Response(received) => {
                    let Some((operation, body)) = asked.remove(&received.exchange) else {
                        continue;
                    };
                    match operation {
                        Some(Operation::Register) if received.status == 201 => {
                            let registered = Registered {
                                email: text(&body, "email").to_lowercase(),
                            };
                            let id = text(&received.body["user"], "id");
                            if claims.users.insert(id, registered).is_some() {
                                return None;
                            }
                        }
                        Some(Operation::SendMessage) if received.status < 300 => {
                            claims.wrote(text(&received.body["message"], "id"), &body);
                        }
                        _ => {}
                    }
                }
                What::Emitted {
                    event, arguments, ack, ..
                } => {
                    let payload = arguments.first().unwrap_or(&Value::Null);
                    if event == "update_status" {
                        claims.said.statuses.insert(text(payload, "status"));
                    }
                    if let (Some(device), Some(ack), "send_message") = (entry.party.device, *ack, event.as_str()) {
                        emitted.insert((device, ack), payload);
                    }
                }
                What::Ack { id, arguments, .. } => {
                    let sent = entry.party.device.and_then(|device| emitted.remove(&(device, *id)));
                    let ack = arguments.first().unwrap_or(&Value::Null);
                    if let Some(payload) = sent.filter(|_| ack["ok"] == true) {
                        claims.wrote(text(ack, "messageId"), payload);
                    }
                }
                _ => {}
            }
        }
        // A message that was edited before anything was seen of its sending.
        claims.messages.retain(|_, written| !written.kind.is_empty());
        Some(claims)
    }

    fn hear(&mut self, operation: Option<Operation>, body: &Value) {
        if !matches!(operation, Some(Operation::Register | Operation::UpdateProfile)) {
            return;
        }
        let said = |field: &str| body[field].as_str().map(str::to_owned);
        self.said.names.extend(said("username"));
        if let Some(bio) = said("bio") {
            self.said.odd_bio |= !is_plain(&bio);
            self.said.bios.insert(bio);
        }
        if let Some(picture) = said("profilePicture") {
            self.said.odd_picture |= !url::Url::parse(&picture).is_ok_and(|url| url.as_str() == picture);
            self.said.pictures.insert(picture);
        }
    }

    fn wrote(&mut self, id: String, sent: &Value) {
        let written = self.messages.entry(id).or_default();
        written.contents.insert(text(sent, "content"));
        written.kind = sent["messageType"].as_str().unwrap_or("text").to_owned();
        written.receiver = text(sent, "to");
        written.client_id = text(sent, "clientMessageId");
    }
}

/// Words of letters and digits with single spaces between: nobody trims, escapes or refuses any of it.
fn is_plain(text: &str) -> bool {
    let mut words = text.split(' ');
    words.all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// How many seconds a token lives by its own account, if it is one that can be read.
pub(super) fn life_of_token(token: &str) -> Option<f64> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload: Value = serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()?;
    Some(payload["exp"].as_f64()? - payload["iat"].as_f64()?)
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn a_plain_text_has_nothing_to_change() {
        assert!(is_plain("of ann 2"));
        for odd in [" of ann", "of  ann", "of ann\n", "caf\u{e9}", "<b>", "it's", ""] {
            assert!(!is_plain(odd), "{odd:?}");
        }
    }
}
