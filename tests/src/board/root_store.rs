//! The root certificates in the Wi-Fi module's flash: as the factory lays them out, and as the module checks a server with them.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls_pki_types::{Der, TrustAnchor};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

use super::flash::SECTOR;
use super::secure_element::key;
use super::seed::Seed;

/// The first 16 bytes: each second one counts from 0xF1 on, and so does the one before it, from 0x11.
fn magic() -> impl Iterator<Item = u8> {
    (1..=8).flat_map(|n| [0x10 + n, 0xF0 + n])
}

const ENTRIES: usize = 20;
const NAME: usize = 20;
const TIME: usize = 8;
const HEAD: usize = NAME + 2 * TIME + 8;
const RSA: u32 = 1;
const EC: u32 = 2;
/// P-256 in TLS, and the bytes of one coordinate.
const P256: [u16; 2] = [23, 32];
/// What stands before the point in the DER form of a P-256 key (RFC 5480), the outer SEQUENCE left out.
const P256_HEAD: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE,
    0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// The algorithm of an RSA key (RFC 8017), DER.
const RSA_ALGORITHM: &[u8] =
    &[0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00];

/// The roots of AWS's endpoints, PEM.
const AMAZON: &str = include_str!("../../../provisioner/pki/src/amazon.pem");
/// Which of them a new kit has.
const IN_NEW_KITS: [&str; 2] = ["Amazon Root CA 3", "Starfield Services Root Certificate Authority - G2"];
/// A root that has ended, as the module's firmware has one, too.
const EXPIRED: &str = "Testbed Expired Root";

/// What the sector holds when the kit leaves its factory.
pub(super) fn factory() -> Vec<u8> {
    let mut entries = Vec::new();
    for pem in Pem::iter_from_buffer(AMAZON.as_bytes()).flatten() {
        if let Ok(root) = pem.parse_x509()
            && root
                .subject()
                .iter_common_name()
                .filter_map(|name| name.as_str().ok())
                .any(|name| IN_NEW_KITS.contains(&name))
        {
            entries.extend(entry(&root));
        }
    }
    let point = key(Seed(0), "expired root").verifying_key().to_sec1_point(false);
    let (from, to) = ([0xD0, 7, 5, 12, 18, 46, 0, 0], [0xE9, 7, 5, 12, 23, 59, 0, 0]);
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, EXPIRED.as_bytes());
    entries.push([hash.as_ref(), &from, &to, &kind(EC, P256), &point.as_bytes()[1..]].concat());
    sector(&entries)
}

/// The sector with one more root: that of `pem`.
pub(super) fn with(sector_before: &[u8], pem: &str) -> Vec<u8> {
    let mut entries: Vec<Vec<u8>> = raw_entries(sector_before).into_iter().map(<[u8]>::to_vec).collect();
    for pem in Pem::iter_from_buffer(pem.as_bytes()).flatten() {
        let new = pem.parse_x509().ok().as_ref().and_then(entry);
        entries.extend(new.filter(|new| !entries.contains(new)));
    }
    sector(&entries)
}

fn sector(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut sector: Vec<u8> = magic().chain((entries.len() as u32).to_le_bytes()).collect();
    for entry in entries {
        sector.extend(entry);
        while !sector.len().is_multiple_of(4) {
            sector.push(0xFF);
        }
    }
    sector.resize(SECTOR, 0xFF);
    sector
}

fn kind(kind: u32, sizes: [u16; 2]) -> [u8; 8] {
    let mut field = [0; 8];
    field[..4].copy_from_slice(&kind.to_le_bytes());
    field[4..6].copy_from_slice(&sizes[0].to_le_bytes());
    field[6..].copy_from_slice(&sizes[1].to_le_bytes());
    field
}

/// A root as the module has it; `None` for a key that it does not know.
fn entry(root: &X509Certificate<'_>) -> Option<Vec<u8>> {
    let time = |at: OffsetDateTime| {
        let [low, high] = (at.year() as u16).to_le_bytes();
        [low, high, at.month().into(), at.day(), at.hour(), at.minute(), at.second(), 0]
    };
    let validity = root.validity();
    let (kind, key) = match root.public_key().parsed().ok()? {
        PublicKey::RSA(rsa) => {
            let unsigned =
                |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
            let (n, e) = (unsigned(rsa.modulus), unsigned(rsa.exponent));
            (kind(RSA, [n.len() as u16, e.len() as u16]), [n, e].concat())
        }
        PublicKey::EC(point) if point.data().len() == 65 => (kind(EC, P256), point.data()[1..].to_vec()),
        _ => return None,
    };
    let (from, to) = (time(validity.not_before.to_datetime()), time(validity.not_after.to_datetime()));
    Some([&name_hash(root.subject())?[..], &from, &to, &kind, &key].concat())
}

/// SHA-1 of the values of a name's attributes, one after the other.
fn name_hash(name: &X509Name<'_>) -> Option<Vec<u8>> {
    let mut values = String::new();
    for attribute in name.iter_attributes() {
        write!(values, "{}", attribute.as_str().ok()?).ok()?;
    }
    Some(digest(&SHA1_FOR_LEGACY_USE_ONLY, values.as_bytes()).as_ref().to_vec())
}

