//! Failures that are expected, each with a reason and an end: they do not fail the run, and they cannot be forgotten.

use std::fmt::Write as _;
use std::path::Path;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer};
use wildmatch::WildMatch;

use super::{Case, CaseResult, Finding, Tally};

/// The entries of a file of known failures.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    #[serde(default, rename = "known")]
    pub entries: Vec<Entry>,
}

/// One expected failure: of a requirement, of cases, or of a requirement in these cases alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub requirement: Option<String>,
    /// With `*` and `?`.
    pub case: Option<String>,
    pub reason: String,
    /// Where it is being worked on.
    pub link: Option<String>,
    /// The last day on which it is accepted.
    #[serde(deserialize_with = "date")]
    pub expires: Date,
}

/// What is wrong with a file of known failures.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    #[error("{0}: {1}")]
    Read(String, std::io::Error),
    #[error("{0}: {1}")]
    Parse(String, toml::de::Error),
    #[error("an entry of known failures names neither a requirement nor a case: {0:?}")]
    Empty(String),
    #[error("the known failure of {0} has no reason: say why it is accepted")]
    NoReason(String),
    #[error("a known failure names the requirement {0}, and there is none of that name")]
    UnknownRequirement(String),
    #[error("a known failure names the case {0}, and none is called so")]
    UnknownCase(String),
    #[error("{0}: {1}")]
    In(String, Box<KnownError>),
}

/// A date of TOML, or a text of that form.
fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    let text = match &value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.parse().map_err(serde::de::Error::custom)
}

impl Known {
    /// Reads a file, and holds it against the cases that there are.
    ///
    /// # Errors
    ///
    /// When it cannot be read or understood, and as [`Known::check`]; the file is named.
    pub fn read(path: &Path, case_ids: &[String]) -> Result<Self, KnownError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| KnownError::Read(name(), error))?;
        let known: Self = toml::from_str(&text).map_err(|error| KnownError::Parse(name(), error))?;
        known.check_in(path, case_ids)?;
        Ok(known)
    }

    /// As [`Known::check`], of what stands in this file.
    ///
    /// # Errors
    ///
    /// As [`Known::check`]; the file is named.
    pub fn check_in(&self, path: &Path, case_ids: &[String]) -> Result<(), KnownError> {
        let named = |error| KnownError::In(path.display().to_string(), Box::new(error));
        self.check(case_ids).map_err(named)
    }

    /// Holds every entry against the contract and the cases that there are.
    ///
    /// # Errors
    ///
    /// The first entry that can never be met.
    pub fn check(&self, case_ids: &[String]) -> Result<(), KnownError> {
        for entry in &self.entries {
            if entry.requirement.is_none() && entry.case.is_none() {
                return Err(KnownError::Empty(entry.reason.clone()));
            }
            if entry.reason.trim().is_empty() {
                return Err(KnownError::NoReason(entry.subject()));
            }
            if let Some(id) = entry
                .requirement
                .as_deref()
                .filter(|id| chat_spec::requirement(id).is_none())
            {
                return Err(KnownError::UnknownRequirement(id.to_owned()));
            }
            if let Some(glob) = &entry.case {
                let pattern = WildMatch::new(glob);
                if !case_ids.iter().any(|id| pattern.matches(id)) {
                    return Err(KnownError::UnknownCase(glob.clone()));
                }
            }
        }
        Ok(())
    }

    /// Entries that are not accepted any more.
    pub fn expired(&self, today: Date) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.expires < today)
    }

    /// Whether this requirement may fail in this case.
    pub fn expects(&self, requirement: &str, case: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.requirement.as_deref().is_none_or(|id| id == requirement) && entry.fits(case))
    }

    /// Whether the whole case may fail.
    pub fn expects_case(&self, case: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.requirement.is_none() && entry.case.is_some() && entry.fits(case))
    }
}

impl Entry {
    fn fits(&self, case: &str) -> bool {
        self.case
            .as_deref()
            .is_none_or(|glob| WildMatch::new(glob).matches(case))
    }

    /// Whether the case judged what the entry is about.
    pub(super) fn concerns(&self, case: &str, tally: &Tally) -> bool {
        let judged = |id: &str| tally.passed.contains_key(id) || tally.failures.iter().any(|f| f.requirement.id == id);
        self.fits(case) && self.requirement.as_deref().is_none_or(judged)
    }

