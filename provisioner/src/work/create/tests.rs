//! The chain as OpenSSL reads it, and the files of the chain through every state they can be in.

use std::path::Path;
use std::process::Command;

use device_pki::observer::{Observer, Signed};
use device_pki::{Cause, Certificate, Error as Pki, key as pki_key, verification_certificate};
use rcgen::KeyPair;
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::state::Error as State;

const NOW: OffsetDateTime = datetime!(2026-11-24 21:42:17.5 UTC);

fn order(mark: &str, force: bool) -> Order {
    let names = Names {
        root: profile::Name::new("Zero Touch", &format!("{mark} Root CA")).unwrap(),
        signer: profile::Name::new("Zero Touch", &format!("{mark} Signer FFFF")).unwrap(),
    };
    Order { force, ..Order::new(names) }
}

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path());
    (folder, home)
}

fn made(home: &Home, keys: &Keys, order: Order) -> Result<Created, Error> {
    Plan::make(home, keys, order, NOW)?.carry_out(home, keys, NOW)
}

fn create(home: &Home, mark: &str, force: bool) -> Result<Created, Error> {
    made(home, &Keys::new(()), order(mark, force))
}

fn load(home: &Home, now: OffsetDateTime) -> Result<Chain, Error> {
    // Keys of its own: every load reads the files anew.
    Ok(store::load(home, &Keys::new(()), now)?)
}

fn ca_error<T: std::fmt::Debug, E: Into<Error>>(result: Result<T, E>) -> Error {
    result.map_err(Into::into).unwrap_err()
}

fn issue_device(chain: &Chain) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let name = profile::device_name(Some("Zero Touch"), "0123456789ABCDEFFE").unwrap();
    let request = profile::signing_request(&name).serialize_request(&key).unwrap();
    (chain.issue_device(request.der(), &name, &|_| false, NOW).unwrap(), key)
}

