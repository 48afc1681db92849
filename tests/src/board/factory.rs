//! The certificates a secure element leaves the factory with: made in full, stored compressed.
//!
//! They chain to a vendor of the testbed's own, whose roots have the names and key identifiers of Microchip's and a key
//! that is not: [`vendor_roots`].

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, Signature, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, PublicKeyData, SerialNumber,
};
use sha2::{Digest, Sha256};
use time::{Date, Month, OffsetDateTime, Time};

use super::secure_element::key;
use super::seed::Seed;

const ORGANISATION: &str = "Microchip Technology Inc";
/// The signer id in hex, as the names have it, and as the compressed form has it.
const SIGNER_ID: u16 = 0x8B3C;
/// What the key of the testbed's vendor is made from; it is the same for all boards.
const VENDOR: Seed = Seed(0);
/// Serial number source: SHA-256 over public key and dates.
const SOURCE_PUBLIC_KEY: u8 = 0xA;

const AUTHORITY_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 35];
const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];

/// Which set of certificates the factory puts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// The kits' own variant.
    #[default]
    Mah1h,
    /// The later one.
    Mah4i,
}

impl Profile {
    /// The last byte of the secure element's serial number says which profile it is.
    pub(super) fn last_serial_byte(self) -> u8 {
        match self {
            Self::Mah1h => 0xFE,
            Self::Mah4i => 0x01,
        }
    }

    /// What the OTP area begins with.
    pub(super) fn otp_mark(self) -> &'static [u8] {
        match self {
            Self::Mah1h => b"",
            Self::Mah4i => b"MKMwyhP1",
        }
    }

    fn signer_name(self) -> String {
        match self {
            Self::Mah1h => format!("ATECC 1H Signer {SIGNER_ID:04X}"),
            Self::Mah4i => format!("Crypto Authentication Signer {SIGNER_ID:04X}"),
        }
    }

    fn root_name(self) -> &'static str {
        match self {
            Self::Mah1h => "ATECC Root CA 001",
            Self::Mah4i => "Crypto Authentication Root CA 002",
        }
    }

    fn root_key_identifier(self) -> [u8; 20] {
        match self {
            Self::Mah1h => {
                *b"\xEA\x4B\x7A\x61\x74\x3C\xEF\x66\x11\x90\xE3\xF0\xB6\x88\xEC\x90\x25\x75\xB7\x7D"
            }
            Self::Mah4i => {
                *b"\x7A\xED\x7D\x6D\xC6\xB7\x78\x9D\xB2\x38\x01\xA5\xE8\x4A\x8C\xB0\xA4\x0E\x2A\x8C"
            }
        }
    }

    fn device_name(self, serial: &[u8; 9]) -> String {
        match self {
            Self::Mah1h => "ATECC608A-MAH1H".to_owned(),
            Self::Mah4i => format!("sn{}", hex::encode_upper(serial)),
        }
    }

    /// Years a signer is valid for; 0: no end.
    fn signer_years(self) -> u8 {
        match self {
            Self::Mah1h => 10,
            Self::Mah4i => 0,
        }
    }

    /// Extensions of the device certificate, in order.
    fn device_extensions(self, device: &[u8; 20], signer: &[u8; 20]) -> Vec<CustomExtension> {
        let authority = extension(AUTHORITY_KEY_IDENTIFIER, false, authority_key_identifier(signer));
        match self {
            Self::Mah1h => vec![authority],
            Self::Mah4i => vec![
                extension(BASIC_CONSTRAINTS, true, vec![0x30, 0x00]),
                extension(KEY_USAGE, true, vec![0x03, 0x02, 0x03, 0x88]),
                extension(SUBJECT_KEY_IDENTIFIER, false, subject_key_identifier(device)),
                authority,
            ],
        }
    }

    /// Extensions of the signer certificate, in order.
    fn signer_extensions(self, signer: &[u8; 20]) -> Vec<CustomExtension> {
        // CA, pathlen 0.
        let constraints = extension(BASIC_CONSTRAINTS, true, b"\x30\x06\x01\x01\xFF\x02\x01\x00".to_vec());
        let usage = extension(KEY_USAGE, true, vec![0x03, 0x02, 0x01, 0x86]);
        let subject = extension(SUBJECT_KEY_IDENTIFIER, false, subject_key_identifier(signer));
        let authority =
            extension(AUTHORITY_KEY_IDENTIFIER, false, authority_key_identifier(&self.root_key_identifier()));
        match self {
            Self::Mah1h => vec![constraints, usage, subject, authority],
            Self::Mah4i => vec![usage, constraints, subject, authority],
        }
    }
}

