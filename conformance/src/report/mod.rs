//! What the run means, and three ways to show it.

pub mod html;
pub mod json;
pub mod terminal;

use std::collections::{BTreeMap, BTreeSet};

use chat_spec::{ClientEvent, Level, Operation, Profile, REQUIREMENTS, Requirement, ServerEvent, req};

use crate::engine::{CaseResult, Failure, Finding, Run};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
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
    /// A MUST of an unclaimed profile, or a SHOULD or MAY.
    Noted,
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
    pub verdict: Verdict,
    pub target: String,
    pub claims: BTreeSet<Profile>,
    pub states: BTreeMap<&'static str, State>,
    pub rows: Vec<Row>,
    /// The server still answered when everything was over.
    pub survived: bool,
    pub judgements: u64,
}

impl Judged {
    /// `whole`: no case was left out by selection.
    pub fn new(run: &Run, claims: &BTreeSet<Profile>, target: &str, survived: bool, whole: bool) -> Self {
        let mut states: BTreeMap<&'static str, State> = REQUIREMENTS.iter().map(|r| (r.id, State::NotJudged)).collect();
        let mut raise = |id: &'static str, state: State| {
            let known = states.entry(id).or_insert(State::NotJudged);
            *known = (*known).max(state);
        };
        for result in &run.results {
            result.tally.passed.keys().for_each(|id| raise(id, State::Holds));
            for failure in &result.tally.failures {
                raise(failure.requirement.id, weight(failure.requirement, claims));
            }
        }
        if !survived {
            raise(req::EVENTS_PAYLOAD_PROCESS_LIVES.id, State::Failed);
        }
        let undecided = run
            .results
            .iter()
            .any(|r| matches!(r.finding, Finding::Inconclusive(_) | Finding::Broken(_)));
        let judgements = run.results.iter().map(|result| result.tally.count()).sum();
        let verdict = if states.values().any(|state| *state == State::Failed) {
            Verdict::NotConformant
        } else if judgements == 0 {
            Verdict::NothingRun
        } else if undecided {
            Verdict::Undecided
        } else {
            Verdict::Conformant
        };
        let _ = whole;
        Self {
            verdict,
            target: target.to_owned(),
            claims: claims.clone(),
            rows: rows(&states),
            states,
            survived,
            judgements,
        }
    }

    pub fn count(&self, state: State) -> usize {
        self.states.values().filter(|known| **known == state).count()
    }

    /// Requirements that this run says nothing about.
    pub fn not_judged(&self) -> impl Iterator<Item = &'static Requirement> + '_ {
        REQUIREMENTS
            .iter()
            .copied()
            .filter(|r| self.states.get(r.id) == Some(&State::NotJudged))
    }

    /// How a failure counts here.
    pub fn weight(&self, failure: &Failure) -> State {
        weight(failure.requirement, &self.claims)
    }

    pub fn sentence(&self) -> String {
        let claims: Vec<&str> = self.claims.iter().map(|profile| profile.name()).collect();
        let claims = claims.join(", ");
        match self.verdict {
            Verdict::Conformant => format!("conformant in what was judged of {claims}"),
            Verdict::NotConformant => format!("NOT conformant to {claims}"),
            Verdict::Undecided => "undecided: some cases could not be judged".into(),
            Verdict::NothingRun => "nothing was judged".into(),
        }
    }
}

/// Results whose failures or findings have to be shown.
pub fn notable(run: &Run) -> impl Iterator<Item = &CaseResult> {
    run.results
        .iter()
        .filter(|result| !result.tally.failures.is_empty() || result.finding != Finding::Judged)
}

fn weight(requirement: &Requirement, claims: &BTreeSet<Profile>) -> State {
    if requirement.level == Level::Must && claims.contains(&requirement.profile) {
        State::Failed
    } else {
        State::Noted
    }
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
                Some(State::Noted) => row.noted += 1,
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
