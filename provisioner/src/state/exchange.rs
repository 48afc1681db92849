//! The state between two signers: the files of the old one are being exchanged for those of the new one.
//!
//! The new signer is made in a folder of its own. Once a file in it says which files there are, the exchange is under way
//! until the folder is gone.

use durable_files::{Access, read, write};
use serde::{Deserialize, Serialize};

use super::Error;
use super::home::{EXCHANGE, Home, RETIRED};

/// The folder, among the retired signers, in which the new one is made.
const NEXT: &str = "next";

/// Which files the exchange moves.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// Their names.
    pub files: Vec<String>,
}

/// The home of the next signer.
pub fn next(home: &Home) -> Home {
    Home::at(home.file(RETIRED).join(NEXT))
}

/// Whether an exchange of files is under way or was interrupted.
pub fn is_under_way(home: &Home) -> bool {
    next(home).file(EXCHANGE).exists()
}

impl Exchange {
    /// Reads which files an exchange under way moves.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn read(home: &Home) -> Result<Self, Error> {
        let path = next(home).file(EXCHANGE);
        let text = read(&path)?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).map_err(|e| durable_files::Error::io("read", &path, e.into()))?)
    }

    /// Notes that an exchange is under way.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn begin(&self, home: &Home) -> Result<(), Error> {
        let path = next(home).file(EXCHANGE);
        let text =
            serde_json::to_vec(self).map_err(|e| durable_files::Error::io("write", &path, e.into()))?;
        Ok(write(&path, &text, Access::Public)?)
    }
}
