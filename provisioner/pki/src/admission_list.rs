//! Admission lists: the keys of the boards that an account lets in. Read, and checked with the key that has signed them.
//!
//! A list is DER:
//!
//! ```text
//! AdmissionList ::= SEQUENCE {
//!     toBeSigned          SEQUENCE {
//!         version             INTEGER (0),
//!         number              INTEGER (1..18446744073709551615),
//!         issuedAt            GeneralizedTime,
//!         nextUpdate          GeneralizedTime,
//!         keyIdentifiers      OCTET STRING },  -- 20 octets each, ascending, each once
//!     signatureAlgorithm  AlgorithmIdentifier,  -- ecdsa-with-SHA256, without parameters
//!     signature           BIT STRING }          -- of toBeSigned: ECDSA-Sig-Value (RFC 3279, section 2.2.3)
//! ```
//!
//! A key is looked up where it stands, by binary search: a list in memory takes its own size, 20 bytes a key, and no index.
//!
//! A key identifier is the SHA-1 of the subject public key bits (RFC 5280, section 4.2.1.2, method 1). It is computed from the
//! public key: whoever has the signer CA's key writes what they like into the extension of a certificate. Another key with
//! the identifier of a given one is a second preimage of SHA-1, which nobody can make (NIST SP 800-107, section 4.2: 160 bits); the known
//! attacks on SHA-1 make two keys of one identifier, neither of which is on a list.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::public_key::{PUBLIC_KEY_SIZE, p256_point, subject_key_identifier};

mod encoding;
mod error;
#[cfg(test)]
#[cfg(feature = "file")]
mod tests;

use encoding::Encoded;
#[cfg(feature = "issue")]
pub(crate) use encoding::to_be_signed;
pub use error::{AdmissionError, Unfit};

/// Octets of a key identifier.
pub const IDENTIFIER_SIZE: usize = 20;
/// Keys that a list may have.
pub const MAX_KEYS: usize = 1_000_000;
/// Bytes that a list may have.
pub const MAX_SIZE: usize = MAX_KEYS * IDENTIFIER_SIZE + 256;
/// Seconds that the clock of whoever publishes may be ahead.
const AHEAD: i64 = 600;
/// The beginning of the DER of a P-256 key: all but its point (RFC 5480, section 2).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86,
    0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The identifier of a board's key: SHA-1 of the subject public key bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyIdentifier(pub [u8; IDENTIFIER_SIZE]);

impl KeyIdentifier {
    /// That of a P-256 key.
    pub fn of(point: &[u8; PUBLIC_KEY_SIZE]) -> Self {
        Self(subject_key_identifier(point))
    }

    /// That of the key in a certificate, PEM, computed from the key. `None` where the certificate cannot be read or has another kind of
    /// key.
    pub fn of_certificate(pem: &str) -> Option<Self> {
        let point = crate::revocation_list::with_certificate(pem, |found| p256_point(found.public_key()));
        point.flatten().map(|point| Self::of(&point))
    }
}

impl fmt::Display for KeyIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyIdentifier({self})")
    }
}

/// No key identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key identifier has 40 hex digits")]
pub struct NoIdentifier;

impl FromStr for KeyIdentifier {
    type Err = NoIdentifier;

    fn from_str(text: &str) -> Result<Self, NoIdentifier> {
        let mut octets = [0; IDENTIFIER_SIZE];
        hex::decode_to_slice(text, &mut octets).map_err(|_| NoIdentifier)?;
        Ok(Self(octets))
    }
}

/// The public key that lists are signed by. As text: base64 of its DER (`SubjectPublicKeyInfo`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AdmissionKey(pub [u8; PUBLIC_KEY_SIZE]);

impl AdmissionKey {
    /// Its identifier.
    pub fn identifier(&self) -> KeyIdentifier {
        KeyIdentifier::of(&self.0)
    }
}

/// No public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key on P-256 is expected: base64 of its DER (SubjectPublicKeyInfo)")]
pub struct NoAdmissionKey;

impl FromStr for AdmissionKey {
    type Err = NoAdmissionKey;

    fn from_str(text: &str) -> Result<Self, NoAdmissionKey> {
        let der = STANDARD.decode(text).map_err(|_| NoAdmissionKey)?;
        match SubjectPublicKeyInfo::from_der(&der) {
            Ok(([], key)) => p256_point(&key).map(Self).ok_or(NoAdmissionKey),
            _ => Err(NoAdmissionKey),
        }
    }
}

impl fmt::Display for AdmissionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode([&P256_INFO[..], &self.0].concat()))
    }
}

impl fmt::Debug for AdmissionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdmissionKey({})", self.identifier())
    }
}

/// The keys that are let in.
#[derive(Clone, PartialEq, Eq)]
pub struct AdmissionList {
    der: Vec<u8>,
    /// Where the key identifiers are in it.
    keys: Range<usize>,
    number: u64,
    /// Seconds since 1970.
    issued_at: i64,
    /// Seconds since 1970.
    next_update: i64,
}

