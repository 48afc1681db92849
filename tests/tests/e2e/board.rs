//! One board on one port through the real provisioner: what is on the board and on the laptop afterwards, after every fault.

// The tool is killed at changes of files, which inotify reports.
#[cfg(target_os = "linux")]
mod matrix;
mod trouble;

use std::path::Path;

use testbed::board::{Kit, Options, Part, Seed, SimulatedBoard};
use testbed::certificate_store::CertificateStore;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;

use crate::laptop::{Laptop, Outcome};

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";
/// The commands that change what is on the board.
const CHANGES: [&str; 2] = ["MC+WINC+ERASE", "MC+WINC+WRITEBLOB"];

/// Provisions the board at its port, without any AWS account.
fn provision(laptop: &Laptop, board: &SimulatedBoard, more: &[&str]) -> Outcome {
    let port = board.path().to_str().unwrap();
    let mut arguments = vec!["provision", "--method", "jitr", "--endpoint", ENDPOINT, "--port", port];
    arguments.extend(more);
    let outcome = laptop
        .run(&arguments, &[])
        .naming(port, "PORT")
        .naming(board.ecc_serial(), "ECC_SERIAL")
        .naming(thing_name(board), "THING_NAME");
    match CertificateStore::read(&board.flash()) {
        Ok(store) => outcome.naming(certificate_id(&store.certificates[0].content), "CERTIFICATE_ID"),
        Err(_) => outcome,
    }
}

/// The id of a certificate in AWS IoT: the SHA-256 of its DER form.
fn certificate_id(der: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der))
}

/// The lower-case hex SHA-1 of the public key's bit string (RFC 5280, 4.2.1.2 (1)).
fn thing_name(board: &SimulatedBoard) -> String {
    let point = [&[4][..], &board.public_key()].concat();
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &point))
}

/// Asserts that the board holds a store that fits it, its signer and `laptop`'s files; gives the store.
fn assert_provisioned(board: &SimulatedBoard, laptop: &Laptop, folder: &str) -> CertificateStore {
    let flash = board.flash();
    let store = CertificateStore::read(&flash).unwrap();
    let [device, signer] = store.certificates.as_slice() else { panic!("not two certificates") };
    let (_, device_certificate) = x509_parser::parse_x509_certificate(&device.content).unwrap();
    let (_, signer_certificate) = x509_parser::parse_x509_certificate(&signer.content).unwrap();

    let key = [&[4][..], &board.public_key()].concat();
    assert_eq!(device_certificate.public_key().subject_public_key.data, key);
    let name = thing_name(board);
    assert_eq!(store.thing_name, name);
    assert_eq!(subject_key_identifier(&device_certificate), name);
    assert_eq!(store.endpoint, ENDPOINT);
    let subject = device_certificate.subject().iter_common_name().next().unwrap().as_str().unwrap();
    assert_eq!(subject.to_uppercase(), format!("SN{}", board.ecc_serial()));
    device_certificate.verify_signature(Some(signer_certificate.public_key())).unwrap();

    let file = |name: &str| std::fs::read(laptop.folder().join(name)).unwrap();
    assert_eq!(der(&file("signer-ca.crt")), signer.content);
    assert_eq!(der(&file(&format!("{folder}/device.crt"))), device.content);
    assert_eq!(String::from_utf8(file(&format!("{folder}/aws-thing-name.txt"))).unwrap().trim(), name);

    // Nothing but the store has been touched.
    let fresh = Options::instant(SEED);
    let factory = SimulatedBoard::start(fresh).unwrap().flash();
    assert!(flash[..0x5000] == factory[..0x5000] && flash[0x7000..] == factory[0x7000..]);
    store
}

/// All boards here have the same factory flash; keys and serial numbers may be replaced.
const SEED: u64 = 20;

fn board() -> SimulatedBoard {
    SimulatedBoard::start(Options::instant(SEED)).unwrap()
}

fn der(pem: &[u8]) -> Vec<u8> {
    parse_x509_pem(pem).unwrap().1.contents
}

fn subject_key_identifier(certificate: &X509Certificate<'_>) -> String {
    use x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier;
    let found = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        SubjectKeyIdentifier(identifier) => Some(hex::encode(identifier.0)),
        _ => None,
    });
    found.unwrap()
}

/// Asserts that every file of the home is whole and none is left over from writing.
fn assert_no_half_written_file(laptop: &Laptop) {
    assert_files_whole(laptop);
    for (path, content) in laptop.files() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let known = [".bin", ".crt", ".key", ".csr", ".txt", ".jsonl", ".head"]
            .iter()
            .any(|extension| name.ends_with(extension));
        assert!(known || (content.is_empty() && name.contains("lock")), "{name} is left over");
    }
}

/// Asserts that every file of the home that has its name is whole.
fn assert_files_whole(laptop: &Laptop) {
    for (path, content) in laptop.files() {
        let name = path.file_name().unwrap().to_str().unwrap();
        match Path::new(name).extension().and_then(|extension| extension.to_str()) {
            Some("crt" | "key" | "csr") => {
                let (rest, pem) = x509_parser::pem::Pem::read(std::io::Cursor::new(&content)).unwrap();
                assert!(!rest.contents.is_empty() && pem == content.len(), "{name}");
            }
            Some("txt") => assert_eq!(content.trim_ascii().len(), 40, "{name}"),
            // A run that was killed has made the file, or has added its line, which is written at once.
            Some("jsonl") => assert!(content.is_empty() || content.ends_with(b"\n"), "{name}"),
            _ => {}
        }
    }
}

