//! The two profiles of factory certificates, and rebuilding a whole certificate from its compressed form. Pure.
//!
//! The result must be the bytes that the factory signed, so it is written down field by field, to the kind of its dates.

use aws_lc_rs::digest::{Context, SHA256};
use der::asn1::ObjectIdentifier;
use der::{Encode, Result, Tag, TagNumber};

use super::compressed::{Compressed, Dates, SerialSource};
use crate::encoding::{ecdsa_sig_value, tlv};
use crate::public_key::{PUBLIC_KEY_SIZE, subject_key_identifier};

const ORGANISATION: &str = "Microchip Technology Inc";

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ORGANISATION_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");

/// The kind of secure element, by which its factory certificates look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The kits' own variant, ATECC608A-MAH1H.
    Mah1h,
    /// The later one, ATECC608A-MAH4I.
    Mah4i,
}

/// Whose certificate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// The secure element's own, issued by the signer with this public key.
    Device {
        /// The signer's public key, an uncompressed point.
        signer: &'a [u8; PUBLIC_KEY_SIZE],
    },
    /// The signer's, issued by the vendor's root.
    Signer,
}

impl Profile {
    /// Rebuilds a whole certificate, DER: `point` is its subject's public key, `serial` that of the secure element.
    ///
    /// # Errors
    /// Only the encoder's, for lengths that no certificate of these profiles has.
    pub fn rebuild(
        self,
        role: Role<'_>,
        compressed: &Compressed,
        point: &[u8; PUBLIC_KEY_SIZE],
        serial: &[u8; 9],
    ) -> Result<Vec<u8>> {
        let algorithm = tlv(Tag::Sequence, &[&ECDSA_WITH_SHA256.to_der()?])?;
        let signer_name = format!("{}{:04X}", self.signer_name(), compressed.signer_id);
        let (issuer, subject) = match role {
            Role::Device { .. } => (signer_name, self.device_name(serial)),
            Role::Signer => (self.root_name().to_owned(), signer_name),
        };
        // Version 3.
        let version = tlv(field(0, true), &[&tlv(Tag::Integer, &[&[2]])?])?;
        let extensions = tlv(Tag::Sequence, &[&self.extensions(role, point)?])?;
        let to_be_signed = tlv(
            Tag::Sequence,
            &[
                &version,
                &tlv(Tag::Integer, &[&serial_number(compressed, point, serial)])?,
                &algorithm,
                &name(&issuer)?,
                &self.validity(role, compressed.dates)?,
                &name(&subject)?,
                &public_key(point)?,
                &tlv(field(3, true), &[&extensions])?,
            ],
        )?;
        let signature = tlv(Tag::BitString, &[&[0], &ecdsa_sig_value(&compressed.signature)?])?;
        tlv(Tag::Sequence, &[&to_be_signed, &algorithm, &signature])
    }

