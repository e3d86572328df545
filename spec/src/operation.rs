//! What can be asked of a call and of an event. The enums themselves are generated from the two API documents.

use std::fmt;

use crate::{ClientEvent, Operation, ServerEvent};

/// One status of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The error codes that it can carry; none when it is a success.
    pub codes: &'static [&'static str],
    /// The schema of its body; none when it has none.
    pub schema: Option<&'static str>,
}

/// A row of the generated table of calls.
pub(crate) struct OperationFacts {
    pub(crate) id: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) request: Option<&'static str>,
    pub(crate) answers: &'static [Answer],
    pub(crate) error_codes: &'static [&'static str],
}

/// A row of the generated tables of events.
pub(crate) struct EventFacts {
    pub(crate) name: &'static str,
    pub(crate) schema: &'static str,
    /// Empty for events that the server sends: nobody answers them.
    pub(crate) ack: &'static str,
    pub(crate) error_codes: &'static [&'static str],
}

impl Operation {
    /// Its operationId, such as `sendMessage`.
    pub fn id(self) -> &'static str {
        self.facts().id
    }

    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub fn method(self) -> &'static str {
        self.facts().method
    }

    /// With parameters in braces: `/api/messages/{id}`.
    pub fn path(self) -> &'static str {
        self.facts().path
    }

    /// What it does.
    pub fn summary(self) -> &'static str {
        self.facts().summary
    }

    /// The schema of the request body; none when it takes none.
    pub fn request_schema(self) -> Option<&'static str> {
        self.facts().request
    }

    /// Every status that it may answer with.
    pub fn responses(self) -> &'static [Answer] {
        self.facts().answers
    }

    /// What it may answer with this status.
    pub fn response(self, status: u16) -> Option<&'static Answer> {
        self.responses().iter().find(|answer| answer.status == status)
    }

    /// Every error code that it may answer with, sorted.
    pub fn error_codes(self) -> &'static [&'static str] {
        self.facts().error_codes
    }

    /// The operation with this operationId.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.id() == id)
    }
}

impl ClientEvent {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The schema of its payload.
    pub fn schema(self) -> &'static str {
        self.facts().schema
    }

    /// The schema of its ack.
    pub fn ack_schema(self) -> &'static str {
        self.facts().ack
    }

    /// Every error code that its ack, or the `error` event in its stead, may carry.
    pub fn error_codes(self) -> &'static [&'static str] {
        self.facts().error_codes
    }
}

impl ServerEvent {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The schema of its payload.
    pub fn schema(self) -> &'static str {
        self.facts().schema
    }

    /// Every error code that it may carry: those of all client events and some more for `error`, none for the others.
    pub fn error_codes(self) -> &'static [&'static str] {
        self.facts().error_codes
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl fmt::Display for ClientEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
