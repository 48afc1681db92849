//! Identifiers in the form of a UUID (RFC 9562).

use sha2::{Digest, Sha256};

/// The identifier that belongs to `seed`, always the same.
pub(crate) fn of(seed: &str) -> String {
    let digits = hex::encode(&Sha256::digest(seed)[..16]);
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}