impl AdmissionList {
    /// Reads a list that `key` has to have signed. `origin` is named in errors.
    ///
    /// # Errors
    /// If it is no list, not signed by `key`, or one that cannot be looked up in.
    pub fn verified(der: Vec<u8>, origin: &str, key: &AdmissionKey) -> Result<Self, AdmissionError> {
        Self::read(der, origin, |list| list.is_signed_by(key))
    }

    /// Reads a list and does not look at its signature. `origin` is named in errors.
    ///
    /// # Errors
    /// As [`verified`](Self::verified), but for the signature.
    pub fn unverified(der: Vec<u8>, origin: &str) -> Result<Self, AdmissionError> {
        Self::read(der, origin, |_| true)
    }

    fn read(
        der: Vec<u8>,
        origin: &str,
        is_signed: impl FnOnce(&Encoded<'_>) -> bool,
    ) -> Result<Self, AdmissionError> {
        let unfit = |reason| AdmissionError::Unfit { list: origin.to_owned(), reason };
        if der.len() > MAX_SIZE {
            return Err(unfit(Unfit::TooLong));
        }
        let encoded = Encoded::read(&der).map_err(|_| AdmissionError::Format { what: origin.to_owned() })?;
        // What nobody has signed is not looked at any further.
        if !is_signed(&encoded) {
            return Err(AdmissionError::Signature { list: origin.to_owned() });
        }
        let Encoded { number, issued_at, next_update, keys, .. } = encoded;
        check(number, issued_at, next_update, keys).map_err(unfit)?;
        // Both are slices of one allocation.
        let start = keys.as_ptr() as usize - der.as_ptr() as usize;
        let keys = start..start + keys.len();
        Ok(Self { keys, number, issued_at, next_update, der })
    }

    /// Reads the list in a file, as [`verified`](Self::verified) does. No link is followed, and nothing but a regular file is opened.
    ///
    /// # Errors
    /// As [`verified`](Self::verified); [`AdmissionError::Read`].
    pub fn verified_file(path: &Path, key: &AdmissionKey) -> Result<Self, AdmissionError> {
        let origin = path.display().to_string();
        let unreadable = |source| AdmissionError::Read { path: path.to_owned(), source };
        match durable_files::read_found(path, MAX_SIZE) {
            Ok(Some(der)) => Self::verified(der, &origin, key),
            Ok(None) => Err(unreadable(durable_files::Error::missing(path).into())),
            Err(durable_files::Error::TooLong { .. }) => {
                Err(AdmissionError::Unfit { list: origin, reason: Unfit::TooLong })
            }
            Err(error) => Err(unreadable(error.into())),
        }
    }

    /// Whether a key is on it.
    pub fn has(&self, key: &KeyIdentifier) -> bool {
        let (keys, _) = self.octets().as_chunks::<IDENTIFIER_SIZE>();
        keys.binary_search(&key.0).is_ok()
    }

    /// The keys on it, ascending.
    pub fn keys(&self) -> impl Iterator<Item = KeyIdentifier> + '_ {
        let (keys, _) = self.octets().as_chunks::<IDENTIFIER_SIZE>();
        keys.iter().map(|octets| KeyIdentifier(*octets))
    }

    /// How many keys are on it.
    pub fn count(&self) -> usize {
        self.keys.len() / IDENTIFIER_SIZE
    }

    /// Its number: that of a later list is greater.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When it was made, seconds since 1970.
    pub fn issued_at(&self) -> i64 {
        self.issued_at
    }

    /// Until when it counts, seconds since 1970.
    pub fn next_update(&self) -> i64 {
        self.next_update
    }

    /// Until when it counts. A GeneralizedTime is of the years 0 to 9999, as this is.
    pub fn counts_until(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.next_update).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Whether it counts no more.
    pub fn is_overdue(&self) -> bool {
        self.next_update < ASN1Time::now().timestamp()
    }

    /// What is left of its validity at a time in seconds since 1970, in per cent of the whole. 0 once it counts no more.
    pub fn left(&self, now: i64) -> i64 {
        let whole = (self.next_update - self.issued_at).max(1);
        ((self.next_update - now).clamp(0, whole) * 100) / whole
    }

    /// The whole list, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    fn octets(&self) -> &[u8] {
        &self.der[self.keys.clone()]
    }
}

impl fmt::Debug for AdmissionList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionList")
            .field("number", &self.number)
            .field("issued_at", &self.issued_at)
            .field("next_update", &self.next_update)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// Whether a list can be looked up in, and is of a time that has come.
fn check(number: u64, issued_at: i64, next_update: i64, keys: &[u8]) -> Result<(), Unfit> {
    if number == 0 {
        return Err(Unfit::Number);
    }
    if next_update <= issued_at {
        return Err(Unfit::Dates);
    }
    let ahead = issued_at - ASN1Time::now().timestamp();
    if ahead > AHEAD {
        return Err(Unfit::Ahead(ahead));
    }
    let (keys, []) = keys.as_chunks::<IDENTIFIER_SIZE>() else { return Err(Unfit::Ragged) };
    if keys.len() > MAX_KEYS {
        return Err(Unfit::TooManyKeys);
    }
    match keys.is_sorted_by(|one, next| one < next) {
        true => Ok(()),
        false => Err(Unfit::Unsorted),
    }
}
