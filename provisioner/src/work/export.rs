//! Taking the root's key offline: a copy on a medium, verified, before the one in the home goes.

use std::fs;
use std::path::{Path, PathBuf};

use device_pki::key;
use durable_files::Access;
use serde::Serialize;

use super::{AuthorityError, Error};
use crate::state::home::Home;
use crate::state::store::{self, ROOT_CERTIFICATE, ROOT_KEY, Role};

/// A root key that is in two places.
#[derive(Debug, Serialize)]
pub struct Exported {
    /// The copy.
    pub key: PathBuf,
    /// The root's certificate beside it.
    pub certificate: PathBuf,
}

/// Copies the root's key, encrypted or not, and its certificate into `folder`, and reads the copies back.
///
/// # Errors
/// [`AuthorityError::RootElsewhere`] if the key is not in a file of the home; [`AuthorityError::ExportPlace`] for a folder that is not
/// there, is the home, or has another key of that name; [`durable_files::Error`], such as for a medium whose files everybody can read.
pub fn copy_root(home: &Home, folder: &Path) -> Result<Exported, Error> {
    let bytes = match durable_files::read_secret(&home.file(ROOT_KEY))? {
        Some(bytes) => bytes,
        None if store::has_key(home, Role::Root) => {
            return Err(
                AuthorityError::RootElsewhere { uri: store::key_uri(home, Role::Root)?.to_string() }.into()
            );
        }
        None => return Err(AuthorityError::RootElsewhere { uri: "another place already".to_owned() }.into()),
    };
    let certificate = store::certificate(home, ROOT_CERTIFICATE)?.ok_or_else(|| {
        crate::state::Error::Incomplete { folder: home.root().to_owned(), files: vec![ROOT_CERTIFICATE] }
    })?;
    let refuse = |reason| AuthorityError::ExportPlace { folder: folder.to_owned(), reason };
    let real = fs::canonicalize(folder).map_err(|_| refuse("there is no such folder"))?;
    if fs::canonicalize(home.root()).is_ok_and(|home| real.starts_with(home)) {
        return Err(refuse("it is in the home, where the key is to be taken away from").into());
    }
    let copy = Exported { key: real.join(ROOT_KEY), certificate: real.join(ROOT_CERTIFICATE) };
    match durable_files::read_secret(&copy.key)? {
        Some(there) if there != bytes => return Err(refuse("it has another key of the same name").into()),
        Some(_) => {}
        None => durable_files::write(&copy.key, &bytes, Access::Secret)?,
    }
    durable_files::write(&copy.certificate, certificate.to_pem().as_bytes(), Access::Public)?;
    let same = durable_files::read_secret(&copy.key)?.is_some_and(|read| read == bytes)
        && durable_files::read(&copy.certificate)?
            .is_some_and(|read| read == certificate.to_pem().as_bytes());
    if !same {
        return Err(
            device_pki::Error::from(key::Error::Malformed { file: copy.key.display().to_string() }).into()
        );
    }
    Ok(copy)
}

/// Removes the root's key from the home. Everything but signing with it goes on working.
///
/// # Errors
/// [`durable_files::Error::Io`].
pub fn remove_root(home: &Home) -> Result<(), durable_files::Error> {
    durable_files::remove(&home.file(ROOT_KEY))
}
