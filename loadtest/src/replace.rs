//! Writes a file beside the old one and then in its place, so that neither a crash nor a reader finds half of it.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::Builder;

/// For whoever may read what this user writes.
pub(crate) fn readable(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut builder = Builder::new();
    // Or it would be its owner's alone. The umask applies, as to any file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    write(&builder, path, text)
}

/// With mode 0600.
pub(crate) fn private(path: &Path, text: &[u8]) -> io::Result<()> {
    write(&Builder::new(), path, text)
}

/// Whether a file could be written there: one beside it is, and goes again. As much as most of ours have, for a disk that is full.
pub(crate) fn may(path: &Path) -> io::Result<()> {
    const MUCH: usize = 64 * 1024;
    let mut file = Builder::new().tempfile_in(directory_of(path))?;
    file.write_all(&[b' '; MUCH])?;
    file.as_file().sync_data()
}

fn directory_of(path: &Path) -> &Path {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    directory.unwrap_or(Path::new("."))
}

fn write(builder: &Builder<'_, '_>, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = builder.tempfile_in(directory_of(path))?;
    file.write_all(text)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_can_be_read_by_whom_it_is_for() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            std::fs::metadata(directory.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        std::fs::write(directory.path().join("any"), "").unwrap();
        readable(&directory.path().join("readable"), b"1").unwrap();
        private(&directory.path().join("private"), b"1").unwrap();
        assert_eq!(mode("readable"), mode("any"));
        assert_eq!(mode("private"), 0o600);
    }
}
