//! Folders by their file descriptors: between two calls nobody can put a link in the place of a folder.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::fs::{fchmod, fchown, fstat, mkdirat, open, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use super::{For, refused};
use crate::Kind;
use crate::file::Access;
use crate::share::{self, Lacking};

/// To go through a folder, the right to list it is not needed.
#[cfg(target_os = "linux")]
const SEARCH: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const SEARCH: OFlags = OFlags::RDONLY;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Place {
    fd: OwnedFd,
    path: PathBuf,
}

impl Place {
    /// The folder at a path whose links are followed.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let fd = open(path, SEARCH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// A guarded folder that is a link has to be one of this user's, or of root's: another user's could have root work elsewhere.
    pub(super) fn refuse_link_of_another(path: &Path) -> io::Result<()> {
        let Ok(found) = path.symlink_metadata() else { return Ok(()) };
        let owner = std::os::unix::fs::MetadataExt::uid(&found);
        match found.is_symlink() && owner != 0 && owner != geteuid().as_raw() {
            true => Err(refused(path.to_owned(), Kind::Link)),
            false => Ok(()),
        }
    }

    /// A folder in this one; no link.
    pub(crate) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let path = self.path.join(name);
        let flags = SEARCH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path }),
            Err(_) if self.kind(name)? == Some(Kind::Link) => Err(refused(path, Kind::Link)),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is there under a name, without following a link.
    pub(crate) fn kind(&self, name: &OsStr) -> io::Result<Option<Kind>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(kind(FileType::from_raw_mode(found.st_mode)))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a regular file that is there.
    pub(crate) fn open_file(&self, name: &OsStr, purpose: For) -> io::Result<File> {
        // Opening a device or a pipe can do something, or wait, so it is not opened to look.
        if !self.has_file(name)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | of(purpose);
        let file = File::from(openat(&self.fd, name, flags, Mode::empty())?);
        let found = Kind::from(file.metadata()?.file_type());
        if found == Kind::File { Ok(file) } else { Err(refused(self.path.join(name), found)) }
    }

    /// Makes a file that is not there yet. It has the permissions of `access` and the folder's owner.
    pub(crate) fn create_file(&self, name: &OsStr, purpose: For, access: Access) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | of(purpose);
        let file = File::from(openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?);
        let path = self.path.join(name);
        let made = share::restrict(&file, &path, access).and_then(|()| self.give(&file, &path));
        match made {
            Ok(()) => Ok(file),
            Err(error) => {
                let _ = self.remove_file(name);
                Err(error)
            }
        }
    }

    /// Makes a folder with the permissions of `access`, unless there is something of that name.
    pub(super) fn make_folder(&self, name: &OsStr, access: Access) -> io::Result<()> {
        let mode = match access {
            Access::Public => Mode::from_raw_mode(0o755),
            Access::Private | Access::Secret => Mode::RWXU,
        };
        match mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(()),
            // On a read-only file system, this says less than what is there.
            Err(_) if self.kind(name).is_ok_and(|found| found.is_some()) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let made = self.enter(name)?;
        let listed = made.listed()?;
        Lacking::Permissions.tolerated(&made.path, fchmod(&listed, mode).map_err(Into::into))?;
        self.give(&listed, &made.path)
    }

    /// Closes the folder to others than its owner.
    pub(crate) fn restrict(&self) -> io::Result<()> {
        if Mode::from_raw_mode(self.stat()?.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
            let closed = fchmod(&self.listed()?, Mode::RWXU).map_err(Into::into);
            Lacking::Permissions.tolerated(&self.path, closed)?;
        }
        Ok(())
    }

    pub(crate) fn rename(&self, from: &OsStr, into: &Self, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.fd, from, &into.fd, to)?)
    }

    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// The names in it, and what each of them is.
    pub(crate) fn entries(&self) -> io::Result<Vec<(OsString, Kind)>> {
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::new(self.listed()?)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                let found = match entry.file_type() {
                    // Some file systems do not tell. One that has gone meanwhile is not there.
                    FileType::Unknown => self.kind(&name)?,
                    found => Some(kind(found)),
                };
                entries.extend(found.map(|kind| (name, kind)));
            }
        }
        Ok(entries)
    }

    /// Names that were made, renamed or removed are so also after a power failure.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let synced = self.listed().and_then(|folder| File::from(folder).sync_all());
        Lacking::Sync.tolerated(&self.path, synced)
    }

    /// The folder, opened such that it can be listed and synced.
    fn listed(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.fd, ".", flags, Mode::empty())?)
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&self.fd)?)
    }

    /// What root makes in the folder of another user belongs to that user.
    fn give(&self, made: impl std::os::fd::AsFd, path: &Path) -> io::Result<()> {
        let folder = self.stat()?;
        if !geteuid().is_root() || folder.st_uid == 0 {
            return Ok(());
        }
        let (owner, group) = (Uid::from_raw(folder.st_uid), Gid::from_raw(folder.st_gid));
        Lacking::Owners.tolerated(path, fchown(made, Some(owner), Some(group)).map_err(Into::into))
    }
}

fn of(purpose: For) -> OFlags {
    match purpose {
        For::Reading => OFlags::RDONLY,
        For::Appending => OFlags::RDWR | OFlags::APPEND,
        For::Writing => OFlags::RDWR,
    }
}

fn kind(found: FileType) -> Kind {
    match found {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        FileType::Fifo => Kind::Pipe,
        _ => Kind::Special,
    }
}
