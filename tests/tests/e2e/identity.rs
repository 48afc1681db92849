//! A board is its key: what hostile boards say of themselves, what names folders can have, and which elements are genuine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use p256::ecdsa::{DerSignature, Signature};
use serde_json::Value;
use testbed::board::{Options, Profile, SimulatedBoard, vendor_roots};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::laptop::{Laptop, Outcome};

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";
const USB: &str = "MCHP3261021800001234";
const PROVISION: [&str; 5] = ["provision", "--endpoint", ENDPOINT, "--output", "json"];

fn board(seed: u64) -> SimulatedBoard {
    SimulatedBoard::start(Options::instant(seed)).unwrap()
}

fn port(board: &SimulatedBoard) -> String {
    board.path().display().to_string()
}

/// Provisions the board, whose kit says that it has this USB serial number.
fn provision(laptop: &Laptop, board: &SimulatedBoard, usb: &str, more: &[&str]) -> Outcome {
    let ports = format!("{}={usb}", port(board));
    laptop.run(&[&PROVISION, more].concat(), &[("MICROCHIP_IOT_PORTS", &ports)])
}

fn good(outcome: Outcome) -> Value {
    assert_eq!(outcome.code, 0, "{outcome}");
    serde_json::from_str(outcome.stdout.lines().next().unwrap()).unwrap()
}

fn refused(outcome: &Outcome, code: i32, why: &str) {
    assert_eq!(outcome.code, code, "{outcome}");
    assert!(outcome.stdout.contains(why) || outcome.stderr.contains(why), "{why}: {outcome}");
}

/// The files of one folder of the home.
fn files_of(laptop: &Laptop, folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    laptop.files().into_iter().filter(|(path, _)| path.starts_with(folder)).collect()
}

