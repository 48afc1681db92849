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

/// Whether a file can be made at `path`. One that is there is replaced only if it is empty or an earlier run has written it:
/// then it begins with `beginning`. Nothing is changed.
///
/// # Errors
/// [`Error::Taken`], [`Error::Named`].
pub(super) fn check_output(path: &Path, beginning: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let found = folder.unwrap_or(Path::new(".")).metadata().and_then(|folder| match () {
        () if !folder.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
        () if path.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        () => Ok(()),
    });
    found.map_err(|source| Error::Named(durable_files::Error::io("write", path, source)))?;
    let is_ours = || durable_files::begins_with(path, beginning);
    // What is written into a pipe or a device replaces nothing.
    match path.metadata() {
        Ok(found) if found.is_file() && found.len() > 0 && !is_ours().unwrap_or(false) => {
            Err(Error::Taken { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}
