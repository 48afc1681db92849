//! Signers, revocation lists and the audit log on one computer: after interruptions, tampering, and two runs at once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use serde_json::Value;
use testbed::board::{Options, SimulatedBoard};

use crate::laptop::{Laptop, Outcome};

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";
const ROTATE: [&str; 3] = ["ca", "rotate", "--no-register"];

fn board(seed: u64) -> SimulatedBoard {
    SimulatedBoard::start(Options::instant(seed)).unwrap()
}

fn port(board: &SimulatedBoard) -> String {
    board.path().display().to_string()
}

fn provision(laptop: &Laptop, board: &SimulatedBoard) -> Outcome {
    laptop.run(&["provision", "--endpoint", ENDPOINT, "--port", &port(board)], &[])
}

fn good(laptop: &Laptop, arguments: &[&str]) -> Outcome {
    let outcome = laptop.run(arguments, &[]);
    assert_eq!(outcome.code, 0, "{arguments:?}: {outcome}");
    outcome
}

fn lines(outcome: &Outcome) -> Vec<Value> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The signatures in the audit log, which has to hold.
fn signatures(laptop: &Laptop) -> Vec<Value> {
    good(laptop, &["audit", "verify"]);
    lines(&good(laptop, &["audit", "show", "--output", "json"]))
}

fn purposes(signatures: &[Value]) -> Vec<&str> {
    signatures.iter().map(|signature| signature["purpose"].as_str().unwrap()).collect()
}

fn signer(laptop: &Laptop) -> String {
    let shown = lines(&good(laptop, &["ca", "show", "--output", "json"]));
    shown[0]["signer"]["subject_key_identifier"].as_str().unwrap().to_owned()
}

fn device_certificate(laptop: &Laptop, board: &SimulatedBoard) -> PathBuf {
    laptop.folder().join(board.ecc_serial()).join("device.crt")
}

#[test]
fn every_signature_is_in_the_log_and_names_what_was_signed() {
    let (laptop, board) = (Laptop::with_ca(), board(1));
    let provisioned = provision(&laptop, &board);
    assert_eq!(provisioned.code, 0, "{provisioned}");
    good(&laptop, &["ca", "crl"]);
    let signatures = signatures(&laptop);
    assert_eq!(
        purposes(&signatures),
        [
            "root_certificate",
            "signing_request",
            "signer_certificate",
            "device_certificate",
            "revocation_list"
        ]
    );
    let pem = std::fs::read(device_certificate(&laptop, &board)).unwrap();
    let der = x509_parser::pem::parse_x509_pem(&pem).unwrap().1.contents;
    let id = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der));
    assert_eq!(signatures[3]["sha256"], *id);
    assert_eq!(signatures[3]["authority_key_identifier"], *signer(&laptop));
    // Nothing more is signed for a board that is right.
    assert_eq!(provision(&laptop, &board).code, 0);
    assert_eq!(self::signatures(&laptop).len(), 5);
}

#[test]
fn a_signature_that_cannot_be_noted_is_not_given_out() {
    let (laptop, board) = (Laptop::with_ca(), board(1));
    let before = laptop.files();
    let list = laptop.run_with_full_disk(&["ca", "crl"]);
    assert_eq!(list.code, 1, "{list}");
    assert!(list.stderr.contains("the signature is withheld"), "{list}");
    let forced = ["provision", "--endpoint", ENDPOINT, "--port", &port(&board), "--force"];
    let provisioned = laptop.run_with_full_disk(&forced);
    assert_eq!(provisioned.code, 1, "{provisioned}");
    let files = |files: Vec<(PathBuf, Vec<u8>)>| -> Vec<_> {
        files
            .into_iter()
            .filter(|(path, content)| !content.is_empty() && !path.ends_with("ledger.jsonl"))
            .collect()
    };
    assert_eq!(files(laptop.files()), files(before));
    assert_eq!(signatures(&laptop).len(), 3);
    good(&laptop, &["ca", "crl"]);
    assert_eq!(signatures(&laptop).len(), 4);
}

