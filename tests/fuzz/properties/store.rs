//! The client certificate store: two independent readers, and the builder as the inverse of one.

use iot_kit::flash::CLIENT_STORE;
use iot_kit::store::{self, SIZE_MAX};
use testbed::certificate_store::CertificateStore;

/// Everything up to the end of the names' pages.
const FLASH_END: usize = 0x7000;

/// Panics where this does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let _ = store::size(bytes);
    let files = store::read(bytes);
    if let Ok(files) = &files
        && let Ok(flash) = store::build(files)
    {
        assert_eq!(store::read(&flash.image(CLIENT_STORE, SIZE_MAX)).as_ref(), Ok(files));
    }

    let mut flash = vec![0xFF; FLASH_END];
    let start = CLIENT_STORE as usize;
    let room = bytes.len().min(FLASH_END - start);
    flash[start..start + room].copy_from_slice(&bytes[..room]);
    if let Ok(strict) = CertificateStore::read(&flash) {
        let lenient = store::read(&flash[start..]).unwrap();
        for (a, b) in strict.certificates.iter().zip(&lenient) {
            assert_eq!((&a.name, &a.content), (&b.name, &b.content));
        }
    }
}
