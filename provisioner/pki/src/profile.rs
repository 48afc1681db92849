//! The certificate profile: what root, signer, device and verification certificates contain. Pure; time is an argument.

use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyIdMethod, KeyUsagePurpose,
    PublicKeyData,
};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, macros::datetime};

use crate::builder::{self, Content};
pub use crate::name::NAME_MAX;
use crate::public_key::{PUBLIC_KEY_SIZE, subject_key_identifier};
use crate::{Error, SerialNumber, name};

/// Size of every certificate serial number, in bytes.
pub const SERIAL_NUMBER_SIZE: usize = 16;

const ROOT_YEARS: i32 = 25;
const SIGNER_YEARS: i32 = 10;
const VERIFICATION_DAYS: i64 = 30;
/// How often a serial number is drawn until one is not known.
const DRAWS: usize = 3;

/// When device certificates expire: 3000-12-31 23:59:59 UTC, which RFC 5280 has written as GeneralizedTime.
pub const DEVICE_NOT_AFTER: OffsetDateTime = datetime!(3000-12-31 23:59:59 UTC);

/// No clock that is right shows an earlier time: this version was made after it.
pub const EARLIEST: OffsetDateTime = datetime!(2026-11-01 0:00 UTC);

/// No clock that is right shows a later time: every device certificate has expired. It is far enough from the end of the year
/// 9999, which no certificate has an encoding after (RFC 5280, section 4.1.2.5), for every period of this profile.
pub const LATEST: OffsetDateTime = DEVICE_NOT_AFTER;

/// Organisation, where there is one, and common name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// `O`.
    pub organisation: Option<String>,
    /// `CN`.
    pub common_name: String,
}

impl Name {
    /// A name with both parts within the limits of RFC 5280.
    ///
    /// # Errors
    /// [`Error::Name`] for an empty part, one of more than [`NAME_MAX`] characters, or control characters.
    pub fn new(organisation: &str, common_name: &str) -> Result<Self, Error> {
        Self::within(Some(organisation), common_name)
    }

    /// As [`Name::new`], within an organisation if there is one.
    ///
    /// # Errors
    /// As [`Name::new`].
    pub fn within(organisation: Option<&str>, common_name: &str) -> Result<Self, Error> {
        if let Some(part) = organisation.into_iter().chain([common_name]).find(|part| !name::is_usable(part))
        {
            return Err(Error::Name { name: part.to_owned() });
        }
        Ok(Self { organisation: organisation.map(str::to_owned), common_name: common_name.to_owned() })
    }

    /// The name as DER.
    ///
    /// # Errors
    /// [`Error::Encoding`].
    pub(crate) fn der(&self) -> Result<Vec<u8>, Error> {
        builder::name(self.organisation.as_deref(), &self.common_name)
    }

    fn distinguished(&self) -> DistinguishedName {
        let mut name = DistinguishedName::new();
        if let Some(organisation) = &self.organisation {
            name.push(DnType::OrganizationName, organisation.as_str());
        }
        name.push(DnType::CommonName, self.common_name.as_str());
        name
    }
}

/// Whether the clock can be right.
///
/// # Errors
/// [`Error::Clock`] before [`EARLIEST`] or after [`LATEST`].
pub fn check_clock(now: OffsetDateTime) -> Result<(), Error> {
    if (EARLIEST..=LATEST).contains(&now) { Ok(()) } else { Err(Error::Clock { now }) }
}

/// Whether `clock` is not past [`LATEST`]. [`OffsetDateTime`] ends with the year 9999, and a conversion of a later time panics.
///
/// # Errors
/// [`Error::Clock`].
pub fn check_not_past(clock: SystemTime) -> Result<(), Error> {
    let elapsed = clock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let elapsed = time::Duration::try_from(elapsed).unwrap_or(time::Duration::MAX);
    let now = OffsetDateTime::UNIX_EPOCH.saturating_add(elapsed);
    if now > LATEST { Err(Error::Clock { now }) } else { Ok(()) }
}

/// The root CA's certificate: 25 years from this hour.
///
/// # Errors
/// [`Error::NotP256`] for a key of another kind; [`Error::Random`], [`Error::Clock`].
pub fn root(name: &Name, key: &impl PublicKeyData, now: OffsetDateTime) -> Result<CertificateParams, Error> {
    let not_before = this_hour(now)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name.distinguished();
    params.serial_number = Some(random_serial_number()?.to_vec().into());
    params.not_before = not_before;
    params.not_after = years_later(not_before, ROOT_YEARS);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let identifier = subject_key_identifier(&p256_point(key)?);
    params.key_identifier_method = KeyIdMethod::PreSpecified(identifier.to_vec());
    Ok(params)
}

