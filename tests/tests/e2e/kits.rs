//! What kits have: factory certificates in the secure element, and the disk that programs the microcontroller.

use std::path::PathBuf;

use testbed::board::{Kit, Options, Profile, SimulatedBoard, SimulatedDisk};
use testbed::certificate_store::CertificateStore;
use testbed::wait;

use crate::laptop::{Laptop, Outcome};

const VENDOR_ENDPOINT: &str = "a1gqt8sttiign3.iot.us-east-2.amazonaws.com";
pub(crate) const SERIAL: &str = "MCHP3261021800001234";
/// A vector table of an AVR.
pub(crate) const AVR: &str = ":080000000C945C000C947700E5\n:00000001FF\n";
/// A vector table of a SAM D21.
pub(crate) const SAM: &str = ":0800000000800020B512000091\n:00000001FF\n";

fn board(factory: Profile) -> SimulatedBoard {
    SimulatedBoard::start(Options { factory, ..Options::instant(40) }).unwrap()
}

fn sandbox(laptop: &Laptop, board: &SimulatedBoard, more: &[&str]) -> Outcome {
    let port = board.path().to_str().unwrap();
    laptop.run(&[&["-m", "sandbox", "-P", port, "-s", SERIAL], more].concat(), &[])
}

fn locked(board: &SimulatedBoard) -> Vec<usize> {
    (0..16).filter(|slot| board.is_locked(*slot)).collect()
}

#[test]
fn a_board_for_the_vendors_account_gets_its_factory_certificates_and_nothing_is_locked() {
    for profile in [Profile::Mah1h, Profile::Mah4i] {
        // Neither a certificate authority nor an AWS account is here.
        let (laptop, board) = (Laptop::new(), board(profile));
        let outcome = sandbox(&laptop, &board, &[]);
        assert_eq!(outcome.code, 0, "{outcome}");
        let store = CertificateStore::read(&board.flash()).unwrap();
        let factory = board.factory_certificates();
        assert_eq!(store.certificates[0].content, factory.device);
        assert_eq!(store.certificates[1].content, factory.signer);
        assert_eq!(store.endpoint, VENDOR_ENDPOINT);
        let point = [&[4][..], &board.public_key()].concat();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &point);
        assert_eq!(store.thing_name, hex::encode(digest));
        assert!(locked(&board).is_empty());

        let inspected =
            laptop.run(&["inspect", "--output", "json", "-P", board.path().to_str().unwrap()], &[]);
        let shown: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
        let id = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &factory.device));
        assert_eq!(shown["factory"]["device_certificate"]["certificate_id"], id, "{inspected}");
        assert_eq!(shown["model"], "AVR-IoT WG or WA");
    }
}

#[test]
fn slots_are_locked_for_ever_only_on_a_yes() {
    let (laptop, board) = (Laptop::new(), board(Profile::Mah1h));
    let refused = sandbox(&laptop, &board, &["--lock-slots", "--non-interactive"]);
    assert_eq!((refused.code, locked(&board)), (5, vec![]), "{refused}");
    assert!(refused.stderr.contains("cannot be undone") && refused.stderr.contains("--yes"), "{refused}");
    assert_eq!(laptop.files(), [], "{refused}");
    for _ in 0..2 {
        let done = sandbox(&laptop, &board, &["--lock-slots", "--yes"]);
        assert_eq!((done.code, locked(&board)), (0, vec![10, 11, 12]), "{done}");
    }
}

#[test]
fn a_request_is_made_on_the_board_and_nothing_else_happens() {
    let (laptop, board) = (Laptop::new(), board(Profile::Mah1h));
    let flash = board.flash();
    let port = board.path().to_str().unwrap();
    let outcome = laptop.run(&["provision", "--csr-only", "-P", port, "-s", SERIAL], &[]);
    assert_eq!(outcome.code, 0, "{outcome}");
    let files = laptop.files().into_iter().map(|(path, _)| path);
    let files: Vec<PathBuf> = files.filter(|path| !path.ends_with(".lock")).collect();
    assert_eq!(files, [PathBuf::from(format!("{SERIAL}/device.csr"))]);
    assert!(board.flash() == flash);
}

