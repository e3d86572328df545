//! Every form of the report, in one directory.

use std::path::{Path, PathBuf};

use super::{Judged, badge, html, json, junit, markdown};
use crate::engine::Run;

/// What nobody may take for the verdict of a later run that never began: all but report.json, which says what to run again.
const OF_A_VERDICT: [&str; 4] = ["report.html", "junit.xml", "summary.md", "badge.json"];

/// Makes the directory, and looks whether something can be written there: before a run, for a verdict that nobody can read is lost.
/// The verdict of an earlier run is removed.
///
/// # Errors
///
/// Why not, and what to do.
pub fn prepare(directory: &Path) -> Result<(), String> {
    let probe = directory.join(".writable");
    let tried = std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&probe, ""))
        .and_then(|()| std::fs::remove_file(&probe))
        .and_then(|()| OF_A_VERDICT.iter().try_for_each(|name| remove(&directory.join(name))))
        .and_then(|()| {
            (1..)
                .map(|number| log_of(directory, number))
                .take_while(|log| log.exists())
                .try_for_each(|log| remove(&log))
        });
    tried.map_err(|error| {
        format!(
            "no report can be written to {}: {error}. Choose another place by --report, or, in a container, be who owns it: \
             docker run --user \"$(id -u):$(id -g)\"",
            directory.display()
        )
    })
}

fn log_of(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("server-{number}.log"))
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Says where a verdict would be why there is none.
///
/// # Errors
///
/// Which file cannot be written, and why.
pub fn write_not_run(directory: &Path, why: &str) -> Result<(), String> {
    file(&directory.join("junit.xml"), &junit::not_run(why)?)?;
    file(&directory.join("summary.md"), &markdown::not_run(why))
}

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
        file(&log_of(directory, number + 1), log)?;
    }
    Ok(())
}

pub fn file(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
