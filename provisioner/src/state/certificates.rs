//! Every device certificate that was issued here or given to a board from here, by its key:
//! `certificates/SUBJECT_KEY_IDENTIFIER/CERTIFICATE_ID.crt`.
//!
//! Revoking a device means revoking every certificate of its key, so none of them may be forgotten. The name of a file
//! follows from its content: a file is never changed, and nothing removes it.

use std::path::{Path, PathBuf};

use device_pki::Certificate;
use durable_files::folder::{self, Opened};
use durable_files::{Access, Error};

pub use super::home::CERTIFICATES as FOLDER;
use super::home::Home;

const EXTENSION: &str = "crt";

/// A certificate that is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// Identifier of its key: SHA-1 of the public key bits, 40 lower-case hex digits.
    pub subject_key_identifier: String,
    /// SHA-256 of the DER certificate, 64 lower-case hex digits.
    pub certificate_id: String,
    path: PathBuf,
}

impl Kept {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The certificate; `None` where the file is gone or damaged: its name still says which it was.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read(&self) -> Result<Option<Certificate>, Error> {
        let pem = durable_files::read(&self.path)?;
        let certificate = pem.and_then(|pem| Certificate::read(&pem).ok());
        Ok(certificate.filter(|certificate| certificate.facts().certificate_id == self.certificate_id))
    }
}

/// Keeps a certificate; on the disk when this returns. One with a key that is not P-256 is no device's.
///
/// # Errors
/// [`Error`].
pub fn keep(home: &Home, certificate: &Certificate) -> Result<(), Error> {
    let facts = certificate.facts();
    let Some(key) = &facts.subject_key_identifier else { return Ok(()) };
    let path = of(home, key).join(format!("{}.{EXTENSION}", facts.certificate_id));
    let pem = certificate.to_pem();
    if durable_files::read(&path)?.is_some_and(|kept| kept == pem.as_bytes()) {
        return Ok(());
    }
    create(home, key)?;
    durable_files::write(&path, pem.as_bytes(), Access::Public)
}

/// The certificates of a key, in the order of their ids.
///
/// # Errors
/// [`Error::Io`].
pub fn of_key(home: &Home, key: &str) -> Result<Vec<Kept>, Error> {
    opened(home)?.map_or_else(|| Ok(Vec::new()), |keys| in_folder(&keys, key))
}

/// The folder of all keys; `None` where there is none.
///
/// # Errors
/// [`Error::Io`].
pub fn opened(home: &Home) -> Result<Option<Opened>, Error> {
    folder::open(&home.file(FOLDER))
}

/// As [`of_key`], in the folder that [`opened`] gives.
///
/// # Errors
/// [`Error::Io`].
pub fn in_folder(keys: &Opened, key: &str) -> Result<Vec<Kept>, Error> {
    let entries = keys.enter(key)?.map(|folder| folder.entries()).transpose()?;
    let kept = |folder::Entry { path, .. }| {
        let name = path.file_name()?.to_str()?;
        let certificate_id = name.strip_suffix(EXTENSION)?.strip_suffix('.').filter(|id| is_hex(id, 64))?;
        let (subject_key_identifier, certificate_id) = (key.to_owned(), certificate_id.to_owned());
        Some(Kept { subject_key_identifier, certificate_id, path })
    };
    let mut found: Vec<Kept> = entries.into_iter().flatten().filter_map(kept).collect();
    found.sort();
    Ok(found)
}

/// The certificates of every key.
///
/// # Errors
/// [`Error::Io`].
pub fn all(home: &Home) -> Result<Vec<Kept>, Error> {
    let Some(folder) = opened(home)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for key in keys(&folder)? {
        found.extend(in_folder(&folder, &key)?);
    }
    Ok(found)
}

/// The keys that certificates are kept of, in the folder that [`opened`] gives.
///
/// # Errors
/// [`Error::Io`].
pub fn keys(folder: &Opened) -> Result<Vec<String>, Error> {
    let entries = folder.entries()?.into_iter();
    let names = entries.filter_map(|entry| Some(entry.path.file_name()?.to_str()?.to_owned()));
    Ok(names.filter(|name| is_hex(name, 40)).collect())
}

fn of(home: &Home, key: &str) -> PathBuf {
    home.file(FOLDER).join(key)
}

fn create(home: &Home, key: &str) -> Result<(), Error> {
    home.create()?;
    folder::create_inside(&home.file(FOLDER))?;
    folder::create_inside(&of(home, key))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}