#[test]
fn a_cellular_kit_is_known_by_its_firmware_too_and_declined_in_a_sentence() {
    let kit = Options { kit: Kit::AvrIotCellularMini, ..Options::instant(41) };
    let (laptop, board) = (Laptop::with_ca(), SimulatedBoard::start(kit).unwrap());
    let port = board.path().to_str().unwrap();
    for arguments in [&["inspect"][..], &["provision", "--endpoint", "example.com"], &["-m", "sandbox"]] {
        let outcome = laptop.run(&[arguments, &["-P", port, "-s", SERIAL]].concat(), &[]);
        assert_eq!(outcome.code, 3, "{outcome}");
        let sentence = format!(
            "error: the AVR-IoT Cellular Mini on {port} connects by a cellular modem, and only kits with a Wi-Fi module \
             can be provisioned\nhelp: "
        );
        assert!(outcome.stderr.contains(&sentence), "{outcome}");
    }
}

#[test]
fn every_kit_is_called_by_its_own_name_and_declined_by_it() {
    for kit in Kit::ALL {
        let board = SimulatedBoard::start(Options { kit, ..Options::instant(42) }).unwrap();
        let disk = SimulatedDisk::of(&board, SERIAL).unwrap();
        let (laptop, port) = (Laptop::new(), board.path().to_str().unwrap());
        let (ports, disks) = (format!("{port}={SERIAL}"), disk.folder().to_str().unwrap());
        let named = [("MICROCHIP_IOT_PORTS", &*ports), ("MICROCHIP_IOT_DISKS", disks)];
        let model = |run: &Outcome| {
            let line: serde_json::Value = serde_json::from_str(run.stdout.trim()).unwrap();
            line["model"].as_str().map(str::to_owned)
        };
        let known = iot_kit::kits::Model::named_in(kit.name_in_debugger()).unwrap();
        assert_eq!(
            (known.name(), known.target().name(), known.leds()),
            (kit.name(), kit.target(), kit.leds())
        );
        let listed = laptop.run(&["boards", "--output", "json"], &named);
        assert_eq!(model(&listed).as_deref(), Some(kit.name()), "{listed}");
        // With the debugger's name, and with the firmware's alone.
        let both = laptop.run(&["inspect", "--output", "json"], &named);
        let alone = laptop.run(&["inspect", "--output", "json", "-P", port], &[]);
        if kit.has_wifi_module() {
            let family = match kit {
                Kit::AvrIotWg | Kit::AvrIotWa => "AVR-IoT WG or WA",
                Kit::PicIotWg | Kit::PicIotWa => "PIC-IoT WG or WA",
                kit => kit.name(),
            };
            assert_eq!(model(&both).as_deref(), Some(kit.name()), "{both}");
            assert_eq!(model(&alone).as_deref(), Some(family), "{alone}");
        } else {
            for declined in [both, alone] {
                let sentence = format!("error: the {kit} on {port} ");
                assert!(declined.code == 3 && declined.stderr.contains(&sentence), "{declined}");
            }
        }
    }
}

/// A laptop with two images, and a kit whose disk is mounted.
struct Desk {
    laptop: Laptop,
    board: SimulatedBoard,
    disk: SimulatedDisk,
    files: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        for (name, text) in [("avr.hex", AVR), ("sam.hex", SAM), ("psk", "correct horse\n")] {
            std::fs::write(files.path().join(name), text).unwrap();
        }
        let disk = SimulatedDisk::start(Kit::AvrIotWg, SERIAL).unwrap();
        Self { laptop: Laptop::new(), board: board(Profile::Mah1h), disk, files }
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let (port, disk) = (self.board.path().to_str().unwrap(), self.disk.folder().to_str().unwrap());
        let kit = ["-P", port, "-s", SERIAL, "--disk", disk];
        self.laptop
            .run(&[arguments, &kit].concat(), environment)
            .naming(port, "PORT")
            .naming(disk, "DISK")
            .naming(self.files.path().to_str().unwrap(), "FILES")
    }
}

#[test]
fn a_program_goes_through_the_kits_disk_and_the_outcome_is_what_the_status_says() {
    let desk = Desk::new();
    let done = desk.run(&["flash", &desk.file("avr.hex")], &[]);
    assert_eq!((done.code, desk.disk.programmed()), (0, vec![AVR.replace('\n', "\r\n")]), "{done}");

    desk.disk.fail_next("Error: device ID mismatch");
    let failed = desk.run(&["flash", &desk.file("avr.hex")], &[]);
    assert_eq!(failed.code, 3, "{failed}");
    assert!(failed.stderr.contains("device ID mismatch"), "{failed}");

    // What is no failure, though it has the word in it.
    desk.disk.fail_next("Programming finished: 0 errors");
    assert_eq!(desk.run(&["flash", &desk.file("avr.hex")], &[]).code, 0);

    let foreign = desk.run(&["flash", &desk.file("sam.hex")], &[]);
    assert_eq!(foreign.code, 2, "{foreign}");
    insta::assert_snapshot!(foreign);
    assert_eq!(desk.disk.programmed().len(), 1);
}

