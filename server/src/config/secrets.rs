//! The two secrets that sign tokens: judged, or made and kept.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::variables::{Draft, Initial, VARIABLES};
use super::{Environment, Problem, Secret};

/// The fewest bytes that production accepts: as many as HMAC-SHA-256 puts out.
const FEWEST: usize = 32;
const FILE: &str = "jwt-secrets";

pub(super) enum Judged {
    /// With what the operator should still know.
    Accepted(Vec<String>),
    Refused(Vec<Problem>),
}

pub(super) struct Secrets {
    pub(super) access: Secret,
    pub(super) refresh: Secret,
    pub(super) notice: Option<String>,
}

/// Production refuses missing, short, equal and sample secrets; elsewhere they are worth a word.
pub(super) fn judge(draft: &Draft) -> Judged {
    let production = draft.environment == Environment::Production;
    let mut problems = Vec::new();
    let both = [
        ("JWT_SECRET", &draft.access_secret),
        ("JWT_REFRESH_SECRET", &draft.refresh_secret),
    ];
    for (name, secret) in both {
        match secret {
            None if production => problems.push(Problem::of(name, "is missing, and production makes none of its own")),
            Some(secret) if is_sample(&secret.0) => {
                problems.push(Problem::of(name, "is a sample that everybody knows"))
            }
            Some(secret) if secret.0.len() < FEWEST => {
                problems.push(Problem::of(name, format!("is shorter than {FEWEST} bytes")));
            }
            None | Some(_) => {}
        }
    }
    if draft.access_secret.is_some() && draft.access_secret == draft.refresh_secret {
        problems.push(Problem::of("JWT_REFRESH_SECRET", "is equal to JWT_SECRET"));
    }
    if draft.metrics_token.as_ref().is_some_and(|token| is_sample(&token.0)) {
        problems.push(Problem::of("METRICS_TOKEN", "is a sample that everybody knows"));
    }
    if production && !problems.is_empty() {
        return Judged::Refused(problems);
    }
    let said = problems
        .iter()
        .map(|problem| format!("{} {}: production will refuse it", problem.variable, problem.wrong));
    Judged::Accepted(said.collect())
}

/// Fills in what was not given.
pub(super) fn complete(draft: &Draft) -> Result<Secrets, Problem> {
    if let (Some(access), Some(refresh)) = (draft.access_secret.clone(), draft.refresh_secret.clone()) {
        return Ok(Secrets {
            access,
            refresh,
            notice: None,
        });
    }
    let path = draft.data_dir.join(FILE);
    let (kept, made) = keep(&draft.data_dir, &path).map_err(|error| {
        let wrong = format!("cannot keep the secrets of development in {}: {error}", path.display());
        Problem::new(
            "DATA_DIR",
            wrong,
            "Make it writable, or set JWT_SECRET and JWT_REFRESH_SECRET.",
        )
    })?;
    let [access, refresh] = parse(&kept).ok_or_else(|| {
        let wrong = format!("has a damaged {}", path.display());
        Problem::new(
            "DATA_DIR",
            wrong,
            "Remove that file: new secrets are made, and everybody has to log in again.",
        )
    })?;
    let action = if made {
        "made secrets for development and keeps them in"
    } else {
        "uses the secrets for development in"
    };
    Ok(Secrets {
        access: draft.access_secret.clone().unwrap_or(access),
        refresh: draft.refresh_secret.clone().unwrap_or(refresh),
        notice: Some(format!(
            "the server {action} {}; production needs JWT_SECRET and JWT_REFRESH_SECRET",
            path.display()
        )),
    })
}

/// What the file says, and whether it was made now. Of several servers that start at once, one makes it for all.
fn keep(dir: &Path, path: &Path) -> io::Result<(String, bool)> {
    match fs::read_to_string(path) {
        Ok(text) => {
            // Copied or restored files may have lost their mode.
            if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(0o600))?;
            }
            return Ok((text, false));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let draft = Temporary(dir.join(format!("{FILE}.{:016x}", rand::random::<u64>())));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft.0)?;
    writeln!(file, "{}\n{}", random(), random())?;
    file.sync_all()?;
    // A link appears whole, and never replaces the file of another server.
    let made = match fs::hard_link(&draft.0, path) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    fs::File::open(dir)?.sync_all()?;
    Ok((fs::read_to_string(path)?, made))
}

/// 48 bytes from the operating system.
fn random() -> String {
    BASE64_STANDARD_NO_PAD.encode(rand::random::<[[u8; 16]; 3]>().as_flattened())
}

fn parse(text: &str) -> Option<[Secret; 2]> {
    let mut lines = text
        .lines()
        .filter(|line| line.len() >= FEWEST)
        .map(|line| Secret(line.to_owned()));
    let pair = [lines.next()?, lines.next()?];
    (pair[0] != pair[1]).then_some(pair)
}

fn is_sample(text: &str) -> bool {
    let shown = |initial| matches!(initial, Initial::Unset { sample, .. } if sample == text);
    VARIABLES
        .iter()
        .any(|variable| variable.secret && shown(variable.initial))
}

/// A file that goes when we are done, whatever happens.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // Nothing is lost if it stays.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(dir: &Path) -> Draft {
        Draft {
            data_dir: dir.join("data"),
            ..Draft::default()
        }
    }

    #[test]
    fn servers_that_start_at_once_agree_on_the_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let draft = draft(dir.path());
        let pairs: Vec<(Secret, Secret)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| complete(&draft).unwrap())).collect();
            let made = threads.into_iter().map(|thread| thread.join().unwrap());
            made.map(|secrets| (secrets.access, secrets.refresh)).collect()
        });
        assert!(pairs.iter().all(|pair| *pair == pairs[0]));
        assert_ne!(pairs[0].0, pairs[0].1);
        let left: Vec<_> = fs::read_dir(&draft.data_dir).unwrap().collect();
        assert_eq!(left.len(), 1, "temporary files are gone: {left:?}");
    }

    #[test]
    fn a_damaged_file_is_an_error_and_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let draft = draft(dir.path());
        fs::create_dir(&draft.data_dir).unwrap();
        let path = draft.data_dir.join(FILE);
        fs::write(&path, "short\n").unwrap();
        assert!(complete(&draft).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "short\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_given_secret_goes_before_the_kept_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut draft = draft(dir.path());
        let kept = complete(&draft).unwrap();
        draft.access_secret = Some(Secret("given".into()));
        let mixed = complete(&draft).unwrap();
        assert_eq!(mixed.access, Secret("given".into()));
        assert_eq!(mixed.refresh, kept.refresh);
    }
}
