//! What people and CI systems read: a table in the terminal, one page of HTML, JUnit, Markdown.

mod figures;
mod html;
mod junit;
mod markdown;
mod terminal;

use std::io;
use std::path::{Path, PathBuf};

use crate::result::{FileError, RunResult};

pub use self::figures::{millis, thousands};
pub use self::html::render as html;
pub use self::junit::render as junit;
pub use self::markdown::render as markdown;
pub use self::terminal::{compared, render as terminal, trial_line};

/// A report cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Result(#[from] FileError),
}

/// What goose writes of itself.
const GOOSE: [&str; 2] = ["goose.html", "goose.json"];

/// Makes the directory.
///
/// # Errors
///
/// When it cannot be made.
pub fn prepare(directory: &Path) -> Result<(), ReportError> {
    std::fs::create_dir_all(directory).map_err(|error| ReportError::Io {
        path: directory.to_owned(),
        error,
    })
}

/// Options for goose that have it write its own reports beside ours.
#[must_use]
pub fn goose_files(directory: &Path) -> Vec<String> {
    let files = GOOSE.iter().map(|file| directory.join(file).display().to_string());
    files.flat_map(|file| ["--report-file".to_owned(), file]).collect()
}

/// Writes all of them.
///
/// # Errors
///
/// When one cannot be written.
pub fn write(result: &RunResult, directory: &Path) -> Result<(), ReportError> {
    prepare(directory)?;
    result.write(&directory.join("result.json"))?;
    let beside = GOOSE.iter().any(|file| directory.join(file).exists());
    for (file, text) in [
        ("report.html", html(result, beside)),
        ("junit.xml", junit(result)),
        ("summary.md", markdown(result)),
    ] {
        let path = directory.join(file);
        std::fs::write(&path, text).map_err(|error| ReportError::Io { path, error })?;
    }
    Ok(())
}
