//! Certificate revocation lists (RFC 5280, section 5): what each signer CA has revoked, and the lists that say so.
//!
//! What is revoked is noted in a file per signer that only grows; a list is made of it whenever one is asked for. A signer
//! that is withdrawn has a note beside its files; the root's list is made of these. The lists are `KEYID.crl` beside the
//! issuer's certificate `KEYID.crt`, which is how the Lambda's `CRL_DIR` wants them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::authorities::{Authority, Withdrawn};
use super::{Certificate, Chain, Error, Purpose, Signer, certificate};
use crate::home::{self, Access, Home};
use crate::ledger::timestamp;
use crate::lines;

/// The folder of the home with the lists.
pub const FOLDER: &str = "crl";
/// The folder of the home with what each signer has revoked, `KEYID.jsonl`.
pub const RECORDS: &str = "revocations";
/// Days until the next list, unless the user says another number.
pub const DAYS: u16 = 30;
/// PEM label of a list (RFC 7468, section 6).
const LABEL: &str = "X509 CRL";

/// Why a certificate is revoked: the codes of RFC 5280, section 5.3.1, that are for certificates of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No reason is given
    #[default]
    Unspecified,
    /// Somebody else has, or may have, the key
    KeyCompromise,
    /// The board belongs to somebody else now
    AffiliationChanged,
    /// The board has another certificate now
    Superseded,
    /// The board is out of use
    CessationOfOperation,
    /// The board may no longer do what it could
    PrivilegeWithdrawn,
}

impl Reason {
    fn code(self) -> Option<RevocationReason> {
        match self {
            // RFC 5280: the extension should be absent instead.
            Self::Unspecified => None,
            Self::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Self::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
            Self::Superseded => Some(RevocationReason::Superseded),
            Self::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
            Self::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
        }
    }

    /// A CA's key has a code of its own.
    fn code_for_ca(self) -> Option<RevocationReason> {
        match self {
            Self::KeyCompromise => Some(RevocationReason::CaCompromise),
            other => other.code(),
        }
    }
}

/// One certificate that its signer has revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When, RFC 3339, UTC.
    #[serde(with = "timestamp")]
    pub when: OffsetDateTime,
    /// Serial number, upper-case hex without leading zeros.
    pub serial_number: String,
    /// SHA-256 of the DER certificate: its id in AWS IoT.
    pub certificate_id: String,
    /// Why.
    pub reason: Reason,
}

/// What one signer has revoked.
#[derive(Clone, Debug)]
pub struct Records {
    path: PathBuf,
}

impl Records {
    /// What the signer with this key identifier has revoked.
    pub fn of(home: &Home, key_id: &str) -> Self {
        Self { path: home.file(RECORDS).join(format!("{key_id}.jsonl")) }
    }

    /// Every certificate that is revoked, in the order in which they were; each once.
    ///
    /// # Errors
    /// [`Error::Revocations`] for a line that is none: leaving it out could let a device in again. [`home::Error::Io`].
    pub fn read(&self) -> Result<Vec<Revocation>, crate::Error> {
        let text = lines::read(&self.path).map_err(|e| home::Error::io("read", &self.path, e))?;
        let (mut revocations, mut seen) = (Vec::<Revocation>::new(), BTreeSet::new());
        for (index, line) in lines::split(&text).enumerate() {
            let revocation: Revocation = serde_json::from_slice(line)
                .map_err(|_| Error::Revocations { file: self.path.clone(), line: index + 1 })?;
            if seen.insert(revocation.serial_number.clone()) {
                revocations.push(revocation);
            }
        }
        Ok(revocations)
    }

    /// Notes a revocation; on the disk when this returns.
    ///
    /// # Errors
    /// [`home::Error::Io`].
    pub fn add(&self, revocation: &Revocation) -> Result<(), home::Error> {
        Home::at(home::folder_of(&self.path)).create()?;
        lines::append(&self.path, |_| Ok(serde_json::to_vec(revocation)?), |_| Ok(()))
            .map_err(|e| home::Error::io("write", &self.path, e))
    }
}

/// What a list says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// Key identifier of the signer.
    pub key_id: String,
    /// Number of the list (RFC 5280, section 5.2.3).
    pub number: u64,
    /// When the next one is due, RFC 3339.
    #[serde(serialize_with = "certificate::as_rfc3339")]
    pub next_update: OffsetDateTime,
    /// Certificates on it.
    pub revoked: usize,
    /// The file.
    pub file: PathBuf,
}

impl List {
    /// Reads the list of a signer, PEM; `None` where there is none, or none that can be read.
    ///
    /// # Errors
    /// [`home::Error::Io`].
    pub fn read(folder: &Path, key_id: &str) -> Result<Option<Self>, home::Error> {
        let file = file(folder, key_id, "crl");
        let Some(text) = home::read(&file)? else { return Ok(None) };
        let der = pem::parse(text).ok().filter(|pem| pem.tag() == LABEL).map(pem::Pem::into_contents);
        Ok(der.and_then(|der| Self::of(&der, key_id, file)))
    }

