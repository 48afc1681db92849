//! Folders by their paths, where a system has no calls that start from an open folder. Links are looked for before a path is
//! used.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{For, refused};
use crate::file::Access;
use crate::{Kind, share};

/// A folder.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
}

impl Place {
    /// The folder at a path whose links are followed.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        match fs::metadata(path)?.is_dir() {
            true => Ok(Self { path: path.to_owned() }),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Only Unix says here whose a link is.
    pub(super) fn refuse_link_of_another(_: &Path) -> io::Result<()> {
        Ok(())
    }

    /// A folder in this one; no link.
    pub(crate) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let path = self.path.join(name);
        match self.kind(name)? {
            Some(Kind::Folder) => Ok(Self { path }),
            Some(Kind::Link) => Err(refused(path, Kind::Link)),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is there under a name, without following a link.
    pub(crate) fn kind(&self, name: &OsStr) -> io::Result<Option<Kind>> {
        match fs::symlink_metadata(self.path.join(name)) {
            Ok(found) => Ok(Some(found.file_type().into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a regular file that is there.
    pub(crate) fn open_file(&self, name: &OsStr, purpose: For) -> io::Result<File> {
        if !self.has_file(name)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        options(purpose).open(self.path.join(name))
    }

    /// Makes a file that is not there yet, with the permissions of `access`.
    pub(crate) fn create_file(&self, name: &OsStr, purpose: For, access: Access) -> io::Result<File> {
        let path = self.path.join(name);
        let file = options(purpose).write(true).create_new(true).open(&path)?;
        match share::restrict(&file, &path, access) {
            Ok(()) => Ok(file),
            Err(error) => {
                let _ = self.remove_file(name);
                Err(error)
            }
        }
    }

    /// Makes a folder, unless there is something of that name.
    pub(super) fn make_folder(&self, name: &OsStr, _: Access) -> io::Result<()> {
        match fs::create_dir(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    /// Folders take their permissions from the folder above.
    pub(crate) fn restrict(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn rename(&self, from: &OsStr, into: &Self, to: &OsStr) -> io::Result<()> {
        fs::rename(self.path.join(from), into.path.join(to))
    }

    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_dir(self.path.join(name))
    }

    /// The names in it, and what each of them is.
    pub(crate) fn entries(&self) -> io::Result<Vec<(OsString, Kind)>> {
        let entries = fs::read_dir(&self.path)?;
        entries.map(|entry| entry.and_then(|e| Ok((e.file_name(), e.file_type()?.into())))).collect()
    }

    /// Only Unix lets a folder be opened to sync it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn options(purpose: For) -> fs::OpenOptions {
    let mut options = File::options();
    match purpose {
        For::Reading => options.read(true),
        For::Appending => options.read(true).append(true),
        For::Writing => options.read(true).write(true),
    };
    options
}
