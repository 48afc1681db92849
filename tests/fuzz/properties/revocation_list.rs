//! Revocation lists from packages, web servers and Amazon S3.

use std::path::Path;
use std::sync::LazyLock;

use device_pki::revocation_list::{CaCertificate, RevocationList};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

static CA: LazyLock<CaCertificate> = LazyLock::new(|| {
    let certificate = include_bytes!("ca.pem");
    CaCertificate::parse(certificate, Path::new("ca.pem")).unwrap()
});

/// Critical extensions that a list may have: key identifier, number, distribution point; of an entry: reason, date.
const LIST: [&str; 3] = ["2.5.29.35", "2.5.29.20", "2.5.29.28"];
const ENTRY: [&str; 2] = ["2.5.29.21", "2.5.29.24"];

/// Panics where this does not hold: what counts, once it is signed, another reader takes for a list with the same entries,
/// and finds nothing in it that excludes any.
pub(crate) fn check(bytes: &[u8]) {
    let signed = RevocationList::verified(bytes, "the list", &CA);
    let Ok(lists) = RevocationList::check(bytes, "the list") else {
        assert!(signed.is_err(), "it counts with a signature alone");
        return;
    };
    let mut rest = bytes;
    for list in &lists {
        assert!(!list.is_older_than(list) && list.fill() <= 100);
        let _ = (list.is_overdue(), list.next_update(), list.number());
        // PEM is decoded by that reader in any case.
        if bytes.first() != Some(&0x30) {
            continue;
        }
        let Ok((more, other)) = CertificateRevocationList::from_der(rest) else { continue };
        rest = more;
        assert!(list.revoked() <= other.iter_revoked_certificates().count());
        for extension in other.extensions() {
            let id = extension.oid.to_id_string();
            assert!(id != "2.5.29.27" && (!extension.critical || LIST.contains(&id.as_str())), "{id}");
        }
        for extension in other.iter_revoked_certificates().flat_map(|entry| entry.extensions()) {
            let id = extension.oid.to_id_string();
            assert!(id != "2.5.29.29" && (!extension.critical || ENTRY.contains(&id.as_str())), "{id}");
        }
    }
}
