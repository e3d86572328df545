//! One of everything: what a call or an event needs to succeed.

use chat_spec::{ClientEvent, Operation};
use serde_json::{Value, json};

use crate::engine::{PASSWORD, Request, Stop, User, World};

/// An id of nothing.
pub(super) const UNKNOWN: &str = "ffffffffffffffffffffffff";

/// Ann and Bob, who wrote to each other.
pub(super) struct Fixture {
    world: World,
    pub(super) ann: User,
    pub(super) bob: User,
    /// From Ann to Bob.
    pub(super) sent: Value,
    /// From Bob to Ann, who has not read it.
    pub(super) received: Value,
}

impl Fixture {
    pub(super) async fn new(w: &World) -> Result<Self, Stop> {
        let base = w.target.base.clone();
        Self::at(w, &base).await
    }

    /// On another server.
    pub(super) async fn at(w: &World, base: &str) -> Result<Self, Stop> {
        let (ann, bob) = (w.user_at(base, "ann").await?, w.user_at(base, "bob").await?);
        let sent = ann.must_send(&bob.id, "from ann").await?;
        let received = bob.must_send(&ann.id, "from bob").await?;
        Ok(Self {
            world: w.clone(),
            ann,
            bob,
            sent,
            received,
        })
    }

    /// The path of a call as Ann makes it, with a query that it needs.
    pub(super) fn path(&self, operation: Operation) -> String {
        let id = match operation {
            Operation::EditMessage | Operation::DeleteMessage => text(&self.sent["id"]),
            _ => &self.bob.id,
        };
        path_to(operation, id)
    }

    /// A body with which Ann's call succeeds; none when it takes none.
    pub(super) fn body(&self, operation: Operation) -> Option<Value> {
        let body = match operation {
            Operation::Register => self.world.registration("new"),
            Operation::Login => json!({"identifier": self.ann.username, "password": PASSWORD}),
            Operation::RefreshToken => json!({"refreshToken": self.ann.refresh}),
            Operation::UpdateProfile => json!({"bio": "of ann"}),
            Operation::ChangePassword => json!({
                "currentPassword": PASSWORD, "newPassword": PASSWORD, "confirmPassword": PASSWORD,
            }),
            Operation::SendMessage => json!({"to": self.bob.id, "content": "hello"}),
            Operation::EditMessage => json!({"content": "changed"}),
            Operation::MarkRead => json!({"messageIds": [self.received["id"]]}),
            _ => return None,
        };
        Some(body)
    }

    /// A payload with which Ann's event succeeds.
    pub(super) fn payload(&self, event: ClientEvent) -> Value {
        match event {
            ClientEvent::Authenticate => json!({"token": self.ann.access}),
            ClientEvent::JoinChat => json!({"chatId": self.sent["chatId"]}),
            ClientEvent::SendMessage => json!({"to": self.bob.id, "content": "hello"}),
            ClientEvent::Typing => json!({"to": self.bob.id, "isTyping": true}),
            ClientEvent::ReadReceipt => {
                json!({"messageId": self.received["id"], "chatId": self.received["chatId"]})
            }
            ClientEvent::UpdateStatus => json!({"status": "busy"}),
        }
    }

    /// The call without a token.
    pub(super) fn anonymous(&self, operation: Operation) -> Request {
        let request = self.ann.anonymous(operation.method(), &self.path(operation));
        match self.body(operation) {
            Some(body) => request.json(&body),
            None => request,
        }
    }

    /// What must not have changed when every call was refused.
    pub(super) async fn state(&self) -> Result<Value, Stop> {
        let history = self.ann.conversation(&self.bob, "").await?;
        let profile = self.ann.get("/api/auth/profile").await?;
        let user = &profile.body["user"];
        Ok(json!([
            history.body["items"],
            user["username"],
            user["bio"],
            user["email"]
        ]))
    }
}

/// The path of a call to what has this id.
pub(super) fn path_to(operation: Operation, id: &str) -> String {
    let path = operation.path().replace("{id}", id).replace("{userId}", id);
    match operation {
        Operation::SearchMessages | Operation::SearchUsers => path + "?q=ann",
        _ => path,
    }
}

/// Whether a call needs an access token.
pub(super) fn needs_token(operation: Operation) -> bool {
    let refused = operation.response(401);
    refused.is_some_and(|refused| refused.codes.contains(&"TOKEN_MISSING"))
}

/// The calls that take a body.
pub(super) fn with_body() -> impl Iterator<Item = Operation> {
    let all = Operation::ALL.iter().copied();
    all.filter(|operation| operation.request_schema().is_some())
}

/// Every call, those last that end what others need.
pub(super) fn gentle_first() -> impl Iterator<Item = Operation> {
    const HARSH: [Operation; 3] = [Operation::DeleteMessage, Operation::ChangePassword, Operation::Logout];
    let all = Operation::ALL.iter().copied();
    all.filter(|operation| !HARSH.contains(operation)).chain(HARSH)
}

/// The status of its success.
pub(super) fn success_of(operation: Operation) -> u16 {
    let statuses = operation.responses().iter().map(|answer| answer.status);
    // 200 beside 201 is a repetition.
    statuses.filter(|status| *status < 300).max().unwrap_or(200)
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
