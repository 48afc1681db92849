//! Revocation lists of the CAs (RFC 5280, section 5): which certificates are withdrawn before they ever connect.
//!
//! Off by default. AWS IoT knows no revocation lists; it only knows what an operator told it about certificates that
//! are registered. A list tells about the others: boards that were stolen or scrapped before they were switched on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// Revocation lists that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// A file or the folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The folder has no list.
    #[error("{} holds no file NAME.crl", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// Not a revocation list, or not a certificate.
    #[error("{} is not {expected}, PEM or DER", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The list is not this CA's.
    #[error("{} was not issued and signed by the CA beside it, {}", list.display(), ca.display())]
    Signature {
        /// The list.
        list: PathBuf,
        /// The CA's certificate.
        ca: PathBuf,
    },
}

/// The certificates that CAs have revoked: the issuer's name and the serial numbers, both as they are encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationLists(BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>);

impl RevocationLists {
    /// Reads every `NAME.crl` of a folder, each checked with the CA's certificate beside it, `NAME.crt`.
    ///
    /// A list whose next update is overdue counts all the same: what was withdrawn stays withdrawn. The log warns.
    ///
    /// # Errors
    /// Names the file that cannot be used. Nothing is skipped.
    pub fn read(folder: &Path) -> Result<Self, RevocationError> {
        let mut lists = Self::default();
        for path in list_files(folder)? {
            lists.add(&path)?;
        }
        if lists.0.is_empty() {
            return Err(RevocationError::Empty { path: folder.to_owned() });
        }
        Ok(lists)
    }

    fn add(&mut self, path: &Path) -> Result<(), RevocationError> {
        let ca_path = path.with_extension("crt");
        let (list, ca) = (der(path)?, der(&ca_path)?);
        let format = |path: &Path, expected| RevocationError::Format { path: path.to_owned(), expected };
        let (_, list) = CertificateRevocationList::from_der(&list)
            .map_err(|_| format(path, "a certificate revocation list"))?;
        let (_, ca) = X509Certificate::from_der(&ca).map_err(|_| format(&ca_path, "a certificate"))?;
        let own = list.issuer().as_raw() == ca.subject().as_raw();
        if !own || list.verify_signature(ca.public_key()).is_err() {
            return Err(RevocationError::Signature { list: path.to_owned(), ca: ca_path });
        }
        if list.next_update().is_some_and(|next| next < x509_parser::time::ASN1Time::now()) {
            tracing::warn!(list = %path.display(), "the revocation list's next update is overdue");
        }
        let serials =
            list.iter_revoked_certificates().map(|entry| significant(entry.raw_serial()).to_owned());
        self.0.entry(ca.subject().as_raw().to_owned()).or_default().extend(serials);
        Ok(())
    }

    /// Whether a certificate, PEM, is on its issuer's list. One that cannot be read is on none.
    pub fn contains(&self, certificate_pem: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Ok((_, pem)) = parse_x509_pem(certificate_pem.as_bytes()) else { return false };
        let Ok((_, certificate)) = X509Certificate::from_der(&pem.contents) else { return false };
        let serials = self.0.get(certificate.issuer().as_raw());
        serials.is_some_and(|serials| serials.contains(significant(certificate.raw_serial())))
    }
}

/// The lists of a folder, in the order of their names.
fn list_files(folder: &Path) -> Result<Vec<PathBuf>, RevocationError> {
    let unreadable = |source| RevocationError::Read { path: folder.to_owned(), source };
    let mut paths = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "crl"));
    paths.sort();
    Ok(paths)
}

/// The DER of a file that holds DER or PEM.
fn der(path: &Path) -> Result<Vec<u8>, RevocationError> {
    let bytes =
        std::fs::read(path).map_err(|source| RevocationError::Read { path: path.to_owned(), source })?;
    match parse_x509_pem(&bytes) {
        Ok((_, pem)) => Ok(pem.contents),
        Err(_) => Ok(bytes),
    }
}

/// A serial number without the zeros that an encoder may have put before it.
fn significant(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    &serial[zeros..]
}

#[cfg(test)]
mod tests;
