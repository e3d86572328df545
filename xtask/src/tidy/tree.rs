//! The files of the workspace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Finding;

/// What git knows or would add, by paths with slashes from the root.
pub struct Tree {
    root: PathBuf,
    files: BTreeSet<String>,
}

impl Tree {
    /// Ignored files are no part of the tree; new ones are.
    pub fn of_git(root: &Path) -> Result<Self, String> {
        let mut git = Command::new("git");
        // A hook runs with these, and they would name another tree.
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            git.env_remove(variable);
        }
        git.arg("-C").arg(root);
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let output = git.output().map_err(|error| format!("git: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let listed = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
        let files = listed.split_terminator('\0').filter(|file| root.join(file).is_file());
        Ok(Self {
            root: root.to_owned(),
            files: files.map(Into::into).collect(),
        })
    }

    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    pub fn rust_files(&self) -> impl Iterator<Item = &str> {
        self.files().filter(|file| file.ends_with(".rs"))
    }

    pub fn has_file(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    pub fn has_dir(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.files
            .range(below.clone()..)
            .next()
            .is_some_and(|file| file.starts_with(&below))
    }

    /// The names right below a folder (`""` is the root); those of folders end in a slash.
    pub fn entries(&self, dir: &str) -> BTreeSet<&str> {
        let below = if dir.is_empty() {
            String::new()
        } else {
            format!("{dir}/")
        };
        let inside = self.files().filter_map(|file| file.strip_prefix(below.as_str()));
        inside
            .map(|rest| rest.find('/').map_or(rest, |slash| &rest[..=slash]))
            .collect()
    }

    pub fn read(&self, file: &str) -> Result<String, Finding> {
        std::fs::read_to_string(self.root.join(file))
            .map_err(|error| Finding::new(file, 1, format!("cannot be read: {error}"), "Make it a UTF-8 text."))
    }
}

/// A small tree on disk, in git, for the tests of the checks.
#[cfg(test)]
pub mod scratch {
    use super::*;

    pub struct Scratch {
        dir: tempfile::TempDir,
    }

    impl Scratch {
        pub fn with(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let git = Command::new("git")
                .args(["init", "--quiet"])
                .current_dir(dir.path())
                .status();
            assert!(git.unwrap().success());
            let scratch = Self { dir };
            for (file, text) in files {
                scratch.write(file, text);
            }
            scratch
        }

        pub fn write(&self, file: &str, text: &str) {
            let path = self.dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        pub fn tree(&self) -> Tree {
            Tree::of_git(self.dir.path()).unwrap()
        }
    }

    #[test]
    fn ignored_files_are_no_part_of_the_tree_and_new_ones_are() {
        let scratch = Scratch::with(&[(".gitignore", "/target\n"), ("target/x.rs", ""), ("a/b/new.rs", "")]);
        let tree = scratch.tree();
        assert_eq!(tree.files().collect::<Vec<_>>(), [".gitignore", "a/b/new.rs"]);
        assert_eq!(tree.entries("").into_iter().collect::<Vec<_>>(), [".gitignore", "a/"]);
        assert!(tree.has_dir("a") && tree.has_dir("a/b") && !tree.has_dir("target"));
        assert!(!tree.has_dir("a/b/new.rs") && tree.has_file("a/b/new.rs"));
    }
}
