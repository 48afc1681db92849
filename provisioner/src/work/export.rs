//! Taking the root's key offline: a copy on a medium, verified, before the one in the home goes.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::store::{self, ROOT_CERTIFICATE, ROOT_KEY, Role};
use super::{Error, key};
use crate::home::{self, Access, Home};

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
/// [`Error::RootElsewhere`] if the key is not in a file of the home; [`Error::ExportPlace`] for a folder that is not
/// there, is the home, or has another key of that name; [`home::Error`], such as for a medium whose files everybody can read.
pub fn copy_root(home: &Home, folder: &Path) -> Result<Exported, crate::Error> {
    let bytes = match home::read_secret(&home.file(ROOT_KEY))? {
        Some(bytes) => bytes,
        None if store::has_key(home, Role::Root) => {
            return Err(Error::RootElsewhere { uri: store::key_uri(home, Role::Root)?.to_string() }.into());
        }
        None => return Err(Error::RootElsewhere { uri: "another place already".to_owned() }.into()),
    };
    let certificate = store::certificate(home, ROOT_CERTIFICATE)?
        .ok_or_else(|| Error::Incomplete { folder: home.root().to_owned(), files: vec![ROOT_CERTIFICATE] })?;
    let refuse = |reason| Error::ExportPlace { folder: folder.to_owned(), reason };
    let real = fs::canonicalize(folder).map_err(|_| refuse("there is no such folder"))?;
    if fs::canonicalize(home.root()).is_ok_and(|home| real.starts_with(home)) {
        return Err(refuse("it is in the home, where the key is to be taken away from").into());
    }
    let copy = Exported { key: real.join(ROOT_KEY), certificate: real.join(ROOT_CERTIFICATE) };
    match home::read_secret(&copy.key)? {
        Some(there) if there != bytes => return Err(refuse("it has another key of the same name").into()),
        Some(_) => {}
        None => home::write(&copy.key, &bytes, Access::Secret)?,
    }
    home::write(&copy.certificate, certificate.to_pem().as_bytes(), Access::Public)?;
    let same = home::read_secret(&copy.key)?.is_some_and(|read| read == bytes)
        && home::read(&copy.certificate)?.is_some_and(|read| read == certificate.to_pem().as_bytes());
    if !same {
        return Err(Error::from(key::Error::Malformed { file: copy.key.display().to_string() }).into());
    }
    Ok(copy)
}

/// Removes the root's key from the home. Everything but signing with it goes on working.
///
/// # Errors
/// [`home::Error::Io`].
pub fn remove_root(home: &Home) -> Result<(), home::Error> {
    home::remove(&home.file(ROOT_KEY))
}
