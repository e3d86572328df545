//! For programs.

use chat_spec::REQUIREMENTS;
use serde_json::{Value, json};

use super::{Judged, State, Verdict};
use crate::engine::{Finding, Run};

pub fn render(judged: &Judged, run: &Run) -> String {
    let cases: Vec<Value> = (run.results.iter())
        .map(|result| {
            let failures: Vec<Value> = (result.tally.failures.iter())
                .map(|f| json!({"requirement": f.requirement.id, "expected": f.expected, "got": f.got}))
                .collect();
            let (finding, why) = match &result.finding {
                Finding::Judged if failures.is_empty() => ("passed", None),
                Finding::Judged if result.tally.failures.iter().all(|f| judged.weight(f) == State::Noted) => {
                    ("noted", None)
                }
                Finding::Judged => ("failed", None),
                Finding::Inconclusive(why) => ("inconclusive", Some(why)),
                Finding::NotApplicable(why) => ("notApplicable", Some(why)),
                Finding::Broken(why) => ("broken", Some(why)),
            };
            json!({
                "area": result.case.area, "name": result.case.name, "result": finding, "why": why,
                "milliseconds": result.took.as_millis() as u64, "held": result.tally.passed, "failures": failures,
            })
        })
        .collect();
    let requirements: Vec<Value> = (REQUIREMENTS.iter())
        .map(|r| {
            let state = state(judged.states.get(r.id).copied().unwrap_or(State::NotJudged));
            json!({"id": r.id, "level": r.level.to_string(), "profile": r.profile.name(), "state": state})
        })
        .collect();
    let rows: Vec<Value> = (judged.rows.iter())
        .map(|row| json!({"name": row.name, "holds": row.holds, "noted": row.noted, "failed": row.failed, "notJudged": row.not_judged}))
        .collect();
    let verdict = match judged.verdict {
        Verdict::Conformant => "conformant",
        Verdict::NotConformant => "notConformant",
        Verdict::Undecided => "undecided",
        Verdict::NothingRun => "nothingRun",
    };
    let claims: Vec<&str> = judged.claims.iter().map(|profile| profile.name()).collect();
    let report = json!({
        "verdict": verdict, "target": judged.target, "claims": claims, "survived": judged.survived,
        "finishedAt": jiff::Timestamp::now().to_string(), "milliseconds": run.took.as_millis() as u64,
        "judgements": judged.judgements, "requirements": requirements, "rows": rows, "cases": cases,
    });
    format!("{report:#}\n")
}

pub(super) fn state(state: State) -> &'static str {
    match state {
        State::NotJudged => "notJudged",
        State::Holds => "holds",
        State::Noted => "noted",
        State::Failed => "failed",
    }
}
