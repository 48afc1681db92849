//! How files get into a folder and out of it: in one step, with the right permissions, and no link followed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::{Error, leftovers};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone: certificates, names (0644).
    Public,
    /// The owner alone: keys (0600).
    Secret,
}

/// Reads a file that anyone may read; `None` where there is no such file.
///
/// # Errors
/// [`Error::Io`].
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

/// Reads a key; `None` where there is no such file.
///
/// # Errors
/// [`Error::Exposed`] if group or others have any permission on it (Unix); [`Error::Io`].
pub fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path, e)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = file.metadata().map_err(|e| Error::io("read", path, e))?;
        let mode = metadata.permissions().mode() & 0o7777;
        // A pipe is readable for the processes that have it open, with any mode.
        if metadata.is_file() && mode & 0o077 != 0 {
            return Err(Error::Exposed { path: path.to_owned(), mode });
        }
    }
    // Room for the whole file: a buffer that had to grow would leave copies of its content behind.
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    // One byte more, so that reading sees the end without growing; a file of more than a megabyte is no key.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.min(1 << 20) as usize + 1));
    io::Read::read_to_end(&mut file, &mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(Some(bytes))
}

/// Writes a file in one step: a reader sees the old bytes or the new ones, also after a power failure.
///
/// A symbolic link at `path` is replaced, not followed.
///
/// # Errors
/// [`Error::Io`]; the file is then as it was.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), Error> {
    stage(path, bytes, access)?.commit()
}

/// A file that is written under another name beside its destination. Dropping it deletes it.
#[derive(Debug)]
pub struct Staged {
    file: NamedTempFile,
    path: PathBuf,
}

/// The first half of [`write()`]: what can be wrong with the folder, or a full disk, shows here.
///
/// # Errors
/// [`Error::Io`].
pub fn stage(path: &Path, bytes: &[u8], access: Access) -> Result<Staged, Error> {
    let fail = |e| Error::io("write", path, e);
    let mut file = tempfile::Builder::new()
        .prefix(leftovers::PREFIX)
        .rand_bytes(leftovers::RANDOM)
        .tempfile_in(folder_of(path))
        .map_err(fail)?;
    // Where files cannot be locked, temporary files are not removed either.
    let _ = file.as_file().lock();
    #[cfg(windows)]
    if access == Access::Secret {
        restrict_file(file.path()).map_err(fail)?;
    }
    file.write_all(bytes).map_err(fail)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = match access {
            Access::Public => 0o644,
            Access::Secret => 0o600,
        };
        file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(fail)?;
    }
    Ok(Staged { file, path: path.to_owned() })
}

impl Staged {
    /// The second half of [`write()`]: the file becomes durable and takes its place.
    ///
    /// # Errors
    /// [`Error::Io`]; the file is then as it was.
    pub fn commit(self) -> Result<(), Error> {
        let Self { file, path } = self;
        let fail = |e| Error::io("write", &path, e);
        file.as_file().sync_all().map_err(fail)?;
        file.persist(&path).map_err(|e| fail(e.error))?;
        sync_folder(folder_of(&path)).map_err(fail)
    }
}

/// Renames a file so that its name is free: `signer-ca.key` becomes `signer-ca.key.<stamp>`. Says the new name.
///
/// # Errors
/// [`Error::Io`], also when a file of the new name exists already.
pub fn set_aside(path: &Path, stamp: &str) -> Result<PathBuf, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(stamp);
    let aside = PathBuf::from(name);
    let fail = |e| Error::io("set aside", path, e);
    if fs::symlink_metadata(&aside).is_ok() {
        return Err(fail(io::ErrorKind::AlreadyExists.into()));
    }
    fs::rename(path, &aside).map_err(fail)?;
    sync_folder(folder_of(path)).map_err(fail)?;
    Ok(aside)
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// A rename is durable once the folder is synced; only Unix lets a folder be opened for that.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Renames a file, replacing what has the new name; one that is not there was renamed before. Durable when this returns.
///
/// # Errors
/// [`Error::Io`].
pub fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    let fail = |e| Error::io("move", from, e);
    match fs::rename(from, to) {
        Ok(()) => sync_folder(folder_of(to)).map_err(fail),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(fail(e)),
    }
}

/// Takes a file away; one that is not there is no failure.
///
/// # Errors
/// [`Error::Io`].
pub fn remove(path: &Path) -> Result<(), Error> {
    let fail = |e| Error::io("remove", path, e);
    match fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)).map_err(fail),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(fail(e)),
    }
}

/// Gives a file to its owner alone, by its access control list; the folder's is not inherited. The owner is named by the
/// well-known identifier of "owner rights" ([MS-DTYP] section 2.4.2.4), which needs no account's name.
#[cfg(windows)]
fn restrict_file(path: &Path) -> io::Result<()> {
    let system = std::env::var_os("SystemRoot").map_or_else(|| PathBuf::from(r"C:\Windows"), PathBuf::from);
    let icacls = std::process::Command::new(system.join("System32").join("icacls.exe"))
        .arg(path)
        .args(["/inheritance:r", "/grant:r", "*S-1-3-4:F"])
        .output()?;
    if icacls.status.success() { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}