#[test]
fn a_log_that_was_tampered_with_is_told_with_the_line_and_the_next_step() {
    let laptop = Laptop::with_ca();
    let path = laptop.folder().join("audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("Signer FFFF", "Signer 0000", 1)).unwrap();
    let changed = laptop.run(&["audit", "verify"], &[]);
    let first: String = text.split_inclusive('\n').take(2).collect();
    std::fs::write(&path, first).unwrap();
    let cut = laptop.run(&["audit", "verify", "--output", "json"], &[]);
    std::fs::remove_file(&path).unwrap();
    let gone = laptop.run(&["audit", "verify"], &[]);
    assert_eq!((changed.code, cut.code, gone.code), (1, 1, 1));
    insta::assert_snapshot!(format!("{changed}\n{cut}\n{gone}"));
}

#[test]
fn a_log_that_is_gone_or_lacks_what_is_signed_here_does_not_hold() {
    let (laptop, board) = (Laptop::with_ca(), board(1));
    assert_eq!(provision(&laptop, &board).code, 0);
    good(&laptop, &["ca", "crl"]);
    let verified = |laptop: &Laptop| {
        let outcome = laptop.run(&["audit", "verify", "--output", "json"], &[]);
        let (code, lines) = (outcome.code, lines(&outcome));
        (code, lines.into_iter().next().unwrap())
    };
    let (code, held) = verified(&laptop);
    assert_eq!((code, &held["recorded"], &held["made_elsewhere"]), (0, &4.into(), &0.into()), "{held}");

    // A certificate that the signer's key signed elsewhere, an hour after it had signed here.
    let forged = laptop.folder().join("FORGED");
    std::fs::create_dir(&forged).unwrap();
    let read = |name: &str| std::fs::read_to_string(laptop.folder().join(name)).unwrap();
    let key = rcgen::KeyPair::from_pem(&read("signer-ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("signer-ca.crt"), key).unwrap();
    let made_at = |not_before: time::OffsetDateTime| {
        let mut params = rcgen::CertificateParams::default();
        params.not_before = not_before;
        params.not_after = not_before + time::Duration::days(365);
        let certificate = params.signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer).unwrap();
        std::fs::write(forged.join("device.crt"), certificate.pem()).unwrap();
    };
    let now = time::OffsetDateTime::now_utc();
    made_at(now + time::Duration::HOUR);
    let (code, found) = verified(&laptop);
    assert_eq!((code, &found["finding"]), (1, &"unrecorded".into()), "{found}");
    assert_eq!(found["file"], "FORGED/device.crt");
    // What was signed before is none of this log's.
    made_at(now - time::Duration::days(30));
    let (code, held) = verified(&laptop);
    assert_eq!((code, &held["recorded"], &held["made_elsewhere"]), (0, &4.into(), &1.into()), "{held}");

    for name in ["audit.jsonl", "audit.head"] {
        std::fs::remove_file(laptop.folder().join(name)).unwrap();
    }
    let (code, gone) = verified(&laptop);
    assert_eq!((code, &gone["finding"], &gone["signed"]), (1, &"gone".into(), &5.into()), "{gone}");
    // A log that begins anew where there are lists says so.
    good(&laptop, &["ca", "crl"]);
    let (code, anew) = verified(&laptop);
    assert_eq!((code, &anew["finding"], &anew["line"]), (1, &"added_headless".into(), &1.into()), "{anew}");
    let (code, nothing) = verified(&Laptop::new());
    assert_eq!((code, &nothing["entries"]), (0, &0.into()), "{nothing}");
}

/// The largest number that a line can have.
#[test]
fn a_number_near_the_largest_is_told_and_does_not_panic() {
    let laptop = Laptop::with_ca();
    let path = laptop.folder().join("audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    for number in [u64::MAX - 1, u64::MAX] {
        std::fs::write(&path, text.replace("\"number\":3", &format!("\"number\":{number}"))).unwrap();
        let found = laptop.run(&["audit", "verify"], &[]);
        assert_eq!(found.code, 1, "{found}");
        assert!(found.stdout.contains("missing") && !found.stderr.contains("panicked"), "{found}");
    }
    let withheld = laptop.run(&["ca", "crl"], &[]);
    assert_eq!(withheld.code, 1, "{withheld}");
    assert!(withheld.stderr.contains("none can follow"), "{withheld}");
}

#[test]
fn many_processes_share_one_home_and_one_ledger_without_losing_a_line() {
    let (laptop, boards) = (Laptop::with_ca(), [1, 2, 3, 4].map(board));
    let ports = boards.each_ref().map(port);
    let mut runs: Vec<Vec<&str>> =
        ports.iter().map(|port| vec!["provision", "--endpoint", ENDPOINT, "--port", port]).collect();
    runs.extend((0..8).map(|_| vec!["ca", "crl"]));
    runs.extend((0..4).map(|_| vec!["ca", "create"]));
    runs.extend((0..2).map(|_| ROTATE.to_vec()));
    let running: Vec<_> = runs.iter().map(|arguments| laptop.start(arguments, &[])).collect();
    for (run, arguments) in running.into_iter().zip(&runs) {
        let outcome = laptop.outcome(arguments, run.wait_with_output().unwrap());
        assert_eq!(outcome.code, 0, "{arguments:?}: {outcome}");
    }
    let signatures = signatures(&laptop);
    let count = |purpose: &str| purposes(&signatures).iter().filter(|found| **found == purpose).count();
    assert_eq!(count("device_certificate"), 4);
    assert_eq!(count("signer_certificate"), 3);
    let entries = lines(&good(&laptop, &["ledger", "--output", "json"]));
    let results: Vec<_> = entries.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert_eq!(results, ["provisioned"; 4]);
    let numbers: Vec<&Value> = signatures.iter().filter(|s| s["purpose"] == "revocation_list").collect();
    let distinct: BTreeSet<String> = numbers
        .iter()
        .map(|list| format!("{} {}", list["authority_key_identifier"], list["crl_number"]))
        .collect();
    assert_eq!(distinct.len(), numbers.len(), "two lists of one signer have the same number");
    let shown = lines(&good(&laptop, &["ca", "show", "--output", "json"]));
    assert_eq!(shown.len(), 3, "{shown:?}");
}

#[test]
fn a_run_that_waits_for_another_says_what_it_waits_for() {
    let laptop = Laptop::with_ca();
    let lock = File::create(laptop.folder().join(".lock")).unwrap();
    lock.lock().unwrap();
    let mut waiting = laptop.start(&ROTATE, &[]);
    let mut said = [0; 256];
    let length = waiting.stderr.as_mut().unwrap().read(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..length]).into_owned();
    let folder = laptop.folder().display().to_string();
    assert!(said.contains("waiting for another run") && said.contains(&folder), "{said}");
    assert!(waiting.try_wait().unwrap().is_none());
    lock.unlock().unwrap();
    let outcome = laptop.outcome(&ROTATE, waiting.wait_with_output().unwrap());
    assert_eq!(outcome.code, 0, "{outcome}");
}

#[test]
fn rotating_without_the_roots_key_changes_nothing_and_tells_how_to_give_it() {
    let laptop = Laptop::with_ca();
    let stick = laptop.folder().with_file_name("stick.key");
    std::fs::rename(laptop.folder().join("root-ca.key"), &stick).unwrap();
    let before = laptop.files();
    let refused = laptop.run(&ROTATE, &[]);
    assert_eq!(laptop.files(), before);
    insta::assert_snapshot!(refused);
    let old = signer(&laptop);
    good(&laptop, &[&ROTATE[..], &["--root-key", stick.to_str().unwrap()]].concat());
    assert_ne!(signer(&laptop), old);
    assert!(!laptop.folder().join("root-ca.key").exists(), "the root's key stays offline");
}

#[test]
fn a_key_that_is_kept_elsewhere_is_not_followed_by_one_in_a_plain_file_unasked() {
    let laptop = Laptop::with_ca();
    let elsewhere = laptop.folder().with_file_name("signer.key");
    std::fs::rename(laptop.folder().join("signer-ca.key"), &elsewhere).unwrap();
    std::fs::write(laptop.folder().join("signer-ca.uri"), format!("file:{}\n", elsewhere.display())).unwrap();
    let old = signer(&laptop);
    let refused = laptop.run(&ROTATE, &[]);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("--signer-key"), "{refused}");
    assert_eq!(signer(&laptop), old);
    let next = laptop.folder().with_file_name("next.key");
    let given = format!("file:{}", next.display());
    good(&laptop, &[&ROTATE[..], &["--signer-key", &given]].concat());
    assert!(next.is_file() && !laptop.folder().join("signer-ca.key").exists());
    assert_ne!(signer(&laptop), old);
    // Lists of both, each signed with its own key.
    assert_eq!(lines(&good(&laptop, &["ca", "crl", "--output", "json"])).len(), 2);
}

