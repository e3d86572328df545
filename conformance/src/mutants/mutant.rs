//! What a mutant is: where on the wire it breaks the contract, how, and which requirements should notice.

use std::time::Duration;

use chat_spec::{Operation, Requirement};

use super::edit::{Edit, Step, shown};
use super::proxy::Whom;
use super::unit::Class;

/// One way to break the contract on the wire.
#[derive(Debug, Clone)]
pub(super) struct Mutant {
    /// Stable and unique: `field/getUser 200/user.bio/Remove`.
    pub(super) name: String,
    /// Ids of requirements; at least one of them should be reported. None: any will do.
    pub(super) breaks: Vec<&'static str>,
    pub(super) at: At,
    pub(super) how: How,
}

/// What is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// Answers below `/api`, but for preflights. What is none fits everything.
    Answers {
        operation: Option<Operation>,
        status: Option<u16>,
        code: Option<&'static str>,
    },
    /// Answers with a status from here to below there.
    Statuses(u16, u16),
    Preflights,
    Events {
        name: &'static str,
        code: Option<&'static str>,
    },
    /// Acks of success.
    Acks {
        event: &'static str,
    },
    /// Acks of failure.
    FailedAcks {
        event: &'static str,
        code: Option<&'static str>,
    },
    /// CONNECT_ERROR.
    Refusals {
        code: Option<&'static str>,
    },
    /// One class and nothing else.
    Exactly(Class),
}

/// What is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    /// To JSON at a path.
    Json(Vec<Step>, Edit),
    /// Every value is another one of its kind.
    LieEverywhere,
    /// A member that does not belong there.
    Add(Vec<Step>, &'static str, &'static str),
    /// The body is this text.
    Text(&'static str),
    List(ListEdit),
    /// A refusal in place of whatever it was.
    Refuse(u16, &'static str),
    /// A success without content in place of a refusal.
    Succeed,
    Status(u16),
    Code(&'static str),
    DropHeader(&'static str),
    PutHeader(&'static str, &'static str),
    /// Every answer carries the value that the first one had.
    FreezeHeader(&'static str),
    /// Every answer carries the value that the first one had at this JSON pointer.
    FreezeJson(&'static str),
    Lose,
    Double,
    /// Others get it too.
    Stray(Whom),
    /// It comes later.
    Late(Duration),
    /// Every second one comes after the one behind it.
    Swap,
    /// An ack with the id of the next.
    OtherId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListEdit {
    Empty,
    /// The first item stands there twice.
    Repeat,
    /// The last item is left out.
    Cut,
    Reverse,
    /// Where it has no items, a refusal comes instead.
    RefuseEmpty,
}

impl At {
    pub(super) fn fits(&self, class: &Class) -> bool {
        let same = |wanted: &Option<&str>, is: &str| wanted.is_none_or(|wanted| wanted == is);
        match (self, class) {
            (
                Self::Answers {
                    operation,
                    status,
                    code,
                },
                Class::Answer {
                    operation: is_operation,
                    status: is_status,
                    code: is_code,
                },
            ) => {
                operation.is_none_or(|wanted| Some(wanted) == *is_operation)
                    && status.is_none_or(|wanted| wanted == *is_status)
                    && same(code, is_code)
            }
            (Self::Statuses(from, below), Class::Answer { status, .. }) => (from..below).contains(&status),
            (Self::Preflights, Class::Preflight) => true,
            (
                Self::Events { name, code },
                Class::Event {
                    name: is_name,
                    code: is_code,
                },
            ) => name == is_name && same(code, is_code),
            (Self::Acks { event }, Class::Ack { event: is_event, code }) => event == is_event && code.is_empty(),
            (
                Self::FailedAcks { event, code },
                Class::Ack {
                    event: is_event,
                    code: is_code,
                },
            ) => event == is_event && !is_code.is_empty() && same(code, is_code),
            (Self::Refusals { code }, Class::Refused { code: is_code }) => same(code, is_code),
            (Self::Exactly(wanted), class) => wanted == class,
            _ => false,
        }
    }

    /// Whether a requirement is about the call or the event that is broken.
    pub(super) fn concerns(&self, requirement: &Requirement) -> bool {
        match self {
            Self::Answers {
                operation: Some(operation),
                ..
            } => requirement.operations.contains(operation),
            Self::Events { name: event, .. } | Self::Acks { event } | Self::FailedAcks { event, .. } => {
                requirement.events.contains(event)
            }
            _ => false,
        }
    }
}

impl How {
    /// For names of mutants.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Json(path, edit) => format!("{}/{edit:?}", shown(path)),
            Self::Add(path, name, _) => format!("{}/Add {name}", shown(path)),
            Self::Late(by) => format!("Late {} s", by.as_secs()),
            Self::Refuse(status, code) => format!("Refuse {status} {code}"),
            Self::DropHeader(name) => format!("without {name}"),
            Self::PutHeader(name, value) => format!("{name}: {value}"),
            Self::FreezeHeader(name) | Self::FreezeJson(name) => format!("the same {name} always"),
            Self::Text(text) => format!("text {text:?}"),
            other => format!("{other:?}"),
        }
    }
}
