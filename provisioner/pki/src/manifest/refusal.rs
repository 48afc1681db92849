//! Why an element of a manifest does not count.

use time::OffsetDateTime;

use super::{LARGEST_ENTRY, LONGEST_ID, MOST_CERTIFICATES, MOST_KEYS};
use crate::certificate::{Malformed, rfc3339};

/// Why an element does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is too long.
    #[error("the entry has more than {} KiB", LARGEST_ENTRY >> 10)]
    TooLarge,
    /// It is no signed object.
    #[error("the entry is no flattened JWS with payload, protected, header.uniqueId and signature: {why}")]
    Form {
        /// What the parser said.
        why: String,
    },
    /// One of its parts cannot be decoded.
    #[error("{part} {why}")]
    Undecodable {
        /// The part: `payload`, `protected`, `signature`, …
        part: &'static str,
        /// What is wrong with it.
        why: Undecodable,
    },
    /// It is signed by another algorithm, or by none.
    #[error("alg is {found:?}; manifests are signed with ES256")]
    Algorithm {
        /// What it says.
        found: String,
    },
    /// It needs something of its reader that this one does not have (RFC 7515, section 4.1.11).
    #[error("protected has crit: the signer asks for an extension that is not known")]
    Critical,
    /// Nobody here knows the signer.
    #[error("the manifest signer with the key identifier {key_identifier} is not known")]
    UnknownSigner {
        /// Its `kid`, hex.
        key_identifier: String,
    },
    /// The key identifier is of another signer than the fingerprint.
    #[error("kid and x5t#S256 are not those of one manifest signer: kid is that of {} and x5t#S256 that of {}", by_key.as_deref().unwrap_or("nobody"), by_fingerprint.as_deref().unwrap_or("nobody"))]
    TwoSigners {
        /// Whose key identifier it is.
        by_key: Option<String>,
        /// Whose fingerprint it is.
        by_fingerprint: Option<String>,
    },
    /// It was changed, or somebody else has signed it.
    #[error("the signature is not that of {signer}")]
    Signature {
        /// The name of the signer.
        signer: String,
    },
    /// The unsigned header says otherwise than what is signed.
    #[error("header.uniqueId is not the signed unique id, {signed:?}")]
    OtherId {
        /// The unique id that is signed.
        signed: String,
    },
    /// The unique id is none.
    #[error("the unique id is no text of 1 to {LONGEST_ID} letters, digits and -_.:")]
    Id,
    /// The form of the payload is not known.
    #[error("the payload has version {version}; 1 and 2 are known")]
    Version {
        /// The version.
        version: u64,
    },
    /// The signer did not sign at that time.
    #[error("provisioned on {}, when {signer} was not valid", rfc3339(*at))]
    OutsideValidity {
        /// When the element was provisioned.
        at: OffsetDateTime,
        /// The name of the signer.
        signer: String,
    },
    /// The entry has no key: nothing can be registered for the element.
    #[error("the manifest has no public key of this element (no publicKeySet)")]
    NoKey,
    /// There are more keys than an element has.
    #[error("the entry has more than {MOST_KEYS} keys")]
    ManyKeys,
    /// It does not say which of the keys is the device's.
    #[error("{with_certificates} keys have certificates, so that none is the device's")]
    DeviceKey {
        /// How many keys have certificates.
        with_certificates: usize,
    },
    /// The device's key is of another kind, or is none.
    #[error("the device's key is no public key on P-256")]
    Key,
    /// There are more certificates than a chain has.
    #[error("the device's key has more than {MOST_CERTIFICATES} certificates")]
    ManyCertificates,
    /// A certificate cannot be read.
    #[error("certificate {} of the device's key cannot be read: {malformed}", index + 1)]
    Certificate {
        /// Its place, from 0, which is the device's.
        index: usize,
        /// What is wrong with it.
        malformed: Malformed,
    },
    /// The certificate is of another key.
    #[error("the device's certificate has another key than the entry")]
    OtherKey,
    /// It is no device's.
    #[error("the device's certificate is that of a CA (CA:TRUE)")]
    Authority,
    /// The chain breaks.
    #[error("certificate {} of the device's key is not signed by the next one", index + 1)]
    Chain {
        /// The place of the certificate, from 0.
        index: usize,
    },
    /// An earlier element has the unique id.
    #[error("element {first} has the same unique id")]
    DuplicateId {
        /// The number of the earlier one.
        first: u64,
    },
    /// An earlier element has the key.
    #[error("element {first} has the same public key")]
    DuplicateKey {
        /// The number of the earlier one.
        first: u64,
    },
}

/// What is wrong with a part of an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// It is not in base64.
    #[error("is not base64url without padding (RFC 7515, section 2)")]
    Base64,
    /// It is not the JSON that it has to be.
    #[error("is not the JSON that it has to be: {0}")]
    Json(String),
    /// It has another length.
    #[error("has {found} bytes and not {expected}")]
    Length {
        /// How many bytes it has.
        found: usize,
        /// How many it has to have.
        expected: usize,
    },
    /// It is no point in time.
    #[error("is no time of RFC 3339")]
    Time,
}
