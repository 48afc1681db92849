//! Taking the root's key offline: a copy on a medium, verified, before the one in the home goes.

use std::fs;
use std::path::{Path, PathBuf};

use device_pki::key;
use device_pki::reader::Kind;
use durable_files::Access;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{AuthorityError, Error};
use crate::state::home::Home;
use crate::state::store::{self, ROOT_CERTIFICATE, ROOT_KEY, Role};

/// Where the root's key goes.
#[derive(Clone, Debug, Serialize)]
pub struct Export {
    /// The copy.
    #[serde(rename = "key_file")]
    #[serde(serialize_with = "crate::contract::path")]
    pub key: PathBuf,
    /// The root's certificate beside it.
    #[serde(rename = "certificate_file")]
    #[serde(serialize_with = "crate::contract::path")]
    pub certificate: PathBuf,
}

impl Export {
    /// Looks at the root's key, at `folder`, and whether the key can be removed from the home. Changes nothing.
    ///
    /// # Errors
    /// [`AuthorityError::RootElsewhere`] if the key is not in a file of the home; [`AuthorityError::ExportPlace`] for a folder that is
    /// not there, is the home, or has another key of that name; [`durable_files::Error`].
    pub fn plan(home: &Home, folder: &Path) -> Result<Self, Error> {
        let (bytes, access, _) = root(home)?;
        let refuse = |reason| AuthorityError::ExportPlace { folder: folder.to_owned(), reason };
        let real = fs::canonicalize(folder).map_err(|_| refuse("there is no such folder"))?;
        if !real.is_dir() {
            return Err(refuse("it is not a folder").into());
        }
        if fs::canonicalize(home.root()).is_ok_and(|home| real.starts_with(home)) {
            return Err(refuse("it is in the home, where the key is to be taken away from").into());
        }
        durable_files::folder::check_writable(home.root())?;
        let export = Self { key: real.join(ROOT_KEY), certificate: real.join(ROOT_CERTIFICATE) };
        match access {
            Access::Secret => durable_files::folder::check_closable(&real, &export.key)?,
            _ => durable_files::folder::check_writable(&real)?,
        }
        match key::file::copy_of(&export.key)? {
            Some((there, _)) if there != bytes => Err(refuse("it has another key of the same name").into()),
            _ => Ok(export),
        }
    }

    /// Copies the root's key, encrypted or not, and its certificate, reads the copies back, and removes the key from the
    /// home. Everything but signing with it goes on working.
    ///
    /// # Errors
    /// As [`Export::plan`]; [`durable_files::Error`]. The key stays then. [`AuthorityError::KeyStays`] if there are two then: the
    /// copy stays as well, for the removal may have been done and not confirmed.
    pub fn carry_out(&self, home: &Home) -> Result<(), Error> {
        let (bytes, access, certificate) = root(home)?;
        if key::file::copy_of(&self.key)?.is_none() {
            durable_files::write(&self.key, &bytes, access)?;
        }
        durable_files::write(&self.certificate, certificate.as_bytes(), Access::Public)?;
        let same = key::file::copy_of(&self.key)?.is_some_and(|(read, _)| read == bytes)
            && durable_files::read(&self.certificate)?.is_some_and(|read| read == certificate.as_bytes());
        if !same {
            let file = self.key.display().to_string();
            return Err(
                device_pki::Error::from(key::Error::Malformed { file, found: Kind::DamagedKey }).into()
            );
        }
        let removed = durable_files::remove(&home.file(ROOT_KEY));
        Ok(removed.map_err(|source| AuthorityError::KeyStays { copy: self.key.clone(), source })?)
    }
}

/// The bytes of the root's key file, the access that a copy must have, and the root's certificate, PEM.
fn root(home: &Home) -> Result<(Zeroizing<Vec<u8>>, Access, String), Error> {
    let (bytes, access) = match key::file::copy_of(&home.file(ROOT_KEY))? {
        Some(content) => content,
        None if store::has_key(home, Role::Root) => {
            let uri = store::key_uri(home, Role::Root)?.to_string();
            return Err(AuthorityError::RootElsewhere { uri }.into());
        }
        None => return Err(AuthorityError::RootElsewhere { uri: "another place already".to_owned() }.into()),
    };
    let certificate = store::certificate(home, Role::Root)?.ok_or_else(|| {
        crate::state::Error::Incomplete { folder: home.root().to_owned(), files: vec![ROOT_CERTIFICATE] }
    })?;
    Ok((bytes, access, certificate.to_pem()))
}
