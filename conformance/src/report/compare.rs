//! What changed between two runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::json::VERSION;
use super::{Conclusion, State};
use crate::engine::Verdict;

/// The difference.
pub struct Difference {
    pub text: String,
    /// Something that was good is not any more, or is gone.
    pub is_worse: bool,
}

/// Compares two reports.
///
/// # Errors
///
/// When one of them cannot be read, or is no report.
pub fn files(before: &Path, after: &Path) -> Result<Difference, String> {
    Ok(difference(&read(before)?, &read(after)?))
}

fn read(path: &Path) -> Result<Outcome, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Outcome::of(&report).map_err(|wrong| format!("{}: {wrong}", path.display()))
}

/// What a report says.
struct Outcome {
    conclusion: usize,
    /// Cases were left out on purpose.
    selective: bool,
    requirements: BTreeMap<String, usize>,
    cases: BTreeMap<String, usize>,
}

/// The words for something, from the best to the worst; their places are compared.
struct Scale {
    list: &'static str,
    member: &'static str,
    names: Vec<&'static str>,
    /// The place of what says nothing: it was not judged.
    silent: usize,
}

impl Scale {
    fn new(list: &'static str, member: &'static str, names: &[&'static str], silent: &str) -> Self {
        Self {
            list,
            member,
            names: names.to_vec(),
            silent: names.iter().position(|name| *name == silent).unwrap_or(names.len()),
        }
    }

    fn of_requirements() -> Self {
        let not_judged = State::NotJudged.name();
        Self::new("requirements", "state", &State::ALL.map(State::name), not_judged)
    }

    fn of_cases() -> Self {
        let skipped = Verdict::Skipped.name();
        Self::new("cases", "verdict", &Verdict::ALL.map(Verdict::name), skipped)
    }

    /// The places of all that a report lists, by id; none when it is no list of that.
    fn read(&self, report: &Value) -> Option<BTreeMap<String, usize>> {
        let items = report.get(self.list)?.as_array()?.iter();
        let place = |item: &Value| {
            let place = self.names.iter().position(|name| item[self.member] == *name)?;
            Some((item["id"].as_str()?.to_owned(), place))
        };
        items.map(place).collect()
    }
}

impl Outcome {
    fn of(report: &Value) -> Result<Self, String> {
        let lacks = |what: &str| {
            format!(
                "there {what}, so it is no report of chat-conformance: give compare two files report.json, as runs write them \
                 into --report"
            )
        };
        match report.get("version") {
            Some(version) if *version == VERSION => {}
            Some(version) => {
                return Err(format!(
                    "it is a report of version {version}, and this program reads version {VERSION}: make both reports with the \
                     same chat-conformance"
                ));
            }
            None => return Err(lacks("is no version in it")),
        }
        let conclusion = (Conclusion::ALL.iter()).position(|known| report["conclusion"] == known.name());
        Ok(Self {
            conclusion: conclusion.ok_or_else(|| lacks("is no conclusion in it"))?,
            // Where nothing is said of it, all was run.
            selective: report["selective"].as_bool().unwrap_or_default(),
            requirements: (Scale::of_requirements().read(report))
                .ok_or_else(|| lacks("are no requirements with states in it"))?,
            cases: (Scale::of_cases().read(report)).ok_or_else(|| lacks("are no cases with verdicts in it"))?,
        })
    }
}

fn difference(before: &Outcome, after: &Outcome) -> Difference {
    let name = |place: usize| Conclusion::ALL.get(place).map_or("", |conclusion| conclusion.name());
    let mut is_worse = after.conclusion > before.conclusion;
    let mut text = format!("{} → {}\n", name(before.conclusion), name(after.conclusion));
    if after.selective {
        text += "The later run was a choice of cases: what it left out is not compared, and not missed.\n";
    } else if before.selective {
        text += "The earlier run was a choice of cases: what it left out is not compared.\n";
    }
    let lists = [
        (Scale::of_requirements(), &before.requirements, &after.requirements),
        (Scale::of_cases(), &before.cases, &after.cases),
    ];
    for (scale, old, new) in lists {
        is_worse |= list(&mut text, &scale, (old, before.selective), (new, after.selective));
    }
    text += if is_worse { "Worse.\n" } else { "Nothing got worse.\n" };
    Difference { text, is_worse }
}

/// What is said, by id, and whether that is a choice.
type Said<'a> = (&'a BTreeMap<String, usize>, bool);

