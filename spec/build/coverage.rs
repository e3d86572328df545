//! Reads which cells of the coverage matrix need not be reached. What the cells are is known where they are counted.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::Result;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    unreachable: Vec<Unreachable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unreachable {
    pub(crate) cells: String,
    pub(crate) reason: String,
}

pub(crate) fn read(path: &Path) -> Result<Vec<Unreachable>> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    for entry in &file.unreachable {
        if entry.cells.split('/').count() < 2 || !entry.reason.ends_with('.') {
            return Err(format!(
                "{}: {:?} is no pattern of cells, or its reason no sentence",
                path.display(),
                entry.cells
            ));
        }
    }
    Ok(file.unreachable)
}
