//! The one builder of what is issued under a CA: certificates and revocation lists that carry the name of the CA byte for byte.
//!
//! A name that is read and written again can have another encoding: another type of string, another order, fewer parts. OpenSSL
//! and others find the issuer by its bytes, so the CA's name is copied as it stands, whoever has made the CA.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetString, SetOfVec, UintRef, Utf8StringRef};
use der::oid::AssociatedOid;
use der::{DateTime, Encode, Sequence};
use time::OffsetDateTime;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::crl::RevokedCert;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CrlNumber, CrlReason, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::public_key::{PUBLIC_KEY_SIZE, subject_key_identifier};
use crate::{Certificate, Error};

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ORGANISATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What every document here is signed with.
const ALGORITHM: AlgorithmIdentifierRef<'static> =
    AlgorithmIdentifierRef { oid: ECDSA_WITH_SHA256, parameters: None };
/// Version 3 of a certificate, and version 2 of a list (RFC 5280, sections 4.1.2.1 and 5.1.2.1).
const CERTIFICATE_VERSION: u8 = 2;
const LIST_VERSION: u8 = 1;

/// What a certificate says, but for its issuer.
#[derive(Clone, Debug)]
pub struct Content {
    /// Octets of a positive number.
    pub(crate) serial_number: Vec<u8>,
    /// DER of the subject's name.
    pub(crate) subject: Vec<u8>,
    /// The subject's public key.
    pub(crate) point: [u8; PUBLIC_KEY_SIZE],
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
    /// A CA, below which there is no other.
    pub(crate) is_ca: bool,
}

impl Content {
    /// The same, with an end that is not after `latest`, such as the issuer's.
    #[must_use]
    pub fn until(mut self, latest: OffsetDateTime) -> Self {
        self.not_after = self.not_after.min(latest);
        self
    }
}

/// What a list says, but for its issuer.
#[derive(Clone, Debug)]
pub(crate) struct ListContent {
    pub(crate) this_update: OffsetDateTime,
    pub(crate) next_update: OffsetDateTime,
    pub(crate) number: u64,
    pub(crate) entries: Vec<Entry>,
}

/// A certificate on a list.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Octets of a positive number.
    pub(crate) serial_number: Vec<u8>,
    pub(crate) when: OffsetDateTime,
    pub(crate) reason: Option<CrlReason>,
}

/// `TBSCertificate` (RFC 5280, section 4.1), with names as they stand.
#[derive(Sequence)]
struct TbsCertificate<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial_number: UintRef<'a>,
    signature: AlgorithmIdentifierRef<'a>,
    issuer: AnyRef<'a>,
    validity: Validity,
    subject: AnyRef<'a>,
    subject_public_key_info: SubjectPublicKeyInfoRef<'a>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Extensions,
}

/// `TBSCertList` (RFC 5280, section 5.1), with the name as it stands.
#[derive(Sequence)]
struct TbsCertList<'a> {
    version: u8,
    signature: AlgorithmIdentifierRef<'a>,
    issuer: AnyRef<'a>,
    this_update: Time,
    next_update: Time,
    // RFC 5280, section 5.1.2.6: absent where there is none.
    revoked_certificates: Option<Vec<RevokedCert>>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    extensions: Extensions,
}

/// What is signed, with its signature.
#[derive(Sequence)]
struct Signed<'a> {
    tbs: AnyRef<'a>,
    algorithm: AlgorithmIdentifierRef<'a>,
    signature: BitStringRef<'a>,
}

/// The part of a certificate that is signed.
///
/// # Errors
/// [`Error::Encoding`].
pub(crate) fn certificate(content: &Content, issuer: &Certificate) -> Result<Vec<u8>, Error> {
    let (name, identifier) = of_issuer(issuer)?;
    let mut extensions = vec![authority(identifier)?];
    let subject = subject_key_identifier(&content.point).to_vec();
    extensions.push(extension(false, &SubjectKeyIdentifier(OctetString::new(subject)?))?);
    if content.is_ca {
        let usage = KeyUsages::DigitalSignature | KeyUsages::KeyCertSign | KeyUsages::CRLSign;
        extensions.push(extension(true, &KeyUsage(usage))?);
        extensions.push(extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(0) })?);
    }
    let certificate = TbsCertificate {
        version: CERTIFICATE_VERSION,
        serial_number: UintRef::new(&content.serial_number)?,
        signature: ALGORITHM,
        issuer: AnyRef::try_from(name.as_slice())?,
        validity: Validity::new(time(content.not_before)?, time(content.not_after)?),
        subject: AnyRef::try_from(content.subject.as_slice())?,
        subject_public_key_info: SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid: EC_PUBLIC_KEY, parameters: Some(AnyRef::from(&P256)) },
            subject_public_key: BitStringRef::from_bytes(&content.point)?,
        },
        extensions,
    };
    Ok(certificate.to_der()?)
}

