//! What is written, read by readers that this project did not write: OpenSSL, GnuTLS' certtool, rustls-webpki and pkilint.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use device_pki::key::Keys;
use device_pki::revocation::Reason;
use device_pki::{Certificate, certificate, profile, verification_certificate};
use time::Duration;
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, anchor_from_trusted_cert,
};

use super::*;
use crate::state::revocations::{DAYS, FOLDER, Revocation};
use crate::state::{authorities, store};
use crate::work::create;

/// A home folder with authorities, two devices, and a list with one of them.
struct Fixture {
    folder: tempfile::TempDir,
    home: Home,
    chain: Chain,
    authority: Authority,
    now: OffsetDateTime,
}

const FREE: &str = "free.crt";
const REVOKED: &str = "revoked.crt";
const VERIFICATION: &str = "verification.crt";
const CHAIN: &str = "chain.pem";

impl Fixture {
    fn new() -> Self {
        // certtool has no other clock.
        let now = OffsetDateTime::now_utc();
        let folder = tempfile::tempdir().unwrap();
        let (home, keys) = (Home::at(folder.path()), Keys::new(()));
        let names = create::Names::new("Zero Touch", None, None).unwrap();
        let order = create::Order::new(names);
        create::Plan::make(&home, &keys, order, now)
            .and_then(|plan| plan.carry_out(&home, &keys, now))
            .unwrap();
        let chain = store::load(&home, &keys, now).unwrap();
        let authority = authorities::all(&home).unwrap().remove(0);
        let fixture = Self { folder, home, chain, authority, now };
        fixture.write(FREE, &fixture.device("0123456789ABCDEF01"));
        fixture.write(REVOKED, &fixture.device("0123456789ABCDEF02"));
        let verification = verification_certificate(&fixture.chain, &"c0de".repeat(16), now).unwrap();
        fixture.write(VERIFICATION, &verification);
        fixture
    }

    fn device(&self, serial: &str) -> Certificate {
        let name = profile::device_name(Some("Zero Touch"), serial).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let request = profile::signing_request(&name).serialize_request(&key).unwrap();
        self.chain.issue_device(request.der(), &name, &|_| false, self.now).unwrap()
    }

    fn write(&self, name: &str, certificate: &Certificate) {
        std::fs::write(self.home.root().join(name), certificate.to_pem()).unwrap();
    }

    fn read(&self, name: &str) -> Certificate {
        Certificate::read(&std::fs::read(self.home.root().join(name)).unwrap()).unwrap()
    }

    fn revoke(&self, name: &str, reason: Reason) {
        let certificate = self.read(name);
        let serial_number = certificate.serial_number().unwrap();
        let certificate_id = certificate.facts().certificate_id.clone();
        let revocation = Revocation {
            when: self.now,
            serial_number,
            certificate_id,
            subject_key_identifier: None,
            reason,
        };
        Records::of(&self.home, self.authority.subject_key_identifier()).add(&revocation).unwrap();
    }

    fn publish(&self, days: u16, now: OffsetDateTime) -> List {
        let folder = own_folder(&self.home);
        let publication = Publication { home: &self.home, folder: &folder, days, now };
        publication.of_signer(&self.authority, &self.chain).unwrap()
    }

    /// Whether a command accepts what it is given.
    fn ask(&self, command: &str) -> Answer {
        let (program, arguments) = command.split_once(' ').unwrap();
        let arguments = arguments.split_whitespace();
        match Command::new(program).args(arguments).current_dir(self.folder.path()).output() {
            Ok(output) if output.status.success() => Answer::Accepts,
            Ok(_) => Answer::Refuses,
            Err(_) => Answer::NotInstalled,
        }
    }

    fn list(&self) -> String {
        let file = file(Path::new(FOLDER), self.authority.subject_key_identifier(), "crl");
        file.display().to_string()
    }
}

/// What a reader says of an object.
#[derive(Debug, PartialEq)]
enum Answer {
    Accepts,
    Refuses,
    /// It reads the object, and does not judge this of it.
    NotJudged,
    NotInstalled,
}

type Reader = fn(&Fixture, &str) -> Answer;

