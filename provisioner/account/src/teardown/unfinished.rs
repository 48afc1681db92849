//! Certificates without a CA whose removal has begun.
//!
//! Once such a certificate is detached from its thing and its policy, nothing in the account shows that it is ours. So
//! their ids are written down before the first of them is touched, and the next run takes them from there.

use std::path::{Path, PathBuf};

use jitr::scope::Scope;

use durable_files::{Access, Error, folder};

/// What was written down in a folder for one account and Region: a JSON array of certificate ids.
pub(super) struct Unfinished<'a> {
    folder: &'a Path,
    path: PathBuf,
}

impl<'a> Unfinished<'a> {
    pub(super) fn of(folder: &'a Path, scope: &Scope) -> Self {
        Self { folder, path: folder.join(format!("teardown-{}-{}.json", scope.account, scope.region)) }
    }

    /// The ids. A file that cannot be read as such was not written here.
    pub(super) fn read(&self) -> Result<Vec<String>, Error> {
        let bytes = durable_files::read(&self.path)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    pub(super) fn write(&self, ids: &[String]) -> Result<(), Error> {
        folder::create(self.folder)?;
        durable_files::write(&self.path, serde_json::json!(ids).to_string().as_bytes(), Access::Public)
    }

    pub(super) fn clear(&self) -> Result<(), Error> {
        durable_files::remove(&self.path)
    }
}
