//! Writes all that a run leaves behind.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::ToSpan as _;

use super::options::Options;
use crate::engine::{Run, known};
use crate::report::{Judged, badge, html, json, junit, markdown, terminal};

/// A first file of known failures holds for so long.
const DAYS: i32 = 90;

pub(super) fn write(judged: &Judged, run: &Run, options: &Options, logs: &[String]) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let said = out.write_all(terminal::render(judged, run).as_bytes());
    said.map_err(|error| error.to_string())?;
    let dir = &options.report;
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for (name, text) in [
        ("report.html", html::render(judged, run)),
        ("report.json", json::render(judged, run)),
        ("junit.xml", junit::render(judged, run)?),
        ("summary.md", markdown::render(judged, run)),
        ("badge.json", badge::render(judged)),
    ] {
        file(&dir.join(name), &text)?;
    }
    for (number, log) in logs.iter().enumerate().filter(|(_, log)| !log.is_empty()) {
        file(&dir.join(format!("server-{}.log", number + 1)), log)?;
    }
    if let Some(path) = &options.write_known {
        let mut failed = BTreeMap::new();
        for (result, _) in judged.each(run) {
            for failure in result
                .tally
                .failures
                .iter()
                .filter(|failure| judged.terms.counts(failure.requirement))
            {
                failed.entry(failure.requirement.id).or_insert_with(|| result.case.id());
            }
        }
        let failed: Vec<(&str, &str)> = failed.iter().map(|(id, case)| (*id, case.as_str())).collect();
        let expires = judged.today.saturating_add(DAYS.days());
        file(path, &known::written(&failed, expires))?;
    }
    writeln!(out, "Report: {}", dir.join("report.html").display()).map_err(|error| error.to_string())
}

fn file(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