/// Kills a rotation at every change of a file; the next one finishes it, and there is never less than a whole signer.
#[cfg(target_os = "linux")]
#[test]
fn a_rotation_that_was_killed_anywhere_is_finished_by_the_next_one() {
    let new = || {
        let laptop = Laptop::with_ca();
        // Folders are watched that are there.
        let old = signer(&laptop);
        std::fs::create_dir_all(laptop.folder().join("signers/next")).unwrap();
        std::fs::create_dir_all(laptop.folder().join("signers").join(old)).unwrap();
        laptop
    };
    let killed = crate::laptop::killed::killed_at_changes(new, (&ROTATE, &[]), |laptop| {
        let shown = laptop.run(&["ca", "show"], &[]);
        assert!(shown.code == 0 || shown.stderr.contains("finish it with: provisioner ca rotate"), "{shown}");
        good(laptop, &ROTATE);
        let all = lines(&good(laptop, &["ca", "show", "--output", "json"]));
        assert!((2..=3).contains(&all.len()), "{all:?}");
        assert!(!laptop.folder().join("signers/next").exists());
        good(laptop, &["audit", "verify"]);
        good(laptop, &["ca", "crl"]);
    });
    assert!(killed.len() >= 10, "only {} runs were killed", killed.len());
}

#[test]
fn boards_of_a_retired_signer_stay_listed_until_they_get_a_certificate_of_the_new_one() {
    let (laptop, boards) = (Laptop::with_ca(), [board(1), board(2)]);
    boards.iter().for_each(|board| assert_eq!(provision(&laptop, board).code, 0));
    let old = signer(&laptop);
    let rotated = lines(&good(&laptop, &[&ROTATE[..], &["--output", "json"]].concat()));
    assert_eq!(
        (&rotated[1]["subject_key_identifier"], &rotated[1]["boards"]),
        (&Value::from(&*old), &Value::from(2))
    );
    assert_eq!(provision(&laptop, &boards[0]).code, 0);
    let rows = lines(&good(&laptop, &["certificates", "--offline", "--output", "json"]));
    let of = |signer: &str| {
        rows.iter().filter(|row| row["authority_key_identifier"] == *signer).collect::<Vec<_>>()
    };
    let (of_new, of_old) = (of(&signer(&laptop)), of(&old));
    assert_eq!((of_new.len(), of_old.len()), (1, 2));
    let superseded: Vec<_> =
        of_old.iter().filter(|row| row["differences"] == serde_json::json!(["superseded"])).collect();
    assert_eq!(superseded.len(), 1);
    assert_eq!(superseded[0]["thing_name"], of_new[0]["thing_name"]);
}