/// A signer CA's certificate: 10 years from this hour, and no CA below it.
///
/// # Errors
/// [`Error::NotP256`] for a key of another kind; [`Error::Random`], [`Error::Clock`].
pub fn signer(name: &Name, key: &impl PublicKeyData, now: OffsetDateTime) -> Result<Content, Error> {
    let not_before = this_hour(now)?;
    Ok(Content {
        serial_number: random_serial_number()?.to_vec(),
        subject: name.der()?,
        point: p256_point(key)?,
        not_before,
        not_after: signer_end(not_before),
        is_ca: true,
    })
}

/// When a signer CA ends that is made at `now`, unless its root ends before.
pub fn signer_end(now: OffsetDateTime) -> OffsetDateTime {
    years_later(now, SIGNER_YEARS)
}

/// A device's certificate, from this hour on. Two certificates of one key differ in their serial number: a revocation list
/// names a certificate by issuer and serial number (RFC 5280, section 5.1.2.6). A number that is `known` is not taken.
///
/// # Errors
/// [`Error::NotP256`] for a key of another kind; [`Error::Random`], [`Error::Clock`].
pub fn device(
    name: &Name,
    key: &impl PublicKeyData,
    known: &dyn Fn(&SerialNumber) -> bool,
    now: OffsetDateTime,
) -> Result<Content, Error> {
    let point = p256_point(key)?;
    let not_before = this_hour(now)?;
    let serial_number = unknown_serial_number(random_serial_number, known)?.to_vec();
    let subject = name.der()?;
    Ok(Content { serial_number, subject, point, not_before, not_after: DEVICE_NOT_AFTER, is_ca: false })
}

/// The certificate that proves to AWS IoT that its caller holds the signer's key: the registration code is its CN.
///
/// # Errors
/// [`Error::Name`] for an empty or overlong code; [`Error::NotP256`]; [`Error::Random`].
pub fn verification(
    registration_code: &str,
    key: &impl PublicKeyData,
    now: OffsetDateTime,
) -> Result<Content, Error> {
    let not_before = this_hour(now)?;
    Ok(Content {
        serial_number: random_serial_number()?.to_vec(),
        subject: Name::within(None, registration_code)?.der()?,
        point: p256_point(key)?,
        not_before,
        not_after: not_before + time::Duration::days(VERIFICATION_DAYS),
        is_ca: false,
    })
}

/// A certificate signing request: the subject and nothing else.
pub fn signing_request(name: &Name) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name.distinguished();
    params
}

/// The subject of a device's request and certificate: `O=<organisation>, CN=sn<ECC serial>`, without O where there is none.
///
/// # Errors
/// [`Error::Name`] for an organisation that is empty or overlong.
pub fn device_name(organisation: Option<&str>, ecc_serial: &str) -> Result<Name, Error> {
    Name::within(organisation, &format!("sn{ecc_serial}"))
}

/// The uncompressed P-256 point of a public key, `0x04 ‖ X ‖ Y`.
///
/// # Errors
/// [`Error::NotP256`].
pub fn p256_point(key: &impl PublicKeyData) -> Result<[u8; PUBLIC_KEY_SIZE], Error> {
    if key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
        return Err(Error::NotP256);
    }
    key.der_bytes().try_into().map_err(|_| Error::NotP256)
}

/// 126 random bits: RFC 5280, section 4.1.2.2, asks for a number that no other certificate of the issuer has.
fn random_serial_number() -> Result<[u8; SERIAL_NUMBER_SIZE], Error> {
    let mut serial = [0; SERIAL_NUMBER_SIZE];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| Error::Random)?;
    Ok(positive_and_full_length(serial))
}

/// Draws until the number is not known. 126 random bits do not meet again, so a number that is known is a sign of a generator
/// that repeats itself, as one does that was copied with a virtual machine.
fn unknown_serial_number(
    mut draw: impl FnMut() -> Result<[u8; SERIAL_NUMBER_SIZE], Error>,
    known: &dyn Fn(&SerialNumber) -> bool,
) -> Result<[u8; SERIAL_NUMBER_SIZE], Error> {
    for _ in 0..DRAWS {
        let number = draw()?;
        let read: Option<SerialNumber> = hex::encode(number).parse().ok();
        if read.is_some_and(|number| !known(&number)) {
            return Ok(number);
        }
    }
    Err(Error::Random)
}

/// Makes the DER integer 16 bytes long for all digits.
fn positive_and_full_length(mut serial: [u8; SERIAL_NUMBER_SIZE]) -> [u8; SERIAL_NUMBER_SIZE] {
    serial[0] = serial[0] & 0x7F | 0x40;
    serial
}

