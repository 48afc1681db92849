//! Lists that rcgen signs, in a folder.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

use super::*;
use crate::fixture::Fixture;
use crate::registration::{Error, Registration, Settings};

pub(super) const SERIAL: [u8; 16] = [0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

pub(super) fn ca(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::CrlSign, KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub(super) fn board(ca: &CertifiedIssuer<'static, KeyPair>, serial: &[u8]) -> String {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.signed_by(&KeyPair::generate().unwrap(), ca).unwrap().pem()
}

/// A list that was to be replaced long ago.
pub(super) fn list(ca: &CertifiedIssuer<'static, KeyPair>, serials: &[&[u8]]) -> String {
    list_due(ca, serials, 2026)
}

/// A list that is to be replaced in February of a year.
pub(super) fn list_due(ca: &CertifiedIssuer<'static, KeyPair>, serials: &[&[u8]], year: i32) -> String {
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(year, 2, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(ca).unwrap().pem().unwrap()
}

pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

#[test]
fn a_certificate_on_its_cas_list_is_found_and_no_other() {
    let (one, two) = (ca("one"), ca("two"));
    let folder = folder(&[
        ("one.crl", &list(&one, &[&SERIAL])),
        ("one.crt", &one.pem()),
        ("two.crl", &list(&two, &[])),
        ("two.crt", &two.pem()),
    ]);
    let lists = RevocationLists::read(folder.path()).unwrap();
    assert!(lists.contains(&board(&one, &SERIAL)));
    assert!(!lists.contains(&board(&one, &[0x41; 16])));
    assert!(!lists.contains(&board(&two, &SERIAL)), "the serial number counts only with its issuer");
    assert!(!lists.contains("no certificate"));
    assert!(!RevocationLists::default().contains(&board(&one, &SERIAL)));
}

#[test]
fn a_list_that_another_ca_signed_is_refused_even_under_the_same_name() {
    let (own, impostor) = (ca("CA"), ca("CA"));
    let folder = folder(&[("ca.crl", &list(&impostor, &[&SERIAL])), ("ca.crt", &own.pem())]);
    let error = RevocationLists::read(folder.path()).unwrap_err();
    assert!(matches!(error, RevocationError::Signature { .. }), "{error}");
}

#[test]
fn whatever_cannot_be_used_is_named_and_nothing_is_skipped() {
    let ca = ca("CA");
    let good = list(&ca, &[]);
    let told = |files: &[(&str, &str)]| RevocationLists::read(folder(files).path()).unwrap_err().to_string();
    assert!(told(&[]).contains("holds no file"));
    assert!(told(&[("ca.crl", &good)]).contains("ca.crt"));
    assert!(
        told(&[("ca.crl", "x"), ("ca.crt", &ca.pem())])
            .contains("ca.crl is not a certificate revocation list")
    );
    assert!(told(&[("ca.crl", &good), ("ca.crt", "x")]).contains("ca.crt is not a certificate"));
    assert!(RevocationLists::read(Path::new("/nowhere")).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_certificate_on_the_list_is_refused_and_changes_nothing() {
    let fixture = Fixture::onboarded();
    let ca = ca("CA");
    let pem = board(&ca, &SERIAL);
    fixture.registry.account(|account| {
        account.certificates.get_mut(&fixture.certificate_id).unwrap().description.pem = pem;
    });
    let files = folder(&[("ca.crl", &list(&ca, &[&SERIAL])), ("ca.crt", &ca.pem())]);
    let revocation = Revocation::Packaged(RevocationLists::read(files.path()).unwrap());
    let before = fixture.account();
    let registration = Registration::new(fixture.registry.clone(), Settings::zero_touch().unwrap())
        .with_revocation(revocation);
    match registration.register_event(&fixture.event()).await {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.reason(), "certificate_revoked"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.account(), before);
}
