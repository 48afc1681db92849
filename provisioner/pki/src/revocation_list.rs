//! Certificate revocation lists (RFC 5280, section 5): read, and checked with their CA's certificate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

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
    /// The folder has no such file.
    #[error("{} holds no file NAME.{extension}", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
        /// `crl` or `crt`.
        extension: &'static str,
    },
    /// Not a revocation list, or not a certificate.
    #[error("{what} is not {expected}, PEM or DER")]
    Format {
        /// Where it comes from.
        what: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The list is not this CA's.
    #[error("{list} was not issued and signed by the CA in {}", ca.display())]
    Signature {
        /// Where the list comes from.
        list: String,
        /// The CA's certificate.
        ca: PathBuf,
    },
}

/// The certificate of a CA, with which its list is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificate {
    path: PathBuf,
    der: Vec<u8>,
    subject: Vec<u8>,
}

impl CaCertificate {
    /// Reads a file, PEM or DER.
    ///
    /// # Errors
    /// If it cannot be read or is no certificate.
    pub fn read(path: &Path) -> Result<Self, RevocationError> {
        let bytes =
            std::fs::read(path).map_err(|source| RevocationError::Read { path: path.to_owned(), source })?;
        Self::parse(bytes, path)
    }

    /// Takes what is in a file, PEM or DER. `path` is what an error names.
    ///
    /// # Errors
    /// If it is no certificate.
    pub fn parse(bytes: Vec<u8>, path: &Path) -> Result<Self, RevocationError> {
        let der = der(bytes);
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| no_certificate(path))?;
        let subject = certificate.subject().as_raw().to_owned();
        Ok(Self { path: path.to_owned(), der, subject })
    }

    /// Reads every `NAME.crt` of a folder.
    ///
    /// # Errors
    /// Names the file that cannot be used. Nothing is skipped.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, RevocationError> {
        files(folder, "crt")?.iter().map(|path| Self::read(path)).collect()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a certificate names this CA as its issuer.
    pub fn is_issuer_of(&self, certificate: &X509Certificate<'_>) -> bool {
        certificate.issuer().as_raw() == self.subject
    }
}

/// The certificates that one CA has revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    issuer: Vec<u8>,
    /// Serial numbers as they are encoded, without zeros before them.
    serials: BTreeSet<Vec<u8>>,
    /// When the CA will have published another one, seconds since 1970.
    next_update: Option<i64>,
    number: Option<u64>,
}

impl RevocationList {
    /// Reads a list, PEM or DER, and checks that `ca` has issued and signed it. `origin` is named in errors.
    ///
    /// # Errors
    /// If it is no list, or not this CA's.
    pub fn verified(bytes: Vec<u8>, origin: &str, ca: &CaCertificate) -> Result<Self, RevocationError> {
        let der = der(bytes);
        let list = Self::parsed(&der, origin)?;
        let (_, certificate) = X509Certificate::from_der(&ca.der).map_err(|_| no_certificate(&ca.path))?;
        let own = list.issuer().as_raw() == ca.subject;
        if !own || list.verify_signature(certificate.public_key()).is_err() {
            return Err(RevocationError::Signature { list: origin.to_owned(), ca: ca.path.clone() });
        }
        Ok(Self::of(&list))
    }

    /// Reads a list, PEM or DER, whoever signed it. `origin` is named in errors.
    ///
    /// # Errors
    /// If it is no list.
    pub fn unverified(bytes: Vec<u8>, origin: &str) -> Result<Self, RevocationError> {
        Ok(Self::of(&Self::parsed(&der(bytes), origin)?))
    }

    fn parsed<'a>(der: &'a [u8], origin: &str) -> Result<CertificateRevocationList<'a>, RevocationError> {
        let list = CertificateRevocationList::from_der(der);
        list.map(|(_, list)| list).map_err(|_| RevocationError::Format {
            what: origin.to_owned(),
            expected: "a certificate revocation list",
        })
    }

    fn of(list: &CertificateRevocationList<'_>) -> Self {
        Self {
            issuer: list.issuer().as_raw().to_owned(),
            serials: list
                .iter_revoked_certificates()
                .map(|entry| significant(entry.raw_serial()).to_owned())
                .collect(),
            next_update: list.next_update().map(|time| time.timestamp()),
            number: list.crl_number().and_then(|number| number.to_string().parse().ok()),
        }
    }

    /// How many certificates are on it.
    pub fn revoked(&self) -> usize {
        self.serials.len()
    }

    /// Its number, if it has one (RFC 5280, section 5.2.3).
    pub fn number(&self) -> Option<u64> {
        self.number
    }

    /// Whether the CA should have published another list by now.
    pub fn is_overdue(&self) -> bool {
        self.next_update.is_some_and(|next| next < ASN1Time::now().timestamp())
    }

    /// When the CA will have published another list, if it says so; seconds since 1970.
    pub fn next_update(&self) -> Option<i64> {
        self.next_update
    }

    /// Whether a certificate of this issuer is on it.
    pub fn names(&self, certificate: &X509Certificate<'_>) -> bool {
        certificate.issuer().as_raw() == self.issuer
            && self.serials.contains(significant(certificate.raw_serial()))
    }
}

/// Does something with a certificate, PEM, if it can be read.
pub fn with_certificate<T>(pem: &str, work: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
    Some(work(&certificate))
}

/// The files `NAME.extension` of a folder, in the order of their names.
///
/// # Errors
/// If the folder cannot be read, or has none.
pub fn files(folder: &Path, extension: &'static str) -> Result<Vec<PathBuf>, RevocationError> {
    let unreadable = |source| RevocationError::Read { path: folder.to_owned(), source };
    let mut paths = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    if paths.is_empty() {
        return Err(RevocationError::Empty { path: folder.to_owned(), extension });
    }
    paths.sort();
    Ok(paths)
}

/// The DER of what is DER or PEM.
fn no_certificate(path: &Path) -> RevocationError {
    RevocationError::Format { what: path.display().to_string(), expected: "a certificate" }
}

fn der(bytes: Vec<u8>) -> Vec<u8> {
    match parse_x509_pem(&bytes) {
        Ok((_, pem)) => pem.contents,
        Err(_) => bytes,
    }
}

/// A serial number without the zeros that an encoder may have put before it.
fn significant(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    &serial[zeros..]
}
