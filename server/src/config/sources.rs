//! Where settings come from: flags, then the environment, then `.env`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;

use super::{Problem, VARIABLES};

/// The first source that names a variable wins; an empty value there means the default.
#[derive(Default)]
pub struct Sources {
    flags: BTreeMap<&'static str, OsString>,
    environment: BTreeMap<&'static str, OsString>,
    file: BTreeMap<String, String>,
    /// What of the file could not be read.
    problems: Vec<Problem>,
}

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Environment,
    File,
    Default,
}

impl Sources {
    /// `flags` by the name of the variable, the environment of the process, and the file at `env_file` if there is one.
    pub fn gather(flags: impl IntoIterator<Item = (&'static str, OsString)>, env_file: &Path) -> Self {
        let named = VARIABLES.iter().map(|variable| variable.name);
        let mut sources = Self {
            flags: flags.into_iter().collect(),
            environment: named.filter_map(|name| Some((name, std::env::var_os(name)?))).collect(),
            ..Self::default()
        };
        match std::fs::read_to_string(env_file) {
            Ok(text) => sources.read_file(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => sources.problems.push(Problem::new(
                ".env",
                format!("cannot be read: {error}"),
                "Make it a readable UTF-8 text, or remove it.",
            )),
        }
        sources
    }

    fn read_file(&mut self, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for item in dotenvy::Iter::new(text.as_bytes()) {
            match item {
                // The first mention counts, as in other readers of such files.
                Ok((name, value)) => drop(self.file.entry(name).or_insert(value)),
                Err(error) => {
                    // The line itself may hold a secret: say where it is, never what it says.
                    let place = match &error {
                        dotenvy::Error::LineParse(line, _) => text
                            .lines()
                            .position(|candidate| candidate.trim_end().ends_with(line.trim()))
                            .map(|index| format!("line {} is", index + 1)),
                        _ => None,
                    };
                    self.problems.push(Problem::new(
                        ".env",
                        format!("{} not NAME=value", place.as_deref().unwrap_or("a line is")),
                        "Put values with spaces, quotes, $ or # in 'single quotes', and comments behind #.",
                    ));
                }
            }
        }
    }

    /// What the first source that names the variable says.
    pub(super) fn get(&self, name: &str) -> Option<(Origin, OsString)> {
        let flag = self.flags.get(name).map(|value| (Origin::Flag, value.clone()));
        let environment = || {
            self.environment
                .get(name)
                .map(|value| (Origin::Environment, value.clone()))
        };
        let file = || self.file.get(name).map(|value| (Origin::File, value.into()));
        flag.or_else(environment).or_else(file)
    }

    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Names in the file that are no variable of ours, most likely misspelt.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &str> {
        let known = |name: &str| VARIABLES.iter().any(|variable| variable.name == name);
        self.file.keys().map(String::as_str).filter(move |name| !known(name))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources(..)") // Secrets are among them.
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => ".env",
            Self::Default => "default",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named_by_its_number_and_not_shown() {
        let mut sources = Sources::default();
        sources.read_file("# a comment\nPORT=1\nJWT_SECRET=very secret text\nHOST=::1\nPORT=2\n");
        let said = sources.problems[0].to_string();
        assert!(said.contains("line 3"), "{said}");
        assert!(!said.contains("secret text"), "{said}");
        assert_eq!(sources.problems.len(), 1);
        assert_eq!(sources.file["PORT"], "1");
        assert_eq!(sources.file["HOST"], "::1");
    }
}