fn openssl(fixture: &Fixture, object: &str) -> Answer {
    let verify = "openssl verify -x509_strict -CAfile root-ca.crt -untrusted signer-ca.crt";
    let checked = format!("{verify} -crl_check -CRLfile {}", fixture.list());
    fixture.ask(&match object {
        "root" => "openssl verify -x509_strict -CAfile root-ca.crt root-ca.crt".to_owned(),
        "signer" => format!("{verify} signer-ca.crt"),
        "device" => format!("{verify} {FREE}"),
        "verification certificate" => format!("{verify} {VERIFICATION}"),
        "revocation list" => {
            format!("openssl crl -in {} -CAfile signer-ca.crt -verify -noout", fixture.list())
        }
        "device, list at hand" => format!("{checked} {FREE}"),
        "device on the list" => format!("{checked} {REVOKED}"),
        other => panic!("{other}"),
    })
}

fn certtool(fixture: &Fixture, object: &str) -> Answer {
    let chain = |name: &str| {
        let signer = std::fs::read(fixture.home.file(store::SIGNER_CERTIFICATE)).unwrap();
        let device = std::fs::read(fixture.home.root().join(name)).unwrap();
        std::fs::write(fixture.home.root().join(CHAIN), [device, signer].concat()).unwrap();
    };
    let verify = "certtool --verify --load-ca-certificate root-ca.crt";
    let with = |name: &str, more: &str| {
        chain(name);
        format!("{verify} {more} --infile {CHAIN}")
    };
    // It takes all its files as PEM, or all as DER.
    let list = format!("{}.pem", fixture.list());
    let der = std::fs::read(fixture.home.file(&fixture.list())).unwrap();
    std::fs::write(fixture.home.root().join(&list), certificate::pem_of("X509 CRL", der)).unwrap();
    fixture.ask(&match object {
        "root" => format!("{verify} --infile root-ca.crt"),
        "signer" => format!("{verify} --infile signer-ca.crt"),
        "device" => with(FREE, ""),
        "verification certificate" => with(VERIFICATION, ""),
        "revocation list" => {
            format!("certtool --verify-crl --load-ca-certificate signer-ca.crt --infile {list}")
        }
        "device, list at hand" => with(FREE, &format!("--load-crl {list}")),
        "device on the list" => with(REVOKED, &format!("--load-crl {list}")),
        other => panic!("{other}"),
    })
}

fn webpki(fixture: &Fixture, object: &str) -> Answer {
    let root = fixture.read(store::ROOT_CERTIFICATE).der().to_vec().into();
    let signer = [fixture.read(store::SIGNER_CERTIFICATE).der().to_vec().into()];
    let Ok(anchor) = anchor_from_trusted_cert(&root) else { return Answer::Refuses };
    let time = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        fixture.now.unix_timestamp().unsigned_abs(),
    ));
    let der = std::fs::read(fixture.home.file(&fixture.list())).unwrap();
    let Ok(list) = BorrowedCertRevocationList::from_der(&der) else { return Answer::Refuses };
    let list = CertRevocationList::from(list);
    let lists = [&list];
    let revocation =
        RevocationOptionsBuilder::new(&lists).unwrap().with_depth(RevocationCheckDepth::EndEntity);
    let verified = |name: &str, revocation: Option<webpki::RevocationOptions<'_>>| {
        let der = fixture.read(name).der().to_vec().into();
        let Ok(certificate) = EndEntityCert::try_from(&der) else { return false };
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let usage = KeyUsage::client_auth();
        let anchors = std::slice::from_ref(&anchor);
        certificate.verify_for_usage(algorithms, anchors, &signer, time, usage, revocation, None).is_ok()
    };
    let accepts = match object {
        // As what webpki has them for: an anchor, and a link of the path.
        "root" | "signer" | "device" => verified(FREE, None),
        "verification certificate" => verified(VERIFICATION, None),
        "revocation list" | "device, list at hand" => verified(FREE, Some(revocation.build())),
        "device on the list" => verified(REVOKED, Some(revocation.build())),
        other => panic!("{other}"),
    };
    if accepts { Answer::Accepts } else { Answer::Refuses }
}

