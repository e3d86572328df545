//! Says and writes all that a run leaves behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::ToSpan as _;

use super::options::Options;
use crate::engine::{Run, known};
use crate::report::{Judged, files, terminal};

/// A first file of known failures holds for so long.
const DAYS: i32 = 90;

/// Looks whether a first file of known failures can be written: before a run, whose results would be lost otherwise.
///
/// # Errors
///
/// Why not, and what to do.
pub(super) fn prepare_known(path: &Path) -> Result<(), String> {
    let shown = path.display();
    match new(path) {
        Ok(_) => fs::remove_file(path).map_err(|error| format!("--write-known {shown}: {error}")),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(format!(
            "--write-known {shown}: there is such a file, which would be lost with its reasons. Choose another name and take over \
             what is new, or remove it"
        )),
        Err(error) => Err(format!("--write-known {shown}: it cannot be written: {error}")),
    }
}

/// The file, which there was not.
fn new(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

pub(super) fn write(judged: &Judged, run: &Run, options: &Options, logs: &[String]) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let said = out.write_all(terminal::render(judged, run).as_bytes());
    let dir = &options.report;
    // Whoever does not listen can still read.
    files::write(dir, judged, run, logs)?;
    said.map_err(|error| error.to_string())?;
    writeln!(out, "Report: {}", dir.join("report.html").display()).map_err(|error| error.to_string())?;
    match &options.write_known {
        Some(path) => write_known(path, judged, run),
        None => Ok(()),
    }
}

fn write_known(path: &Path, judged: &Judged, run: &Run) -> Result<(), String> {
    let mut failed = BTreeMap::new();
    for (result, _) in judged.each(run) {
        let failures = result.tally.failures.iter();
        for failure in failures.filter(|failure| judged.terms.counts(failure.requirement)) {
            failed.entry(failure.requirement.id).or_insert_with(|| result.case.id());
        }
    }
    let failed: Vec<(&str, &str)> = failed.iter().map(|(id, case)| (*id, case.as_str())).collect();
    let text = known::written(&failed, judged.today.saturating_add(DAYS.days()));
    let written = new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("--write-known {}: {error}", path.display()))
}
