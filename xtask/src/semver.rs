//! cargo-semver-checks: that what is published breaks nobody without saying so by its version.

use std::path::Path;

use crate::steps::{Outcome, cargo, finish};

/// What others build on.
const PUBLISHED: [&str; 2] = ["chat-protocol", "chat-client"];
const MISSING: &str = "semver was NOT checked: install it once with: cargo install --locked cargo-semver-checks";
const UNRELEASED: &str = "semver was NOT checked: there is no release to compare with (a tag v*)";

/// Against the newest release in this repository. Without the program or a release, that is said and is no failure.
pub fn run(root: &Path) -> Outcome {
    let tag = std::process::Command::new("git")
        .current_dir(root)
        .args(["describe", "--tags", "--abbrev=0", "--match", "v*"])
        .output();
    let tag = tag.ok().filter(|output| output.status.success());
    let Some(tag) = tag.and_then(|output| String::from_utf8(output.stdout).ok()) else {
        eprintln!("{UNRELEASED}");
        return Outcome::Partly(UNRELEASED.into());
    };
    let installed = cargo(root).args(["semver-checks", "--version"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("{MISSING}");
        return Outcome::Partly(MISSING.into());
    }
    let mut check = cargo(root);
    check.args(["semver-checks", "--baseline-rev", tag.trim()]);
    for package in PUBLISHED {
        check.args(["--package", package]);
    }
    finish(&mut check)
}
