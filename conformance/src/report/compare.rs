//! What changed between two runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::engine::Verdict;

/// The difference.
pub struct Difference {
    pub text: String,
    /// Something passes no more, or a requirement that was judged is not any more.
    pub is_worse: bool,
}

/// Compares two reports.
///
/// # Errors
///
/// When one of them cannot be read.
pub fn files(before: &Path, after: &Path) -> Result<Difference, String> {
    Ok(difference(&read(before)?, &read(after)?))
}

fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// What of `list` is in the state `value`, by id.
fn by_id<'a>(report: &'a Value, list: &str, value: &str) -> BTreeMap<&'a str, &'a str> {
    let items = report[list].as_array().into_iter().flatten();
    items
        .filter_map(|item| Some((item["id"].as_str()?, item[value].as_str()?)))
        .collect()
}

/// Compares two reports.
pub fn difference(before: &Value, after: &Value) -> Difference {
    let mut text = String::new();
    let mut is_worse = false;
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{} → {}", before["conclusion"], after["conclusion"]);
    let verdicts = Verdict::ALL.map(Verdict::name);
    // From the best to the worst.
    let states = ["holds", "noted", "known", "not-judged", "failed"];
    for (list, value, order) in [("requirements", "state", &states[..]), ("cases", "verdict", &verdicts)] {
        let rank = |name: &str| order.iter().position(|known| *known == name).unwrap_or(0);
        let (old, new) = (by_id(before, list, value), by_id(after, list, value));
        let mut lines = Vec::new();
        for (id, now) in &new {
            match old.get(id) {
                Some(then) if then == now => {}
                Some(then) => {
                    let worse = rank(now) > rank(then);
                    is_worse |= worse;
                    lines.push((
                        !worse,
                        format!("  {} {id}: {then} → {now}", if worse { '✗' } else { '✓' }),
                    ));
                }
                None => lines.push((true, format!("  + {id}: {now}"))),
            }
        }
        for (id, then) in old.iter().filter(|(id, _)| !new.contains_key(*id)) {
            lines.push((true, format!("  - {id}: was {then}")));
        }
        // What got worse comes first.
        lines.sort();
        let _ = writeln!(
            text,
            "{list}: {}",
            if lines.is_empty() { "nothing changed" } else { "" }
        );
        for (_, line) in lines {
            let _ = writeln!(text, "{line}");
        }
    }
    Difference { text, is_worse }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn worse_comes_first_and_is_told() {
        let report = |conclusion: &str, a: &str, b: &str| json!({"conclusion": conclusion, "requirements": [{"id": "r.a", "state": a}, {"id": "r.b", "state": b}], "cases": []});
        let worse = difference(
            &report("conformant", "holds", "failed"),
            &report("not-conformant", "failed", "holds"),
        );
        assert!(worse.is_worse);
        let (first, second) = (
            worse.text.find("r.a: holds → failed"),
            worse.text.find("r.b: failed → holds"),
        );
        assert!(first.is_some() && first < second, "{}", worse.text);
        let better = difference(&report("x", "failed", "holds"), &report("x", "holds", "holds"));
        assert!(!better.is_worse);
    }
}
