//! A certificate as read from a file or a board: its bytes and the facts that matter of them.

use std::fmt;

use aws_lc_rs::digest;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use crate::SerialNumber;
use crate::public_key::{self, PUBLIC_KEY_SIZE, p256_point, subject_key_identifier};
use crate::reader::{self, Kind};
use crate::signature;
#[cfg(feature = "issue")]
use crate::signature::Unverified;
use crate::trust_anchor::TrustAnchor;
use crate::{name, visible};

/// One line end everywhere, so that the same certificate is the same file on every system.
const PEM: pem::EncodeConfig = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);

/// A certificate that expires within this time expires soon, and users are warned.
pub const SOON: Duration = Duration::days(60);

/// A certificate that could be parsed.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Box<[u8]>,
    facts: Facts,
    named_issuer: Box<NamedIssuer>,
}

/// Whom a certificate names as its issuer. Certificates that name the same one have the same issuers among any CAs, as far as
/// [`Certificate::names_as_issuer`] tells.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NamedIssuer {
    /// The name, DER.
    name: Box<[u8]>,
    key_identifier: Option<Box<[u8]>>,
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Subject, as `O=…, CN=…`.
    pub subject: String,
    /// Organisation of the subject, the first if there are several; absent where no device's certificate can carry it
    /// ([`Certificate::unusable_organisation`]).
    #[serde(skip)]
    pub organisation: Option<String>,
    /// Issuer, as `O=…, CN=…`.
    pub issuer: String,
    /// Serial number in upper-case hex without leading zeros.
    pub serial_number: String,
    /// Start of the validity.
    #[serde(serialize_with = "as_rfc3339")]
    pub not_before: OffsetDateTime,
    /// End of the validity.
    #[serde(serialize_with = "as_rfc3339")]
    pub not_after: OffsetDateTime,
    /// SHA-1 of the public key bits, lower-case hex, computed; absent where the key is not P-256.
    pub subject_key_identifier: Option<String>,
    /// SHA-256 of the DER certificate, lower-case hex: its fingerprint, and its id in AWS IoT.
    pub certificate_id: String,
}

/// A file without a certificate, and what it holds instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", match found {
    Kind::Empty => "it is empty".to_owned(),
    Kind::DamagedCertificate => "the certificate in it is damaged".to_owned(),
    found => format!("it is {found}, not a certificate"),
})]
pub struct Malformed {
    /// What it holds.
    pub found: Kind,
}

impl From<Kind> for Malformed {
    fn from(found: Kind) -> Self {
        Self { found }
    }
}

/// Extensions of RFC 5280, section 4.2.1, that may be critical in the certificate of a CA: key usage, subject and issuer alternative
/// name, basic constraints, name constraints, CRL distribution points, policies, policy constraints, extended key usage, and
/// inhibit anyPolicy.
const CRITICAL_EXTENSIONS: [&str; 10] = [
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.18",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.32",
    "2.5.29.36",
    "2.5.29.37",
    "2.5.29.54",
];