/// A linter of profiles: it holds an object, and one beside its issuer, against RFC 5280, and does not look into lists.
fn pkilint(fixture: &Fixture, object: &str) -> Answer {
    let issued = |issuer: &str, subject: &str| {
        fixture.ask(&format!("lint_pkix_signer_signee_cert_chain lint -s NOTICE {issuer} {subject}"))
    };
    match object {
        "root" => fixture.ask("lint_pkix_cert lint -s NOTICE root-ca.crt"),
        "signer" => issued("root-ca.crt", "signer-ca.crt"),
        "device" => issued("signer-ca.crt", FREE),
        "verification certificate" => issued("signer-ca.crt", VERIFICATION),
        "revocation list" => {
            fixture.ask(&format!("lint_crl lint -t CRL -p PKIX -s NOTICE {}", fixture.list()))
        }
        "device, list at hand" | "device on the list" => Answer::NotJudged,
        other => panic!("{other}"),
    }
}

const DOCUMENT: &str = include_str!("../../../docs/certificates.md");

/// The table under the heading: object → reader → cell.
fn documented() -> BTreeMap<String, BTreeMap<String, String>> {
    let rows: Vec<Vec<&str>> = DOCUMENT
        .lines()
        .skip_while(|line| *line != "## Who reads them")
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let table = rows[2..].iter().map(|row| {
        let cells = rows[0].iter().zip(row).skip(1);
        (row[0].to_owned(), cells.map(|(reader, cell)| ((*reader).to_owned(), (*cell).to_owned())).collect())
    });
    table.collect()
}

#[test]
fn every_reader_says_of_every_object_what_the_document_says() {
    let fixture = Fixture::new();
    fixture.revoke(REVOKED, Reason::KeyCompromise);
    fixture.publish(DAYS, fixture.now);
    let readers: [(&str, Reader); 4] =
        [("OpenSSL", openssl), ("GnuTLS", certtool), ("webpki", webpki), ("pkilint", pkilint)];
    let table = documented();
    assert_eq!(table.len(), 7, "{table:?}");
    for (object, row) in table {
        assert_eq!(row.len(), readers.len(), "{object}");
        for (reader, ask) in readers {
            let said = match ask(&fixture, &object) {
                Answer::Accepts => "accepts",
                Answer::Refuses => "refuses",
                Answer::NotJudged => "",
                Answer::NotInstalled => {
                    eprintln!("skipped: {reader} is not installed, so it does not judge the {object}");
                    continue;
                }
            };
            assert_eq!(row[reader], said, "{reader} of the {object}");
        }
    }
}

#[test]
fn the_reason_the_number_and_the_dates_are_what_openssl_reads() {
    let fixture = Fixture::new();
    fixture.revoke(REVOKED, Reason::KeyCompromise);
    fixture.revoke(FREE, Reason::Unspecified);
    let list = fixture.publish(7, fixture.now);
    let path = fixture.home.file(&fixture.list());
    let text = Command::new("openssl").arg("crl").arg("-in").arg(path).args(["-noout", "-text"]).output();
    let text = String::from_utf8(text.expect("openssl is needed for this test").stdout).unwrap();
    assert!(text.contains("Version 2 (0x1)") && text.contains("ecdsa-with-SHA256"), "{text}");
    assert_eq!(text.matches("Key Compromise").count(), 1, "{text}");
    assert_eq!(text.matches("Serial Number:").count(), 2, "{text}");
    let key_id = fixture.authority.subject_key_identifier().to_uppercase();
    let identifier: Vec<&str> =
        key_id.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    assert!(text.contains(&identifier.join(":")), "{text}");
    assert_eq!((list.next_update - fixture.now).whole_days(), 6, "whole seconds");
    assert_eq!(list.revoked_certificates, 2);
}

