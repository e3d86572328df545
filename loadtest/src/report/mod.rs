//! What people and CI systems read: a table in the terminal, one page of HTML, JUnit, Markdown.

mod figures;
mod html;
mod junit;
mod markdown;
mod terminal;

use std::io;
use std::path::{Path, PathBuf};

use crate::replace;
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

/// The file that everything else is made of.
pub const RESULT: &str = "result.json";
/// What is made of it.
const PAGES: [&str; 3] = ["report.html", "junit.xml", "summary.md"];
/// What goose writes of itself: a page, and its figures.
const GOOSE: [&str; 2] = ["goose.html", "goose.json"];

/// Makes the directory of a run that is about to be made, and sees that its reports can be written there.
///
/// # Errors
///
/// When it cannot be made, or written in.
pub fn check(directory: &Path) -> Result<(), ReportError> {
    prepare(directory)?;
    replace::may(&directory.join(RESULT)).map_err(|error| ReportError::Io {
        path: directory.to_owned(),
        error,
    })
}

/// Removes the reports of an earlier run: those of one that comes to nothing are not to be taken for its own.
///
/// # Errors
///
/// When one cannot be removed.
pub fn clear(directory: &Path) -> Result<(), ReportError> {
    for file in [RESULT].iter().chain(&PAGES).chain(&GOOSE) {
        let path = directory.join(file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(ReportError::Io { path, error }),
            _ => {}
        }
    }
    Ok(())
}

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

/// Writes all of them, and the result.
///
/// # Errors
///
/// When one cannot be written.
pub fn write(result: &RunResult, directory: &Path) -> Result<(), ReportError> {
    prepare(directory)?;
    result.write(&directory.join(RESULT))?;
    write_pages(result, directory, true)
}

/// Writes what is made of a result. `own`: whether the directory is that of its run, so that goose's page there is of the same run.
///
/// # Errors
///
/// When one cannot be written.
pub fn write_pages(result: &RunResult, directory: &Path, own: bool) -> Result<(), ReportError> {
    // Neither for a search nor for parts that are made one does goose write any: what is there is of an earlier run.
    let has_one = own && result.capacity.is_none() && result.shards.len() == 1;
    let [page, _] = GOOSE;
    let beside = has_one && directory.join(page).exists();
    let texts = [html(result, beside), junit(result), markdown(result)];
    for (file, text) in PAGES.iter().zip(texts) {
        let path = directory.join(file);
        std::fs::write(&path, text).map_err(|error| ReportError::Io { path, error })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::{Capacity, End};
    use crate::cast::Shard;
    use crate::latency::Recorder;
    use crate::ledger::Balance;
    use crate::result::fixture::result;
    use crate::tally::Tally;

    #[test]
    fn sums_that_do_not_fit_are_a_case_of_their_own() {
        let ledger = Balance {
            sent: 2,
            acked: 2,
            owed: 2,
            told: 2,
            ..Balance::default()
        };
        let failures = |change: fn(&mut Balance)| {
            let mut ledger = ledger.clone();
            change(&mut ledger);
            let text = junit(&result(&Recorder::default(), Tally::default(), ledger, Shard::WHOLE));
            let cases = text.split("<testcase ").skip(1);
            let failed = cases.filter(|case| case.contains("<failure") && case.contains("\"ledger"));
            failed
                .map(|case| case.split('"').nth(1).unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert!(failures(|_| {}).is_empty());
        assert_eq!(failures(|ledger| ledger.told = 1), ["ledger: its sums fit"]);
        assert_eq!(failures(|ledger| ledger.sent = 3), ["ledger: its sums fit"]);
        let missed = |ledger: &mut Balance| (ledger.told, ledger.missed) = (1, 1);
        assert_eq!(failures(missed), ["ledger: none is missed"]);
    }

    #[test]
    fn the_legend_names_what_is_drawn() {
        let legend = |acked: u64| {
            let mut tally = Tally::default();
            for second in 0..20 {
                let counts = tally.at(second);
                (counts.offered, counts.done) = (5, 5);
                (counts.acked, counts.delivered) = (acked, acked);
            }
            let page = html(
                &result(&Recorder::default(), tally, Balance::default(), Shard::WHOLE),
                false,
            );
            let section = page.split("Offered and achieved").nth(1).unwrap();
            let legend = section.split("class=\"legend\"").nth(1).unwrap();
            legend.split("</p>").next().unwrap().to_owned()
        };
        for name in ["acknowledged", "delivered"] {
            assert!(legend(5).contains(name) && !legend(0).contains(name), "{}", legend(0));
        }
        assert!(legend(0).contains("done"));
    }

    #[test]
    fn every_part_of_a_merged_run_is_repeated_by_its_own_command() {
        let part = |index: usize| RunResult {
            command: ["chat-loadtest", "run", "--shard"]
                .map(str::to_owned)
                .into_iter()
                .chain([format!("{}/2", index + 1)])
                .collect(),
            ..result(
                &Recorder::default(),
                Tally::default(),
                Balance::default(),
                Shard { index, count: 2 },
            )
        };
        let merged = crate::result::merge(&[part(1), part(0)]).unwrap();
        let page = html(&merged, false);
        assert!(
            page.contains("chat-loadtest run --shard 1/2\nchat-loadtest run --shard 2/2<"),
            "{page}"
        );
        assert!(html(&part(1), false).contains("<code>chat-loadtest run --shard 2/2<"));
    }

    #[test]
    fn only_the_page_that_goose_wrote_of_this_run_is_linked() {
        let directory = tempfile::tempdir().unwrap();
        let is_linked = |result: &RunResult| {
            write(result, directory.path()).unwrap();
            let page = std::fs::read_to_string(directory.path().join("report.html")).unwrap();
            page.contains("href=\"goose.html\"")
        };
        let run = result(&Recorder::default(), Tally::default(), Balance::default(), Shard::WHOLE);
        assert!(!is_linked(&run));
        std::fs::write(directory.path().join("goose.html"), "of a run").unwrap();
        assert!(is_linked(&run));
        let searched = RunResult {
            capacity: Some(Capacity {
                lower: 1.0,
                upper: None,
                confirmed: false,
                end: End::Generator,
                trials: Vec::new(),
            }),
            ..run.clone()
        };
        assert!(!is_linked(&searched));
        let merged = RunResult {
            shards: [0, 1].map(|index| Shard { index, count: 2 }).into(),
            ..run
        };
        assert!(!is_linked(&merged));
    }
}
