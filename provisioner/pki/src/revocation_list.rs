//! Certificate revocation lists (RFC 5280, section 5): read, and checked with their CA's certificate.
//!
//! A list counts if it tells of every device that its CA has revoked: a complete one, for any reason, that a CA which may
//! sign lists has signed with its key (RFC 5280, section 6.3.3). Names do not matter: the same name can be encoded in
//! several ways, and two CAs can have one.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use der::asn1::ObjectIdentifier;
use durable_files::folder;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::AlgorithmIdentifier;

use crate::reader::{self, Kind};
use crate::signature;

mod encoding;
mod error;
#[cfg(test)]
mod tests;

use encoding::{Encoded, Extension, Scope};
pub use error::{RevocationError, Unfit};
pub use x509_parser::certificate::X509Certificate;

/// Bytes that a file with lists may have, PEM or DER: 100,000 entries of this crate's own take 5.5 million, 7.4 as PEM.
pub const MAX_SIZE: usize = 8 * 1024 * 1024;
/// Entries that a list may have. Reading so many takes 103 ms of CPU time (release build, x86-64, 2026-11-26).
pub const MAX_ENTRIES: usize = 100_000;
/// What a list may have of either before it is told, in per cent.
pub const NEARLY_FULL: usize = 80;
/// Seconds that a CA's clock may be ahead.
const AHEAD: i64 = 600;

const CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");
const NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const DELTA_INDICATOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
/// The signature tells whose key it is.
const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
/// Extensions of an entry that change nothing about whether it is revoked: `reasonCode`, `invalidityDate`.
const OF_ENTRIES: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("2.5.29.21"), ObjectIdentifier::new_unwrap("2.5.29.24")];

/// The certificate of a CA, with which its list is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificate {
    path: PathBuf,
    der: Vec<u8>,
    id: String,
    /// `SubjectPublicKeyInfo`.
    public_key: Vec<u8>,
}

impl CaCertificate {
    /// Takes the first certificate in a file, see [`reader`]. `path` is what an error names.
    ///
    /// # Errors
    /// If it is no certificate.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, RevocationError> {
        let mut all = Self::parse_all(bytes, path)?;
        Ok(all.swap_remove(0))
    }

    /// Takes every certificate in a file, see [`reader`]; there is one at least. `path` is what an error names.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse_all(bytes: &[u8], path: &Path) -> Result<Vec<Self>, RevocationError> {
        let no_certificate = |found| RevocationError::NoCertificate { path: path.to_owned(), found };
        let certificates = reader::documents(bytes, Kind::Certificate).map_err(no_certificate)?;
        let certificates = certificates.iter().map(|der| {
            let damaged = |_| no_certificate(Kind::DamagedCertificate);
            let (_, certificate) = X509Certificate::from_der(der).map_err(damaged)?;
            let public_key = certificate.public_key().raw.to_owned();
            let id = hex::encode(digest::digest(&digest::SHA256, der));
            Ok(Self { path: path.to_owned(), der: der.to_vec(), id, public_key })
        });
        certificates.collect()
    }

    /// Reads every certificate in every `NAME.crt` of a folder.
    ///
    /// # Errors
    /// Names the file that cannot be used. Nothing is skipped.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, RevocationError> {
        let mut all = Vec::new();
        for path in files(folder, "crt")? {
            all.extend(Self::parse_all(&read(&path)?, &path)?);
        }
        Ok(all)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the certificate: its id in AWS IoT, 64 lower-case hex digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the CA has signed a certificate.
    pub fn is_issuer_of(&self, certificate: &X509Certificate<'_>) -> bool {
        self.with(|ca| signature::verify_certificate(certificate, ca.public_key()).is_ok()).unwrap_or(false)
    }

    /// Whether another certificate is of the same CA: of the same key.
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.public_key == other.public_key
    }

    fn with<T>(&self, work: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
        X509Certificate::from_der(&self.der).ok().map(|(_, certificate)| work(&certificate))
    }

    /// Whether the CA has signed a list; with a certificate that says for what its key is, that it may.
    fn has_signed(&self, list: &Encoded<'_>) -> Option<MaySign> {
        self.with(|ca| {
            let (_, algorithm) = AlgorithmIdentifier::from_der(list.algorithm).ok()?;
            signature::verify(ca.public_key(), &algorithm, list.signature, list.tbs).ok()?;
            // Several, or one that cannot be read: nothing that would allow it.
            Some(match ca.key_usage() {
                Ok(None) => MaySign(true),
                Ok(Some(usage)) => MaySign(usage.value.crl_sign()),
                Err(_) => MaySign(false),
            })
        })
        .flatten()
    }
}

