//! Folders for their owner alone, and locks on them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

pub use crate::leftovers::sweep;
use crate::{Error, lock};

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
    sweep(path);
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

/// As [`lock`], for a look that is to change nothing: the folder and its lock file are not made. `None` where nobody has
/// locked the folder before.
///
/// # Errors
/// As [`lock`].
pub fn lock_existing(path: &Path) -> Result<Option<Lock>, Error> {
    take_existing(path, File::try_lock)
}

/// As [`lock_shared`], for a look that is to change nothing, see [`lock_existing`].
///
/// # Errors
/// As [`lock`].
pub fn lock_shared_existing(path: &Path) -> Result<Option<Lock>, Error> {
    take_existing(path, File::try_lock_shared)
}

fn take_existing(folder: &Path, take: lock::TryLock) -> Result<Option<Lock>, Error> {
    let path = folder.join(".lock");
    if is_symlink(&path) {
        return Err(Error::Symlink { path });
    }
    match File::open(&path) {
        Ok(file) => wait(folder, &path, file, lock::PATIENCE, take).map(Some),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::io("open", &path, e)),
    }
}

fn wait(
    folder: &Path,
    path: &Path,
    file: File,
    patience: std::time::Duration,
    take: lock::TryLock,
) -> Result<Lock, Error> {
    match lock::wait(&file, folder, patience, take) {
        Ok(()) => Ok(Lock { _file: file }),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Error::Busy { path: folder.to_owned() }),
        Err(e) => Err(Error::io("lock", path, e)),
    }
}

/// Whether [`create`] can make the folder, or whether files can be made in the one that is there. Nothing is changed.
///
/// # Errors
/// [`Error::Io`] with what stands in the way.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    let there = path.ancestors().find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let there = there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(Error::io("create", path, io::ErrorKind::NotADirectory.into()));
    }
    // A nameless file, or one that is removed at once, is what tells for all kinds of file systems and permissions.
    let probe = tempfile::tempfile_in(there);
    let action = if there == path { "write in" } else { "create" };
    probe.map(drop).map_err(|e| Error::io(action, path, e))
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
    let lock = wait(folder, &path, file, patience, take)?;
    sweep(folder);
    Ok(lock)
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