#[test]
fn a_device_that_was_revoked_here_is_refused_by_openssl_and_stays_on_the_list_when_it_is_renewed() {
    let (laptop, boards) = (Laptop::with_ca(), [board(1), board(2)]);
    boards.iter().for_each(|board| assert_eq!(provision(&laptop, board).code, 0));
    let [revoked, free] = boards.each_ref().map(|board| device_certificate(&laptop, board));
    let revoke = ["revoke", revoked.to_str().unwrap(), "--reason", "key-compromise", "--list-only"];
    let unconfirmed = laptop.run(&revoke, &[]);
    assert_eq!(unconfirmed.code, 5, "{unconfirmed}");
    assert!(!laptop.folder().join("crl").exists());
    good(&laptop, &[&revoke[..], &["--yes"]].concat());
    let again = good(&laptop, &[&revoke[..], &["--yes"]].concat());
    assert!(again.stderr.contains("it is revoked already"), "{again}");
    assert_eq!(signatures(&laptop).len(), 6, "a second run signs nothing");

    let old = signer(&laptop);
    good(&laptop, &ROTATE);
    for days in ["1", "30"] {
        good(&laptop, &["ca", "crl", "--days", days]);
        let accepts = |certificate: &PathBuf| {
            let signer = laptop.folder().join("signers").join(&old).join("signer-ca.crt");
            let list = laptop.folder().join("crl").join(format!("{old}.crl"));
            let output = std::process::Command::new("openssl")
                .args(["verify", "-x509_strict", "-crl_check", "-CAfile"])
                .arg(laptop.folder().join("root-ca.crt"))
                .arg("-untrusted")
                .arg(signer)
                .arg("-CRLfile")
                .arg(list)
                .arg(certificate)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.success(), said.contains("certificate revoked"))
        };
        assert_eq!((accepts(&free), accepts(&revoked)), ((true, false), (false, true)));
    }
}

