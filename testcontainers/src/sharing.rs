//! One instance for all test processes of a run.
//!
//! The first process to ask starts it under a file lock and leaves its address in a file beside the lock. A shell that
//! watches the runner removes the instance and the files when the runner is gone. Nothing of it lives in a static, which
//! would never be dropped.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::error::{Doing as _, Error, ErrorKind};
use crate::instance::{Instance, Known, Life, Service, connect};
use crate::runner::Runner;

/// How long another process may take to start it.
const STARTED_WITHIN: Duration = Duration::from_secs(600);
/// How long a running instance may take to accept a connection.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);

/// The run's instance, started now if nobody has.
pub(crate) async fn attach<S: Service>() -> Result<Instance, Error> {
    let runner = Runner::find();
    let directory = directory(&runner)?;
    let place = directory.join(S::PROGRAM);
    own_directory(&place)?;
    let _lock = lock(&place.join("lock")).await?;
    let file = place.join("address");
    if let Some(known) = fs::read_to_string(&file).ok().and_then(|text| Known::read(&text)) {
        // It may have died, of memory for instance.
        if matches!(
            tokio::time::timeout(ACCEPTED_WITHIN, connect(known.address)).await,
            Ok(Ok(_))
        ) {
            return Ok(Instance::of(known));
        }
    }
    let instance = Instance::start::<S>(Backend::from_env().await?, Life::Shared).await?;
    let known = instance.share(runner.id, &directory)?;
    let fresh = place.join("address.new");
    fs::write(&fresh, known.written()).doing(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&fresh, &file).doing(|| format!("cannot write {}", file.display()))?;
    Ok(Instance::of(known))
}

/// Where the run keeps its addresses. It is ours alone, or others on the machine could make us talk to theirs.
fn directory(runner: &Runner) -> Result<PathBuf, Error> {
    let user = rustix::process::geteuid().as_raw();
    let name = format!("chat-testcontainers-{user}-{}-{}", runner.id, runner.began);
    let directory = std::env::temp_dir().join(name);
    own_directory(&directory)?;
    Ok(directory)
}

fn own_directory(directory: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(directory)
        .doing(|| format!("cannot make {}", directory.display()))?;
    let found = fs::symlink_metadata(directory).doing(|| format!("cannot look at {}", directory.display()))?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0 {
        Ok(())
    } else {
        let message = format!("{} is not a directory of ours alone", directory.display());
        Err(Error::new(ErrorKind::Io, message))
    }
}

/// Waits for the lock, which the system frees when its holder ends.
async fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).doing(|| format!("cannot write {}", path.display()))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < STARTED_WITHIN => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(TryLockError::WouldBlock) => {
                let message = format!("another process has held {} for too long", path.display());
                return Err(Error::new(ErrorKind::Late, message));
            }
            Err(TryLockError::Error(error)) => return Err(error).doing(|| format!("cannot lock {}", path.display())),
        }
    }
}

impl Known {
    fn written(&self) -> String {
        format!("{}\n{}\n{}\n", self.backend, self.address, self.log)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        Some(Self {
            backend: lines.next()?.parse().ok()?,
            address: lines.next()?.parse().ok()?,
            log: lines.next()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_others_is_what_they_read() {
        let known = Known {
            backend: Backend::Docker,
            address: ([127, 0, 0, 1], 16_001).into(),
            log: "chat-testcontainers-mongo_01".into(),
        };
        assert_eq!(Known::read(&known.written()), Some(known));
        assert_eq!(Known::read("native\n127.0.0.1:1\n"), None);
        assert_eq!(Known::read(""), None);
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = crate::scratch::directory("open").unwrap();
        assert!(own_directory(&directory).is_ok());
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(own_directory(&directory).unwrap_err().kind(), ErrorKind::Io);
        fs::remove_dir(&directory).unwrap();
    }
}
