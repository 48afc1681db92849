//! Admission lists from packages, web servers and Amazon S3.

use device_pki::admission_list::{AdmissionKey, AdmissionList, IDENTIFIER_SIZE, KeyIdentifier};

/// Nobody has the private key of it.
const KEY: AdmissionKey = AdmissionKey([4; 65]);

/// Panics where this does not hold: the keys of a list are in ascending order, each once; each of them is found, and what is beside
/// them is not; and another reader finds their octets where this one does.
pub(crate) fn check(bytes: &[u8]) {
    assert!(AdmissionList::verified(bytes.to_vec(), "the list", &KEY).is_err());
    let Ok(list) = AdmissionList::unverified(bytes.to_vec(), "the list") else { return };
    assert!(list.number() > 0 && list.issued_at() < list.next_update());
    assert!((0..=100).contains(&list.left(list.issued_at())) && list.left(list.next_update()) == 0);
    let keys: Vec<KeyIdentifier> = list.keys().collect();
    assert_eq!(keys.len(), list.count());
    assert!(keys.is_sorted_by(|one, next| one < next));
    for key in &keys {
        assert!(list.has(key));
        let mut beside = *key;
        beside.0[IDENTIFIER_SIZE - 1] ^= 1;
        assert_eq!(list.has(&beside), keys.contains(&beside));
    }
    let octets = octets(bytes).unwrap();
    assert!(octets.chunks(IDENTIFIER_SIZE).eq(keys.iter().map(|key| &key.0[..])));
}

/// The content of the last element of the first element.
fn octets(der: &[u8]) -> Option<&[u8]> {
    let (_, list, _) = element(der)?;
    let (_, mut content, _) = element(list)?;
    loop {
        let (tag, value, rest) = element(content)?;
        if rest.is_empty() {
            return (tag == 4).then_some(value);
        }
        content = rest;
    }
}

/// Tag, content and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let octets;
        (octets, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        length = octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
