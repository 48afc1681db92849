//! How files get into a folder and out of it: in one step, with the right permissions, and no link followed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::place::{For, Place};
use crate::source::{self, PATIENCE};
use crate::{Error, Kind, guard, leftovers};

/// Who may read a file. The umask changes nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone: certificates, names (0644).
    Public,
    /// The owner alone (0600): logs, encrypted keys. A file system without permissions gets them all the same.
    Private,
    /// The owner alone (0600): keys in clear text. Not written where others could read it.
    Secret,
}

/// More bytes than a file of the provisioner has, logs left out.
const LIMIT: usize = 64 << 20;
/// More bytes than a key, a passphrase or a PIN has.
const SECRET_LIMIT: usize = 1 << 20;

/// Reads a file that anyone may read; `None` where there is no such file.
///
/// # Errors
/// [`Error::Symlink`] and [`Error::NotAFile`] in a guarded folder; elsewhere links and pipes are read, and [`Error::Endless`]
/// tells of one whose end does not come; [`Error::TooLong`] for more than 64 MiB; [`Error::Io`].
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    read_up_to(path, LIMIT)
}

/// As [`read`], with another limit for the size, in bytes.
///
/// # Errors
/// As [`read`].
pub fn read_up_to(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    to_end(open(path)?, path, limit)
}

fn to_end(file: Option<File>, path: &Path, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let bytes = file.map(|mut file| source::to_end(&mut file, path, limit, PATIENCE)).transpose();
    let bytes = bytes.map_err(|e| Error::io("read", path, e))?;
    // The buffer is handed on, not copied.
    Ok(bytes.map(|mut bytes| std::mem::take(&mut *bytes)))
}

/// Opens a file that a user has named and that is too long to be held. It can be read again from its beginning, so it is no pipe.
///
/// # Errors
/// [`Error::NotAFile`] for everything but a regular file, or a link to one; [`Error::Io`], also where there is no such file.
pub fn input(path: &Path) -> Result<File, Error> {
    let file = open(path)?.ok_or_else(|| Error::missing(path))?;
    let found = file.metadata().map_err(|e| Error::io("read", path, e))?;
    match Kind::from(found.file_type()) {
        Kind::File => Ok(file),
        kind => Err(Error::NotAFile { path: path.to_owned(), kind }),
    }
}

/// Whether a file begins with these bytes, however long it is. One that is not there does not.
///
/// # Errors
/// [`Error::Io`].
pub fn begins_with(path: &Path, beginning: &[u8]) -> Result<bool, Error> {
    let mut found = Vec::new();
    let file = open(path)?.map(|file| io::Read::take(file, beginning.len() as u64));
    file.map(|mut file| io::Read::read_to_end(&mut file, &mut found))
        .transpose()
        .map_err(|e| Error::io("read", path, e))?;
    Ok(found == beginning)
}

/// Reads a file that was found in a folder and that nobody has named: no link, and nothing but a regular file.
///
/// # Errors
/// [`Error::Symlink`], [`Error::NotAFile`]; [`Error::TooLong`] for more than `limit` bytes; [`Error::Io`].
pub fn read_found(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let opened = Place::of(path).and_then(|(folder, name)| folder.open_file(&name, For::Reading));
    to_end(there(opened, path)?, path, limit)
}

/// Reads a file in an open folder, as [`read`] does in a guarded one.
pub(crate) fn read_in(folder: &Place, name: &OsStr) -> Result<Option<Vec<u8>>, Error> {
    let path = folder.path().join(name);
    to_end(there(folder.open_file(name, For::Reading), &path)?, &path, LIMIT)
}

/// Reads what comes on the standard input, as [`read`] reads a pipe.
///
/// # Errors
/// [`Error::TooLong`], [`Error::Io`]. A person at a terminal has as much time as they need.
pub fn read_stdin() -> Result<Vec<u8>, Error> {
    let path = Path::new("-");
    let mut bytes = Vec::new();
    let mut stdin = io::Read::take(io::stdin().lock(), LIMIT as u64 + 1);
    io::Read::read_to_end(&mut stdin, &mut bytes).map_err(|e| Error::io("read", path, e))?;
    match bytes.len() > LIMIT {
        true => Err(Error::TooLong { path: path.to_owned(), limit: LIMIT }),
        false => Ok(bytes),
    }
}

/// A key, encrypted or not, and whether others can read it.
#[derive(Debug)]
pub struct KeyFile {
    bytes: Zeroizing<Vec<u8>>,
    exposed: Option<Error>,
}

impl KeyFile {
    /// Its bytes, to see whether it is encrypted.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What a file in clear text must not be.
    ///
    /// # Errors
    /// [`Error::Exposed`] if group or others have any permission on it (Unix).
    pub fn closed(self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.exposed.map_or(Ok(self.bytes), Err)
    }

