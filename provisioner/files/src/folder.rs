//! Folders for their owner alone, and locks on them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::{Error, leftovers, lock};

/// A lock on a folder, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Makes a folder and those above it, for their owner alone (0700), and closes one that others could enter.
///
/// # Errors
/// [`Error::Io`].
pub fn create(path: &Path) -> Result<(), Error> {
    make(path)?;
    restrict(path).map_err(|e| Error::io("protect", path, e))
}

/// Makes a folder inside one that [`create`] has made, and removes the temporary files of killed runs.
///
/// # Errors
/// [`Error::Symlink`]; [`Error::Io`].
pub fn create_inside(path: &Path) -> Result<(), Error> {
    make(path)?;
    if is_symlink(path) {
        return Err(Error::Symlink { path: path.to_owned() });
    }
    leftovers::sweep(path);
    Ok(())
}

/// Takes a folder for changes: no other run may have it meanwhile. Makes it if it is not there. Waits for runs that have
/// it, up to a minute, and logs a warning meanwhile. Then removes the temporary files of killed runs.
///
/// # Errors
/// [`Error::Busy`] if they have not finished by then; [`Error::Symlink`]; [`Error::Io`].
pub fn lock(path: &Path) -> Result<Lock, Error> {
    take_within(path, lock::PATIENCE, File::try_lock)
}

/// Takes a folder for use: other runs may use it as well, but none may change it. Waits as [`lock`] does.
///
/// # Errors
/// As [`lock`].
pub fn lock_shared(path: &Path) -> Result<Lock, Error> {
    take_within(path, lock::PATIENCE, File::try_lock_shared)
}

pub(crate) fn take_within(
    folder: &Path,
    patience: std::time::Duration,
    take: lock::TryLock,
) -> Result<Lock, Error> {
    create(folder)?;
    let path = folder.join(".lock");
    if is_symlink(&path) {
        return Err(Error::Symlink { path });
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| Error::io("open", &path, e))?;
    match lock::wait(&file, folder, patience, take) {
        Ok(()) => {
            leftovers::sweep(folder);
            Ok(Lock { _file: file })
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Error::Busy { path: folder.to_owned() }),
        Err(e) => Err(Error::io("lock", &path, e)),
    }
}

fn make(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|e| Error::io("create", path, e))
}

#[cfg(unix)]
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn restrict(_: &Path) -> io::Result<()> {
    Ok(())
}

fn is_symlink(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_symlink())
}
