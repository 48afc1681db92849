//! The roots in a board's Wi-Fi module through the provisioner: shown, replaced, put back, and what a TLS server sees of it.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384};
use serde_json::Value;
use testbed::HOST;
use testbed::board::{Options, SimulatedBoard};
use testbed::device::{Credentials, Device, DeviceError, Endpoint};

use crate::account::Account;
use crate::laptop::{Laptop, Outcome};

const ATS: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";
const SECTOR: std::ops::Range<usize> = 0x4000..0x5000;

fn board() -> SimulatedBoard {
    SimulatedBoard::start(Options::instant(31)).unwrap()
}

fn port(board: &SimulatedBoard) -> &str {
    board.path().to_str().unwrap()
}

fn roots(laptop: &Laptop, board: &SimulatedBoard, arguments: &[&str]) -> Outcome {
    let [command, options @ ..] = arguments else { panic!("no command") };
    let fixed = ["--output", "json", "roots", command, "--port", port(board)];
    laptop.run(&[&fixed[..], options].concat(), &[])
}

fn line(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, 0, "{outcome}");
    serde_json::from_str(outcome.stdout.lines().next().unwrap()).unwrap()
}

fn names(list: &Value) -> Vec<String> {
    let name = |root: &Value| match root["subject"].as_str() {
        Some(subject) => subject.rsplit("CN=").next().unwrap().to_owned(),
        None => format!("{} {}", root["key_kind"].as_str().unwrap(), root["validity"].as_str().unwrap()),
    };
    list.as_array().unwrap().iter().map(name).collect()
}

/// A root of the user's own, PEM.
fn own_root(key: &KeyPair) -> String {
    let mut root = CertificateParams::default();
    root.distinguished_name.push(DnType::CommonName, "Own Root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.self_signed(key).unwrap().pem()
}

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().to_str().unwrap().to_owned();
    (folder, path)
}

const STARFIELD: &str = "Starfield Services Root Certificate Authority - G2";