    /// The bytes of a file that is encrypted. That others can read it is logged as a warning.
    pub fn encrypted(self) -> Zeroizing<Vec<u8>> {
        if let Some(exposed) = &self.exposed {
            tracing::warn!("{exposed}; its passphrase alone protects it");
        }
        self.bytes
    }
}

/// Reads a secret; `None` where there is no such file.
///
/// # Errors
/// [`Error::Exposed`] if group or others have any permission on it (Unix); as [`read`].
pub fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    read_key(path)?.map(KeyFile::closed).transpose()
}

/// Reads a key, of which only its content tells whether others may read the file; `None` where there is no such file.
///
/// # Errors
/// As [`read`].
pub fn read_key(path: &Path) -> Result<Option<KeyFile>, Error> {
    let Some(mut file) = open(path)? else { return Ok(None) };
    let fail = |e| Error::io("read", path, e);
    let exposed = exposed(&file, path).map_err(fail)?;
    let bytes = source::to_end(&mut file, path, SECRET_LIMIT, PATIENCE).map_err(fail)?;
    Ok(Some(KeyFile { bytes, exposed }))
}

/// Key files that a dry run takes for closed, because the run would close them.
static EXPECTED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Has the secret at this path read although others can read it, until the program ends: in a dry run whose run would begin
/// with [`close_to_others`].
pub fn expect_closed(path: &Path) {
    EXPECTED.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
}

/// A secret that other users of the computer can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedKey {
    /// The file.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
}

impl fmt::Display for ExposedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (mode {:04o})", self.path.display(), self.mode)
    }
}

/// Whether others can read a secret; `None` for a file that is closed, or not there.
///
/// # Errors
/// As [`read`].
pub fn exposed_key(path: &Path) -> Result<Option<ExposedKey>, Error> {
    let Some(file) = open(path)? else { return Ok(None) };
    match exposed(&file, path).map_err(|e| Error::io("read", path, e))? {
        Some(Error::Exposed { path, mode }) => Ok(Some(ExposedKey { path, mode })),
        _ => Ok(None),
    }
}

/// Gives a secret to its owner alone (0600).
///
/// # Errors
/// [`Error::Symlink`], [`Error::NotAFile`]; [`Error::Unprotected`]; [`Error::Io`], also where it belongs to somebody else.
pub fn close_to_others(path: &Path) -> Result<(), Error> {
    let close = || {
        let (folder, name) = Place::of(path)?;
        let file = folder.open_file(&name, For::Reading)?;
        crate::share::restrict(&file, path, Access::Secret)
    };
    close().map_err(|e| Error::io("protect", path, e))
}

#[cfg(unix)]
fn exposed(file: &File, path: &Path) -> io::Result<Option<Error>> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode() & 0o7777;
    // A pipe is readable for the processes that have it open, with any mode.
    let is_expected = || EXPECTED.lock().unwrap_or_else(PoisonError::into_inner).contains(path);
    let is_exposed = metadata.is_file() && mode & 0o077 != 0 && !is_expected();
    Ok(is_exposed.then(|| Error::Exposed { path: path.to_owned(), mode }))
}

#[cfg(not(unix))]
fn exposed(_: &File, _: &Path) -> io::Result<Option<Error>> {
    Ok(None)
}

fn open(path: &Path) -> Result<Option<File>, Error> {
    let opened = match guard::is_guarded(path) {
        true => Place::of(path).and_then(|(folder, name)| folder.open_file(&name, For::Reading)),
        false => source::open_named(path),
    };
    there(opened, path)
}

fn there(opened: io::Result<File>, path: &Path) -> Result<Option<File>, Error> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

/// Writes a file in one step: a reader sees the old bytes or the new ones, also after a power failure.
///
/// A symbolic link at `path` is replaced, not followed. The file belongs to the folder's owner if root writes it.
///
/// # Errors
/// [`Error::NotAFile`] where a device, a pipe or a folder is; [`Error::Symlink`] for a folder that is one below a guarded
/// folder; [`Error::Unprotected`]; [`Error::Io`]. The file is then as it was.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), Error> {
    stage(path, bytes, access)?.commit()
}

/// A file that is written under another name beside its destination. Dropping it deletes it.
#[derive(Debug)]
pub struct Staged {
    folder: Place,
    file: File,
    /// `None` once it has its own name.
    temporary: Option<OsString>,
    name: OsString,
    path: PathBuf,
}

/// The first half of [`write()`]: what can be wrong with the folder, or a full disk, shows here.
///
/// # Errors
/// As [`write()`].
pub fn stage(path: &Path, bytes: &[u8], access: Access) -> Result<Staged, Error> {
    let stage = || {
        let (folder, name) = Place::of(path)?;
        replaceable(&folder, &name)?;
        let (temporary, file) = leftovers::make(&folder, access)?;
        let mut staged = Staged { folder, file, temporary: Some(temporary), name, path: path.to_owned() };
        // Where files cannot be locked, temporary files are not removed either.
        let _ = staged.file.lock();
        staged.file.write_all(bytes)?;
        Ok(staged)
    };
    stage().map_err(|e| match Error::io("write", path, e) {
        // It has got its permissions under its temporary name.
        Error::Unprotected { .. } => Error::Unprotected { path: path.to_owned() },
        error => error,
    })
}

