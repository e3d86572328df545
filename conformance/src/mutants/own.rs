//! For every requirement that no mutant so far made the suite report: one of its own.
//!
//! A requirement is about something that the server says in a case that judges it. Each such thing is broken by itself, in every
//! way that makes sense for its kind, until the requirement is reported, or the requirement is one that cannot fail.

use std::io;
use std::time::Duration;

use chat_spec::Requirement;

use super::baseline::{Baseline, Observed, reported, run_through};
use super::edit::{Edit, Step};
use super::hunt::Hunted;
use super::mutant::{At, How, ListEdit, Mutant};
use super::mutation::{Mutation, could_break};
use super::proxy::Whom;
use super::unit::Class;
use crate::engine::Target;

/// No more cases are tried for a requirement: those about it, and the quickest of others.
const CASES: usize = 6;
/// Nor is more broken in each: in one case it may be hard to break what is easily broken in the next.
const EACH: usize = 45;

pub(super) async fn hunt(
    target: &Target,
    baseline: &Baseline,
    requirement: &'static Requirement,
) -> io::Result<Hunted> {
    let judging = baseline.judging(requirement.id);
    let mut hunted = Hunted {
        mutant: format!("own/{}", requirement.id),
        breaks: vec![requirement.id],
        reported: Default::default(),
        by: None,
        chances: judging.len(),
        tries: 0,
    };
    for observed in judging.into_iter().take(CASES) {
        for (mutant, only) in mutants(requirement, observed).into_iter().take(EACH) {
            hunted.tries += 1;
            let (result, _) = run_through(target, &observed.case, || Mutation::new(&mutant, only)).await?;
            // Only its own report counts here.
            if reported(&result).any(|id| id == requirement.id) {
                hunted.mutant = mutant.name;
                hunted.by = Some(result.title());
                hunted.reported.insert(requirement.id);
                return Ok(hunted);
            }
        }
    }
    Ok(hunted)
}

/// What can be broken in a case, the most telling first: what the requirement is about, from the last to the first.
fn mutants(requirement: &Requirement, observed: &Observed) -> Vec<(Mutant, Option<usize>)> {
    let mut found = Vec::new();
    for (class, _) in observed.classes() {
        for (rank, how) in ways(class).into_iter().enumerate() {
            let mutant = Mutant {
                name: format!("own/{}/{}/{}", requirement.id, class.title(), how.title()),
                breaks: vec![requirement.id],
                at: At::Exactly(class.clone()),
                how,
            };
            let breakable = observed.units.iter().filter(|unit| could_break(&mutant, unit)).count();
            for back in 0..breakable.min(6) {
                let only = breakable - 1 - back;
                let about = is_about(requirement, class);
                found.push(((!about, rank / 2, back, rank), mutant.clone(), only));
            }
            // Some things are only noticed when they always happen.
            if breakable > 1 {
                found.push(((!is_about(requirement, class), 1, 0, rank), mutant.clone(), usize::MAX));
            }
        }
    }
    found.sort_by_key(|(key, _, _)| *key);
    let found = found.into_iter();
    found
        .map(|(_, mutant, only)| (mutant, (only != usize::MAX).then_some(only)))
        .collect()
}

fn is_about(requirement: &Requirement, class: &Class) -> bool {
    match class {
        Class::Answer { operation, .. } => operation.is_some_and(|one| requirement.operations.contains(&one)),
        Class::Event { name, .. } => requirement.events.contains(&name.as_str()),
        Class::Ack { event, .. } => requirement.events.contains(&event.as_str()),
        Class::Refused { .. } => requirement.id.starts_with("socket."),
        Class::Connected
        | Class::Frame(_)
        | Class::Transport { .. }
        | Class::NoWebSocket { .. }
        | Class::End
        | Class::Leave => requirement.id.starts_with("transport."),
        Class::Preflight => requirement.id.starts_with("http."),
    }
}

/// Ways to break something of a kind, the most telling first.
fn ways(class: &Class) -> Vec<How> {
    let field = vec![Step::Member("details".into()), Step::Each, Step::Member("field".into())];
    match class {
        Class::Answer { .. } if class.is_success() => vec![
            How::LieEverywhere,
            How::Refuse(400, "VALIDATION_ERROR"),
            How::List(ListEdit::Empty),
            How::List(ListEdit::Repeat),
            How::Refuse(404, "NOT_FOUND"),
            How::List(ListEdit::Reverse),
            How::Late(Duration::from_secs(1)),
            How::DropHeader("cache-control"),
        ],
        Class::Answer { .. } => vec![
            How::Succeed,
            How::Code("CONFLICT"),
            How::Json(field, Edit::Lie),
            How::Json(vec![Step::Member("message".into())], Edit::Lie),
            How::Late(Duration::from_secs(1)),
        ],
        Class::Event { .. } => vec![
            How::LieEverywhere,
            How::Double,
            How::Stray(Whom::OtherUsers),
            How::Stray(Whom::OtherDevices),
            How::Lose,
            How::Stray(Whom::Strangers),
        ],
        Class::Ack { .. } if class.is_success() => vec![
            How::LieEverywhere,
            How::Refuse(0, "VALIDATION_ERROR"),
            How::Json(vec![Step::Member("ok".into())], Edit::Remove),
            How::Lose,
        ],
        Class::Ack { .. } => vec![How::Succeed, How::Code("CONFLICT"), How::Lose],
        Class::Refused { .. } => vec![How::Succeed, How::Code("CONFLICT")],
        Class::Connected | Class::Frame(_) | Class::End | Class::Leave => vec![How::Lose],
        Class::NoWebSocket { .. } => vec![How::Succeed],
        Class::Transport { refused: true, .. } => vec![How::Status(200)],
        Class::Transport { .. } => vec![How::Status(400)],
        Class::Preflight => vec![
            How::Refuse(401, "TOKEN_MISSING"),
            How::DropHeader("access-control-allow-origin"),
        ],
    }
}
