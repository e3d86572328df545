//! cargo-deny: advisories, licences, duplicates, sources. The rules are in `deny.toml`.

use std::path::Path;

use crate::steps::{Outcome, cargo, finish};

const MISSING: &str = "cargo-deny is missing; install it once with: cargo install --locked cargo-deny";
const UNCHECKED: &str = "advisories were NOT checked: their database could not be fetched";

/// Without a network the advisories cannot be judged, which is said and is no failure; the rest can.
pub fn run(root: &Path) -> Outcome {
    let installed = cargo(root).args(["deny", "--version"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("{MISSING}");
        return Outcome::Failed;
    }
    let fetched = cargo(root).args(["deny", "fetch", "db"]).output();
    match fetched {
        Ok(output) if output.status.success() => finish(cargo(root).args(["deny", "check", "--disable-fetch"])),
        Ok(output) => {
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            eprintln!("{UNCHECKED}");
            match finish(cargo(root).args(["deny", "check", "licenses", "bans", "sources"])) {
                Outcome::Passed => Outcome::Partly(UNCHECKED.into()),
                other => other,
            }
        }
        Err(error) => {
            eprintln!("cannot run cargo deny: {error}");
            Outcome::Failed
        }
    }
}
