//! KIT-INFO.TXT as a disk may have it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provisioner::board::disk::KitInfo;

fuzz_target!(|bytes: &[u8]| {
    let info = KitInfo::parse(bytes);
    if let Some(serial) = info.serial {
        assert!(serial.len() >= 8 && serial.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
    assert!(info.model.is_none() || info.target.is_some());
});