fn this_hour(now: OffsetDateTime) -> Result<OffsetDateTime, Error> {
    check_clock(now)?;
    let now = now.to_offset(time::UtcOffset::UTC);
    let hour = Time::from_hms(now.hour(), 0, 0).unwrap_or(Time::MIDNIGHT);
    Ok(PrimitiveDateTime::new(now.date(), hour).assume_utc())
}

/// The same day so many years later; 28 February where a 29th does not exist then.
fn years_later(from: OffsetDateTime, years: i32) -> OffsetDateTime {
    let year = from.year() + years;
    let date = from
        .date()
        .replace_year(year)
        .or_else(|_| Date::from_calendar_date(year, Month::February, 28))
        .unwrap_or(Date::MAX);
    from.replace_date(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_made_on_29_february_expires_on_the_28th() {
        let made = datetime!(2028-02-29 11:59:59 UTC);
        let key = rcgen::KeyPair::generate().unwrap();
        let name = Name::new("O", "CN").unwrap();
        assert_eq!(root(&name, &key, made).unwrap().not_after, datetime!(2053-02-28 11:00 UTC));
        assert_eq!(signer(&name, &key, made).unwrap().not_after, datetime!(2038-02-28 11:00 UTC));
        assert_eq!(years_later(made, 4), datetime!(2032-02-29 11:59:59 UTC));
    }

    #[test]
    fn a_clock_past_every_certificate_is_refused_also_beyond_what_a_date_can_hold() {
        assert!(check_clock(LATEST).is_ok());
        for late in [LATEST + time::Duration::seconds(1), datetime!(9999-12-31 23:59:59 UTC)] {
            assert!(matches!(check_clock(late), Err(Error::Clock { .. })), "{late}");
            assert!(matches!(check_not_past(late.into()), Err(Error::Clock { .. })), "{late}");
        }
        let year = std::time::Duration::from_secs(31_556_952);
        let clock = |years: u32| SystemTime::UNIX_EPOCH + year * years;
        assert!(matches!(check_not_past(clock(9_000)), Err(Error::Clock { .. })));
        assert!(check_not_past(clock(60)).is_ok());
        assert!(check_not_past(SystemTime::UNIX_EPOCH - year).is_ok(), "others refuse it");
    }

    #[test]
    fn serial_numbers_are_always_sixteen_bytes_and_positive() {
        for first in [0x00, 0x3F, 0x7F, 0x80, 0xFF] {
            assert_eq!(positive_and_full_length([first; SERIAL_NUMBER_SIZE])[0] & 0xC0, 0x40);
        }
    }

    #[test]
    fn two_certificates_of_one_key_in_one_hour_have_different_serial_numbers() {
        let key = rcgen::KeyPair::generate().unwrap();
        let name = device_name(Some("O"), "0123AABBCCDDEEFFEE").unwrap();
        let serial = || device(&name, &key, &|_| false, EARLIEST).unwrap().serial_number;
        let (first, second) = (serial(), serial());
        assert_ne!(first, second);
        assert_eq!([first.len(), second.len()], [SERIAL_NUMBER_SIZE; 2]);
    }

    #[test]
    fn a_serial_number_that_is_known_is_drawn_again_and_a_generator_that_repeats_itself_is_refused() {
        let number = |first: u8| positive_and_full_length([first; SERIAL_NUMBER_SIZE]);
        let known = |number: &SerialNumber| number.to_string() == "41".repeat(SERIAL_NUMBER_SIZE);
        let mut drawn = [0x41, 0x42].into_iter();
        let unknown = unknown_serial_number(|| Ok(number(drawn.next().unwrap())), &known).unwrap();
        assert_eq!(unknown, number(0x42));
        assert!(matches!(unknown_serial_number(|| Ok(number(0x41)), &known), Err(Error::Random)));
    }

    #[test]
    fn names_that_rfc_5280_has_no_room_for_are_refused() {
        for bad in ["", &"x".repeat(65), "a\nb"] {
            assert!(matches!(Name::new(bad, "CN"), Err(Error::Name { .. })));
            assert!(matches!(Name::new("O", bad), Err(Error::Name { .. })));
        }
        Name::new("Ünïcode Örg", &"x".repeat(64)).unwrap();
    }

    #[test]
    fn keys_of_other_kinds_are_refused() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let name = Name::new("O", "CN").unwrap();
        assert!(matches!(device(&name, &key, &|_| false, OffsetDateTime::UNIX_EPOCH), Err(Error::NotP256)));
    }
}
