//! The home folder: where keys, certificates and the folder of each board live, and how files get there.
//!
//! Every file is written to a temporary file beside its destination, synced, and renamed; keys are 0600, the folder 0700.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod error;
mod file;
mod leftovers;
mod lock;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use file::{Access, Staged, read, read_secret, remove, set_aside, stage, write};
pub(crate) use file::{folder_of, sync_folder};
pub(crate) use lock::{take_soon, wait_for};

/// The provisioner's folder, `~/.microchip-iot` unless `--home` or `MICROCHIP_IOT_HOME` names another.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

/// A lock on the whole home folder, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Home {
    /// The folder at `root`; it need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file directly in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of one board, named by its USB serial number, or by its ECC serial where it has none.
    pub fn board(&self, serial: &str) -> PathBuf {
        self.root.join(serial)
    }

    /// Makes the folder of one board, see [`Home::board`], and the home above it.
    ///
    /// # Errors
    /// [`Error::FolderName`] for a name that would lead out of the home; [`Error::Symlink`]; [`Error::Io`].
    pub fn create_board(&self, serial: &str) -> Result<PathBuf, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if serial.is_empty() || serial.len() > 64 || serial.starts_with('.') || !serial.chars().all(plain) {
            return Err(Error::FolderName { name: serial.to_owned() });
        }
        self.create()?;
        let folder = self.board(serial);
        create_folder(&folder)?;
        if is_symlink(&folder) {
            return Err(Error::Symlink { path: folder });
        }
        leftovers::sweep(&folder);
        Ok(folder)
    }

    /// Makes the home folder, for its owner alone (0700), and closes one that others could enter.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(&self) -> Result<(), Error> {
        create_folder(&self.root)?;
        restrict_folder(&self.root).map_err(|e| Error::io("protect", &self.root, e))
    }

    /// Takes the home for changes to the certificate authorities: no other run may use it meanwhile. Waits for those
    /// that do, up to a minute, and says so.
    ///
    /// # Errors
    /// [`Error::Busy`] if they have not finished by then; [`Error::Io`].
    pub fn lock(&self) -> Result<Lock, Error> {
        self.lock_within(lock::PATIENCE, File::try_lock)
    }

    /// Takes the home for use: other runs may use it as well, but none may change the certificate authorities. Waits as
    /// [`Home::lock`] does.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Io`].
    pub fn lock_shared(&self) -> Result<Lock, Error> {
        self.lock_within(lock::PATIENCE, File::try_lock_shared)
    }

    fn lock_within(&self, patience: Duration, take: lock::TryLock) -> Result<Lock, Error> {
        self.create()?;
        let path = self.file(".lock");
        if is_symlink(&path) {
            return Err(Error::Symlink { path });
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| Error::io("open", &path, e))?;
        match lock::wait(&file, &self.root, patience, take) {
            Ok(()) => {
                leftovers::sweep(&self.root);
                Ok(Lock { _file: file })
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Error::Busy { path: self.root.clone() }),
            Err(e) => Err(Error::io("lock", &path, e)),
        }
    }
}

fn create_folder(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|e| Error::io("create", path, e))
}

#[cfg(unix)]
fn restrict_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn restrict_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn is_symlink(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_symlink())
}
