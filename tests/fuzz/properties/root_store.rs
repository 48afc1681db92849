//! The root certificate store of the Wi-Fi module: for any bytes, the builder is the inverse of the reader.

use iot_kit::root_store::{self, SIZE_MAX};

/// Panics where this does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let Ok((roots, size)) = root_store::read(bytes) else { return };
    assert!(size <= SIZE_MAX);
    let store = root_store::build(&roots).unwrap();
    assert_eq!(store.len(), size);
    assert_eq!(root_store::read(&store), Ok((roots, size)));
}
