//! KIT-INFO.TXT as a disk may have it.

use iot_kit::disk::KitInfo;

/// Panics where this does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let info = KitInfo::parse(bytes);
    if let Some(serial) = info.usb_serial {
        assert!(serial.len() >= 8 && serial.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
    assert!(info.model.is_none() || info.target.is_some());
}