/// The part of a list that is signed.
///
/// # Errors
/// [`Error::Encoding`].
pub(crate) fn list(content: &ListContent, issuer: &Certificate) -> Result<Vec<u8>, Error> {
    let (name, identifier) = of_issuer(issuer)?;
    let entries = content.entries.iter().map(|entry| {
        let reason = entry.reason.as_ref().map(|reason| extension(false, reason)).transpose()?;
        Ok(RevokedCert {
            serial_number: SerialNumber::new(&entry.serial_number)?,
            revocation_date: time(entry.when)?,
            crl_entry_extensions: reason.map(|reason| vec![reason]),
        })
    });
    let entries = entries.collect::<Result<Vec<_>, Error>>()?;
    let number = extension(false, &CrlNumber::try_from(content.number)?)?;
    let list = TbsCertList {
        version: LIST_VERSION,
        signature: ALGORITHM,
        issuer: AnyRef::try_from(name.as_slice())?,
        this_update: time(content.this_update)?,
        next_update: time(content.next_update)?,
        revoked_certificates: Some(entries).filter(|entries| !entries.is_empty()),
        extensions: vec![authority(identifier)?, number],
    };
    Ok(list.to_der()?)
}

/// What is signed, with its signature, a DER ECDSA-Sig-Value.
///
/// # Errors
/// [`Error::Encoding`].
pub(crate) fn signed(tbs: &[u8], signature: &[u8]) -> Result<Vec<u8>, Error> {
    let signature = BitStringRef::from_bytes(signature)?;
    Ok(Signed { tbs: AnyRef::try_from(tbs)?, algorithm: ALGORITHM, signature }.to_der()?)
}

/// DER of a name: organisation, where there is one, and common name.
///
/// # Errors
/// [`Error::Encoding`].
pub(crate) fn name(organisation: Option<&str>, common_name: &str) -> Result<Vec<u8>, Error> {
    let organisation = organisation.map(|organisation| (ORGANISATION, organisation));
    let parts = organisation.into_iter().chain([(COMMON_NAME, common_name)]).map(|(oid, text)| {
        let attribute = AttributeTypeAndValue { oid, value: Utf8StringRef::new(text)?.into() };
        Ok(RelativeDistinguishedName::from(SetOfVec::try_from([attribute])?))
    });
    let parts = parts.collect::<Result<Vec<_>, der::Error>>();
    Ok(RdnSequence::from(parts?).to_der()?)
}

/// The name of a CA as it stands, and the identifier of its key: as it says, or else computed.
fn of_issuer(issuer: &Certificate) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let (_, parsed) =
        X509Certificate::from_der(issuer.der()).map_err(|_| der::Error::from(der::ErrorKind::Failed))?;
    let name = parsed.subject().as_raw().to_vec();
    let computed = || issuer.point().map(|point| subject_key_identifier(&point).to_vec());
    let identifier = issuer.subject_key_identifier_extension().or_else(computed).ok_or(Error::NotP256)?;
    Ok((name, identifier))
}

fn authority(identifier: Vec<u8>) -> Result<Extension, Error> {
    let identifier = AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new(identifier)?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    extension(false, &identifier)
}

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Result<Extension, Error> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// UTCTime up to the year 2049, and GeneralizedTime from then on (RFC 5280, section 4.1.2.5).
fn time(at: OffsetDateTime) -> Result<Time, Error> {
    let since = u64::try_from(at.unix_timestamp()).map_err(|_| der::Error::from(der::ErrorKind::DateTime))?;
    Ok(Time::from(DateTime::from_unix_duration(std::time::Duration::from_secs(since))?))
}
