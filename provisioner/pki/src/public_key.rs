//! Public keys on P-256.

use aws_lc_rs::digest;
use x509_parser::oid_registry::OID_EC_P256;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Size of an uncompressed P-256 point, `0x04 ‖ X ‖ Y`, in bytes (SEC 1, section 2.3.3).
pub const PUBLIC_KEY_SIZE: usize = 65;

/// The uncompressed point of X‖Y.
pub fn point_of(coordinates: &[u8; PUBLIC_KEY_SIZE - 1]) -> [u8; PUBLIC_KEY_SIZE] {
    let mut point = [0x04; PUBLIC_KEY_SIZE];
    point[1..].copy_from_slice(coordinates);
    point
}

/// The uncompressed point of a subject public key; `None` for a key of another kind.
pub(crate) fn p256_point(key: &SubjectPublicKeyInfo<'_>) -> Option<[u8; PUBLIC_KEY_SIZE]> {
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let point: [u8; PUBLIC_KEY_SIZE] = key.subject_public_key.data.as_ref().try_into().ok()?;
    (curve == OID_EC_P256 && point[0] == 0x04).then_some(point)
}

/// The subject key identifier: SHA-1 over the subject public key bit string, 20 bytes (RFC 5280, section 4.2.1.2,
/// method 1).
pub fn subject_key_identifier(point: &[u8; PUBLIC_KEY_SIZE]) -> [u8; 20] {
    let mut identifier = [0; 20];
    identifier.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, point).as_ref());
    identifier
}
