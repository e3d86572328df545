//! How much of the contract a run has really exercised, measured from what went over the wire.
//!
//! The contract names the cells: every call with each of its statuses and codes, every event with and without an ack, who gets
//! an event and who does not, every property in each state that its schema allows, every requirement. A cell that cannot be
//! reached from outside is excused in `spec/coverage.toml`, with a reason.

mod calls;
mod events;
mod excuse;
mod recipients;
mod shapes;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chat_spec::{Profile, REQUIREMENTS, UNREACHABLE};
use serde::Serialize;

pub use self::excuse::Excuse;
use crate::engine::Record;

/// A view of the whole contract with what was seen of it.
#[derive(Debug, Clone, Serialize)]
pub struct Matrix {
    pub groups: Vec<Group>,
}

/// Cells of one kind.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// For programs: `calls`, `events`, `deliveries`, `recipients`, `shapes`, `requirements`.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// In the order of the contract.
    pub cells: Vec<Cell>,
}

/// Something that the contract names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// `sendMessage`, `Message.readAt`, …
    pub row: String,
    /// `404 USER_NOT_FOUND`, `null`, …
    pub column: String,
    /// How often it was seen.
    pub seen: u64,
    /// Why it need not be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excused: Option<Cow<'static, str>>,
    /// That is so for this target alone, and not by the contract.
    #[serde(skip_serializing_if = "is_false")]
    pub excused_here: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(is: &bool) -> bool {
    !is
}

/// How often what was seen, under the names of cells.
#[derive(Debug, Default)]
struct Seen(BTreeMap<(&'static str, String, String), u64>);

impl Seen {
    fn add(&mut self, group: &'static str, row: impl Into<String>, column: impl Into<String>) {
        *self.0.entry((group, row.into(), column.into())).or_default() += 1;
    }
}

/// A row and a column that the contract names.
type Named = (String, String);

impl Matrix {
    /// What these cases saw and judged, held against what a server of these claims promises.
    pub fn of<'a>(
        records: impl Iterator<Item = &'a Record>,
        judged: &BTreeSet<&'static str>,
        claims: &BTreeSet<Profile>,
    ) -> Self {
        let mut seen = Seen::default();
        let shapes = shapes::Shapes::new();
        for record in records {
            calls::observe(record, &mut seen);
            events::observe(record, &mut seen);
            recipients::observe(record, &mut seen);
            shapes.observe(record, &mut seen);
        }
        let claimed = REQUIREMENTS
            .iter()
            .filter(|requirement| claims.contains(&requirement.profile));
        let mut requirements = Vec::new();
        for requirement in claimed {
            requirements.push((requirement.id.to_owned(), "judged".to_owned()));
            if judged.contains(requirement.id) {
                seen.add("requirements", requirement.id, "judged");
            }
        }
        let group = |name, title, named: Vec<Named>| Group::new(name, title, named, &seen, claims);
        Self {
            groups: vec![
                group("calls", "Calls by status and code", calls::named()),
                group(
                    "events",
                    "Client events with and without ack, by outcome",
                    events::named(),
                ),
                group(
                    "deliveries",
                    "Server events by transport and code",
                    events::deliveries(),
                ),
                group("recipients", "Who gets an event and who does not", recipients::named()),
                group("shapes", "Properties present, null and absent", shapes.named()),
                group("requirements", "Requirements", requirements),
            ],
        }
    }

    /// Every cell, with the name of its group.
    pub fn cells(&self) -> impl Iterator<Item = (&'static str, &Cell)> {
        self.groups
            .iter()
            .flat_map(|group| group.cells.iter().map(|cell| (group.name, cell)))
    }

    /// The cells that had to be seen and were not, as `group/row/column`.
    pub fn missing(&self) -> Vec<String> {
        let missing = self
            .cells()
            .filter(|(_, cell)| cell.seen == 0 && cell.excused.is_none());
        missing.map(|(group, cell)| cell.id(group)).collect()
    }

    /// Seen, and to be seen.
    pub fn reached(&self) -> (usize, usize) {
        let due = self.cells().filter(|(_, cell)| cell.seen > 0 || cell.excused.is_none());
        let due: Vec<bool> = due.map(|(_, cell)| cell.seen > 0).collect();
        (due.iter().filter(|seen| **seen).count(), due.len())
    }

    /// A line for each group, for each reason why cells were excused for this target alone, and for each missing cell.
    pub fn text(&self) -> String {
        let line = |group: &Group| {
            let due = group
                .cells
                .iter()
                .filter(|cell| cell.seen > 0 || cell.excused.is_none());
            let seen = group.cells.iter().filter(|cell| cell.seen > 0).count();
            format!("  {:4} of {:4}  {}\n", seen, due.count(), group.title)
        };
        let (seen, due) = self.reached();
        let groups: String = self.groups.iter().map(line).collect();
        let excused = self.excuses_told();
        let missing: String = self
            .missing()
            .iter()
            .map(|cell| format!("  missing: {cell}\n"))
            .collect();
        format!("Coverage of the contract: {seen} of {due} cells\n{groups}{excused}{missing}")
    }
}

impl Group {
    fn new(
        name: &'static str,
        title: &'static str,
        named: Vec<Named>,
        seen: &Seen,
        claims: &BTreeSet<Profile>,
    ) -> Self {
        let mut known = BTreeSet::new();
        let cells = named.into_iter().filter(|cell| known.insert(cell.clone()));
        let cells = cells.map(|(row, column)| {
            let count = seen.0.get(&(name, row.clone(), column.clone())).copied().unwrap_or(0);
            let mut cell = Cell {
                row,
                column,
                seen: count,
                excused: None,
                excused_here: false,
            };
            let unclaimed = cell.profile(name).is_some_and(|profile| !claims.contains(&profile));
            let excuse = excuse(name, &cell).or(unclaimed.then_some("its profile is not claimed"));
            cell.excused = excuse.map(Cow::Borrowed);
            cell
        });
        Self {
            name,
            title,
            cells: cells.collect(),
        }
    }
}

impl Cell {
    /// `calls/sendMessage/404 USER_NOT_FOUND`.
    pub fn id(&self, group: &str) -> String {
        format!("{group}/{}/{}", self.row, self.column)
    }

    /// Without whose claim nobody promises it, where that is not `core`.
    fn profile(&self, group: &str) -> Option<Profile> {
        const OF: [(&str, Profile); 9] = [
            ("*RATE_LIMITED", Profile::Security),
            ("*CLIENT_MESSAGE_ID*", Profile::Recovery),
            ("*clientMessageId*", Profile::Recovery),
            // The answer to what is repeated.
            ("calls/sendMessage/200", Profile::Recovery),
            ("shapes/*.seq/present", Profile::Recovery),
            ("*message_edited*", Profile::Edits),
            ("*MessageEdited*", Profile::Edits),
            ("*message_deleted*", Profile::Edits),
            ("*MessageDeleted*", Profile::Edits),
        ];
        let id = self.id(group);
        OF.iter()
            .find(|(pattern, _)| fits(pattern, &id))
            .map(|(_, profile)| *profile)
    }
}

fn excuse(group: &str, cell: &Cell) -> Option<&'static str> {
    let id = cell.id(group);
    let listed = UNREACHABLE
        .iter()
        .find(|(pattern, _)| fits(pattern, &id))
        .map(|(_, reason)| *reason);
    let untestable = || {
        let requirement = (group == "requirements").then(|| chat_spec::requirement(&cell.row))??;
        requirement.untestable
    };
    listed.or_else(untestable)
}

