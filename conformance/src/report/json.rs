//! For programs. The schema is published beside it: `chat-conformance schema`.

use chat_spec::REQUIREMENTS;
use serde_json::{Value, json};

use super::{Judged, State, first_reason, reason};
use crate::engine::{CaseResult, Run, Verdict};
use crate::generated;

/// JSON Schema of what [`render`] makes.
pub const SCHEMA: &str = include_str!("../../report.schema.json");
/// Raised when a program that read the former one would misunderstand.
pub(super) const VERSION: u32 = 1;

pub fn render(judged: &Judged, run: &Run) -> String {
    let cases: Vec<Value> = judged
        .each(run)
        .map(|(result, verdict)| case(judged, result, verdict))
        .collect();
    let requirements: Vec<Value> = (REQUIREMENTS.iter())
        .map(|r| {
            let state = judged.states.get(r.id).copied().unwrap_or(State::NotJudged);
            json!({"id": r.id, "level": r.level.to_string(), "profile": r.profile.name(), "state": state.name()})
        })
        .collect();
    let rows: Vec<Value> = (judged.rows.iter())
        .map(|row| json!({"name": row.name, "holds": row.holds, "noted": row.noted, "failed": row.failed, "notJudged": row.not_judged}))
        .collect();
    let areas: Vec<Value> = (judged.areas(run).into_iter())
        .map(|(area, counts)| {
            let counts: serde_json::Map<String, Value> = counts
                .into_iter()
                .map(|(verdict, count)| (verdict.name().to_owned(), count.into()))
                .collect();
            json!({"name": area, "verdicts": counts})
        })
        .collect();
    let claims: Vec<&str> = judged.claims().iter().map(|profile| profile.name()).collect();
    let cut = run.cut.as_ref().map(|cut| {
        json!({"why": cut.why, "milliseconds": millis(cut.at), "running": cut.running, "byTarget": cut.by_target})
    });
    let report = json!({
        "version": VERSION, "conclusion": judged.conclusion.name(), "target": judged.target, "claims": claims,
        "selective": judged.selective, "survived": judged.survived, "cut": cut, "seed": run.seed, "finishedAt": jiff::Timestamp::now().to_string(),
        "milliseconds": millis(run.took), "judgements": judged.judgements, "warnings": judged.warnings,
        "knownStale": judged.stale, "knownExpired": judged.expired, "requirements": requirements, "rows": rows,
        "areas": areas, "cases": cases, "coverage": judged.coverage,
    });
    format!("{report:#}\n")
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn case(judged: &Judged, result: &CaseResult, verdict: Verdict) -> Value {
    let id = result.case.id();
    let profiles: Vec<&str> = result.case.profiles().iter().map(|profile| profile.name()).collect();
    let declared: Vec<&str> = result
        .case
        .requirements
        .iter()
        .map(|requirement| requirement.id)
        .collect();
    json!({
        "id": id, "area": result.case.area, "name": result.case.name, "verdict": verdict.name(), "why": reason(result),
        "generated": generated::has(&result.case), "profiles": profiles, "requirements": declared, "milliseconds": millis(result.took),
        "held": result.tally.passed, "failures": failures(judged, result),
        "firstFailures": result.first.as_deref().map(|first| failures(judged, first)),
        "firstWhy": first_reason(result),
    })
}

fn failures(judged: &Judged, result: &CaseResult) -> Vec<Value> {
    let id = result.case.id();
    let failures = result.tally.failures.iter();
    failures
        .map(|f| {
            json!({
                "requirement": f.requirement.id, "weight": judged.weight(f, &id).name(), "expected": f.expected, "got": f.got,
                "exchange": result.transcript.lines(f.seen, 6),
            })
        })
        .collect()
}
