//! What the compiler does not check: the floors, the length of files, names, and that the picture in ARCHITECTURE.md is the
//! tree. What is allowed is data, in `rules`.

mod floors;
mod manifests;
mod names;
mod picture;
mod rules;
mod source;
mod tree;

use std::fmt;
use std::path::Path;

use self::tree::Tree;
use crate::steps::Outcome;

/// Something that is not as it must be, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub file: String,
    pub line: usize,
    pub wrong: String,
    pub remedy: String,
}

impl Finding {
    pub fn new(file: &str, line: usize, wrong: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            wrong: wrong.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    {}", self.file, self.line, self.wrong, self.remedy)
    }
}

/// Checks the tree at `root` and prints what is wrong.
pub fn run(root: &Path) -> Outcome {
    let tree = match Tree::of_git(root) {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("tidy cannot list the files of {}: {error}", root.display());
            return Outcome::Failed;
        }
    };
    let (findings, long) = judge(&tree);
    for (lines, file) in &long {
        eprintln!("note: {file} has {lines} lines; few files have over {}", rules::LONG);
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        Outcome::Passed
    } else {
        eprintln!("tidy: {} to mend", findings.len());
        Outcome::Failed
    }
}

/// Everything wrong by the rules of the house, and the long files beside.
fn judge(tree: &Tree) -> (Vec<Finding>, Vec<(usize, String)>) {
    let (mut findings, long) = names::lengths(tree, rules::LONG, rules::LONGEST);
    findings.extend(names::banned(tree, rules::BANNED_NAMES));
    findings.extend(manifests::check(tree, rules::PACKAGES));
    findings.extend(floors::modules(
        tree,
        rules::MODULES,
        rules::ROOT_ITEMS,
        rules::TOLERATED,
    ));
    findings.extend(floors::kept(tree, rules::KEPT));
    findings.extend(picture::check(tree, rules::DRAWN_WHOLE));
    findings.sort();
    (findings, long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_tree_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let (findings, _) = judge(&Tree::of_git(root).unwrap());
        let all: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(findings.is_empty(), "{}", all.join("\n"));
    }

    #[test]
    fn a_finding_says_where_and_what_to_do() {
        let finding = Finding::new("a/b.rs", 7, "it is wrong", "Do it right.");
        assert_eq!(finding.to_string(), "a/b.rs:7: it is wrong\n    Do it right.");
    }
}
