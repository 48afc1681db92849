//! Factory certificates rebuilt from arbitrary bytes in the slots of a secure element.

use device_pki::factory::compressed::{Compressed, SIZE};
use device_pki::factory::profile::Profile;
use device_pki::factory::{Slots, rebuild, roots};

/// Profile, slots 10, 11 and 12, serial number, X‖Y of the device's public key.
pub(crate) type Input = (bool, [u8; SIZE], [u8; SIZE], [u8; SIZE], [u8; 9], [u8; 64]);

/// Panics where this does not hold.
pub(crate) fn check((mah4i, device, signer_key, signer, serial, key): Input) {
    for slot in [&device, &signer] {
        if let Ok(compressed) = Compressed::from_bytes(slot) {
            assert_eq!(compressed.to_bytes(), *slot);
        }
    }
    let mut point = [0x04; 65];
    point[1..].copy_from_slice(&key);
    let profile = if mah4i { Profile::Mah4i } else { Profile::Mah1h };
    if let Ok(certificates) = rebuild(profile, &Slots { device, signer_key, signer }, &serial, &point) {
        assert_eq!(certificates.device.point(), Some(point));
        assert!(roots::verify(&certificates, &roots::microchip()).is_err(), "nobody has the vendor's key");
    }
}