/// Whether the signer of a list may sign lists.
struct MaySign(bool);

/// The certificates that one CA has revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// Serial numbers as they are encoded, without zeros before them.
    serials: BTreeSet<Vec<u8>>,
    /// Seconds since 1970.
    this_update: i64,
    /// When the CA will have published another one, seconds since 1970.
    next_update: Option<i64>,
    /// Without zeros before it.
    number: Option<Vec<u8>>,
    size: usize,
}

impl RevocationList {
    /// Reads a file of lists, PEM or DER, each with that of the `cas` which has signed it. Several of one CA count
    /// together. `origin` is named in errors.
    ///
    /// # Errors
    /// If it is no list, or one that does not count. Nothing is skipped.
    pub fn read_all<'a>(
        bytes: &[u8],
        origin: &str,
        cas: &'a [CaCertificate],
    ) -> Result<Vec<(&'a CaCertificate, Self)>, RevocationError> {
        let mut lists = Vec::<(&CaCertificate, Self)>::new();
        for der in fitting(bytes, origin)? {
            let encoded = encoded(&der, origin)?;
            let ca = signer(&encoded, origin, cas)?;
            let list = Self::fit(&encoded, origin, bytes.len())?;
            Self::join(&mut lists, ca, list);
        }
        Ok(lists)
    }

    /// Takes a list of `ca` into `lists`, which have one of each CA.
    pub fn join<C: Borrow<CaCertificate>>(lists: &mut Vec<(C, Self)>, ca: C, list: Self) {
        match lists.iter_mut().find(|(known, _)| known.borrow().has_key_of(ca.borrow())) {
            Some((_, known)) => known.add(list),
            None => lists.push((ca, list)),
        }
    }

    /// Reads a list that `ca` has to have issued. `origin` is named in errors.
    ///
    /// # Errors
    /// As [`read_all`](Self::read_all).
    pub fn verified(bytes: &[u8], origin: &str, ca: &CaCertificate) -> Result<Self, RevocationError> {
        let lists = Self::read_all(bytes, origin, std::slice::from_ref(ca))?;
        lists.into_iter().next().map(|(_, list)| list).ok_or_else(|| no_list(origin, bytes))
    }

    /// Whether the lists of a file would count, had a CA signed them that may.
    ///
    /// # Errors
    /// As [`read_all`](Self::read_all), save what is about CAs.
    pub fn check(bytes: &[u8], origin: &str) -> Result<Vec<Self>, RevocationError> {
        let lists = fitting(bytes, origin)?;
        lists.iter().map(|der| Self::fit(&encoded(der, origin)?, origin, bytes.len())).collect()
    }

    /// Reads a list, PEM or DER. Signature and scope are not checked. `origin` is named in errors.
    ///
    /// # Errors
    /// If it is no list.
    pub fn unverified(bytes: &[u8], origin: &str) -> Result<Self, RevocationError> {
        let ders = ders(bytes, origin)?;
        let der = ders.first().ok_or_else(|| no_list(origin, bytes))?;
        let list = Encoded::read(der).and_then(|encoded| Self::of_any(&encoded, bytes.len()));
        list.map_err(|_| no_list(origin, bytes))
    }

    fn fit(list: &Encoded<'_>, origin: &str, size: usize) -> Result<Self, RevocationError> {
        let unfit = |reason| RevocationError::Unfit { list: origin.to_owned(), reason };
        check(list).map_err(unfit)?;
        Self::of(list, size).map_err(|_| broken(origin))?.map_err(unfit)
    }

    fn of(list: &Encoded<'_>, size: usize) -> Result<Result<Self, Unfit>, der::Error> {
        for (index, entry) in list.entries()?.enumerate() {
            if index == MAX_ENTRIES {
                return Ok(Err(Unfit::TooManyEntries));
            }
            for extension in entry?.extensions {
                match extension.id {
                    CERTIFICATE_ISSUER => return Ok(Err(Unfit::Indirect)),
                    id if extension.critical && !OF_ENTRIES.contains(&id) => {
                        return Ok(Err(Unfit::CriticalExtension(id.to_string())));
                    }
                    _ => {}
                }
            }
        }
        Self::of_any(list, size).map(Ok)
    }

    fn of_any(list: &Encoded<'_>, size: usize) -> Result<Self, der::Error> {
        let number = list.extensions.iter().find(|extension| extension.id == NUMBER);
        let number = number.map(|extension| encoding::integer(extension.value)).transpose()?;
        let serials = list.entries()?.map(|entry| Ok(significant(entry?.serial).to_owned()));
        Ok(Self {
            serials: serials.collect::<Result<_, der::Error>>()?,
            this_update: list.this_update,
            next_update: list.next_update,
            number: number.map(|number| significant(number).to_owned()),
            size,
        })
    }

    /// Takes in another list of the CA: what either names is revoked, and the newer one dates both.
    pub fn add(&mut self, mut other: Self) {
        if !other.is_older_than(self) {
            std::mem::swap(self, &mut other);
        }
        self.serials.append(&mut other.serials);
    }

    /// Whether the CA has issued this one before `other`. The numbers tell where both have one (RFC 5280, section
    /// 5.2.3), and otherwise the times.
    pub fn is_older_than(&self, other: &Self) -> bool {
        let number = |list: &Self| list.number.clone().map(|number| (number.len(), number));
        match (number(self), number(other)) {
            (Some(own), Some(other_number)) if own != other_number => own < other_number,
            _ => self.this_update < other.this_update,
        }
    }

    /// How many certificates are on it.
    pub fn revoked(&self) -> usize {
        self.serials.len()
    }

    /// Its number, if it has one (RFC 5280, section 5.2.3) that is not larger than any sensible one.
    pub fn number(&self) -> Option<u64> {
        let number = self.number.as_ref().filter(|number| number.len() <= 8)?;
        Some(number.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
    }

    /// Whether it has a number, which may be larger than [`Self::number`] gives.
    pub fn is_numbered(&self) -> bool {
        self.number.is_some()
    }

    /// Whether the CA should have published another list by now.
    pub fn is_overdue(&self) -> bool {
        self.next_update.is_some_and(|next| next < ASN1Time::now().timestamp())
    }

    /// When the CA will have published another list, if it says so; seconds since 1970.
    pub fn next_update(&self) -> Option<i64> {
        self.next_update
    }

    /// How much of what a list may have this one has, in per cent: of [`MAX_SIZE`] or of [`MAX_ENTRIES`].
    pub fn fill(&self) -> usize {
        (self.size * 100 / MAX_SIZE).max(self.serials.len() * 100 / MAX_ENTRIES)
    }

    /// Whether a certificate of the list's CA is on it.
    pub fn names(&self, certificate: &X509Certificate<'_>) -> bool {
        self.has(certificate.raw_serial())
    }

    /// Whether a serial number is on it: the content octets of its INTEGER.
    pub fn has(&self, serial_number: &[u8]) -> bool {
        self.serials.contains(significant(serial_number))
    }

    /// When it was made, seconds since 1970.
    pub fn this_update(&self) -> i64 {
        self.this_update
    }
}

