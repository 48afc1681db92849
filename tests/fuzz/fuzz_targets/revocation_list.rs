//! Revocation lists from packages, web servers and Amazon S3.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use jitr::revocation::{CaCertificate, RevocationList};
use libfuzzer_sys::fuzz_target;

static CA: LazyLock<CaCertificate> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/revocation_list/ca.pem");
    CaCertificate::read(Path::new(path)).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(list) = RevocationList::verified(bytes.to_vec(), "the list", &CA) {
        let _ = (list.is_overdue(), list.next_update());
    }
});
