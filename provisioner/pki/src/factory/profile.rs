//! The two profiles of factory certificates, and rebuilding a whole certificate from its compressed form. Pure.
//!
//! The result must be the bytes that the factory signed, so it is written down field by field, to the kind of its dates.

use aws_lc_rs::digest::{Context, SHA256};
use jitr::thing_name::{PUBLIC_KEY_SIZE, subject_key_identifier};

use super::compressed::{Compressed, Dates, SerialSource};
use crate::board::secure_element::ecdsa_sig_value;

const ORGANISATION: &str = "Microchip Technology Inc";

// Tags of DER (X.690).
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0C;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

// Object identifiers, encoded.
const ECDSA_WITH_SHA256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const ORGANISATION_NAME: &[u8] = &[0x55, 0x04, 0x0A];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1D, 0x0E];
const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1D, 0x23];

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
    pub fn rebuild(
        self,
        role: Role<'_>,
        compressed: &Compressed,
        point: &[u8; PUBLIC_KEY_SIZE],
        serial: &[u8; 9],
    ) -> Vec<u8> {
        let algorithm = tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[ECDSA_WITH_SHA256])]);
        let signer_name = format!("{}{:04X}", self.signer_name(), compressed.signer_id);
        let (issuer, subject) = match role {
            Role::Device { .. } => (signer_name, self.device_name(serial)),
            Role::Signer => (self.root_name().to_owned(), signer_name),
        };
        // Version 3.
        let version = tlv(0xA0, &[&tlv(INTEGER, &[&[2]])]);
        let to_be_signed = tlv(
            SEQUENCE,
            &[
                &version,
                &tlv(INTEGER, &[&serial_number(compressed, point, serial)]),
                &algorithm,
                &name(&issuer),
                &self.validity(role, compressed.dates),
                &name(&subject),
                &public_key(point),
                &tlv(0xA3, &[&tlv(SEQUENCE, &[&self.extensions(role, point)])]),
            ],
        );
        let signature = tlv(BIT_STRING, &[&[0], &ecdsa_sig_value(&compressed.signature)]);
        tlv(SEQUENCE, &[&to_be_signed, &algorithm, &signature])
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
    fn extensions(self, role: Role<'_>, point: &[u8; PUBLIC_KEY_SIZE]) -> Vec<u8> {
        let subject =
            extension(SUBJECT_KEY_IDENTIFIER, false, &tlv(OCTET_STRING, &[&subject_key_identifier(point)]));
        let authority_key = match role {
            Role::Device { signer } => subject_key_identifier(signer),
            Role::Signer => self.root_key_identifier(),
        };
        let authority =
            extension(AUTHORITY_KEY_IDENTIFIER, false, &tlv(SEQUENCE, &[&tlv(0x80, &[&authority_key])]));
        let usage = |bits: [u8; 2]| extension(KEY_USAGE, true, &tlv(BIT_STRING, &[&bits]));
        let constraints = |content: &[u8]| extension(BASIC_CONSTRAINTS, true, &tlv(SEQUENCE, &[content]));
        // CA, pathlen 0; digitalSignature, keyCertSign, cRLSign.
        let authority_constraints =
            || constraints(&[tlv(BOOLEAN, &[&[0xFF]]), tlv(INTEGER, &[&[0]])].concat());
        let authority_usage = || usage([0x01, 0x86]);
        match (self, role) {
            (Self::Mah1h, Role::Device { .. }) => authority,
            // digitalSignature, keyAgreement
            (Self::Mah4i, Role::Device { .. }) => {
                [constraints(&[]), usage([0x03, 0x88]), subject, authority].concat()
            }
            (Self::Mah1h, Role::Signer) => {
                [authority_constraints(), authority_usage(), subject, authority].concat()
            }
            (Self::Mah4i, Role::Signer) => {
                [authority_usage(), authority_constraints(), subject, authority].concat()
            }
        }
    }

    fn validity(self, role: Role<'_>, dates: Dates) -> Vec<u8> {
        let Dates { year, month, day, hour, years } = dates;
        let year = 2000 + u16::from(year);
        let date = |year: String| format!("{year}{month:02}{day:02}{hour:02}0000Z").into_bytes();
        let begin = tlv(UTC_TIME, &[&date(format!("{:02}", year % 100))]);
        let end = year + u16::from(years);
        let end = match (self, role) {
            // No UTCTime reaches that far.
            _ if years == 0 => tlv(GENERALIZED_TIME, &[b"99991231235959Z"]),
            (Self::Mah1h, Role::Signer) if end < 2050 => tlv(UTC_TIME, &[&date(format!("{:02}", end % 100))]),
            _ => tlv(GENERALIZED_TIME, &[&date(end.to_string())]),
        };
        tlv(SEQUENCE, &[&begin, &end])
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

fn name(common_name: &str) -> Vec<u8> {
    let part = |kind: &[u8], text: &str| {
        let attribute =
            tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[kind]), &tlv(UTF8_STRING, &[text.as_bytes()])]);
        tlv(SET, &[&attribute])
    };
    tlv(SEQUENCE, &[&part(ORGANISATION_NAME, ORGANISATION), &part(COMMON_NAME, common_name)])
}

/// SubjectPublicKeyInfo (RFC 5480).
fn public_key(point: &[u8; PUBLIC_KEY_SIZE]) -> Vec<u8> {
    let algorithm =
        tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[EC_PUBLIC_KEY]), &tlv(OBJECT_IDENTIFIER, &[PRIME256V1])]);
    tlv(SEQUENCE, &[&algorithm, &tlv(BIT_STRING, &[&[0], point])])
}

fn extension(kind: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(BOOLEAN, &[&[0xFF]]) } else { Vec::new() };
    tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[kind]), &critical, &tlv(OCTET_STRING, &[value])])
}

/// Tag, length and value; a certificate of these profiles is shorter than 64 KiB.
fn tlv(tag: u8, value: &[&[u8]]) -> Vec<u8> {
    let value = value.concat();
    let [high, low] = (value.len() as u16).to_be_bytes();
    let mut bytes = vec![tag];
    match (high, low) {
        (0, 0..0x80) => bytes.push(low),
        (0, _) => bytes.extend([0x81, low]),
        _ => bytes.extend([0x82, high, low]),
    }
    bytes.extend(value);
    bytes
}