fn folder(line: &Value) -> String {
    let folder = PathBuf::from(line["folder"].as_str().unwrap());
    folder.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_kit_with_the_usb_serial_number_of_another_overwrites_nothing_of_it() {
    let (laptop, victim, hostile, liar) = (Laptop::with_ca(), board(1), board(2), board(3));
    let first = good(provision(&laptop, &victim, USB, &[]));
    assert_eq!((folder(&first).as_str(), &first["clash"]), (USB, &Value::Null));
    let before = files_of(&laptop, USB);

    for more in [&["--dry-run"][..], &[], &["--force"], &["--csr-only"]] {
        let line = good(match more {
            ["--csr-only"] => {
                let ports = format!("{}={USB}", port(&hostile));
                let request = ["provision", "--csr-only", "--output", "json"];
                laptop.run(&request, &[("MICROCHIP_IOT_PORTS", &ports)])
            }
            more => provision(&laptop, &hostile, USB, more),
        });
        assert_eq!(line["clash"], "other_key", "{line}");
        let place = line["folder"].as_str().or(line["file"].as_str()).unwrap();
        assert!(place.contains(&hostile.ecc_serial()), "{line}");
        assert_eq!(files_of(&laptop, USB), before, "{more:?}");
    }
    liar.claim_serial(&hostile);
    let others = files_of(&laptop, &hostile.ecc_serial());
    for more in [&["--dry-run"][..], &[]] {
        let outcome = provision(&laptop, &liar, USB, more);
        refused(&outcome, 5, "has the files of another key");
    }
    assert_eq!((files_of(&laptop, USB), files_of(&laptop, &hostile.ecc_serial())), (before, others));
    let again = good(provision(&laptop, &victim, USB, &[]));
    assert_eq!(
        (&again["outcome"], &again["certificate_id"]),
        (&"unchanged".into(), &first["certificate_id"])
    );
}

#[test]
fn a_serial_number_that_names_no_folder_gives_way_to_the_secure_elements() {
    let (laptop, board) = (Laptop::with_ca(), board(1));
    let crl = laptop.run(&["ca", "crl"], &[]);
    assert_eq!(crl.code, 0, "{crl}");
    let of_the_home = files_of(&laptop, "crl");
    for usb in ["crl", "Signers", "CON", "com1.txt", "6&1a2b3c&0&0000", "two words", "MÜHP1", "../x", "a."] {
        for more in [&["--dry-run"][..], &[]] {
            let line = good(provision(&laptop, &board, usb, more));
            assert_eq!((folder(&line), &line["clash"]), (board.ecc_serial(), &"name".into()), "{usb}");
            assert_eq!(line["usb_serial"], usb);
        }
        assert!(!laptop.folder().join(usb).is_dir() || usb == "crl", "{usb}");
    }
    assert_eq!(files_of(&laptop, "crl"), of_the_home);
    let told = laptop.run(
        &["provision", "--endpoint", ENDPOINT],
        &[("MICROCHIP_IOT_PORTS", &format!("{}=CON", port(&board)))],
    );
    assert!(told.stdout.contains("the USB serial number cannot be the name of a folder"), "{told}");
}

#[test]
fn no_name_that_the_home_uses_is_a_boards() {
    let (laptop, first, second) = (Laptop::with_ca(), board(1), board(2));
    good(provision(&laptop, &first, USB, &[]));
    let certificate = laptop.folder().join(USB).join("device.crt").display().to_string();
    for arguments in [
        &["revoke", &certificate, "--no-account", "--yes"][..],
        &["ca", "crl"],
        &["ca", "rotate", "--no-register", "--yes"],
        &["ca", "create", "--force", "--yes"],
    ] {
        laptop.run(arguments, &[]);
    }
    let names: Vec<_> = std::fs::read_dir(laptop.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != USB)
        .collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        for usb in [name.to_uppercase(), name] {
            let line = good(provision(&laptop, &second, &usb, &["--dry-run"]));
            assert_eq!((folder(&line), &line["clash"]), (second.ecc_serial(), &"name".into()), "{usb}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_port_that_is_given_by_a_link_is_the_same_board() {
    let (laptop, board) = (Laptop::with_ca(), board(1));
    let link = laptop.folder().with_file_name("by-id");
    std::os::unix::fs::symlink(board.path(), &link).unwrap();
    let (link, real) = (link.display().to_string(), port(&board));
    let ports = format!("{real}={USB}");
    let run = |arguments: &[&str]| {
        laptop.run(&[&PROVISION, arguments].concat(), &[("MICROCHIP_IOT_PORTS", &ports)])
    };
    let both = run(&["--port", &link, "--port", &real]);
    assert_eq!((both.code, both.stdout.lines().count()), (0, 2), "one board and the end: {both}");
    let line = good(run(&["--port", &link]));
    assert_eq!((&line["outcome"], &line["usb_serial"]), (&"unchanged".into(), &USB.into()), "{line}");
    let ledger = laptop.run(&["ledger", "--output", "json"], &[]);
    for entry in ledger.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        assert_eq!((&entry["usb_serial"], &entry["port"]), (&USB.into(), &real.as_str().into()));
    }
}

/// R‖S of the request in the folder of a board.
fn recorded(laptop: &Laptop, folder: &str) -> [u8; 64] {
    let pem = std::fs::read(laptop.folder().join(folder).join("device.csr")).unwrap();
    let der = x509_parser::pem::parse_x509_pem(&pem).unwrap().1.contents;
    let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
    let signature = DerSignature::from_bytes(&request.signature_value.data).unwrap();
    Signature::try_from(signature).unwrap().to_bytes().into()
}

#[test]
fn a_board_without_the_key_that_it_shows_is_refused_on_every_path() {
    let (laptop, victim) = (Laptop::with_ca(), board(1));
    let provisioned = good(provision(&laptop, &victim, USB, &[]));
    let certificate = laptop.folder().join(USB).join("device.crt").display().to_string();
    let signer = laptop.folder().join("signer-ca.crt").display().to_string();
    let before = files_of(&laptop, USB);
    for recorded in [None, Some(recorded(&laptop, USB))] {
        let hostile = board(2);
        hostile.impersonate(&victim, recorded);
        hostile.change_flash(|flash| flash.copy_from_slice(&victim.flash()));
        let flash = hostile.flash();
        for more in [
            &[][..],
            &["--dry-run"],
            &["--certificate", &certificate, "--signer", &signer],
            &["-m", "sandbox"],
        ] {
            let outcome = provision(&laptop, &hostile, USB, more);
            refused(&outcome, 3, "does not sign with the key that it shows");
            assert!(!outcome.stdout.contains("unchanged"), "{outcome}");
        }
        for (laptop, more) in
            [(&laptop, "--force"), (&Laptop::with_ca(), "--force"), (&Laptop::new(), "--csr-only")]
        {
            let ports = format!("{}={USB}", port(&hostile));
            let arguments = match more {
                "--csr-only" => vec!["provision", "--csr-only", "--org", "Zero Touch"],
                more => [&PROVISION[..], &[more]].concat(),
            };
            let outcome = laptop.run(&arguments, &[("MICROCHIP_IOT_PORTS", &ports)]);
            refused(&outcome, 3, "is not signed by the key in it");
        }
        assert!(hostile.flash() == flash);
    }
    assert_eq!(files_of(&laptop, USB), before);
    let again = good(provision(&laptop, &victim, USB, &[]));
    assert_eq!(again["certificate_id"], provisioned["certificate_id"]);
}

#[test]
fn a_request_is_one_for_openssl_too() {
    let (laptop, board) = (Laptop::new(), board(1));
    let line =
        good(laptop.run(&["provision", "--csr-only", "--output", "json", "--port", &port(&board)], &[]));
    let file = line["file"].as_str().unwrap();
    let output = std::process::Command::new("openssl")
        .args(["req", "-in", file, "-noout", "-verify", "-text"])
        .output();
    let Ok(output) = output else {
        eprintln!("openssl is not there");
        return;
    };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("verify OK"), "{said}");
    assert!(said.contains("1.2.840.113549.1.9.25.3"), "{said}");
}

/// A laptop with a file of the testbed's vendor roots.
fn with_roots() -> (Laptop, String) {
    let laptop = Laptop::with_ca();
    let file = laptop.folder().with_file_name("vendor-roots.pem");
    std::fs::write(&file, vendor_roots().unwrap()).unwrap();
    (laptop, file.display().to_string())
}

#[test]
fn a_genuine_secure_element_is_attested_in_plan_report_and_ledger() {
    for factory in [Profile::Mah1h, Profile::Mah4i] {
        let (laptop, roots) = with_roots();
        let board = SimulatedBoard::start(Options { factory, ..Options::instant(1) }).unwrap();
        let genuine = ["--require-genuine", "--vendor-root", &roots];
        for more in [
            &[&genuine[..], &["--dry-run"]].concat(),
            &genuine[..],
            &[&genuine[..], &["-m", "sandbox"]].concat(),
        ] {
            let line = good(provision(&laptop, &board, USB, more));
            assert_eq!(line["attested"], true, "{line}");
        }
        let unasked = good(provision(&laptop, &board, USB, &["--force"]));
        assert_eq!(unasked["attested"], false);
        let ledger = laptop.run(&["ledger", "--output", "json"], &[]);
        let attested: Vec<_> = ledger
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["attested"].as_bool().unwrap())
            .collect();
        assert_eq!(attested, [true, true, false]);
        let ports = format!("{}={USB}", port(&board));
        let station = [
            ("MICROCHIP_IOT_PORTS", ports.as_str()),
            ("MICROCHIP_IOT_REQUIRE_GENUINE", "1"),
            ("MICROCHIP_IOT_VENDOR_ROOT", &roots),
        ];
        for arguments in
            [&PROVISION[..], &[&PROVISION[..], &["--all"]].concat(), &["-m", "sandbox", "--output", "json"]]
        {
            assert_eq!(good(laptop.run(arguments, &station))["attested"], true);
        }
        let request = ["provision", "--csr-only", "--output", "json"];
        assert_eq!(good(laptop.run(&request, &station))["attested"], true);
    }
}

