//! What the run means, and the ways to show it.

pub mod badge;
pub mod compare;
pub mod files;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod terminal;

use std::collections::{BTreeMap, BTreeSet};

use chat_spec::{ClientEvent, Operation, Profile, REQUIREMENTS, Requirement, ServerEvent, req};
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::coverage::Matrix;
use crate::engine::{CaseResult, Failure, Finding, Run, Terms, Verdict};
use crate::generated;

/// What is said of the target in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    Conformant,
    NotConformant,
    /// Nothing failed, but something could not be decided.
    Undecided,
    NothingRun,
}

/// What is known of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    NotJudged,
    Holds,
    /// A MUST of an unclaimed profile, or a SHOULD or MAY, does not hold.
    Noted,
    /// It does not hold, as expected.
    Known,
    Failed,
}

/// One endpoint or event.
pub struct Row {
    pub name: String,
    pub holds: usize,
    pub noted: usize,
    pub failed: usize,
    pub not_judged: usize,
}

/// The run, judged.
pub struct Judged {
    pub conclusion: Conclusion,
    pub target: String,
    pub terms: Terms,
    /// In the order of the results.
    pub verdicts: Vec<Verdict>,
    pub states: BTreeMap<&'static str, State>,
    pub rows: Vec<Row>,
    /// The server still answered when everything was over.
    pub survived: bool,
    pub judgements: u64,
    /// Known failures that did not come.
    pub stale: Vec<String>,
    /// Known failures that are not accepted any more.
    pub expired: Vec<String>,
    /// What was wrong with the target before the run.
    pub warnings: Vec<String>,
    /// What of the contract was really seen on the wire; none when nobody measured it.
    pub coverage: Option<Matrix>,
    pub today: Date,
    flaky_is_failure: bool,
    coverage_is_due: bool,
    cut_by_target: bool,
}

impl Judged {
    /// `target` is its name for people.
    pub fn new(run: &Run, terms: &Terms, target: &str, survived: bool) -> Self {
        let today = Offset::UTC.to_datetime(jiff::Timestamp::now()).date();
        let stale = terms.stale(run);
        let verdicts: Vec<Verdict> = run.results.iter().map(|result| terms.verdict(result, &stale)).collect();
        let cut_by_target = run.cut.as_ref().is_some_and(|cut| cut.by_target);
        let states = states(run, terms, survived);
        let mut judged = Self {
            conclusion: Conclusion::NothingRun,
            target: target.to_owned(),
            verdicts,
            rows: rows(&states),
            states,
            survived,
            judgements: run.results.iter().map(|result| result.tally.count()).sum(),
            stale: stale.iter().map(|entry| entry.subject()).collect(),
            expired: terms.known.expired(today).map(|entry| entry.subject()).collect(),
            warnings: Vec::new(),
            coverage: None,
            today,
            flaky_is_failure: true,
            coverage_is_due: false,
            cut_by_target,
            terms: terms.clone(),
        };
        judged.conclusion = judged.concluded();
        judged
    }

    /// Lets what failed and then passed be.
    pub fn allow_flaky(&mut self, allow: bool) {
        self.flaky_is_failure = !allow;
        self.conclusion = self.concluded();
    }

    /// Hands in what was seen on the wire.
    pub fn measure(&mut self, matrix: Matrix) {
        self.coverage = Some(matrix);
    }

    /// Leaves the target undecided where something that the contract names was never seen.
    pub fn require_coverage(&mut self, due: bool) {
        self.coverage_is_due = due;
        self.conclusion = self.concluded();
    }

