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
    /// It did not hold, and did when the case was run again.
    Flaky,
    Failed,
}

/// One endpoint or event.
pub struct Row {
    pub name: String,
    pub holds: usize,
    /// With what is known to fail.
    pub noted: usize,
    /// With what failed and then did not.
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
    /// Cases were left out on purpose.
    pub selective: bool,
    pub today: Date,
    flaky_is_failure: bool,
    coverage_is_due: bool,
    is_cut: bool,
    cut_by_target: bool,
}

impl Judged {
    /// `target` is its name for people; `selective`: cases were left out on purpose.
    pub fn new(run: &Run, terms: &Terms, target: &str, survived: bool, selective: bool) -> Self {
        let today = Offset::UTC.to_datetime(jiff::Timestamp::now()).date();
        let stale = terms.stale(run, selective);
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
            selective,
            today,
            flaky_is_failure: true,
            coverage_is_due: false,
            is_cut: run.cut.is_some(),
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
        } else if any(Verdict::Inconclusive) || any(Verdict::Harness) || self.is_cut || self.lacks_coverage() {
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

    /// Requirements of what is claimed that could be judged from outside, and were not.
    pub fn claims_not_judged(&self) -> usize {
        let claimed = REQUIREMENTS.iter().filter(|r| self.terms.claims.contains(&r.profile));
        let open = claimed.filter(|r| r.untestable.is_none() && self.states.get(r.id) == Some(&State::NotJudged));
        open.count()
    }

    /// How many requirements are in which state, in words.
    pub fn requirements(&self) -> String {
        let mut text = format!(
            "{} hold, {} failed",
            self.count(State::Holds),
            self.count(State::Failed)
        );
        for (count, what) in [
            (self.count(State::Flaky), "flaky"),
            (self.count(State::Known), "known to fail"),
            (self.count(State::Noted), "noted"),
            (self.count(State::NotJudged), "not judged"),
        ] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        match self.claims_not_judged() {
            0 => text,
            open => format!("{text} ({open} of what is claimed)"),
        }
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
            Conclusion::Conformant => match self.count(State::Known) {
                0 => format!("conformant in what was judged of {claims}"),
                known => format!("conformant in what was judged of {claims}, but for {known} that are known to fail"),
            },
            Conclusion::NotConformant => format!("NOT conformant to {claims}"),
            Conclusion::Undecided if self.is_cut => "undecided: the run was cut short".into(),
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
    /// As in report.json; from the best to the worst.
    pub const ALL: [Self; 4] = [Self::Conformant, Self::Undecided, Self::NothingRun, Self::NotConformant];

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
    /// From the best to the worst, as two runs are compared: what is not judged any more is worse than what is known.
    pub const ALL: [Self; 6] = [
        Self::Holds,
        Self::Noted,
        Self::Known,
        Self::NotJudged,
        Self::Flaky,
        Self::Failed,
    ];

    /// As in report.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJudged => "not-judged",
            Self::Holds => "holds",
            Self::Noted => "noted",
            Self::Known => "known",
            Self::Flaky => "flaky",
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

/// Why the first try of a case that was run again could not be judged; none when it was.
pub fn first_reason(result: &CaseResult) -> Option<&str> {
    result.first.as_deref().and_then(reason)
}

/// Cases that were judged at the second try, the first having come to nothing without a failure, and why it did.
fn second_tries<'a>(judged: &'a Judged, run: &'a Run) -> impl Iterator<Item = (&'a CaseResult, &'a str)> {
    let tried = judged.each(run).filter(|(result, verdict)| {
        // Of those that could not be judged either, the last reason is the one; of a failure that did not come again, that is told.
        result.finding == Finding::Judged && !matches!(verdict, Verdict::Flaky | Verdict::Fail)
    });
    tried.filter_map(|(result, _)| Some((result, first_reason(result)?)))
}

/// Why cases were not run at all: a sentence for each reason instead of one for each case.
fn left_out(run: &Run) -> Vec<String> {
    let mut counted = BTreeMap::<&str, usize>::new();
    for result in &run.results {
        if let Finding::NotRun(why) = &result.finding {
            *counted.entry(why).or_default() += 1;
        }
    }
    let sentence = |(why, count)| match count {
        1 => format!("1 case was not run: {why}"),
        _ => format!("{count} cases were not run: {why}"),
    };
    counted.into_iter().map(sentence).collect()
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
        // That it held the second time does not undo the first.
        for failure in result.first.iter().flat_map(|first| &first.tally.failures) {
            let state = match weight(terms, failure.requirement, &id) {
                State::Failed => State::Flaky,
                other => other,
            };
            raise(failure.requirement.id, state);
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
                Some(State::Flaky | State::Failed) => row.failed += 1,
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

#[cfg(test)]
mod tests;