#[test]
fn roots_are_replaced_with_a_copy_and_put_back_byte_for_byte() {
    let (laptop, board) = (Laptop::new(), board());
    let factory = board.flash();
    let shown = roots(&laptop, &board, &["show"]);
    let listed: Vec<Value> = shown.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(names(&Value::Array(listed)), ["Amazon Root CA 3", STARFIELD, "P-256 expired"], "{shown}");
    assert!(shown.stderr.contains("can connect to AWS, until 2040-05-26"), "{shown}");

    let nothing = roots(&laptop, &board, &["restore"]);
    assert_eq!(nothing.code, 2, "{nothing}");
    let installed = line(&roots(&laptop, &board, &["install"]));
    assert_eq!(names(&installed["roots"]), ["Amazon Root CA 1", "Amazon Root CA 3", STARFIELD]);
    assert_eq!(names(&installed["removed_roots"]), ["P-256 expired"]);
    assert_eq!(installed["bytes"], 736);
    let copy = PathBuf::from(installed["copy"].as_str().unwrap());
    assert_eq!(copy.file_name().unwrap(), "root-store-1.bin");
    assert!(std::fs::read(&copy).unwrap() == factory[SECTOR]);
    let (flash, outside) = (board.flash(), [0..SECTOR.start, SECTOR.end..factory.len()]);
    assert!(outside.into_iter().all(|range| flash[range.clone()] == factory[range]));

    board.take_statistics();
    let again = line(&roots(&laptop, &board, &["install"]));
    assert_eq!((&again["outcome"], &again["copy"]), (&Value::from("unchanged"), &Value::Null));
    assert_eq!(board.take_statistics().count("MC+WINC+ERASE"), 0);

    let restored = line(&roots(&laptop, &board, &["restore"]));
    assert_eq!(Path::new(restored["copy"].as_str().unwrap()).file_name().unwrap(), "root-store-2.bin");
    assert!(board.flash() == factory);
    assert_eq!(line(&roots(&laptop, &board, &["restore", "--copy", "2"]))["bytes"], 736);
    let unknown = roots(&laptop, &board, &["restore", "--copy", "7"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(unknown.stderr.contains("these are there: 1, 2"), "{unknown}");
}

#[test]
fn a_copy_of_iotprovision_is_put_back_where_there_is_no_other() {
    let (laptop, board) = (Laptop::with_ca(), board());
    let factory = board.flash();
    let provisioned = laptop.run(&["provision", "--endpoint", ATS, "--port", port(&board)], &[]);
    assert_eq!(provisioned.code, 0, "{provisioned}");
    let backup = laptop.folder().join(board.ecc_serial()).join("root_certs_backup.bin");
    std::fs::write(&backup, &factory[SECTOR]).unwrap();
    board.change_flash(|flash| flash[SECTOR].fill(0xFF));
    let blank = roots(&laptop, &board, &["show"]);
    assert_eq!(blank.code, 2, "{blank}");
    let restored = line(&roots(&laptop, &board, &["restore"]));
    assert_eq!((restored["roots"].as_array().unwrap().len(), &restored["copy"]), (3, &Value::Null));
    assert!(board.flash()[SECTOR] == factory[SECTOR]);
}

#[test]
fn what_would_keep_a_board_from_aws_or_is_no_root_changes_nothing() {
    let (laptop, board) = (Laptop::new(), board());
    let factory = board.flash();
    let root = own_root(&KeyPair::generate().unwrap());
    let p384 = own_root(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
    let leaf = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    for (files, code, told) in [
        (&[("own.pem", root.as_str())][..], 5, "Amazon Root CA 3 is missing"),
        (&[("own.pem", &root), ("p384.pem", &p384)], 2, "is P-384"),
        (&[("leaf.pem", &leaf)], 2, "is no CA"),
        (&[("text.txt", "hello")], 2, "not a certificate"),
        (&[], 2, "no file with a certificate"),
    ] {
        let (_folder, path) = folder(files);
        let refused = roots(&laptop, &board, &["install", "--from", &path]);
        assert_eq!(refused.code, code, "{refused}");
        assert!(refused.stderr.contains(told), "{told}: {refused}");
    }
    let (_folder, path) = folder(&[("store.bin", "no store")]);
    let refused = roots(&laptop, &board, &["restore", "--file", &format!("{path}/store.bin")]);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(board.flash() == factory);
    assert!(laptop.files().is_empty());

    let (_folder, path) = folder(&[("own.pem", &root)]);
    let kept = line(&roots(&laptop, &board, &["install", "--from", &path, "--keep"]));
    assert_eq!(names(&kept["roots"]), ["P-256 valid", "Amazon Root CA 3", STARFIELD]);
    assert_eq!(names(&kept["removed_roots"]), ["P-256 expired"]);
    let forced = line(&roots(&laptop, &board, &["install", "--from", &path, "--force"]));
    assert_eq!(names(&forced["roots"]), ["P-256 valid"]);
    assert!(forced["obstacle"].as_str().unwrap().contains("missing"));
}

#[test]
fn the_words_of_iotprovision_replace_the_roots_too() {
    let (laptop, board) = (Laptop::new(), board());
    let factory = board.flash();
    let root = own_root(&KeyPair::generate().unwrap());
    let (_folder, path) = folder(&[("own.pem", &root)]);
    let run = |words: &[&str]| laptop.run(&[&["-P", port(&board)][..], words].concat(), &[]);
    let refused = run(&["rootcerts", "--irc", &path]);
    assert_eq!(refused.code, 5, "{refused}");
    let forced = run(&["rootcerts", "--irc", &path, "-f"]);
    assert_eq!(forced.code, 0, "{forced}");
    assert!(board.flash()[SECTOR] != factory[SECTOR]);
    let restored = run(&["rootcerts", "--rrc", "backup"]);
    assert_eq!(restored.code, 0, "{restored}");
    assert!(board.flash() == factory);
}

/// Whether a board takes the server for the one it trusts; it is turned away in any case.
async fn trusts(gateway: &Endpoint, board: &SimulatedBoard) -> bool {
    let (device, store) = Credentials::of(board).unwrap();
    match Device::connect(gateway, &device, &store.thing_name).await {
        Err(DeviceError::Connection(error)) => !format!("{error:?}").contains("UnknownIssuer"),
        other => panic!("it is not registered: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_connects_to_a_server_whose_root_was_installed_and_to_no_other() {
    let account = Account::empty().await;
    let gateway = account.testbed.gateway();
    let endpoint = Endpoint::new(HOST, gateway.port(), gateway.server_ca_pem());
    let (laptop, board) = (Laptop::with_ca(), board());
    let provisioned = laptop.run(&["provision", "--endpoint", HOST, "--port", port(&board)], &[]);
    assert_eq!(provisioned.code, 0, "{provisioned}");
    assert!(!trusts(&endpoint, &board).await, "a server that its roots do not know");

    let (_folder, path) = folder(&[("server.pem", gateway.server_ca_pem())]);
    line(&roots(&laptop, &board, &["install", "--from", &path, "--keep"]));
    assert!(trusts(&endpoint, &board).await);
    line(&roots(&laptop, &board, &["restore"]));
    assert!(!trusts(&endpoint, &board).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_whether_a_board_that_is_plugged_in_trusts_its_endpoint() {
    let account = Account::empty().await;
    let access = account.testbed.access();
    let environment = access.environment().map(|(name, value)| (name, value.to_owned()));
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (laptop, board) = (Laptop::with_ca(), board());
    let provisioned = laptop.run(&["provision", "--endpoint", ATS, "--port", port(&board)], &[]);
    assert_eq!(provisioned.code, 0, "{provisioned}");
    let serial = board.ecc_serial();
    let found = |resource: &str, more: &[&str]| {
        let arguments = [&["doctor", "--output", "json", "--board", &serial][..], more].concat();
        let outcome = laptop.run(&arguments, &environment);
        let lines = outcome.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found: Vec<_> = lines.filter(|line| line["resource"] == resource).collect();
        (found, outcome)
    };
    let at_port = ["--port", port(&board)];
    let (roots_found, _) = found("root_store", &at_port);
    assert_eq!(roots_found[0]["verdict"], "right", "{roots_found:?}");
    let (module, _) = found("wifi_module", &at_port);
    assert!(module[0]["details"][0].as_str().unwrap().contains("below 19.6.5"), "{module:?}");
    let (absent, outcome) = found("root_store", &[]);
    assert!(absent.is_empty() && outcome.stderr.contains("not plugged in"), "{outcome}");

    let other = serialport::new(port(&board), 115_200).open().unwrap();
    let (in_use, _) = found("root_store", &at_port);
    assert_eq!(in_use[0]["verdict"], "notable", "{in_use:?}");
    drop(other);

    board.change_flash(|flash| flash[SECTOR].fill(0xFF));
    let (blank, outcome) = found("root_store", &at_port);
    assert_eq!(blank[0]["verdict"], "wrong", "{blank:?}");
    assert_eq!(blank[0]["help"], "provisioner roots install --keep");
    assert_ne!(outcome.code, 0);
    // What it advises repairs it.
    line(&roots(&laptop, &board, &["install", "--keep"]));
    assert_eq!(found("root_store", &at_port).0[0]["verdict"], "right");
}