    /// Requirements about which the run says something.
    pub fn judged_requirements(&self) -> BTreeSet<&'static str> {
        let known = self.states.iter().filter(|(_, state)| **state != State::NotJudged);
        known.map(|(id, _)| *id).collect()
    }

    fn concluded(&self) -> Conclusion {
        let any = |verdict: Verdict| self.verdicts.contains(&verdict);
        let broken_word = any(Verdict::Fail) || (any(Verdict::Flaky) && self.flaky_is_failure);
        let forgotten = !self.stale.is_empty() || !self.expired.is_empty();
        if broken_word || forgotten || !self.survived || self.cut_by_target {
            Conclusion::NotConformant
        } else if self.judgements == 0 && !any(Verdict::Inconclusive) && !any(Verdict::Harness) {
            Conclusion::NothingRun
        } else if any(Verdict::Inconclusive) || any(Verdict::Harness) || self.lacks_coverage() {
            Conclusion::Undecided
        } else {
            Conclusion::Conformant
        }
    }

    fn lacks_coverage(&self) -> bool {
        let missing = |matrix: &Matrix| !matrix.missing().is_empty();
        self.coverage_is_due && self.coverage.as_ref().is_some_and(missing)
    }

    /// Every result with its verdict.
    pub fn each<'a>(&'a self, run: &'a Run) -> impl Iterator<Item = (&'a CaseResult, Verdict)> {
        run.results.iter().zip(self.verdicts.iter().copied())
    }

    /// How many requirements are in this state.
    pub fn count(&self, state: State) -> usize {
        self.states.values().filter(|known| **known == state).count()
    }

    /// How many cases there are, in words: written by hand, and made from the contract's documents.
    pub fn counted(run: &Run) -> String {
        let made = run.results.iter().filter(|result| generated::has(&result.case)).count();
        let all = run.results.len();
        format!("{all} cases ({} written, {made} made from the contract)", all - made)
    }

    /// How many cases have this verdict.
    pub fn cases(&self, verdict: Verdict) -> usize {
        self.verdicts.iter().filter(|known| **known == verdict).count()
    }

    /// The areas in the order of the cases, with the number of each verdict.
    pub fn areas(&self, run: &Run) -> Vec<(&'static str, BTreeMap<Verdict, usize>)> {
        let mut areas: Vec<(&'static str, BTreeMap<Verdict, usize>)> = Vec::new();
        for (result, verdict) in self.each(run) {
            let area = result.case.area;
            let index = areas.iter().position(|(name, _)| *name == area).unwrap_or_else(|| {
                areas.push((area, BTreeMap::new()));
                areas.len() - 1
            });
            if let Some((_, counts)) = areas.get_mut(index) {
                *counts.entry(verdict).or_default() += 1;
            }
        }
        areas
    }

    /// How a failure counts in this case.
    pub fn weight(&self, failure: &Failure, case: &str) -> State {
        weight(&self.terms, failure.requirement, case)
    }

    /// What is said of the target, in words.
    pub fn sentence(&self) -> String {
        let claims: Vec<&str> = self.terms.claims.iter().map(|profile| profile.name()).collect();
        let claims = claims.join(", ");
        match self.conclusion {
            Conclusion::Conformant => format!("conformant in what was judged of {claims}"),
            Conclusion::NotConformant => format!("NOT conformant to {claims}"),
            Conclusion::Undecided if self.lacks_coverage() => "undecided: not all of the contract was seen".into(),
            Conclusion::Undecided => "undecided: some cases could not be judged".into(),
            Conclusion::NothingRun => "not judged: nothing was run".into(),
        }
    }

    /// Claimed profiles.
    pub fn claims(&self) -> &BTreeSet<Profile> {
        &self.terms.claims
    }
}

impl Conclusion {
    /// As in report.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conformant => "conformant",
            Self::NotConformant => "not-conformant",
            Self::Undecided => "undecided",
            Self::NothingRun => "nothing-run",
        }
    }
}

impl State {
    /// As in report.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJudged => "not-judged",
            Self::Holds => "holds",
            Self::Noted => "noted",
            Self::Known => "known",
            Self::Failed => "failed",
        }
    }
}

/// Why a case could not be judged, or was not; none when it was.
pub fn reason(result: &CaseResult) -> Option<&str> {
    match &result.finding {
        Finding::Judged => None,
        Finding::Inconclusive(why) | Finding::NotApplicable(why) | Finding::NotRun(why) | Finding::Broken(why) => {
            Some(why)
        }
    }
}

fn weight(terms: &Terms, requirement: &Requirement, case: &str) -> State {
    if !terms.counts(requirement) {
        State::Noted
    } else if terms.known.expects(requirement.id, case) {
        State::Known
    } else {
        State::Failed
    }
}

fn states(run: &Run, terms: &Terms, survived: bool) -> BTreeMap<&'static str, State> {
    let mut states: BTreeMap<&'static str, State> = REQUIREMENTS.iter().map(|r| (r.id, State::NotJudged)).collect();
    let mut raise = |id: &'static str, state: State| {
        let known = states.entry(id).or_insert(State::NotJudged);
        *known = (*known).max(state);
    };
    for result in &run.results {
        let id = result.case.id();
        result.tally.passed.keys().for_each(|id| raise(id, State::Holds));
        for failure in &result.tally.failures {
            raise(failure.requirement.id, weight(terms, failure.requirement, &id));
        }
    }
    if !survived {
        raise(req::EVENTS_PAYLOAD_PROCESS_LIVES.id, State::Failed);
    }
    states
}

fn rows(states: &BTreeMap<&'static str, State>) -> Vec<Row> {
    let row = |name: String, about: &dyn Fn(&Requirement) -> bool| {
        let mut row = Row {
            name,
            holds: 0,
            noted: 0,
            failed: 0,
            not_judged: 0,
        };
        for requirement in REQUIREMENTS.iter().filter(|requirement| about(requirement)) {
            match states.get(requirement.id) {
                Some(State::Holds) => row.holds += 1,
                Some(State::Noted | State::Known) => row.noted += 1,
                Some(State::Failed) => row.failed += 1,
                Some(State::NotJudged) | None => row.not_judged += 1,
            }
        }
        row
    };
    let mut rows = Vec::new();
    for operation in Operation::ALL {
        let name = format!("{:6} {}", operation.method(), operation.path());
        rows.push(row(name, &|r| r.operations.contains(operation)));
    }
    let sent = ClientEvent::ALL.iter().map(|event| ("client sends", event.name()));
    let received = ServerEvent::ALL.iter().map(|event| ("server sends", event.name()));
    let connection = ["connect", "connect_error"].map(|name| ("connection", name));
    for (side, event) in connection.into_iter().chain(sent).chain(received) {
        rows.push(row(format!("{side} {event}"), &|r| r.events.contains(&event)));
    }
    rows.push(row("every call and the whole server".into(), &|r| {
        r.operations.is_empty() && r.events.is_empty()
    }));
    rows
}
