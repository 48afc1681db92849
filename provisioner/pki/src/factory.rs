//! The certificates a secure element leaves the factory with: read compressed, rebuilt whole, checked by their signature.
//!
//! The signer's own signature is the vendor's root's, which is not on the board; the device's is checked with the key
//! that the factory put beside it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use jitr::thing_name::PUBLIC_KEY_SIZE;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Session, secure_element};
use crate::ca::Certificate;

pub mod compressed;
pub mod profile;
#[cfg(test)]
mod tests;

use compressed::{Compressed, SIZE};
use profile::{Profile, Role};

/// Slot of the compressed device certificate.
const DEVICE_SLOT: u8 = 10;
/// Slot of the signer's public key.
const SIGNER_KEY_SLOT: u8 = 11;
/// Slot of the compressed signer certificate.
const SIGNER_SLOT: u8 = 12;
/// The slots that hold the factory certificates.
pub const SLOTS: [u8; 3] = [DEVICE_SLOT, SIGNER_KEY_SLOT, SIGNER_SLOT];

/// What the OTP area of a MAH4I begins with.
const MAH4I: &[u8] = b"MKMwyhP1";
/// What the OTP area of a Trust&Go begins with.
const TRUST_AND_GO: &[u8] = b"x6tjuZMy";

/// Why there are no factory certificates to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A secure element that is sold for other purposes.
    #[error("the secure element is a Trust&Go; the vendor's public account knows kits with MAH1H or MAH4I")]
    TrustAndGo,
    /// A secure element of a kind that is not known.
    #[error("the secure element {serial} is neither MAH1H nor MAH4I, the kinds that the kits carry")]
    Kind {
        /// Its serial number.
        serial: String,
    },
    /// A slot without content.
    #[error("the secure element holds no factory certificates")]
    Empty,
    /// A version of the compressed form that is not known.
    #[error("a factory certificate has the compressed format {format}, and only 0 is known")]
    Format {
        /// The version.
        format: u8,
    },
    /// A way to make serial numbers that is not known.
    #[error(
        "a factory certificate has the serial number source {source_id:#x}, and only 0xa and 0xb are known"
    )]
    SerialSource {
        /// Its number.
        source_id: u8,
    },
    /// Dates that no calendar has.
    #[error("a factory certificate has dates that no calendar has")]
    Dates,
    /// The rebuilt certificate does not say what the compressed one says.
    #[error("a factory certificate cannot be rebuilt")]
    Rebuild,
    /// The rebuilt device certificate is not what the factory signed.
    #[error("the factory's signature does not match the device certificate and the signer's key in slot 11")]
    Signature,
}

/// The factory certificates of a board, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The device's. Its signature has been verified.
    pub device: Certificate,
    /// The signer's. Its key is the one that verified the device's; its own signature is the vendor's root's.
    pub signer: Certificate,
}

/// What a secure element holds, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Slot 10.
    pub device: [u8; SIZE],
    /// Slot 11.
    pub signer_key: [u8; SIZE],
    /// Slot 12.
    pub signer: [u8; SIZE],
}

/// Reads and rebuilds the factory certificates of the board with this serial number and public key.
///
/// # Errors
/// Those of [`Session::run`], and of [`rebuild`] inside.
pub fn read(
    session: &mut Session,
    serial: &str,
    point: &[u8; PUBLIC_KEY_SIZE],
) -> Result<Result<Certificates, Error>, super::Error> {
    let kind = || Error::Kind { serial: serial.to_owned() };
    let mut number = [0; 9];
    if hex::decode_to_slice(serial, &mut number).is_err() {
        return Ok(Err(kind()));
    }
    let profile = match number[8] {
        0xFE => Profile::Mah1h,
        0x01 => Profile::Mah4i,
        _ => return Ok(Err(kind())),
    };
    let slots = Slots {
        device: secure_element::read_slot(session, DEVICE_SLOT)?,
        signer_key: secure_element::read_slot(session, SIGNER_KEY_SLOT)?,
        signer: secure_element::read_slot(session, SIGNER_SLOT)?,
    };
    let certificates = rebuild(profile, &slots, &number, point);
    if certificates.is_ok() || profile == Profile::Mah1h {
        return Ok(certificates);
    }
    // The signature is the proof of a MAH4I; without it, the OTP area says what else ends in 01.
    Ok(match secure_element::read_otp(session) {
        Ok(otp) if otp.starts_with(MAH4I) => certificates,
        Ok(otp) if otp.starts_with(TRUST_AND_GO) => Err(Error::TrustAndGo),
        Ok(_) | Err(super::Error::Refused { .. }) => Err(kind()),
        Err(error) => return Err(error),
    })
}

/// Rebuilds both certificates and verifies the device's signature with the key in slot 11.
///
/// # Errors
/// [`Error`], but for the kinds of secure elements.
pub fn rebuild(
    profile: Profile,
    slots: &Slots,
    serial: &[u8; 9],
    point: &[u8; PUBLIC_KEY_SIZE],
) -> Result<Certificates, Error> {
    let signer_point = stored_point(&slots.signer_key);
    let device = whole(profile, Role::Device { signer: &signer_point }, &slots.device, point, serial)?;
    let signer = whole(profile, Role::Signer, &slots.signer, &signer_point, serial)?;
    verify(&device, &signer_point)?;
    let parsed = |der: &[u8]| Certificate::from_der(der).map_err(|_| Error::Rebuild);
    let certificates = Certificates { device: parsed(&device)?, signer: parsed(&signer)? };
    // Also says that both carry the same signer id.
    if !certificates.device.is_signed_by(&certificates.signer) {
        return Err(Error::Rebuild);
    }
    Ok(certificates)
}

/// One certificate, rebuilt, and read again by a parser that knows nothing of the profiles.
fn whole(
    profile: Profile,
    role: Role<'_>,
    slot: &[u8; SIZE],
    point: &[u8; PUBLIC_KEY_SIZE],
    serial: &[u8; 9],
) -> Result<Vec<u8>, Error> {
    let compressed = Compressed::from_bytes(slot)?;
    let der = profile.rebuild(role, &compressed, point, serial);
    if Compressed::of(&der, &compressed)?.to_bytes() != *slot {
        return Err(Error::Rebuild);
    }
    Ok(der)
}

fn verify(der: &[u8], signer: &[u8; PUBLIC_KEY_SIZE]) -> Result<(), Error> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Error::Rebuild)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, signer)
        .verify(certificate.tbs_certificate.as_ref(), &certificate.signature_value.data)
        .map_err(|_| Error::Signature)
}

/// A public key as a slot keeps it, 4 pad bytes before X and before Y, as an uncompressed point.
fn stored_point(slot: &[u8; SIZE]) -> [u8; PUBLIC_KEY_SIZE] {
    let mut point = [0x04; PUBLIC_KEY_SIZE];
    point[1..33].copy_from_slice(&slot[4..36]);
    point[33..].copy_from_slice(&slot[40..]);
    point
}