/// What is under a name can be replaced by a file: a file, or a link, which is not followed.
fn replaceable(folder: &Place, name: &OsStr) -> io::Result<()> {
    match folder.kind(name)? {
        None | Some(Kind::File | Kind::Link) => Ok(()),
        Some(kind) => Err(crate::place::refused(folder.path().join(name), kind)),
    }
}

impl Staged {
    /// The second half of [`write()`]: the file becomes durable and takes its place.
    ///
    /// # Errors
    /// [`Error::Io`]; the file is then as it was.
    pub fn commit(mut self) -> Result<(), Error> {
        self.place().map_err(|e| Error::io("write", &self.path, e))
    }

    fn place(&mut self) -> io::Result<()> {
        crate::share::sync(&self.file, &self.path)?;
        if let Some(temporary) = &self.temporary {
            self.folder.rename(temporary, &self.folder, &self.name)?;
            self.temporary = None;
        }
        self.folder.sync()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = self.folder.remove_file(temporary);
        }
    }
}

/// Writes a file that a user has named for output: in one step as [`write()`] does, or into the pipe, the device or the file
/// behind a link that has the name.
///
/// # Errors
/// As [`write()`] and [`output`].
pub fn write_named(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let kind = path.symlink_metadata().map(|found| Kind::from(found.file_type()));
    match kind {
        Ok(Kind::Link | Kind::Pipe | Kind::Special) if !guard::is_guarded(path) => {
            output(path)?.write_all(bytes).map_err(|e| Error::io("write", path, e))
        }
        _ => write(path, bytes, Access::Public),
    }
}

/// Opens a file that a user has named for output, and empties it: line by line something is written to it. A link is followed;
/// a pipe needs a reader.
///
/// # Errors
/// [`Error::NotAFile`] for a folder; [`Error::Io`].
pub fn output(path: &Path) -> Result<File, Error> {
    let open = || {
        if guard::is_guarded(path) {
            return open_emptied(path);
        }
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use rustix::fs::OFlags;
            let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
        }
        let file = options.open(path)?;
        #[cfg(unix)]
        rustix::io::ioctl_fionbio(&file, false)?;
        Ok(file)
    };
    open().map_err(|e| Error::io("write", path, e))
}

/// Writes into a file that keeps its place on the disk, or makes it: for disks on which writing is what counts. No link is
/// followed. Gives the file, still open.
///
/// # Errors
/// [`Error::Symlink`], [`Error::NotAFile`], [`Error::Io`]; a part of `bytes` may be written then.
pub fn overwrite(path: &Path, bytes: &[u8]) -> Result<File, Error> {
    let write = || {
        let mut file = open_emptied(path)?;
        file.write_all(bytes)?;
        Ok(file)
    };
    write().map_err(|e| Error::io("write", path, e))
}

fn open_emptied(path: &Path) -> io::Result<File> {
    let (folder, name) = Place::of(path)?;
    if !folder.has_file(&name)? {
        return folder.create_file(&name, For::Writing, Access::Public);
    }
    let file = folder.open_file(&name, For::Writing)?;
    file.set_len(0)?;
    Ok(file)
}

/// Renames a file so that its name is free: `signer-ca.key` becomes `signer-ca.key.<stamp>`. Says the new name.
///
/// # Errors
/// [`Error::Io`], also when a file of the new name exists already.
pub fn set_aside(path: &Path, stamp: &str) -> Result<PathBuf, Error> {
    let set_aside = || {
        let (folder, name) = Place::of(path)?;
        let mut aside = name.clone();
        aside.push(".");
        aside.push(stamp);
        if folder.kind(&aside)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        folder.rename(&name, &folder, &aside)?;
        folder.sync()?;
        Ok(path.with_file_name(aside))
    };
    set_aside().map_err(|e| Error::io("set aside", path, e))
}

/// Renames a file, replacing what has the new name; one that is not there was renamed before. Durable when this returns.
///
/// # Errors
/// [`Error::Symlink`], [`Error::Io`].
pub fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    let rename = || {
        let ((source, name), (target, new)) = (Place::of(from)?, Place::of(to)?);
        source.rename(&name, &target, &new)?;
        target.sync()
    };
    unless_gone(rename()).map_err(|e| Error::io("move", from, e))
}

/// Takes a file away; one that is not there is no failure.
///
/// # Errors
/// [`Error::Symlink`], [`Error::Io`].
pub fn remove(path: &Path) -> Result<(), Error> {
    let remove = || {
        let (folder, name) = Place::of(path)?;
        folder.remove_file(&name)?;
        folder.sync()
    };
    unless_gone(remove()).map_err(|e| Error::io("remove", path, e))
}

pub(crate) fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
