//! Which cases run.

use std::collections::BTreeSet;

use serde_json::Value;
use wildmatch::WildMatch;

use super::options::Options;
use crate::cases;
use crate::engine::{Case, Verdict};

/// The cases that fit every kind of choice that was made. Profiles are looked at when they run: a skipped case is reported.
pub(super) fn select(options: &Options) -> Result<Vec<Case>, String> {
    let globs: Vec<WildMatch> = options.case.iter().map(|glob| pattern(glob)).collect();
    let wanted = requirements(&options.requirement)?;
    let again = if options.rerun_failed {
        Some(failed(options)?)
    } else {
        None
    };
    let fits = |case: &Case| {
        let id = case.id();
        (globs.is_empty() || globs.iter().any(|glob| glob.matches(&id)))
            && (options.requirement.is_empty() || case.requirements.iter().any(|one| wanted.contains(one.id)))
            && again.as_ref().is_none_or(|again| again.contains(&id))
    };
    Ok(cases::all().filter(fits).collect())
}

fn pattern(glob: &str) -> WildMatch {
    if glob.contains(['*', '?']) {
        WildMatch::new(glob)
    } else {
        WildMatch::new(&format!("*{glob}*"))
    }
}

fn requirements(globs: &[String]) -> Result<BTreeSet<&'static str>, String> {
    let mut wanted = BTreeSet::new();
    for glob in globs {
        let pattern = WildMatch::new(glob);
        let all = chat_spec::REQUIREMENTS.iter().map(|requirement| requirement.id);
        let before = wanted.len();
        wanted.extend(all.filter(|id| pattern.matches(id)));
        if wanted.len() == before {
            return Err(format!("there is no requirement {glob}"));
        }
    }
    Ok(wanted)
}

/// What did not pass in the last run.
fn failed(options: &Options) -> Result<BTreeSet<String>, String> {
    let path = options.report.join("report.json");
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("--rerun-failed: {}: {error}", path.display()))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let trouble = |case: &&Value| {
        let verdict = Verdict::ALL
            .into_iter()
            .find(|verdict| case["verdict"] == verdict.name());
        verdict.is_some_and(Verdict::is_trouble)
    };
    let cases = report["cases"].as_array().into_iter().flatten().filter(trouble);
    Ok(cases
        .filter_map(|case| case["id"].as_str().map(str::to_owned))
        .collect())
}

/// A line for each case: its name, and what it judges.
pub(super) fn listed(selected: &[Case]) -> String {
    let line = |case: &Case| {
        let profiles: Vec<&str> = case.profiles().iter().map(|profile| profile.name()).collect();
        let requirements: Vec<&str> = case.requirements.iter().map(|requirement| requirement.id).collect();
        format!("{}  [{}] {}\n", case.id(), profiles.join(","), requirements.join(" "))
    };
    selected.iter().map(line).collect()
}