/// The entries of a sector, without their padding; none where it holds no store.
fn raw_entries(sector: &[u8]) -> Vec<&[u8]> {
    let mut entries = Vec::new();
    let (Some(head), true) = (sector.get(16..ENTRIES), sector.iter().copied().take(16).eq(magic())) else {
        return entries;
    };
    let count = u32::from_le_bytes(head.try_into().unwrap_or_default());
    let mut at = ENTRIES;
    for _ in 0..count {
        let Some(head) = sector.get(at..at + HEAD) else { break };
        let size = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let key = match u32::from_le_bytes([head[36], head[37], head[38], head[39]]) {
            RSA => size(40) + size(42),
            EC => 2 * size(42),
            _ => break,
        };
        let Some(entry) = sector.get(at..at + HEAD + key) else { break };
        entries.push(entry);
        at = (at + entry.len()).next_multiple_of(4);
    }
    entries
}

/// The root of a sector that an issuer's certificates are checked with: the name is taken from the certificate, the key from the
/// store.
pub(crate) fn anchor(
    sector: &[u8],
    issuer: &X509Name<'_>,
    now: OffsetDateTime,
) -> Option<TrustAnchor<'static>> {
    let hash = name_hash(issuer)?;
    let now =
        [now.year() as u32, u32::from(u8::from(now.month())), u32::from(now.day()), u32::from(now.hour())];
    let time = |field: &[u8]| {
        [
            u32::from(u16::from_le_bytes([field[0], field[1]])),
            field[2].into(),
            field[3].into(),
            field[4].into(),
        ]
    };
    let is_valid = |entry: &&&[u8]| time(&entry[NAME..]) <= now && now <= time(&entry[NAME + TIME..]);
    let entries = raw_entries(sector);
    let entry = entries.iter().filter(is_valid).find(|entry| entry[..NAME] == hash[..])?;
    let size = |at: usize| usize::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
    let key = &entry[HEAD..];
    let spki = match entry[36] {
        2 => [P256_HEAD, key].concat(),
        _ => {
            let (n, e) = key.split_at(size(40));
            let number = |bytes: &[u8]| der(0x02, &[&[0][..], bytes].concat());
            let numbers = der(0x30, &[number(n), der(0x02, e)].concat());
            [RSA_ALGORITHM, &der(0x03, &[&[0][..], &numbers].concat())].concat()
        }
    };
    Some(TrustAnchor {
        subject: Der::from(content(issuer.as_raw()).to_vec()),
        subject_public_key_info: Der::from(spki),
        name_constraints: None,
    })
}

/// A DER value of up to 65535 bytes.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16).to_be_bytes();
    let head: &[u8] = match content.len() {
        0..=0x7F => &[tag, low],
        0x80..=0xFF => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, content].concat()
}

/// What is in a DER value.
fn content(value: &[u8]) -> &[u8] {
    match value.get(1) {
        Some(length @ 0..=0x7F) => value.get(2..2 + usize::from(*length)).unwrap_or_default(),
        Some(0x81) => value.get(3..).unwrap_or_default(),
        _ => value.get(4..).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_kit_has_the_roots_of_aws_and_one_that_has_ended() {
        let sector = factory();
        assert_eq!(sector.len(), SECTOR);
        let hashes: Vec<_> = raw_entries(&sector).iter().map(|entry| hex::encode(&entry[..4])).collect();
        assert_eq!(&hashes[..2], ["e7ee465e", "b91dd5c1"]);
        // As Microchip's code lays Amazon Root CA 3 out.
        assert_eq!(hex::encode(&sector[..16]), "11f112f213f314f415f516f617f718f8");
        assert_eq!(hex::encode(&sector[40..64]), "df07051a00000000f807051a000000000200000017002000");
        assert_eq!(hex::encode(&sector[64..73]), "2997a7c6417fc00d9b");
    }

    #[test]
    fn an_anchor_is_the_key_of_the_store_under_the_name_of_the_issuer() {
        let sector = factory();
        let now = OffsetDateTime::now_utc();
        for pem in Pem::iter_from_buffer(AMAZON.as_bytes()).flatten() {
            let root = pem.parse_x509().unwrap();
            let name = root.subject().iter_common_name().next().unwrap().as_str().unwrap();
            let anchor = anchor(&sector, root.subject(), now);
            assert_eq!(anchor.is_some(), IN_NEW_KITS.contains(&name), "{name}");
            if let Some(anchor) = anchor {
                assert_eq!(anchor.subject_public_key_info.as_ref(), content(root.public_key().raw), "{name}");
                assert_eq!(anchor.subject.as_ref(), content(root.subject().as_raw()));
            }
        }
    }

    #[test]
    fn a_root_that_has_ended_is_none() {
        let mut sector = factory();
        let starfield = raw_entries(&sector)[1].to_vec();
        let at = sector.windows(starfield.len()).position(|bytes| bytes == starfield).unwrap();
        let root = Pem::iter_from_buffer(AMAZON.as_bytes()).flatten().nth(4).unwrap();
        let root = root.parse_x509().unwrap();
        let now = OffsetDateTime::now_utc();
        assert!(anchor(&sector, root.subject(), now).is_some());
        sector[at + NAME + TIME..at + NAME + TIME + 2].copy_from_slice(&2020_u16.to_le_bytes());
        assert!(anchor(&sector, root.subject(), now).is_none());
    }
}
