//! Every error code of every call, event and handshake: another code in its place, and a success in its place.

use chat_spec::{ClientEvent, Operation};

use super::super::mutant::{At, How, Mutant};
use super::requirements;

/// Of calls and events that are broken by nothing that a client does. Where one is seen at all, `headers` breaks it.
const UNWELL: [&str; 2] = ["INTERNAL_ERROR", "SERVICE_UNAVAILABLE"];

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all = statuses();
    for operation in Operation::ALL.iter().copied() {
        for answer in operation.responses().iter().filter(|answer| answer.status >= 400) {
            // A healthy server has no chance to say these.
            let codes = answer.codes.iter().copied().filter(|code| !UNWELL.contains(code));
            for code in codes {
                let at = At::Answers {
                    operation: Some(operation),
                    status: Some(answer.status),
                    code: Some(code),
                };
                let breaks = requirements(|requirement| {
                    let about = requirement.operations.is_empty() || requirement.operations.contains(&operation);
                    about && requirement.text.contains(code)
                });
                let title = format!("{operation} {} {code}", answer.status);
                push(&mut all, &title, &breaks, &at, How::Code(other_code(code)));
                push(&mut all, &title, &breaks, &at, How::Succeed);
            }
        }
    }
    for event in ClientEvent::ALL.iter().copied() {
        for code in event
            .error_codes()
            .iter()
            .copied()
            .filter(|code| !UNWELL.contains(code))
        {
            let at = At::FailedAcks {
                event: event.name(),
                code: Some(code),
            };
            let breaks = requirements(|requirement| {
                let about = requirement.events.is_empty() || requirement.events.contains(&event.name());
                about && requirement.text.contains(code)
            });
            let title = format!("ack of {event} {code}");
            push(&mut all, &title, &breaks, &at, How::Code(other_code(code)));
            push(&mut all, &title, &breaks, &at, How::Succeed);
        }
    }
    for code in ["TOKEN_INVALID", "TOKEN_EXPIRED"] {
        let at = At::Refusals { code: Some(code) };
        let breaks = requirements(|requirement| {
            requirement.id.starts_with("socket.handshake") && requirement.text.contains(code)
        });
        push(
            &mut all,
            &format!("connect_error {code}"),
            &breaks,
            &at,
            How::Code(other_code(code)),
        );
        push(&mut all, &format!("connect_error {code}"), &breaks, &at, How::Succeed);
    }
    all
}

/// Every status of the contract, replaced: of successes that of each call, of refusals wherever it comes.
fn statuses() -> Vec<Mutant> {
    let mut all = Vec::new();
    let mut refusals = std::collections::BTreeSet::new();
    for operation in Operation::ALL.iter().copied() {
        for status in operation.responses().iter().map(|answer| answer.status) {
            if status >= 400 {
                refusals.insert(status);
                continue;
            }
            let at = At::Answers {
                operation: Some(operation),
                status: Some(status),
                code: None,
            };
            let how = How::Status(other_status(status));
            push(&mut all, &format!("{operation} {status}"), &[], &at, how);
        }
    }
    refusals.remove(&500);
    for status in refusals {
        let at = At::Statuses(status, status + 1);
        push(
            &mut all,
            &status.to_string(),
            &[],
            &at,
            How::Status(other_status(status)),
        );
    }
    all
}

fn push(all: &mut Vec<Mutant>, title: &str, breaks: &[&'static str], at: &At, how: How) {
    all.push(Mutant {
        name: format!("refusal/{title}/{}", how.title()),
        breaks: breaks.to_vec(),
        at: at.clone(),
        how,
    });
}

/// A known code that means something else.
fn other_code(code: &str) -> &'static str {
    match code {
        "TOKEN_INVALID" => "TOKEN_EXPIRED",
        "TOKEN_EXPIRED" => "TOKEN_INVALID",
        "VALIDATION_ERROR" => "MALFORMED_JSON",
        "USER_NOT_FOUND" => "NOT_FOUND",
        _ => "VALIDATION_ERROR",
    }
}

fn other_status(status: u16) -> u16 {
    match status {
        200 => 201,
        ..400 => 200,
        400 => 422,
        _ => 400,
    }
}
