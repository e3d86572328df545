//! mutants.toml: what is alive and why that is right, or at least known.

use std::collections::BTreeSet;

use serde::Deserialize;

/// The file as it is written.
const FILE: &str = include_str!("../../mutants.toml");

/// Mutants or requirements that nothing reports.
#[derive(Debug, Deserialize)]
pub(super) struct Excuse {
    /// The name of a mutant, with `*` for any text.
    mutant: Option<String>,
    /// The id of a requirement that no mutant made the suite report.
    requirement: Option<String>,
    /// Why.
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
struct Excuses {
    #[serde(default)]
    alive: Vec<Excuse>,
}

/// What is wrong with mutants.toml.
#[derive(Debug, thiserror::Error)]
#[error("mutants.toml: {0}")]
pub struct ExcuseError(#[from] toml::de::Error);

/// Reads mutants.toml.
pub(super) fn excuses() -> Result<Vec<Excuse>, ExcuseError> {
    Ok(toml::from_str::<Excuses>(FILE)?.alive)
}

impl Excuse {
    pub(super) fn of_mutant(&self, name: &str) -> bool {
        self.mutant.as_deref().is_some_and(|pattern| fits(pattern, name))
    }

    pub(super) fn of_requirement(&self, id: &str) -> bool {
        self.requirement.as_deref() == Some(id)
    }

    /// For people.
    pub(super) fn title(&self) -> &str {
        self.mutant
            .as_deref()
            .or(self.requirement.as_deref())
            .unwrap_or_default()
    }

    /// It excuses nothing that is alive: it has to go.
    pub(super) fn is_stale(&self, alive: &BTreeSet<&str>, unproved: &BTreeSet<&str>) -> bool {
        !alive.iter().any(|name| self.of_mutant(name)) && !unproved.iter().any(|id| self.of_requirement(id))
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            let starts = rest.char_indices().map(|(index, _)| index).chain([rest.len()]);
            starts.into_iter().any(|start| fits(tail, &rest[start..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, name, expected) in [
            ("field/*/bio/Lie", "field/getUser 200/user.bio/Lie", false),
            ("field/*.bio/Lie", "field/getUser 200/user.bio/Lie", true),
            ("event/*", "event/typing/Lose", true),
            ("event/*/Lose", "event/typing/Double", false),
            ("a", "ab", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn every_entry_has_a_reason() {
        for excuse in excuses().unwrap() {
            assert!(excuse.reason.len() > 10 && !excuse.title().is_empty(), "{excuse:?}");
        }
    }
}