impl Certificate {
    /// Reads a DER certificate.
    ///
    /// # Errors
    /// [`Malformed`], also for bytes after the certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        let damaged = Malformed { found: Kind::DamagedCertificate };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| damaged)?;
        if !rest.is_empty() {
            return Err(damaged);
        }
        let certificate_id = hex::encode(digest::digest(&digest::SHA256, der));
        let facts = Facts {
            subject: name::shown(parsed.subject()),
            organisation: organisation(&parsed).filter(|organisation| name::is_usable(organisation)),
            issuer: name::shown(parsed.issuer()),
            serial_number: SerialNumber::text_of(parsed.raw_serial()),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            subject_key_identifier: point(&parsed).map(|p| hex::encode(subject_key_identifier(&p))),
            certificate_id,
        };
        let named_issuer = NamedIssuer {
            name: parsed.issuer().as_raw().into(),
            key_identifier: authority_key_identifier(&parsed).map(Into::into),
        };
        Ok(Self { der: der.into(), facts, named_issuer: named_issuer.into() })
    }

    /// The organisation of the subject that certificates below it cannot carry: it is empty, has more than
    /// [`NAME_MAX`](name::NAME_MAX) characters, or control characters.
    pub fn unusable_organisation(&self) -> Option<String> {
        organisation(&self.parsed()?).filter(|organisation| !name::is_usable(organisation))
    }

    /// Its serial number, for a record or a revocation list.
    ///
    /// # Errors
    /// [`Error::SerialNumber`](crate::Error::SerialNumber) for zero and for more than 20 octets.
    #[cfg(feature = "issue")]
    pub fn serial_number(&self) -> Result<SerialNumber, crate::Error> {
        let text = &self.facts.serial_number;
        text.parse().map_err(|_| crate::Error::SerialNumber { serial_number: text.clone() })
    }

    /// Reads the first certificate of a file, whatever wraps it, see [`reader`].
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(file: &[u8]) -> Result<Self, Malformed> {
        Self::from_der(&reader::first_certificate(file)?)
    }

    /// Reads every certificate of a file, in order, see [`reader`].
    ///
    /// # Errors
    /// [`Malformed`], also for a file without any.
    pub fn read_all(file: &[u8]) -> Result<Vec<Self>, Malformed> {
        reader::documents(file, Kind::Certificate)?.iter().map(|der| Self::from_der(der)).collect()
    }

    /// The DER bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM file.
    pub fn to_pem(&self) -> String {
        pem_of("CERTIFICATE", &*self.der)
    }

    /// What it says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The public key as an uncompressed P-256 point; `None` for a key of another kind.
    pub fn point(&self) -> Option<[u8; PUBLIC_KEY_SIZE]> {
        self.parsed().as_ref().and_then(point)
    }

    /// Whether `issuer` signed it: the names are the same, the key identifiers (where both are there) are, and the signature
    /// verifies with the issuer's key.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let (Some(own), Some(above)) = (self.parsed(), issuer.parsed()) else { return false };
        has_name_of(&own, &above)
            && has_identifier_of(&own, &above)
            && signature::verify_certificate(&own, above.public_key()).is_ok()
    }

    /// Whom it names as its issuer.
    pub fn named_issuer(&self) -> &NamedIssuer {
        &self.named_issuer
    }

    /// Whether it says that `issuer` signed it. As [`Self::is_signed_by`], without the signature.
    pub fn names_as_issuer(&self, issuer: &Self) -> bool {
        let (Some(own), Some(above)) = (self.parsed(), issuer.parsed()) else { return false };
        has_name_of(&own, &above) && has_identifier_of(&own, &above)
    }

    /// As [`Self::is_signed_by`], with the reason why not. The signature is verified whatever the names are.
    #[cfg(feature = "issue")]
    pub(crate) fn check_signed_by(&self, issuer: &Self) -> Result<(), Unverified> {
        let (Some(own), Some(above)) = (self.parsed(), issuer.parsed()) else {
            return Err(Unverified::Wrong);
        };
        let is_named = has_name_of(&own, &above);
        match signature::verify_certificate(&own, above.public_key()) {
            Ok(()) if !is_named => Err(Unverified::Name),
            Ok(()) if !has_identifier_of(&own, &above) => Err(Unverified::KeyIdentifier),
            // It is not said to be by this key.
            Err(_) if !is_named => Err(Unverified::Wrong),
            verified => verified,
        }
    }

    /// Whether it may sign certificates: basicConstraints says CA, and keyUsage, where it is there, keyCertSign.
    pub fn is_ca(&self) -> bool {
        self.has_ca_constraint() && self.may_sign_certificates()
    }

    /// Whether basicConstraints says CA.
    pub(crate) fn has_ca_constraint(&self) -> bool {
        self.parsed()
            .is_some_and(|parsed| parsed.basic_constraints().ok().flatten().is_some_and(|e| e.value.ca))
    }

    /// Whether keyUsage, where it is there, says keyCertSign.
    pub(crate) fn may_sign_certificates(&self) -> bool {
        let parsed = self.parsed();
        parsed.is_some_and(|parsed| parsed.key_usage().ok().flatten().is_none_or(|e| e.value.key_cert_sign()))
    }

    /// Whether it may sign revocation lists: keyUsage, where it is there, says cRLSign.
    pub fn may_sign_lists(&self) -> bool {
        let parsed = self.parsed();
        parsed.is_some_and(|parsed| parsed.key_usage().ok().flatten().is_none_or(|e| e.value.crl_sign()))
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.parsed().is_some_and(|parsed| name::are_same(parsed.subject(), parsed.issuer()))
    }

    /// How many CAs may be below it, if it says so (RFC 5280, section 4.2.1.9).
    pub fn path_length(&self) -> Option<u32> {
        self.parsed()?.basic_constraints().ok().flatten()?.value.path_len_constraint
    }

    /// The first critical extension that is none of RFC 5280, as an object identifier: whoever does not know one has to refuse
    /// the certificate (section 4.2).
    pub fn unknown_critical_extension(&self) -> Option<String> {
        let parsed = self.parsed()?;
        let is_unknown = |oid: &str| !CRITICAL_EXTENSIONS.contains(&oid);
        let critical = parsed.extensions().iter().filter(|extension| extension.critical);
        critical.map(|extension| extension.oid.to_id_string()).find(|oid| is_unknown(oid))
    }

    /// Whether the subject, DER of a name, may be that of a certificate below it (RFC 5280, section 4.2.1.10). What it says of
    /// names of other kinds is for certificates that have some.
    pub fn permits(&self, subject: &[u8]) -> bool {
        let Some(parsed) = self.parsed() else { return false };
        let Ok((_, subject)) = X509Name::from_der(subject) else { return false };
        let constraints = match parsed.name_constraints() {
            Ok(None) => return true,
            Ok(Some(constraints)) => constraints.value,
            // What cannot be read may forbid anything.
            Err(_) => return false,
        };
        let is_within = |base: &GeneralName<'_>| match base {
            GeneralName::DirectoryName(base) => Some(name::is_within(&subject, base)),
            _ => None,
        };
        let of = |subtrees: &Option<Vec<_>>| -> Vec<bool> {
            let subtrees = subtrees.iter().flatten();
            subtrees
                .filter_map(|tree: &x509_parser::extensions::GeneralSubtree<'_>| is_within(&tree.base))
                .collect()
        };
        let (permitted, excluded) = (of(&constraints.permitted_subtrees), of(&constraints.excluded_subtrees));
        (permitted.is_empty() || permitted.contains(&true)) && !excluded.contains(&true)
    }

    /// What a device keeps of it that has no room for certificates; `None` where the key is neither RSA nor on P-256.
    pub fn trust_anchor(&self) -> Option<TrustAnchor> {
        self.parsed().as_ref().and_then(TrustAnchor::of)
    }

    /// What its key is, for people: `P-256`, `RSA`, ….
    pub fn key_kind(&self) -> String {
        self.parsed().map_or_else(String::new, |parsed| public_key::kind(parsed.public_key()))
    }

    /// The subject key identifier *extension*, where there is one.
    pub fn subject_key_identifier_extension(&self) -> Option<Vec<u8>> {
        self.parsed().as_ref().and_then(key_identifier).map(<[u8]>::to_vec)
    }

    /// Whether `at` lies within the validity.
    pub fn is_valid_at(&self, at: OffsetDateTime) -> bool {
        (self.facts.not_before..=self.facts.not_after).contains(&at)
    }

    /// Whether it ends within [`SOON`], or has ended.
    pub fn ends_soon(&self, at: OffsetDateTime) -> bool {
        self.facts.not_after - at <= SOON
    }

    fn parsed(&self) -> Option<X509Certificate<'_>> {
        X509Certificate::from_der(&self.der).ok().map(|(_, parsed)| parsed)
    }
}

