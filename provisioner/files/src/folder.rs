//! Folders for their owner alone, and locks on them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::file::{Access, read_in, unless_gone};
pub use crate::leftovers::sweep;
use crate::place::{For, Place};
use crate::{Error, Kind, lock, share};

/// The file in a folder that is locked.
const LOCK: &str = ".lock";

/// A lock on a folder, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Makes a folder and those above it, for their owner alone (0700), and closes one that others could enter.
///
/// # Errors
/// [`Error::Symlink`] below a guarded folder; [`Error::Io`].
pub fn create(path: &Path) -> Result<(), Error> {
    let place = Place::make(path, Access::Private).map_err(|e| Error::io("create", path, e))?;
    place.restrict().map_err(|e| Error::io("protect", path, e))
}

/// Makes a folder inside one that [`create`] has made, and removes the temporary files of killed runs.
///
/// # Errors
/// As [`create`].
pub fn create_inside(path: &Path) -> Result<(), Error> {
    Place::make(path, Access::Private).map_err(|e| Error::io("create", path, e))?;
    sweep(path);
    Ok(())
}

/// Makes a folder and those above it for everyone to read (0755); one that is there stays as it is.
///
/// # Errors
/// As [`create`].
pub fn create_for_all(path: &Path) -> Result<(), Error> {
    Place::make(path, Access::Public).map(drop).map_err(|e| Error::io("create", path, e))
}

/// Takes a folder for changes: no other run may have it meanwhile. Makes it if it is not there. Waits for runs that have
/// it, up to a minute, and logs a warning meanwhile. Then removes the temporary files of killed runs.
///
/// # Errors
/// [`Error::Busy`] if they have not finished by then; [`Error::Symlink`], [`Error::NotAFile`]; [`Error::Io`].
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
    match Place::open(folder).and_then(|place| place.open_file(OsStr::new(LOCK), For::Reading)) {
        Ok(file) => wait(folder, file, lock::PATIENCE, take).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("open", &folder.join(LOCK), e)),
    }
}

fn wait(
    folder: &Path,
    file: File,
    patience: std::time::Duration,
    take: lock::TryLock,
) -> Result<Lock, Error> {
    match lock::wait(&file, folder, patience, take) {
        Ok(()) => Ok(Lock { _file: file }),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Error::Busy { path: folder.to_owned() }),
        Err(e) => Err(Error::io("lock", &folder.join(LOCK), e)),
    }
}

/// Whether [`create`] can make the folder, or whether files can be made in the one that is there. Nothing is changed.
///
/// # Errors
/// [`Error::Io`] with what stands in the way; [`Error::Symlink`].
pub fn check_writable(path: &Path) -> Result<(), Error> {
    probe(path).map(drop)
}

/// Whether a key in clear text can be written into the folder: see [`Access::Secret`]. Nothing is changed.
///
/// # Errors
/// As [`check_writable`]; [`Error::Unprotected`].
pub fn check_closable(path: &Path, key: &Path) -> Result<(), Error> {
    let probe = probe(path)?;
    share::restrict(&probe, key, Access::Secret).map_err(|e| Error::io("protect", key, e))
}

/// A file that is gone at once, in the folder or where it would be made.
fn probe(path: &Path) -> Result<File, Error> {
    // Links on the way are refused as they would be.
    unless_gone(Place::open(path).map(drop)).map_err(|e| Error::io("create", path, e))?;
    let there = path.ancestors().find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let there = there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(Error::io("create", path, io::ErrorKind::NotADirectory.into()));
    }
    // A nameless file, or one that is removed at once, is what tells for all kinds of file systems and permissions.
    let action = if there == path { "write in" } else { "create" };
    tempfile::tempfile_in(there).map_err(|e| Error::io(action, path, e))
}

pub(crate) fn take_within(
    folder: &Path,
    patience: std::time::Duration,
    take: lock::TryLock,
) -> Result<Lock, Error> {
    create(folder)?;
    let open = || {
        let (place, name) = (Place::open(folder)?, OsStr::new(LOCK));
        loop {
            match place.create_file(name, For::Writing, Access::Private) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made,
            }
            match place.open_file(name, For::Writing) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                opened => return opened,
            }
        }
    };
    let file = open().map_err(|e| Error::io("open", &folder.join(LOCK), e))?;
    let lock = wait(folder, file, patience, take)?;
    sweep(folder);
    Ok(lock)
}

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// What it is; a link is not followed.
    pub kind: Kind,
}

/// What is in a folder, by its name; nothing is opened. `None` where there is no such folder.
///
/// # Errors
/// [`Error::Symlink`] below a guarded folder; [`Error::Io`].
pub fn entries(folder: &Path) -> Result<Option<Vec<Entry>>, Error> {
    open(folder)?.map(|folder| folder.entries()).transpose()
}

/// An open folder. Many things in it are found faster than by their paths, and no link is followed to them.
#[derive(Debug)]
pub struct Opened(Place);

/// Opens a folder; `None` where there is none.
///
/// # Errors
/// [`Error::Symlink`] below a guarded folder; [`Error::Io`].
pub fn open(folder: &Path) -> Result<Option<Opened>, Error> {
    there(Place::open(folder), folder).map(|place| place.map(Opened))
}

impl Opened {
    /// A folder in this one; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Symlink`], [`Error::Io`].
    pub fn enter(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>, Error> {
        let name = name.as_ref();
        there(self.0.enter(name), &self.0.path().join(name)).map(|place| place.map(Self))
    }

    /// A file in it; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Symlink`], [`Error::NotAFile`]; [`Error::TooLong`] for more than 64 MiB; [`Error::Io`].
    pub fn read(&self, name: impl AsRef<OsStr>) -> Result<Option<Vec<u8>>, Error> {
        read_in(&self.0, name.as_ref())
    }

    /// What is in it, by its name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn entries(&self) -> Result<Vec<Entry>, Error> {
        let folder = self.0.path();
        let mut entries = self.0.entries().map_err(|e| Error::io("read", folder, e))?;
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let entry = |(name, kind)| Entry { path: folder.join(name), kind };
        Ok(entries.into_iter().map(entry).collect())
    }
}

fn there(opened: io::Result<Place>, path: &Path) -> Result<Option<Place>, Error> {
    match opened {
        Ok(place) => Ok(Some(place)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

/// Removes a folder with everything in it; links are removed and not followed. One that is not there is no failure.
///
/// # Errors
/// [`Error::Symlink`], [`Error::Io`].
pub fn remove(folder: &Path) -> Result<(), Error> {
    let remove = || {
        let (above, name) = Place::of(folder)?;
        empty(&above.enter(&name)?)?;
        above.remove_folder(&name)?;
        above.sync()
    };
    unless_gone(remove()).map_err(|e| Error::io("remove", folder, e))
}

/// Removes everything in a folder, which stays.
///
/// # Errors
/// As [`remove`].
pub fn clear(folder: &Path) -> Result<(), Error> {
    Place::open(folder).and_then(|place| empty(&place)).map_err(|e| Error::io("remove", folder, e))
}

fn empty(place: &Place) -> io::Result<()> {
    for (name, kind) in place.entries()? {
        if kind == Kind::Folder {
            empty(&place.enter(&name)?)?;
            place.remove_folder(&name)?;
        } else {
            place.remove_file(&name)?;
        }
    }
    Ok(())
}