/// Whether a name is that of a pattern in which `*` is anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, rest)) => name.strip_prefix(before).is_some_and(|name| {
            let ends = (0..=name.len()).filter(|end| name.is_char_boundary(*end));
            ends.into_iter().any(|end| fits(rest, &name[end..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn nothing_seen() -> Matrix {
        nothing_seen_of(Profile::ALL)
    }

    fn nothing_seen_of(claims: &[Profile]) -> Matrix {
        Matrix::of(std::iter::empty(), &BTreeSet::new(), &claims.iter().copied().collect())
    }

    #[test]
    fn what_nobody_claims_is_not_missing() {
        let missing = nothing_seen_of(&[Profile::Core]).missing();
        for part in [
            "RATE_LIMITED",
            "CLIENT_MESSAGE_ID_REUSED",
            "message_edited",
            "MessageDeleted",
            "calls/sendMessage/200",
            "Message.seq/present",
        ] {
            assert!(!missing.iter().any(|cell| cell.contains(part)), "{part}");
            assert!(
                nothing_seen().missing().iter().any(|cell| cell.contains(part)),
                "{part}"
            );
        }
        assert!(missing.len() > 600, "{}", missing.len());
    }

    #[test]
    fn patterns_fit_what_they_mean() {
        assert!(fits("calls/*/500 INTERNAL_ERROR", "calls/login/500 INTERNAL_ERROR"));
        assert!(!fits(
            "calls/*/500 INTERNAL_ERROR",
            "calls/login/503 SERVICE_UNAVAILABLE"
        ));
        assert!(fits("shapes/*.seq/null", "shapes/Message.seq/null") && fits("*", "") && !fits("a", "ab"));
    }

    #[test]
    fn the_contract_names_hundreds_of_cells_and_without_a_run_all_are_missing() {
        let matrix = nothing_seen();
        let (seen, due) = matrix.reached();
        assert_eq!(seen, 0);
        assert!(due > 800, "{due}");
        assert_eq!(matrix.missing().len(), due);
        assert!(matrix.groups.iter().all(|group| !group.cells.is_empty()));
    }

    #[test]
    fn every_excuse_is_about_something() {
        let matrix = nothing_seen();
        let ids: Vec<String> = matrix.cells().map(|(group, cell)| cell.id(group)).collect();
        for (pattern, _) in UNREACHABLE {
            assert!(ids.iter().any(|id| fits(pattern, id)), "{pattern} fits no cell");
        }
    }
}
