//! How long files are, and what they are called.

use super::Finding;
use super::source::Source;
use super::tree::Tree;

/// Rust files with more lines than `longest`, and those with more than `long` beside, longest first.
pub fn lengths(tree: &Tree, long: usize, longest: usize) -> (Vec<Finding>, Vec<(usize, String)>) {
    let (mut findings, mut listed) = (Vec::new(), Vec::new());
    for file in tree.rust_files() {
        let lines = match tree.read(file) {
            Ok(text) => text.lines().count(),
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        if lines > longest {
            let wrong = format!("has {lines} lines, more than {longest}");
            let remedy = "Split it by what its parts are about.";
            findings.push(Finding::new(file, longest + 1, wrong, remedy));
        } else if lines > long {
            listed.push((lines, file.to_owned()));
        }
    }
    listed.sort_by(|a, b| b.cmp(a));
    (findings, listed)
}

/// Modules with a banned name: files, folders with Rust files, and those inside a file.
pub fn banned(tree: &Tree, names: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |file: &str, line: usize, name: &str| {
        let wrong = format!("a module named `{name}` says nothing about what is inside");
        findings.push(Finding::new(
            file,
            line,
            wrong,
            "Name it by what it is, or move each part to where it belongs.",
        ));
    };
    for file in tree.rust_files() {
        let path = file.trim_end_matches(".rs");
        if let Some(name) = path.split('/').find(|part| names.contains(part)) {
            say(file, 1, name);
        }
        // A file that does not lex is said by the floors.
        let modules = tree.read(file).ok().and_then(|text| Source::read(&text, 0).ok());
        for module in modules.into_iter().flat_map(|source| source.modules) {
            if names.contains(&module.name.as_str()) {
                say(file, module.line, &module.name);
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tree::scratch::Scratch;
    use super::*;

    #[test]
    fn long_files_are_listed_and_longer_ones_refused() {
        let lines = |count: usize| "//\n".repeat(count);
        let scratch = Scratch::with(&[
            ("a/src/four.rs", &lines(4)),
            ("a/src/five.rs", &lines(5)),
            ("a/src/eight.rs", &lines(8)),
            ("a/src/nine.rs", &lines(9)),
            ("a/notes.md", &lines(100)),
        ]);
        let (findings, listed) = lengths(&scratch.tree(), 4, 8);
        assert_eq!(listed, [(8, "a/src/eight.rs".into()), (5, "a/src/five.rs".into())]);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].file.as_str(), findings[0].line), ("a/src/nine.rs", 9));
    }

    #[test]
    fn banned_names_are_found_as_files_folders_and_inside() {
        let scratch = Scratch::with(&[
            ("a/src/utils.rs", ""),
            ("a/src/common/time.rs", ""),
            ("a/src/fine.rs", "fn f() {}\nmod helpers { }"),
            ("a/src/utility.rs", "use core::fmt;"),
            ("docs/common/text.md", ""),
        ]);
        let findings = banned(&scratch.tree(), &["utils", "common", "helpers", "core"]);
        let places: Vec<_> = findings.iter().map(|f| (f.file.as_str(), f.line)).collect();
        assert_eq!(
            places,
            [("a/src/common/time.rs", 1), ("a/src/fine.rs", 2), ("a/src/utils.rs", 1)]
        );
    }
}