    fn of(der: &[u8], key_id: &str, file: PathBuf) -> Option<Self> {
        let (_, list) = CertificateRevocationList::from_der(der).ok()?;
        Some(Self {
            key_id: key_id.to_owned(),
            number: list.crl_number()?.to_string().parse().ok()?,
            next_update: list.next_update()?.to_datetime(),
            revoked: list.iter_revoked_certificates().count(),
            file,
        })
    }
}

fn file(folder: &Path, key_id: &str, extension: &str) -> PathBuf {
    folder.join(format!("{key_id}.{extension}"))
}

/// The folder with the lists that `provisioner` keeps itself.
pub fn folder(home: &Home) -> PathBuf {
    home.file(FOLDER)
}

/// Keeps other runs from revoking or making lists until it is dropped.
///
/// # Errors
/// [`home::Error`].
pub fn lock(home: &Home) -> Result<home::Lock, home::Error> {
    Home::at(home.file(RECORDS)).lock()
}

/// Makes a signer's list of what it has revoked and writes it, with the signer's certificate beside it, into `folder`.
/// Call it under [`lock`].
///
/// # Errors
/// As [`Signer::issue`]; [`home::Error::Io`]. The list that was there before stays then.
pub fn publish(
    home: &Home,
    authority: &Authority,
    chain: &Chain,
    folder: &Path,
    days: u16,
    now: OffsetDateTime,
) -> Result<List, crate::Error> {
    let revocations = Records::of(home, authority.key_id()).read()?;
    let entries = revocations
        .iter()
        .map(|revocation| entry(&revocation.serial_number, revocation.when, revocation.reason.code()));
    write(home, (chain.signer(), chain.key()), entries.collect(), folder, days, now)
}

/// Makes the root's list of the signers that were withdrawn, and writes it as [`publish`] does.
///
/// # Errors
/// As [`publish`].
pub fn publish_root(
    home: &Home,
    (root, key): (&Certificate, &Signer),
    withdrawn: &[(Authority, Withdrawn)],
    folder: &Path,
    days: u16,
    now: OffsetDateTime,
) -> Result<List, crate::Error> {
    let entries = withdrawn.iter().map(|(authority, withdrawn)| {
        let serial = &authority.certificate.facts().serial_number;
        entry(serial, withdrawn.when, withdrawn.reason.code_for_ca())
    });
    write(home, (root, key), entries.collect(), folder, days, now)
}

fn entry(serial: &str, when: OffsetDateTime, reason_code: Option<RevocationReason>) -> RevokedCertParams {
    let serial_number = serial_number(serial);
    RevokedCertParams { serial_number, revocation_time: when, reason_code, invalidity_date: None }
}

fn write(
    home: &Home,
    (issuer, key): (&Certificate, &Signer),
    revoked: Vec<RevokedCertParams>,
    folder: &Path,
    days: u16,
    now: OffsetDateTime,
) -> Result<List, crate::Error> {
    let key_id = issuer.facts().subject_key_identifier.as_deref().ok_or(Error::NotP256)?;
    let before = List::read(folder, key_id)?.into_iter().chain(List::read(&self::folder(home), key_id)?);
    // Grows also where earlier lists are lost.
    let least = before.map(|list| list.number + 1).max().unwrap_or_default();
    let number = least.max(u64::try_from(now.unix_timestamp()).unwrap_or_default());
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let params = CertificateRevocationListParams {
        this_update: now,
        next_update: now + Duration::days(days.into()),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked,
        key_identifier_method: KeyIdMethod::PreSpecified(
            issuer.subject_key_identifier_extension().unwrap_or_default(),
        ),
    };
    let der = key.issue(Purpose::RevocationList, |key| {
        let issuer = Issuer::from_ca_cert_der(&issuer.der().into(), key)?;
        Ok(params.signed_by(&issuer)?.der().to_vec())
    })?;
    Home::at(folder).create()?;
    let crl = file(folder, key_id, "crl");
    home::write(&file(folder, key_id, "crt"), issuer.to_pem().as_bytes(), Access::Public)?;
    home::write(&crl, certificate::pem_of(LABEL, der.clone()).as_bytes(), Access::Public)?;
    List::of(&der, key_id, crl).ok_or_else(|| Error::Sign(rcgen::Error::CouldNotParseCertificate).into())
}

/// Upper-case hex without leading zeros, which may leave an odd number of digits.
fn serial_number(text: &str) -> SerialNumber {
    let even = if text.len().is_multiple_of(2) { text.to_owned() } else { format!("0{text}") };
    SerialNumber::from(hex::decode(even).unwrap_or_default())
}

/// Whether a certificate is among the revocations.
pub fn is_revoked(revocations: &[Revocation], certificate: &Certificate) -> bool {
    revocations.iter().any(|revocation| revocation.serial_number == certificate.facts().serial_number)
}

#[cfg(test)]
mod tests;
