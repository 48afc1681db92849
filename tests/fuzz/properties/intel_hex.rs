//! Firmware files of users: for any bytes, what is read is consistent.

use iot_kit::intel_hex::Image;
use iot_kit::kits::Target;

/// Panics where this does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(image) = Image::parse(bytes) else { return };
    assert!(image.size() > 0);
    // What goes to the kit's disk is the same image.
    assert_eq!(Image::parse(image.records()).as_ref(), Ok(&image));
    for target in Target::ALL {
        if image.check_for(target).is_ok() {
            assert!(image.byte(0).is_some() && image.byte(target.flash().end).is_none());
        }
    }
}