/// What the factory made for one secure element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The device certificate, DER.
    pub device: Vec<u8>,
    /// The signer certificate, DER.
    pub signer: Vec<u8>,
    /// The device certificate as slot 10 has it.
    pub compressed_device: [u8; 72],
    /// The signer certificate as slot 12 has it.
    pub compressed_signer: [u8; 72],
    /// X‖Y of the signer's public key, as slot 11 has it between pad bytes.
    pub signer_public_key: [u8; 64],
}

impl Certificates {
    /// Makes them for the element with this serial number and key.
    ///
    /// # Errors
    /// [`rcgen::Error`] when a certificate cannot be built, which only a fault in here can cause.
    pub(super) fn issue(
        profile: Profile,
        seed: Seed,
        serial: &[u8; 9],
        device_key: &SigningKey,
    ) -> Result<Self, rcgen::Error> {
        let root = Party::new(key(VENDOR, "factory root"));
        let signer = Party::new(key(seed, "factory signer"));
        let device = Party::new(device_key.clone());

        let signer_dates = Dates { year: 19, month: 3, day: 7, hour: 15, years: profile.signer_years() };
        let device_dates = Dates { year: 19, month: 11, day: 12, hour: 9, years: 0 };
        let mut root_params = CertificateParams::default();
        root_params.distinguished_name = name(profile.root_name());
        let mut signer_params = CertificateParams::default();
        signer_params.distinguished_name = name(&profile.signer_name());
        signer_params.custom_extensions = profile.signer_extensions(&signer.key_identifier());
        let mut device_params = CertificateParams::default();
        device_params.distinguished_name = name(&profile.device_name(serial));
        device_params.custom_extensions =
            profile.device_extensions(&device.key_identifier(), &signer.key_identifier());

        for (params, dates, party) in
            [(&mut signer_params, &signer_dates, &signer), (&mut device_params, &device_dates, &device)]
        {
            (params.not_before, params.not_after) = dates.validity()?;
            params.serial_number = Some(party.serial_number(dates));
        }
        let signer_certificate =
            signer_params.signed_by(&signer, &Issuer::from_params(&root_params, &root))?.der().to_vec();
        let device_certificate =
            device_params.signed_by(&device, &Issuer::from_params(&signer_params, &signer))?.der().to_vec();
        Ok(Self {
            compressed_device: compress(&device_certificate, &device_dates)?,
            compressed_signer: compress(&signer_certificate, &signer_dates)?,
            signer_public_key: signer.coordinates(),
            device: device_certificate,
            signer: signer_certificate,
        })
    }
}

/// The root certificates of the testbed's vendor, PEM: one for each profile.
///
/// # Errors
/// When a certificate cannot be built, which only a fault in here can cause.
pub fn vendor_roots() -> Result<String, rcgen::Error> {
    let root = Party::new(key(VENDOR, "factory root"));
    let certificate = |profile: Profile| {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(profile.root_name());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_identifier_method = KeyIdMethod::PreSpecified(profile.root_key_identifier().to_vec());
        Ok::<_, rcgen::Error>(params.self_signed(&root)?.pem())
    };
    Ok(certificate(Profile::Mah1h)? + &certificate(Profile::Mah4i)?)
}

/// A key and what certificates say about it.
struct Party {
    key: SigningKey,
    /// 0x04‖X‖Y.
    point: Vec<u8>,
}

impl Party {
    fn new(key: SigningKey) -> Self {
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Self { key, point }
    }

    fn coordinates(&self) -> [u8; 64] {
        let mut coordinates = [0; 64];
        coordinates.copy_from_slice(&self.point[1..]);
        coordinates
    }

    fn key_identifier(&self) -> [u8; 20] {
        let mut identifier = [0; 20];
        identifier.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.point).as_ref());
        identifier
    }

    fn serial_number(&self, dates: &Dates) -> SerialNumber {
        let hash = Sha256::new().chain_update(&self.point[1..]).chain_update(dates.packed()).finalize();
        let mut number = hash[..16].to_vec();
        number[0] = number[0] & 0x7F | 0x40;
        SerialNumber::from(number)
    }
}

impl PublicKeyData for Party {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Party {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = self.key.try_sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.as_bytes().to_vec())
    }
}

/// Dates to the hour, as the compressed form keeps them.
struct Dates {
    /// Since 2000.
    year: u8,
    month: u8,
    day: u8,
    hour: u8,
    /// Years until it expires; 0 is 9999-12-31 23:59:59.
    years: u8,
}