#[test]
fn a_new_board_holds_its_certificates_and_names_afterwards() {
    let (laptop, board) = (Laptop::with_ca(), board());
    let outcome = provision(&laptop, &board, &[]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_provisioned(&board, &laptop, &board.ecc_serial());
    assert_no_half_written_file(&laptop);
    insta::assert_snapshot!(outcome);
}

#[test]
fn the_conversation_is_as_short_as_it_can_be() {
    let (laptop, board) = (Laptop::with_ca(), board());
    assert_eq!(provision(&laptop, &board, &[]).code, 0);
    let mut statistics = board.take_statistics();
    // The store's last page and the pages of the names; how long the store is depends on the signatures in it.
    let store = board.flash()[0x5000..0x6E00].iter().rposition(|byte| *byte != 0xFF).unwrap() + 1;
    let pages = store.div_ceil(256) + 2;
    assert!(statistics.count("MC+WINC+WRITEBLOB") <= pages, "{statistics:?}");
    // What is there is looked at before it is written, and read back afterwards.
    assert!(statistics.count("MC+WINC+READ") <= 2 * pages, "{statistics:?}");
    assert_eq!(statistics.count("MC+WINC+ERASE"), 0, "a new board is blank");
    statistics.commands.dedup();
    insta::assert_snapshot!(statistics.commands.join("\n"));
}

#[test]
fn a_second_run_leaves_the_board_alone() {
    let (laptop, board) = (Laptop::with_ca(), board());
    assert_eq!(provision(&laptop, &board, &[]).code, 0);
    // The ledger gets a line for this run too.
    let files = || {
        let all = laptop.files().into_iter();
        all.filter(|(path, _)| !path.ends_with("ledger.jsonl")).collect::<Vec<_>>()
    };
    let (flash, before) = (board.flash(), files());
    board.take_statistics();

    let again = provision(&laptop, &board, &[]);
    assert_eq!(again.code, 0, "{again}");
    let statistics = board.take_statistics();
    assert_eq!(CHANGES.map(|change| statistics.count(change)), [0, 0], "{:?}", statistics.commands);
    assert!(board.flash() == flash && files() == before);
    insta::assert_snapshot!(again);

    // Each byte is read once, as many at a time as the firmware gives: 256.
    assert_eq!(
        (statistics.count("MC+WINC+READ"), statistics.bytes_lost),
        (7, 0),
        "{:?}",
        statistics.commands
    );
    insta::assert_snapshot!("a_board_that_is_right_costs", statistics.commands.join("\n"));
}

#[test]
fn whatever_byte_of_a_board_has_changed_the_next_run_sees_it_and_writes_it_anew() {
    let (laptop, board) = (Laptop::with_ca(), board());
    assert_eq!(provision(&laptop, &board, &[]).code, 0);
    let right = board.flash();
    let store = 0x5000..0x5000 + right[0x5000..0x6E00].iter().rposition(|byte| *byte != 0xFF).unwrap() + 1;
    // Magic number, table, certificates, list and names: the first, the last, and a few between.
    for address in store.clone().step_by(97).chain([store.end - 1, 0x6E00, 0x6E20, 0x6F00, 0x6F27]) {
        let erased_anyway = right[address] == 0xFF;
        board.change_flash(|flash| flash[address] ^= 0x10);
        let outcome = provision(&laptop, &board, &[]);
        assert_eq!(outcome.code, 0, "{address:#x}: {outcome}");
        assert!(erased_anyway || board.flash() == right, "{address:#x}");
        board.change_flash(|flash| flash[address] = right[address]);
    }
}

#[test]
fn a_certificate_is_not_reused_for_another_key() {
    let (laptop, board) = (Laptop::with_ca(), board());
    // A kit keeps its USB serial number when its secure element changes: it is another board.
    let ports = format!("{}=MCHP0123456789", board.path().display());
    let run = || {
        let arguments = ["provision", "--method", "jitr", "--endpoint", ENDPOINT];
        laptop.run(&arguments, &[("MICROCHIP_IOT_PORTS", &ports)])
    };
    let first = run();
    assert_eq!(first.code, 0, "{first}");
    let before = assert_provisioned(&board, &laptop, "MCHP0123456789");

    board.replace_secure_element(Seed(SEED + 1)).unwrap();
    let second = run();
    assert_eq!(second.code, 0, "{second}");
    let after = assert_provisioned(&board, &laptop, &board.ecc_serial());
    assert!(second.to_string().contains("has the files of another board"), "{second}");
    assert_ne!(before.certificates[0], after.certificates[0]);
}

#[test]
fn a_certificate_is_not_reused_under_another_signer() {
    let (laptop, board) = (Laptop::with_ca(), board());
    assert_eq!(provision(&laptop, &board, &[]).code, 0);
    let before = assert_provisioned(&board, &laptop, &board.ecc_serial());
    let renewed = laptop.run(&["ca", "create", "--force", "--yes"], &[]);
    assert_eq!(renewed.code, 0, "{renewed}");
    let outcome = provision(&laptop, &board, &[]);
    assert_eq!(outcome.code, 0, "{outcome}");
    let after = assert_provisioned(&board, &laptop, &board.ecc_serial());
    assert_ne!(before.certificates[1], after.certificates[1]);
}

#[test]
fn the_key_never_leaves_the_board() {
    let (laptop, board) = (Laptop::with_ca(), board());
    assert_eq!(provision(&laptop, &board, &[]).code, 0);
    let keys: Vec<_> = laptop.files().into_iter().filter(|(path, _)| path.ends_with("device.key")).collect();
    assert!(keys.is_empty(), "{keys:?}");
    let commands = board.take_statistics().commands;
    assert!(commands.iter().all(|command| command != "MC+ECC+LOCK" && command != "MC+ECC+WRITEBLOB"));
}
