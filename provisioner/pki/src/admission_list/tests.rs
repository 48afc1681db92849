//! Lists that are made and read again, and those that nobody should take.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use time::OffsetDateTime;

use super::*;
use crate::key::{Keys, Uri};
use crate::{Error, Signer};

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn public(key: &KeyPair) -> AdmissionKey {
    AdmissionKey(key.der_bytes().try_into().unwrap())
}

fn now() -> u64 {
    OffsetDateTime::now_utc().unix_timestamp().try_into().unwrap()
}

fn tlv(tag: der::Tag, parts: &[&[u8]]) -> Vec<u8> {
    crate::encoding::tlv(tag, parts).unwrap()
}

/// A list around what is to be signed.
fn list_around(content: &[u8], key: &KeyPair) -> Vec<u8> {
    const ALGORITHM: [u8; 12] = [0x30, 10, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];
    let signature = tlv(der::Tag::BitString, &[&[0], &key.sign(content).unwrap()]);
    tlv(der::Tag::Sequence, &[content, &ALGORITHM, &signature])
}

/// A list of these octets.
fn list(key: &KeyPair, number: u64, from: u64, until: u64, octets: &[u8]) -> Vec<u8> {
    list_around(&to_be_signed(number, from, until, octets).unwrap(), key)
}

fn read(der: Vec<u8>, key: &KeyPair) -> Result<AdmissionList, String> {
    AdmissionList::verified(der, "the list", &public(key)).map_err(|error| error.to_string())
}

