//! A file with what a program can find out again. One process has it at a time, and nothing of it is synced.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::file::Access;
use crate::place::Place;
use crate::{Error, lock};

/// Opens a file to read it and to append to it, or makes it; its owner alone can read it. It belongs to this process until it is
/// closed: `None` while another process has it. One that is ending has it for a moment longer.
///
/// # Errors
/// [`Error::Symlink`], [`Error::NotAFile`], [`Error::Io`].
pub fn cache(path: &Path) -> Result<Option<File>, Error> {
    let open = || {
        let (folder, name) = Place::of(path)?;
        let (file, _) = folder.open_or_create(&name, Access::Private)?;
        match lock::wait(&file, path, lock::MOMENT, File::try_lock) {
            Ok(()) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    };
    open().map_err(|error| Error::io("open", path, error))
}
