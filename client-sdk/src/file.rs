//! Small files that are replaced as a whole: a crash leaves the old content or the new.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

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
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let mut beside = NamedTempFile::new_in(dir)?;
        beside.write_all(&content)?;
        beside.as_file().sync_all()?;
        beside.persist(path)?;
        // Its new name, too.
        #[cfg(unix)]
        std::fs::File::open(dir)?.sync_all()?;
        Ok(())
    })
    .await
}

/// Also when there is none.
pub(crate) async fn remove(path: impl AsRef<Path>) -> io::Result<()> {
    blocking(path, |path| match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
    .await
}

async fn blocking<T: Send + 'static>(
    path: impl AsRef<Path>,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path = path.as_ref().to_owned();
    tokio::task::spawn_blocking(move || work(&path)).await?
}