/// The PEM file of a document that is public.
pub fn pem_of(label: &str, der: impl Into<Vec<u8>>) -> String {
    pem::encode_config(&pem::Pem::new(label, der), PEM)
}

fn organisation(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.subject().iter_organization().find_map(name::text)
}

fn point(certificate: &X509Certificate<'_>) -> Option<[u8; PUBLIC_KEY_SIZE]> {
    p256_point(certificate.public_key())
}

fn key_identifier<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|e| match e.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

/// Whether the one names the other as its issuer (RFC 5280, section 7.1).
fn has_name_of(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    name::are_same(certificate.issuer(), issuer.subject())
}

/// Whether the one has the key identifier of the other as its issuer's; a CA without one has any.
fn has_identifier_of(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    match (authority_key_identifier(certificate), key_identifier(issuer)) {
        (Some(named), Some(own)) => named == own,
        _ => true,
    }
}

fn authority_key_identifier<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|e| match e.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|i| i.0),
        _ => None,
    })
}

/// A point in time as RFC 3339 has it, in whole seconds.
pub fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.replace_nanosecond(0).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

/// A point in time as RFC 3339 has it, for serde.
///
/// # Errors
/// The serializer's.
pub fn as_rfc3339<S: serde::Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

impl Serialize for Certificate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.facts.serialize(serializer)
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.facts;
        writeln!(f, "  subject      {}", visible::line(&facts.subject))?;
        writeln!(f, "  issuer       {}", visible::line(&facts.issuer))?;
        writeln!(f, "  serial       {}", facts.serial_number)?;
        writeln!(f, "  valid        {} to {}", rfc3339(facts.not_before), rfc3339(facts.not_after))?;
        writeln!(f, "  key id       {}", facts.subject_key_identifier.as_deref().unwrap_or("(not P-256)"))?;
        write!(f, "  fingerprint  {}", facts.certificate_id)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::rfc3339;

    #[test]
    fn people_see_whole_seconds() {
        assert_eq!(rfc3339(datetime!(2026-01-02 03:04:05.678_901_234 UTC)), "2026-01-02T03:04:05Z");
    }
}