#[test]
fn openssl_refuses_every_device_of_a_signer_that_is_on_the_roots_list() {
    let fixture = Fixture::new();
    fixture.publish(DAYS, fixture.now);
    let keys = Keys::new(());
    let (root, key) = store::root(&fixture.home, &keys, None).unwrap();
    let publish = |revoked: &[(Authority, SignerRevocation)]| {
        let folder = own_folder(&fixture.home);
        let publication = Publication { home: &fixture.home, folder: &folder, days: DAYS, now: fixture.now };
        publication.of_root(Issuer { certificate: &root, key: &key }, revoked).unwrap()
    };
    let accepts = |list: &List| {
        let lists = [fixture.home.file(&fixture.list()), list.file.clone()].map(std::fs::read);
        let both = lists.map(|list| certificate::pem_of("X509 CRL", list.unwrap())).concat();
        std::fs::write(fixture.home.root().join("lists.pem"), both).unwrap();
        let verify =
            "openssl verify -x509_strict -CAfile root-ca.crt -untrusted signer-ca.crt -crl_check_all";
        match fixture.ask(&format!("{verify} -CRLfile lists.pem {FREE}")) {
            Answer::NotInstalled => panic!("openssl is needed for this test"),
            answer => answer == Answer::Accepts,
        }
    };
    let empty = publish(&[]);
    assert!(accepts(&empty), "nothing is revoked");
    let revocation = SignerRevocation { when: fixture.now, reason: Reason::KeyCompromise };
    let list = publish(&[(fixture.authority.clone(), revocation)]);
    assert!(!accepts(&list), "the signer is revoked");
    assert_eq!((list.revoked_certificates, list.crl_number), (1, empty.crl_number + 1));
    let text = Command::new("openssl").args(["crl", "-noout", "-text", "-in"]).arg(&list.file).output();
    let text = String::from_utf8(text.unwrap().stdout).unwrap();
    assert!(text.contains("CA Compromise"), "{text}");
    // The function takes the folder as it is.
    jitr::revocation::RevocationLists::read(&own_folder(&fixture.home)).unwrap();
}

#[test]
fn the_function_reads_the_folder_and_finds_who_is_revoked() {
    let fixture = Fixture::new();
    fixture.revoke(REVOKED, Reason::Superseded);
    fixture.publish(DAYS, fixture.now);
    let lists = jitr::revocation::RevocationLists::read(&own_folder(&fixture.home)).unwrap();
    let answer = |name| lists.look_up(&fixture.read(name).to_pem(), None);
    assert_eq!(
        (answer(REVOKED), answer(FREE)),
        (jitr::revocation::Answer::Revoked, jitr::revocation::Answer::Good)
    );
}

#[test]
fn a_list_that_is_nearly_full_is_told() {
    let fixture = Fixture::new();
    let records = Records::of(&fixture.home, fixture.authority.subject_key_identifier());
    let line = |index: usize| {
        let revocation = Revocation {
            when: fixture.now,
            serial_number: format!("{:032X}", (1u128 << 126) | index as u128).parse().unwrap(),
            certificate_id: String::new(),
            subject_key_identifier: None,
            reason: Reason::KeyCompromise,
        };
        serde_json::to_string(&revocation).unwrap() + "\n"
    };
    fixture.revoke(FREE, Reason::KeyCompromise);
    let path = fixture.home.file(crate::state::revocations::RECORDS);
    let path = path.join(format!("{}.jsonl", fixture.authority.subject_key_identifier()));
    for (entries, fill) in [(79_999, 79), (80_000, 80), (100_000, 100)] {
        std::fs::write(&path, (0..entries).map(line).collect::<String>()).unwrap();
        assert_eq!(records.read().unwrap().len(), entries);
        assert_eq!(fixture.publish(DAYS, fixture.now).fill, fill);
        // What the tool writes, the function takes.
        jitr::revocation::RevocationLists::read(&own_folder(&fixture.home)).unwrap();
    }
}

#[test]
fn a_list_that_no_number_can_follow_is_told_and_stays() {
    let fixture = Fixture::new();
    let issuer = Issuer { certificate: fixture.chain.signer(), key: fixture.chain.key() };
    let der = issuer.sign_list([], u64::MAX, 30, fixture.now).unwrap();
    let (home, folder) = (&fixture.home, own_folder(&fixture.home));
    std::fs::create_dir_all(&folder).unwrap();
    let path = file(&folder, fixture.authority.subject_key_identifier(), "crl");
    std::fs::write(&path, &der).unwrap();
    let publication = Publication { home, folder: &folder, days: 30, now: fixture.now };
    let error = publication.of_signer(&fixture.authority, &fixture.chain).unwrap_err();
    assert!(matches!(error, Error::Authority(AuthorityError::ListNumber { .. })), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), der);
    assert!(publication.next_number(fixture.authority.subject_key_identifier()).is_err(), "a dry run, too");
}