#[test]
fn a_list_past_its_date_is_told_and_renewed() {
    let laptop = Laptop::with_ca();
    good(&laptop, &["ca", "crl"]);
    assert!(!good(&laptop, &["ca", "show"]).stderr.contains("is due"));
    // The list of another time, which this signer's key made: dates are in it and cannot be moved otherwise.
    let list = laptop.folder().join("crl").join(format!("{}.crl", signer(&laptop)));
    let past = past_list(&laptop);
    std::fs::write(&list, past).unwrap();
    let told = good(&laptop, &["ca", "show"]);
    assert!(told.stderr.contains("is due; write it with: provisioner ca crl"), "{told}");
    good(&laptop, &["ca", "crl"]);
    assert!(!good(&laptop, &["ca", "show"]).stderr.contains("is due"));
}

#[test]
fn a_list_that_is_nearly_full_is_warned_of() {
    let laptop = Laptop::with_ca();
    let records = laptop.folder().join("revocations");
    std::fs::create_dir_all(&records).unwrap();
    let record = |number: usize| {
        let (serial, certificate) = ((1_u128 << 126) | number as u128, "0".repeat(64));
        format!(
            r#"{{"when":"2026-01-01T00:00:00Z","serial_number":"{serial:032X}","certificate_id":"{certificate}","reason":"superseded"}}"#
        ) + "\n"
    };
    for (number, warned) in [(79_999, None), (80_000, Some("has 80 % of what the function takes"))] {
        let lines: String = (0..number).map(record).collect();
        std::fs::write(records.join(format!("{}.jsonl", signer(&laptop))), lines).unwrap();
        let written = good(&laptop, &["ca", "crl"]);
        assert_eq!(written.stderr.contains("of what the function takes"), warned.is_some(), "{written}");
        assert!(warned.is_none_or(|warned| written.stderr.contains(warned)), "{written}");
    }
}

/// A list of the signer's that was due a year ago, PEM.
fn past_list(laptop: &Laptop) -> String {
    let read = |name: &str| std::fs::read_to_string(laptop.folder().join(name)).unwrap();
    let key = rcgen::KeyPair::from_pem(&read("signer-ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("signer-ca.crt"), key).unwrap();
    let params = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2025, 1, 1),
        next_update: rcgen::date_time_ymd(2025, 2, 1),
        crl_number: rcgen::SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    params.signed_by(&issuer).unwrap().pem().unwrap()
}

#[test]
fn a_device_that_nobody_knows_is_not_revoked_and_the_next_step_is_told() {
    let laptop = Laptop::with_ca();
    let other = laptop.folder().with_file_name("other.txt");
    std::fs::write(&other, "no certificate").unwrap();
    let outcomes = [
        laptop.run(&["revoke", "3a2d78ae", "--list-only", "--yes"], &[]),
        laptop.run(&["revoke", &"ab".repeat(32), "--list-only", "--yes"], &[]),
        laptop.run(&["revoke", other.to_str().unwrap(), "--list-only", "--yes"], &[]),
        laptop.run(&["revoke", "--signer", "1234567", "--yes"], &[]).naming(signer(&laptop), "SIGNER"),
        laptop.run(&["revoke"], &[]),
    ];
    assert!(!laptop.folder().join("crl").exists());
    insta::assert_snapshot!(outcomes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}
