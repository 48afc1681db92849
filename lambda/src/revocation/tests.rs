//! Lists that rcgen signs, in a folder.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, DnValue,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
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
    list_numbered(ca, serials, year, 1)
}

pub(super) fn list_numbered(
    ca: &CertifiedIssuer<'static, KeyPair>,
    serials: &[&[u8]],
    year: i32,
    number: u64,
) -> String {
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(year, 2, 1),
        crl_number: SerialNumber::from(number),
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
    let answer = |pem: &str| lists.look_up(pem, None);
    assert_eq!(answer(&board(&one, &SERIAL)), Answer::Revoked);
    assert_eq!(answer(&board(&one, &[0x41; 16])), Answer::Good);
    assert_eq!(answer(&board(&two, &SERIAL)), Answer::Good, "the serial number counts only with its issuer");
    assert_eq!(answer(&board(&ca("one"), &SERIAL)), Answer::NoList, "the name does not count");
    assert_eq!(answer("no certificate"), Answer::Good);
    assert_eq!(RevocationLists::default().look_up(&board(&one, &SERIAL), None), Answer::NoList);
}

#[test]
fn lists_of_one_ca_count_together_and_a_file_may_have_those_of_several() {
    let (one, two) = (ca("one"), ca("two"));
    let other = [0x41; 16];
    let both = format!("{}{}", list(&one, &[&SERIAL]), list(&two, &[&other]));
    let files = folder(&[
        ("both.crl", &both),
        ("later.crl", &list(&one, &[&other])),
        ("one.crt", &one.pem()),
        ("two.crt", &two.pem()),
    ]);
    let lists = RevocationLists::read(files.path()).unwrap();
    for (board, answer) in [
        (board(&one, &SERIAL), Answer::Revoked),
        (board(&one, &other), Answer::Revoked),
        (board(&two, &other), Answer::Revoked),
        (board(&two, &SERIAL), Answer::Good),
    ] {
        assert_eq!(lists.look_up(&board, None), answer);
    }
}

#[test]
fn a_device_whose_issuer_is_encoded_otherwise_than_its_cas_subject_is_on_the_list() {
    let ca = ca("CA");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, DnValue::PrintableString("CA".try_into().unwrap()));
    let issuer = rcgen::Issuer::new(params, ca.key());
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&SERIAL));
    let device = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().pem();
    let files = folder(&[("ca.crl", &list(&ca, &[&SERIAL])), ("ca.crt", &ca.pem())]);
    let lists = RevocationLists::read(files.path()).unwrap();
    assert_eq!(lists.look_up(&device, None), Answer::Revoked);
    assert_eq!(lists.look_up(&device, Some(lists.cas()[0].id())), Answer::Revoked);
}

#[test]
fn a_packaged_list_has_the_size_limit_of_a_published_one() {
    let ca = ca("CA");
    let long = format!("{}{}", " ".repeat(device_pki::revocation_list::MAX_SIZE), list(&ca, &[]));
    let files = folder(&[("ca.crl", &long), ("ca.crt", &ca.pem())]);
    let error = RevocationLists::read(files.path()).unwrap_err().to_string();
    assert!(error.contains("is longer than 8388608 bytes"), "{error}");
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
    assert!(told(&[("ca.crl", &good)]).contains("holds no file NAME.crt"));
    assert!(
        told(&[("ca.crl", "x"), ("ca.crt", &ca.pem())])
            .contains("ca.crl is not a certificate revocation list")
    );
    assert!(
        told(&[("ca.crl", &good), ("ca.crt", "x")])
            .contains("ca.crt is not used: it is text without a PEM block, not a certificate")
    );
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

/// An event of a board of `ca` in an account where the lists of `files` are on, and what became of it.
async fn registered(
    pem: String,
    files: &[(&str, &str)],
    optional: &[&str],
) -> Result<crate::registration::Registered, Error> {
    let fixture = Fixture::onboarded();
    fixture.registry.account(|account| {
        account.certificates.get_mut(&fixture.certificate_id).unwrap().description.pem = pem;
    });
    let mut settings = Settings::zero_touch().unwrap();
    settings.crl_optional_ca_ids = optional.iter().map(|id| (*id).to_owned()).collect();
    let lists = RevocationLists::read(folder(files).path()).unwrap();
    let registration =
        Registration::new(fixture.registry.clone(), settings).with_revocation(Revocation::Packaged(lists));
    let before = fixture.account();
    let registered = registration.register_event(&fixture.event()).await;
    if registered.is_err() {
        assert_eq!(fixture.account(), before);
    }
    registered
}

#[tokio::test(start_paused = true)]
async fn where_lists_are_on_a_board_of_a_ca_without_one_fails_unless_the_ca_is_an_exception() {
    let (listed, other) = (ca("listed"), ca("other"));
    let pem = board(&other, &SERIAL);
    // The CA's certificate alone is no list.
    let files =
        [("listed.crl", &*list(&listed, &[])), ("listed.crt", &listed.pem()), ("other.crt", &other.pem())];
    let failed = registered(pem.clone(), &files, &[&"dd".repeat(32)]).await;
    assert!(matches!(failed, Err(Error::Revocation(Unavailable::NoList { .. }))), "{failed:?}");
    registered(pem, &files, &[&"ca".repeat(32)]).await.unwrap();
}