/// Tells what changed in a list; whether something got worse.
fn list(text: &mut String, scale: &Scale, (old, old_is_choice): Said<'_>, (new, new_is_choice): Said<'_>) -> bool {
    // A choice says nothing of what it left out.
    let judged = |all: &BTreeMap<String, usize>, is_choice: bool, id: &str| {
        let place = all.get(id).copied();
        place.filter(|place| !(is_choice && *place == scale.silent))
    };
    let name = |place: usize| scale.names.get(place).copied().unwrap_or_default();
    let (mut both, mut only_before, mut only_after) = (0, 0, 0);
    let mut lines = Vec::new();
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for id in ids {
        match (judged(old, old_is_choice, id), judged(new, new_is_choice, id)) {
            (Some(then), Some(now)) => {
                both += 1;
                if now != then {
                    let mark = if now > then { '✗' } else { '✓' };
                    lines.push((now <= then, format!("  {mark} {id}: {} → {}", name(then), name(now))));
                }
            }
            (Some(then), None) => {
                only_before += 1;
                if !new_is_choice {
                    let missed = then < scale.silent;
                    let mark = if missed { '✗' } else { '-' };
                    lines.push((!missed, format!("  {mark} {id}: {} → gone", name(then))));
                }
            }
            (None, Some(now)) => {
                only_after += 1;
                if now > scale.silent {
                    lines.push((true, format!("  + {id}: {}", name(now))));
                }
            }
            (None, None) => {}
        }
    }
    // What got worse comes first.
    lines.sort();
    // Writing to a String cannot fail.
    let _ = write!(text, "{}: {both} in both", scale.list);
    for (count, which) in [(only_before, "earlier"), (only_after, "later")] {
        if count > 0 {
            let _ = write!(text, ", {count} only in the {which} run");
        }
    }
    let _ = writeln!(text, "{}", if lines.is_empty() { ", nothing changed" } else { "" });
    for (_, line) in &lines {
        let _ = writeln!(text, "{line}");
    }
    lines.iter().any(|(fine, _)| !fine)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(conclusion: &str, requirements: &[(&str, &str)], cases: &[(&str, &str)]) -> Value {
        let requirements = requirements.iter().map(|(id, state)| json!({"id": id, "state": state}));
        let cases = cases.iter().map(|(id, verdict)| json!({"id": id, "verdict": verdict}));
        json!({
            "version": VERSION, "conclusion": conclusion, "selective": false,
            "requirements": requirements.collect::<Value>(), "cases": cases.collect::<Value>(),
        })
    }

    fn compared(before: &Value, after: &Value) -> Difference {
        difference(&Outcome::of(before).unwrap(), &Outcome::of(after).unwrap())
    }

    #[test]
    fn worse_comes_first_and_is_told() {
        let report = |a, b| report("not-conformant", &[("r.a", a), ("r.b", b)], &[]);
        let worse = compared(&report("holds", "failed"), &report("failed", "holds"));
        assert!(worse.is_worse);
        let (first, second) = (
            worse.text.find("r.a: holds → failed"),
            worse.text.find("r.b: failed → holds"),
        );
        assert!(first.is_some() && first < second, "{}", worse.text);
        assert!(!compared(&report("failed", "holds"), &report("holds", "holds")).is_worse);
        assert!(compared(&report("holds", "holds"), &report("flaky", "holds")).is_worse);
    }

    #[test]
    fn what_was_good_and_is_gone_is_worse() {
        let whole = report(
            "conformant",
            &[("r.a", "holds"), ("r.b", "failed")],
            &[("a::x", "pass"), ("a::y", "fail")],
        );
        let no_requirement = report(
            "conformant",
            &[("r.b", "failed")],
            &[("a::x", "pass"), ("a::y", "fail")],
        );
        let no_case = report(
            "conformant",
            &[("r.a", "holds"), ("r.b", "failed")],
            &[("a::y", "fail")],
        );
        let skipped = report(
            "conformant",
            &[("r.a", "holds"), ("r.b", "failed")],
            &[("a::x", "skipped"), ("a::y", "fail")],
        );
        for after in [&no_requirement, &no_case, &skipped] {
            assert!(compared(&whole, after).is_worse, "{}", compared(&whole, after).text);
        }
        // What failed is not missed.
        let no_failures = report("conformant", &[("r.a", "holds")], &[("a::x", "pass")]);
        assert!(!compared(&whole, &no_failures).is_worse);
    }

    #[test]
    fn a_worse_conclusion_is_worse_by_itself() {
        let report = |conclusion| report(conclusion, &[], &[]);
        for (before, after) in [
            ("conformant", "not-conformant"),
            ("conformant", "undecided"),
            ("conformant", "nothing-run"),
            ("undecided", "not-conformant"),
        ] {
            assert!(compared(&report(before), &report(after)).is_worse, "{before} → {after}");
            assert!(
                !compared(&report(after), &report(before)).is_worse,
                "{after} → {before}"
            );
        }
    }

    #[test]
    fn a_choice_misses_nothing_and_says_so() {
        let whole = report(
            "conformant",
            &[("r.a", "holds"), ("r.b", "holds")],
            &[("a::x", "pass"), ("b::x", "pass"), ("c::x", "pass")],
        );
        let choice = |a: &str, x: &str| {
            let mut choice = report(
                "conformant",
                &[("r.a", a), ("r.b", "not-judged")],
                &[("a::x", x), ("b::x", "skipped")],
            );
            choice["selective"] = true.into();
            choice
        };
        let same = compared(&whole, &choice("holds", "pass"));
        assert!(!same.is_worse, "{}", same.text);
        assert!(
            same.text.contains("1 in both, 2 only in the earlier run"),
            "{}",
            same.text
        );
        assert!(compared(&whole, &choice("failed", "pass")).is_worse);
        assert!(compared(&whole, &choice("holds", "fail")).is_worse);
        // The other way round there is more than before.
        let more = compared(&choice("holds", "pass"), &whole);
        assert!(!more.is_worse, "{}", more.text);
        assert!(
            more.text.contains("1 in both, 2 only in the later run"),
            "{}",
            more.text
        );
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let good = report("conformant", &[("r.a", "holds")], &[("a::x", "pass")]);
        assert!(Outcome::of(&good).is_ok());
        let mut without = vec![json!({}), json!({"hello": 1}), json!([]), json!(null)];
        for member in ["version", "conclusion", "requirements", "cases"] {
            for wrong in [json!(null), json!("strange"), json!([{"id": "x"}])] {
                let mut report = good.clone();
                report[member] = wrong;
                without.push(report);
            }
        }
        for report in without {
            assert!(Outcome::of(&report).is_err(), "{report}");
        }
    }
}