/// The CA that has signed a list and may do so.
fn signer<'a>(
    list: &Encoded<'_>,
    origin: &str,
    cas: &'a [CaCertificate],
) -> Result<&'a CaCertificate, RevocationError> {
    // Of one key there may be several certificates.
    let mut without_usage = None;
    for ca in cas {
        match ca.has_signed(list) {
            Some(MaySign(true)) => return Ok(ca),
            Some(MaySign(false)) => without_usage = Some(ca),
            None => {}
        }
    }
    let list = origin.to_owned();
    Err(match without_usage {
        Some(ca) => RevocationError::NoCrlSign { list, ca: ca.path.clone() },
        None => RevocationError::Signature { list, cas: cas.iter().map(|ca| ca.path.clone()).collect() },
    })
}

/// Whether a list tells of every device that its CA has revoked.
fn check(list: &Encoded<'_>) -> Result<(), Unfit> {
    if list.algorithm != list.inner_algorithm {
        return Err(Unfit::Algorithms);
    }
    let ahead = list.this_update - ASN1Time::now().timestamp();
    if ahead > AHEAD {
        return Err(Unfit::Ahead(ahead));
    }
    let mut seen = BTreeSet::new();
    for Extension { id, critical, value } in &list.extensions {
        if !seen.insert(*id) {
            return Err(Unfit::ExtensionTwice(id.to_string()));
        }
        let unreadable = |_| Unfit::Extension(id.to_string());
        match *id {
            DELTA_INDICATOR => return Err(Unfit::Delta),
            DISTRIBUTION_POINT => scope(&Scope::read(value).map_err(unreadable)?)?,
            NUMBER => drop(encoding::integer(value).map_err(unreadable)?),
            AUTHORITY_KEY_IDENTIFIER => {}
            id if *critical => {
                return Err(Unfit::CriticalExtension(id.to_string()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn scope(scope: &Scope) -> Result<(), Unfit> {
    let excluding = [
        (scope.indirect, Unfit::Indirect),
        (scope.only_ca_certificates, Unfit::CaCertificates),
        (scope.only_attribute_certificates, Unfit::AttributeCertificates),
        (scope.only_some_reasons, Unfit::SomeReasons),
        (scope.distribution_point, Unfit::DistributionPoint),
    ];
    excluding.into_iter().find(|(excludes, _)| *excludes).map_or(Ok(()), |(_, reason)| Err(reason))
}

/// Does something with a certificate, PEM, if it can be read.
pub fn with_certificate<T>(pem: &str, work: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
    let der = reader::first_certificate(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Some(work(&certificate))
}

/// The files `NAME.extension` of a folder, in the order of their names.
///
/// # Errors
/// If the folder cannot be read, or has none.
pub fn files(folder: &Path, extension: &'static str) -> Result<Vec<PathBuf>, RevocationError> {
    let unreadable = |source| RevocationError::Read { path: folder.to_owned(), source };
    let entries = folder::entries(folder).map_err(|error| unreadable(error.into()))?;
    let entries = entries.ok_or_else(|| unreadable(durable_files::Error::missing(folder).into()))?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    if paths.is_empty() {
        return Err(RevocationError::Empty { path: folder.to_owned(), extension });
    }
    Ok(paths)
}

/// Reads a file of a folder with lists: no link is followed, and nothing but a regular file is opened.
///
/// # Errors
/// [`RevocationError::Read`]; [`RevocationError::Unfit`] for one that is longer than a list may be.
pub fn read(path: &Path) -> Result<Vec<u8>, RevocationError> {
    let unreadable = |source| RevocationError::Read { path: path.to_owned(), source };
    match durable_files::read_found(path, MAX_SIZE) {
        Ok(bytes) => bytes.ok_or_else(|| unreadable(durable_files::Error::missing(path).into())),
        Err(durable_files::Error::TooLong { .. }) => {
            Err(RevocationError::Unfit { list: path.display().to_string(), reason: Unfit::TooLong })
        }
        Err(error) => Err(unreadable(error.into())),
    }
}

fn encoded<'a>(der: &'a [u8], origin: &str) -> Result<Encoded<'a>, RevocationError> {
    Encoded::read(der).map_err(|_| no_list(origin, der))
}

fn no_list(origin: &str, bytes: &[u8]) -> RevocationError {
    let kinds = reader::parts(bytes).into_iter().map(|part| part.kind);
    let found = Some(reader::most_telling(kinds.filter(|kind| *kind != Kind::RevocationList)));
    RevocationError::Format {
        what: origin.to_owned(),
        found: found.filter(|found| *found != Kind::Empty || bytes.is_empty()),
    }
}

fn broken(origin: &str) -> RevocationError {
    RevocationError::Format { what: origin.to_owned(), found: None }
}

/// The lists in a file that is not too long, see [`ders`].
fn fitting(bytes: &[u8], origin: &str) -> Result<Vec<Vec<u8>>, RevocationError> {
    if bytes.len() > MAX_SIZE {
        return Err(RevocationError::Unfit { list: origin.to_owned(), reason: Unfit::TooLong });
    }
    ders(bytes, origin)
}

/// The lists in a file: DER, one after the other, perhaps with padding behind them, or every block of PEM. Nothing is skipped.
fn ders(bytes: &[u8], origin: &str) -> Result<Vec<Vec<u8>>, RevocationError> {
    if let Some(lists) = reader::contents(bytes).filter(|lists| !lists.is_empty()) {
        return Ok(lists);
    }
    let parts = reader::parts(bytes);
    if parts.iter().all(|part| part.kind == Kind::RevocationList && !part.der.is_empty()) {
        return Ok(parts.into_iter().map(|part| part.der.to_vec()).collect());
    }
    // A list that cannot be read says so better than its kind does.
    encoding::lists(bytes)
        .map(|lists| lists.into_iter().map(<[u8]>::to_vec).collect())
        .map_err(|_| no_list(origin, bytes))
}

/// A serial number without the zeros that an encoder may have put before it.
fn significant(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    &serial[zeros..]
}
