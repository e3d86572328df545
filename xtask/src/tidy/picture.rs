//! That the picture of the tree in ARCHITECTURE.md is the tree.
//!
//! The picture is the fenced block marked `tree`. Each line has one name or several, two more blanks deep for each folder it is
//! in; folders end in a slash; two blanks or more begin the remark.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

const FILE: &str = "ARCHITECTURE.md";
const MARK: &str = "```tree";

/// What is drawn: paths, those of folders with a slash at the end, and their lines.
type Drawn = BTreeMap<String, usize>;

/// Everything drawn must exist; every folder of the root, and all of `whole`, must be drawn.
pub fn check(tree: &Tree, whole: &[&str]) -> Vec<Finding> {
    let text = match tree.read(FILE) {
        Ok(text) => text,
        Err(finding) => return vec![finding],
    };
    let (drawn, start, mut findings) = parse(&text);
    if start == 0 {
        return vec![Finding::new(
            FILE,
            1,
            "there is no picture of the tree",
            format!("Draw it in a block marked {MARK}."),
        )];
    }
    for (path, line) in &drawn {
        let (exists, kind) = match path.strip_suffix('/') {
            Some(dir) => (tree.has_dir(dir), "folder"),
            None => (tree.has_file(path), "file"),
        };
        if !exists {
            let remedy = "Correct the picture; folders end in a slash, a remark begins after two blanks.";
            findings.push(Finding::new(FILE, *line, format!("there is no {kind} {path}"), remedy));
        }
    }
    let root = tree
        .entries("")
        .into_iter()
        .filter(|entry| entry.ends_with('/'))
        .map(str::to_owned);
    let inside = whole.iter().flat_map(|dir| {
        let entries = tree
            .entries(dir)
            .into_iter()
            .filter(|entry| entry.ends_with('/') || entry.ends_with(".rs"));
        entries.map(move |entry| format!("{dir}/{entry}"))
    });
    for path in root.chain(inside) {
        let is_drawn = drawn
            .keys()
            .any(|known| *known == path || (path.ends_with('/') && known.starts_with(&path)));
        if !is_drawn {
            let remedy = "Draw it, and say in a few words what it is for.";
            findings.push(Finding::new(
                FILE,
                start,
                format!("{path} is not in the picture"),
                remedy,
            ));
        }
    }
    findings
}

/// The picture, the line where it begins (0: nowhere), and what cannot be read of it.
fn parse(text: &str) -> (Drawn, usize, Vec<Finding>) {
    let (mut drawn, mut start, mut findings) = (Drawn::new(), 0, Vec::new());
    let mut folders: Vec<String> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if start == 0 {
            if line.trim_end() == MARK {
                start = index + 1;
            }
            continue;
        }
        if line.starts_with("```") {
            break;
        }
        let body = line.trim_start();
        let blanks = line.len() - body.len();
        let depth = blanks / 2;
        if body.is_empty() {
            continue;
        }
        if blanks % 2 == 1 || depth > folders.len() {
            let remedy =
                "Begin it two blanks deeper than its folder, which is the last line above that ends in a slash.";
            findings.push(Finding::new(FILE, index + 1, "this line is in no folder", remedy));
            continue;
        }
        folders.truncate(depth);
        let inside = folders.last().cloned().unwrap_or_default();
        let names = body.split("  ").next().unwrap_or_default();
        for name in names.split(' ') {
            drawn.insert(format!("{inside}{name}"), index + 1);
            if name.ends_with('/') {
                folders.truncate(depth);
                folders.push(format!("{inside}{name}"));
            }
        }
    }
    (drawn, start, findings)
}

#[cfg(test)]
mod tests {
    use super::super::tree::scratch::Scratch;
    use super::*;

    const FILES: &[(&str, &str)] = &[
        ("Cargo.toml", ""),
        ("README.md", ""),
        ("server/src/app.rs", ""),
        ("server/src/http/mod.rs", ""),
        ("server/src/notes.txt", ""),
        (".ci/run", ""),
    ];
    const TRUE: &str = "# Map\n```tree\nCargo.toml README.md  two files, and words\n.ci/run\nserver/  the server\n  src/\n    \
                        app.rs    what handlers get\n    http/\n      mod.rs\n```\n";

    fn found(picture: &str) -> Vec<String> {
        let scratch = Scratch::with(FILES);
        scratch.write("ARCHITECTURE.md", picture);
        let findings = check(&scratch.tree(), &["server/src"]);
        findings.iter().map(|f| format!("{} {}", f.line, f.wrong)).collect()
    }

    #[test]
    fn a_true_picture_passes() {
        assert_eq!(found(TRUE), [""; 0]);
    }

    #[test]
    fn what_is_drawn_must_exist() {
        assert_eq!(
            found(&TRUE.replace("README.md", "README.md NOTES.md")),
            ["3 there is no file NOTES.md"]
        );
        assert_eq!(
            found(&TRUE.replace("      mod.rs", "      mod.rs\n      body.rs  gone")),
            ["10 there is no file server/src/http/body.rs"]
        );
        assert_eq!(
            found(&TRUE.replace("README.md", "README.md/")),
            ["3 there is no folder README.md/"]
        );
    }

    #[test]
    fn what_exists_must_be_drawn() {
        assert_eq!(found(&TRUE.replace(".ci/run\n", "")), ["2 .ci/ is not in the picture"]);
        assert_eq!(
            found(&TRUE.replace("    app.rs    what handlers get\n", "")),
            ["2 server/src/app.rs is not in the picture"]
        );
        assert_eq!(
            found(&TRUE.replace("    http/\n      mod.rs\n", "")),
            ["2 server/src/http/ is not in the picture"]
        );
    }

    #[test]
    fn a_line_in_no_folder_and_no_picture_are_said() {
        assert_eq!(
            found(&TRUE.replace(".ci/run", "  .ci/run"))[0],
            "4 this line is in no folder"
        );
        assert_eq!(found("# Map\n"), ["1 there is no picture of the tree"]);
    }
}
