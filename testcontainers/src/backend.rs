//! Where the parts run: in Docker, or as plain processes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use crate::docker;
use crate::error::{Error, ErrorKind};

/// The variable that chooses: `docker`, `native` or `auto`.
pub const BACKENDS: &str = "CHAT_TEST_BACKENDS";
const BUILD: &str = include_str!("../images/build.sh");
/// How long the programs may take to be fetched.
const FETCHED_WITHIN: Duration = Duration::from_secs(300);

/// Where MongoDB and Redis run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// In containers of the official images.
    Docker,
    /// As processes: `mongod` and `redis-server` from `PATH`, from the cache of `images/build.sh`, or fetched by it.
    Native,
}

impl Backend {
    /// What `CHAT_TEST_BACKENDS` says. Unset, empty or `auto`: Docker when a daemon answers, else native.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`] when the variable says something else; [`ErrorKind::NoBackend`] when it asks for Docker and
    /// no daemon answers.
    pub async fn from_env() -> Result<Self, Error> {
        let wanted = std::env::var(BACKENDS).unwrap_or_default();
        match wanted.trim() {
            "" | "auto" if docker::answers().await => Ok(Self::Docker),
            "" | "auto" => Ok(Self::Native),
            named => match named.parse()? {
                Self::Docker if !docker::answers().await => Err(Error::new(
                    ErrorKind::NoBackend,
                    format!("{BACKENDS}=docker, but no Docker daemon answers"),
                )),
                named => Ok(named),
            },
        }
    }

    /// Whether parts can be started there now, with nothing fetched or installed before.
    pub async fn is_available(self) -> bool {
        match self {
            Self::Docker => docker::answers().await,
            Self::Native => ["mongod", "redis-server"].into_iter().all(|name| find(name).is_some()),
        }
    }
}

impl FromStr for Backend {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "docker" => Ok(Self::Docker),
            "native" => Ok(Self::Native),
            _ => Err(Error::new(
                ErrorKind::Setting,
                format!("{BACKENDS}={text:?}, which takes docker, native or auto"),
            )),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Native => "native",
        })
    }
}

/// The program of that name, fetched when it is nowhere.
pub(crate) async fn program(name: &str) -> Result<PathBuf, Error> {
    if let Some(found) = find(name) {
        return Ok(found);
    }
    fetch(name).await?;
    find(name).ok_or_else(|| missing(name, "images/build.sh --binaries did not bring it"))
}

async fn fetch(name: &str) -> Result<(), Error> {
    let run = tokio::process::Command::new("bash")
        .args(["-c", BUILD, "build.sh", "--binaries"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(FETCHED_WITHIN, run).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(missing(name, String::from_utf8_lossy(&output.stderr).trim())),
        Ok(Err(error)) => Err(missing(name, &format!("bash: {error}"))),
        Err(_) => Err(missing(name, "fetching it took too long")),
    }
}

fn missing(name: &str, why: &str) -> Error {
    let message = format!("there is no {name} in PATH, and it could not be fetched: {why}");
    Error::new(ErrorKind::NoBackend, message)
}

fn find(name: &str) -> Option<PathBuf> {
    let cached = cache().map(|cache| cache.join("bin").join(name));
    in_path(name).or_else(|| cached.filter(|file| runnable(file)))
}

pub(crate) fn is_in_path(name: &str) -> bool {
    in_path(name).is_some()
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&path).map(|place| place.join(name));
    files.find(|file| runnable(file))
}

/// Where `images/build.sh` keeps what it fetched.
fn cache() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("CHAT_TEST_CACHE").or_else(|| {
        let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
        Some(base.join("chat-testcontainers"))
    })
}

fn runnable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_named_as_it_is_shown_and_nothing_else_is_one() {
        for backend in [Backend::Docker, Backend::Native] {
            assert_eq!(backend.to_string().parse::<Backend>().unwrap(), backend);
        }
        assert_eq!("podman".parse::<Backend>().unwrap_err().kind(), ErrorKind::Setting);
    }
}