#[test]
fn a_hex_file_is_taken_with_what_editors_leave_in_it_and_another_kind_of_file_is_named() {
    let desk = Desk::new();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(desk.files.path().join(name), bytes).unwrap();
        desk.file(name)
    };
    let plain = AVR.replace('\n', "\r\n");
    for text in [
        format!("\u{feff}{AVR}"),
        format!("{AVR}\u{1a}"),
        format!("{AVR}\0\0"),
        format!("{AVR}:00000001FF\n"),
    ] {
        let done = desk.run(&["flash", &write("left.hex", text.as_bytes())], &[]);
        assert_eq!((done.code, desk.disk.programmed().last()), (0, Some(&plain)), "{text:?}: {done}");
    }
    let programmed = desk.disk.programmed().len();
    let others: [(&[u8], &str, &str); 8] = [
        (b"\x7fELF\x01\x01\x01\0\0\0", "an ELF program", "objcopy"),
        (b"UF2\nWQ]\x9e\0\0", "a UF2 file", "Intel HEX"),
        (b"S00600004844521B\nS9030000FC\n", "Motorola S-records", "-I srec"),
        (b"<!DOCTYPE html>\n<html></html>", "a web page", "Raw"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS", "git lfs pull"),
        (b"PK\x03\x04\x14\0", "an archive", "unpack"),
        (b":\x000\x000\0", "UTF-16", "ASCII"),
        (b"\x0c\x94\x5c\0\x0c\x94", "a binary file", "Intel HEX"),
    ];
    for (bytes, name, advice) in others {
        for more in [&["--dry-run"][..], &[]] {
            let refused = desk.run(&[&["flash", &write("other.hex", bytes)], more].concat(), &[]);
            assert_eq!(refused.code, 2, "{name}: {refused}");
            assert!(refused.stderr.contains(name) && refused.stderr.contains(advice), "{name}: {refused}");
        }
    }
    assert_eq!(desk.disk.programmed().len(), programmed);
}

#[test]
fn wifi_credentials_reach_the_application_and_no_log() {
    let desk = Desk::new();
    let file = desk.file("psk");
    let done = desk.run(&["wifi", "--ssid", "Factory Floor", "--psk-file", &file, "-l", "debug"], &[]);
    assert_eq!(done.code, 0, "{done}");
    wait::until("the command at the console", || !desk.disk.typed().is_empty()).unwrap();
    assert_eq!(desk.disk.typed(), ["wifi Factory Floor,correct horse,2"]);
    assert!(!format!("{done}").contains("horse"), "{done}");

    let none = desk.run(&["wifi", "--ssid", "net", "--non-interactive"], &[]);
    assert_eq!(none.code, 2, "{none}");
    let short = desk.run(&["wifi", "--ssid", "net"], &[("MICROCHIP_IOT_PSK", "2short")]);
    assert!(short.code == 2 && !format!("{short}").contains("2short"), "{short}");
}

#[test]
fn one_command_does_firmware_certificates_application_and_wifi() {
    let desk = Desk::new();
    let avr = desk.file("avr.hex");
    let arguments = ["-m", "sandbox", "-p", &avr, "-app", &avr, "-ssid", "net", "-psk", "hush-hush"];
    let done = desk.run(&arguments, &[]);
    assert_eq!((done.code, desk.disk.programmed().len()), (0, 2), "{done}");
    let steps: Vec<&str> = done.stderr.lines().filter(|line| !line.starts_with("board ")).collect();
    insta::assert_snapshot!(steps.join("\n"), @r"
    warning: other users can see a passphrase on the command line in the list of processes; use --psk-file, MICROCHIP_IOT_PSK or the prompt
    [1/4] Provisioning firmware
    [2/4] Certificates
    [3/4] Application
    [4/4] Wi-Fi
    ");
    assert!(!format!("{done}").contains("hush"));

    let bad = desk.run(&["-m", "sandbox", "-app", &desk.file("sam.hex")], &[]);
    assert_eq!((bad.code, desk.disk.programmed().len()), (2, 2), "nothing is begun: {bad}");
}
