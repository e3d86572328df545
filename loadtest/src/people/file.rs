//! Accounts in a file that only its owner can read: it holds passwords and tokens.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::Person;
use crate::replace;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}: not a file of accounts", .0.display())]
    Format(PathBuf),
    #[error("{}: others may read it, and there are passwords in it: chmod 600", .0.display())]
    Open(PathBuf),
}

/// By server, as its first address names it.
type Accounts = BTreeMap<String, Vec<Person>>;

/// The accounts of a server; none when there is no file.
///
/// # Errors
///
/// When it cannot be read, is no such file, or others may read it.
pub fn load(path: &Path, server: &str) -> Result<Vec<Person>, FileError> {
    let mut accounts = read(path)?;
    Ok(accounts.remove(server).unwrap_or_default())
}

/// Keeps the accounts of a server beside those of others, with mode 0600.
///
/// # Errors
///
/// When it cannot be written.
pub fn store(path: &Path, server: &str, people: &[Person]) -> Result<(), FileError> {
    let mut accounts = read(path)?;
    let known = accounts.entry(server.to_owned()).or_default();
    // A run with fewer does not forget the rest.
    let rest = known.drain(..).skip(people.len()).collect::<Vec<_>>();
    *known = people.iter().cloned().chain(rest).collect();
    let text = serde_json::to_vec(&accounts).map_err(|_| FileError::Format(path.to_owned()))?;
    replace::private(path, &text).map_err(|error| FileError::Io {
        path: path.to_owned(),
        error,
    })
}

/// Whether accounts can be taken from this file and kept in it: before any are made.
///
/// # Errors
///
/// When it cannot be read or written, is no such file, or others may read it.
pub fn check(path: &Path) -> Result<(), FileError> {
    read(path)?;
    replace::may(path).map_err(|error| FileError::Io {
        path: path.to_owned(),
        error,
    })
}

fn read(path: &Path) -> Result<Accounts, FileError> {
    let failed = |error| FileError::Io {
        path: path.to_owned(),
        error,
    };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Accounts::new()),
        Err(error) => return Err(failed(error)),
    };
    if others_may_read(path).map_err(failed)? {
        return Err(FileError::Open(path.to_owned()));
    }
    serde_json::from_slice(&text).map_err(|_| FileError::Format(path.to_owned()))
}

#[cfg(unix)]
fn others_may_read(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_may_read(_: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str) -> Person {
        Person {
            id: "u1".parse().unwrap(),
            username: name.into(),
            password: "secret".into(),
            token: "token".into(),
            good_until: 7,
        }
    }

    #[test]
    fn accounts_are_kept_by_server_and_only_for_the_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("people.json");
        assert!(load(&path, "a").unwrap().is_empty());
        store(&path, "a", &[person("ann"), person("bob")]).unwrap();
        store(&path, "b", &[person("cid")]).unwrap();
        store(&path, "a", &[person("ann2")]).unwrap();
        let names = |server| {
            load(&path, server)
                .unwrap()
                .into_iter()
                .map(|one| one.username)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("a"), ["ann2", "bob"]);
        assert_eq!(names("b"), ["cid"]);
        assert!(!format!("{:?}", person("ann")).contains("secret"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(load(&path, "a"), Err(FileError::Open(_))));
        }
    }
}