#[test]
fn numbers_only_grow_also_when_the_list_before_is_lost_or_the_clock_goes_back() {
    let fixture = Fixture::new();
    let first = fixture.publish(DAYS, fixture.now).crl_number;
    let second = fixture.publish(DAYS, fixture.now - Duration::days(3)).crl_number;
    assert_eq!(second, first + 1);
    std::fs::remove_file(fixture.home.file(&fixture.list())).unwrap();
    let third = fixture.publish(DAYS, fixture.now + Duration::seconds(60)).crl_number;
    assert!(third > second);
    // The audit log knows the numbers of lists that are gone and were made with a clock that was ahead.
    let observed = Keys::new(crate::state::signatures::Signatures::of(&fixture.home));
    let chain = store::load(&fixture.home, &observed, fixture.now).unwrap();
    let folder = own_folder(&fixture.home);
    let at = |now| {
        let publication = Publication { home: &fixture.home, folder: &folder, days: DAYS, now };
        publication.of_signer(&fixture.authority, &chain).unwrap().crl_number
    };
    let ahead = at(fixture.now + Duration::days(30));
    std::fs::remove_file(fixture.home.file(&fixture.list())).unwrap();
    assert_eq!(at(fixture.now), ahead + 1);
}

#[test]
fn a_list_that_was_restored_is_followed_by_none_with_a_number_that_was_published() {
    let fixture = Fixture::new();
    let at = |milliseconds| fixture.now + Duration::milliseconds(milliseconds);
    fixture.publish(DAYS, at(0));
    let backup = std::fs::read(fixture.home.file(&fixture.list())).unwrap();
    // More lists than there were seconds: one for each device that a script revokes.
    let published = (1..50).map(|number| fixture.publish(DAYS, at(number * 10)).crl_number).max().unwrap();
    std::fs::write(fixture.home.file(&fixture.list()), backup).unwrap();
    assert!(fixture.publish(DAYS, at(500)).crl_number > published);
}

#[test]
fn a_line_that_is_no_revocation_stops_everything_and_one_that_was_never_finished_does_not() {
    let fixture = Fixture::new();
    fixture.revoke(REVOKED, Reason::KeyCompromise);
    let records = Records::of(&fixture.home, fixture.authority.subject_key_identifier());
    let path = fixture
        .home
        .file(crate::state::revocations::RECORDS)
        .join(format!("{}.jsonl", fixture.authority.subject_key_identifier()));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{{\"when\":")).unwrap();
    assert_eq!(records.read().unwrap().len(), 1);
    fixture.revoke(REVOKED, Reason::KeyCompromise);
    fixture.revoke(FREE, Reason::KeyCompromise);
    assert_eq!(records.read().unwrap().len(), 2);
    let number = fixture.read(REVOKED).facts().serial_number.clone();
    for wrong in ["nonsense".to_owned(), text.replace(&number, "4G"), text.replace(&number, "")] {
        std::fs::write(&path, format!("{text}{}\n{text}", wrong.trim_end())).unwrap();
        let error = records.read().unwrap_err();
        assert!(matches!(error, crate::state::Error::Revocations { line: 2, .. }), "{wrong}: {error}");
    }
    std::fs::write(&path, text.replace(&number, "-1")).unwrap();
    let negative = records.read().unwrap();
    assert_eq!(negative[0].serial_number.to_string(), "-1", "the sign is kept");
    let (folder, now) = (own_folder(&fixture.home), fixture.now);
    let publication = Publication { home: &fixture.home, folder: &folder, days: 30, now };
    let list = publication.of_signer(&fixture.authority, &fixture.chain).unwrap();
    assert_eq!(list.revoked_certificates, 0, "a negative number is on no list, and keeps no other off");
}