    /// Whether the case could fail as the entry says: it says beforehand that it judges the requirement. A requirement that no case
    /// names is judged by all.
    pub(super) fn may_be_met_by(&self, case: &Case, all: &[CaseResult]) -> bool {
        let Some(id) = self.requirement.as_deref() else {
            return self.fits(&case.id());
        };
        let names = |case: &Case| case.requirements.iter().any(|requirement| requirement.id == id);
        self.fits(&case.id()) && (names(case) || !all.iter().any(|result| names(&result.case)))
    }

    /// Whether it is about one case, whatever else is run.
    pub(super) fn is_of_one_case(&self) -> bool {
        self.case.as_deref().is_some_and(|glob| !glob.contains(['*', '?']))
    }

    /// Whether it failed as the entry says, this time or the first.
    pub(super) fn met_by(&self, result: &CaseResult) -> bool {
        if result.first.as_deref().is_some_and(|first| self.met_by(first)) {
            return true;
        }
        match self.requirement.as_deref() {
            Some(id) => result.tally.failures.iter().any(|failure| failure.requirement.id == id),
            None => !result.tally.failures.is_empty() || matches!(result.finding, Finding::Inconclusive(_)),
        }
    }

    /// For people: what it is about.
    pub fn subject(&self) -> String {
        match (&self.requirement, &self.case) {
            (Some(requirement), Some(case)) => format!("{requirement} in {case}"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => String::new(),
        }
    }
}

/// A first file of known failures: one entry for each requirement, with an end that is near.
pub fn written(requirements: &[(&str, &str)], expires: Date) -> String {
    let mut text = String::from(
        "# Failures that are known. Say why and where each is worked on; an entry that is stale or over fails the run.\n",
    );
    for (requirement, case) in requirements {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[known]]\nrequirement = {requirement:?}\nreason = \"failed in the first run, in {case}\"\nlink = \"\"\nexpires = {expires}\n"
        );
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn known(text: &str) -> Known {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_entry_is_of_a_requirement_of_cases_or_of_both() {
        let all = known(
            "[[known]]\nrequirement = \"a.b\"\nreason = \"r\"\nexpires = 2030-01-01\n\
             [[known]]\ncase = \"typing::*\"\nreason = \"r\"\nexpires = \"2030-01-01\"\n",
        );
        assert!(all.expects("a.b", "wire::x") && all.expects("c.d", "typing::x"));
        assert!(!all.expects("c.d", "wire::x"));
        assert!(all.expects_case("typing::y") && !all.expects_case("wire::y"));
    }

    #[test]
    fn an_entry_ends_after_its_last_day() {
        let all = known("[[known]]\nrequirement = \"a.b\"\nreason = \"r\"\nexpires = 2026-05-05\n");
        assert_eq!(all.expired("2026-05-05".parse().unwrap()).count(), 0);
        assert_eq!(all.expired("2026-05-06".parse().unwrap()).count(), 1);
    }

    #[test]
    fn what_can_never_be_met_is_an_error() {
        let ids = ["typing::x".to_owned()];
        let wrong = known("[[known]]\nrequirement = \"no.such\"\nreason = \"r\"\nexpires = 2030-01-01\n");
        assert!(matches!(wrong.check(&ids), Err(KnownError::UnknownRequirement(_))));
        let wrong = known("[[known]]\ncase = \"nothing::*\"\nreason = \"r\"\nexpires = 2030-01-01\n");
        assert!(matches!(wrong.check(&ids), Err(KnownError::UnknownCase(_))));
        let wrong = known("[[known]]\nreason = \"r\"\nexpires = 2030-01-01\n");
        assert!(matches!(wrong.check(&ids), Err(KnownError::Empty(_))));
        let wrong = known("[[known]]\ncase = \"typing::*\"\nreason = \" \"\nexpires = 2030-01-01\n");
        assert!(matches!(wrong.check(&ids), Err(KnownError::NoReason(_))));
        assert!(toml::from_str::<Known>("[[known]]\nrequirement = \"a\"\nreason = \"r\"\n").is_err());
    }

    #[test]
    fn a_first_file_can_be_read_again() {
        let text = written(
            &[("json.response.content-type", "wire::x")],
            "2030-01-01".parse().unwrap(),
        );
        let read = known(&text);
        assert!(read.check(&[]).is_ok());
        assert!(read.expects("json.response.content-type", "anything"));
    }
}
