//! Files and folders that are named on the command line: what is wrong with one is told of it, and not of the home folder.

use std::io;
use std::path::Path;

use super::Error;

/// The content of a file; `None` where there is none.
///
/// # Errors
/// [`Error::Named`].
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    durable_files::read(path).map_err(Error::Named)
}

/// Whether a file can be made at `path`. Nothing is changed.
///
/// # Errors
/// [`Error::Named`].
pub(super) fn check_output(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let found = folder.unwrap_or(Path::new(".")).metadata().and_then(|folder| match () {
        () if !folder.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
        () if path.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        () => Ok(()),
    });
    found.map_err(|source| Error::Named(durable_files::Error::io("write", path, source)))
}
