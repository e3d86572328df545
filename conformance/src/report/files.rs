//! Every form of the report, in one directory.

use std::path::Path;

use super::{Judged, badge, html, json, junit, markdown};
use crate::engine::Run;

/// Writes all forms of the report, and beside them what the servers wrote.
///
/// # Errors
///
/// Which file cannot be written, and why.
pub fn write(directory: &Path, judged: &Judged, run: &Run, logs: &[String]) -> Result<(), String> {
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for (name, text) in [
        ("report.html", html::render(judged, run)),
        ("report.json", json::render(judged, run)),
        ("junit.xml", junit::render(judged, run)?),
        ("summary.md", markdown::render(judged, run)),
        ("badge.json", badge::render(judged)),
    ] {
        file(&directory.join(name), &text)?;
    }
    for (number, log) in logs.iter().enumerate().filter(|(_, log)| !log.is_empty()) {
        file(&directory.join(format!("server-{}.log", number + 1)), log)?;
    }
    Ok(())
}

pub fn file(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
