//! Certificates without a CA whose removal has begun.
//!
//! Once such a certificate is detached from its thing and its policy, nothing in the account tells that it is ours. So
//! their ids are written down before the first of them is touched, and the next run takes them from there.

use std::path::PathBuf;

use jitr::scope::Scope;

use crate::home::{self, Access, Home};

/// What one home folder has written down for one account and Region: a JSON array of certificate ids.
pub(super) struct Unfinished<'a> {
    home: &'a Home,
    path: PathBuf,
}

impl<'a> Unfinished<'a> {
    pub(super) fn of(home: &'a Home, scope: &Scope) -> Self {
        Self { home, path: home.file(&format!("teardown-{}-{}.json", scope.account, scope.region)) }
    }

    /// The ids. A file that cannot be read as such was not written here.
    pub(super) fn read(&self) -> Result<Vec<String>, home::Error> {
        let bytes = home::read(&self.path)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    pub(super) fn write(&self, ids: &[String]) -> Result<(), home::Error> {
        self.home.create()?;
        home::write(&self.path, serde_json::json!(ids).to_string().as_bytes(), Access::Public)
    }

    pub(super) fn clear(&self) -> Result<(), home::Error> {
        home::remove(&self.path)
    }
}
