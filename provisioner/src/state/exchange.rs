//! The state between two signers, or between two chains: the files of the old one are being exchanged for those of the new one.
//!
//! What is new is made in a folder of its own. Once a file in it says which files there are, the exchange is under way
//! until the folder is gone.

use durable_files::{Access, read, write};
use serde::{Deserialize, Serialize};

use super::Error;
use super::home::{EXCHANGE, Home, RETIRED};

/// The folder, among the retired signers, in which the next signer is made.
pub(crate) const NEXT: &str = "next";
/// The folder, among the retired signers, in which a new root CA and its signer CA are made.
const NEW: &str = "new";

/// Which files the exchange moves.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// Their names.
    pub files: Vec<String>,
    /// What the old files of a whole chain get behind their names. Those of a signer alone are not kept: they have been copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
}

/// The home of the next signer.
pub fn next(home: &Home) -> Home {
    Home::at(home.file(RETIRED).join(NEXT))
}

/// The home of a new root CA and its signer CA.
pub fn new_chain(home: &Home) -> Home {
    Home::at(home.file(RETIRED).join(NEW))
}

/// Whether a whole chain is being exchanged: certificates and keys of the home may not belong together.
pub fn is_chain_under_way(home: &Home) -> bool {
    under_way(home).is_some_and(|from| from.root() == new_chain(home).root())
}

/// The folder whose files are being put in place, where an exchange is under way or was interrupted.
pub fn under_way(home: &Home) -> Option<Home> {
    [new_chain(home), next(home)].into_iter().find(|folder| folder.file(EXCHANGE).symlink_metadata().is_ok())
}

impl Exchange {
    /// Reads which files an exchange that is under way moves from `from`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn read(from: &Home) -> Result<Self, Error> {
        let path = from.file(EXCHANGE);
        let text = read(&path)?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).map_err(|e| durable_files::Error::io("read", &path, e.into()))?)
    }

    /// Notes in `from` that an exchange is under way.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn begin(&self, from: &Home) -> Result<(), Error> {
        let path = from.file(EXCHANGE);
        let text =
            serde_json::to_vec(self).map_err(|e| durable_files::Error::io("write", &path, e.into()))?;
        Ok(write(&path, &text, Access::Public)?)
    }
}
