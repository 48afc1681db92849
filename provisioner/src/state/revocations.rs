//! What each signer CA has revoked, and the lists that say so, as they are in the home folder.
//!
//! What is revoked is noted in a file per signer that only grows; a list is made of it whenever one is asked for. A signer
//! that is revoked has a note beside its files; the root's list is made of these. The lists are `KEYID.crl` beside the
//! issuer's certificate `KEYID.crt`, which is how the Lambda's `CRL_DIR` wants them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use device_pki::certificate::as_rfc3339;
use device_pki::revocation::Reason;
use device_pki::{Certificate, RevocationList, SerialNumber};
use durable_files::{Access, Log, Torn, folder};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;

use super::Error;
use super::home::Home;
pub use super::home::{LISTS as FOLDER, REVOCATIONS as RECORDS};

/// Follows the key identifier in the name of a file there.
const EXTENSION: &str = "jsonl";
/// In the place of a key identifier: what was revoked of CAs that are not in the home. No list is made of it.
pub const OTHERS: &str = "others";
/// Days until the next list, unless the user says another number.
pub const DAYS: u16 = 30;
/// One certificate that its signer has revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When, RFC 3339, UTC.
    #[serde(with = "rfc3339")]
    pub when: OffsetDateTime,
    /// Serial number.
    pub serial_number: SerialNumber,
    /// SHA-256 of the DER certificate: its id in AWS IoT.
    pub certificate_id: String,
    /// Identifier of its key: SHA-1 of the public key bits, 40 lower-case hex digits; `None` where only the id is known, and
    /// in what earlier versions wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_key_identifier: Option<String>,
    /// Why.
    pub reason: Reason,
}

/// What one signer has revoked.
#[derive(Clone, Debug)]
pub struct Records {
    log: Log,
}

impl Records {
    fn at(path: PathBuf) -> Self {
        let is_whole = |line: &[u8]| serde_json::from_slice::<Revocation>(line).is_ok();
        Self { log: Log::new(path, Access::Private, Torn::Cut(is_whole)) }
    }

    /// What the signer with this key identifier has revoked.
    pub fn of(home: &Home, key_id: &str) -> Self {
        let path = home.file(RECORDS).join(format!("{key_id}.{EXTENSION}"));
        Self::at(path)
    }

    /// Every certificate that is revoked, in the order in which they were; each once, for the last reason that was given.
    ///
    /// # Errors
    /// [`Error::Revocations`] for a line that is none: leaving it out could let a device in again. [`Error::File`].
    pub fn read(&self) -> Result<Vec<Revocation>, Error> {
        parse(&self.log.read()?, self.log.path())
    }

    /// Notes a revocation; on the disk when this returns.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn add(&self, revocation: &Revocation) -> Result<(), durable_files::Error> {
        folder::create(self.log.path().parent().unwrap_or(Path::new(".")))?;
        self.log.append(|_| Ok(serde_json::to_vec(revocation)?), |_| Ok(()))
    }
}

/// The revocations in the text of a file; each certificate once, for the last reason that was given.
///
/// # Errors
/// [`Error::Revocations`] for a line that is none.
pub fn parse(text: &[u8], file: &Path) -> Result<Vec<Revocation>, Error> {
    let (mut revocations, mut seen) = (Vec::<Revocation>::new(), BTreeMap::new());
    for (index, line) in durable_files::lines(text).enumerate() {
        let mut revocation: Revocation = serde_json::from_slice(line)
            .map_err(|_| Error::Revocations { file: file.to_owned(), line: index + 1 })?;
        revocation.certificate_id.make_ascii_lowercase();
        // Earlier versions gave two certificates one number.
        let certificate = (revocation.serial_number.clone(), revocation.certificate_id.clone());
        match seen.get(&certificate) {
            Some(&place) => revocations[place] = revocation,
            None => {
                seen.insert(certificate, revocations.len());
                revocations.push(revocation);
            }
        }
    }
    Ok(revocations)
}

/// Every revocation that is noted in a home, whichever CA issued the certificate.
///
/// # Errors
/// As [`Records::read`]; [`Error::File`].
pub fn all(home: &Home) -> Result<Vec<Revocation>, Error> {
    let mut found = Vec::new();
    for entry in folder::entries(&home.file(RECORDS))?.unwrap_or_default() {
        if entry.path.extension().is_some_and(|extension| extension == EXTENSION) {
            found.extend(Records::at(entry.path).read()?);
        }
    }
    Ok(found)
}

/// What a list says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// Key identifier of the CA that signed it.
    pub authority_key_identifier: String,
    /// CRL number (RFC 5280, section 5.2.3).
    pub crl_number: u64,
    /// When the next one is due, RFC 3339.
    #[serde(serialize_with = "as_rfc3339")]
    pub next_update: OffsetDateTime,
    /// Certificates on it.
    pub revoked_certificates: usize,
    /// How much of what the function takes it has, in per cent.
    #[serde(skip)]
    pub fill: usize,
    /// The file.
    #[serde(serialize_with = "crate::contract::path")]
    pub file: PathBuf,
}

impl List {
    /// Reads the list of a signer; `None` where there is none, or none that can be read.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn read(folder: &Path, key_id: &str) -> Result<Option<Self>, durable_files::Error> {
        let file = file(folder, key_id, "crl");
        Ok(durable_files::read(&file)?.and_then(|bytes| Self::of(&bytes, key_id, file)))
    }

    /// What a list, PEM or DER, says.
    pub fn of(bytes: &[u8], key_id: &str, file: PathBuf) -> Option<Self> {
        let list = RevocationList::unverified(bytes, key_id).ok()?;
        Some(Self {
            authority_key_identifier: key_id.to_owned(),
            crl_number: list.number()?,
            next_update: OffsetDateTime::from_unix_timestamp(list.next_update()?).ok()?,
            revoked_certificates: list.revoked(),
            fill: list.fill(),
            file,
        })
    }
}

/// The file of a list, `crl`, or of its issuer's certificate, `crt`.
pub fn file(folder: &Path, key_id: &str, extension: &str) -> PathBuf {
    folder.join(format!("{key_id}.{extension}"))
}

/// The folder with the lists that `provisioner` keeps itself.
pub fn folder(home: &Home) -> PathBuf {
    home.file(FOLDER)
}

/// Keeps other runs from revoking or making lists until it is dropped.
///
/// # Errors
/// [`durable_files::Error`].
pub fn lock(home: &Home) -> Result<folder::Lock, durable_files::Error> {
    folder::lock(&home.file(RECORDS))
}

/// Whether a certificate is among the revocations.
pub fn is_revoked(revocations: &[Revocation], certificate: &Certificate) -> bool {
    let number = certificate.serial_number().ok();
    revocations.iter().any(|revocation| Some(&revocation.serial_number) == number.as_ref())
}
