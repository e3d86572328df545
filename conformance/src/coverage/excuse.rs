//! What a target need not show although the contract names it, and why: as its operator says, or as the cases found.

use std::collections::{BTreeMap, BTreeSet};

use chat_spec::Profile;
use serde::Deserialize;

use super::{Matrix, fits};
use crate::engine::{CaseResult, Finding};

/// Cells named of those that were excused for one reason.
const MOST_NAMED: usize = 6;

/// Cells that a target need not show, as its operator says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excuse {
    /// `group/row/column`, in which `*` is anything.
    pub cells: String,
    pub reason: String,
}

impl Matrix {
    /// Excuses the cells that this operator need not show, by what was written down beforehand.
    pub fn excuse(&mut self, excuses: &[Excuse]) {
        self.excuse_by(|id, _| {
            let excuse = excuses.iter().find(|excuse| fits(&excuse.cells, id))?;
            Some(excuse.reason.clone())
        });
    }

    /// Excuses requirements of which every case said that this target does not offer what it needs, with the reason that it gave.
    pub fn excuse_inapplicable(&mut self, results: &[CaseResult]) {
        self.excuse_by(|id, row| {
            (id.starts_with("requirements/")).then_some(())?;
            let mut why = None;
            for result in (results.iter()).filter(|result| result.case.requirements.iter().any(|one| one.id == row)) {
                let Finding::NotApplicable(reason) = &result.finding else {
                    return None;
                };
                why.get_or_insert(reason);
            }
            why.map(|reason| format!("no case can judge it here: {reason}"))
        });
    }

    /// Excuses what was not seen where `reason` has one, by the whole name of a cell and its row.
    fn excuse_by(&mut self, reason: impl Fn(&str, &str) -> Option<String>) {
        for group in &mut self.groups {
            let name = group.name;
            for cell in (group.cells.iter_mut()).filter(|cell| cell.seen == 0 && cell.excused.is_none()) {
                if let Some(reason) = reason(&cell.id(name), &cell.row) {
                    cell.excused = Some(reason.into());
                    cell.excused_here = true;
                }
            }
        }
    }

    /// The first of these that fits no cell of the contract.
    pub fn idle(excuses: &[Excuse]) -> Option<&Excuse> {
        let nothing = Self::of(
            std::iter::empty(),
            &BTreeSet::new(),
            &Profile::ALL.iter().copied().collect(),
        );
        let ids: Vec<String> = nothing.cells().map(|(group, cell)| cell.id(group)).collect();
        (excuses.iter()).find(|excuse| !ids.iter().any(|id| fits(&excuse.cells, id)))
    }

    /// The cells that were excused for this target alone, as `group/row/column`, with the reason.
    pub fn excused_here(&self) -> Vec<(String, &str)> {
        let here = self.cells().filter(|(_, cell)| cell.excused_here);
        here.map(|(group, cell)| (cell.id(group), cell.excused.as_deref().unwrap_or_default()))
            .collect()
    }

    /// A line for each reason why cells were excused for this target alone.
    pub(super) fn excuses_told(&self) -> String {
        let mut reasons = BTreeMap::<&str, Vec<String>>::new();
        for (cell, why) in self.excused_here() {
            reasons.entry(why).or_default().push(cell);
        }
        let line = |(why, cells): (&str, Vec<String>)| {
            let named = cells.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>();
            let more = match cells.len().saturating_sub(MOST_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more in the report"),
            };
            format!("  excused: {}{more}: {why}\n", named.join(", "))
        };
        reasons.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use chat_spec::req;

    use super::*;
    use crate::coverage::tests::nothing_seen;
    use crate::engine::Case;

    #[test]
    fn an_excuse_is_for_what_was_not_seen_and_says_so() {
        let excuse = |cells: &str| Excuse {
            cells: cells.into(),
            reason: "we have none".into(),
        };
        let mut matrix = nothing_seen();
        let before = matrix.missing().len();
        matrix.excuse(&[excuse("calls/login/*")]);
        let excused = matrix.excused_here().len();
        assert!(excused > 1 && matrix.missing().len() == before - excused);
        assert!(!matrix.missing().iter().any(|cell| cell.starts_with("calls/login/")));
        assert!(
            matrix.text().contains("  excused: calls/login/200")
                && matrix.text().contains("more in the report: we have none\n"),
            "{}",
            matrix.text()
        );
        assert!(Matrix::idle(&[excuse("calls/login/*")]).is_none());
        assert!(Matrix::idle(&[excuse("calls/login/*"), excuse("calls/logon/*")]).is_some());
    }

    #[test]
    fn a_requirement_is_excused_only_where_no_case_could_judge_it() {
        let about = &req::TYPING_STOP_TIME_OUT;
        let case = || Case::made("area", "name", vec![about], |_| async { Ok(()) });
        let result = |finding| CaseResult::without_running(case(), finding);
        let none = || Finding::NotApplicable("needs a disk".into());
        let missing = |findings: Vec<Finding>| {
            let mut matrix = nothing_seen();
            matrix.excuse_inapplicable(&findings.into_iter().map(result).collect::<Vec<_>>());
            let cell = format!("requirements/{}/judged", about.id);
            let excused = matrix.excused_here().into_iter().find(|(id, _)| *id == cell);
            if let Some((_, why)) = excused {
                assert!(why.ends_with(": needs a disk"), "{why}");
            }
            matrix.missing().contains(&cell)
        };
        assert!(!missing(vec![none(), none()]));
        assert!(missing(vec![none(), Finding::Judged]));
        assert!(missing(vec![none(), Finding::Inconclusive("late".into())]));
        assert!(missing(vec![]));
    }
}
