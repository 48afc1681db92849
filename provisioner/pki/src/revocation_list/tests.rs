//! Lists, put together octet by octet: those that issuers make, and those that nobody should.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, DnValue, IsCa, KeyPair, KeyUsagePurpose,
    SerialNumber, SigningKey,
};
use time::OffsetDateTime;
use time::macros::format_description;

use super::*;

type Ca = CertifiedIssuer<'static, KeyPair>;

const SERIAL: [u8; 16] = [0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn ca(usages: &[KeyUsagePurpose]) -> Ca {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = usages.to_vec();
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn signing_ca() -> Ca {
    ca(&[KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign])
}

fn known(ca: &Ca) -> CaCertificate {
    CaCertificate::parse(ca.pem().as_bytes(), Path::new("ca.crt")).unwrap()
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..128 => out.push(length as u8),
        128..256 => out.extend([0x81, length as u8]),
        256..65_536 => out.extend([0x82, (length >> 8) as u8, length as u8]),
        _ => out.extend([0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

/// An extension of the arc 2.5.29.
fn extension(number: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xFF] } else { &[] };
    sequence(&[&[6, 3, 0x55, 0x1D, number], critical, &tlv(4, &[value])])
}

fn number(octets: &[u8]) -> Vec<u8> {
    extension(20, false, &tlv(2, &[octets]))
}

fn utc(seconds_from_now: i64) -> Vec<u8> {
    let time = OffsetDateTime::now_utc() + time::Duration::seconds(seconds_from_now);
    let format = format_description!("[year repr:last_two][month][day][hour][minute][second]Z");
    tlv(0x17, &[time.format(&format).unwrap().as_bytes()])
}

/// What a list is made of.
struct Draft {
    version: Vec<u8>,
    inner_algorithm: Vec<u8>,
    this_update: i64,
    entries: Vec<Vec<u8>>,
    extensions: Vec<Vec<u8>>,
}

const ECDSA_WITH_SHA256: [u8; 12] = [0x30, 10, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];

impl Draft {
    /// A list as this project makes it, with one revoked.
    fn good() -> Self {
        Self {
            version: vec![2, 1, 1],
            inner_algorithm: ECDSA_WITH_SHA256.to_vec(),
            this_update: -60,
            entries: vec![entry(&SERIAL, &[])],
            extensions: vec![number(&[5])],
        }
    }

    fn with(extension: Vec<u8>) -> Self {
        let mut draft = Self::good();
        draft.extensions.push(extension);
        draft
    }

    fn signed(&self, ca: &Ca) -> Vec<u8> {
        let certificate = ca.der();
        let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
        let entries: Vec<&[u8]> = self.entries.iter().map(Vec::as_slice).collect();
        let extensions: Vec<&[u8]> = self.extensions.iter().map(Vec::as_slice).collect();
        let revoked = if entries.is_empty() { Vec::new() } else { sequence(&entries) };
        let extensions =
            if extensions.is_empty() { Vec::new() } else { tlv(0xA0, &[&sequence(&extensions)]) };
        let tbs = sequence(&[
            &self.version,
            &self.inner_algorithm,
            certificate.subject().as_raw(),
            &utc(self.this_update),
            &utc(86_400),
            &revoked,
            &extensions,
        ]);
        let signature = ca.key().sign(&tbs).unwrap();
        sequence(&[&tbs, &ECDSA_WITH_SHA256, &tlv(3, &[&[0], &signature])])
    }
}

fn entry(serial: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let extensions: Vec<&[u8]> = extensions.iter().map(Vec::as_slice).collect();
    let extensions = if extensions.is_empty() { Vec::new() } else { sequence(&extensions) };
    sequence(&[&tlv(2, &[serial]), &utc(-3600), &extensions])
}

fn unfit(draft: &Draft) -> Option<Unfit> {
    let ca = signing_ca();
    match RevocationList::verified(&draft.signed(&ca), "the list", &known(&ca)) {
        Ok(list) => {
            assert_eq!(list.revoked(), draft.entries.len());
            None
        }
        Err(RevocationError::Unfit { reason, .. }) => Some(reason),
        Err(other) => panic!("{other}"),
    }
}

/// An issuing distribution point that is critical, as it has to be (RFC 5280, section 5.2.5).
fn point(content: &[u8]) -> Draft {
    Draft::with(extension(28, true, &sequence(&[content])))
}

#[test]
fn a_list_that_leaves_devices_out_or_means_something_unknown_is_refused() {
    let uri = tlv(0xA0, &[&tlv(0xA0, &[&tlv(0x86, &[b"http://crl.example.com/1"])])]);
    let unknown = || Unfit::CriticalExtension("2.5.29.99".into());
    let with_entry =
        |extensions: &[Vec<u8>]| Draft { entries: vec![entry(&[7], extensions)], ..Draft::good() };
    let cases = [
        (Draft::good(), None),
        (Draft { entries: Vec::new(), ..Draft::good() }, None),
        (Draft { version: Vec::new(), extensions: Vec::new(), ..Draft::good() }, None),
        (Draft::with(extension(35, true, &sequence(&[]))), None),
        (Draft::with(extension(99, false, b"?")), None),
        (with_entry(&[extension(21, false, &[10, 1, 1]), extension(24, true, b"")]), None),
        (point(&[]), None),
        (point(&[0x81, 1, 0xFF]), None),
        (Draft::with(extension(99, true, b"?")), Some(unknown())),
        (with_entry(&[extension(99, true, b"?")]), Some(unknown())),
        (
            with_entry(&[extension(35, true, &sequence(&[]))]),
            Some(Unfit::CriticalExtension("2.5.29.35".into())),
        ),
        (Draft::with(extension(21, true, &[10, 1, 1])), Some(Unfit::CriticalExtension("2.5.29.21".into()))),
        (Draft::with(extension(27, true, &[2, 1, 4])), Some(Unfit::Delta)),
        (Draft::with(extension(27, false, &[2, 1, 4])), Some(Unfit::Delta)),
        (point(&[0x84, 1, 0xFF]), Some(Unfit::Indirect)),
        (with_entry(&[extension(29, true, &sequence(&[]))]), Some(Unfit::Indirect)),
        (with_entry(&[extension(29, false, &sequence(&[]))]), Some(Unfit::Indirect)),
        (point(&[0x85, 1, 0xFF]), Some(Unfit::AttributeCertificates)),
        (point(&[0x82, 1, 0xFF]), Some(Unfit::CaCertificates)),
        (point(&[0x82, 1, 1]), Some(Unfit::CaCertificates)),
        (point(&[0x83, 2, 1, 2]), Some(Unfit::SomeReasons)),
        (point(&uri), Some(Unfit::DistributionPoint)),
        (Draft::with(extension(28, false, &sequence(&[&uri]))), Some(Unfit::DistributionPoint)),
        (Draft::with(extension(28, true, b"?")), Some(Unfit::Extension("2.5.29.28".into()))),
        (Draft::with(number(&[6])), Some(Unfit::ExtensionTwice("2.5.29.20".into()))),
        (
            Draft { inner_algorithm: vec![0x30, 5, 6, 3, 0x2B, 0x65, 0x70], ..Draft::good() },
            Some(Unfit::Algorithms),
        ),
        (Draft { this_update: 590, ..Draft::good() }, None),
    ];
    for (index, (draft, expected)) in cases.iter().enumerate() {
        assert_eq!(unfit(draft), *expected, "case {index}");
    }
    let ahead = unfit(&Draft { this_update: 700, ..Draft::good() });
    assert!(matches!(ahead, Some(Unfit::Ahead(690..=700))), "{ahead:?}");
}

#[test]
fn what_is_not_strictly_der_is_no_list() {
    let ca = signing_ca();
    let malformed = |bytes: &[u8]| {
        let read = RevocationList::verified(bytes, "the list", &known(&ca));
        matches!(read, Err(RevocationError::Format { .. }))
    };
    let good = Draft::good().signed(&ca);
    assert!(malformed(&[&good[..], b"\x01"].concat()), "more behind it");
    assert!(malformed(&good[..good.len() - 1]) && malformed(b"") && malformed(b"0"));
    let bad_extensions = sequence(&[&tlv(2, &[&SERIAL]), &utc(-60), &[0x30, 2, 6, 9]]);
    for draft in [
        Draft { version: vec![2, 1, 0], ..Draft::good() },
        Draft { version: Vec::new(), ..Draft::good() },
        Draft { entries: vec![bad_extensions], ..Draft::good() },
        Draft { entries: vec![sequence(&[&tlv(2, &[&SERIAL])])], ..Draft::good() },
    ] {
        assert!(malformed(&draft.signed(&ca)));
    }
}

#[test]
fn a_list_counts_with_the_signature_of_a_ca_that_may_sign_lists() {
    let (own, impostor) = (signing_ca(), signing_ca());
    let mut changed = Draft::good().signed(&own);
    let position = changed.windows(16).position(|window| window == SERIAL).unwrap();
    changed[position + 9] ^= 1;
    for bytes in [Draft::good().signed(&impostor), changed] {
        let error = RevocationList::verified(&bytes, "the list", &known(&own)).unwrap_err();
        assert!(matches!(error, RevocationError::Signature { .. }), "{error}");
    }
    let without = ca(&[KeyUsagePurpose::KeyCertSign]);
    let error = RevocationList::verified(&Draft::good().signed(&without), "the list", &known(&without));
    assert!(matches!(error, Err(RevocationError::NoCrlSign { .. })), "{error:?}");
    let unrestricted = ca(&[]);
    RevocationList::verified(&Draft::good().signed(&unrestricted), "the list", &known(&unrestricted))
        .unwrap();
}

#[test]
fn no_bit_of_a_list_can_be_changed() {
    let ca = signing_ca();
    let (good, known) = (Draft::good().signed(&ca), known(&ca));
    for bit in 0..good.len() * 8 {
        let mut changed = good.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(RevocationList::verified(&changed, "the list", &known).is_err(), "bit {bit}");
    }
}

#[test]
fn a_device_is_its_cas_by_the_key_however_the_name_is_encoded() {
    let ca = signing_ca();
    let key = KeyPair::try_from(ca.key().serialize_der()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, DnValue::PrintableString("CA".try_into().unwrap()));
    let issuer = rcgen::Issuer::new(params, key);
    let mut device = CertificateParams::default();
    device.serial_number = Some(SerialNumber::from_slice(&SERIAL));
    let device = device.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    let list = RevocationList::verified(&Draft::good().signed(&ca), "the list", &known(&ca)).unwrap();
    let judged = with_certificate(&device.pem(), |device| {
        let (_, ca) = X509Certificate::from_der(ca.der()).unwrap();
        assert_ne!(device.issuer().as_raw(), ca.subject().as_raw());
        list.names(device)
    });
    assert_eq!(judged, Some(true));
    assert_eq!(with_certificate(&device.pem(), |device| known(&ca).is_issuer_of(device)), Some(true));
    assert_eq!(
        with_certificate(&device.pem(), |device| known(&signing_ca()).is_issuer_of(device)),
        Some(false)
    );
}

#[test]
fn every_list_of_a_file_counts_whichever_of_the_cas_signed_it() {
    let (one, two) = (signing_ca(), signing_ca());
    let cas = [known(&one), known(&two)];
    let other = Draft { entries: vec![entry(&[9], &[])], extensions: vec![number(&[6])], ..Draft::good() };
    let ders = [Draft::good().signed(&one), Draft::good().signed(&two), other.signed(&one)];
    let pem: String = ders.iter().map(|der| pem::encode(&pem::Pem::new("X509 CRL", der.clone()))).collect();
    for file in [ders.concat(), pem.into_bytes()] {
        let lists = RevocationList::read_all(&file, "the file", &cas).unwrap();
        let [(first, both), (second, single)] = &lists[..] else { panic!("{lists:?}") };
        assert_eq!((*first, *second), (&cas[0], &cas[1]));
        assert_eq!((both.revoked(), both.number(), single.revoked()), (2, Some(6), 1));
        assert!(RevocationList::read_all(&file, "the file", &cas[..1]).is_err(), "one is nobody's");
    }
}

#[test]
fn the_number_tells_which_list_is_older_and_without_it_the_time() {
    let ca = signing_ca();
    let list = |octets: Option<&[u8]>, this_update| {
        let extensions = octets.map(number).into_iter().collect();
        let bytes = Draft { extensions, this_update, ..Draft::good() }.signed(&ca);
        RevocationList::verified(&bytes, "the list", &known(&ca)).unwrap()
    };
    let twenty = [0x7F; 20];
    for (older, newer) in [
        (list(Some(&[5]), -60), list(Some(&[6]), -7200)),
        (list(Some(&[0x7F]), -60), list(Some(&[0, 0x80]), -60)),
        (list(Some(&[0x7F; 19]), -60), list(Some(&twenty), -60)),
        (list(Some(&[5]), -7200), list(Some(&[5]), -60)),
        (list(Some(&[5]), -7200), list(None, -60)),
        (list(None, -7200), list(None, -60)),
    ] {
        assert!(older.is_older_than(&newer) && !newer.is_older_than(&older));
        assert!(!older.is_older_than(&older));
    }
    assert_eq!(list(Some(&twenty), -60).number(), None);
}

#[test]
fn a_hundred_thousand_entries_are_taken_and_not_one_more() {
    let ca = signing_ca();
    let serial = |index: usize| [&SERIAL[..12], &(index as u32).to_be_bytes()].concat();
    let draft = |entries| Draft {
        entries: (0..entries)
            .map(|index| entry(&serial(index), &[extension(21, false, &[10, 1, 1])]))
            .collect(),
        ..Draft::good()
    };
    let full = draft(MAX_ENTRIES).signed(&ca);
    let pem = pem::encode(&pem::Pem::new("X509 CRL", full.clone()));
    assert!(pem.len() < MAX_SIZE, "{}", pem.len());
    for file in [&full[..], pem.as_bytes()] {
        let list = RevocationList::verified(file, "the list", &known(&ca)).unwrap();
        assert_eq!((list.revoked(), list.fill()), (MAX_ENTRIES, 100));
    }
    assert_eq!(unfit(&draft(MAX_ENTRIES + 1)), Some(Unfit::TooManyEntries));
    let error = RevocationList::verified(&vec![b' '; MAX_SIZE + 1], "the list", &known(&ca)).unwrap_err();
    assert!(matches!(error, RevocationError::Unfit { reason: Unfit::TooLong, .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn a_link_or_a_pipe_in_a_folder_of_lists_is_refused_and_not_opened() {
    use std::os::unix::fs::symlink;
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("a.crt");
    std::fs::write(outside.path().join("a.crt"), signing_ca().pem()).unwrap();
    let refused = |what: &str| {
        let error = CaCertificate::read_all(folder.path()).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(format!("{error} {cause}").contains(what), "{error} {cause}");
        std::fs::remove_file(&path).unwrap();
    };
    symlink(outside.path().join("a.crt"), &path).unwrap();
    refused("is a symbolic link");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    refused("is a pipe");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    refused("a.crt");
}

#[test]
fn padding_behind_a_list_is_passed_over_and_another_file_is_named() {
    let ca = signing_ca();
    let list = Draft::good().signed(&ca);
    let read = |bytes: &[u8]| RevocationList::verified(bytes, "ca.crl", &known(&ca));
    let right = read(&list).unwrap();
    for padding in [&[0xFF; 300][..], &[0; 7], b"\r\n"] {
        assert_eq!(read(&[&list, padding].concat()).unwrap().revoked(), right.revoked());
        let two = [&*list, padding, &list, padding].concat();
        assert_eq!(RevocationList::check(&two, "ca.crl").unwrap().len(), 2);
    }
    for (bytes, kind) in [
        (&b"<!DOCTYPE html><title>403</title>"[..], "a web page"),
        (ca.pem().as_bytes(), "a certificate"),
        (&[&*list, b"\xFF\xFFwhat follows"].concat(), "neither PEM nor DER of a kind that is known"),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        let expected = format!("ca.crl is not a certificate revocation list, PEM or DER: it is {kind}");
        assert_eq!(error, expected);
    }
}