    fn signer_name(self) -> &'static str {
        match self {
            Self::Mah1h => "ATECC 1H Signer ",
            Self::Mah4i => "Crypto Authentication Signer ",
        }
    }

    fn root_name(self) -> &'static str {
        match self {
            Self::Mah1h => "ATECC Root CA 001",
            Self::Mah4i => "Crypto Authentication Root CA 002",
        }
    }

    /// The key identifier of the vendor's root, which is not on the board.
    fn root_key_identifier(self) -> [u8; 20] {
        match self {
            Self::Mah1h => [
                0xEA, 0x4B, 0x7A, 0x61, 0x74, 0x3C, 0xEF, 0x66, 0x11, 0x90, 0xE3, 0xF0, 0xB6, 0x88, 0xEC,
                0x90, 0x25, 0x75, 0xB7, 0x7D,
            ],
            Self::Mah4i => [
                0x7A, 0xED, 0x7D, 0x6D, 0xC6, 0xB7, 0x78, 0x9D, 0xB2, 0x38, 0x01, 0xA5, 0xE8, 0x4A, 0x8C,
                0xB0, 0xA4, 0x0E, 0x2A, 0x8C,
            ],
        }
    }

    fn device_name(self, serial: &[u8; 9]) -> String {
        match self {
            Self::Mah1h => "ATECC608A-MAH1H".to_owned(),
            Self::Mah4i => format!("sn{}", hex::encode_upper(serial)),
        }
    }

    /// Extensions, in the order in which the factory has them.
    fn extensions(self, role: Role<'_>, point: &[u8; PUBLIC_KEY_SIZE]) -> Result<Vec<u8>> {
        let subject = tlv(Tag::OctetString, &[&subject_key_identifier(point)])?;
        let subject = extension(SUBJECT_KEY_IDENTIFIER, false, &subject)?;
        let authority = match role {
            Role::Device { signer } => subject_key_identifier(signer),
            Role::Signer => self.root_key_identifier(),
        };
        let authority = tlv(Tag::Sequence, &[&tlv(field(0, false), &[&authority])?])?;
        let authority = extension(AUTHORITY_KEY_IDENTIFIER, false, &authority)?;
        let usage = |bits: [u8; 2]| extension(KEY_USAGE, true, &tlv(Tag::BitString, &[&bits])?);
        let constraints =
            |content: &[&[u8]]| extension(BASIC_CONSTRAINTS, true, &tlv(Tag::Sequence, content)?);
        // CA, pathlen 0; digitalSignature, keyCertSign, cRLSign.
        let ca_constraints = || constraints(&[&true.to_der()?, &tlv(Tag::Integer, &[&[0]])?]);
        let ca_usage = || usage([0x01, 0x86]);
        Ok(match (self, role) {
            (Self::Mah1h, Role::Device { .. }) => authority,
            // digitalSignature, keyAgreement
            (Self::Mah4i, Role::Device { .. }) => {
                [constraints(&[])?, usage([0x03, 0x88])?, subject, authority].concat()
            }
            (Self::Mah1h, Role::Signer) => [ca_constraints()?, ca_usage()?, subject, authority].concat(),
            (Self::Mah4i, Role::Signer) => [ca_usage()?, ca_constraints()?, subject, authority].concat(),
        })
    }

    fn validity(self, role: Role<'_>, dates: Dates) -> Result<Vec<u8>> {
        let Dates { year, month, day, hour, years } = dates;
        let year = 2000 + u16::from(year);
        let date = |year: String| format!("{year}{month:02}{day:02}{hour:02}0000Z").into_bytes();
        let begin = tlv(Tag::UtcTime, &[&date(format!("{:02}", year % 100))])?;
        let end = year + u16::from(years);
        let end = match (self, role) {
            // No UTCTime reaches that far.
            _ if years == 0 => tlv(Tag::GeneralizedTime, &[b"99991231235959Z"]),
            (Self::Mah1h, Role::Signer) if end < 2050 => {
                tlv(Tag::UtcTime, &[&date(format!("{:02}", end % 100))])
            }
            _ => tlv(Tag::GeneralizedTime, &[&date(end.to_string())]),
        };
        tlv(Tag::Sequence, &[&begin, &end?])
    }
}

/// SHA-256 of what the compressed form says, cut to 16 bytes; top bit clear, the next one set.
fn serial_number(compressed: &Compressed, point: &[u8; PUBLIC_KEY_SIZE], serial: &[u8; 9]) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    context.update(match compressed.serial_source {
        SerialSource::PublicKey => &point[1..],
        SerialSource::DeviceSerial => serial,
    });
    context.update(&compressed.dates.pack());
    let mut number = [0; 16];
    number.copy_from_slice(&context.finish().as_ref()[..16]);
    number[0] = number[0] & 0x7F | 0x40;
    number
}

fn name(common_name: &str) -> Result<Vec<u8>> {
    let part = |kind: ObjectIdentifier, text: &str| {
        let attribute = [kind.to_der()?, tlv(Tag::Utf8String, &[text.as_bytes()])?];
        tlv(Tag::Set, &[&tlv(Tag::Sequence, &[&attribute.concat()])?])
    };
    tlv(Tag::Sequence, &[&part(ORGANISATION_NAME, ORGANISATION)?, &part(COMMON_NAME, common_name)?])
}

/// SubjectPublicKeyInfo (RFC 5480).
fn public_key(point: &[u8; PUBLIC_KEY_SIZE]) -> Result<Vec<u8>> {
    let algorithm = tlv(Tag::Sequence, &[&EC_PUBLIC_KEY.to_der()?, &PRIME256V1.to_der()?])?;
    tlv(Tag::Sequence, &[&algorithm, &tlv(Tag::BitString, &[&[0], point])?])
}

fn extension(kind: ObjectIdentifier, critical: bool, value: &[u8]) -> Result<Vec<u8>> {
    let critical = if critical { true.to_der()? } else { Vec::new() };
    tlv(Tag::Sequence, &[&kind.to_der()?, &critical, &tlv(Tag::OctetString, &[value])?])
}

/// The tag of a context-specific field.
fn field(number: u32, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber(number) }
}
