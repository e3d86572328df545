//! Says and writes all that a run leaves behind.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use jiff::ToSpan as _;

use super::options::Options;
use crate::engine::{Run, known};
use crate::report::{Judged, files, terminal};

/// A first file of known failures holds for so long.
const DAYS: i32 = 90;

pub(super) fn write(judged: &Judged, run: &Run, options: &Options, logs: &[String]) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let said = out.write_all(terminal::render(judged, run).as_bytes());
    said.map_err(|error| error.to_string())?;
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
        files::file(path, &known::written(&failed, expires))?;
    }
    let dir = &options.report;
    files::write(dir, judged, run, logs)?;
    writeln!(out, "Report: {}", dir.join("report.html").display()).map_err(|error| error.to_string())
}
