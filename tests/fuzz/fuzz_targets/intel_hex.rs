//! Firmware files that users bring: what is read fits what is said of it, whatever the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provisioner::board::intel_hex::Image;
use provisioner::board::kits::Target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(image) = Image::parse(bytes) else { return };
    assert!(image.size() > 0);
    for target in Target::ALL {
        if image.check_for(target).is_ok() {
            assert!(image.byte(0).is_some() && image.byte(target.flash().end).is_none());
        }
    }
});
