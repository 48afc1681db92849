//! The thing name: the subject key identifier of the device's public key.

use std::fmt;

use aws_lc_rs::digest;

/// Size of an uncompressed P-256 point, `0x04 ‖ X ‖ Y`, in bytes (SEC 1, section 2.3.3).
pub const PUBLIC_KEY_SIZE: usize = 65;

/// The name of a thing, which is also the MQTT client id of its board: 40 lower-case hex digits.
///
/// It is the SHA-1 of the 65-byte subject public key bit string, the subject key identifier of
/// RFC 5280, section 4.2.1.2, method (1). It is computed from the key and not read from the certificate,
/// because factory certificates may carry no such extension.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThingName(String);

impl ThingName {
    /// The thing name that belongs to an uncompressed P-256 public key.
    pub fn from_public_key(point: &[u8; PUBLIC_KEY_SIZE]) -> Self {
        Self(hex::encode(subject_key_identifier(point)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// SHA-1 over the subject public key bit string: 20 bytes.
pub fn subject_key_identifier(point: &[u8; PUBLIC_KEY_SIZE]) -> [u8; 20] {
    let mut identifier = [0; 20];
    identifier.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, point).as_ref());
    identifier
}

impl fmt::Display for ThingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ThingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThingName({})", self.0)
    }
}