#[test]
fn secure_elements_that_do_not_show_that_they_are_genuine_are_declined_by_name() {
    let (laptop, roots) = with_roots();
    let genuine = board(1);
    let (wiped, other_key, impersonating) = (board(2), board(3), board(4));
    wiped.wipe_factory_certificates();
    other_key.impersonate(&genuine, None);
    impersonating.impersonate(&genuine, None);
    let own_root = laptop.folder().join("root-ca.crt").display().to_string();
    let device = laptop.folder().with_file_name("device.pem").display().to_string();
    std::fs::write(&device, "no certificate").unwrap();
    let vendor = "O=Microchip Technology Inc, CN=ATECC Root CA 001";
    for (board, root, code, why) in [
        // The vendor of the testbed has the name of Microchip and another key.
        (&genuine, None, 5, format!("name \\\"{vendor}\\\" as their root, and its key has not signed them")),
        (
            &genuine,
            Some(&own_root),
            5,
            format!("lead to \\\"{vendor}\\\", and the roots that are trusted are: O=Zero Touch"),
        ),
        (&wiped, Some(&roots), 5, "holds no factory certificates".to_owned()),
        (&impersonating, Some(&roots), 3, "is not signed by the key in it".to_owned()),
        (&genuine, Some(&device), 2, "it is text without a PEM block, not a certificate".to_owned()),
    ] {
        let mut more = vec!["--require-genuine"];
        more.extend(root.into_iter().flat_map(|file| ["--vendor-root", file.as_str()]));
        for dry in [true, false] {
            let more = [&more[..], if dry { &["--dry-run"] } else { &[] }].concat();
            let outcome = provision(&laptop, board, USB, &more);
            refused(&outcome, code, &why);
        }
    }
    assert!(files_of(&laptop, USB).is_empty());
    let alone = provision(&laptop, &genuine, USB, &["--vendor-root", &roots]);
    assert_eq!(alone.code, 2, "{alone}");
}
