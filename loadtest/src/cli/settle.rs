//! The commands that make no run: they read results.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Failed, code, print, say};
use crate::compare::{self, Judgement, Run};
use crate::report;
use crate::result::{self, RunResult};

pub(super) fn compare(base: &Path, new: &Path, tolerance: f64, markdown: Option<&Path>) -> Result<ExitCode, Failed> {
    if !(tolerance.is_finite() && tolerance >= 0.0) {
        return Err(Failed::usage("--tolerance is a part, such as 0.05"));
    }
    let (base, new) = (side(base)?, side(new)?);
    let comparison = compare::compare(&base, &new, tolerance).map_err(Failed::harness)?;
    let text = report::compared(&comparison);
    print(&text)?;
    if let Some(path) = markdown {
        std::fs::write(path, format!("```\n{text}```\n"))
            .map_err(|error| Failed::harness(format!("{}: {error}", path.display())))?;
    }
    Ok(ExitCode::from(match comparison.outcome {
        Judgement::Better | Judgement::Same | Judgement::NotWorse => 0,
        Judgement::Worse => 1,
        Judgement::Unsure | Judgement::TooFew => 5,
    }))
}

/// The runs of a side: a file is one, a directory each whose reports are in it or in one of its directories.
fn side(path: &Path) -> Result<Vec<Run>, Failed> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = results_in(path).map_err(|error| Failed::usage(format!("{}: {error}", path.display())))?;
        if files.is_empty() {
            return Err(Failed::usage(format!(
                "{0}: there is no {1} in it nor in a directory of it: name a {1}, or give each run a --report {2}",
                path.display(),
                report::RESULT,
                path.join("1").display()
            )));
        }
    }
    let runs = files.into_iter().map(|file| {
        let result = read(&file)?;
        Ok(Run { file, result })
    });
    runs.collect()
}

/// By path.
fn results_in(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut places = vec![directory.to_owned()];
    for entry in std::fs::read_dir(directory)? {
        let place = entry?.path();
        if place.is_dir() {
            places.push(place);
        }
    }
    let mut files = Vec::new();
    for file in places.iter().map(|place| place.join(report::RESULT)) {
        if file.try_exists()? {
            files.push(file);
        }
    }
    files.sort_unstable();
    Ok(files)
}

pub(super) fn merge(paths: &[PathBuf], directory: &Path) -> Result<ExitCode, Failed> {
    let place = directory.join(report::RESULT);
    let there = place.canonicalize().ok();
    if there.is_some() && paths.iter().any(|path| path.canonicalize().ok() == there) {
        return Err(Failed::usage(format!(
            "{} is one of the parts, and the whole would take its place: name another directory by --report",
            place.display()
        )));
    }
    let parts: Vec<RunResult> = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let whole = result::merge(&parts).map_err(Failed::usage)?;
    // What is made of the same parts once more is the same to the last letter.
    let written = there.and_then(|there| std::fs::read(there).ok());
    if written.is_some_and(|written| serde_json::to_vec(&whole).ok() != Some(written)) {
        return Err(is_another(&place));
    }
    report::write(&whole, directory).map_err(Failed::harness)?;
    print(&report::terminal(&whole, directory))?;
    Ok(code(whole.verdict.outcome))
}

pub(super) fn report(path: &Path, directory: Option<&Path>) -> Result<ExitCode, Failed> {
    let result = read(path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let beside = parent.unwrap_or(Path::new("."));
    let directory = directory.unwrap_or(beside);
    report::prepare(directory).map_err(Failed::harness)?;
    let place = directory.join(report::RESULT);
    let is_beside = directory.canonicalize().ok() == beside.canonicalize().ok();
    if !is_beside {
        if place.exists() && read(&place).ok().as_ref() != Some(&result) {
            return Err(is_another(&place));
        }
        result.write(&place).map_err(Failed::harness)?;
    }
    let anew = result.judged_anew();
    if let Some(anew) = &anew {
        say(&format!("beware: {}", anew.verdict.reasons.join("; ")));
    }
    let result = anew.unwrap_or(result);
    // A page of goose's that lies there is of the result that lies there.
    let own = place.canonicalize().ok() == path.canonicalize().ok();
    report::write_pages(&result, directory, own).map_err(Failed::harness)?;
    print(&report::terminal(&result, directory))?;
    Ok(ExitCode::SUCCESS)
}

/// What lies there is not to be lost.
fn is_another(place: &Path) -> Failed {
    Failed::usage(format!(
        "{} is another result: name a directory without one by --report",
        place.display()
    ))
}

fn read(path: &Path) -> Result<RunResult, Failed> {
    RunResult::read(path).map_err(Failed::usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::Shard;
    use crate::latency::Recorder;
    use crate::ledger::Balance;
    use crate::result::fixture::result;
    use crate::tally::Tally;

    #[test]
    fn a_whole_takes_the_place_of_no_part_and_of_no_other_result() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let part = |index: usize, sent: u64| {
            let ledger = Balance {
                sent,
                ..Balance::default()
            };
            let part = result(
                &Recorder::default(),
                Tally::default(),
                ledger,
                Shard { index, count: 2 },
            );
            let path = place(&index.to_string());
            std::fs::create_dir_all(&path).unwrap();
            part.write(&path.join(report::RESULT)).unwrap();
            path.join(report::RESULT)
        };
        let parts = [part(0, 1), part(1, 1)];
        let code = |directory: &str| merge(&parts, &place(directory)).err().map(|failed| failed.code);
        assert_eq!(code("1"), Some(2));
        assert_eq!(RunResult::read(&parts[1]).unwrap().shards.len(), 1);
        assert_eq!((code("whole"), code("whole")), (None, None), "once more");
        part(0, 2);
        assert_eq!(code("whole"), Some(2));
        assert_eq!(code("another"), None);
    }
}
