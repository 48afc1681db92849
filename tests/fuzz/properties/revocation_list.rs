//! Revocation lists from packages, web servers and Amazon S3.

use std::path::Path;
use std::sync::LazyLock;

use device_pki::revocation_list::{CaCertificate, RevocationList};

static CA: LazyLock<CaCertificate> = LazyLock::new(|| {
    let certificate = include_bytes!("ca.pem");
    CaCertificate::parse(certificate, Path::new("ca.pem")).unwrap()
});

/// Panics where this does not hold.
pub(crate) fn check(bytes: &[u8]) {
    if let Ok(list) = RevocationList::verified(bytes, "the list", &CA) {
        let _ = (list.is_overdue(), list.next_update());
    }
}