/// Why a list of these octets is not used.
fn problem(number: u64, from: u64, until: u64, octets: &[u8]) -> Unfit {
    let key = key();
    match AdmissionList::verified(list(&key, number, from, until, octets), "l", &public(&key)) {
        Err(AdmissionError::Unfit { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

fn signer() -> (tempfile::TempDir, Signer) {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::new(());
    let uri = keys.make(&Uri::File(folder.path().join("admission.key")), false).unwrap();
    let signer = Signer::new(&keys, uri);
    (folder, signer)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_signed_is_read_again_and_has_what_a_set_has(
        keys in proptest::collection::vec(any::<[u8; 1]>().prop_map(|[n]| {
            let mut octets = [0x5A; IDENTIFIER_SIZE];
            octets[usize::from(n) % IDENTIFIER_SIZE] = n;
            KeyIdentifier(octets)
        }), 0..200),
        others in proptest::collection::vec(any::<[u8; IDENTIFIER_SIZE]>().prop_map(KeyIdentifier), 0..20),
        number in 1..u64::MAX,
        days in 1..3650u16,
    ) {
        let (_folder, signer) = signer();
        let at = OffsetDateTime::now_utc();
        let made = signer.sign_admission_list(keys.clone(), number, days, at).unwrap();
        let key = signer.admission_key().unwrap();
        let read = AdmissionList::verified(made.der().to_vec(), "the list", &key).unwrap();
        prop_assert_eq!(&read, &made);
        let set: BTreeSet<_> = keys.into_iter().collect();
        prop_assert!(read.keys().eq(set.iter().copied()));
        prop_assert_eq!(read.count(), set.len());
        for key in set.iter().chain(&others) {
            prop_assert_eq!(read.has(key), set.contains(key));
        }
        prop_assert_eq!((read.number(), read.issued_at()), (number, at.unix_timestamp()));
        prop_assert_eq!(read.next_update() - read.issued_at(), i64::from(days) * 86_400);
        prop_assert!(!read.is_overdue());
    }

    #[test]
    fn a_list_with_one_octet_changed_is_none(place in 0..10_000usize, bit in 0..8u32) {
        let key = key();
        let octets: Vec<u8> = (0..5u8).flat_map(|n| [n; IDENTIFIER_SIZE]).collect();
        let mut der = list(&key, 7, now(), now() + 100, &octets);
        let place = place % der.len();
        der[place] ^= 1 << bit;
        prop_assert!(read(der, &key).is_err());
    }
}

#[test]
fn what_cannot_be_looked_up_in_or_does_not_count_is_refused() {
    let (from, until) = (now(), now() + 1000);
    let (one, two) = ([1; IDENTIFIER_SIZE], [2; IDENTIFIER_SIZE]);
    assert_eq!(problem(0, from, until, &one), Unfit::Number);
    assert_eq!(problem(1, from, from, &one), Unfit::Dates);
    assert_eq!(problem(1, until, from, &one), Unfit::Dates);
    assert!(matches!(problem(1, from + 700, until, &one), Unfit::Ahead(690..=700)));
    assert_eq!(problem(1, from, until, &[&two[..], &one].concat()), Unfit::Unsorted);
    assert_eq!(problem(1, from, until, &[one, one].concat()), Unfit::Unsorted);
    assert_eq!(problem(1, from, until, &one[1..]), Unfit::Ragged);
    assert_eq!(problem(1, from, until, &vec![0; MAX_SIZE]), Unfit::TooLong);
    let (_folder, signer) = signer();
    let many = (0..=MAX_KEYS as u64).map(|n| {
        let mut octets = [0; IDENTIFIER_SIZE];
        octets[..8].copy_from_slice(&n.to_be_bytes());
        KeyIdentifier(octets)
    });
    let refused = signer.sign_admission_list(many.collect(), 1, 90, OffsetDateTime::now_utc());
    let Err(Error::AdmissionList(AdmissionError::Unfit { reason, .. })) = refused else { panic!() };
    assert_eq!(reason, Unfit::TooManyKeys);
}

#[test]
fn another_signature_more_octets_and_other_encodings_are_refused() {
    let (own, other) = (key(), key());
    let (from, until) = (now(), now() + 1000);
    let good = list(&own, 1, from, until, &[1; IDENTIFIER_SIZE]);
    assert!(read(good.clone(), &own).is_ok());
    assert_eq!(read(good.clone(), &other).unwrap_err(), "the list was not signed by the admission key");
    let no_list = Err("the list is not an admission list".to_owned());
    assert_eq!(read([&good[..], &[0]].concat(), &own), no_list);
    assert_eq!(read(good[..good.len() - 1].to_vec(), &own), no_list);
    assert_eq!(read(Vec::new(), &own), no_list);

    // More behind what is signed; a later version; another algorithm.
    let content = to_be_signed(1, from, until, &[1; IDENTIFIER_SIZE]).unwrap();
    let inner = &content[2..];
    let longer = tlv(der::Tag::Sequence, &[inner, &[5, 0]]);
    assert_eq!(read(list_around(&longer, &own), &own), no_list);
    let later = tlv(der::Tag::Sequence, &[&[2, 1, 1], &inner[3..]]);
    assert_eq!(read(list_around(&later, &own), &own), no_list);
    let place = good.windows(4).position(|octets| octets == [0xCE, 0x3D, 4, 3]).unwrap() + 4;
    let mut algorithm = good;
    algorithm[place] = 3;
    assert_eq!(read(algorithm, &own), no_list);
}

#[test]
fn a_list_counts_until_its_end() {
    let key = key();
    let left = |from: u64, until: u64| read(list(&key, 1, from, until, &[]), &key).unwrap();
    let now = now();
    assert!(left(now - 100, now - 1).is_overdue());
    let whole = left(now - 100, now + 100);
    assert!(!whole.is_overdue());
    let at = |seconds: i64| whole.left(i64::try_from(now).unwrap() + seconds);
    assert_eq!([at(-200), at(-100), at(0), at(50), at(100), at(200)], [100, 100, 50, 25, 0, 0]);
}

#[test]
fn keys_and_identifiers_are_read_as_they_are_written() {
    let key = key();
    let public = public(&key);
    assert_eq!(public.to_string().parse(), Ok(public));
    let der = STANDARD.encode(key.subject_public_key_info());
    assert_eq!(der.parse(), Ok(public), "as others write it");
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    for text in ["", "AAAA", "%", &STANDARD.encode(p384.subject_public_key_info())] {
        assert_eq!(text.parse::<AdmissionKey>(), Err(NoAdmissionKey), "{text}");
    }
    let identifier = public.identifier();
    assert_eq!(identifier.to_string().parse(), Ok(identifier));
    assert_eq!(identifier.to_string().to_uppercase().parse(), Ok(identifier));
    for text in ["", "00", &"0".repeat(42), &"g".repeat(40)] {
        assert_eq!(text.parse::<KeyIdentifier>(), Err(NoIdentifier), "{text}");
    }
}

/// Whoever signs certificates can say of a key what they like.
#[test]
fn the_identifier_of_a_certificate_is_that_of_its_key_and_not_of_its_extension() {
    let (own, claimed) = (key(), key());
    let mut params = rcgen::CertificateParams::default();
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(public(&claimed).identifier().0.to_vec());
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    let pem = params.self_signed(&own).unwrap().pem();
    assert_eq!(KeyIdentifier::of_certificate(&pem), Some(public(&own).identifier()));
    assert_eq!(KeyIdentifier::of_certificate("no certificate"), None);
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let pem = rcgen::CertificateParams::default().self_signed(&p384).unwrap().pem();
    assert_eq!(KeyIdentifier::of_certificate(&pem), None);
}
