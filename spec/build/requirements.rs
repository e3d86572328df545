//! Reads the requirements and checks that every one can be referred to and refers to what exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::Result;
use crate::asyncapi::Events;
use crate::openapi::Operation;

/// The packets of the transport that requirements speak of beside the events.
const HANDSHAKE: [&str; 2] = ["connect", "connect_error"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    requirement: Vec<Requirement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requirement {
    pub(crate) id: String,
    pub(crate) level: String,
    pub(crate) profile: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) owasp: Vec<String>,
    #[serde(default)]
    pub(crate) asvs: Vec<String>,
    #[serde(default)]
    pub(crate) operations: Vec<String>,
    #[serde(default)]
    pub(crate) events: Vec<String>,
    /// Why no case can judge it from outside.
    pub(crate) untestable: Option<String>,
}

impl Requirement {
    /// The name of the generated item.
    pub(crate) fn constant(&self) -> String {
        self.id.to_uppercase().replace(['.', '-'], "_")
    }
}

pub(crate) fn read(path: &Path, operations: &[Operation], events: &Events) -> Result<Vec<Requirement>> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    parse(&text, operations, events).map_err(|problem| format!("{}: {problem}", path.display()))
}

pub(crate) fn parse(text: &str, operations: &[Operation], events: &Events) -> Result<Vec<Requirement>> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut constants = BTreeSet::new();
    for requirement in &file.requirement {
        check(requirement, operations, events)
            .map_err(|problem| format!("requirement {:?}: {problem}", requirement.id))?;
        if !constants.insert(requirement.constant()) {
            return Err(format!("two requirements are called {}", requirement.id));
        }
    }
    Ok(file.requirement)
}

fn check(requirement: &Requirement, operations: &[Operation], events: &Events) -> Result<()> {
    let one_of = |what: &str, value: &String, known: &[&str]| match known.contains(&value.as_str()) {
        true => Ok(()),
        false => Err(format!("{value:?} is no {what}; there are {}", known.join(", "))),
    };
    if !is_id(&requirement.id) {
        return Err("an id has two to four dot-separated parts of lower-case words joined by hyphens".to_owned());
    }
    one_of("level", &requirement.level, &["MUST", "SHOULD", "MAY"])?;
    one_of(
        "profile",
        &requirement.profile,
        &["core", "edits", "recovery", "security", "cluster", "transport"],
    )?;
    let is_sentence = |text: &String| text.ends_with('.') && text.trim() == text;
    if !is_sentence(&requirement.text) {
        return Err("the text is not a sentence".to_owned());
    }
    if !requirement.untestable.as_ref().is_none_or(is_sentence) {
        return Err("the reason why it is untestable is not a sentence".to_owned());
    }
    let known: Vec<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
    requirement
        .operations
        .iter()
        .try_for_each(|id| one_of("operation", id, &known))?;
    let known: Vec<&str> = events.names().chain(HANDSHAKE).collect();
    requirement
        .events
        .iter()
        .try_for_each(|name| one_of("event", name, &known))?;
    for (what, references) in [
        ("operations", &requirement.operations),
        ("events", &requirement.events),
        ("owasp", &requirement.owasp),
        ("asvs", &requirement.asvs),
    ] {
        if references.iter().collect::<BTreeSet<_>>().len() < references.len() {
            return Err(format!("{what} names something twice"));
        }
    }
    if let Some(bad) = requirement.owasp.iter().find(|number| !is_owasp(number)) {
        return Err(format!(
            "{bad:?} is no number of the OWASP API Security Top 10 (API1:2023)"
        ));
    }
    if let Some(bad) = requirement.asvs.iter().find(|number| !is_asvs(number)) {
        return Err(format!("{bad:?} is no number of OWASP ASVS 5.0.0 (V8.2.3)"));
    }
    Ok(())
}

fn is_id(id: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let starts_with_letter = id.starts_with(|c: char| c.is_ascii_lowercase());
    starts_with_letter && (2..=4).contains(&id.split('.').count()) && id.split(['.', '-']).all(word)
}

fn is_owasp(number: &str) -> bool {
    let number = number
        .strip_prefix("API")
        .and_then(|number| number.strip_suffix(":2023"));
    number
        .and_then(|number| number.parse().ok())
        .is_some_and(|number: u8| (1..=10).contains(&number))
}

fn is_asvs(number: &str) -> bool {
    let Some(number) = number.strip_prefix('V') else {
        return false;
    };
    let parts: Vec<_> = number.split('.').map(str::parse::<u8>).collect();
    parts.len() == 3 && parts.iter().all(|part| part.is_ok())
}
