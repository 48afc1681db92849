//! The compressed form of a factory certificate: 72 bytes of a slot that hold all that cannot be known otherwise. Pure.

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::der::parse_der;
use x509_parser::prelude::FromDer;

use super::Error;

/// Size of a compressed certificate, in bytes.
pub const SIZE: usize = 72;

/// Size of R or S of a signature, in bytes.
const HALF: usize = 32;

/// A compressed certificate, its fields apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// R‖S.
    pub signature: [u8; 2 * HALF],
    /// When the validity begins, and for how long it lasts.
    pub dates: Dates,
    /// Number of the signer, part of its name.
    pub signer_id: u16,
    /// Template in the high nibble, chain in the low one; the profile is known from elsewhere.
    pub template_and_chain: u8,
    /// How the serial number is made.
    pub serial_source: SerialSource,
    /// The last byte, with any value.
    pub reserved: u8,
}

/// How the serial number of a certificate is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialSource {
    /// From the subject's public key and the dates.
    PublicKey = 0xA,
    /// From the serial number of the secure element and the dates.
    DeviceSerial = 0xB,
}

/// Dates to the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// Years since 2000, 0 to 31.
    pub year: u8,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Years that the certificate is valid for, at most 31; 0 is until 9999-12-31 23:59:59.
    pub years: u8,
}

impl Dates {
    /// Takes the fields apart.
    ///
    /// # Errors
    /// [`Error::Dates`] for a month, day or hour that no calendar has.
    pub fn unpack(bytes: [u8; 3]) -> Result<Self, Error> {
        let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        let field = |shift: u32, width: u32| (bits >> shift & ((1 << width) - 1)) as u8;
        let dates = Self {
            year: field(19, 5),
            month: field(15, 4),
            day: field(10, 5),
            hour: field(5, 5),
            years: field(0, 5),
        };
        let begins = dates.day_exists(0) && dates.hour < 24;
        // A validity that begins on 29 February may end on a day that its last year does not have.
        if begins && dates.day_exists(dates.years) { Ok(dates) } else { Err(Error::Dates) }
    }

    /// 5 bits year, 4 month, 5 day, 5 hour, 5 years, most significant bit first.
    pub fn pack(self) -> [u8; 3] {
        let fields = [(self.year, 5), (self.month, 4), (self.day, 5), (self.hour, 5), (self.years, 5)];
        let bits = fields.iter().fold(0_u32, |bits, (value, width)| bits << width | u32::from(*value));
        let [_, bytes @ ..] = bits.to_be_bytes();
        bytes
    }

    fn day_exists(self, years_later: u8) -> bool {
        let year = 2000 + i32::from(self.year) + i32::from(years_later);
        time::Month::try_from(self.month)
            .is_ok_and(|month| time::Date::from_calendar_date(year, month, self.day).is_ok())
    }
}

impl Compressed {
    /// Takes the bytes of a slot apart.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Format`], [`Error::SerialSource`], [`Error::Dates`].
    pub fn from_bytes(bytes: &[u8; SIZE]) -> Result<Self, Error> {
        if bytes.iter().all(|&b| b == 0) || bytes.iter().all(|&b| b == 0xFF) {
            return Err(Error::Empty);
        }
        let format = bytes[70] & 0x0F;
        if format != 0 {
            return Err(Error::Format { format });
        }
        let serial_source = match bytes[70] >> 4 {
            0xA => SerialSource::PublicKey,
            0xB => SerialSource::DeviceSerial,
            source => return Err(Error::SerialSource { source_id: source }),
        };
        let mut signature = [0; 2 * HALF];
        signature.copy_from_slice(&bytes[..2 * HALF]);
        Ok(Self {
            signature,
            dates: Dates::unpack([bytes[64], bytes[65], bytes[66]])?,
            signer_id: u16::from_be_bytes([bytes[67], bytes[68]]),
            template_and_chain: bytes[69],
            serial_source,
            reserved: bytes[71],
        })
    }

    /// The bytes of the slot.
    pub fn to_bytes(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..64].copy_from_slice(&self.signature);
        bytes[64..67].copy_from_slice(&self.dates.pack());
        bytes[67..69].copy_from_slice(&self.signer_id.to_be_bytes());
        bytes[69] = self.template_and_chain;
        bytes[70] = (self.serial_source as u8) << 4;
        bytes[71] = self.reserved;
        bytes
    }

    /// Compresses a whole certificate, read by a parser of X.509. What a whole certificate does not say, template, chain
    /// and source of the serial number, is taken from `like`.
    ///
    /// # Errors
    /// [`Error::Rebuild`] for anything but a certificate of one of the profiles.
    pub fn of(der: &[u8], like: &Self) -> Result<Self, Error> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Error::Rebuild)?;
        let signature = raw_signature(&certificate.signature_value.data).ok_or(Error::Rebuild)?;
        let signer_id = signer_id(&certificate).ok_or(Error::Rebuild)?;
        let begin = certificate.validity().not_before.to_datetime();
        let end = certificate.validity().not_after.to_datetime();
        let narrow = |number: i32| u8::try_from(number).map_err(|_| Error::Rebuild);
        let dates = Dates {
            year: narrow(begin.year() - 2000)?,
            month: begin.month().into(),
            day: begin.day(),
            hour: begin.hour(),
            years: if end.year() == 9999 { 0 } else { narrow(end.year() - begin.year())? },
        };
        if !rest.is_empty() {
            return Err(Error::Rebuild);
        }
        Ok(Self { signature, dates, signer_id, ..*like })
    }
}

/// R‖S of an ECDSA-Sig-Value (RFC 3279, section 2.2.3).
fn raw_signature(der: &[u8]) -> Option<[u8; 2 * HALF]> {
    let (_, value) = parse_der(der).ok()?;
    let [r, s] = value.as_sequence().ok()?.as_slice() else { return None };
    let mut raw = [0; 2 * HALF];
    for (half, number) in raw.chunks_mut(HALF).zip([r, s]) {
        let digits = number.as_slice().ok()?;
        let digits = &digits[digits.iter().position(|&b| b != 0).unwrap_or(digits.len())..];
        half.get_mut(HALF.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    }
    Some(raw)
}

/// The four hex digits at the end of the signer's name, which is the issuer of a device and the subject of a signer.
fn signer_id(certificate: &X509Certificate<'_>) -> Option<u16> {
    [certificate.issuer(), certificate.subject()].into_iter().find_map(|name| {
        let name = name.iter_common_name().next()?.as_str().ok()?;
        let (_, digits) = name.split_once(" Signer ")?;
        u16::from_str_radix(digits, 16).ok()
    })
}
