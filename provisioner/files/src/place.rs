//! A folder that is open, and what is done to the names in it. Below a guarded folder no link is followed, and only regular
//! files are opened.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(not(unix))]
pub(crate) use portable::Place;
#[cfg(unix)]
pub(crate) use unix::Place;

use crate::file::Access;
use crate::{Error, Kind, guard};

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    Reading,
    Appending,
    Writing,
}

impl Place {
    /// Opens a folder.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let split = guard::split(path)?;
        if split.guarded {
            Self::refuse_link_of_another(&split.base)?;
        }
        split.below.iter().try_fold(Self::at(&split.base)?, |place, name| place.enter(name))
    }

    /// Opens the folder of a file; gives the file's name, too.
    pub(crate) fn of(path: &Path) -> io::Result<(Self, OsString)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((Self::open(folder_of(path))?, name.to_owned()))
    }

    /// Opens a folder and makes what is missing of it, with the permissions of `access`.
    pub(crate) fn make(path: &Path, access: Access) -> io::Result<Self> {
        let split = guard::split(path)?;
        if split.guarded {
            Self::refuse_link_of_another(&split.base)?;
        }
        let (mut base, mut missing) = (split.base.as_path(), Vec::new());
        while let (false, Some(above), Some(name)) = (base.exists(), base.parent(), base.file_name()) {
            missing.push(name.to_owned());
            base = above;
        }
        let mut place = Self::at(base)?;
        for name in missing.iter().rev().chain(&split.below) {
            place.make_folder(name, access)?;
            place = place.enter(name)?;
        }
        Ok(place)
    }

    /// Opens a file to append to it, or makes it; says whether it is new.
    pub(crate) fn open_or_create(&self, name: &OsStr, access: Access) -> io::Result<(File, bool)> {
        loop {
            match self.create_file(name, For::Appending, access) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return Ok((created?, true)),
            }
            match self.open_file(name, For::Appending) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return Ok((opened?, false)),
            }
        }
    }

    /// Refuses what is no regular file; `false` where there is nothing.
    pub(crate) fn has_file(&self, name: &OsStr) -> io::Result<bool> {
        match self.kind(name)? {
            None => Ok(false),
            Some(Kind::File) => Ok(true),
            Some(kind) => Err(refused(self.path().join(name), kind)),
        }
    }
}

/// Why something is not opened.
pub(crate) fn refused(path: PathBuf, kind: Kind) -> io::Error {
    io::Error::other(match kind {
        Kind::Link => Error::Symlink { path },
        kind => Error::NotAFile { path, kind },
    })
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
