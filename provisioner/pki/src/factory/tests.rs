//! Factory certificates, made by another implementation, compressed and rebuilt.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use proptest::prelude::*;

use super::compressed::{Dates, SerialSource};
use super::*;

const SERIAL: [u8; 9] = [0x01, 0x23, 3, 4, 5, 6, 7, 8, 0xFE];

fn point(key: &SigningKey) -> [u8; PUBLIC_KEY_SIZE] {
    key.verifying_key().to_sec1_point(false).as_bytes().try_into().unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn unsigned(source: SerialSource, years: u8) -> Compressed {
    Compressed {
        signature: [1; 64],
        dates: Dates { year: 19, month: 11, day: 12, hour: 9, years },
        signer_id: 0x8B3C,
        template_and_chain: 0x20,
        serial_source: source,
        reserved: 0,
    }
}

/// What the factory leaves in an element: everything signed.
fn element(profile: Profile, source: SerialSource) -> (Slots, [u8; PUBLIC_KEY_SIZE]) {
    let (root, signer, device) = (key(3), key(2), key(1));
    let sign = |role: Role<'_>, by: &SigningKey, of: &SigningKey, years: u8| {
        let mut compressed = unsigned(source, years);
        let der = profile.rebuild(role, &compressed, &point(of), &SERIAL).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let signature: Signature = by.sign(certificate.tbs_certificate.as_ref());
        compressed.signature.copy_from_slice(&signature.to_bytes());
        compressed.to_bytes()
    };
    let mut signer_key = [0; SIZE];
    signer_key[4..36].copy_from_slice(&point(&signer)[1..33]);
    signer_key[40..].copy_from_slice(&point(&signer)[33..]);
    let slots = Slots {
        device: sign(Role::Device { signer: &point(&signer) }, &signer, &device, 0),
        signer_key,
        signer: sign(Role::Signer, &root, &signer, 10),
    };
    (slots, point(&device))
}

#[test]
fn both_profiles_and_both_kinds_of_serial_numbers_verify() {
    for profile in [Profile::Mah1h, Profile::Mah4i] {
        for source in [SerialSource::PublicKey, SerialSource::DeviceSerial] {
            let (slots, point) = element(profile, source);
            let certificates = rebuild(profile, &slots, &SERIAL, &point).unwrap();
            assert_eq!(certificates.device.point(), Some(point));
            assert!(certificates.signer.is_ca() && !certificates.device.is_ca());
        }
    }
}

#[test]
fn one_bit_anywhere_is_noticed() {
    let (slots, point) = element(Profile::Mah4i, SerialSource::PublicKey);
    for at in 0..SIZE {
        let mut damaged = slots.clone();
        damaged.device[at] ^= 0x10;
        // Template, chain and the reserved byte are not part of the certificate.
        let result = rebuild(Profile::Mah4i, &damaged, &SERIAL, &point);
        assert_eq!(result.is_ok(), matches!(at, 69 | 71), "byte {at} of slot 10: {result:?}");
    }
    for at in (4..36).chain(40..72) {
        let mut damaged = slots.clone();
        damaged.signer_key[at] ^= 1;
        assert!(rebuild(Profile::Mah4i, &damaged, &SERIAL, &point).is_err(), "byte {at} of slot 11");
    }
    assert_eq!(
        rebuild(Profile::Mah4i, &slots, &SERIAL, &self::point(&key(9))).unwrap_err(),
        Error::Signature
    );
    assert_eq!(rebuild(Profile::Mah1h, &slots, &SERIAL, &point).unwrap_err(), Error::Signature);
}

#[test]
fn slots_that_hold_nothing_or_something_else_are_told_apart() {
    let with = |bytes: [u8; 3], source: u8| {
        let mut slot = unsigned(SerialSource::PublicKey, 0).to_bytes();
        slot[64..67].copy_from_slice(&bytes);
        slot[70] = source;
        Compressed::from_bytes(&slot).unwrap_err()
    };
    assert_eq!(Compressed::from_bytes(&[0; SIZE]), Err(Error::Empty));
    assert_eq!(Compressed::from_bytes(&[0xFF; SIZE]), Err(Error::Empty));
    assert_eq!(with([0; 3], 0xA0), Error::Dates);
    assert_eq!(with([0xFF; 3], 0xA0), Error::Dates);
    assert_eq!(with([0x9D, 0xB1, 0x20], 0xA1), Error::Format { format: 1 });
    assert_eq!(with([0x9D, 0xB1, 0x20], 0x70), Error::SerialSource { source_id: 7 });
}

fn dates() -> impl Strategy<Value = Dates> {
    (0..32u8, 1..=12u8, 1..=28u8, 0..24u8, 0..32u8).prop_map(|(year, month, day, hour, years)| Dates {
        year,
        month,
        day,
        hour,
        years,
    })
}

proptest! {
    #[test]
    fn compressing_what_was_rebuilt_is_the_identity(
        halves in (proptest::array::uniform32(any::<u8>()), proptest::array::uniform32(any::<u8>())),
        dates in dates(),
        (signer_id, template_and_chain, reserved) in any::<(u16, u8, u8)>(),
        from_key in any::<bool>(),
        mah1h in any::<bool>(),
        is_device in any::<bool>(),
        serial in any::<[u8; 9]>(),
    ) {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&halves.0);
        signature[32..].copy_from_slice(&halves.1);
        let serial_source = if from_key { SerialSource::PublicKey } else { SerialSource::DeviceSerial };
        let compressed = Compressed { signature, dates, signer_id, template_and_chain, serial_source, reserved };
        let bytes = compressed.to_bytes();
        prop_assert_eq!(Compressed::from_bytes(&bytes).unwrap(), compressed);
        let profile = if mah1h { Profile::Mah1h } else { Profile::Mah4i };
        let (device, signer) = (point(&key(1)), point(&key(2)));
        let role = if is_device { Role::Device { signer: &signer } } else { Role::Signer };
        let der = profile.rebuild(role, &compressed, &device, &serial).unwrap();
        prop_assert_eq!(Compressed::of(&der, &compressed).unwrap().to_bytes(), bytes);
    }

    #[test]
    fn arbitrary_slots_never_panic(
        (device, signer_key, signer) in (
            proptest::collection::vec(any::<u8>(), SIZE),
            proptest::collection::vec(any::<u8>(), SIZE),
            proptest::collection::vec(any::<u8>(), SIZE),
        ),
        plausible in any::<bool>(),
    ) {
        let array = |bytes: Vec<u8>| <[u8; SIZE]>::try_from(bytes).unwrap();
        let mut slots = Slots { device: array(device), signer_key: array(signer_key), signer: array(signer) };
        if plausible {
            (slots.device[70], slots.signer[70]) = (0xA0, 0xB0);
        }
        for profile in [Profile::Mah1h, Profile::Mah4i] {
            prop_assert!(rebuild(profile, &slots, &SERIAL, &point(&key(1))).is_err());
        }
    }
}
