//! `openapi.yaml` and `asyncapi.yaml` before their formats' own validators, which are npm packages.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::steps::{Outcome, finish};

const UNCHECKED: &str = "openapi.yaml and asyncapi.yaml were NOT validated: there is no npm";

/// Without npm the documents cannot be judged, which is said and is no failure: the tests of chat-spec check them too.
pub fn run(root: &Path) -> Outcome {
    let npm = || {
        let mut npm = Command::new("npm");
        npm.current_dir(root.join("spec/validate"));
        npm
    };
    if npm().arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("{UNCHECKED}");
        return Outcome::Partly(UNCHECKED.into());
    }
    match finish(npm().args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])) {
        Outcome::Passed => finish(npm().args(["test", "--silent"])),
        failed => failed,
    }
}