fn openssl(folder: &Path, args: &str) -> String {
    let output = Command::new("openssl").args(args.split(' ')).current_dir(folder).output();
    let output = output.expect("the openssl command line tool is needed for this test");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "openssl {args}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What `openssl x509 -text` prints for one extension: the rest of the title's line, and the line after it.
fn extension(text: &str, title: &str) -> Option<(String, String)> {
    let mut lines = text.lines().skip_while(|l| !l.contains(title));
    let criticality = lines.next()?.split_once(": ")?.1.trim().to_owned();
    Some((criticality, lines.next()?.trim().to_owned()))
}

#[test]
fn openssl_accepts_the_chain_and_reads_every_extension_as_the_profile_says() {
    let (folder, home) = home();
    create(&home, "Test", false).unwrap();
    let chain = load(&home, NOW).unwrap();
    let (device, key) = issue_device(&chain);
    let verification = verification_certificate(&chain, &"c0de".repeat(16), NOW).unwrap();
    std::fs::write(home.root().join("device.crt"), device.to_pem()).unwrap();
    store::keep_verification_certificate(&home, &verification).unwrap();
    let at = NOW.unix_timestamp();
    let verify = format!("verify -x509_strict -attime {at} -CAfile root-ca.crt -untrusted signer-ca.crt");
    openssl(folder.path(), &format!("{verify} device.crt signer-ca-verification.crt signer-ca.crt"));
    openssl(folder.path(), "req -in signer-ca.csr -noout -verify");
    let text = |file: &str| openssl(folder.path(), &format!("x509 -in {file} -noout -text -nameopt RFC2253"));
    let (root, signer, device_text) = (text("root-ca.crt"), text("signer-ca.crt"), text("device.crt"));

    let key_identifier = |point: &[u8]| {
        let point: &[u8; 65] = point.try_into().unwrap();
        let digits = device_pki::subject_key_identifier(point).map(|b| format!("{b:02X}"));
        (String::new(), digits.join(":"))
    };
    let root_id = key_identifier(&chain.root().point().unwrap());
    let signer_id = key_identifier(&chain.signer().point().unwrap());
    let device_id = key_identifier(key.public_key_raw());
    let critical = |text: &str| Some(("critical".to_owned(), text.to_owned()));

    let title = "X509v3 Basic Constraints";
    assert_eq!(extension(&root, title), critical("CA:TRUE"));
    assert_eq!(extension(&signer, title), critical("CA:TRUE, pathlen:0"));
    assert_eq!(extension(&device_text, title), None);
    let title = "X509v3 Key Usage";
    assert_eq!(extension(&root, title), critical("Certificate Sign, CRL Sign"));
    assert_eq!(extension(&signer, title), critical("Digital Signature, Certificate Sign, CRL Sign"));
    assert_eq!(extension(&device_text, title), None);
    let title = "X509v3 Subject Key Identifier";
    assert_eq!(extension(&root, title), Some(root_id.clone()));
    assert_eq!(extension(&signer, title), Some(signer_id.clone()));
    assert_eq!(extension(&device_text, title), Some(device_id));
    let title = "X509v3 Authority Key Identifier";
    assert_eq!(extension(&root, title), None);
    assert_eq!(extension(&signer, title), Some(root_id));
    assert_eq!(extension(&device_text, title), Some(signer_id));
    for (text, count) in [(&root, 3), (&signer, 4), (&device_text, 2)] {
        assert_eq!(text.matches("X509v3 ").count() - 1, count, "{text}");
        assert!(text.contains("Version: 3"));
        assert_eq!(text.matches("Signature Algorithm: ecdsa-with-SHA256").count(), 2);
        assert!(text.contains("NIST CURVE: P-256"));
    }
    for (text, subject, issuer, not_after) in [
        (&root, "CN=Test Root CA,O=Zero Touch", "CN=Test Root CA,O=Zero Touch", "Nov 24 21:00:00 2051 GMT"),
        (
            &signer,
            "CN=Test Signer FFFF,O=Zero Touch",
            "CN=Test Root CA,O=Zero Touch",
            "Nov 24 21:00:00 2036 GMT",
        ),
        (
            &device_text,
            "CN=sn0123456789ABCDEFFE,O=Zero Touch",
            "CN=Test Signer FFFF,O=Zero Touch",
            "Dec 31 23:59:59 3000 GMT",
        ),
    ] {
        assert!(text.contains(&format!("Subject: {subject}\n")), "{text}");
        assert!(text.contains(&format!("Issuer: {issuer}\n")), "{text}");
        assert!(text.contains("Not Before: Nov 24 21:00:00 2026 GMT"), "{text}");
        assert!(text.contains(&format!("Not After : {not_after}")), "{text}");
    }

    let structure = openssl(folder.path(), "asn1parse -in device.crt");
    assert_eq!(structure.matches("UTF8STRING").count(), 4, "{structure}");
    assert_eq!(structure.matches("PRINTABLESTRING").count(), 0);
    assert!(structure.contains("UTCTIME           :261124210000Z"), "{structure}");
    assert!(structure.contains("GENERALIZEDTIME   :30001231235959Z"), "{structure}");
    let subject =
        openssl(folder.path(), "x509 -in signer-ca-verification.crt -noout -subject -nameopt RFC2253");
    assert_eq!(subject.trim(), format!("subject=CN={}", "c0de".repeat(16)));
}

#[test]
fn keys_are_pkcs8_pem_that_openssl_reads() {
    let (folder, home) = home();
    create(&home, "Test", false).unwrap();
    for file in [store::ROOT_KEY, store::SIGNER_KEY] {
        let pem = std::fs::read_to_string(home.file(file)).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        openssl(folder.path(), &format!("pkey -in {file} -noout -check"));
    }
}

#[test]
fn creating_again_changes_nothing() {
    let (_guard, home) = home();
    assert_eq!(
        create(&home, "Test", false).unwrap().made,
        ["root-ca.key", "root-ca.crt", "signer-ca.key", "signer-ca.csr", "signer-ca.crt"]
    );
    let read = || ["root-ca.key", "signer-ca.crt"].map(|f| std::fs::read(home.file(f)).unwrap());
    let before = read();
    assert_eq!(create(&home, "Other", false).unwrap(), Created::default());
    assert_eq!(read(), before);
}

#[test]
fn force_makes_a_new_chain_and_keeps_the_old_one_aside() {
    let (_guard, home) = home();
    create(&home, "Old", false).unwrap();
    let old_key = std::fs::read(home.file("signer-ca.key")).unwrap();
    let created = create(&home, "New", true).unwrap();
    assert_eq!(created.set_aside.len(), 5);
    assert_eq!(std::fs::read(home.file("signer-ca.key.20261124T214217Z")).unwrap(), old_key);
    assert!(load(&home, NOW).unwrap().signer().facts().subject.contains("New Signer"));
}

#[test]
fn a_chain_is_replaced_twice_within_a_second_and_every_old_file_is_kept() {
    let (_guard, home) = home();
    create(&home, "1", false).unwrap();
    std::fs::write(home.file(store::SIGNER_REVOKED), "{}").unwrap();
    for mark in ["2", "3", "4"] {
        create(&home, mark, true).unwrap();
        assert!(load(&home, NOW).unwrap().signer().facts().subject.contains(mark));
    }
    for stamp in ["20261124T214217Z", "20261124T214217Z-2", "20261124T214217Z-3"] {
        assert!(home.file(&format!("root-ca.key.{stamp}")).is_file(), "{stamp}");
    }
    assert!(!home.file("signers/new").exists());
}

#[test]
fn a_signer_that_a_rotation_has_begun_under_the_old_root_does_not_get_under_the_new_one() {
    let (_guard, home) = home();
    create(&home, "Old", false).unwrap();
    std::fs::create_dir_all(home.file("signers/next")).unwrap();
    std::fs::write(home.file("signers/next/signer-ca.crt"), "of the old root").unwrap();
    create(&home, "New", true).unwrap();
    assert!(!home.file("signers/next").exists());
    assert!(home.file("signers/next.20261124T214217Z/signer-ca.crt").is_file());
}

#[test]
fn a_key_that_is_ordered_at_its_usual_place_is_made_there_again() {
    let (_guard, home) = home();
    create(&home, "Old", false).unwrap();
    let old_key = std::fs::read(home.file(store::ROOT_KEY)).unwrap();
    let usual = Some(Uri::File(home.file(store::ROOT_KEY)));
    made(&home, &Keys::new(()), Order { root_key: usual, ..order("New", true) }).unwrap();
    assert_ne!(std::fs::read(home.file(store::ROOT_KEY)).unwrap(), old_key);
    assert!(!home.file(store::ROOT_KEY_URI).exists());
    load(&home, NOW).unwrap();
}

#[test]
fn an_interrupted_creation_is_finished_from_every_point() {
    for kept in 0..5 {
        let (_guard, home) = home();
        let made = create(&home, "Test", false).unwrap().made;
        for file in &made[kept..] {
            std::fs::remove_file(home.file(file)).unwrap();
        }
        create(&home, "Test", false).unwrap();
        load(&home, NOW).unwrap();
    }
}

#[test]
fn a_missing_file_is_named_and_nothing_is_made_in_its_place() {
    let (_guard, home) = home();
    assert!(matches!(ca_error(load(&home, NOW)), Error::State(State::Missing { .. })));
    create(&home, "Test", false).unwrap();
    std::fs::remove_file(home.file("root-ca.key")).unwrap();
    load(&home, NOW).expect("the root's key may be offline");
    for file in ["root-ca.crt", "signer-ca.key"] {
        let bytes = std::fs::read(home.file(file)).unwrap();
        std::fs::remove_file(home.file(file)).unwrap();
        for error in [ca_error(load(&home, NOW)), ca_error(create(&home, "Test", false))] {
            assert!(
                matches!(&error, Error::State(State::Incomplete { files, .. }) if files == &[file]),
                "{error}"
            );
        }
        let access = if file.ends_with("key") { Access::Secret } else { Access::Public };
        durable_files::write(&home.file(file), &bytes, access).unwrap();
    }
}

#[test]
fn a_chain_that_does_not_hold_together_is_refused_for_its_own_reason() {
    let (_one, home) = home();
    let (_two, other) = self::home();
    create(&home, "Test", false).unwrap();
    create(&other, "Test", false).unwrap();
    let with = |file: &str, bytes: &[u8]| {
        let path = home.file(file);
        let original = std::fs::read(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let error = ca_error(load(&home, NOW));
        std::fs::write(&path, original).unwrap();
        error
    };
    let foreign = |file: &str| std::fs::read(other.file(file)).unwrap();
    assert!(matches!(
        with("signer-ca.crt", &foreign("signer-ca.crt")),
        Error::Pki(Pki::ForeignSigner { .. })
    ));
    assert!(matches!(with("root-ca.key", &foreign("root-ca.key")), Error::Pki(Pki::KeyMismatch { .. })));
    assert!(matches!(with("signer-ca.key", &foreign("signer-ca.key")), Error::Pki(Pki::KeyMismatch { .. })));
    assert!(matches!(
        with("signer-ca.key", b"-----BEGIN NONSENSE-----"),
        Error::Pki(Pki::Key(pki_key::Error::Malformed { .. }))
    ));
    assert!(matches!(with("root-ca.crt", b""), Error::Pki(Pki::Malformed { .. })));
    std::fs::remove_file(home.file("root-ca.key")).unwrap();
    assert!(matches!(with("root-ca.crt", &foreign("root-ca.crt")), Error::Pki(Pki::ForeignSigner { .. })));
    let chain = load(&home, NOW).unwrap();
    let (device, _) = issue_device(&chain);
    let not_ca = Error::Pki(Pki::NotCa { certificate: "signer-ca.crt" });
    assert_eq!(with("signer-ca.crt", device.to_pem().as_bytes()).to_string(), not_ca.to_string());
    let signer = chain.signer().to_pem();
    assert!(matches!(with("root-ca.crt", signer.as_bytes()), Error::Pki(Pki::NotSelfSigned { .. })));
    let root = std::fs::read(home.file("root-ca.crt")).unwrap();
    std::fs::write(home.file("signer-ca.crt"), &root).unwrap();
    let swapped = Error::Pki(Pki::Swapped { root: "root-ca.crt", signer: "signer-ca.crt" });
    assert_eq!(with("root-ca.crt", signer.as_bytes()).to_string(), swapped.to_string());
}

#[test]
fn a_chain_outside_its_validity_is_refused_with_the_dates() {
    let (_guard, home) = home();
    create(&home, "Test", false).unwrap();
    for later in [datetime!(2026-11-24 20:59:59 UTC), datetime!(2036-11-24 21:00:01 UTC)] {
        let error = ca_error(load(&home, later));
        assert!(matches!(error, Error::Pki(Pki::NotValidNow { .. })), "{error}");
    }
    insta::assert_snapshot!(
        ca_error(load(&home, datetime!(2037-01-01 0:00 UTC))),
        @"signer-ca.crt is valid from 2026-11-24T21:00:00Z to 2036-11-24T21:00:00Z, and now is 2037-01-01T00:00:00Z"
    );
}

#[test]
fn nothing_is_signed_with_a_clock_that_is_wrong_or_past_the_signers_end() {
    let (_guard, home) = home();
    let keys = Keys::new(());
    let early = profile::EARLIEST - time::Duration::seconds(1);
    let planned = Plan::make(&home, &keys, order("Test", false), early).unwrap_err();
    assert!(matches!(planned, Error::Pki(Pki::Clock { .. })), "{planned}");
    create(&home, "Test", false).unwrap();
    let chain = load(&home, NOW).unwrap();
    let name = profile::device_name(Some("O"), "01").unwrap();
    let key = KeyPair::generate().unwrap();
    let request = profile::signing_request(&name).serialize_request(&key).unwrap();
    // A station that has run since the signer was valid.
    let late = datetime!(2036-11-24 21:00:01 UTC);
    for now in [early, late] {
        let refusals = [
            chain.issue_device(request.der(), &name, &|_| false, now).map(drop),
            verification_certificate(&chain, "c0de", now).map(drop),
        ];
        for refused in refusals {
            assert!(matches!(refused, Err(Pki::NotValidNow { .. } | Pki::Clock { .. })), "{refused:?}");
        }
    }
    let issuer = Issuer { certificate: chain.signer(), key: chain.key() };
    // A list that is good for ten years, and a root that is for 25, end after the last year that there is.
    for wrong in [early, datetime!(9999-12-30 0:00 UTC)] {
        assert!(matches!(issuer.sign_list([], 1, 3650, wrong), Err(Pki::Clock { .. })));
        let refused = Plan::make(&home, &keys, order("New", true), wrong).unwrap_err();
        assert!(matches!(refused, Error::Pki(Pki::Clock { .. })), "{refused}");
    }
}

#[test]
fn a_request_that_is_not_signed_by_its_own_key_is_refused() {
    let (_guard, home) = home();
    create(&home, "Test", false).unwrap();
    let chain = load(&home, NOW).unwrap();
    let name = profile::device_name(Some("O"), "01").unwrap();
    let key = KeyPair::generate().unwrap();
    let mut request = profile::signing_request(&name).serialize_request(&key).unwrap().der().to_vec();
    let last = request.len() - 1;
    request[last] ^= 1;
    assert!(matches!(
        ca_error(chain.issue_device(&request, &name, &|_| false, NOW)),
        Error::Pki(Pki::Request)
    ));
}

#[test]
fn debug_output_holds_no_key() {
    let (_guard, home) = home();
    create(&home, "Test", false).unwrap();
    let chain = load(&home, NOW).unwrap();
    let text = format!("{chain:?}");
    let der = pem::parse(std::fs::read(home.file(store::SIGNER_KEY)).unwrap()).unwrap().into_contents();
    // The private number follows the version of the ECPrivateKey (RFC 5915) in the PKCS#8 key.
    let start = der.windows(5).position(|w| w == [0x02, 0x01, 0x01, 0x04, 0x20]).unwrap() + 5;
    let number = &der[start..start + 32];
    for form in
        [hex::encode(number), hex::encode_upper(number), format!("{number:?}"), format!("{number:02x?}")]
    {
        assert!(!text.contains(&form), "{text}");
    }
    assert!(text.contains("signer-ca.key"), "{text}");
}

/// Notes what is signed, until it refuses.
#[derive(Default)]
struct Notes {
    noted: std::sync::Mutex<Vec<(Purpose, Vec<u8>)>>,
    refuses: std::sync::atomic::AtomicBool,
}

/// The notes of a run.
struct Noting(std::sync::Arc<Notes>);

impl Observer for Noting {
    fn on_signature(&self, signed: &Signed<'_>) -> Result<(), Cause> {
        if self.0.refuses.load(std::sync::atomic::Ordering::SeqCst) {
            return Err("no room".into());
        }
        self.0.noted.lock().unwrap().push((signed.purpose, signed.der.to_vec()));
        Ok(())
    }
}

#[test]
fn every_signature_is_noted_and_what_cannot_be_noted_is_not_signed() {
    let (_guard, home) = home();
    let notes = std::sync::Arc::new(Notes::default());
    let keys = Keys::new(Noting(std::sync::Arc::clone(&notes)));
    made(&home, &keys, order("Test", false)).unwrap();
    let chain = store::load(&home, &keys, NOW).unwrap();
    let (device, _) = issue_device(&chain);
    let verification = verification_certificate(&chain, "c0de", NOW).unwrap();
    let (root, signer) = (chain.root().der().to_vec(), chain.signer().der().to_vec());
    let noted = notes.noted.lock().unwrap().clone();
    let [(Purpose::RootCertificate, first), (Purpose::SigningRequest, _), rest @ ..] = noted.as_slice()
    else {
        panic!("{noted:?}")
    };
    assert_eq!(first, &root);
    assert_eq!(
        rest,
        [
            (Purpose::SignerCertificate, signer),
            (Purpose::DeviceCertificate, device.der().to_vec()),
            (Purpose::VerificationCertificate, verification.der().to_vec()),
        ]
    );
    notes.refuses.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(matches!(ca_error(verification_certificate(&chain, "c0de", NOW)), Error::Pki(Pki::Withheld(_))));
    assert!(matches!(ca_error(made(&home, &keys, order("New", true))), Error::Pki(Pki::Withheld(_))));
    assert_eq!(
        load(&home, NOW).unwrap().root(),
        chain.root(),
        "a certificate that was not noted replaces nothing"
    );
}
