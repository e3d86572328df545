//! Small files that are replaced as a whole: a crash leaves the old content or the new.

use std::io;
use std::path::{Path, PathBuf};

/// `None`: there is none.
pub(crate) async fn read(path: impl AsRef<Path>) -> io::Result<Option<Vec<u8>>> {
    blocking(path, |path| match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    })
    .await
}

/// It is on the disk when this returns, and its owner's alone (mode 0600).
pub(crate) async fn replace(path: impl AsRef<Path>, content: Vec<u8>) -> io::Result<()> {
    blocking(path, move |path| {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        // One that a crash left may have other rights.
        forget(&beside)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        io::Write::write_all(&mut file, &content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })
    .await
}

/// Also when there is none.
pub(crate) async fn remove(path: impl AsRef<Path>) -> io::Result<()> {
    blocking(path, forget).await
}

fn forget(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    path: impl AsRef<Path>,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path = path.as_ref().to_owned();
    tokio::task::spawn_blocking(move || work(&path)).await?
}
