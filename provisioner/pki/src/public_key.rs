//! Public keys on P-256.

use aws_lc_rs::digest;

/// Size of an uncompressed P-256 point, `0x04 ‖ X ‖ Y`, in bytes (SEC 1, section 2.3.3).
pub const PUBLIC_KEY_SIZE: usize = 65;

/// The uncompressed point of X‖Y.
pub fn point_of(coordinates: &[u8; PUBLIC_KEY_SIZE - 1]) -> [u8; PUBLIC_KEY_SIZE] {
    let mut point = [0x04; PUBLIC_KEY_SIZE];
    point[1..].copy_from_slice(coordinates);
    point
}

/// The subject key identifier: SHA-1 over the subject public key bit string, 20 bytes (RFC 5280, section 4.2.1.2,
/// method 1).
pub fn subject_key_identifier(point: &[u8; PUBLIC_KEY_SIZE]) -> [u8; 20] {
    let mut identifier = [0; 20];
    identifier.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, point).as_ref());
    identifier
}
