//! Which cases run.

use std::collections::BTreeSet;

use chat_spec::REQUIREMENTS;
use serde_json::Value;
use wildmatch::WildMatch;

use super::Failure;
use super::options::Options;
use crate::ambient::EVERYWHERE;
use crate::cases;
use crate::engine::{Case, Verdict};

/// The cases that fit every kind of choice that was made. Profiles are looked at when they run: a skipped case is reported. A
/// choice that adds nothing is an error, also beside others that do: what was asked for must not be left out in silence.
pub(super) fn select(options: &Options) -> Result<Vec<Case>, Failure> {
    let globs: Vec<WildMatch> = options.case.iter().map(|glob| pattern(glob)).collect();
    let wanted: Vec<WildMatch> = options.requirement.iter().map(|glob| WildMatch::new(glob)).collect();
    let again = if options.rerun_failed {
        Some(failed(options).map_err(Failure::Usage)?)
    } else {
        None
    };
    let named = |glob: &WildMatch, case: &Case| glob.matches(&case.id());
    let judges = |glob: &WildMatch, case: &Case| case.requirements.iter().any(|one| glob.matches(one.id));
    let fits = |case: &Case| {
        (globs.is_empty() || globs.iter().any(|glob| named(glob, case)))
            && (wanted.is_empty() || wanted.iter().any(|glob| judges(glob, case)))
            && again.as_ref().is_none_or(|again| again.contains(&case.id()))
    };
    let selected: Vec<Case> = cases::all().filter(fits).collect();
    for (glob, said) in globs.iter().zip(&options.case) {
        if !selected.iter().any(|case| named(glob, case)) {
            return Err(Failure::Nothing(format!("no case that was chosen fits --case {said}")));
        }
    }
    for (glob, said) in wanted.iter().zip(&options.requirement) {
        if !selected.iter().any(|case| judges(glob, case)) {
            return Err(Failure::Nothing(unnamed(glob, said)));
        }
    }
    Ok(selected)
}

/// Why no case was chosen by a requirement.
fn unnamed(glob: &WildMatch, said: &str) -> String {
    let meant: Vec<_> = REQUIREMENTS.iter().filter(|one| glob.matches(one.id)).collect();
    let everywhere = |id: &str| EVERYWHERE.iter().any(|one| one.id == id);
    if meant.is_empty() {
        format!("there is no requirement {said}: spec/requirements.toml has them all")
    } else if meant.iter().all(|one| everywhere(one.id)) {
        format!(
            "{said} is judged in every case, by all that the server answers, so no case is named for it: run any case, or the whole \
             suite, without --requirement {said}"
        )
    } else if let Some(why) = meant.iter().find_map(|one| one.untestable) {
        format!("no case can judge {said} from outside: {why}")
    } else {
        format!("no case that was chosen judges --requirement {said}")
    }
}

fn pattern(glob: &str) -> WildMatch {
    if glob.contains(['*', '?']) {
        WildMatch::new(glob)
    } else {
        WildMatch::new(&format!("*{glob}*"))
    }
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
