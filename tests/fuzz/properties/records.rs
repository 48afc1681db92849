//! Lines in the files of the home folder: revocations, ledger, audit log.

use std::path::Path;

use provisioner::state::{audit, ledger, revocations};

/// Panics where this does not hold.
pub(crate) fn check(bytes: &[u8]) {
    if let Ok(found) = revocations::parse(bytes, Path::new("records")) {
        for revocation in &found {
            let number = revocation.serial_number.to_string();
            assert!(
                number.trim_start_matches('-').trim_matches('0').len() <= 40 && number != "0",
                "{number}"
            );
            assert_eq!(number.parse().as_ref(), Ok(&revocation.serial_number));
        }
    }
    let _ = ledger::parse(bytes);
    let _ = audit::entries(bytes);
}
