//! Key files: PKCS#8 PEM, encrypted or not. What costs too much to decrypt is refused before.

use device_pki::key::Key;
use device_pki::key::file::{Content, parse};

/// Panics where this does not hold.
pub(crate) fn check(bytes: &[u8]) {
    if let Ok(Content::Plain(keys)) = parse(bytes, || "key".to_owned()) {
        assert!(!keys.is_empty());
        for key in keys {
            assert_eq!(key.public().0[0], 0x04);
            key.sign(b"message").unwrap();
        }
    }
}
