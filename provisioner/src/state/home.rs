//! The home folder: where keys, certificates and the folder of each board live.

use std::path::{Path, PathBuf};

use durable_files::folder::{self, Lock};

use super::Error;

/// The folder in the home with a folder for each retired signer, named by its key identifier.
pub const RETIRED: &str = "signers";

/// The provisioner's folder, `~/.microchip-iot` unless the user names another.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The folder at `root`; it need not exist yet. No link in it is followed.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        durable_files::guard(&root);
        Self { root }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file directly in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of one board, named by its USB serial number, or by its secure element's where it has none.
    ///
    /// # Errors
    /// [`Error::FolderName`] for a name that would lead out of the home.
    pub fn board(&self, serial: &str) -> Result<PathBuf, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if serial.is_empty() || serial.len() > 64 || serial.starts_with('.') || !serial.chars().all(plain) {
            return Err(Error::FolderName { name: serial.to_owned() });
        }
        Ok(self.root.join(serial))
    }

    /// Makes a folder in the home, see [`Home::board`], and the home above it. Removes what killed runs have left.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn create_inside(&self, folder: &Path) -> Result<(), durable_files::Error> {
        self.create()?;
        folder::sweep(&self.root);
        folder::create_inside(folder)
    }

    /// Makes the home folder, for its owner alone (0700), and closes one that others could enter.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn create(&self) -> Result<(), durable_files::Error> {
        folder::create(&self.root)
    }

    /// Takes the home for changes to the certificate authorities: no other run may use it meanwhile.
    ///
    /// # Errors
    /// As [`folder::lock`].
    pub fn lock(&self) -> Result<Lock, durable_files::Error> {
        folder::lock(&self.root)
    }

    /// Takes the home for use: other runs may use it as well, but none may change the certificate authorities.
    ///
    /// # Errors
    /// As [`folder::lock_shared`].
    pub fn lock_shared(&self) -> Result<Lock, durable_files::Error> {
        folder::lock_shared(&self.root)
    }

    /// As [`Home::lock`], for a look that changes nothing. `None` where nothing in the home was locked before.
    ///
    /// # Errors
    /// As [`folder::lock`].
    pub fn lock_existing(&self) -> Result<Option<Lock>, durable_files::Error> {
        folder::lock_existing(&self.root)
    }

    /// The lock that a look has taken, or else a new one: to carry out what was looked at.
    ///
    /// # Errors
    /// As [`folder::lock`].
    pub fn locked(&self, lock: Option<Lock>) -> Result<Lock, durable_files::Error> {
        folder::sweep(&self.root);
        lock.map_or_else(|| self.lock(), Ok)
    }

    /// As [`Home::lock_shared`], for a look that changes nothing. `None` where nothing in the home was locked before.
    ///
    /// # Errors
    /// As [`folder::lock`].
    pub fn lock_shared_existing(&self) -> Result<Option<Lock>, durable_files::Error> {
        folder::lock_shared_existing(&self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_cannot_lead_out_of_the_home() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        for name in ["", "..", "../x", "a/b", ".hidden", "a\\b", "a\nb"] {
            assert!(matches!(home.board(name), Err(Error::FolderName { .. })), "{name:?}");
        }
        let board = home.board("MCHP3261021800001234").unwrap();
        home.create_inside(&board).unwrap();
        assert!(board.is_dir());
    }
}
