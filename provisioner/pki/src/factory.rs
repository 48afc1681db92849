//! The certificates a secure element leaves the factory with: rebuilt whole from their compressed form, and checked by their
//! signature.
//!
//! The signer's own signature is the vendor's root's, which is not on the board; the device's is checked with the key
//! that the factory put beside it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::Certificate;
use crate::public_key::{PUBLIC_KEY_SIZE, point_of};

pub mod compressed;
pub mod profile;
pub mod roots;
#[cfg(test)]
mod tests;

use compressed::{Compressed, SIZE};
use profile::{Profile, Role};

/// Slot of the compressed device certificate.
pub const DEVICE_SLOT: u8 = 10;
/// Slot of the signer's public key.
pub const SIGNER_KEY_SLOT: u8 = 11;
/// Slot of the compressed signer certificate.
pub const SIGNER_SLOT: u8 = 12;
/// The slots that hold the factory certificates.
pub const SLOTS: [u8; 3] = [DEVICE_SLOT, SIGNER_KEY_SLOT, SIGNER_SLOT];

/// What the OTP area of a MAH4I begins with.
pub const MAH4I: &[u8] = b"MKMwyhP1";
/// What the OTP area of a Trust&Go begins with.
pub const TRUST_AND_GO: &[u8] = b"x6tjuZMy";

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
    #[error("a factory certificate has a date that does not exist")]
    Dates,
    /// The rebuilt certificate does not say what the compressed one says.
    #[error("a factory certificate cannot be rebuilt")]
    Rebuild,
    /// The rebuilt device certificate is not what the factory signed.
    #[error("the factory's signature does not match the device certificate and the signer's key in slot 11")]
    Signature,
    /// The certificates lead to a root that is not trusted.
    #[error("the factory certificates lead to \"{issuer}\", and the roots that are trusted are: {}", trusted.join("; "))]
    OtherRoot {
        /// The root that the signer's certificate names.
        issuer: String,
        /// The roots that are trusted.
        trusted: Vec<String>,
    },
    /// The certificate of the signer is not what the root signed.
    #[error("the factory certificates name \"{issuer}\" as their root, and its key has not signed them")]
    ForgedSigner {
        /// The root that the signer's certificate names.
        issuer: String,
    },
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

/// One certificate, rebuilt, and read again by a parser that is independent of the profiles.
fn whole(
    profile: Profile,
    role: Role<'_>,
    slot: &[u8; SIZE],
    point: &[u8; PUBLIC_KEY_SIZE],
    serial: &[u8; 9],
) -> Result<Vec<u8>, Error> {
    let compressed = Compressed::from_bytes(slot)?;
    let der = profile.rebuild(role, &compressed, point, serial).map_err(|_| Error::Rebuild)?;
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
    let mut coordinates = [0; 64];
    coordinates[..32].copy_from_slice(&slot[4..36]);
    coordinates[32..].copy_from_slice(&slot[40..]);
    point_of(&coordinates)
}