impl Dates {
    /// 5 bits year, 4 month, 5 day, 5 hour, 5 years, most significant bit first.
    fn packed(&self) -> [u8; 3] {
        let fields = [(self.year, 5), (self.month, 4), (self.day, 5), (self.hour, 5), (self.years, 5)];
        let bits = fields.iter().fold(0_u32, |bits, (value, width)| bits << width | u32::from(*value));
        let [_, a, b, c] = bits.to_be_bytes();
        [a, b, c]
    }

    fn validity(&self) -> Result<(OffsetDateTime, OffsetDateTime), rcgen::Error> {
        let month = Month::try_from(self.month).map_err(|_| rcgen::Error::Time)?;
        let at = |year: i32, month, day, (hour, minute, second)| {
            let date = Date::from_calendar_date(year, month, day).map_err(|_| rcgen::Error::Time)?;
            let time = Time::from_hms(hour, minute, second).map_err(|_| rcgen::Error::Time)?;
            Ok::<_, rcgen::Error>(date.with_time(time).assume_utc())
        };
        let year = 2000 + i32::from(self.year);
        let begin = at(year, month, self.day, (self.hour, 0, 0))?;
        let end = match self.years {
            0 => at(9999, Month::December, 31, (23, 59, 59))?,
            years => at(year + i32::from(years), month, self.day, (self.hour, 0, 0))?,
        };
        Ok((begin, end))
    }
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, ORGANISATION);
    name.push(DnType::CommonName, common_name);
    name
}

fn extension(oid: &[u64], critical: bool, content: Vec<u8>) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content);
    extension.set_criticality(critical);
    extension
}

fn authority_key_identifier(identifier: &[u8; 20]) -> Vec<u8> {
    [&[0x30, 22, 0x80, 20][..], identifier].concat()
}

fn subject_key_identifier(identifier: &[u8; 20]) -> Vec<u8> {
    [&[0x04, 20][..], identifier].concat()
}

/// Signature, dates, ids and source of the serial number: all that cannot be known otherwise.
fn compress(certificate: &[u8], dates: &Dates) -> Result<[u8; 72], rcgen::Error> {
    let malformed = |_| rcgen::Error::CouldNotParseCertificate;
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|e| malformed(e.to_string()))?;
    let signature =
        DerSignature::from_bytes(&parsed.signature_value.data).map_err(|e| malformed(e.to_string()))?;
    let signature = Signature::try_from(signature).map_err(|e| malformed(e.to_string()))?;
    let mut compressed = [0; 72];
    compressed[..64].copy_from_slice(&signature.to_bytes());
    compressed[64..67].copy_from_slice(&dates.packed());
    compressed[67..69].copy_from_slice(&SIGNER_ID.to_be_bytes());
    compressed[70] = SOURCE_PUBLIC_KEY << 4;
    Ok(compressed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(profile: Profile) -> Certificates {
        let key = key(Seed(1), "slot 0");
        Certificates::issue(profile, Seed(1), &[1, 0x23, 3, 4, 5, 6, 7, 8, 9], &key).unwrap()
    }

    #[test]
    fn dates_are_packed_most_significant_bit_first() {
        let dates = Dates { year: 31, month: 1, day: 31, hour: 23, years: 1 };
        assert_eq!(dates.packed(), [0b1111_1000, 0b1111_1110, 0b1110_0001]);
    }

    #[test]
    fn the_device_certificate_verifies_with_the_signers_key() {
        for profile in [Profile::Mah1h, Profile::Mah4i] {
            let certificates = issue(profile);
            let (_, device) = x509_parser::parse_x509_certificate(&certificates.device).unwrap();
            let (_, signer) = x509_parser::parse_x509_certificate(&certificates.signer).unwrap();
            device.verify_signature(Some(signer.public_key())).unwrap();
            assert_eq!(signer.public_key().subject_public_key.data[1..], certificates.signer_public_key);
            assert_eq!(device.issuer(), signer.subject());
            assert_eq!(device.raw_serial().len(), 16);
        }
    }

    #[test]
    fn names_dates_and_extensions_are_those_of_the_profile() {
        let mut shown = String::new();
        for profile in [Profile::Mah1h, Profile::Mah4i] {
            let certificates = issue(profile);
            for der in [&certificates.device, &certificates.signer] {
                let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
                shown += &format!(
                    "{profile:?}: {}\n  by {}\n  {}\n",
                    certificate.subject(),
                    certificate.issuer(),
                    certificate.validity().not_before.to_string()
                        + " to "
                        + &certificate.validity().not_after.to_string(),
                );
                for extension in certificate.extensions() {
                    let critical = if extension.critical { " critical" } else { "" };
                    shown += &format!("  {}{critical} {}\n", extension.oid, hex::encode(extension.value));
                }
            }
        }
        insta::assert_snapshot!(shown);
    }
}
